import { randomBytes } from "node:crypto";
import type { TestContext } from "node:test";
import pg from "pg";
import { from } from "pg-copy-streams";
import { openTestPostgres, type TestPostgres } from "../../testing/postgres-server.ts";
import type { LedgerArchive } from "../archive.ts";
import { openPostgres, openPostgresArchive } from "./index.ts";
import type { Database } from "./pool.ts";

/** The server of a test file; a text says why there is none. Started once, and stopped with the file. */
export function testServer(after: (work: () => Promise<void>) => void): () => Promise<TestPostgres | string> {
  let server: Promise<TestPostgres | string> | undefined;
  after(async () => {
    const opened = await server;
    if (opened && typeof opened !== "string") await opened.close();
  });
  return () => {
    server ??= openTestPostgres();
    return server;
  };
}

/** A schema of a test's own. */
export interface TestDatabase {
  readonly pool: pg.Pool;
  readonly database: Database;
  /** An archive for a ledger, with connections of its own where `pool` is given. */
  archive(ledger?: string, options?: { readonly copy?: boolean; readonly pool?: pg.Pool }): Promise<LedgerArchive>;
  /** Runs a statement over `purser.…` and returns its rows. */
  // biome-ignore lint/suspicious/noExplicitAny: rows are as a statement selects them
  rows(sql: string, values?: unknown[]): Promise<any[]>;
}

/** A fresh schema, gone with the test. Undefined, and the test skipped, where there is no server. */
export async function openTestDatabase(t: TestContext, server: TestPostgres | string): Promise<TestDatabase | undefined> {
  if (typeof server === "string") {
    t.skip(`not run: ${server}`);
    return undefined;
  }
  const schema = `test_${randomBytes(6).toString("hex")}`;
  const pool = new pg.Pool({ connectionString: server.url, max: 6 });
  pool.on("error", () => undefined);
  t.after(async () => {
    await pool.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`).catch(() => undefined);
    await pool.end();
  });
  const database = await openPostgres({ pool, schema });
  return {
    pool,
    database,
    archive: (ledger = "test", { copy = true, pool: own = pool } = {}) =>
      openPostgresArchive({ pool: own, schema, ledger, ...(copy && { copyFrom: from }) }),
    rows: async (sql, values) => (await database.query(sql, values)).rows,
  };
}
