import type {
  BoundLimit,
  ExpireResult,
  ExtendCommand,
  ExtendResult,
  Recordable,
  RecordResult,
  ReleaseCommand,
  ReleaseResult,
  ReserveCommand,
  ReserveResult,
  SettleCommand,
  SettleResult,
  Standing,
  Used,
} from "../domain/command.ts";
import type { LeaseCommand, LeaseResult } from "../domain/lease.ts";
import type { Entry } from "../domain/ledger.ts";
import type { Counter } from "../domain/state.ts";
import type { PurserError } from "../errors.ts";
import type { Digest, Stretch } from "./digest.ts";

/**
 * Where balances live. Each verb is atomic over all limits of a call, and resolves when its effect is durable.
 * A store that cannot do its work rejects with `store_unavailable`, and nothing is held for the call. What was used stays used: a store
 * may keep a settlement or release that it could not write yet, and repeating it is safe.
 * `testing/store-contract.ts` is what a store must pass.
 */
export interface Store {
  /** Holds the asked amounts on every limit, or on none. Repeating an id gives the same answer. */
  reserve(command: Omit<ReserveCommand, "kind">): Promise<ReserveResult>;
  /** Renews the lease of a hold. */
  extend(command: Omit<ExtendCommand, "kind">): Promise<ExtendResult>;
  /** Replaces a hold by what was used; corrects the charge of a hold that expired. */
  settle(command: Omit<SettleCommand, "kind">): Promise<SettleResult>;
  /** Returns a hold whose call was never sent, or cost nothing. */
  release(command: Omit<ReleaseCommand, "kind">): Promise<ReleaseResult>;
  /** Charges the holds whose lease has run out. To be called every second or so. */
  expire(): Promise<ExpireResult>;
  /** Writes down a refusal, an adjustment, a grant or its end, where it still has an effect. */
  record(entry: Recordable): Promise<RecordResult>;
  /** All counters, or those that a filter asks for, as they stand now. */
  counters(filter?: CounterFilter): Promise<readonly Readonly<Counter>[]>;
  /** How limits stand now, with the amounts in force, in the order of the limits. Changes nothing. */
  standings(limits: readonly BoundLimit[]): Promise<readonly Standing[]>;
  /** The entries that a query asks for, oldest first. */
  entries(query: LedgerQuery): Promise<readonly Entry[]>;
  /**
   * Tells of all entries from now on, in their order, when they are durable: those that a query which is made after this call does not find are
   * told. Returns what ends it. Left out where others write to the same ledger.
   */
  follow?(follower: (entries: readonly Entry[]) => void): () => void;
  /** Waits for what is under way, then lets go of files and connections. */
  close(): Promise<void>;
  /** The reservations that were charged when the store was opened, because their owner had died. Left out where there is no such moment. */
  readonly expiredAtStart?: readonly string[];
  /** The number of the last entry that was there when the store was opened; 0 for none. Left out where there is no such moment. */
  readonly lastSeqAtStart?: number;
  /**
   * What a stretch of at most 1,000 entries is known by, read and reckoned where no call waits for it. Left out where there is no such place:
   * then whoever asks reads the entries.
   */
  digest?(stretch: Stretch): Promise<Digest>;
  /** Why nothing can be written at the moment; nothing when all is well. Left out where nothing can be in the way. */
  failure?(): PurserError | undefined;
  /**
   * Compares every balance with the sum of its entries in the ledger, while calls go on. Always empty, or there is a fault to report. Left out
   * where the store does not keep all of its ledger.
   */
  audit?(): Promise<readonly Mismatch[]>;
  /** Epoch milliseconds by the clock of the store, which decides what window a call is in. Left out where it is the caller's own. */
  time?(): Promise<number>;
  /** Runs work that no other process with the same balances may do at the same time. Left out where there is no other. */
  alone?<Result>(work: () => Promise<Result>): Promise<Result>;
}

/** A store that lends parts of its balances to those who share it: what `createLeasedStore` needs. */
export interface LeasingStore extends Store {
  /** Takes, renews, resizes or ends a lease, and counts what its holder reports. A report that comes again changes nothing. */
  lease(command: Omit<LeaseCommand, "kind">): Promise<LeaseResult>;
}

/** Which counters to read: those of one budget. There may be very many, so whoever knows the limits asks how they stand. */
export interface CounterFilter {
  readonly budget?: string;
}

/** Which entries of the ledger to read. All conditions hold together. */
export interface LedgerQuery {
  readonly reservation?: string;
  readonly kinds?: readonly Entry["kind"][];
  /** Epoch milliseconds, inclusive. */
  readonly since?: number;
  /** Entries after this sequence number. */
  readonly after?: number;
  /** At most this many; the newest of them, where `newest` is set. 1,000 where it is left out. */
  readonly most?: number;
  readonly newest?: boolean;
}

/** A balance that is not the sum of its entries. */
export interface Mismatch {
  readonly key: string;
  readonly balance: Used;
  readonly ledger: Used;
}

export const LEDGER_PAGE = 1_000;

/** Whether an entry is one that a query asks for, its page size aside. */
export function matchesQuery(entry: Entry, query: LedgerQuery): boolean {
  return (
    (query.reservation === undefined || entry.reservation === query.reservation) &&
    (query.kinds === undefined || query.kinds.includes(entry.kind)) &&
    (query.since === undefined || entry.at >= query.since) &&
    (query.after === undefined || entry.seq > query.after)
  );
}
