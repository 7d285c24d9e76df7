import assert from "node:assert/strict";
import { test } from "node:test";
import { limitText, shortAmount, shortDollars, untilText } from "./amounts.ts";

test("money at a glance never says that something was nothing", () => {
  const shown = [0, 1, 12_345, 123_456, 2_467_500, 14_485_000, 999_999_999, 1_234_567_890, 1_234_567_890_123].map(shortDollars);
  assert.deepEqual(shown, ["$0", "$0.000000001", "$0.000012", "$0.00012", "$0.0025", "$0.0145", "$1.00", "$1.23", "$1,234.57"]);
});

test("other units are plain numbers under the limit that names them", () => {
  assert.equal(shortAmount(60_000, "tokens"), "60,000");
  assert.equal(shortAmount(3, "concurrent"), "3");
  assert.equal(limitText(60_000, "tokens", "day"), "60,000 tokens / day");
  assert.equal(limitText(2_000_000_000, "nanodollars", "lifetime"), "$2.00");
});

test("the time until a reset is said in the largest unit that fits", () => {
  const now = Date.UTC(2026, 10, 22);
  const after = (ms: number) => untilText(new Date(now + ms).toISOString(), now);
  assert.deepEqual([59_999, 60_000, 3_600_000 * 1.4, 86_400_000 * 9].map(after), [
    "in less than a minute",
    "in 1 minute",
    "in 1 hour",
    "in 9 days",
  ]);
  assert.equal(untilText(null, now), "never");
});
