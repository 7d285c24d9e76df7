import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { letGo } from "./body.ts";
import { giveBack } from "./given-back.ts";

const MEGABYTE = 1024 * 1024;

test("the memory of a large buffer is free at once, before anything is collected", async () => {
  // Node.js 20 takes some turns until nobody can receive anything.
  for (let turn = 0; turn < 10; turn++) await setImmediate();
  const bytes = Buffer.alloc(64 * MEGABYTE, 1);
  const before = process.memoryUsage().arrayBuffers;
  giveBack(bytes);
  assert.ok(process.memoryUsage().arrayBuffers <= before - 60 * MEGABYTE);
  assert.equal(bytes.length, 0);
});

test("memory that others share, and small bodies, are left alone", () => {
  const shared = Buffer.alloc(2 * MEGABYTE, 7);
  giveBack(shared.subarray(10, 20));
  const small = Buffer.alloc(100_000, 7);
  letGo(small);
  assert.deepEqual([shared.length, shared[15], small.length, small[99_999]], [2 * MEGABYTE, 7, 100_000, 7]);
  letGo(shared);
  assert.equal(shared.length, 0);
});
