import { standings } from "../../domain/standing.ts";
import { selectCounters } from "../memory.ts";
import type { Store } from "../store.ts";
import type { SqliteStore } from "./durable-store.ts";
import { openDurableStore, openForReading } from "./opening.ts";
import { readEntries, readPage } from "./reading.ts";
import { recover } from "./recovery.ts";

export type { Mismatch } from "../store.ts";
export type { SqliteStore } from "./durable-store.ts";
export { GUARDED } from "./rollup-sums.ts";
export {
  type BalanceDay,
  type ObservedCalls,
  openRollups,
  type RefusedHour,
  type Rollups,
  type RollupsOptions,
  type SpentHour,
} from "./rollups.ts";

export interface SqliteStoreOptions {
  /** Where `purser.db` lies. Created where it is missing; belongs to one process at a time. */
  readonly directory: string;
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
  /** Told once of each failure to write the ledger. */
  readonly onError?: (error: unknown) => void;
  /** Told once when it can be written again. */
  readonly onNotice?: (notice: string) => void;
}

/**
 * Opens balances and ledger in a directory: kept in memory, written to SQLite before any verb resolves.
 * Calls that were in flight when the last owner died are charged at their estimate, `unconfirmed`.
 */
export function openSqliteStore(options: SqliteStoreOptions): Promise<SqliteStore> {
  return openDurableStore(options);
}

/** What can be read of a store without owning it. */
export type ReadableStore = Pick<Store, "counters" | "standings" | "entries" | "close">;

/** Reads balances and ledger of a directory without owning it, while its owner runs or not. Sees what is on disk. */
export async function readSqliteStore({
  directory,
  now = Date.now,
}: Omit<SqliteStoreOptions, "onError" | "onNotice">): Promise<ReadableStore> {
  const database = await openForReading(directory);
  return {
    standings: async (limits) => standings(recover(database).state, limits, now()),
    counters: async (filter = {}) => selectCounters(recover(database).state, filter),
    entries: (query) => readEntries((page) => readPage(database, page), query),
    close: async () => database.close(),
  };
}
