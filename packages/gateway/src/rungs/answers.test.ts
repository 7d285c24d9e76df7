import assert from "node:assert/strict";
import { test } from "node:test";
import { Answers } from "./answers.ts";

const NOW = Date.UTC(2026, 10, 20, 12);

function answer(bytes: number, at = NOW) {
  return { contentType: "application/json", pieces: [], bytes, at };
}

test("an answer is given again up to its age and no longer", () => {
  const answers = new Answers();
  answers.keep("a", answer(10));
  assert.ok(answers.find("a", 1000, NOW + 1000));
  assert.equal(answers.find("a", 1000, NOW + 1001), undefined);
  assert.equal(answers.find("a", 1000, NOW - 1), undefined, "nor where the clock went back");
  answers.forget(NOW + 1);
  assert.equal(answers.size, 0);
});

test("all answers together have a bounded size, and those that are asked for stay", () => {
  const answers = new Answers();
  answers.keep("asked", answer(1_000_000));
  for (let i = 0; i < 1_000; i++) {
    answers.keep(`a${i}`, answer(1_000_000));
    assert.ok(answers.find("asked", 1000, NOW));
  }
  assert.ok(answers.size >= 60 && answers.size <= 67, `${answers.size} answers of a megabyte`);
  for (let i = 0; i < 1_000; i++) answers.keep("same", answer(1_000_000));
  assert.ok(answers.size >= 60, "an answer that is replaced is counted once");
});
