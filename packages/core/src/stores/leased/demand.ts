import type { BoundLimit } from "../../domain/command.ts";
import { seriesOf } from "../../domain/ledger.ts";

/** How often and how much of one limit is asked for, window after window. */
interface Asked {
  /** As it was bound last. */
  limit: BoundLimit;
  /** Since the last measurement. */
  asks: number;
  /** Of these, the calls that could be admitted here: all of whose limits are busy. */
  ownAsks: number;
  ownAmount: number;
  isBusy: boolean;
  /** How often it is asked for in a millisecond, lately. */
  frequency: number;
  /** What calls that could be admitted here ask in a millisecond, and on average. */
  rate: number;
  mean: number;
}

/** A limit that is asked for often enough to be worth an allotment. */
export interface Busy {
  readonly limit: BoundLimit;
  readonly rate: number;
  readonly mean: number;
}

/** Asked for at least this often, reports cost less than asking each time. */
const BUSY_PER_MS = 0.5 / 1_000;
/** Asked for less often, a limit is forgotten. */
const FORGOTTEN_PER_MS = 0.05 / 1_000;

/** Measures what one gateway asks of each limit. A call is admitted here only if all its limits are allotted, so those it shares count. */
export class Demand {
  readonly #series = new Map<string, Asked>();

  get isEmpty(): boolean {
    return this.#series.size === 0;
  }

  /** Notes what a call asks of its limits. Whether all of them are busy. */
  note(limits: readonly BoundLimit[], asked: readonly number[]): boolean {
    let areBusy = limits.length > 0;
    const all: Asked[] = [];
    for (const limit of limits) {
      const one = this.#asked(limit);
      one.asks++;
      all.push(one);
      areBusy &&= one.isBusy && limit.rule === undefined;
    }
    if (!areBusy) return false;
    for (let i = 0; i < all.length; i++) {
      const one = all[i] as Asked;
      one.ownAsks++;
      one.ownAmount += asked[i] as number;
    }
    return true;
  }

  /** Ends a span of measuring. */
  measure(elapsedMs: number): void {
    if (elapsedMs <= 0) return;
    for (const [series, one] of this.#series) {
      one.frequency = smoothed(one.frequency, one.asks / elapsedMs);
      if (one.frequency < FORGOTTEN_PER_MS) {
        this.#series.delete(series);
        continue;
      }
      one.isBusy = one.frequency >= BUSY_PER_MS;
      one.rate = smoothed(one.rate, one.ownAmount / elapsedMs);
      if (one.ownAsks > 0) one.mean = one.ownAmount / one.ownAsks;
      one.asks = 0;
      one.ownAsks = 0;
      one.ownAmount = 0;
    }
  }

  *busy(): IterableIterator<Busy> {
    for (const { limit, rate, mean, isBusy } of this.#series.values()) if (isBusy && rate > 0) yield { limit, rate, mean };
  }

  #asked(limit: BoundLimit): Asked {
    const series = limit.counter.series ?? seriesOf(limit.counter);
    let one = this.#series.get(series);
    if (one) one.limit = limit;
    else {
      one = { limit, asks: 0, ownAsks: 0, ownAmount: 0, isBusy: false, frequency: 0, rate: 0, mean: 0 };
      this.#series.set(series, one);
    }
    return one;
  }
}

/** The last span counts half, those before it the other half; the first one counts whole. */
function smoothed(before: number, last: number): number {
  return before === 0 ? last : (before + last) / 2;
}
