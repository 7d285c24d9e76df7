import type { Charge, CounterRef, Entry, Grant, Posting } from "../../packages/core/dist/index.js";

/** A balance, as the sum of what was posted to it. */
export interface Sum {
  readonly ref: CounterRef;
  held: number;
  spent: number;
  /** The same held amount, summed over the reservations that are open. */
  heldByOpen: number;
}

/** One reservation, as its entries tell it. */
export interface Kept {
  readonly id: string;
  readonly reserved: Extract<Entry, { readonly kind: "reserved" }>;
  state: "open" | "settled" | "released" | "expired" | "corrected";
  expiresAt: number;
  /** The longest answer that is held, by what was held last. */
  outputCap: number;
  /** What it holds, and what it was charged, by the key of the counter. */
  readonly held: Map<string, Posting>;
  readonly charged: Map<string, number>;
  charge: Charge | undefined;
  /** What exceeded the hold and has not been posted yet: that must be the next entry. */
  overrun: ReadonlyMap<string, number> | undefined;
  hasOverrun: boolean;
}

const UNUSED: Pick<Sum, "held" | "spent"> = { held: 0, spent: 0 };

/** The ledger read a second time, by other rules than the product's: what the laws are checked against. */
export class Books {
  readonly counters = new Map<string, Sum>();
  /** The slices of windows that move, by what they have in common, in no order. */
  readonly series = new Map<string, Sum[]>();
  readonly grants = new Map<string, Grant>();
  readonly reservations = new Map<string, Kept>();
  readonly open = new Map<string, Kept>();
  seq = 0;

  standing(key: string): Pick<Sum, "held" | "spent"> {
    return this.counters.get(key) ?? UNUSED;
  }

  post({ counter: ref, held, spent }: Posting): Sum {
    let sum = this.counters.get(ref.key);
    if (!sum) {
      sum = { ref, held: 0, spent: 0, heldByOpen: 0 };
      this.counters.set(ref.key, sum);
      if (ref.series !== undefined) this.series.set(ref.series, [...(this.series.get(ref.series) ?? []), sum]);
    }
    sum.held += held;
    sum.spent += spent;
    return sum;
  }

  reserve(entry: Extract<Entry, { readonly kind: "reserved" }>): Kept {
    const kept: Kept = {
      id: entry.reservation,
      reserved: entry,
      state: "open",
      expiresAt: entry.expiresAt,
      outputCap: entry.outputCap,
      held: new Map(),
      charged: new Map(),
      charge: undefined,
      overrun: undefined,
      hasOverrun: false,
    };
    this.reservations.set(kept.id, kept);
    this.open.set(kept.id, kept);
    for (const posting of entry.postings) this.holdOn(kept, posting);
    return kept;
  }

  /** A reservation holds something on one more counter. */
  holdOn(kept: Kept, posting: Posting): void {
    kept.held.set(posting.counter.key, posting);
    (this.counters.get(posting.counter.key) as Sum).heldByOpen += posting.held;
  }

  /** More of a counter that it is held on. */
  holdMore(kept: Kept, { counter, held }: Posting): void {
    const before = kept.held.get(counter.key);
    this.holdOn(kept, { counter, held, spent: 0 });
    if (before) kept.held.set(counter.key, { ...before, held: before.held + held });
  }

  end(kept: Kept, state: Kept["state"], charge?: Charge): void {
    kept.state = state;
    kept.charge = charge;
    this.open.delete(kept.id);
    for (const { counter, held } of kept.held.values()) (this.counters.get(counter.key) as Sum).heldByOpen -= held;
  }
}
