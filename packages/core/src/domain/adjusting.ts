import { PurserError } from "../errors.ts";
import type { Budget } from "./budget.ts";
import { FULL, readShare } from "./ladder-step.ts";
import { formatAmount, formatLimit, type Limit, limitId, limitOf, parseLimit } from "./limit.ts";
import { type CalendarPeriod, type Window, windowSpan } from "./window.ts";

/** How the amount of a limit follows what is used of it, as one writes it. */
export interface AdjustingInput {
  /** The amounts that it never leaves: `$30 - $80`, or `$30 - $80 / day` where the budget has several limits of the unit. */
  readonly within: string;
  /** It is looked at as each of these ends: `week`. The window of the limit where it is left out. */
  readonly every?: string;
  /** What it follows: `p95 of 28 days` of a limit by the day, and `average of 28 days` of one by the week, month or quarter. */
  readonly follow?: string;
  /** What is added to that: `25%` where it is left out. */
  readonly margin?: string;
  /** It changes by no more at a time: `20%` where it is left out. */
  readonly step?: string;
  /** `propose` changes nothing, and tells what would be. */
  readonly mode?: "apply" | "propose";
}

/** How the amount of a limit follows what is used of it. Shares are in hundredths of a per cent, as those of ladders. */
export interface Adjusting {
  /** `nanodollars/day@UTC` */
  readonly limit: string;
  readonly every: AdjustedPeriod;
  /** The percentile of days; none where it is what they come to on average. */
  readonly percent: number | undefined;
  readonly days: number;
  readonly margin: number;
  readonly step: number;
  readonly least: number;
  readonly most: number;
  readonly mode: "apply" | "propose";
}

const ADJUSTED_PERIODS = ["day", "week", "month", "quarter"] as const;
export type AdjustedPeriod = (typeof ADJUSTED_PERIODS)[number];

/** After which periods a limit by the day, week, month or quarter can change: where they end, one of its windows ends too. */
const ENDS_WITH: Readonly<Record<AdjustedPeriod, readonly AdjustedPeriod[]>> = {
  day: ["day", "week", "month", "quarter"],
  week: ["week"],
  month: ["month", "quarter"],
  quarter: ["quarter"],
};

const FOLLOWED_DAYS = 28;
/** Fewer days do not have all that differ. */
const FOLLOWED_LEAST = 7;
const FOLLOWED_MOST = 365;
const PERCENT_LEAST = 50;
const MARGIN_MOST = 4 * FULL;
const STEP_LEAST = FULL / 100;

/** Reads how a budget adjusts. Throws `config_invalid` or `limit_invalid` with what to do. */
export function parseAdjusting(input: AdjustingInput, budget: Pick<Budget, "name" | "limits" | "per" | "timezone">): Adjusting {
  const { margin = "25%", step = "20%", mode = "apply" } = input;
  if (budget.per.length > 0)
    throw invalid(
      budget,
      `has a balance for each ${budget.per.join(" and ")}, and adjust is for one balance: what some use would decide about others, and who comes later would have another amount. Leave out adjust, and ask \`purser recommend\` now and then.`,
    );
  const { limit, least, most } = parseWithin(input.within, budget);
  const period = adjustedPeriod(limit, budget);
  if (limit.amount < least || limit.amount > most)
    throw invalid(
      budget,
      `adjusts within "${input.within}", and its limit is ${formatLimit(limit)}. Write bounds that it lies within: the limit is the amount with which it begins.`,
    );
  const every = input.every === undefined ? period : ENDS_WITH[period].find((one) => one === input.every);
  const isOwnStart = limit.window.kind === "calendar" && limit.window.starts !== undefined && every !== period;
  if (every === undefined || isOwnStart)
    throw invalid(
      budget,
      `adjusts ${formatLimit(limit)} every "${input.every}". It can only change where one of its windows begins: write every: ${
        isOwnStart ? period : ENDS_WITH[period].join(" or ")
      }.`,
    );
  const shareIn = (what: string, text: string, from: number, to: number, example: string) => {
    const share = readShare(text);
    if (share !== undefined && share >= from && share <= to) return share;
    throw invalid(budget, `adjusts with "${what}: ${text}". Write a percentage from ${from / 100}% to ${to / 100}%, such as ${example}.`);
  };
  const parsed = {
    limit: limitId(limit),
    every,
    ...parseFollowed(input.follow, period, budget),
    margin: shareIn("margin", margin, 0, MARGIN_MOST, "25%"),
    step: shareIn("step", step, STEP_LEAST, FULL, "20%"),
    least,
    most,
    mode,
  };
  if (Math.floor((least * parsed.step) / FULL) === 0)
    throw invalid(
      budget,
      `adjusts by steps of ${step}, which is less than one of ${formatAmount(least, limit.unit)}. Write a larger step.`,
    );
  return parsed;
}

