import { createHash } from "node:crypto";
import { PurserError } from "../../errors.ts";
import { MIGRATIONS, type Migration } from "./migrations/index.ts";
import type { Database, PostgresClient } from "./pool.ts";

const VERSION_LEAST = 130_000;

/** Brings the schema of a database to this version, in one transaction. Several processes may do so at the same time. Throws `postgres_unusable`. */
export async function migrate(database: Database, migrations: readonly Migration[] = MIGRATIONS): Promise<void> {
  await database.transaction(async (client) => {
    await checkServer(client);
    await client.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [`purser migration of ${database.schema}`]);
    await createMigrationTable(database, client);
    const done = await readDone(database, client);
    checkDone(done, migrations);
    for (const migration of migrations.filter(({ number }) => !done.has(number))) await run(database, client, migration);
  });
}

async function checkServer(client: PostgresClient): Promise<void> {
  const { rows } = await client.query(
    "SELECT current_setting('server_version_num')::int AS version, current_setting('server_encoding') AS encoding, pg_is_in_recovery() AS is_copy",
  );
  const { version, encoding, is_copy } = rows[0] as { version: number; encoding: string; is_copy: boolean };
  if (version < VERSION_LEAST)
    throw unusable(`it has version ${Math.floor(version / 10_000)}, and 13 is the oldest that works. Use a newer one`);
  if (encoding !== "UTF8")
    throw unusable(`its encoding is ${encoding}. Make one for Purser: CREATE DATABASE purser ENCODING 'UTF8' TEMPLATE template0`);
  if (is_copy) throw unusable("it is a standby, which cannot be written. Name the primary");
}

async function createMigrationTable(database: Database, client: PostgresClient): Promise<void> {
  const { rows } = await client.query("SELECT to_regclass($1) AS migration, to_regnamespace($2) AS schema", [
    `${database.schema}.migration`,
    database.schema,
  ]);
  const { migration, schema } = rows[0] as { migration: string | null; schema: string | null };
  if (migration !== null) return;
  await allowed(async () => {
    if (schema === null) await client.query(`CREATE SCHEMA ${database.schema}`);
    await client.query(
      database.sql(
        "CREATE TABLE purser.migration (number integer PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL, done_at timestamptz NOT NULL DEFAULT now())",
      ),
    );
  });
}

type Done = ReadonlyMap<number, { readonly name: string; readonly sha256: string }>;

async function readDone(database: Database, client: PostgresClient): Promise<Done> {
  const { rows } = await allowed(() => client.query(database.sql("SELECT number, name, sha256 FROM purser.migration ORDER BY number")));
  return new Map(rows.map(({ number, name, sha256 }) => [number, { name, sha256 }]));
}

function checkDone(done: Done, migrations: readonly Migration[]): void {
  for (const [number, { name, sha256 }] of done) {
    const known = migrations.find((migration) => migration.number === number);
    if (!known)
      throw unusable(
        `a later version of Purser has brought it to step ${Math.max(...done.keys())} ("${name}"), which this one does not know. Update this one`,
      );
    if (checksum(known) !== sha256)
      throw unusable(
        `step ${number} ("${name}") was done by another text than this version has. Use the version of Purser that made the database`,
      );
  }
}

async function run(database: Database, client: PostgresClient, migration: Migration): Promise<void> {
  const { number, name, sql } = migration;
  await allowed(() => client.query(database.sql(sql)));
  await client.query(database.sql("INSERT INTO purser.migration (number, name, sha256) VALUES ($1, $2, $3)"), [
    number,
    name,
    checksum(migration),
  ]);
}

function checksum({ sql }: Migration): string {
  return createHash("sha256").update(sql).digest("hex");
}

async function allowed<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (cause) {
    if ((cause as { code?: unknown }).code !== "42501") throw cause;
    const what = (cause as Error).message;
    throw unusable(`its user may not change it (${what}). Let it own a database: CREATE DATABASE purser OWNER that_user`, cause);
  }
}

function unusable(what: string, cause?: unknown): PurserError {
  return new PurserError("postgres_unusable", `This PostgreSQL database cannot be used: ${what}.`, { cause });
}
