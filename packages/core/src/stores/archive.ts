import type { Entry } from "../domain/ledger.ts";
import type { ReportQuery, ReportRow } from "../domain/report.ts";
import type { SavingRow, SavingsQuery } from "../domain/saving.ts";
import type { LedgerQuery, Store } from "./store.ts";

/**
 * The book of record: where the entries of a store go for good, each exactly once and in order, while the store itself keeps what it needs for
 * balances. It holds the ledgers of many stores; each archive object is opened for the ledger of one, by name.
 *
 * A ledger in the archive is always a whole beginning of its store's: the entries 1 to `lastSeq`, without gaps. Where a store was put back to an
 * earlier state, its history branches off from what was archived; it then goes on in a new **epoch**, after the last entry that both have.
 * What the earlier epoch has beyond that stays: it was spent.
 *
 * A verb that cannot be done now rejects with `store_unavailable`, and can be tried again.
 */
export interface LedgerArchive {
  /**
   * Finds the epoch that a store continues, or begins a new one, and returns the last entry it has there; 0 for none. To be awaited before the
   * first `append`, and again after `ledger_diverged`. `journal` reads entries that the store itself has, never the archive's: from where it
   * begins to where it ends. What lies before its beginning counts as archived.
   */
  resume(journal: Pick<Store, "entries">): Promise<number>;
  /**
   * Adds entries, which ascend without gaps and begin at `lastSeq + 1` or before. Those that are there already are passed over, so that several
   * processes can append the same entries at the same time. All are durable when it resolves. Rejects with `ledger_diverged` where the archive
   * has another entry under one of the numbers, or misses entries before the first; then nothing is added.
   */
  append(entries: readonly Entry[]): Promise<Appended>;
  /** The last entry of the epoch in the archive; 0 for none. */
  lastSeq(): Promise<number>;
  /** The entries of this ledger that a query asks for, oldest first, earlier epochs included as far as this one continues them. */
  entries(query: ArchiveQuery): Promise<readonly Entry[]>;
  /** All entries about one reservation, whichever store made them. */
  reservationEntries(reservation: string): Promise<readonly Entry[]>;
  /** Usage and cost of all ledgers in the archive. */
  report(query: ReportQuery): Promise<readonly ReportRow[]>;
  /** What rungs of ladders saved, of all ledgers in the archive. */
  savings(query: SavingsQuery): Promise<readonly SavingRow[]>;
  /** Waits for what is under way. What the archive was given, such as a pool of connections, stays open. */
  close(): Promise<void>;
}

export interface Appended {
  /** How many were not there before. */
  readonly added: number;
  /** The last entry in the archive after this, which another process may have added. */
  readonly lastSeq: number;
}

export interface ArchiveQuery extends LedgerQuery {
  /** Entries before this sequence number. */
  readonly before?: number;
}
