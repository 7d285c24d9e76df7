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

/** So many dollars in each hour of the day, on so many days before now, which is midnight; other days can be said apart. */
function dailyHours(perHour: (hour: number, daysAgo: number) => number, days: number): SpentByHour {
  const hours = Array.from({ length: days * 24 }, (_, i) => NOW - (days * 24 - i) * HOUR).map((from) => {
    const hour = new Date(from).getUTCHours();
    return { from, spent: Math.round(perHour(hour, Math.ceil((NOW - from) / DAY)) * DOLLAR) };
  });
  return (_budget, _limit, since) => hours.filter(({ from, spent }) => from >= since && spent > 0);
}

const ROLLING = defineBudget({ name: "a", limits: ["$100 / rolling 1d"] });

function fullIn(budget: ReturnType<typeof defineBudget>, spent: number, window: string, hours: SpentByHour, at = NOW): number | undefined {
  const outlook = outlookOf(balanceOf(spent, { window, resetsAt: at + DAY }), budget, hours, at);
  return outlook?.goneAt === undefined ? undefined : (outlook.goneAt - at) / HOUR;
}

const isDaytime = (hour: number) => hour >= 9 && hour < 19;

test("a rolling window is full when more comes than leaves it", () => {
  // $80 a day by day; at midnight all of it is in the window, and leaves it as as much comes.
  const steady = dailyHours((hour) => (isDaytime(hour) ? 8 : 0), 8);
  assert.equal(fullIn(ROLLING, 80, "rolling 1d", steady), undefined);
  // At seven in the evening the day is over too: a rate alone would go on through the night.
  const evening = NOW - 5 * HOUR;
  assert.equal(fullIn(ROLLING, 80, "rolling 1d", steady, evening), undefined);
  // At noon, a day three times as dear as all others: $24 an hour, until what is left is gone.
  const noon = NOW - 12 * HOUR;
  const dear = dailyHours((hour, daysAgo) => (!isDaytime(hour) ? 0 : daysAgo === 1 ? 14 : 8), 8);
  const until = (_b: string, _l: string, since: number) => dear("a", "", since).filter(({ from }) => from < noon);
  const hours = fullIn(ROLLING, 98 - 8, "rolling 1d", until, noon) ?? Number.NaN;
  assert.ok(hours > 1 && hours < 7, `full in ${hours} hours`);
});

test("what leaves a rolling window soon makes room before as much has come, and what came just now stays", () => {
  // $3 in every hour, and $20 more in one of them.
  const at = (hoursAgo: number) =>
    fullIn(
      ROLLING,
      92,
      "rolling 1d",
      dailyHours((hour, daysAgo) => (daysAgo === 1 && hour === 24 - hoursAgo ? 23 : 3), 8),
    );
  assert.equal(at(22), undefined);
  const hours = at(2) ?? Number.NaN;
  assert.ok(hours > 8 && hours < 16, `full in ${hours} hours`);
});

test("a week that rolls goes by the last week, and a bucket by what drains of it", () => {
  const week = defineBudget({ name: "a", limits: ["$100 / rolling 7d"] });
  const growing = dailyHours((hour, daysAgo) => (isDaytime(hour) ? (daysAgo <= 3 ? 2.4 : 0.2) : 0), 10);
  // $80 are in the window, of which hardly anything leaves it in the next four days.
  const hours = fullIn(week, 80, "rolling 7d", growing) ?? Number.NaN;
  assert.ok(hours > 24 && hours < 72, `full in ${hours} hours`);
  const bucket = defineBudget({ name: "a", limits: ["$24 / day bucket burst $100"] });
  assert.equal(
    fullIn(
      bucket,
      40,
      "day bucket",
      dailyHours(() => 1, 8),
    ),
    undefined,
    "as much drains as comes",
  );
  assert.ok(
    Math.abs(
      (fullIn(
        bucket,
        40,
        "day bucket",
        dailyHours(() => 2, 8),
      ) ?? 0) - 60,
    ) < 0.01,
    "one more an hour comes, and sixty are left",
  );
});

test("nobody can say when a window that moves is full, of one subject, of minutes, in the first day, or when it is used up", () => {
  const much = dailyHours(() => 6, 8);
  assert.notEqual(fullIn(ROLLING, 90, "rolling 1d", much), undefined);
  assert.equal(fullIn(ROLLING, 99.5, "rolling 1d", much), undefined);
  assert.equal(
    fullIn(ROLLING, 90, "rolling 1d", (...query) => much(...query).filter(({ from }) => from > NOW - 23 * HOUR)),
    undefined,
  );
  assert.equal(fullIn(defineBudget({ name: "a", limits: ["$100 / rolling 2h"] }), 90, "rolling 2h", much), undefined);
  assert.equal(fullIn(defineBudget({ name: "a", limits: ["$100 / minute bucket"] }), 90, "minute bucket", much), undefined);
  assert.equal(fullIn(defineBudget({ name: "a", per: "user", limits: ["$100 / rolling 1d"] }), 90, "rolling 1d", much), undefined);
});
