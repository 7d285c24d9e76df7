import { type Budget, formatLimit, includesSelection, type Limit, observes, windowText } from "@purser/core";
import { daysSeen } from "./days.ts";
import type { History } from "./history.ts";
import { isUseKnown, LimitUse, type WindowUse, type WouldRefuse } from "./limit-use.ts";
import { type Exception, type Need, needOfDay, needOfEach, needOfLife, needOfPeriod, PERIOD_DAYS, readableAmount } from "./need.ts";
import { isNameable } from "./proposals.ts";
import { type Sureness, surenessOf } from "./sureness.ts";

/** What is to be said of a limit that is configured. */
export type Verdict =
  /** It refuses again and again. */
  | "too tight"
  /** Not even half of it is needed. */
  | "too loose"
  | "fits"
  /** No call is for it. */
  | "unused"
  /** Other limits refused so many of its calls that nobody knows what it needs. */
  | "held back"
  /** Another limit is always reached before it. */
  | "unreachable"
  /** It allows nothing, as somebody wanted it to. */
  | "closed"
  | "too early";

/** One limit of a budget, or a budget without limits, as recorded calls show it. */
export interface LimitReview {
  readonly budget: Budget;
  readonly limit: Limit | undefined;
  readonly verdict: Verdict;
  /** Calls that were made, refused ones aside. */
  readonly calls: number;
  /** Calls that the limit refused, as the record says, and would still refuse as it is now. */
  readonly refusedCalls: number;
  /** Recorded calls that it would refuse now: it only observed then, or was another one. */
  readonly wouldRefuseCalls: number;
  /** Windows of single subjects, and how many of them had refusals. */
  readonly windows: number;
  readonly refusedWindows: number;
  /** The largest part of it that was ever used; above 1 where it was raised. Unknown for what drains and for calls at once. */
  readonly fullest: number | undefined;
  /** The limit that is always reached first: `company: $10.00 / day`. */
  readonly above: string | undefined;
  readonly need: Need | undefined;
  /** What would fit, where this does not. */
  readonly fit: Fit | undefined;
  readonly sureness: Sureness;
}

/** The limit with an amount that fits, and what some subjects need beside it. */
export interface Fit {
  readonly limit: Limit;
  readonly exceptions: readonly Exception[];
}

export interface ReviewTerms {
  readonly budgets: readonly Budget[];
  readonly headroom: number;
  /** What each of them would refuse of the calls that were made. */
  readonly wouldRefuse: ReadonlyMap<Budget, readonly WouldRefuse[]>;
}

/** Says of every configured limit whether it is too tight, too loose, unused or beyond reach, and which amount would fit. */
export function reviewBudgets(history: History, terms: ReviewTerms): readonly LimitReview[] {
  return terms.budgets.flatMap((budget) =>
    budget.limits.length === 0 ? [reviewOfBudget(history, budget)] : budget.limits.map((limit) => reviewOf(history, budget, limit, terms)),
  );
}

/** A budget that limits single calls only. */
function reviewOfBudget(history: History, budget: Budget): LimitReview {
  const calls = history.calls.filter(({ subject }) => budget.selects(subject)).length;
  const refused = history.refusals.some(({ subject }) => budget.selects(subject));
  const verdict = calls > 0 || refused ? "fits" : "unused";
  const days = history.days(budget.timezone).length;
  return { ...NOTHING_SAID, budget, limit: undefined, verdict, calls, sureness: surenessOf(days) };
}

const NOTHING_SAID = {
  refusedCalls: 0,
  wouldRefuseCalls: 0,
  windows: 0,
  refusedWindows: 0,
  fullest: undefined,
  above: undefined,
  need: undefined,
  fit: undefined,
} as const;

/** A limit that refuses less than this part of its calls, and in one window only, has done what it is for. */
const REFUSED_SHARE = 0.01;
/** Where others refused more than this part of its calls, what is left says little. */
const HELD_BACK_SHARE = 0.05;
/** What needs no more than this part of a limit has one that is too loose. */
const LOOSE_SHARE = 0.5;

