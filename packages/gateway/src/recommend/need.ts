import { nearestRank, rankOf } from "../nearest-rank.ts";

/** What a limit has to allow, and what that rests on. */
export interface Need {
  /** Of the limit, as people write it: two digits, rounded up. */
  readonly amount: number;
  /** What was used: of `days` with use the p95, or the average of them; of `subjects` what the one needs that 95 of 100 need no more than. */
  readonly used: number;
  readonly rests: "days" | "average" | "subjects";
  /** How many of them. */
  readonly count: number;
  /** What is added because use grew by as much: 0.12 for 12 %. 0 where nothing can be said. */
  readonly growth: number;
  /** Of many subjects: those that need more, the one that needs most first. */
  readonly exceptions: readonly Exception[];
  /** Whether twice an average day is more than the p95 with headroom: what a short trial is taken for. */
  readonly isTwice: boolean;
}

/** What one of many subjects needs. */
export interface Exception {
  readonly label: string;
  readonly need: Need;
}

const PERCENT = 95;
/** Fewer days are a trial, of which twice the average is taken. A week has all days that differ. */
const WEEK = 7;
/** Growth is told from as many weeks as the ones before. */
const GROWN_SHARE = 0.75;
/** What doubled once does not have to do so again. */
const GROWTH_MOST = 1;
/** Days in the longest of each. */
export const PERIOD_DAYS: Readonly<Record<string, number>> = { week: 7, month: 31, quarter: 92, year: 366 };
/** So many exceptions are read by the one who pastes them. */
const EXCEPTIONS_MOST = 10;

/** What was used on each of some days. */
export interface DailyUse {
  readonly days: readonly number[];
  /** Where it is not, its first day is at least so much, and counts in no average. */
  readonly isFirstWhole: boolean;
  /** What has to be left for the largest call: a smaller limit would refuse it on a day without any other. */
  readonly leastHeld: number;
}

/**
 * What a day has to allow: the p95 of days with use (or another percentile), with growth and headroom. Nothing where nothing was used. Idle days do not count in it: what is
 * used once a month would get nothing.
 */
export function needOfDay({ days, isFirstWhole, leastHeld }: DailyUse, headroom: number, percent = PERCENT): Need | undefined {
  if (sumOf(days) === 0) return undefined;
  const whole = isFirstWhole ? days : days.slice(1);
  const growth = growthOf(whole);
  const busyDays = ascending(days.filter((amount) => amount > 0));
  const busy = nearestRank(busyDays, percent);
  const usual = Math.max(busy * (1 + growth) * (1 + headroom), busy + leastHeld);
  const average = whole.length === 0 ? 0 : sumOf(whole) / whole.length;
  if (whole.length < WEEK && 2 * average > usual)
    return {
      amount: readableAmount(2 * average),
      used: average,
      rests: "average",
      count: whole.length,
      growth: 0,
      exceptions: [],
      isTwice: true,
    };
  return { amount: readableAmount(usual), used: busy, rests: "days", count: busyDays.length, growth, exceptions: [], isTwice: false };
}

/**
 * What a week, month or year has to allow: its days, as they were on average in whole weeks, and their busiest one in any case. Nothing where there
 * is no whole week.
 */
export function needOfPeriod({ days, isFirstWhole, leastHeld }: DailyUse, lengthDays: number, headroom: number): Need | undefined {
  const whole = isFirstWhole ? days : days.slice(1);
  const counted = whole.slice(whole.length % WEEK);
  const sum = sumOf(counted);
  if (sum === 0) return undefined;
  const growth = growthOf(counted);
  const used = (sum / counted.length) * lengthDays;
  const busiest = counted.reduce((most, amount) => Math.max(most, amount), 0);
  const amount = readableAmount(Math.max(used * (1 + growth) * (1 + headroom), busiest * (1 + headroom), busiest + leastHeld));
  return { amount, used, rests: "average", count: counted.length, growth, exceptions: [], isTwice: false };
}

/** What is needed once and for all, such as by a task. */
export function needOfLife(used: number, headroom: number): Need {
  return { amount: readableAmount(used * (1 + headroom)), used, rests: "days", count: 1, growth: 0, exceptions: [], isTwice: false };
}

/** What each subject has to be allowed so that 95 of 100 are, or all but a few. Nothing where there is no subject. */
export function needOfEach(needs: ReadonlyMap<string, Need>): Need | undefined {
  const sorted = [...needs]
    .map(([label, need]) => ({ label, need }))
    .sort((a, b) => a.need.amount - b.need.amount || order(a.label, b.label));
  const usual = sorted[Math.max(rankOf(sorted.length, PERCENT), sorted.length - 1 - EXCEPTIONS_MOST)];
  if (!usual) return undefined;
  const { amount, used, isTwice } = usual.need;
  const exceptions = sorted.filter(({ need }) => need.amount > amount).reverse();
  return { amount, used, rests: "subjects", count: sorted.length, growth: 0, exceptions, isTwice };
}

/** By how much the later weeks are above as many before. Each day is compared with its own weekday, and most have to have grown. */
function growthOf(days: readonly number[]): number {
  const half = Math.floor(days.length / (2 * WEEK)) * WEEK;
  if (half === 0) return 0;
  const [earlier, later] = [days.slice(-2 * half, -half), days.slice(-half)];
  const used = later.map((amount, i) => [earlier[i] as number, amount] as const).filter((pair) => sumOf(pair) > 0);
  const grown = used.filter(([then, now]) => now > then).length;
  const before = sumOf(earlier);
  if (before === 0 || grown < GROWN_SHARE * used.length) return 0;
  // Whole per cents, as it is told.
  return Math.min(GROWTH_MOST, Math.max(0, Math.round((sumOf(later) / before - 1) * 100) / 100));
}

/** No limit is above it: the largest amount of two digits that a counter holds. */
const AMOUNT_MOST = 9e15;

/** Rounded up to two digits, as people write amounts. */
export function readableAmount(amount: number): number {
  // What a product of decimals is off by is no reason to round up.
  const whole = Math.ceil(Math.min(Number(amount.toPrecision(12)), AMOUNT_MOST));
  const step = 10 ** Math.max(0, String(whole).length - 2);
  return Math.ceil(whole / step) * step;
}

function sumOf(amounts: readonly number[]): number {
  return amounts.reduce((sum, amount) => sum + amount, 0);
}

function ascending(amounts: readonly number[]): readonly number[] {
  return amounts.toSorted((a, b) => a - b);
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
