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
    trial: () => assert.fail("No budget is on trial."),
    timeZone: () => "UTC",
    now: () => clock.now,
  });
  pace.configure([{ budget, watches: [watch] }]);
  /** What was spent in hours that are so long ago. */
  const spend = (dollars: number, ...hoursAgo: readonly number[]) => {
    for (const ago of hoursAgo) hours.set(Math.floor(NOW / HOUR - ago) * HOUR, dollars * DOLLAR);
  };
  return { pace, told, clock, spend };
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