function parseWithin(text: string, budget: Pick<Budget, "name" | "limits" | "timezone">) {
  const [from, to, ...others] = text.split(/\s*(?:-|–|\bto\b)\s*/);
  if (from === undefined || to === undefined || from === "" || to === "" || others.length > 0)
    throw invalid(budget, `adjusts within "${text}". Write the least and the most that it may be: $30 - $80.`);
  const upper = parseLimit(to, budget.timezone);
  const unit = /[a-z]{2}/i.test(from) || upper.unit === "nanodollars" ? "" : ` ${upper.unit.replace("_", " ")}`;
  const lower = parseLimit(`${from}${unit}`, budget.timezone);
  if (lower.unit !== upper.unit || lower.amount === 0 || lower.amount >= upper.amount)
    throw invalid(budget, `adjusts within "${text}". Write two amounts of one unit, the smaller one first and above 0: $30 - $80.`);
  return { limit: limitOf(budget, upper, text), least: lower.amount, most: upper.amount };
}

function adjustedPeriod(limit: Limit, budget: Pick<Budget, "name">): AdjustedPeriod {
  const { window, rollover, unit } = limit;
  const period = window.kind === "calendar" ? ADJUSTED_PERIODS.find((one) => one === window.period) : undefined;
  if (period && rollover === undefined && unit !== "concurrent") return period;
  throw invalid(
    budget,
    `adjusts ${formatLimit(limit)}, which cannot be adjusted: it has to be a limit by the day, week, month or quarter, without rollover.`,
  );
}

function parseFollowed(text: string | undefined, period: AdjustedPeriod, budget: Pick<Budget, "name">) {
  const isDaily = period === "day";
  const usual = isDaily ? "p95 of 28 days" : "average of 28 days";
  if (text === undefined) return { percent: isDaily ? 95 : undefined, days: FOLLOWED_DAYS };
  const [, of = "", rank, digits] = /^(p(\d{2,3})|average) of (\d{1,3}) days$/.exec(text.trim().replace(/\s+/g, " ")) ?? [];
  const [percent, days] = [rank === undefined ? undefined : Number(rank), Number(digits)];
  if (of === "") throw invalid(budget, `adjusts and follows "${text}". Write ${usual}.`);
  if (isDaily === (percent === undefined))
    throw invalid(
      budget,
      `adjusts and follows "${text}". A limit by the day follows a percentile of days, and a longer one their average: write ${usual}.`,
    );
  if (days < FOLLOWED_LEAST || days > FOLLOWED_MOST || (percent !== undefined && (percent < PERCENT_LEAST || percent > 100)))
    throw invalid(
      budget,
      `adjusts and follows "${text}". Write p${PERCENT_LEAST} to p100, of ${FOLLOWED_LEAST} to ${FOLLOWED_MOST} days: ${usual}.`,
    );
  return { percent, days };
}

function invalid({ name }: Pick<Budget, "name">, what: string): PurserError {
  return new PurserError("config_invalid", `Budget "${name}" ${what}`);
}