function reviewOf(history: History, budget: Budget, limit: Limit, { budgets, headroom, wouldRefuse }: ReviewTerms): LimitReview {
  const use = useOf(history, budget, limit);
  const selected = history.refusals.filter(({ subject }) => budget.selects(subject));
  const refusals = selected.filter((refusal) => use.refusesStill(refusal));
  for (const refusal of refusals) use.addRefusal(refusal);
  const wouldRefuseCalls = use.addWouldRefuse(wouldRefuse.get(budget) ?? []);
  const { windows, calls } = use;
  const enforced = budgets.filter((other) => !observes(other, history.time.until));
  const refusedWindows = windows.filter((one) => one.refused + one.wouldRefuse > 0).length;
  const days = history.days(budget.timezone).length;
  const review = {
    budget,
    limit,
    calls,
    refusedCalls: timesOf(refusals),
    wouldRefuseCalls,
    windows: windows.length,
    refusedWindows,
    fullest: isUseKnown(limit) ? fullestOf(windows) : undefined,
    above: limitAbove(budget, limit, enforced),
    need: needOf(history, { budget, limit, use, refusals }, headroom),
    sureness: surenessOf(days),
  };
  const refusedByOthers = timesOf(selected) - review.refusedCalls;
  const verdict = calls > 0 || selected.length > 0 ? verdictOf(review, refusedByOthers) : "unused";
  return { ...review, verdict, fit: fitOf(verdict, review, windows, headroom) };
}

type Findings = Omit<LimitReview, "verdict" | "fit" | "limit"> & { readonly limit: Limit };

function timesOf(refusals: History["refusals"]): number {
  return refusals.reduce((sum, { times }) => sum + times, 0);
}

function verdictOf(findings: Findings, refusedByOthers: number): Verdict {
  const { limit, calls, refusedCalls, wouldRefuseCalls, refusedWindows, above, need, sureness } = findings;
  if (limit.amount === 0) return "closed";
  if (refusedWindows > 1 || refusedCalls + wouldRefuseCalls > REFUSED_SHARE * (calls + refusedCalls)) return "too tight";
  if (above !== undefined) return "unreachable";
  if (!need) return isUseKnown(limit) && limit.window.kind !== "lifetime" ? "too early" : "fits";
  if (isRate(limit) || need.amount > LOOSE_SHARE * limit.amount) return "fits";
  if (refusedByOthers > HELD_BACK_SHARE * (calls + refusedByOthers)) return "held back";
  return sureness === "low" ? "too early" : "too loose";
}

/** What is allowed in a minute is for what should never happen. */
function isRate({ window }: Limit): boolean {
  return window.kind === "calendar" && window.period === "minute";
}

/**
 * What fits: what is needed. Where that is no more than what refused, a few subjects need more than all others; or calls were refused by what was
 * held, and what the fullest window came to with headroom is taken.
 */
function fitOf(verdict: Verdict, { limit, need }: Findings, windows: readonly WindowUse[], headroom: number): Fit | undefined {
  if (!need || (verdict !== "too tight" && verdict !== "too loose")) return undefined;
  const exceptions = need.exceptions.filter(({ label }) => isNameableLabel(label));
  if (verdict === "too loose" || need.amount > limit.amount) return { limit: { ...limit, amount: need.amount }, exceptions };
  const above = exceptions.filter((one) => one.need.amount > limit.amount);
  if (above.length > 0) return { limit, exceptions: above };
  const most = windows.reduce((fullest, one) => Math.max(fullest, demandOf(one, 0)), 0);
  const amount = readableAmount(most * (1 + headroom));
  return amount > limit.amount ? { limit: { ...limit, amount }, exceptions: [] } : undefined;
}

/** Whether an exception can be for the subject: calls without a user share a balance that nobody can name. */
function isNameableLabel(label: string): boolean {
  return isNameable(label) && !label.split(",").some((pair) => pair.endsWith("=(none)"));
}

function useOf({ calls }: History, budget: Budget, limit: Limit): LimitUse {
  const use = new LimitUse(budget, limit);
  for (const call of calls) use.add(call);
  return use;
}

function fullestOf(windows: readonly WindowUse[]): number | undefined {
  const shares = windows.filter(({ amount }) => amount > 0).map(({ used, amount }) => used / amount);
  return shares.length === 0 ? undefined : shares.reduce((most, share) => Math.max(most, share), 0);
}

/** With fewer, nothing is usual. */
const LIVES_LEAST = 5;

interface Looked {
  readonly budget: Budget;
  readonly limit: Limit;
  readonly use: LimitUse;
  /** What it refused, and would again. */
  readonly refusals: History["refusals"];
}

