import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { examineConfig } from "./read-config.ts";
import { problemText } from "./source.ts";

const LADDER = "budgets: [{ name: a, limits: [$5 / day], ladder: { 0%: lookup faq } }]";

/** What is found in a configuration, with other files beside it. */
function examined(t: TestContext, answers: string, files: Readonly<Record<string, string>> = {}) {
  const cwd = mkdtempSync(join(tmpdir(), "purser-answers-"));
  t.after(() => rmSync(cwd, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(cwd, name), text);
  const { config, problems, warnings } = examineConfig({
    file: "purser.yaml",
    text: `${answers}\n${LADDER}\n`,
    environment: { OPEN: "9" },
    cwd,
  });
  return { list: config?.answers.get("faq"), problems: problems.map(problemText), warnings: warnings.map(problemText) };
}

function wordings(i: number): readonly string[] {
  return Array.from({ length: 10 }, (_, j) => `${i} ${j}`);
}

const INLINE = `answers:
  faq:
    - { question: When are you open?, answer: "From \${OPEN} on." }
    - question: [Do you ship abroad?, Can you ship abroad?]
      answer: Yes.`;
const YAML = `- { question: When are you open?, answer: "From \${OPEN} on." }\n- { question: [Do you ship abroad?, Can you ship abroad?], answer: Yes. }\n`;
const JSON_TEXT = JSON.stringify([
  { question: "When are you open?", answer: "From 9 on." },
  { question: ["Do you ship abroad?", "Can you ship abroad?"], answer: "Yes." },
]);
const CSV = `Answer,Question\nFrom 9 on.,When are you open?\nYes.,Do you ship abroad?\nYes.,"Can you ship abroad?"\n`;

test("answers stand in the configuration, or in a file of YAML, JSON or CSV beside it", (t) => {
  for (const [answers, files] of [
    [INLINE, {}],
    ["answers: { faq: faq.yaml }", { "faq.yaml": YAML }],
    ["answers: { faq: faq.json }", { "faq.json": JSON_TEXT }],
    ["answers: { faq: ./faq.CSV }", { "faq.CSV": CSV }],
  ] as const) {
    const { list, problems, warnings } = examined(t, answers, files);
    assert.deepEqual([problems, warnings], [[], []], answers);
    assert.equal(list?.size, 3);
    assert.equal(list?.find("when are you OPEN", undefined)?.answer, "From 9 on.");
    assert.equal(list?.find("can you ship abroad", undefined)?.answer, "Yes.");
    assert.equal(list?.find("Hello, when are you open please?", undefined), undefined);
    assert.deepEqual(list?.find("Hello, when are you open please?", 0.7), {
      answer: "From 9 on.",
      entry: "faq, question 1",
      nearness: 0.77,
    });
    assert.equal(list?.find("Hello, when are you open please?", 0.8), undefined);
  }
});

test("what is wrong is said with its file, line and field", (t) => {
  for (const [answers, files, problem] of [
    [
      "answers: { faq: [{ question: Why?, answr: So. }] }",
      {},
      /^purser\.yaml:1:36 {2}answers\.faq\[0\]\.answr: unknown field\. Did you mean "answer"\?$/,
    ],
    ["answers: { faq: [{ question: Why? }] }", {}, /^purser\.yaml:1:18 {2}answers\.faq\[0\]: answer is missing\.$/],
    ["answers: { faq: [{ question: '?!', answer: So. }] }", {}, /^purser\.yaml:1:30 {2}answers\.faq\[0\]\.question: "\?!" has no words\.$/],
    [
      "answers: { faq: [{ question: [Why?, WHY], answer: So. }] }",
      {},
      /^purser\.yaml:1:37 {2}answers\.faq\[0\]\.question\[1\]: "WHY" asks the same as "Why\?"/,
    ],
    ["answers: { faq: [] }\n", {}, undefined],
    [
      "answers: { faq: faq.txt }",
      {},
      /answers\.faq: "faq\.txt" is no file of answers\. Its name ends with \.csv, \.json, \.yaml, \.yml\.$/,
    ],
    ["answers: { faq: faq.csv }", {}, /answers\.faq: faq\.csv cannot be read \(ENOENT\)\. Paths are meant from the folder of this file\.$/],
    [
      "answers: { faq: faq.csv }",
      { "faq.csv": "q,answer\na,b" },
      /^faq\.csv:1:1 {2}there is no column question\. The first line names the columns: question,answer\./,
    ],
    ["answers: { faq: faq.csv }", { "faq.csv": 'question,answer\na,"b\nc"\nd,\n' }, /^faq\.csv:4:1 {2}answer: is empty\./],
    ["answers: { faq: faq.csv }", { "faq.csv": "question,answer\na,b,c\n" }, /^faq\.csv:2:1 {2}has 3 values, and the heading 2\.$/],
    ["answers: { faq: faq.csv }", { "faq.csv": 'question,answer\na,"b\n' }, /^faq\.csv:2:1 {2}It is no CSV/],
    [
      "answers: { faq: faq.csv }",
      { "faq.csv": "question,answer\nwhy,b\nWhy!?,c\n" },
      /^faq\.csv:3:1 {2}question: "Why!\?" asks the same as "why"/,
    ],
    [
      "answers: { faq: faq.yaml }",
      { "faq.yaml": "- question: Why?\n- question: How?\n  answer: [a, b]\n" },
      /^faq\.yaml:1:3 {2}\[0\]: answer is missing\.$/,
    ],
    ["answers: { faq: faq.yaml }", { "faq.yaml": "" }, /^faq\.yaml:1:1 {2}is empty\. Write a list of questions with their answers\.$/],
    ["answers: { faq: faq.json }", { "faq.json": "{" }, /^faq\.json:1:2 {2}this is not YAML/],
    [
      `answers: { faq: [{ question: ${"why ".repeat(80)}, answer: So. }] }`,
      {},
      /is longer than 300 characters, and longer questions are not looked up/,
    ],
    [
      "answers: { faq: faq.json }",
      { "faq.json": JSON.stringify(Array.from({ length: 501 }, (_, i) => ({ question: wordings(i), answer: "a" }))) },
      /answers\.faq: has 5010 questions, each wording counted; at most 5000 are possible\.$/,
    ],
    [
      "answers: { faqs: [{ question: Why?, answer: So. }] }",
      {},
      /budgets\[0\]\.ladder: no list "faq" is configured under answers\. Did you mean "faqs"\?$/,
    ],
    ["timezone: UTC", {}, /budgets\[0\]\.ladder: looks up the list "faq", and no list is configured\. Add it under answers\.$/],
  ] as const) {
    const { problems } = examined(t, answers, files);
    if (problem === undefined) assert.deepEqual(problems, [], answers);
    else
      assert.ok(
        problems.some((one) => problem.test(one)),
        `${answers}: ${problems.join("; ")}`,
      );
  }
});

test("a list that nobody asks, and a text that is the name of one, are doubtful", (t) => {
  const { warnings } = examined(t, "answers: { faq: [{ question: Why?, answer: So. }], shop: [{ question: Why?, answer: So. }] }");
  assert.deepEqual(warnings, ['purser.yaml:1:58  answers.shop: no ladder looks up "shop". Add a rung to one, such as 0%: lookup shop.']);
  const text =
    "answers: { faq: [{ question: Why?, answer: So. }] }\nbudgets: [{ name: a, limits: [$5 / day], ladder: { 0%: lookup faq, 100%: answer faq } }]";
  const reading = examineConfig({ text, environment: {} });
  assert.match(problemText(reading.warnings[0] ?? assert.fail()), /gives the text "faq" for an answer.*Write lookup faq if that is meant/);
});
