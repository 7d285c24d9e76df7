import type { LeaseCommand, LeaseResult } from "./lease.ts";
import type { CallDetail, Charge, CounterRef, Entry } from "./ledger.ts";
import type { Unit } from "./limit.ts";
import type { Rule } from "./slices.ts";

/** What a call asks of one unit: `base` plus `perOutputToken` for each token of its output cap, both in 1/`scale` of the unit. */
export interface Ask {
  readonly base: number;
  readonly perOutputToken: number;
  readonly scale: number;
}

export type Asks = Readonly<Record<Unit, Ask>>;

/** What a call really used, by unit. What counts by weights goes by its usage. */
export type Amounts = Readonly<Record<Unit, number>>;

/** One limit that applies to a call, with the counter it is kept on. */
export interface BoundLimit {
  /** Of a moving window: the slice that the time falls into. */
  readonly counter: CounterRef;
  /** What there is room for at once, without grants and what is carried over. */
  readonly amount: number;
  /** `false` counts without refusing. */
  readonly enforced: boolean;
  /** Up to when a limit that is enforced only counts, by the clock of the store; epoch milliseconds. */
  readonly observedUntil?: number;
  /** How the slices of a moving window add up. */
  readonly rule?: Rule;
  readonly rollover?: Rollover;
}

/** What the window before left unused of its amount is added to this one, up to `most`. What was added there is not passed on again. */
export interface Rollover {
  /** The key of the counter of the window before. One that does not exist has left everything. */
  readonly key: string;
  readonly amount: number;
  readonly most: number;
}

export interface ReserveCommand {
  readonly kind: "reserve";
  readonly id: string;
  readonly limits: readonly BoundLimit[];
  readonly asks: Asks;
  /** The output cap of one answer may be lowered from `most` to what fits, not below `least`. */
  readonly output: OutputRange;
  /** Refuse an amount above 1/`share` of what any limit has left, observed ones too: for estimates too rough to decide near a limit. */
  readonly share?: number | undefined;
  /** Refuse, rather than shorten the answer, where leases hold what the whole call lacks: whoever asks will have it returned and ask again. */
  readonly patient?: boolean;
  /** Another process may end the call, so the store itself has to know it at once. */
  readonly isShared?: boolean | undefined;
  readonly leaseMs: number;
  /** The engine fills in the output and the cost that are held. */
  readonly detail: CallDetail;
}

export interface OutputRange {
  readonly least: number;
  readonly most: number;
}

export interface ExtendCommand {
  readonly kind: "extend";
  readonly id: string;
  readonly leaseMs: number;
  /** Holds more for the call too. Where that does not fit nothing changes, the lease included. */
  readonly more?: More | undefined;
}

/** What is held for a call from then on, in the place of what was held before. */
export interface More {
  /** The limits of the call, bound for the time when it was admitted. */
  readonly limits: readonly BoundLimit[];
  /** What was asked when it was admitted. */
  readonly asks: Asks;
  /** As much of the output of one answer as fits, and at least this much. */
  readonly output: OutputRange;
}

export interface SettleCommand {
  readonly kind: "settle";
  readonly id: string;
  readonly amounts: Amounts;
  readonly charge: Charge;
}

export interface ReleaseCommand {
  readonly kind: "release";
  readonly id: string;
  readonly why: string;
}

/**
 * Charges every hold whose lease has run out, at its estimate; or all holds, when their owner is known to be dead: but those of batches, which go
 * on without it.
 */
export interface ExpireCommand {
  readonly kind: "expire";
  readonly all?: boolean;
}

/**
 * Writes down a refusal, an answer that was known, an adjustment, a grant or its end. What an adjustment holds must belong to a reservation in flight, and what it
 * charges to one that ended to one whose charge can still be corrected, which then corrects that too; each on a counter that the reservation
 * is not posted to yet, and for the answer that the call is held for by now. Limits come into force only after those that they follow. A grant that ends must be there and one that begins must
 * not; else nothing is written. A reset takes back what is spent on its counters at that moment.
 */
