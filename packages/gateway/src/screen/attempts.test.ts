import assert from "node:assert/strict";
import { test } from "node:test";
import { Attempts } from "./attempts.ts";

test("whoever tries token after token waits ever longer, and nobody else does", () => {
  let now = 0;
  const attempts = new Attempts(() => now);
  const pauses: number[] = [];
  for (let i = 0; i < 14; i++) {
    attempts.failed("one");
    pauses.push(attempts.waitMs("one"));
    now += attempts.waitMs("one");
  }
  assert.deepEqual(pauses, [0, 0, 0, 0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000, 60_000]);
  assert.equal(attempts.waitMs("other"), 0);
  attempts.failed("one");
  attempts.succeeded("one");
  assert.equal(attempts.waitMs("one"), 0);
});

test("very many addresses do not fill the memory, and the newest are remembered", () => {
  const attempts = new Attempts(() => 0);
  for (let i = 0; i < 30_000; i++) attempts.failed(`address-${i}`);
  for (let i = 0; i < 5; i++) attempts.failed("address-29999");
  assert.ok(attempts.waitMs("address-29999") > 0);
});
