import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type AdjustedLimit, type AdjustingInput, type BudgetInput, defineBudget } from "@purser/core";
import { GUARDED } from "@purser/core/stores/sqlite";
import { evidenceOf } from "./evidence.ts";

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
/** A Monday, as its week begins; it is looked at as the week ends. */
const MONDAY = Date.UTC(2026, 10, 23);
const NOON_MS = 12 * HOUR_MS;
const END = MONDAY + 7 * DAY_MS - 60_000;

interface Seen {
  /** What was used on each day, the last one being the last day of the week. */
  readonly days: readonly number[];
  /** How many calls were refused so many days before the last. */
  readonly refused?: Readonly<Record<number, number>>;
  readonly guarded?: Readonly<Record<string, readonly number[]>>;
  readonly limits?: readonly string[];
  readonly adjust?: AdjustingInput;
  readonly guards?: readonly BudgetInput[];
}

function evidence({ days, refused = {}, guarded = {}, limits = ["1000 tokens / day"], adjust, guards = [] }: Seen) {
  const rule: AdjustingInput = adjust ?? { within: "500 - 2000 tokens", every: "week" };
  const budget = defineBudget({ name: "support", for: { feature: "support" }, limits, adjust: rule });
  const adjusted: AdjustedLimit = { budget, limit: budget.limits[0] ?? assert.fail(), rule: budget.adjusting ?? assert.fail() };
  const noon = (before: number) => MONDAY + (6 - before) * DAY_MS + NOON_MS;
  const sums = {
    spent: (_budget: string, _limit: string, since: number) =>
      days.map((spent, i) => ({ from: noon(days.length - 1 - i), spent })).filter(({ from, spent }) => spent !== 0 && from >= since),
    refused: (name: string, what: string, since: number) => {
      const before =
        what === GUARDED ? (guarded[name] ?? []) : name === "support" && what === "tokens/day" ? Object.keys(refused).map(Number) : [];
      return before.map((one) => ({ from: noon(one), times: refused[one] ?? 1 })).filter(({ from }) => from >= since);
    },
  };
  return evidenceOf(adjusted, sums, { from: MONDAY, until: END, guarded: guards.map(defineBudget) });
}

const flat = (count: number, amount = 800) => Array.from({ length: count }, () => amount);

describe("what was seen of a limit", () => {
  test("is the percentile of its days with a margin, as `purser recommend` reckons it", () => {
    const seen = evidence({ days: [...flat(26), 1_500, 800] });
    assert.deepEqual([seen.needed, seen.neededAtLeast, seen.refused], [1_000, 1_000, 0]);
    assert.equal(seen.rests, "the p95 of 27 days is 800 tokens, and with 25% on top it needs 1,000 tokens");
    assert.equal(
      evidence({ days: [...flat(26), 1_500, 800], adjust: { within: "500 - 2000", follow: "p100 of 14 days", margin: "0%" } }).needed,
      1_500,
    );
  });

  test("is nothing before a week of whole days was seen, and where nothing was used", () => {
    const { needed, rests } = evidence({ days: flat(7) });
    assert.deepEqual([needed, rests], [undefined, "of 7 whole days that it needs to see, it has seen 6"]);
    assert.equal(evidence({ days: flat(8) }).needed, 1_000);
    assert.equal(evidence({ days: [] }).needed, undefined);
  });

  test("of a longer limit is what its days come to on average", () => {
    const adjust = { within: "5k - 20k tokens" };
    const { needed, rests } = evidence({ days: flat(29), limits: ["8k tokens / week"], adjust });
    assert.equal(needed, 7_000);
    assert.equal(rests, "28 days come to 5,600 tokens a week, and with 25% on top it needs 7,000 tokens");
    assert.equal(evidence({ days: flat(29), limits: ["24k tokens / month"], adjust: { within: "5k - 50k" } }).needed, 31_000);
  });

  test("leaves out days on which it refused calls where it would be raised, and counts them where it would be lowered", () => {
    const days = [...flat(20, 400), ...flat(5, 1_000), ...flat(3, 400)];
    const seen = evidence({ days, refused: { 3: 1, 4: 2, 5: 1, 6: 1, 7: 9 } });
    assert.deepEqual([seen.needed, seen.neededAtLeast], [500, 1_300]);
    assert.deepEqual([seen.refused, seen.refusedDays], [5, 4], "of the period that ends only");
  });

  test("has no days on which a guard stood against calls, of its own or of budgets whose calls are also its own", () => {
    const days = [...flat(20, 400), ...flat(5, 5_000), ...flat(3, 400)];
    const guarded = { agents: [3, 4, 5, 6, 7] };
    const of = (guards: readonly BudgetInput[], refused = {}) => evidence({ days, guarded, guards, refused });
    const runaway = [{ name: "agents", for: { feature: "support", user: "ann" } }];
    const seen = of(runaway, { 3: 50, 4: 50 });
    assert.deepEqual([seen.needed, seen.neededAtLeast, seen.refused], [500, 500, 0]);
    assert.equal(of([{ name: "agents" }]).needed, 500);
    assert.notEqual(of([{ name: "agents", for: { feature: "search" } }]).needed, 500);
    assert.notEqual(of([]).needed, 500);
  });

  test("ends where it is looked at: what comes later does not count", () => {
    const seen = evidence({ days: [...flat(28), 9_000, 9_000, 9_000].slice(0, 28), refused: { [-1]: 7 } });
    assert.deepEqual([seen.needed, seen.refused], [1_000, 0]);
  });
});