/** What the limit would have to allow. Subjects that have an exception are left out: it is not for them. */
function needOf(history: History, { budget, limit, use, refusals }: Looked, headroom: number): Need | undefined {
  if (!isUseKnown(limit)) return undefined;
  const { window } = limit;
  if (window.kind === "lifetime") return needOfLives(budget, limit, use, headroom);
  const lengthDays = window.kind === "calendar" ? PERIOD_DAYS[window.period] : undefined;
  const byDay = lengthDays === undefined ? use : dailyUse(history, budget, limit, refusals);
  const needs = new Map<string, Need>();
  for (const [label, uses] of windowsBySubject(byDay, limit)) {
    const { days, isFirstWhole } = daysSeen(history.days(budget.timezone), byDay.firstAt.get(label) ?? 0);
    const known = days.map(({ startsAt }) => uses.get(startsAt));
    const { leastHeld } = byDay;
    const need =
      lengthDays === undefined
        ? needOfDay({ days: known.map((one) => (one ? demandOf(one, byDay.average) : 0)), isFirstWhole, leastHeld }, headroom)
        : needOfPeriod({ days: unrefused(known), isFirstWhole, leastHeld }, lengthDays, headroom);
    if (need) needs.set(label, need);
  }
  return budget.per.length === 0 ? needs.get("") : needOfEach(needs);
}

/** What was used on days without refusals: of the others nobody knows what they would have used. */
function unrefused(days: readonly (WindowUse | undefined)[]): readonly number[] {
  return days.filter((one) => !one || one.refused === 0).map((one) => one?.used ?? 0);
}

/** The same limit by the day: what is used of longer windows is told from their days. */
function dailyUse(history: History, budget: Budget, limit: Limit, refusals: History["refusals"]): LimitUse {
  const { rollover: _, ...plain } = limit;
  const daily = useOf(history, budget, { ...plain, window: { kind: "calendar", period: "day", timeZone: budget.timezone } });
  for (const refusal of refusals) daily.addRefusal(refusal);
  return daily;
}

function needOfLives(budget: Budget, limit: Limit, use: LimitUse, headroom: number): Need | undefined {
  const lives = windowsBySubject(use, limit);
  if (budget.per.length === 0 || lives.size < LIVES_LEAST) return undefined;
  const used = [...lives].map(
    ([label, uses]) => [label, [...uses.values()].reduce((sum, one) => sum + demandOf(one, use.average), 0)] as const,
  );
  return needOfEach(new Map(used.filter(([, amount]) => amount > 0).map(([label, amount]) => [label, needOfLife(amount, headroom)])));
}

function windowsBySubject({ windows }: LimitUse, { amount }: Limit): ReadonlyMap<string, ReadonlyMap<number, WindowUse>> {
  const subjects = new Map<string, Map<number, WindowUse>>();
  for (const one of windows) {
    if (one.amount !== amount) continue;
    const known = subjects.get(one.label);
    if (known) known.set(one.startsAt, one);
    else subjects.set(one.label, new Map([[one.startsAt, one]]));
  }
  return subjects;
}

/**
 * What would have been used of a window without its refusals. Refused calls are taken to be as large as the others, and all together at most as
 * large as what was used: nobody knows how many of them were one call that was tried again.
 */
function demandOf({ used, refused, asked }: WindowUse, average: number): number {
  return used + Math.min(used, asked, refused * average);
}

/** The limit of a budget above, or of the same one, of those that refuse calls, that is always used up before this one. */
function limitAbove(budget: Budget, limit: Limit, budgets: readonly Budget[]): string | undefined {
  for (const other of budgets) {
    const isAbove = other === budget || (other.per.length === 0 && includesSelection(other.selector, budget.selector));
    if (!isAbove || other.exceptions.length > 0) continue;
    const tighter = other.limits.find((one) => one !== limit && isTighter(one, limit));
    if (tighter) return `${other.name}: ${formatLimit(tighter)}`;
  }
  return undefined;
}

/** Whether the first lets less through than the second, however it is used. */
function isTighter(one: Limit, other: Limit): boolean {
  if (one.unit !== other.unit || one.weights?.text !== other.weights?.text || one.rollover !== undefined) return false;
  const times = timesWithin(one.window, other.window);
  return times !== undefined && one.amount * times < other.amount;
}

const SHORTEST_DAYS = { day: 1, week: 7, month: 28, quarter: 90 } as const;

/** How many of the one window a window of the other can touch. Nothing where they do not fit into each other. */
function timesWithin(inner: Limit["window"], outer: Limit["window"]): number | undefined {
  if (windowText(inner) === windowText(outer)) return 1;
  if (outer.kind === "lifetime" || inner.kind !== "calendar" || outer.kind !== "calendar") return undefined;
  const outerDays = PERIOD_DAYS[outer.period];
  if (inner.timeZone !== outer.timeZone || outerDays === undefined || !(inner.period in SHORTEST_DAYS)) return undefined;
  const innerDays = SHORTEST_DAYS[inner.period as keyof typeof SHORTEST_DAYS];
  if (innerDays >= outerDays) return undefined;
  // A week begins in one month and ends in the next; a day does not.
  return inner.period === "day" ? outerDays : Math.ceil(outerDays / innerDays) + 1;
}
