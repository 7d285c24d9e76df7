import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fillIn, type VariableForm } from "./template.ts";

function filled(template: string, form: VariableForm, values: Readonly<Record<string, string>>) {
  const { text, missing, logic } = fillIn(template, form, new Map(Object.entries(values)), 1_000);
  return { text, missing: missing.map(({ name, line }) => `${name}:${line}`), logic: logic.map(({ name, line }) => `${name}:${line}`) };
}

describe("a template", () => {
  test("has its variables filled in, in each of the forms in which they are written", () => {
    const values = { name: "Ann", "user.name": "Bo", x: "1" };
    const cases: readonly (readonly [form: VariableForm, template: string, text: string])[] = [
      ["double-braces", "{{name}} {{ user.name }} {{{x}}} {{x | upper}} {name}", "Ann Bo 1 1 {name}"],
      ["single-braces", '{name} {x:.2f} {name!r} {{"a": {x}}} { "b": 1 }', 'Ann 1 Ann {"a": 1} { "b": 1 }'],
      // biome-ignore lint/suspicious/noTemplateCurlyInString: this is the form.
      ["dollar-braces", "${name} {{name}} $x", "Ann {{name}} $x"],
      ["none", "{{name}} {% if x %}", "{{name}} {% if x %}"],
    ];
    for (const [form, template, text] of cases) assert.deepEqual(filled(template, form, values), { text, missing: [], logic: [] }, form);
  });

  test("says of a variable without a value, and of what is more than a variable, where it stands", () => {
    const { missing, logic } = filled("a\n{{ b }}\n\n{{#each c}}x{{/each}}\n{% if d %}{{ e[0] }}", "double-braces", {});
    assert.deepEqual(missing, ["b:2"]);
    assert.deepEqual(logic, ["{{#each c:4", "{{/each:4", "{% if d %:5", "{{ e[0]:5"]);
  });

  test("does not look for variables in values", () => {
    assert.equal(filled("{{a}}{{b}}", "double-braces", { a: "{{b}}", b: "$&" }).text, "{{b}}$&");
  });

  test("grows no longer than it may, however often a long value stands in it", () => {
    const { text, isTooLong } = fillIn("{{a}}".repeat(1_000_000), "double-braces", new Map([["a", "x".repeat(1_000_000)]]), 10_000_000);
    assert.ok(isTooLong && text.length < 20_000_000, `${text.length}`);
    assert.equal(fillIn("{{a}}{{a}}", "double-braces", new Map([["a", "12345"]]), 10).isTooLong, false);
  });
});
