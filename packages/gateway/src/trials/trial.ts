import { type Budget, formatAmount, type Limit } from "@purser/core";
import type { ObservedCalls, Rollups } from "@purser/core/stores/sqlite";
import { evidenceOf } from "../adjusting/evidence.ts";
import type { Config } from "../config/config.ts";

/** What ledgers come to. */
export type TrialSums = Pick<Rollups, "observed" | "spent" | "refused">;

/** What a budget that only observes, or did, would have refused, and what it needs. */
export interface Trial {
  readonly budget: Budget;
  /** Calls that were made and would have been refused. */
  readonly calls: number;
  /** What they were charged, in nano-dollars. */
  readonly cost: number;
  /** Where the first and the last day begin on which there were any; none where there were none. */
  readonly first: number | undefined;
  readonly last: number | undefined;
  /** Those of whom most would have been refused first. */
  readonly whose: readonly ObservedCalls[];
  readonly needs: readonly TrialNeed[];
}

/** What a limit needs, as `purser recommend` reckons it. */
export interface TrialNeed {
  readonly limit: Limit;
  /** None where it was not seen for long enough. */
  readonly amount: number | undefined;
  /** `the p95 of 27 days is $48.00, and with 25% on top it needs $60.00` */
  readonly rests: string;
}

const DAY_MS = 86_400_000;
/** As far back as `purser recommend` looks. */
const LOOKED_BACK_MS = 90 * DAY_MS;
const NEED = { days: 28, margin: 2_500 } as const;
const PERCENT = 95;

/** Looks at what was recorded of a budget that observes, and at what was used of its limits. `guarded`: the budgets that have guards. */
export function trialOf(budget: Budget, sums: TrialSums, now: number, guarded: readonly Budget[] = []): Trial {
  const whose = sums.observed(budget.name, now - LOOKED_BACK_MS);
  const firsts = whose.map(({ first }) => first);
  const lasts = whose.map(({ last }) => last);
  return {
    budget,
    calls: whose.reduce((sum, { calls }) => sum + calls, 0),
    cost: whose.reduce((sum, { cost }) => sum + cost, 0),
    first: firsts.length === 0 ? undefined : Math.min(...firsts),
    last: lasts.length === 0 ? undefined : Math.max(...lasts),
    whose,
    needs: budget.limits.filter((limit) => isReckoned(budget, limit)).map((limit) => needOf(budget, limit, { sums, now, guarded })),
  };
}

/** The budgets that have guards. */
export function guardedBudgets({ guards }: Pick<Config, "guards">): readonly Budget[] {
  return guards.map(({ budget }) => budget);
}

/** Sums are of whole budgets and of hours: what single balances need, or a minute, is for `purser recommend` to read from the calls. */
function isReckoned({ per }: Budget, { unit, window }: Limit): boolean {
  if (per.length > 0 || unit === "concurrent" || window.kind !== "calendar") return false;
  return window.period !== "minute" && window.period !== "hour";
}

interface NeedTerms {
  readonly sums: TrialSums;
  readonly now: number;
  readonly guarded: readonly Budget[];
}

function needOf(budget: Budget, limit: Limit, { sums, now, guarded }: NeedTerms): TrialNeed {
  const isDaily = limit.window.kind === "calendar" && limit.window.period === "day";
  const rule = { ...NEED, percent: isDaily ? PERCENT : undefined };
  const { needed, rests } = evidenceOf({ budget, limit, rule }, sums, { from: now, until: now, guarded });
  return { limit, amount: needed, rests };
}

/** `28 calls would have been refused that cost $3.20: 20 of user=ann, 8 of user=bob` */
export function observedText({ calls, cost, whose }: Trial): string {
  if (calls === 0) return "no call would have been refused";
  const shown = whose.filter((one) => one.whose !== "").slice(0, SHOWN);
  const rest = whose.length - shown.length;
  const more = rest > 0 && shown.length > 0 ? `, and others` : "";
  const of = shown.length === 0 ? "" : `: ${shown.map((one) => `${count(one.calls)} of ${one.whose}`).join(", ")}${more}`;
  const charged = cost > 0 ? ` that cost ${formatAmount(cost, "nanodollars")}` : "";
  return `${count(calls)} ${calls === 1 ? "call" : "calls"}${charged} would have been refused${of}`;
}

const SHOWN = 3;

function count(amount: number): string {
  return amount.toLocaleString("en-US");
}
