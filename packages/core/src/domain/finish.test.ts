import assert from "node:assert/strict";
import { test } from "node:test";
import { defineBudget } from "./budget.ts";
import { keptOf } from "./finish.ts";

const TASK = { unit: "tokens", window: "lifetime" } as const;

function kept(step: string, amount: number): number {
  const { ladder } = defineBudget({ name: "task", per: "task", limits: ["1,000 tokens"], ladder: { [step]: "finish" } });
  return keptOf(ladder, TASK, amount);
}

test("what is above a share is kept for the last answer, of whatever amount is in force, and never nothing", () => {
  assert.deepEqual([kept("80%", 1_000), kept("80%", 2_000), kept("80%", 3), kept("99.99%", 7)], [200, 400, 1, 1]);
});

test("what is to be left is kept as it is written, and what is above a spent amount", () => {
  assert.deepEqual([kept("150 tokens left", 1_000), kept("150 tokens left", 5_000), kept("150 tokens left", 100)], [150, 150, 100]);
  assert.deepEqual([kept("800 tokens", 1_000), kept("800 tokens", 5_000), kept("800 tokens", 500)], [200, 4_200, 0]);
});

test("of another limit nothing is kept", () => {
  const { ladder } = defineBudget({ name: "task", per: "task", limits: ["$2", "1,000 tokens"], ladder: { "80% of $": "finish" } });
  assert.deepEqual([keptOf(ladder, TASK, 1_000), keptOf(ladder, { unit: "nanodollars", window: "lifetime" }, 1_000)], [0, 200]);
});

test("a step that keeps all or nothing is refused", () => {
  for (const step of ["0%", "100%", "0 tokens left", "1,000 tokens", "1,000 tokens left", "0 tokens"])
    assert.throws(() => kept(step, 1_000), { code: "ladder_invalid" }, step);
});
