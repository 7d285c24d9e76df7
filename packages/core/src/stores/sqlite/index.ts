import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { PurserError } from "../../errors.ts";
import { selectCounters } from "../memory.ts";
import type { Store } from "../store.ts";
import { type Database, loadSqlite, type OpenDatabase } from "./driver.ts";
import { DurableStore, type SqliteStore } from "./durable-store.ts";
import { openJournal } from "./journal.ts";
import { type Ownership, takeOwnership } from "./ownership.ts";
import { readEntries, readPage } from "./reading.ts";
import { type Recovered, recover } from "./recovery.ts";
import { checkSchema, prepareSchema } from "./schema.ts";

export type { Mismatch, SqliteStore } from "./durable-store.ts";

export interface SqliteStoreOptions {
  /** Where `purser.db` lies. Created where it is missing; belongs to one process at a time. */
  readonly directory: string;
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
  /** Told once of each failure to write the ledger. */
  readonly onError?: (error: unknown) => void;
}

/**
 * Opens balances and ledger in a directory: kept in memory, written to SQLite before any verb resolves.
 * Calls that were in flight when the last owner died are charged at their estimate, `unconfirmed`.
 */
export async function openSqliteStore({ directory, now, onError }: SqliteStoreOptions): Promise<SqliteStore> {
  const open = await loadSqlite();
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const ownership = takeOwnership(directory, open);
  try {
    return await start({ open, ownership, directory, ...(now && { now }), ...(onError && { onError }) });
  } catch (error) {
    ownership.release();
    throw error;
  }
}

async function start(options: SqliteStoreOptions & { readonly open: OpenDatabase; readonly ownership: Ownership }): Promise<SqliteStore> {
  const { open, ownership, directory, now, onError } = options;
  const path = databasePath(directory);
  const recovered = prepare(open, path);
  const store = new DurableStore({
    journal: openJournal(path),
    recovered,
    directory,
    ...(now && { now }),
    ...(onError && { onError }),
    onClosed: () => ownership.release(),
  });
  await store.begin();
  return store;
}

function prepare(open: OpenDatabase, path: string): Recovered {
  const database = openDatabase(open, path);
  try {
    prepareSchema(database);
    return recover(database);
  } finally {
    database.close();
  }
}

/** Reads balances and ledger of a directory without owning it, while its owner runs or not. Sees what is on disk. */
export async function readSqliteStore({
  directory,
}: {
  readonly directory: string;
}): Promise<Pick<Store, "counters" | "entries" | "close">> {
  const path = databasePath(directory);
  if (!existsSync(path)) {
    throw new PurserError("store_unavailable", `There is no ledger in ${directory} yet. It is created when Purser first starts there.`);
  }
  const database = openDatabase(await loadSqlite(), path, { readOnly: true });
  checkSchema(database);
  return {
    counters: async (filter = {}) => selectCounters(recover(database).state, filter),
    entries: (query) => readEntries((page) => readPage(database, page), query),
    close: async () => database.close(),
  };
}

function openDatabase(open: OpenDatabase, path: string, options = {}): Database {
  try {
    return open(path, options);
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new PurserError("store_unavailable", `The ledger ${path} cannot be opened: ${what}. Check the rights of its directory.`, {
      cause,
    });
  }
}

function databasePath(directory: string): string {
  return join(directory, "purser.db");
}
