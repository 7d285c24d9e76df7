import type { BoundLimit, ReleaseCommand, SettleCommand, Standing } from "./command.ts";
import type { CallDetail, CounterRef, Entry, Posting } from "./ledger.ts";

/** What one holder may use of a counter without asking. */
export interface Allotment {
  readonly counter: CounterRef;
  readonly amount: number;
}

/**
 * The allotments of one holder. They are held on their counters as a call is, so that what several holders use can never exceed a limit,
 * and end when the lease runs out: then all of it is charged, until the holder says what became of it.
 */
export interface Lease {
  readonly id: string;
  readonly expiresAt: number;
  /** The number of the last report that was counted. */
  readonly reported: number;
  /** `expired`: what is allotted is charged and no longer held. */
  readonly end: LeaseEnd | undefined;
  readonly allotments: readonly Allotment[];
}

export type LeaseEnd = "returned" | "expired";

/**
 * Takes, renews and resizes a lease, and reports what was done with it, in one command: so that no answer that is lost and no command that
 * comes twice can count a call twice.
 */
export interface LeaseCommand {
  readonly kind: "lease";
  /** Made up by the holder, for one lease. */
  readonly id: string;
  /** 1, 2, 3 and so on. A number that was counted before changes nothing. */
  readonly report: number;
  /** What the holder did since its last report, in order. */
  readonly steps: readonly LeaseStep[];
  /** What the holder would have at hand from now on. What is allotted and not named here is returned. */
  readonly wants: readonly Want[];
  readonly leaseMs: number;
  /** The holder reports no more: the lease ends, and what is left of it is returned. */
  readonly ends?: boolean;
}

/** One thing that a holder did: a call that it admitted, or one that it admitted before and that went on or ended. */
export type LeaseStep =
  | OpenStep
  | (Omit<SettleCommand, "kind"> & { readonly kind: "settle" })
  | (Omit<ReleaseCommand, "kind"> & { readonly kind: "release" })
  | { readonly kind: "extend"; readonly id: string; readonly leaseMs: number };

/** A call that was admitted inside the allotments. It becomes a reservation like any other. */
export interface OpenStep {
  readonly kind: "open";
  readonly id: string;
  readonly holds: readonly Allotment[];
  readonly outputCap: number;
  readonly leaseMs: number;
  readonly detail: CallDetail;
}

/** How much a holder would have of one limit. */
export interface Want {
  readonly limit: BoundLimit;
  readonly amount: number;
  /** Less than this is of no use to the holder. */
  readonly least: number;
}

export type LeaseResult =
  /** `expired`: the lease has run out. Reports still count, and nothing more is allotted. `portions` are in the order of the wants. */
  | {
      readonly outcome: "leased" | "expired";
      readonly expiresAt: number;
      readonly portions: readonly Portion[];
      readonly rejected: readonly Rejected[];
    }
  | { readonly outcome: "ended" }
  /** The lease never was, was forgotten, or a report before this one is missing. Nothing was counted. */
  | { readonly outcome: "unknown" };

/** What a holder has of something that it wants. */
export interface Portion {
  /** What is allotted now. */
  readonly amount: number;
  /** What would be a fair part of what is left: to be aimed at when the lease is next resized. */
  readonly fair: number;
  readonly standing: Standing;
}

/** A step that could not be counted, and why. */
export interface Rejected {
  readonly id: string;
  readonly message: string;
}

/** All leases together get at most this part of what is left of a limit, so that the rest is found by whoever asks for it. */
const LEASED_PART = 0.5;

/** Longer than holders take from one report to the next. */
const RECALL_MS = 5_000;

/** Leases that ended are kept for late reports; of more than this many, the oldest are forgotten and stay charged as they are. */
const ENDED_LEASES_MOST = 1_000;

/** The leases of a store, and how much of each counter is allotted at the moment. */
export class Leases {
  readonly #leases = new Map<string, Lease>();
  readonly #allotted = new Map<string, { amount: number; holders: number }>();
  readonly #ended = new Set<string>();
  /** Until when nothing is lent of a counter. Not in the ledger, since it changes no balance: it is forgotten with the process. */
  readonly #recalled = new Map<string, number>();

  /** All that are open or remembered. */
  values(): IterableIterator<Lease> {
    return this.#leases.values();
  }

  get size(): number {
    return this.#leases.size;
  }

  get(id: string): Lease | undefined {
    return this.#leases.get(id);
  }

  /** How much of what is held on a counter is allotted and not used by calls yet. */
  allotted(key: string): number {
    return this.#allotted.get(key)?.amount ?? 0;
  }

  /** How many leases have a part of a counter. */
  holders(key: string): number {
    return this.#allotted.get(key)?.holders ?? 0;
  }

