import assert from "node:assert/strict";
import { test } from "node:test";
import { Answers, type AskedQuestion, type CallName } from "./answers.ts";
import { wordingOf } from "./nearness.ts";

const NOW = Date.UTC(2026, 10, 20, 12);

function answer(bytes: number, at = NOW, from = "req_1") {
  return { from, contentType: "application/json", pieces: [], bytes, at, cost: Promise.resolve(undefined) };
}

function named(key: string): CallName {
  return { key, question: undefined };
}

/** A call that asks this, with the same around it as all others here. */
function asking(text: string, around = "the same"): CallName & { question: AskedQuestion } {
  return { key: `${around} ${text}`, question: { around, wording: wordingOf(text) ?? assert.fail(text) } };
}

test("an answer is given again up to its age and no longer", () => {
  const answers = new Answers();
  answers.keep(named("a"), answer(10));
  assert.ok(answers.find("a", 1000, NOW + 1000));
  assert.equal(answers.find("a", 1000, NOW + 1001), undefined);
  assert.equal(answers.find("a", 1000, NOW - 1), undefined, "nor where the clock went back");
  answers.forget(NOW + 1);
  assert.equal(answers.size, 0);
});

test("all answers together have a bounded size, and those that are asked for stay", () => {
  const answers = new Answers();
  answers.keep(named("asked"), answer(1_000_000));
  for (let i = 0; i < 1_000; i++) {
    answers.keep(named(`a${i}`), answer(1_000_000));
    assert.ok(answers.find("asked", 1000, NOW));
  }
  assert.ok(answers.size >= 60 && answers.size <= 67, `${answers.size} answers of a megabyte`);
  for (let i = 0; i < 1_000; i++) answers.keep(named("same"), answer(1_000_000));
  assert.ok(answers.size >= 60, "an answer that is replaced is counted once");
});

test("a similar question gets the answer of the nearest one, where all around it is the same", () => {
  const answers = new Answers();
  answers.keep(asking("What are your opening hours?"), answer(10, NOW, "far"));
  answers.keep(asking("Hello, what are your opening hours please?"), answer(10, NOW, "near"));
  answers.keep(asking("What are your opening hours?", "another system prompt"), answer(10, NOW, "other"));
  const asked = asking("Hi, what are your opening hours please?").question;
  const found = answers.findSimilar(asked, 0.8, 1000, NOW);
  assert.deepEqual([found?.answer.from, found?.nearness], ["near", 0.88]);
  assert.equal(answers.findSimilar(asked, 0.95, 1000, NOW), undefined);
  assert.equal(answers.findSimilar(asking("Hi", "nothing like it").question, 0.5, 1000, NOW), undefined);
  assert.equal(answers.findSimilar(asked, 0.5, 1000, NOW + 1001), undefined, "not for longer than its age");
  answers.forgetQuestions();
  assert.equal(answers.findSimilar(asked, 0.5, 1000, NOW), undefined);
  assert.ok(answers.find(asking("What are your opening hours?").key, 1000, NOW), "the answer to the same call stays");
});

test("of the wordings of a question only some are kept, so that few are compared", () => {
  const answers = new Answers();
  const wordings = Array.from({ length: 20 }, (_, i) => `What are ${"please ".repeat(i)}your opening hours`);
  for (const text of wordings) answers.keep(asking(text), answer(10));
  const found = (text: string) => answers.findSimilar(asking(text).question, 1, 1000, NOW)?.nearness;
  assert.deepEqual(wordings.map(found), [...Array(12).fill(undefined), ...Array(8).fill(1)]);
  assert.equal(answers.size, 20, "all of them are still answered when the same call comes again");
  answers.forget();
  assert.equal(answers.size, 0);
});
