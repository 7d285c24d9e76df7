import assert from "node:assert/strict";
import { test } from "node:test";
import { type Balance, type Budget, defineBudget } from "@purser/core";
import type { Notice } from "./notice.ts";
import { Pace } from "./pace.ts";
import type { Watch } from "./watch.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const DOLLAR = 1_000_000_000;
const MINUTE = 60_000;
/** A Friday, half past twelve. */
const NOW = Date.UTC(2026, 10, 20, 12, 30);
const BUDGET = defineBudget({ name: "a", owner: "kim", limits: ["$100 / month", "2 concurrent"] });

interface Told {
  readonly notice: Notice;
  readonly until: number;
  readonly once: string;
}

function startPace(watch: Watch, budget: Budget = BUDGET, balances: readonly Balance[] = []) {
  const hours = new Map<number, number>();
  /** What balances were charged today, and on each day before. */
  const days = new Map<string, readonly number[]>();
  const told: Told[] = [];
  const tell = (notice: Notice, _channels: unknown, until: number, once = "") => void told.push({ notice, until, once });
  const clock = { now: NOW };
  const pace = new Pace({
    alerts: { tell },
    spent: (name, limit, since) => {
      assert.deepEqual([name, limit], ["a", "nanodollars/month@UTC"]);
      return [...hours]
        .filter(([from]) => from >= since)
        .sort(([a], [b]) => a - b)
        .map(([from, spent]) => ({ from, spent }));
    },
    balances: async () => balances,
    days: () => ({
      dearBalances: (name, unit, { at, least, most }) => {
        assert.deepEqual([name, unit, at], ["each", "nanodollars", clock.now]);
        const dear = [...days].map(([subject, [today = 0]]) => ({ subject, spent: today })).filter(({ spent }) => spent >= least);
        return dear.sort((a, b) => b.spent - a.spent).slice(0, most);
      },
      balanceDays: (_name, _unit, subject) => (days.get(subject) ?? []).slice(1).reverse(),
    }),
    trial: () => assert.fail("No budget is on trial."),
    timeZone: () => "UTC",
    now: () => clock.now,
  });
  pace.configure([{ budget, watches: [watch] }]);
  /** What was spent in hours that are so long ago. */
  const spend = (dollars: number, ...hoursAgo: readonly number[]) => {
    for (const ago of hoursAgo) hours.set(Math.floor(NOW / HOUR - ago) * HOUR, dollars * DOLLAR);
  };
  return { pace, told, clock, spend, days };
}

