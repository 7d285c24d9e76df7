import { hash } from "node:crypto";
import {
  type Balance,
  type Budget,
  beyondStep,
  formatAmount,
  formatInstant,
  type LadderStep,
  measures,
  observes,
  rungText,
  shareFrom,
  shareOf,
  shareText,
  stepId,
  stepPhrase,
  stepText,
  trialEnd,
  windowPhrase,
} from "@purser/core";
import { balanceJson } from "../admin/balances.ts";
import type { Notice } from "./notice.ts";
import { nameOf } from "./watch.ts";

/** A step of a ladder at which somebody is told. */
export interface Tell {
  readonly step: LadderStep;
  /** Names of channels; none means all. */
  readonly channels: readonly string[] | undefined;
}

/** A threshold that is passed, for one channel: what is told once. */
export interface Passed {
  readonly key: string;
  /** The same for every channel that hears of it. */
  readonly alert: string;
  /** When the window is over and the threshold may be passed anew; epoch milliseconds. */
  readonly until: number;
  readonly step: LadderStep;
  /** From which share of the amount in force on the step holds, in hundredths of a per cent. */
  readonly from: number;
  readonly channel: string;
}

const FULL = 10_000;
/** A budget that refuses calls because it is used up has mostly a rest that no call fits into. */
const REFUSING_FROM = 9_000;
const DAY_MS = 86_400_000;
/** Windows in which a threshold is passed once. Of shorter ones, and of those that move, it is told once a day. */
const LONG_WINDOWS: ReadonlySet<string> = new Set(["day", "week", "month", "quarter", "year", "lifetime"]);

/** The steps of a budget's ladder at which somebody is told, by ascending share. */
export function tellsOf({ ladder }: Budget): readonly Tell[] {
  return ladder.flatMap((step) => {
    const channels = step.rungs.flatMap((rung) => (rung.kind === "tell" ? [rung.channel] : []));
    if (channels.length === 0) return [];
    return [{ step, channels: channels.includes(undefined) ? undefined : channels.filter((one) => one !== undefined) }];
  });
}

/** How much of a limit is spent, in hundredths of a per cent. What calls in flight hold may come back, and is no reason to wake anybody. */
export function spentShare(balance: Balance, isRefusing: boolean): number {
  const share = balance.limit === 0 ? 0 : shareOf({ spent: balance.spent, held: 0 }, balance.limit);
  return isRefusing && share >= REFUSING_FROM ? Math.max(share, FULL) : share;
}

/** The thresholds of a balance that are passed, for every channel that is to hear of them, by ascending share. */
export function passedOf(tells: readonly Tell[], balance: Balance, share: number, all: readonly string[], now: number): readonly Passed[] {
  const { budget, subject, unit, window, limit, resetsAt } = balance;
  const until = isLong(balance) ? (resetsAt ?? Number.MAX_SAFE_INTEGER) : (Math.floor(now / DAY_MS) + 1) * DAY_MS;
  return tells
    .filter(({ step }) => isFor(step, balance) && isPassed(step, balance, share))
    .flatMap(({ step, channels = all }) => {
      const once = [budget, subject, unit, window, until, ...onceOf(step, limit)];
      const from = shareFrom(step, limit);
      const alert = alertId(JSON.stringify(once));
      return channels.map((channel) => ({ key: JSON.stringify([...once, channel]), alert, until, step, from, channel }));
    })
    .sort((a, b) => a.from - b.from);
}

/** What is spent or left is a fact, whether or not the next call fits. */
function isPassed(step: LadderStep, balance: Balance, share: number): boolean {
  if (step.amount === undefined) return step.from <= share;
  return beyondStep(step, { spent: balance.spent, held: 0 }, balance.limit) >= 0;
}

/** A share of another limit, and what is left of it, is another threshold; an amount that is spent stays spent. */
function onceOf(step: LadderStep, limit: number): readonly (number | string)[] {
  if (step.amount === undefined) return [limit, step.from];
  return step.amount.isLeft ? [limit, stepId(step)] : [stepId(step)];
}

/** People hear of every limit, by the minute too, where a step does not name one. */
function isFor(step: LadderStep, balance: Balance): boolean {
  return step.of === undefined || measures(step, balance);
}

/** Whether a balance is of a window in which things are told once. */
export function isLong({ window }: Balance): boolean {
  return LONG_WINDOWS.has(window);
}

/** The id of a notice, from what it is told once for: whichever gateway is first, it is the same. */
export function alertId(once: string): string {
  return `alert_${hash("sha256", once, "hex").slice(0, 24)}`;
}

/** What a balance is called, over all its windows and thresholds. */
export function aboutBalance({ budget, subject, unit, window }: Balance): string {
  return JSON.stringify([budget, subject, unit, window]);
}

export interface ThresholdTerms {
  readonly budget: Budget;
  readonly balance: Balance;
  readonly passed: Passed;
  readonly isRefusing: boolean;
  readonly now: number;
}

