import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PurserError } from "../../errors.ts";
import type { Database, OpenDatabase } from "./driver.ts";

/** The right to write to a directory. It ends with `release`, or with the process, however that ends. */
export interface Ownership {
  release(): void;
}

/**
 * Takes a data directory for this process. Throws `store_locked` where another one has it, and `store_unavailable` where it cannot be written to.
 * The lock is the operating system's own, on a database that holds nothing: it cannot outlive its process.
 */
export function takeOwnership(directory: string, open: OpenDatabase): Ownership {
  const pidFile = join(directory, "owner.pid");
  let database: Database | undefined;
  try {
    database = open(join(directory, "owner.db"));
    database.exec("PRAGMA busy_timeout = 0; PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE;");
    writeFileSync(pidFile, `${process.pid}\n`);
  } catch (cause) {
    database?.close();
    throw isLocked(cause) ? lockedError(directory, pidFile, cause) : unusableError(directory, cause);
  }
  const taken = database;
  return { release: () => release(taken) };
}

function release(database: Database): void {
  database.exec("ROLLBACK");
  database.close();
}

function lockedError(directory: string, pidFile: string, cause: unknown): PurserError {
  const what = `The data directory ${directory} belongs to another running Purser${ownerOf(pidFile)}.`;
  return new PurserError("store_locked", `${what} Stop that one first, or give this one a directory of its own.`, { cause });
}

function ownerOf(pidFile: string): string {
  try {
    const pid = readFileSync(pidFile, "utf8").trim();
    return pid === "" ? "" : ` (process ${pid})`;
  } catch {
    return "";
  }
}

function unusableError(directory: string, cause: unknown): PurserError {
  const message = isFull(cause)
    ? `The disk of the data directory ${directory} is full. Make room there, and start again.`
    : `The data directory ${directory} cannot be used: ${(cause as Error).message}. Check that it can be written to, and its file owner.db, which is only the lock and may be deleted while no Purser runs.`;
  return new PurserError("store_unavailable", message, { cause });
}

/** What the code of an SQLite error says before it goes into detail. */
const SQLITE_BUSY = 5;
const SQLITE_FULL = 13;

function isLocked(cause: unknown): boolean {
  return primaryCode(cause) === SQLITE_BUSY;
}

function isFull(cause: unknown): boolean {
  return primaryCode(cause) === SQLITE_FULL || (cause as { readonly code?: unknown }).code === "ENOSPC";
}

function primaryCode(cause: unknown): number | undefined {
  const { errcode } = cause as { readonly errcode?: unknown };
  return typeof errcode === "number" ? errcode & 0xff : undefined;
}