function hoursBack(count: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

test("an hour in which more is spent than somebody wanted to hear of is told of, and the next such hour again", async () => {
  const { pace, told, clock, spend } = startPace({ kind: "hourly", amount: 50 * DOLLAR, unit: "nanodollars", channels: undefined });
  spend(50, 0);
  spend(80, 1);
  await pace.look();
  assert.equal(told.length, 0);
  spend(50.5, 0);
  await pace.look();
  await pace.look();
  assert.equal(new Set(told.map(({ once }) => once)).size, 1, "what is told once is named the same every time");
  assert.equal(told[0]?.until, NOW + 30 * MINUTE);
  assert.equal(told[0]?.notice.title, 'Budget "a" spends more than $50.00 in an hour');
  assert.equal(told[0]?.notice.owner, "kim");
  clock.now += HOUR;
  spend(51, -1);
  await pace.look();
  assert.equal(new Set(told.map(({ once }) => once)).size, 2);
});

test("an hour far dearer than the dearest lately is told of, not one as dear, and none before a day and a night are known", async () => {
  const watch = { kind: "anomaly", times: 3, channels: undefined } as const;
  const young = startPace(watch);
  young.spend(1, ...hoursBack(29));
  young.spend(100, 0);
  await young.pace.look();
  assert.deepEqual(young.told, []);
  const { pace, told, spend } = startPace(watch);
  spend(1, ...hoursBack(60));
  // The busy hour of every day is usual.
  spend(10, 24, 48);
  spend(28, 0);
  await pace.look();
  assert.equal(told.length, 0);
  spend(31, 0);
  await pace.look();
  assert.equal(told.length, 1);
  assert.match(told[0]?.notice.title ?? "", /^Budget "a" spends [34]\.\d times what is usual for an hour$/);
  assert.equal(told[0]?.notice.kind, "budget.anomaly");
});

test("a day far dearer than the dearest of a week is told of, though none of its hours is", async () => {
  const { pace, told, spend } = startPace({ kind: "anomaly", times: 3, channels: undefined });
  const at = (day: number, hour: number) => 12 - hour + 24 * day;
  for (let day = 1; day <= 8; day++) spend(10, at(day, 9), at(day, 10), at(day, 11));
  for (let hour = 0; hour <= 12; hour++) spend(10, at(0, hour));
  await pace.look();
  assert.deepEqual(
    told.map(({ notice, until }) => [/for a day$/.test(notice.title), until]),
    [[true, NOW + 11.5 * HOUR]],
  );
});

test("a whole budget that will not last at the pace of a week is told of, once in its window; not in its first day, nor when it is gone", async () => {
  const resetsAt = Date.UTC(2026, 11, 1);
  const balance = (spent: number): Balance => ({
    budget: "a",
    subject: "",
    unit: "nanodollars",
    window: "month",
    limit: 100 * DOLLAR,
    spent: spent * DOLLAR,
    held: 0,
    left: (100 - spent) * DOLLAR,
    resetsAt,
    timezone: "UTC",
  });
  const watch = { kind: "forecast", channels: undefined } as const;
  const look = async (spent: number, perHour: number, hours: number) => {
    const scene = startPace(watch, BUDGET, [balance(spent)]);
    scene.spend(perHour, ...hoursBack(hours));
    await scene.pace.look();
    await scene.pace.look();
    scene.clock.now += MINUTE;
    await scene.pace.look();
    return scene.told;
  };
  assert.deepEqual(await look(40, 0.1, 24 * 7), [], "it lasts");
  assert.deepEqual(await look(40, 10, 5), [], "nobody knows yet");
  assert.deepEqual(await look(100, 10, 24 * 7), [], "it is gone");
  const told = await look(40, 1, 24 * 7);
  assert.equal(told.length, 2, "it is looked at once a minute");
  assert.equal(new Set(told.map(({ once }) => once)).size, 1);
  const [{ notice, until }] = told as [Told];
  assert.equal(until, resetsAt);
  // Sixty dollars are left, at about a dollar an hour.
  assert.match(notice.title, /^Budget "a" will be gone by 2026-11-2[23] \d\d:\d\d UTC at this pace$/);
  assert.ok(Date.parse(String(notice.data.gone_at)) > NOW + 2 * DAY);
});

test("a rolling window that will be full is told of once a day, and one that empties as it fills is not", async () => {
  const budget = defineBudget({ name: "a", limits: ["$100 / rolling 2d"], owner: "kim" });
  const balance = (spent: number): Balance => {
    const [limit, used] = [100 * DOLLAR, spent * DOLLAR];
    const whole = {
      budget: "a",
      subject: "",
      unit: "nanodollars",
      window: "rolling 2d",
      limit,
      spent: used,
      held: 0,
      left: limit - used,
    } as const;
    return { ...whole, resetsAt: NOW + 2 * DAY, timezone: "UTC" };
  };
  const hours = new Map<number, number>();
  const told: Told[] = [];
  let now = NOW;
  const look = async (spent: number, last: number, before: number) => {
    hours.clear();
    for (const ago of hoursBack(24 * 8)) hours.set(Math.floor(now / HOUR - ago) * HOUR, (ago <= 24 ? last : before) * DOLLAR);
    const tell = (notice: Notice, _channels: unknown, until: number, once = "") => void told.push({ notice, until, once });
    const pace = new Pace({
      alerts: { tell },
      spent: (_name, _limit, since) =>
        [...hours].sort(([a], [b]) => a - b).flatMap(([from, one]) => (from >= since ? [{ from, spent: one }] : [])),
      balances: async () => [balance(spent)],
      days: () => assert.fail("No balance is looked at."),
      trial: () => assert.fail("No budget is on trial."),
      timeZone: () => "UTC",
      now: () => now,
    });
    pace.configure([{ budget, watches: [{ kind: "forecast", channels: undefined }] }]);
    await pace.look();
    return told.splice(0);
  };
  assert.deepEqual(await look(96, 2, 2), [], "as much leaves as comes");
  const [first] = await look(80, 3, 0.4);
  assert.match(first?.notice.title ?? "", /^Budget "a" will be full by 2026-11-2\d \d\d:\d\d UTC at this pace$/);
  assert.match(first?.notice.text ?? "", /^\$80\.00 of \$100\.00 in any 2 days are used, and more comes than leaves the window\.$/);
  now += HOUR;
  assert.equal((await look(80, 3, 0.4))[0]?.once, first?.once);
  now += DAY;
  assert.notEqual((await look(80, 3, 0.4))[0]?.once, first?.once);
});

test("a user who spends ten times what their dearest day took is told of, not one who is new, spends cents, or has days like that", async () => {
  const budget = defineBudget({ name: "each", per: "user", limits: ["$50 / month"], owner: "kim" });
  const { pace, told, clock, days } = startPace({ kind: "anomaly each", times: 10, channels: undefined }, budget);
  const of = (today: number, before: readonly number[]) => [today, ...before].map((dollars) => Math.round(dollars * DOLLAR));
  const usual = [0.3, 0.1, 0.4, 0.2, 0.3, 0.3, 0.2, 0.1];
  days.set("user=ann", of(4.1, usual));
  days.set("user=bob", of(3.8, usual));
  days.set("user=new", of(30, [0.1, 0.1]));
  days.set(
    "user=cents",
    of(
      0.49,
      usual.map(() => 0.01),
    ),
  );
  days.set("user=monthly", of(4.1, [...usual, ...usual, 5]));
  await pace.look();
  assert.deepEqual(
    told.map(({ notice }) => notice.title),
    ['Budget "each" (user=ann) spends 10.6 times what is usual for a day'],
  );
  const [one] = told;
  assert.match(one?.notice.text ?? "", /^\$4\.10 were spent since 2026-11-20 00:00 UTC\. The dearest day lately took about \$0\.3\d/);
  assert.deepEqual(
    [one?.notice.data.subject, one?.notice.kind, one?.notice.owner, one?.until],
    ["user=ann", "budget.anomaly", "kim", Date.UTC(2026, 10, 21)],
  );
  // Once a day: the next one is another day.
  clock.now += MINUTE;
  await pace.look();
  clock.now += DAY;
  await pace.look();
  assert.equal(new Set(told.map(({ once }) => once)).size, 2);
});
