import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PurserError } from "../errors.ts";
import { type Adjusting, type AdjustingInput, adjustedAmount, adjustedSpan, type Evidence } from "./adjusting.ts";
import { type BudgetInput, defineBudget } from "./budget.ts";

const DOLLARS = 1_000_000_000;
const LIMIT = "$50 / day";

function ruleOf(adjust: AdjustingInput, input: Partial<BudgetInput> = {}): Adjusting {
  return defineBudget({ name: "b", limits: [LIMIT], adjust, ...input }).adjusting ?? assert.fail();
}

function adjusted(before: number, evidence: Partial<Evidence>, adjust: Partial<AdjustingInput> = {}) {
  const budget = defineBudget({ name: "b", limits: [LIMIT], adjust: { within: "$30 - $80", ...adjust } });
  const [rule = assert.fail(), limit = assert.fail()] = [budget.adjusting, budget.limits[0]];
  const seen = { needed: undefined, neededAtLeast: undefined, refused: 0, refusedDays: 0, rests: "the days", ...evidence };
  const { amount, why } = adjustedAmount(rule, limit, Math.round(before * DOLLARS), {
    ...seen,
    ...(seen.needed !== undefined && { needed: seen.needed * DOLLARS }),
    ...(seen.neededAtLeast !== undefined && { neededAtLeast: seen.neededAtLeast * DOLLARS }),
  });
  return { amount: amount / DOLLARS, why };
}

describe("a rule", () => {
  test("follows what is needed, by no more than a step, within its bounds", () => {
    assert.deepEqual(adjusted(50, { needed: 55 }), { amount: 55, why: "the days." });
    assert.deepEqual(adjusted(50, { needed: 75 }), { amount: 60, why: "the days; it changes by a step at a time." });
    assert.deepEqual(adjusted(50, { needed: 45 }), { amount: 45, why: "the days." });
    assert.deepEqual(adjusted(50, { needed: 10 }), { amount: 40, why: "the days; it changes by a step at a time." });
    assert.deepEqual(adjusted(70, { needed: 90 }), { amount: 80, why: "the days; it never is more than $80.00." });
    assert.deepEqual(adjusted(33, { needed: 10 }), { amount: 30, why: "the days; it never is less than $30.00." });
  });

  test("raises a limit that refused calls by a step, whatever its days say", () => {
    for (const needed of [undefined, 10, 75])
      assert.deepEqual(adjusted(50, { needed, refused: 3, refusedDays: 2 }), {
        amount: 60,
        why: "it refused 3 calls on 2 days; it changes by a step at a time.",
      });
    assert.equal(adjusted(75, { refused: 1, refusedDays: 1 }).amount, 80);
    assert.equal(adjusted(80, { refused: 1, refusedDays: 1 }).why, "it refused 1 call on 1 day; it never is more than $80.00.");
  });

  test("is kept where it is by days that ended at the limit, and not raised by them", () => {
    assert.equal(adjusted(50, { needed: 20, neededAtLeast: 48 }).amount, 50, "48 is so near that it is not worth to be told");
    assert.equal(adjusted(50, { needed: 20, neededAtLeast: 45 }).amount, 45);
    assert.equal(adjusted(50, { needed: 20, neededAtLeast: 63 }).amount, 50);
    assert.equal(adjusted(50, { needed: undefined, neededAtLeast: 63 }).amount, 50);
  });

  test("changes nothing where nothing is known, or a little", () => {
    assert.deepEqual(adjusted(50, { rests: "too few days" }), { amount: 50, why: "too few days." });
    assert.equal(adjusted(50, { needed: 52 }).amount, 50);
    assert.equal(adjusted(50, { needed: 53 }).amount, 53);
    assert.equal(adjusted(50, { needed: 50.6 }, { step: "1%" }).amount, 50.5, "a step that is less than that can be taken");
  });

  test("takes steps that are never more than a step, and never none", () => {
    for (const step of ["1%", "3%", "20%", "33.33%", "100%"])
      for (const before of [30, 31.07, 33.333_333_333, 49.99, 50, 64.1, 79.999_999_999]) {
        const share = Number(step.slice(0, -1)) / 100;
        const up = adjusted(before, { refused: 1, refusedDays: 1 }, { step }).amount;
        assert.ok(up > before && up <= before * (1 + share) + 1e-9, `${before} by ${step}: ${up}`);
        const down = adjusted(before, { needed: 1 }, { step }).amount;
        assert.ok((down < before || before === 30) && down >= before * (1 - share) - 1e-9, `${before} by ${step}: ${down}`);
      }
  });
});

test("a step of a few whole things is not more than a step", () => {
  const budget = defineBudget({ name: "b", limits: ["7 requests / day"], adjust: { within: "5 - 20 requests" } });
  const [rule = assert.fail(), limit = assert.fail()] = [budget.adjusting, budget.limits[0]];
  const seen = { needed: 1, neededAtLeast: 1, refused: 0, refusedDays: 0, rests: "" };
  assert.equal(adjustedAmount(rule, limit, 7, seen).amount, 6);
  assert.equal(adjustedAmount(rule, limit, 7, { ...seen, refused: 1, refusedDays: 1 }).amount, 8);
});

