import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compilePattern, compileSelector, isSubjectPath, subjectValue } from "./subject.ts";

test("a tag is only what the caller set, whatever it is named", () => {
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"] as const) {
    assert.equal(subjectValue({ tags: {} }, `tag.${name}`), undefined);
    assert.equal(subjectValue({}, `tag.${name}`), undefined);
  }
  const tags = JSON.parse('{"__proto__": "a", "constructor": "b"}');
  assert.equal(subjectValue({ tags }, "tag.__proto__"), "a");
  assert.equal(subjectValue({ tags }, "tag.constructor"), "b");
});

test("an attribute is one of the known names, and a tag has a name", () => {
  assert.ok(isSubjectPath("user") && isSubjectPath("tag.customer"));
  assert.ok(!isSubjectPath("customer") && !isSubjectPath("tag.") && !isSubjectPath("constructor"));
});

test("a selector selects a call only where every named value matches", () => {
  const selects = compileSelector({ team: ["a", "b*"], "tag.customer": "*" });
  assert.ok(selects({ team: "beta", tags: { customer: "acme" } }));
  assert.ok(!selects({ team: "beta" }));
  assert.ok(!selects({ team: "c", tags: { customer: "acme" } }));
  assert.ok(compileSelector({})({}));
  assert.ok(!compileSelector({ user: [] })({ user: "ann" }));
});

test("a star stands for any run of characters, and for nothing else", () => {
  const pattern = fc.array(fc.constantFrom("*", "a", "b", ".", "?", "\n"), { maxLength: 6 }).map((parts) => parts.join(""));
  const value = fc.array(fc.constantFrom("a", "b", ".", "?", "\n"), { maxLength: 8 }).map((parts) => parts.join(""));
  fc.assert(
    fc.property(pattern, value, (pattern, value) => {
      const source = pattern.split("*").map((text) => text.replace(/[.?]/g, "\\$&"));
      assert.equal(compilePattern(pattern)(value), new RegExp(`^${source.join(".*")}$`, "s").test(value));
    }),
    { numRuns: 3_000 },
  );
});

test("no value can keep a pattern busy", () => {
  const matches = compilePattern("*a*a*a*a*a*a*b");
  const started = performance.now();
  assert.equal(matches(`${"a".repeat(100_000)}c`), false);
  assert.ok(performance.now() - started < 1_000);
});
