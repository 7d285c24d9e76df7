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

/** What stands behind the window: the amounts that a bucket takes at once, that are carried over, and how long a call waits. */
const MOVING = [
  ["1M tokens / rolling 24h", ["tokens", 1_000_000, "rolling 1d", {}]],
  ["$5 / Rolling 15 m", ["nanodollars", 5_000_000_000, "rolling 15m", {}]],
  ["10 requests / rolling 90s", ["requests", 10, "rolling 90s", {}]],
  ["100k / rolling 7d", ["tokens", 100_000, "rolling 7d", {}]],
  ["100k tokens / minute bucket", ["tokens", 100_000, "minute bucket", {}]],
  ["100k tokens / minute bucket burst 120k", ["tokens", 100_000, "minute bucket", { burst: 120_000 }]],
  ["$1 / hour bucket burst $2.50", ["nanodollars", 1_000_000_000, "hour bucket", { burst: 2_500_000_000 }]],
  ["10 requests / day bucket burst 10", ["requests", 10, "day bucket", {}]],
  ["10 requests / minute leaky", ["requests", 10, "minute leaky", {}]],
  ["10 requests / minute leaky burst 2 wait 45s", ["requests", 10, "minute leaky", { burst: 2, waitMs: 45_000 }]],
  ["10 requests / minute leaky wait 2m", ["requests", 10, "minute leaky", { waitMs: 120_000 }]],
  ["$50 / month rollover $20", ["nanodollars", 50_000_000_000, "month", { rollover: 20_000_000_000 }]],
  ["1M tokens / day ROLLOVER 0.5M", ["tokens", 1_000_000, "day", { rollover: 500_000 }]],
] as const;

for (const [text, [unit, amount, window, rest]] of MOVING) {
  test(`the limit "${text}" is read exactly`, () => {
    const { unit: ofUnit, amount: ofAmount, window: ofWindow, ...others } = parseLimit(text, "UTC");
    assert.deepEqual([ofUnit, ofAmount, windowName(ofWindow), others], [unit, amount, window, rest]);
    assert.deepEqual(
      parseLimit(formatLimit(parseLimit(text, "UTC")).replace(/ (tokens|requests)(?= wait|$)/g, ""), "UTC"),
      parseLimit(text, "UTC"),
    );
  });
}

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
  ["10 / rolling", /write how long a rolling window is, from 10s to 366d/],
  ["10 / rolling day", /`rolling 15m`, `rolling 24h`, `rolling 7d`/],
  ["10 / rolling 5s", /from 10s to 366d/],
  ["10 / rolling 400d", /from 10s to 366d/],
  ["10 / week bucket", /a bucket drains by the minute, hour, day, not by the "week"/],
  ["10 / minute bucket wait 3s", /"wait" cannot stand there. What may follow is `burst`/],
  ["10 / minute leaky burst", /write burst once, with its value behind it/],
  ["10 / minute leaky burst 3 burst 4", /write burst once/],
  ["10 / minute leaky wait 1h", /"1h" is not how long a call may wait. Write a time from 1s to 10m/],
  ["10 / minute bucket burst $3", /"\$3" is not an amount of the same unit, such as 120k/],
  ["$10 / minute bucket burst 3", /"3" is not an amount of money, such as \$20/],
  ["0 / minute bucket burst 3", /a bucket that never drains is a limit for a lifetime/],
  ["3 / minute bucket burst 0", /a bucket that takes nothing at once lets nothing pass/],
  ["$50 / month rollover", /write rollover once, with its value behind it/],
  ["$50 / month rollover 20", /"20" is not an amount of money/],
  ["$50 / month burst $20", /"month burst \$20" is not a window/],
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

test("neither what a bucket takes at once nor what is carried over says which limit it is, but whether anything is carried over does", () => {
  const id = (text: string) => limitId(parseLimit(text, "UTC"));
  assert.equal(id("5 / minute bucket"), id("50 / minute bucket burst 90"));
  assert.equal(id("5 / minute leaky"), id("50 / minute leaky wait 3s"));
  assert.notEqual(id("5 / minute bucket"), id("5 / minute leaky"));
  assert.equal(id("5 / rolling 60m"), id("5 / rolling 1h"));
  assert.equal(id("$5 / month rollover $1"), id("$50 / month rollover $9"));
  assert.notEqual(id("$5 / month rollover $1"), id("$5 / month"));
});

test("limits and amounts read as they were written", () => {
  assert.equal(formatLimit(parseLimit("$1.5k / month", "UTC")), "$1,500.00 / month");
  assert.equal(formatLimit(parseLimit("1.5M", "UTC")), "1,500,000 tokens");
  assert.equal(formatLimit(parseLimit("2 concurrent", "UTC")), "2 at once");
  assert.equal(formatAmount(1, "requests"), "1 request");
  assert.equal(formatAmount(1_000, "input_tokens"), "1,000 input tokens");
});