describe("how a budget adjusts", () => {
  test("is read with what is usual where it says nothing", () => {
    const usual = { limit: "nanodollars/day@UTC", every: "day", percent: 95, days: 28, margin: 2_500, step: 2_000, mode: "apply" };
    const bounds = { least: 30 * DOLLARS, most: 80 * DOLLARS };
    assert.deepEqual(ruleOf({ within: "$30 - $80" }), { ...usual, ...bounds });
    assert.deepEqual(
      ruleOf({ within: "$30 to $80 / day", every: "week", follow: "p90 of 14 days", margin: "0%", step: "12.5%", mode: "propose" }),
      { ...usual, ...bounds, every: "week", percent: 90, days: 14, margin: 0, step: 1_250, mode: "propose" },
    );
    const monthly = ruleOf({ within: "1M-5M / month" }, { limits: ["2M tokens / month", "10 requests / minute"] });
    assert.deepEqual([monthly.limit, monthly.percent, monthly.least, monthly.most], ["tokens/month@UTC", undefined, 1_000_000, 5_000_000]);
  });

  test("is refused with what to do where it cannot be", () => {
    const cases: readonly (readonly [AdjustingInput, RegExp, Partial<BudgetInput>?])[] = [
      [{ within: "$60 - $80" }, /its limit is \$50\.00 \/ day\. Write bounds that it lies within/],
      [{ within: "$30" }, /Write the least and the most that it may be: \$30 - \$80/],
      [{ within: "$80 - $30" }, /the smaller one first/],
      [{ within: "$0 - $80" }, /above 0/],
      [{ within: "30 - 80 requests" }, /is for none of its limits/],
      [{ within: "$30 - $80" }, /could be for several of its limits/, { limits: [LIMIT, "$900 / month"] }],
      [{ within: "$30 - $80", every: "year" }, /every: day or week or month or quarter/],
      [{ within: "$30 - $80", every: "day" }, /write every: week\./, { limits: ["$50 / week"] }],
      [{ within: "$30 - $80", every: "quarter" }, /write every: month\./, { limits: ["$50 / month"], starts: "15" }],
      [{ within: "$30 - $80", follow: "p95" }, /Write p95 of 28 days/],
      [{ within: "$30 - $80", follow: "average of 28 days" }, /follows a percentile of days/],
      [{ within: "$30 - $80", follow: "p20 of 28 days" }, /p50 to p100, of 7 to 365 days/],
      [{ within: "$30 - $80", follow: "p95 of 3 days" }, /of 7 to 365 days/],
      [{ within: "$30 - $80", step: "0%" }, /from 1% to 100%/],
      [{ within: "$30 - $80", margin: "a lot" }, /from 0% to 400%/],
      [{ within: "2 - 9 requests" }, /less than one of 2 requests/, { limits: ["4 requests / day"] }],
      [{ within: "$30 - $80" }, /by the day, week, month or quarter, without rollover/, { limits: ["$50 / hour"] }],
      [{ within: "$30 - $80" }, /without rollover/, { limits: ["$50 / day rollover $5"] }],
      [{ within: "$30 - $80" }, /has a balance for each user, and adjust is for one balance/, { per: "user" }],
    ];
    for (const [adjust, mention, input] of cases)
      assert.throws(
        () => ruleOf(adjust, input),
        (error) => error instanceof PurserError && mention.test(error.message),
        JSON.stringify([adjust, input]),
      );
  });
});

test("a period ends where a window of the limit ends, whatever the clock of the zone does", () => {
  const [limit = assert.fail()] = defineBudget({ name: "b", limits: [LIMIT], timezone: "Europe/Berlin" }).limits;
  const week = adjustedSpan(limit, "week", Date.parse("2026-10-25T12:00:00Z"));
  assert.deepEqual([week.startsAt, week.endsAt], [Date.parse("2026-10-18T22:00:00Z"), Date.parse("2026-10-25T23:00:00Z")]);
  const [monthly = assert.fail()] = defineBudget({ name: "b", limits: ["$50 / month"], starts: "15" }).limits;
  const month = adjustedSpan(monthly, "month", Date.parse("2026-10-25T12:00:00Z"));
  assert.deepEqual([month.startsAt, month.endsAt], [Date.parse("2026-10-15T00:00:00Z"), Date.parse("2026-11-15T00:00:00Z")]);
});

test("a step of a ladder may begin at an amount to which the limit can be raised, and at none above that", () => {
  const ladder = (step: string) =>
    defineBudget({ name: "b", limits: [LIMIT], adjust: { within: "$30 - $80" }, ladder: { [step]: "tell" } }).ladder;
  assert.equal(ladder("$70").length, 1);
  assert.throws(() => ladder("$81"), { code: "ladder_invalid", message: /lets nobody use more than \$80/ });
});
