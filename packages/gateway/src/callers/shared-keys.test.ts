import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, type TestContext, test } from "node:test";
import { openPostgres } from "@purser/core/stores/postgres";
import { startTestPostgres } from "@purser/core/testing";
import pg from "pg";
import { openTestDatabase, testServer } from "../conformance/database.ts";
import { eventually } from "../conformance/stand.ts";
import { openKeys } from "./keys.ts";
import { openSharedKeys } from "./shared-keys.ts";

const server = testServer(after);
const NOW = Date.UTC(2026, 10, 20);

/** Opens the keys of gateways on one database, each with a data folder of its own. */
async function gateways(t: TestContext, url: string) {
  const pool = new pg.Pool({ connectionString: url, max: 4 });
  pool.on("error", () => undefined);
  const database = await openPostgres({ pool });
  const errors: unknown[] = [];
  const opened: { close(): void }[] = [];
  const folders: string[] = [];
  t.after(async () => {
    for (const keys of opened) keys.close();
    await pool.end();
    for (const folder of folders) rmSync(folder, { recursive: true });
  });
  const folder = () => {
    const made = mkdtempSync(join(tmpdir(), "purser-keys-"));
    folders.push(made);
    return made;
  };
  const open = async (directory = folder()) => {
    const keys = await openSharedKeys({ database, directory, everyMs: 5, onError: (error) => errors.push(error) });
    opened.push(keys);
    return keys;
  };
  return { open, folder, errors };
}

test("a key that is made or revoked on one gateway counts on the others", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const { open } = await gateways(t, database.url);
  const [one, two] = [await open(), await open()];
  assert.equal(two.isEmpty, true);
  const made = await one.create({ name: "a", attributes: { team: "eng", tags: { "na\0me": "\0" } }, maySet: ["tag.*"], role: "admin" });
  assert.deepEqual(one.find(made.secret, NOW), made.key);
  const found = await eventually("the key on the other gateway", () => two.find(made.secret, NOW));
  assert.deepEqual(found, made.key);
  assert.equal(two.isEmpty, false);
  assert.deepEqual(two.list(), [made.key]);
  assert.equal(await two.revoke(made.key.id), true);
  assert.equal(two.find(made.secret, NOW), undefined);
  await eventually("the key to be refused", () => one.find(made.secret, NOW) === undefined || undefined);
  assert.equal(await one.revoke(made.key.id), false);
  assert.deepEqual(await one.revoked(), [{ id: made.key.id, name: "a" }], "what it used is still in reports");
  assert.equal(one.isEmpty, false, "revoking the last key opens nothing");
  assert.equal((await open()).isEmpty, false);
});

test("the database has no secret, and a key ends when it says", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const { open } = await gateways(t, database.url);
  const keys = await open();
  const { secret } = await keys.create({ name: "trial", expiresAt: NOW });
  assert.ok(keys.find(secret, NOW - 1));
  assert.equal(keys.find(secret, NOW), undefined);
  const rows = JSON.stringify(await database.rows("SELECT * FROM purser.key"));
  assert.ok(!rows.includes(secret) && !rows.includes(secret.slice(3, 20)));
});

test("keys of a data folder are moved once, with their secrets' hashes, and one that was revoked since stays revoked", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const { open, folder } = await gateways(t, database.url);
  const directory = folder();
  const own = await openKeys(directory);
  const made = [await own.create({ name: "a" }), await own.create({ name: "b", expiresAt: NOW + 1 })];
  const shared = await open(directory);
  for (const { key, secret } of made) assert.deepEqual(shared.find(secret, NOW), key);
  assert.deepEqual(JSON.parse(readFileSync(join(directory, "keys.json"), "utf8")).keys, []);
  assert.equal(JSON.parse(readFileSync(join(directory, "keys.json.moved"), "utf8")).keys.length, 2);
  assert.equal((await openKeys(directory)).isEmpty, false, "going back to the file must not make everybody the owner");

  const copy = folder();
  await (await openKeys(copy)).create({ name: "c" });
  await shared.revoke(made[0]?.key.id ?? "");
  rmSync(join(directory, "keys.json"));
  const again = await openKeys(directory);
  assert.equal(again.isEmpty, true);
  const third = await open(copy);
  assert.deepEqual(
    third.list().map(({ name }) => name),
    ["b", "c"],
  );
});

test("two gateways that make keys at the same time lose none", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const { open } = await gateways(t, database.url);
  const both = [await open(), await open()] as const;
  const made = await Promise.all(Array.from({ length: 20 }, (_, i) => both[(i % 2) as 0 | 1].create({ name: `key ${i}` })));
  for (const keys of both) for (const { secret } of made) await eventually("a key", () => keys.find(secret, NOW));
});

test("known keys stay valid while the database is away, and it is told once", { timeout: 60_000 }, async (t) => {
  const own = await startTestPostgres();
  if (typeof own === "string") return t.skip(`not run: ${own}`);
  t.after(() => own.close());
  const { open, errors } = await gateways(t, own.url);
  const keys = await open();
  const { secret } = await keys.create({ name: "a" });
  await own.stop?.("kill");
  await eventually("the outage to be noticed", () => errors[0]);
  assert.ok(keys.find(secret, NOW));
  await assert.rejects(keys.create({ name: "b" }), { code: "store_unavailable" });
  await own.start?.();
  await eventually("the database to be back", async () => (await keys.create({ name: "b" }).catch(() => undefined)) ?? undefined);
  assert.equal(errors.length, 1);
});