  /** Lends nothing of a counter for a while, so that its holders return what they have: a call lacks it. */
  recall(key: string, now: number): void {
    for (const [other, until] of this.#recalled) if (until <= now) this.#recalled.delete(other);
    this.#recalled.set(key, now + RECALL_MS);
  }

  isRecalled(key: string, now: number): boolean {
    return now < (this.#recalled.get(key) ?? Number.NEGATIVE_INFINITY);
  }

  /** Lends again of everything. */
  endRecalls(): void {
    this.#recalled.clear();
  }

  /** Puts a lease in the place of what it was. */
  set(lease: Lease): void {
    const before = this.#leases.get(lease.id);
    if (before) this.#count(before, -1);
    // Deleted first, so that the order is that of the last changes: the same however the leases came to be known.
    this.#leases.delete(lease.id);
    this.#ended.delete(lease.id);
    this.#leases.set(lease.id, lease);
    this.#count(lease, 1);
    if (lease.end !== undefined) this.#ended.add(lease.id);
    if (this.#ended.size > ENDED_LEASES_MOST) this.#forgetOldest();
  }

  #count({ end, allotments }: Lease, sign: 1 | -1): void {
    if (end !== undefined) return;
    for (const { counter, amount } of allotments) {
      const { amount: allotted = 0, holders = 0 } = this.#allotted.get(counter.key) ?? {};
      if (holders + sign === 0) this.#allotted.delete(counter.key);
      else this.#allotted.set(counter.key, { amount: allotted + sign * amount, holders: holders + sign });
    }
  }

  #forgetOldest(): void {
    const [oldest] = this.#ended;
    if (oldest === undefined) return;
    this.#ended.delete(oldest);
    this.#leases.delete(oldest);
  }
}

/** The lease as an entry says it is from then on. */
export function leaseOf({ reservation, postings, expiresAt, reported, allotted, end }: LeasedEntry): Lease {
  const allotments = postings.map(({ counter }, i) => ({ counter, amount: allotted[i] ?? 0 })).filter(({ amount }) => amount > 0);
  return { id: reservation, expiresAt, reported, end, allotments };
}

export type LeasedEntry = Extract<Entry, { readonly kind: "leased" }>;

/** What an entry changes from one state of a lease to the next: an amount is held while the lease is open, and charged when it has expired. */
export function leaseChange(
  before: Lease | undefined,
  after: Lease,
): Pick<LeasedEntry, "postings" | "allotted" | "expiresAt" | "reported" | "end"> {
  const counters = new Map<string, CounterRef>();
  for (const { counter } of [...(before?.allotments ?? []), ...after.allotments]) counters.set(counter.key, counter);
  const [from, to] = [amountsByKey(before), amountsByKey(after)];
  const postings: Posting[] = [];
  const allotted: number[] = [];
  for (const [key, counter] of counters) {
    const [was, is] = [from.get(key) ?? 0, to.get(key) ?? 0];
    const held = (isCharged(after) ? 0 : is) - (isCharged(before) ? 0 : was);
    const spent = (isCharged(after) ? is : 0) - (isCharged(before) ? was : 0);
    postings.push({ counter, held, spent });
    allotted.push(is);
  }
  const { expiresAt, reported, end } = after;
  return { postings, allotted, expiresAt, reported, ...(end !== undefined && { end }) };
}

function isCharged(lease: Lease | undefined): boolean {
  return lease?.end === "expired";
}

function amountsByKey(lease: Lease | undefined): ReadonlyMap<string, number> {
  return new Map(lease?.allotments.map(({ counter, amount }) => [counter.key, amount]));
}

/** A lease that has run out. Calls at once are only ever held, so nothing of them is charged. */
export function expiredLease(lease: Lease): Lease {
  return { ...lease, end: "expired", allotments: lease.allotments.filter(({ counter }) => counter.unit !== "concurrent") };
}

/** What of the calls that a holder opened its lease covers, and what is left of the lease then. */
export function coverOpened(
  lease: Lease,
  opened: readonly OpenStep[],
): { readonly left: Lease; readonly holds: ReadonlyMap<OpenStep, readonly Posting[]> } {
  const left = new Map(lease.allotments.map(({ counter, amount }) => [counter.key, amount]));
  const holds = new Map<OpenStep, readonly Posting[]>();
  for (const step of opened) {
    const postings = step.holds.map(({ counter, amount }) => {
      const has = left.get(counter.key) ?? 0;
      const held = Math.min(amount, has);
      left.set(counter.key, has - held);
      return { counter, held, spent: 0 };
    });
    holds.set(step, postings);
  }
  const allotments = lease.allotments.map(({ counter }) => ({ counter, amount: left.get(counter.key) ?? 0 }));
  return { left: { ...lease, allotments }, holds };
}

/** A fair part of what is left of a limit, for one of its holders, who has `own` of it. */
export function fairPart({ amount, spent, held }: Standing, own: number, holders: number): number {
  return Math.floor((LEASED_PART * Math.max(0, amount - spent - held + own)) / holders);
}

/** What a holder gets of what it wants. It is never left with less than it has at hand and wants, for it may be using it. */
export function allottedOf({ amount, least }: Want, own: number, fair: number): number {
  if (amount <= own) return amount;
  const granted = Math.min(amount, Math.max(own, fair));
  return granted < least ? own : granted;
}
