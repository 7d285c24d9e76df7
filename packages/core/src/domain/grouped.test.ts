import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { grouped } from "./grouped.ts";

test("numbers are grouped as people in the United States write them, whatever they are", () => {
  const some = [0, -0, 7, 999, 1_000, -1_000, 60_000, 1_234_567, 999_999_999_999_999, 1e15, 1e21, 0.5, 1234.5678, Infinity, Number.NaN];
  for (const amount of some) assert.equal(grouped(amount), amount.toLocaleString("en-US"), String(amount));
  fc.assert(
    fc.property(fc.oneof(fc.integer(), fc.maxSafeInteger(), fc.double()), (amount) => grouped(amount) === amount.toLocaleString("en-US")),
  );
});
