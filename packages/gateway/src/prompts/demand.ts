import {
  type Budget,
  type BudgetMode,
  beyondStep,
  formatAmount,
  formatLimit,
  type Limit,
  measures,
  modeAt,
  PurserError,
  rungText,
  shareFrom,
  stepText,
  type Window,
  windowName,
} from "@purser/core";
import type { Appraisal, Take } from "./appraisal.ts";
import type { Finding } from "./finding.ts";

/** What the expected calls of a day take of one balance, together. */
export interface Demand {
  readonly budget: Budget;
  /** What the budget does with calls that do not fit, now. */
  readonly mode: BudgetMode;
  readonly subject: string;
  readonly limit: Limit;
  /** What one window has: of a bucket, what it lets go in each period. */
  readonly amount: number;
  /** What a day takes; none where no prompt says how many calls it has. */
  readonly day: number | undefined;
  /** What a window takes, with calls spread evenly over the day, and in the longest month. */
  readonly inWindow: number | undefined;
  readonly parts: readonly Part[];
}

/** The share of one prompt. */
export interface Part {
  readonly prompt: string;
  readonly take: Take;
  readonly day: number | undefined;
  readonly inWindow: number | undefined;
}

/** Adds up what prompts take of the same balances, in the order of the budgets and their limits. */
export function demandsOf(appraisals: readonly Appraisal[], budgets: readonly Budget[], now: number): readonly Demand[] {
  const parts = new Map<string, [Part, ...Part[]]>();
  for (const { prompt, takes } of appraisals)
    for (const take of takes) {
      const { budget, subject, limit, usual, callsADay } = take;
      const key = JSON.stringify([budget.name, subject, formatLimit(limit)]);
      // Calls at the same time are no matter of how many there are in a day.
      const isKnown = callsADay !== undefined && limit.unit !== "concurrent";
      const day = isKnown ? exactly(usual * callsADay, prompt.name) : undefined;
      const part: Part = { prompt: prompt.name, take, day, inWindow: day === undefined ? undefined : inWindowOf(day, limit.window) };
      const same = parts.get(key);
      if (same) same.push(part);
      else parts.set(key, [part]);
    }
  const places = new Map(budgets.map(({ name }, place) => [name, place]));
  const placeOf = ({ budget }: Demand) => places.get(budget.name) ?? 0;
  const limitPlaceOf = ({ budget, limit: { unit, window } }: Demand) =>
    budget.limits.findIndex((one) => one.unit === unit && windowName(one.window) === windowName(window));
  return [...parts.values()].map((own) => demandOf(own, now)).sort((a, b) => placeOf(a) - placeOf(b) || limitPlaceOf(a) - limitPlaceOf(b));
}

function demandOf(parts: readonly [Part, ...Part[]], now: number): Demand {
  const [{ take, prompt }] = parts;
  const { budget, subject, limit, amount } = take;
  const known = parts.flatMap(({ day }) => day ?? []);
  const day = known.length > 0 ? exactly(sum(known), prompt) : undefined;
  return {
    budget,
    mode: modeAt(budget, now),
    subject,
    limit,
    amount: limit.window.kind === "bucket" ? limit.amount : amount,
    day,
    inWindow: day === undefined ? undefined : exactly(inWindowOf(day, limit.window), prompt),
    parts,
  };
}

const DAY_MS = 86_400_000;
/** The longest of each, so that what fits, fits in February and in March. */
export const MONTH_DAYS = 31;
const PERIOD_MS = {
  minute: 60_000,
  hour: 3_600_000,
  day: DAY_MS,
  week: 7 * DAY_MS,
  month: MONTH_DAYS * DAY_MS,
  quarter: 92 * DAY_MS,
  year: 366 * DAY_MS,
};

/** How long a window is. Of what has none, a day is looked at. */
function lengthOf(window: Window): number {
  if (window.kind === "lifetime") return DAY_MS;
  return window.kind === "rolling" ? window.lengthMs : PERIOD_MS[window.period];
}

/** What falls into one window, rounded up. The product can be larger than a number is exact. */
function inWindowOf(day: number, window: Window): number {
  return Number((BigInt(day) * BigInt(lengthOf(window)) + BigInt(DAY_MS - 1)) / BigInt(DAY_MS));
}

/** Budgets that a day's calls do not fit. Those that only observe refuse nothing. */
export function exceeded(demands: readonly Demand[]): readonly Finding[] {
  return demands
    .filter((demand) => isExceeded(demand) && demand.mode === "enforce")
    .map((demand) => ({
      kind: "day_exceeded",
      prompts: demand.parts.filter(({ day }) => day !== undefined).map(({ prompt }) => prompt),
      line: undefined,
      message: `The expected calls do not fit ${demandText(demand)}`,
    }));
}

/** What is no reason to refuse a change, and good to know. */
export function remarksOn(demands: readonly Demand[]): readonly string[] {
  return demands.flatMap((demand) => [
    ...(isExceeded(demand) && demand.mode === "observe"
      ? [`The expected calls would not fit ${demandText(demand)} It only observes.`]
      : []),
    ...rungsReached(demand),
  ]);
}

/** The last step of a ladder that goes by this limit and that the expected calls reach. */
function rungsReached(demand: Demand): readonly string[] {
  const { budget, inWindow, amount, limit } = demand;
  if (inWindow === undefined) return [];
  const used = { spent: inWindow, held: 0 };
  const measured = { unit: limit.unit, window: windowName(limit.window) };
  const step = budget.ladder.findLast((one) => shareFrom(one, amount) > 0 && beyondStep(one, used, amount) >= 0 && measures(one, measured));
  if (!step) return [];
  return [`The expected calls of ${whose(demand)} reach its step at ${stepText(step)}: ${step.rungs.map(rungText).join(", ")}.`];
}

function isExceeded({ inWindow, amount }: Demand): boolean {
  return inWindow !== undefined && inWindow > amount;
}

function demandText(demand: Demand): string {
  const { limit, inWindow = 0 } = demand;
  const { window } = limit;
  const span = window.kind === "calendar" || window.kind === "bucket" ? ` a ${window.period}`.replace("a hour", "an hour") : "";
  const evenly = lengthOf(window) < DAY_MS ? ", spread evenly over the day" : "";
  return `${whose(demand)}: they use ${formatAmount(inWindow, limit.unit, limit.weights)}${span}${evenly}, and it has ${formatLimit(limit)}.`;
}

function whose({ budget, subject }: Demand): string {
  return `budget "${budget.name}"${subject === "" ? "" : ` (${subject})`}`;
}

function sum(amounts: readonly number[]): number {
  return amounts.reduce((total, amount) => total + amount, 0);
}

/** Amounts that add up to more than whole numbers can say are a mistake. */
export function exactly(amount: number, prompt: string): number {
  if (Number.isSafeInteger(amount)) return amount;
  throw new PurserError("amount_too_large", `The calls of "${prompt}" take more than can be counted exactly. Is its calls_a_day right?`);
}
