import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatAmount, formatLimit, limitId, parseLimit } from "./limit.ts";
import { windowName } from "./window.ts";

const read = (text: string) => {
  const { unit, amount, window } = parseLimit(text, "Europe/Berlin");
  return [unit, amount, windowName(window)];
};

const GOOD = [
  ["$50 / day", ["nanodollars", 50_000_000_000, "day"]],
  ["$0.1", ["nanodollars", 100_000_000, "lifetime"]],
  ["$0.000000001 / minute", ["nanodollars", 1, "minute"]],
  ["$12.50/month", ["nanodollars", 12_500_000_000, "month"]],
  ["$ 1.5k / year", ["nanodollars", 1_500_000_000_000, "year"]],
  ["$9,007,199", ["nanodollars", 9_007_199_000_000_000, "lifetime"]],
  ["1.5M", ["tokens", 1_500_000, "lifetime"]],
  ["1.1M tokens / quarter", ["tokens", 1_100_000, "quarter"]],
  ["4.35k", ["tokens", 4_350, "lifetime"]],
  ["0.3k", ["tokens", 300, "lifetime"]],
  ["9,007,199,254,740,991", ["tokens", 9_007_199_254_740_991, "lifetime"]],
  ["9007199.254740991B", ["tokens", 9_007_199_254_740_991, "lifetime"]],
  ["60k input tokens / hour", ["input_tokens", 60_000, "hour"]],
  ["60 k Output Tokens / Week", ["output_tokens", 60_000, "week"]],
  ["1 token", ["tokens", 1, "lifetime"]],
  ["10 requests / hour", ["requests", 10, "hour"]],
  ["1_000 requests / day", ["requests", 1_000, "day"]],
  ["2 concurrent", ["concurrent", 2, "lifetime"]],
  ["  0 tokens / day  ", ["tokens", 0, "day"]],
  ["$0", ["nanodollars", 0, "lifetime"]],
] as const;

for (const [text, expected] of GOOD) {
  test(`the limit "${text}" is read exactly`, () => assert.deepEqual(read(text), expected));
}

const BAD = [
  ["", /Write `amount \[unit\] \[\/ window\]`/],
  ["fifty dollars", /Write `amount/],
  ["-5 tokens", /Write `amount/],
  ["€5 / day", /Write `amount/],
  ["$", /Write `amount/],
  ["5 usd / day", /"usd" is not a unit.*`\$50 \/ day`/],
  ["5 constructor", /"constructor" is not a unit. Units are tokens/],
  ["10 requests per hour", /"requests per hour" is not a unit.*`10 requests \/ hour`/],
  ["60ktokens", /"ktokens" is not a unit/],
  ["$5 tokens", /money has no further unit; leave out "tokens"/],
  ["10 / fortnight", /"fortnight" is not a window. Windows are minute, hour, day, week, month, quarter, year/],
  ["10 / days", /"days" is not a window/],
  ["10 / day / month", /"day \/ month" is not a window/],
  ["2 concurrent / day", /leave out what follows the slash/],
  ["2,50 / day", /"2,50" is not a number. Write thousands as 1,000/],
  ["1.000.000", /"1.000.000" is not a number/],
  ["1.000 tokens", /1.000 is not a whole number. Write a thousand as 1,000 or 1k/],
  ["1.5 tokens", /1.5 is not a whole number/],
  ["1.2345k", /1.2345k has more decimal places than can be counted/],
  ["$0.0000000001", /more decimal places than can be counted/],
] as const;

for (const [text, message] of BAD) {
  test(`the limit "${text}" is refused with what to write instead`, () =>
    assert.throws(() => parseLimit(text, "UTC"), { code: "limit_invalid", message }));
}

test("a limit that cannot be counted exactly is refused with the way out", () => {
  assert.throws(() => parseLimit("$9,007,200", "UTC"), { code: "amount_too_large", message: /at most \$9,007,199. Split the budget/ });
  assert.throws(() => parseLimit("9007199.3B", "UTC"), { code: "amount_too_large" });
});

test("any amount that people can write is read digit for digit", () => {
  const multipliers = { "": 0, k: 3, M: 6, b: 9 };
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: BigInt(Number.MAX_SAFE_INTEGER) }),
      fc.constantFrom(...Object.keys(multipliers)) as fc.Arbitrary<keyof typeof multipliers>,
      fc.boolean(),
      (amount, multiplier, isMoney) => {
        const places = multipliers[multiplier] + (isMoney ? 9 : 0);
        const digits = String(amount).padStart(places + 1, "0");
        const [whole, fraction] = [digits.slice(0, digits.length - places), digits.slice(digits.length - places)];
        const text = `${isMoney ? "$" : ""}${whole.replace(/\B(?=(\d{3})+$)/g, ",")}${fraction && `.${fraction}`}${multiplier}`;
        assert.equal(BigInt(parseLimit(text, "UTC").amount), amount, text);
      },
    ),
  );
});

test("a limit is known by its unit and window, so that raising it keeps what was used", () => {
  assert.equal(limitId(parseLimit("$5 / day", "UTC")), limitId(parseLimit("$50 / day", "UTC")));
  assert.notEqual(limitId(parseLimit("$5 / day", "UTC")), limitId(parseLimit("$5 / day", "Asia/Kolkata")));
  assert.notEqual(limitId(parseLimit("5 / day", "UTC")), limitId(parseLimit("5 input tokens / day", "UTC")));
});

test("limits and amounts read as they were written", () => {
  assert.equal(formatLimit(parseLimit("$1.5k / month", "UTC")), "$1,500.00 / month");
  assert.equal(formatLimit(parseLimit("1.5M", "UTC")), "1,500,000 tokens");
  assert.equal(formatLimit(parseLimit("2 concurrent", "UTC")), "2 at once");
  assert.equal(formatAmount(1, "requests"), "1 request");
  assert.equal(formatAmount(1_000, "input_tokens"), "1,000 input tokens");
});