/** The periods after which the rule is looked at. Each ends where a window of the limit ends. */
export function adjustedSpan({ window }: Limit, every: CalendarPeriod, at: number): { readonly startsAt: number; readonly endsAt: number } {
  const calendar = window as Extract<Window, { readonly kind: "calendar" }>;
  const span = windowSpan(every === calendar.period ? calendar : { kind: "calendar", period: every, timeZone: calendar.timeZone }, at);
  return { startsAt: span.startsAt, endsAt: span.resetsAt ?? Number.POSITIVE_INFINITY };
}

/** What was seen of a limit before it is adjusted. */
export interface Evidence {
  /** What days say that did not end at the limit; nothing where there are too few of them. */
  readonly needed: number | undefined;
  /** The same with those days that did: what was used of them was needed at least. */
  readonly neededAtLeast: number | undefined;
  /** How many calls it refused in the period that ends, and on how many days. */
  readonly refused: number;
  readonly refusedDays: number;
  /** On what `needed` rests, in words: `the p95 of 27 days is $48.00`. */
  readonly rests: string;
}

/** What a limit is to be, and why. */
export interface AdjustedAmount {
  readonly amount: number;
  readonly why: string;
}

/** Less than this part is not worth to be told. */
const LEAST_CHANGE = FULL / 20;
/** So many digits of a step are kept. */
const DIGITS = 3;

/**
 * What a limit of so much becomes: a step more where it refused calls, and else what is needed, by a step at a time and within the bounds. Days that
 * ended at the limit may keep it where it is, and never raise it.
 */
export function adjustedAmount(rule: Adjusting, { unit }: Limit, before: number, evidence: Evidence): AdjustedAmount {
  const { least, most, step } = rule;
  const [up, down] = [stepUp(before, step), stepDown(before, step)];
  const { refused, refusedDays, needed, neededAtLeast = needed, rests } = evidence;
  const wanted = refused > 0 ? up : needed === undefined ? before : needed > before ? needed : Math.min(before, neededAtLeast ?? before);
  const isSmall = refused === 0 && Math.abs(wanted - before) * FULL < Math.min(step, LEAST_CHANGE) * before;
  const amount = Math.min(most, Math.max(least, isSmall ? before : Math.min(up, Math.max(down, wanted))));
  const reason =
    refused > 0
      ? `it refused ${refused} ${refused === 1 ? "call" : "calls"} on ${refusedDays} ${refusedDays === 1 ? "day" : "days"}`
      : rests;
  const bound = isSmall ? undefined : boundOf({ amount, wanted, refused, least, most });
  return { amount, why: bound === undefined ? `${reason}.` : `${reason}; ${bound(unit)}.` };
}

function boundOf({
  amount,
  wanted,
  refused,
  least,
  most,
}: {
  amount: number;
  wanted: number;
  refused: number;
  least: number;
  most: number;
}) {
  if (amount === most && wanted >= most) return (unit: Limit["unit"]) => `it never is more than ${formatAmount(most, unit)}`;
  if (amount === least && wanted <= least) return (unit: Limit["unit"]) => `it never is less than ${formatAmount(least, unit)}`;
  if (refused > 0 || amount !== wanted) return () => "it changes by a step at a time";
  return undefined;
}

/** Rounded towards the amount, so that it never is more than a step. Whole numbers: a product of decimals would not be exact. */
function stepUp(amount: number, step: number): number {
  const raised = (BigInt(amount) * BigInt(FULL + step)) / BigInt(FULL);
  return Math.min(Number.MAX_SAFE_INTEGER, rounded(Number(raised), Math.floor));
}

function stepDown(amount: number, step: number): number {
  const lowered = (BigInt(amount) * BigInt(FULL - step) + BigInt(FULL - 1)) / BigInt(FULL);
  return Math.min(amount, rounded(Number(lowered), Math.ceil));
}

function rounded(amount: number, round: (value: number) => number): number {
  const place = 10 ** Math.max(0, String(amount).length - DIGITS);
  return round(amount / place) * place;
}
