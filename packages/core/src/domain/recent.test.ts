import assert from "node:assert/strict";
import { test } from "node:test";
import { Recent } from "./recent.ts";

test("what was set lately is known, and what is long past takes no room", () => {
  const recent = new Recent<number>(100);
  for (let i = 0; i < 1_000; i++) {
    recent.set(`key-${i}`, i);
    for (let j = Math.max(0, i - 99); j <= i; j++) assert.equal(recent.get(`key-${j}`), j);
    assert.ok(recent.size <= 200);
  }
  assert.ok(!recent.has("key-799"));
});

test("what is deleted is not known any more, however long ago it was set", () => {
  const recent = new Recent<number>(3);
  for (const key of ["a", "b", "c", "d"]) recent.set(key, 1);
  for (const key of ["a", "d"]) recent.delete(key);
  assert.deepEqual(
    ["a", "b", "c", "d"].map((key) => recent.has(key)),
    [false, true, true, false],
  );
});
