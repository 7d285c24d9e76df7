import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PurserError } from "../../errors.ts";
import type { Database, OpenDatabase } from "./driver.ts";

/** The right to write to a directory. It ends with `release`, or with the process, however that ends. */
export interface Ownership {
  release(): void;
}

/**
 * Takes a data directory for this process. Throws `store_locked` where another one has it.
 * The lock is the operating system's own, on a database that holds nothing: it cannot outlive its process.
 */
export function takeOwnership(directory: string, open: OpenDatabase): Ownership {
  const database = open(join(directory, "owner.db"));
  const pidFile = join(directory, "owner.pid");
  try {
    database.exec("PRAGMA busy_timeout = 0; PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE;");
  } catch (cause) {
    database.close();
    throw lockedError(directory, pidFile, cause);
  }
  writeFileSync(pidFile, `${process.pid}\n`);
  return { release: () => release(database) };
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
    return ` (process ${readFileSync(pidFile, "utf8").trim()})`;
  } catch {
    return "";
  }
}
