// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are the text of a file, for Purser to fill in.
import assert from "node:assert/strict";
import { test } from "node:test";
import { openSource, type Place, problemText } from "./source.ts";

function read(text: string, environment: Record<string, string> = {}) {
  return openSource({ file: "purser.yaml", text, environment });
}

function valueAt(place: Place, ...fields: readonly string[]): string | undefined {
  return fields.reduce((at, name) => at.field(name), place).text()?.value;
}

test("a variable inside brackets is read as it looks", () => {
  const { root, problems } = read("a: { key: ${KEY}, other: x }\nb: [${KEY:-a,b}, c]\n", { KEY: "secret" });
  assert.deepEqual(problems, []);
  assert.equal(valueAt(root, "a", "key"), "secret");
  assert.deepEqual(
    root
      .field("b")
      .items()
      ?.map((item) => item.text()?.value),
    ["secret", "c"],
  );
});

test("an amount with thousands commas inside brackets is one amount", () => {
  const { root } = read("limits: [$50,000 / month, 1,000,000 tokens / day, 4,000k / day]\nnumbers: [100,200,300]\n");
  const texts = (name: string) =>
    root
      .field(name)
      .items()
      ?.map((item) => item.text()?.value);
  assert.deepEqual(texts("limits"), ["$50,000 / month", "1,000,000 tokens / day", "4,000k / day"]);
  assert.deepEqual(texts("numbers"), ["100", "200", "300"]);
});

test("an amount with a decimal comma inside brackets is not one amount and another", () => {
  const { root } = read("a: [$1,5 / day]\nb: [$2,50, $3,75]\nc: [$5,10 requests / hour]\n");
  const texts = (name: string) =>
    root
      .field(name)
      .items()
      ?.map((item) => item.text()?.value);
  assert.deepEqual(texts("a"), ["$1,5 / day"]);
  assert.deepEqual(texts("b"), ["$2,50", "$3,75"]);
  assert.deepEqual(texts("c"), ["$5", "10 requests / hour"]);
});

test("a default counts where the variable is unset or empty, and a doubled dollar is plain", () => {
  const { root } = read("a: ${A:-one}\nb: ${B:-two}\nc: $${C}\nd: ${D}\n", { A: "", B: "b" });
  assert.equal(valueAt(root, "a"), "one");
  assert.equal(valueAt(root, "b"), "b");
  assert.equal(valueAt(root, "c"), "${C}");
  assert.deepEqual(root.field("d").text()?.unset, ["D"]);
});

test("positions are those of the file, whatever stands before them", () => {
  const source = read("a: { key: ${KEY:-x,y}, wrong: 1 }\n", {});
  source.root.field("a").field("wrong").problem("no");
  assert.equal(source.problems.map(problemText)[0], "purser.yaml:1:31  a.wrong: no");
});

test("a text that is no YAML is a problem with a place, not an exception", () => {
  const { root, problems } = read("a: [1, 2\nb: }\n");
  assert.equal(root.node, undefined);
  assert.match(problems.map(problemText)[0] ?? "", /^purser\.yaml:\d+:\d+ {2}this is not YAML: /);
});

test("a file that is no UTF-8 is not read as something else", () => {
  const { root, problems } = read(new TextDecoder().decode(Buffer.from("budgets:\n  - name: café\n", "latin1")));
  assert.equal(root.node, undefined);
  assert.deepEqual(problems.map(problemText), ["purser.yaml:2:14  this is not text in UTF-8. Save the file as UTF-8."]);
});

test("a second document in the file is told as what to change", () => {
  const { problems } = read("a: 1\n---\nb: 2\n");
  assert.deepEqual(problems.map(problemText), [
    "purser.yaml:2:1  this is not YAML: a second document begins here. Put all into one, without a line of ---.",
  ]);
});

test("an alias stands for what its anchor holds, and is told where it is used", () => {
  const source = read("a: &x { b: 1 }\nc: *x\n");
  assert.equal(valueAt(source.root, "c", "b"), "1");
  source.root.field("c").problem("here");
  assert.equal(source.problems[0]?.line, 2);
});

test("a file beyond a megabyte is refused unread", () => {
  const { root, problems } = read(`a: ${"x".repeat(1_100_000)}\n`);
  assert.equal(root.node, undefined);
  assert.match(problems[0]?.message ?? "", /larger than 1 MiB/);
});
