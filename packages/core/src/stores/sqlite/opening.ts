import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { PurserError } from "../../errors.ts";
import { type Database, loadSqlite, type OpenDatabase } from "./driver.ts";
import { DurableStore } from "./durable-store.ts";
import { type Journal, openJournal } from "./journal.ts";
import { takeOwnership } from "./ownership.ts";
import { type Recovered, recover } from "./recovery.ts";
import { checkSchema, prepareSchema } from "./schema.ts";

export interface OpenOptions {
  readonly directory: string;
  readonly now?: () => number;
  /** Milliseconds from any moment on, by a clock that cannot be set. */
  readonly elapsed?: () => number;
  readonly onError?: (error: unknown) => void;
  readonly onNotice?: (notice: string) => void;
  readonly snapshotMs?: number;
  readonly retryMs?: number;
  readonly lingerMs?: number;
  /** Puts something between the store and its journal: faults, in tests. */
  readonly wrapJournal?: (journal: Journal) => Journal;
}

/** Takes a directory, recovers what is in it, and charges what its last owner left open. */
export async function openDurableStore({ wrapJournal = (journal) => journal, ...options }: OpenOptions): Promise<DurableStore> {
  const open = await loadSqlite();
  mkdirSync(options.directory, { recursive: true, mode: 0o700 });
  const ownership = takeOwnership(options.directory, open);
  const path = databasePath(options.directory);
  const journal = wrapJournal(openJournal(path));
  try {
    const recovered = recoverFrom(open, path);
    const store = new DurableStore({ ...options, journal, recovered, onClosed: () => ownership.release() });
    await store.begin();
    return store;
  } catch (error) {
    await journal.close();
    ownership.release();
    throw error;
  }
}

function recoverFrom(open: OpenDatabase, path: string): Recovered {
  return readable(path, () => {
    const database = open(path);
    try {
      prepareSchema(database);
      return recover(database);
    } finally {
      database.close();
    }
  });
}

/** Opens the ledger of a directory beside its owner, if it has one. */
export async function openForReading(directory: string): Promise<Database> {
  const open = await loadSqlite();
  const path = databasePath(directory);
  if (!existsSync(path)) {
    throw new PurserError("store_unavailable", `There is no ledger in ${directory} yet. It is created when Purser first starts there.`);
  }
  return readable(path, () => {
    const database = open(path, { readOnly: true });
    checkSchema(database);
    return database;
  });
}

function readable<Result>(path: string, read: () => Result): Result {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof PurserError) throw cause;
    const what = cause instanceof Error ? cause.message : String(cause);
    const message = `The ledger ${path} cannot be read: ${what}. Check the rights and the free space of its directory, or restore it from a copy.`;
    throw new PurserError("store_unavailable", message, { cause });
  }
}

function databasePath(directory: string): string {
  return join(directory, "purser.db");
}