export interface RecordCommand {
  readonly kind: "record";
  readonly entry: Recordable;
}

export type Recordable = DistributiveOmit<
  Extract<Entry, { kind: "denied" | "answered" | "adjusted" | "granted" | "revoked" }>,
  "seq" | "at"
>;

export type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

export type Command = ReserveCommand | ExtendCommand | SettleCommand | ReleaseCommand | ExpireCommand | RecordCommand | LeaseCommand;

/** Whether a limit refuses calls at a time. */
export function isEnforced({ enforced, observedUntil }: Pick<BoundLimit, "enforced" | "observedUntil">, now: number): boolean {
  return enforced && (observedUntil === undefined || now >= observedUntil);
}

/** What is used of a limit. */
export interface Used {
  readonly spent: number;
  readonly held: number;
  /** How much of what is held no call uses yet, because it is allotted to leases. Left out where nothing is. */
  readonly allotted?: number;
}

/** How one limit stands, in the order of the command's limits. */
export interface Standing extends Used {
  /** The amount in force: that of the limit, with what is granted and carried over. */
  readonly amount: number;
}

export type ReserveResult =
  | {
      readonly outcome: "reserved";
      /** The output cap for one answer. */
      readonly outputTokens: number;
      readonly expiresAt: number;
      /** After the hold. */
      readonly standings: readonly Standing[];
      /** Indexes of the limits that would refuse, were they enforced. */
      readonly wouldRefuse: readonly number[];
      /** The call as it is held: where an id is repeated, as it was held the first time. */
      readonly detail: CallDetail;
    }
  /**
   * `failing`: the index of the limit that refuses, `asked`: the least the call asks of it, `until`: when that fits, if nothing else is
   * asked: 0 at any moment, `Infinity` never.
   */
  | {
      readonly outcome: "refused";
      readonly failing: number;
      readonly asked: number;
      readonly until: number;
      readonly standings: readonly Standing[];
    }
  /** The id was used before and its reservation has ended. */
  | { readonly outcome: "ended" }
  /**
   * A limit was bound to a window that is not open by the clock of the store: bind the limits anew, at its time, and ask again. Only a
   * store whose clock is not that of its callers answers so.
   */
  | { readonly outcome: "moved"; readonly now: number };

/** `outputTokens`: how much of one answer is held, where more was asked for; `refused`: there was no room for it. */
export type ExtendResult =
  | { readonly outcome: "extended"; readonly expiresAt: number; readonly outputTokens?: number }
  | { readonly outcome: "refused" }
  | { readonly outcome: "unknown" };

/** `corrected`: the hold had expired, and its charge was replaced. */
export type SettleResult = { readonly outcome: "settled" | "corrected" | "duplicate" | "unknown" };

export type ReleaseResult = { readonly outcome: "released" | "corrected" | "duplicate" | "unknown" };

/** The ids of the reservations that were charged. */
export type ExpireResult = { readonly expired: readonly string[] };

/** `ignored`: it has no effect any more, and nothing was written. */
export type RecordResult = { readonly outcome: "recorded" | "ignored" };

export interface Applied<Result> {
  readonly result: Result;
  /** The entries that the command added, already part of the state. */
  readonly entries: readonly Entry[];
}

/** What each kind of command is answered with. */
export interface Results {
  readonly reserve: ReserveResult;
  readonly extend: ExtendResult;
  readonly settle: SettleResult;
  readonly release: ReleaseResult;
  readonly expire: ExpireResult;
  readonly record: RecordResult;
  readonly lease: LeaseResult;
}

export function unchanged<Result>(result: Result): Applied<Result> {
  return { result, entries: [] };
}

/** What a call with this output cap asks of a unit, rounded up to whole units. */
export function amountOf({ base, perOutputToken, scale }: Ask, outputTokens: number): number {
  return Math.ceil((base + perOutputToken * outputTokens) / scale);
}
