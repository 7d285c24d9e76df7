import { PurserError } from "../errors.ts";
import { FULL, readShare } from "./ladder-step.ts";
import type { MovedAmount, Moves } from "./ledger.ts";
import { CALENDAR_PERIODS, type CalendarPeriod } from "./window.ts";

/** How what some budgets leave unused goes to others, as one writes it. */
export interface SharingInput {
  /** The budgets that share; the balances of the budget itself, one for each of its `per`, where it is left out. */
  readonly among?: readonly string[];
  /** Amounts are moved at most once in each: `week`. */
  readonly every: string;
  /** The share of its limit from which on somebody needs more: `80%` where it is left out. */
  readonly from?: string;
  /** Nobody is left with less than this share of its own limit: `50%` where it is left out. */
  readonly keep?: string;
  /** Nobody gets more than this share of its own limit on top of it: `50%` where it is left out. */
  readonly most?: string;
}

/** How what some budgets leave unused goes to others. Shares are in hundredths of a per cent, as those of ladders. */
export interface Sharing {
  readonly among: readonly string[];
  readonly every: CalendarPeriod;
  readonly from: number;
  readonly keep: number;
  readonly most: number;
}

/** Reads how a budget shares. Throws `config_invalid` with what to do. */
export function parseSharing(name: string, { among = [], every, from = "80%", keep = "50%", most = "50%" }: SharingInput): Sharing {
  const period = CALENDAR_PERIODS.find((one) => one === every);
  if (!period) throw invalid(name, `shares every "${every}". Write one of ${CALENDAR_PERIODS.join(", ")}.`);
  if (among.length === 1 || new Set(among).size !== among.length)
    throw invalid(name, "shares among budgets that are no several ones. Name two or more, each once.");
  const shareIn = (what: string, text: string, most = Number.POSITIVE_INFINITY) => {
    const share = readShare(text);
    if (share !== undefined && share <= most) return share;
    throw invalid(name, `shares with "${what}: ${text}". Write a percentage${most === FULL ? " up to 100%" : ""}, such as 50%.`);
  };
  return {
    among,
    every: period,
    from: shareIn("from", from, FULL),
    keep: shareIn("keep", keep, FULL),
    most: shareIn("most", most),
  };
}

function invalid(name: string, what: string): PurserError {
  return new PurserError("config_invalid", `Budget "${name}" ${what}`);
}

/** A balance that shares. */
export interface Sharer {
  readonly budget: string;
  readonly subject: string;
  /** What its own limit is. */
  readonly own: number;
  /** What is in force: with what was given and taken before. */
  readonly amount: number;
  /** Spent and held. */
  readonly used: number;
}

/**
 * What is moved: from those that will not use their amount, if they go on as they did, to those that have used most of theirs and will not do
 * with it. `elapsed` is how much of the window is over, from 0 to 1. The same balances are shared the same.
 */
export function planMoves(sharers: readonly Sharer[], elapsed: number, sharing: Sharing): Moves {
  const inOrder = sharers.toSorted((a, b) => compare(a.budget, b.budget) || compare(a.subject, b.subject));
  const wants = inOrder.map((one) => (needsMore(one, sharing) ? Math.min(missing(one, elapsed), roomAbove(one, sharing)) : 0));
  const spares = inOrder.map((one) => (needsMore(one, sharing) ? 0 : spare(one, elapsed, sharing)));
  const total = Math.min(sumOf(wants), sumOf(spares));
  return { takes: movedOf(inOrder, apportion(total, spares)), gives: movedOf(inOrder, apportion(total, wants)) };
}

/** What a window would use up, if it goes on as it began. */
function expected({ used }: Sharer, elapsed: number): number {
  return elapsed <= 0 ? Number.MAX_SAFE_INTEGER : Math.min(Number.MAX_SAFE_INTEGER, Math.ceil(used / elapsed));
}

function needsMore({ used, amount }: Sharer, { from }: Sharing): boolean {
  return used > 0 && used >= (from / FULL) * amount;
}

function missing(sharer: Sharer, elapsed: number): number {
  return Math.max(0, expected(sharer, elapsed) - sharer.amount);
}

function roomAbove({ own, amount }: Sharer, { most }: Sharing): number {
  return Math.max(0, Math.min(Number.MAX_SAFE_INTEGER, Math.floor(own * (1 + most / FULL))) - amount);
}

function spare(sharer: Sharer, elapsed: number, { keep }: Sharing): number {
  return Math.max(0, sharer.amount - Math.max(expected(sharer, elapsed), Math.ceil(sharer.own * (keep / FULL))));
}

function sumOf(amounts: readonly number[]): number {
  return Math.min(
    Number.MAX_SAFE_INTEGER,
    amounts.reduce((sum, amount) => sum + amount, 0),
  );
}

/** A total in parts that are as large to each other as the weights, to the unit; none is larger than its weight, if the total is not. */
function apportion(total: number, weights: readonly number[]): readonly number[] {
  let [left, weightsLeft] = [BigInt(total), weights.reduce((sum, weight) => sum + BigInt(weight), 0n)];
  return weights.map((weight) => {
    const part = weightsLeft === 0n ? 0n : (left * BigInt(weight)) / weightsLeft;
    left -= part;
    weightsLeft -= BigInt(weight);
    return Number(part);
  });
}

function movedOf(sharers: readonly Sharer[], amounts: readonly number[]): readonly MovedAmount[] {
  return sharers.map(({ budget, subject }, i) => ({ budget, subject, amount: amounts[i] as number })).filter(({ amount }) => amount > 0);
}

/** By code units, as no locale of a machine changes them. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** What may be given of what was to be given, where so much of what was taken is used after all: the last ones get less. */
export function lessened(gives: readonly MovedAmount[], usedAfterAll: number): readonly MovedAmount[] {
  let lacking = usedAfterAll;
  const left: MovedAmount[] = [];
  for (const give of gives.toReversed()) {
    const amount = Math.max(0, give.amount - lacking);
    lacking -= give.amount - amount;
    if (amount > 0) left.unshift({ ...give, amount });
  }
  return left;
}
