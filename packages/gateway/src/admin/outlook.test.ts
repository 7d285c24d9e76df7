import assert from "node:assert/strict";
import { test } from "node:test";
import { type Balance, defineBudget } from "@purser/core";
import { outlookOf, type SpentByHour } from "./outlook.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const DOLLAR = 1_000_000_000;
/** Ten days into a month of thirty. */
const NOW = Date.UTC(2026, 10, 11);
const RESETS = Date.UTC(2026, 11, 1);

const MONTHLY = defineBudget({ name: "a", limits: ["$100 / month"] });

function balanceOf(spent: number, more: Partial<Balance> = {}): Balance {
  const [limit, used] = [100 * DOLLAR, spent * DOLLAR];
  return {
    ...{ budget: "a", subject: "", unit: "nanodollars", window: "month", limit, spent: used, held: 0 },
    ...{ left: Math.max(0, limit - used), resetsAt: RESETS, timezone: "UTC" },
    ...more,
  };
}

/** All of it in one hour. */
const spentIn = (from: number, dollars: number): SpentByHour => {
  return (_budget, _limit, since) => (from >= since ? [{ from, spent: dollars * DOLLAR }] : []);
};

test("minutes of use say nothing about a month, and a day of it does", () => {
  const after = (ms: number) => outlookOf(balanceOf(10), MONTHLY, spentIn(NOW - ms, 10), NOW);
  for (const ms of [4 * MINUTE, HOUR, DAY - 1]) {
    assert.deepEqual(after(ms), { startsAt: Date.UTC(2026, 10, 1), expected: undefined, goneAt: undefined });
  }
  const known = after(DAY);
  assert.equal(known?.expected, 210 * DOLLAR, "$10 a day for twenty days more");
  assert.equal(known?.goneAt, NOW + 9 * DAY);
});

test("of a window that is shorter, two fifths are enough", () => {
  const daily = defineBudget({ name: "a", limits: ["$100 / day"] });
  const at = (hours: number) => {
    const now = NOW + hours * HOUR;
    return outlookOf(balanceOf(10, { window: "day", resetsAt: NOW + DAY }), daily, spentIn(NOW, 10), now)?.expected;
  };
  assert.equal(at(9), undefined);
  assert.equal(at(10), 24 * DOLLAR);
});

test("the balance of one user is told by its window, of which as much has to be over", () => {
  const each = defineBudget({ name: "a", per: "user", limits: ["$100 / day"] });
  const at = (hours: number) => {
    const balance = balanceOf(10, { subject: "user=ann", window: "day", resetsAt: NOW + DAY });
    return outlookOf(balance, each, () => [], NOW + hours * HOUR)?.expected;
  };
  assert.deepEqual([at(0.1), at(9), at(12)], [undefined, undefined, 20 * DOLLAR]);
});

test("what is used up, or as good as, is not gone at some time that moves on with the clock", () => {
  for (const spent of [100, 99.7]) {
    const outlook = outlookOf(balanceOf(spent), MONTHLY, spentIn(NOW - 2 * DAY, spent), NOW);
    assert.deepEqual([outlook?.goneAt, Number(outlook?.expected) > 100 * DOLLAR], [undefined, true]);
  }
  assert.notEqual(outlookOf(balanceOf(98), MONTHLY, spentIn(NOW - 2 * DAY, 98), NOW)?.goneAt, undefined);
});
