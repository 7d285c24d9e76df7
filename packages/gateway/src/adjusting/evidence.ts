import {
  type AdjustedLimit,
  type Budget,
  type Evidence,
  formatAmount,
  includesSelection,
  limitId,
  shareText,
  windowName,
} from "@purser/core";
import { GUARDED, type Rollups } from "@purser/core/stores/sqlite";
import { dayOf, useByDay, wholeDays } from "../recommend/days.ts";
import { type Need, needOfDay, needOfPeriod, PERIOD_DAYS } from "../recommend/need.ts";

/** What ledgers come to, hour by hour. */
export type HourSums = Pick<Rollups, "spent" | "refused">;

export interface EvidenceTerms {
  /** Refusals count from here on: where the period begins that ends. */
  readonly from: number;
  /** What is used up to here counts. */
  readonly until: number;
  /** The budgets that have guards. */
  readonly guarded: readonly Budget[];
}

const DAY_MS = 86_400_000;
/** A budget that nobody used for so long begins anew. */
const KNOWN_MS = 366 * DAY_MS;
/** Fewer days do not have all that differ. */
const DAYS_LEAST = 7;

/** A limit, and by what it is told what it needs. */
interface FollowedLimit extends Pick<AdjustedLimit, "budget" | "limit"> {
  readonly rule: Pick<AdjustedLimit["rule"], "days" | "percent" | "margin">;
}

/**
 * What was seen of a limit, from sums that all gateways have the same, as `purser recommend` reckons it. Days on which a guard stood against calls say
 * nothing: what ran away is no need. Days on which the limit refused calls say only that it needs no less.
 */
export function evidenceOf({ budget, limit, rule }: FollowedLimit, sums: HourSums, { from, until, guarded }: EvidenceTerms): Evidence {
  const hours = sums.spent(budget.name, limitId(limit), until - KNOWN_MS).filter((hour) => hour.from < until);
  const since = Math.max(hours[0]?.from ?? until, until - (rule.days + 1) * DAY_MS);
  const days = wholeDays({ since, until }, budget.timezone).slice(-rule.days);
  const dayStart = (at: number) => dayOf(budget.timezone, at).startsAt;
  const daysOf = (name: string, what: string) =>
    sums.refused(name, what, Math.min(since, from) - DAY_MS).filter((hour) => hour.from < until);
  const runaway = new Set(
    guarded.filter((one) => overlaps(one, budget)).flatMap(({ name }) => daysOf(name, GUARDED).map((hour) => dayStart(hour.from))),
  );
  const refusals = daysOf(budget.name, `${limit.unit}/${windowName(limit.window)}`).filter((hour) => !runaway.has(dayStart(hour.from)));
  const bound = new Set(refusals.map((hour) => dayStart(hour.from)));
  const used = useByDay(
    hours.map(({ from: at, spent }) => ({ at, amount: spent })),
    days,
  ).map((amount, i) => ({ amount: Math.max(0, amount), startsAt: days[i]?.startsAt ?? 0 }));
  const seen = used.filter(({ startsAt }) => !runaway.has(startsAt));
  const free = seen.filter(({ startsAt }) => !bound.has(startsAt));
  const needOf = (some: typeof seen) => (some.length < DAYS_LEAST ? undefined : reckoned(some.map(({ amount }) => amount)));
  const reckoned = (amounts: readonly number[]): Need | undefined => {
    const use = { days: amounts, isFirstWhole: true, leastHeld: 0 };
    const margin = rule.margin / FULL;
    if (rule.percent !== undefined) return needOfDay(use, margin, rule.percent);
    return needOfPeriod(use, PERIOD_DAYS[limit.window.kind === "calendar" ? limit.window.period : ""] ?? 0, margin);
  };
  const need = needOf(free);
  const inPeriod = refusals.filter((hour) => hour.from >= from);
  return {
    needed: need?.amount,
    neededAtLeast: needOf(seen)?.amount,
    refused: inPeriod.reduce((sum, { times }) => sum + times, 0),
    refusedDays: new Set(inPeriod.map((hour) => dayStart(hour.from))).size,
    rests: need ? restsOn(need, { budget, limit, rule }) : nothingSaid(free.length),
  };
}

const FULL = 10_000;

/** Whether calls of the one can be calls of the other. */
function overlaps({ selector }: Budget, other: Budget): boolean {
  return includesSelection(selector, other.selector) || includesSelection(other.selector, selector);
}

/** `the p95 of 27 days is $48.00, and with 25% on top it needs $60.00` */
function restsOn({ amount, used, count, growth }: Need, { limit: { unit, window }, rule }: FollowedLimit): string {
  const seen = formatAmount(Math.round(used), unit);
  const what =
    rule.percent === undefined
      ? `${count} days come to ${seen} a ${windowName(window)}`
      : `the p${rule.percent} of ${count} days is ${seen}`;
  const grown = growth > 0 ? `, growing by ${Math.round(growth * 100)}%` : "";
  return `${what}${grown}, and with ${shareText(rule.margin)} on top it needs ${formatAmount(amount, unit)}`;
}

function nothingSaid(days: number): string {
  return days < DAYS_LEAST ? `of ${DAYS_LEAST} whole days that it needs to see, it has seen ${days}` : "nothing was used of it";
}
