import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, test } from "node:test";
import pg from "pg";
import { openTestDatabase, testServer } from "./database.test-setup.ts";
import { openPostgres } from "./index.ts";
import { migrate } from "./migration.ts";
import { MIGRATIONS } from "./migrations/index.ts";

const server = testServer(after);

test("several processes that start at the same time bring an empty database to this version once", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const schema = `test_${randomBytes(6).toString("hex")}`;
  await Promise.all(Array.from({ length: 5 }, () => openPostgres({ pool: database.pool, schema })));
  await openPostgres({ pool: database.pool, schema });
  const { rows } = await database.pool.query(`SELECT number, name FROM ${schema}.migration ORDER BY number`);
  await database.pool.query(`DROP SCHEMA ${schema} CASCADE`);
  assert.deepEqual(
    rows,
    MIGRATIONS.map(({ number, name }) => ({ number, name })),
  );
});

test("a database that a later version has changed is refused, and the refusal says so", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const next = { number: MIGRATIONS.length + 1, name: "next", sql: "CREATE TABLE purser.next (one integer);" };
  await migrate(database.database, [...MIGRATIONS, next]);
  await assert.rejects(migrate(database.database), (error: { code: string; message: string }) => {
    assert.equal(error.code, "postgres_unusable");
    assert.match(error.message, /later version of Purser.*step \d+ \("next"\).*Update this one/);
    return true;
  });
});

test("a step that was released with another text is refused", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const changed = MIGRATIONS.map((migration) => (migration.number === 2 ? { ...migration, sql: `${migration.sql} ` } : migration));
  await assert.rejects(migrate(database.database, changed), { code: "postgres_unusable", message: /step 2 \("rollups"\).*another text/ });
});

test("a step that fails leaves nothing of itself behind", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const broken = { number: MIGRATIONS.length + 1, name: "broken", sql: "CREATE TABLE purser.half (one integer); SELECT 1 / 0;" };
  await assert.rejects(migrate(database.database, [...MIGRATIONS, broken]), { code: "store_unavailable" });
  const half = await database.rows("SELECT to_regclass($1) AS half", [`${database.database.schema}.half`]);
  assert.deepEqual(half, [{ half: null }]);
  await migrate(database.database);
});

test("a user without the rights, a database in another encoding and a name that is none are refused with what to do", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const name = `test_${randomBytes(6).toString("hex")}`;
  const { pool } = database;
  const url = new URL((pool.options as { connectionString: string }).connectionString);
  await pool.query(`CREATE ROLE ${name} LOGIN PASSWORD 'secret'`);
  await pool.query(`CREATE DATABASE ${name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`);
  try {
    await refused(Object.assign(new URL(url), { username: name, password: "secret" }).href, name, /may not change it .*denied.*OWNER/);
    await refused(Object.assign(new URL(url), { pathname: `/${name}` }).href, name, /encoding is LATIN1.*CREATE DATABASE/);
    await refused(url.href, "a; DROP SCHEMA b", /cannot be the schema/);
  } finally {
    await pool.query(`DROP DATABASE ${name}`);
    await pool.query(`DROP ROLE ${name}`);
  }
});

async function refused(connectionString: string, schema: string, message: RegExp): Promise<void> {
  const pool = new pg.Pool({ connectionString, max: 1 });
  try {
    await assert.rejects(openPostgres({ pool, schema }), { code: "postgres_unusable", message });
  } finally {
    await pool.end();
  }
}
