import { PurserError } from "../../errors.ts";
import type { Database } from "./driver.ts";

/**
 * The tables of `purser.db`. Amounts of money are in nano-dollars, times in epoch milliseconds.
 *
 * - `counter` names what `entry.postings` refers to by number.
 * - `entry` is the ledger. `opened` is the `seq` of the entry that opened the reservation, which then has its id and detail.
 *   `postings` is `counter,held,spent` repeated.
 * - `balance` and `snapshot` are the state at one `seq`, so that a start reads only what came after it.
 * - `snapshot.steady` is the time by which windows were forgotten then.
 * - `mark` says that no entry up to `seq` is later than `latest`, so that a time is found without an index over all entries.
 */
const TABLES = `
  CREATE TABLE counter (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, budget TEXT NOT NULL, subject TEXT NOT NULL, unit TEXT NOT NULL, window TEXT NOT NULL,
    starts_at INTEGER NOT NULL, resets_at INTEGER, drains INTEGER
  ) STRICT;
  CREATE TABLE entry (
    seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, opened INTEGER, reservation TEXT, postings TEXT NOT NULL, body TEXT NOT NULL
  ) STRICT;
  CREATE INDEX entry_reservation ON entry (reservation) WHERE reservation IS NOT NULL;
  CREATE INDEX entry_opened ON entry (opened) WHERE opened IS NOT NULL;
  CREATE INDEX entry_kind ON entry (kind, seq) WHERE kind NOT IN ('reserved', 'settled');
  CREATE TABLE balance (counter INTEGER PRIMARY KEY, held INTEGER NOT NULL, spent INTEGER NOT NULL) STRICT;
  CREATE TABLE snapshot (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, holds TEXT NOT NULL, steady INTEGER NOT NULL DEFAULT 0) STRICT;
  CREATE TABLE mark (seq INTEGER PRIMARY KEY, latest INTEGER NOT NULL) STRICT;
`;

/** What each earlier version lacks that the one after it has, from the first on. */
const MIGRATIONS: readonly string[] = [
  "ALTER TABLE snapshot ADD COLUMN steady INTEGER NOT NULL DEFAULT 0;",
  "ALTER TABLE counter ADD COLUMN drains INTEGER;",
];
const VERSION = MIGRATIONS.length + 1;

/**
 * Every connection: readers beside one writer, and a commit that survives a power cut. The timeout comes first, since changing the mode
 * already waits for locks: a connection that was closed can hold some until its statements are collected as garbage.
 */
export const CONNECTION = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16000;";

/** Creates the tables of a new database, and refuses one that a later version wrote. */
export function prepareSchema(database: Database): void {
  database.exec(CONNECTION);
  const version = schemaVersion(database);
  const change = version === 0 ? TABLES : MIGRATIONS.slice(version - 1).join(" ");
  if (change) database.exec(`BEGIN IMMEDIATE; ${change} PRAGMA user_version = ${VERSION}; COMMIT;`);
  checkSchema(database);
}

/** Throws where the database is not one that this version can read. */
export function checkSchema(database: Database): void {
  const version = schemaVersion(database);
  if (version !== VERSION) {
    const message = `The ledger has the format ${version} and this version of Purser reads ${VERSION}. Use the version that wrote it, or a later one.`;
    throw new PurserError("store_unavailable", message);
  }
}

function schemaVersion(database: Database): number {
  return (database.prepare("PRAGMA user_version").get() as { user_version: number }).user_version;
}
