import assert from "node:assert/strict";
import { test } from "node:test";
import { Counters } from "./counters.ts";
import { type BudgetInput, defineBudget } from "./domain/budget.ts";
import { windowName } from "./domain/window.ts";
import { NOON } from "./testing/demo-budgets.ts";

const HOUR = 3_600_000;
const users: BudgetInput = { name: "users", per: "user", limits: ["100 / day", "9 requests"] };

test("the counter of a limit changes with its window, and is found again by a clock that steps back", () => {
  const counters = new Counters();
  const budget = defineBudget(users);
  const keys = (now: number) => counters.bind(budget, "user=ann", now).map(({ counter }) => counter.key);
  const [today, life] = keys(NOON);
  assert.deepEqual(keys(NOON + 11 * HOUR), [today, life]);
  const [tomorrow, sameLife] = keys(NOON + 12 * HOUR);
  assert.notEqual(tomorrow, today);
  assert.equal(sameLife, life);
  assert.deepEqual(keys(NOON + 12 * HOUR - 1), [today, life]);
});

test("budgets, units, windows, zones and subjects have a counter each, whatever their names", () => {
  const counters = new Counters();
  const names = ["a", "b", "a|tokens/lifetime", "a|tokens/lifetime|user=x|0"];
  const keys = names.flatMap((name) =>
    ["UTC", "Asia/Kolkata"].flatMap((timezone) => {
      const budget = defineBudget({ name, per: "user", timezone, limits: ["1", "1 / day", "1 / week", "1 input tokens", "1 concurrent"] });
      return ["user=x", "user=y", "user=(none)"].flatMap((label) => counters.bind(budget, label, NOON).map(({ counter }) => counter.key));
    }),
  );
  const withoutZone = 3 * names.length * 3; // Lifetime limits are the same in all zones.
  assert.equal(new Set(keys).size, keys.length - withoutZone);
});

test("two budgets that share their limits do not share their counters", () => {
  const counters = new Counters();
  const one = defineBudget(users);
  const other = { ...one, name: "others", observesUntil: Number.POSITIVE_INFINITY };
  const [first] = counters.bind(one, "user=ann", NOON);
  const [second] = counters.bind(other, "user=ann", NOON);
  assert.deepEqual([first?.counter.budget, first?.enforced, second?.counter.budget, second?.enforced], ["users", true, "others", false]);
});

test("balances are those of the current window, and of the attributes that the budget has a balance for", () => {
  const counters = new Counters();
  const before = defineBudget({ ...users, per: "team" });
  const budget = defineBudget(users);
  const known = [
    ...counters.bind(before, "team=a", NOON),
    ...counters.bind(budget, "user=old", NOON - 24 * HOUR).slice(0, 1),
    ...counters.bind(budget, "user=ann", NOON),
  ].map(({ counter }, i) => ({ ref: counter, spent: i + 1, held: 90 }));
  const balanced = (subject?: { user: string }) =>
    counters
      .balanced([budget], known, NOON, subject)
      .map(({ counter, limit }) => [counter.subject, counter.unit, windowName(limit.window)]);
  assert.deepEqual(balanced(), [
    ["user=ann", "tokens", "day"],
    ["user=ann", "requests", "lifetime"],
  ]);
  assert.deepEqual(balanced({ user: "new" }), [
    ["user=new", "tokens", "day"],
    ["user=new", "requests", "lifetime"],
  ]);
});
