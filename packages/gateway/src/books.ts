import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { type LedgerArchive, PurserError } from "@purser/core";
import { type Database, openPostgres, openPostgresArchive } from "@purser/core/stores/postgres";
import pg from "pg";
import { from } from "pg-copy-streams";
import type { Keys } from "./callers/key.ts";
import { openSharedKeys } from "./callers/shared-keys.ts";
import { postgresPlace } from "./config/postgres-place.ts";
import { readOrWriteOnce } from "./written-once.ts";

/** What a gateway keeps in PostgreSQL: its ledger for good, and the keys that it shares with others. */
export interface Books {
  readonly archive: LedgerArchive;
  readonly keys: Keys;
  close(): Promise<void>;
}

export interface BooksOptions {
  /** The address of the database, with user and password. */
  readonly url: string;
  /** Whose ledger is brought there. */
  readonly ledger: string;
  /** The data folder, whose keys are moved there. */
  readonly directory: string;
  readonly onError?: (error: unknown) => void;
  /** How long to wait for a server that is just starting. */
  readonly patienceMs?: number;
}

const PATIENCE_MS = 15_000;
const RETRY_MS = 500;
const CONNECT_MS = 5_000;
/** Statements of ours end long before; what does not is a connection whose other end is gone. */
const STATEMENT_MS = 90_000;
const CONNECTIONS_MOST = 6;

/** Opens the books, waiting for a server that is just starting. Throws what an operator has to do. */
export async function openBooks(options: BooksOptions): Promise<Books> {
  const { url, ledger, directory, onError = () => undefined, patienceMs = PATIENCE_MS } = options;
  const pool = new pg.Pool({
    connectionString: url,
    max: CONNECTIONS_MOST,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: STATEMENT_MS,
    keepAlive: true,
    application_name: "purser",
  });
  // A connection that breaks while nobody uses it is replaced when somebody does.
  pool.on("error", () => undefined);
  try {
    const database = await openPatiently(pool, url, patienceMs);
    const archive = await openPostgresArchive({ pool, ledger, copyFrom: from });
    const keys = await openSharedKeys({ database, directory, onError });
    return {
      archive,
      keys,
      async close() {
        keys.close();
        await archive.close();
        await pool.end();
      },
    };
  } catch (error) {
    await pool.end();
    throw error;
  }
}

/** The name of the ledger in a data folder, made at the first start. It stays with the folder, also where that is put back from a copy. */
export function ledgerNameOf(directory: string): Promise<string> {
  return readOrWriteOnce(join(directory, "ledger.id"), () => `ledger_${randomBytes(9).toString("hex")}`);
}

/** A server and a gateway that are started together are ready at different times. */
async function openPatiently(pool: pg.Pool, url: string, patienceMs: number): Promise<Database> {
  const until = performance.now() + patienceMs;
  for (;;) {
    try {
      return await openPostgres({ pool });
    } catch (error) {
      const cause = (error as PurserError).cause as NodeJS.ErrnoException | undefined;
      if (!(error instanceof PurserError) || error.code !== "store_unavailable") throw error;
      if (!isStarting(cause) || performance.now() > until) throw startError(url, cause);
      await setTimeout(RETRY_MS);
    }
  }
}

/** Whether a server that does not answer may do so in a moment: nothing listens yet, or it says that it is starting. */
function isStarting(cause: NodeJS.ErrnoException | undefined): boolean {
  return ["ECONNREFUSED", "ENOENT", "57P03"].includes(codeOf(cause) ?? "");
}

/** Where a name has several addresses, each has failed. */
function codeOf(cause: NodeJS.ErrnoException | undefined): string | undefined {
  return cause instanceof AggregateError ? (cause.errors[0] as NodeJS.ErrnoException | undefined)?.code : cause?.code;
}

const REMEDIES: Readonly<Record<string, string>> = {
  ECONNREFUSED: "Nothing listens there. Start PostgreSQL, or mend the address",
  ENOTFOUND: "There is no machine of that name. Mend the address",
  "28P01": "It refuses the password. Mend the address, or set it there: ALTER ROLE … PASSWORD …",
  "28000": "It refuses the user. Mend the address, or let the user in: CREATE ROLE … LOGIN, and pg_hba.conf",
  "3D000": "There is no such database. Make it: CREATE DATABASE …",
};

/** Names the server and the database, and nothing of the user. */
function startError(url: string, cause: NodeJS.ErrnoException | undefined): PurserError {
  const remedy = REMEDIES[codeOf(cause) ?? ""] ?? `${cause?.message ?? "It does not answer"}. Is it the right address`;
  return new PurserError(
    "store_unavailable",
    `PostgreSQL at ${postgresPlace(url)} cannot be used. ${remedy} (store.postgres in purser.yaml).`,
    {
      cause,
    },
  );
}
