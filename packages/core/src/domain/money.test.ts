import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PurserError } from "../errors.ts";
import { formatDollars, nanodollars, parseDollars, parseDollarsPerMillion } from "./money.ts";

const refused = (code: string) => (error: unknown) => error instanceof PurserError && error.code === code;

test("an amount that is written can be read back to the nano-dollar", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), (amount) => {
      assert.equal(parseDollars(formatDollars(amount)), amount);
    }),
  );
});

test("an amount of a debt shows its sign and nothing else changes", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (amount) => {
      assert.equal(formatDollars(-amount), `-${formatDollars(amount)}`);
    }),
  );
  assert.equal(formatDollars(-0), "$0.00");
});

test("decimals are kept digit for digit, never through floating point", () => {
  assert.equal(parseDollars("12.5"), 12_500_000_000);
  assert.equal(parseDollars("0.000000001"), 1);
  assert.equal(parseDollars(1e-9), 1);
  assert.equal(parseDollars(1.5e-7), 150);
  assert.equal(parseDollars("$50,000"), 50_000_000_000_000);
  assert.equal(parseDollars("1_000.10"), 1_000_100_000_000);
  assert.equal(parseDollarsPerMillion("0.05"), 50_000);
  assert.equal(parseDollarsPerMillion(0.0028), 2_800);
  assert.equal(parseDollarsPerMillion("1.100000"), 1_100_000);
});

test("an amount too fine to be exact is refused, never rounded to nothing", () => {
  for (const amount of ["0.0000000001", 1e-10, 4e-13, 5e-324, 0.1 + 0.2])
    assert.throws(() => parseDollars(amount), refused("amount_invalid"));
  assert.throws(() => parseDollarsPerMillion("0.0000001"), refused("amount_invalid"));
});

test("what is not plainly an amount is refused", () => {
  for (const text of [
    "",
    " ",
    "-1",
    "+1",
    "1e3",
    "1.",
    ".5",
    "2,50",
    "1,00",
    "1,0000",
    ",1",
    "1_",
    "0x10",
    "NaN",
    "$",
    "$$1",
    "1 2",
    "١",
  ]) {
    assert.throws(() => parseDollars(text), refused("amount_invalid"), text);
  }
  for (const amount of [-1, Number.NaN, Number.POSITIVE_INFINITY, 1e21])
    assert.throws(() => parseDollars(amount), refused("amount_invalid"));
  assert.throws(() => parseDollars("9007200"), refused("amount_too_large"));
});

test("a fraction of a nano-dollar is charged as a whole one, up to the largest amount that is exact", () => {
  assert.equal(nanodollars(0), 0);
  assert.equal(nanodollars(1), 1);
  assert.equal(nanodollars(1_000), 1);
  assert.equal(nanodollars(1_001), 2);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), (picodollars) => {
      const exact = (BigInt(picodollars) + 999n) / 1000n;
      assert.equal(BigInt(nanodollars(picodollars)), exact);
    }),
  );
  assert.equal(nanodollars(9_007_199_254_740_001), 9_007_199_254_741);
});

test("an amount that left the exact integers is refused", () => {
  for (const amount of [2 ** 53, Number.NaN, Number.POSITIVE_INFINITY])
    assert.throws(() => nanodollars(amount), refused("amount_too_large"));
  assert.throws(() => nanodollars(0.5), refused("amount_invalid"));
});