/** Which budget, how much of what is used, how long it lasts, and what comes next. */
export function thresholdNotice({ budget, balance, passed, isRefusing, now }: ThresholdTerms): Notice {
  const { limit, spent, left, unit, weights, resetsAt, timezone } = balance;
  const share = shareOf({ spent, held: 0 }, limit);
  const name = nameOf(balance);
  const used = shareText(Math.floor(share / 100) * 100);
  const goneAt = isRefusing ? undefined : pace(balance, now);
  const resets = resetsAt === undefined ? "It does not reset." : `It resets ${formatInstant(resetsAt, timezone)}.`;
  const whole = `${formatAmount(spent, unit, weights)} of ${formatAmount(limit, unit, weights)}${windowPhrase(balance.window)}`;
  const gone = goneAt === undefined ? "" : ` At this pace it is gone ${formatInstant(goneAt, timezone)}.`;
  const next = nextStep(budget, balance, passed.from, { isRefusing, now });
  const reached = passed.step.amount === undefined ? `is ${used} used` : reachedText(passed.step.amount.isLeft, balance);
  const facts: [string, string][] = [
    ["Budget", balance.subject === "" ? balance.budget : `${balance.budget} (${balance.subject})`],
    ["Used", `${whole} (${used})`],
    ["Left", formatAmount(left, unit, weights)],
    ...(goneAt === undefined ? [] : ([["Gone", formatInstant(goneAt, timezone)]] as [string, string][])),
    ["Resets", resetsAt === undefined ? "never" : formatInstant(resetsAt, timezone)],
    ["Next", next],
    ...(budget.owner === undefined ? [] : ([["Owner", budget.owner]] as [string, string][])),
  ];
  return {
    id: passed.alert,
    kind: "budget.threshold",
    about: aboutBalance(balance),
    at: now,
    severity: passed.from >= FULL ? "critical" : passed.from >= 9_000 ? "error" : passed.from >= 7_500 ? "warning" : "info",
    title: isRefusing ? `${name} refuses calls` : `${name} ${reached}`,
    text: `${whole} ${unit === "nanodollars" ? "is" : "are"} used (${used}).${gone} ${resets} ${next}`,
    facts,
    data: {
      ...balanceJson(balance),
      threshold: passed.from / FULL,
      step: stepText(passed.step),
      used: Math.floor(share) / FULL,
      gone_at: goneAt === undefined ? null : new Date(goneAt).toISOString(),
      next,
    },
    owner: budget.owner,
    timeZone: timezone,
  };
}

function reachedText(isLeft: boolean, { spent, left, unit }: Balance): string {
  return isLeft ? `has ${formatAmount(left, unit)} left` : `has used ${formatAmount(spent, unit)}`;
}

/** Says that a balance has room again. */
export function overNotice(told: Notice, now: number): Notice {
  return {
    ...told,
    id: `${told.id}_over`,
    kind: "budget.over",
    at: now,
    isOver: true,
    after: told.id,
    title: `Over: ${told.title}`,
    text: "There is room again.",
  };
}

/** What happens to calls as the budget fills further. */
function nextStep(budget: Budget, balance: Balance, from: number, { isRefusing, now }: Pick<ThresholdTerms, "isRefusing" | "now">): string {
  if (observes(budget, now)) return observingText(budget, now);
  const { ladder } = budget;
  if (isRefusing) return "Calls that do not fit into what is left are refused.";
  const { limit } = balance;
  for (const step of ladder.toSorted((a, b) => shareFrom(a, limit) - shareFrom(b, limit))) {
    const rungs = step.rungs.filter(({ kind }) => kind !== "tell").map(rungText);
    if (rungs.length === 0 || shareFrom(step, limit) < from || !measures(step, balance)) continue;
    return `${shareFrom(step, limit) === from ? "From now on" : capitalized(stepPhrase(step))}: ${rungs.join(", ")}.`;
  }
  return "When it is used up, calls are refused.";
}

function observingText(budget: Budget, now: number): string {
  const end = trialEnd(budget, now);
  const until = end === undefined ? "" : ` until ${formatInstant(end, budget.timezone)}`;
  return `It only observes${until}: nothing is refused.`;
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Less of a window than this says nothing about the rest of it. */
const PACE_FROM = 0.02;

/** When the limit is used up if it goes on as it did in this window; nothing where it lasts, or where nobody can tell yet. */
function pace({ window, spent, limit, resetsAt }: Balance, now: number): number | undefined {
  const startsAt = resetsAt === undefined ? undefined : startOf(window, resetsAt);
  if (startsAt === undefined || resetsAt === undefined || spent === 0 || spent >= limit) return undefined;
  const elapsed = now - startsAt;
  if (elapsed < (resetsAt - startsAt) * PACE_FROM) return undefined;
  const goneAt = now + ((limit - spent) / spent) * elapsed;
  return goneAt < resetsAt ? goneAt : undefined;
}

const MONTHS: Readonly<Record<string, number>> = { month: 1, quarter: 3, year: 12 };

/** When a window began, to the hour by which clocks change. */
function startOf(window: string, resetsAt: number): number | undefined {
  if (window === "day") return resetsAt - DAY_MS;
  if (window === "week") return resetsAt - 7 * DAY_MS;
  const months = MONTHS[window];
  if (months === undefined) return undefined;
  // Half a day on, because midnight of a zone may be the day before in UTC.
  const start = new Date(resetsAt + DAY_MS / 2);
  start.setUTCMonth(start.getUTCMonth() - months);
  return start.getTime() - DAY_MS / 2;
}
