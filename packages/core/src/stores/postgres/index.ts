import { PurserError } from "../../errors.ts";
import type { LedgerArchive } from "../archive.ts";
import { PostgresArchive } from "./archive.ts";
import { migrate } from "./migration.ts";
import { type CopyFrom, Database, type PostgresPool, SCHEMA } from "./pool.ts";

export type { LedgerArchive } from "../archive.ts";
export { Drain, type DrainOptions, type Lag } from "../drain.ts";
export type { CopyFrom, CopyStream, PostgresClient, PostgresPool, PostgresResult } from "./pool.ts";
export { Database } from "./pool.ts";

export interface PostgresOptions {
  /** A pool of the package `pg`. It is yours: it stays open. */
  readonly pool: PostgresPool;
  /** The schema that the tables are in; `purser` where it is left out. */
  readonly schema?: string;
}

export interface PostgresArchiveOptions extends PostgresOptions {
  /** Whose ledger it is. A store goes by the same name for all its life, and no two stores by one. */
  readonly ledger: string;
  /** `from` of the package `pg-copy-streams`: large batches go in twice as fast. */
  readonly copyFrom?: CopyFrom;
}

/** Opens the tables of Purser in a database: made where they are missing, brought to this version where they are older. */
export async function openPostgres({ pool, schema = SCHEMA }: PostgresOptions): Promise<Database> {
  if (!/^[a-z][a-z0-9_]{0,50}$/.test(schema))
    throw new PurserError("postgres_unusable", `"${schema}" cannot be the schema. Use small letters, digits and underscores.`);
  const database = new Database(pool, schema);
  await migrate(database);
  return database;
}

/** Opens the book of record in a PostgreSQL database, for the ledger of one store. */
export async function openPostgresArchive({ ledger, copyFrom, ...options }: PostgresArchiveOptions): Promise<LedgerArchive> {
  return new PostgresArchive({ database: await openPostgres(options), ledger, copyFrom });
}
