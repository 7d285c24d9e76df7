import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { from } from "pg-copy-streams";
import { createFakeClock } from "../../testing/fake-clock.ts";
import { allEntries } from "../../testing/ledger-history.ts";
import { startTestPostgres } from "../../testing/postgres-server.ts";
import { sampleCall, sampleLimit, sampleSettlement } from "../../testing/sample-calls.ts";
import { sampleJournal, sampleLedger, seededRandom } from "../../testing/sample-ledger.ts";
import { Drain } from "../drain.ts";
import { createMemoryStore } from "../memory.ts";
import { openSqliteStore } from "../sqlite/index.ts";
import type { Store } from "../store.ts";
import { openTestDatabase, testServer } from "./database.test-setup.ts";
import { openPostgresArchive } from "./index.ts";

const server = testServer(after);
const LIMITS = [sampleLimit({ amount: 1e12 }), sampleLimit({ budget: "team", unit: "nanodollars", amount: 1e15 })];
/** How often a process that drains is killed. Set PURSER_CRASHES for more. */
const CRASHES = Number(process.env.PURSER_CRASHES ?? 8);

if (process.argv[2] === "child") await runChild(process.argv.slice(3) as [string, string, string]);
else {
  test(
    "what is written while it drains is in the archive when it is closed, in order, and the lag says how much is missing until then",
    drainAll,
  );
  test("two that drain the same journal archive each entry once", drainTwice);
  test(`a process that is killed ${CRASHES} times while it drains leaves no entry out, and none twice`, { timeout: 240_000 }, killAgain);
  test("while PostgreSQL is away calls go on, and then the archive catches up to the entry", { timeout: 120_000 }, outage);
  test("a database that was put back is brought up to date from the journal", databasePutBack);
  test("a journal that was put back goes on where it differs, while it drains", restoreWhileDraining);
}

async function calls(store: Store, first: number, count: number): Promise<void> {
  for (let call = first; call < first + count; call++) {
    await store.reserve(sampleCall({ id: `call-${call}`, limits: LIMITS, input: call % 50, output: 20 }));
    if (call % 5 > 0) await store.settle(sampleSettlement(`call-${call}`, call % 50, 7));
  }
}

async function drainAll(t: TestContext): Promise<void> {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const clock = createFakeClock();
  const journal = createMemoryStore({ now: clock.now });
  const archive = await database.archive();
  const archived: number[] = [];
  const drain = new Drain({ journal, archive, now: clock.now, onArchived: async (seq) => void archived.push(seq) });
  t.after(() => drain.close());
  assert.deepEqual(await drain.lag(), { lastSeq: undefined, entries: 0, milliseconds: 0, failure: undefined });
  await calls(journal, 0, 50);
  clock.advance(7_000);
  assert.deepEqual(await drain.lag(), { lastSeq: undefined, entries: 90, milliseconds: 7_000, failure: undefined });
  drain.start();
  await calls(journal, 50, 400);
  await drain.close();
  assert.deepEqual(await drain.lag(), { lastSeq: 810, entries: 0, milliseconds: 0, failure: undefined });
  assert.deepEqual(await allEntries(asStore(archive)), await allEntries(journal));
  assert.equal(archived.at(-1), 810);
}

async function drainTwice(t: TestContext): Promise<void> {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const ledger = sampleLedger({ count: 12_000, since: Date.UTC(2026, 8, 1), until: Date.UTC(2026, 8, 9) });
  const journal = sampleJournal(ledger);
  const archives = await Promise.all([1, 2, 3].map((copy) => database.archive("test", { copy: copy < 3 })));
  const drains = archives.map((archive) => new Drain({ journal, archive }));
  await Promise.all(drains.map((drain) => drain.close()));
  const [{ rows, first, last, numbers }] = await database.rows(
    "SELECT count(*)::int AS rows, min(seq)::int AS first, max(seq)::int AS last, count(DISTINCT seq)::int AS numbers FROM purser.entry",
  );
  assert.deepEqual([rows, first, last, numbers], [ledger.length, 1, ledger.length, ledger.length]);
}

/** Makes calls on a store and drains it, for as long as it lives. */
async function runChild([url, schema, directory]: readonly [string, string, string]): Promise<void> {
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  const archive = await openPostgresArchive({ pool, schema, ledger: "killed", copyFrom: from });
  const store = await openSqliteStore({ directory });
  const [{ seq = 0 } = {}] = await store.entries({ newest: true, most: 1 });
  new Drain({
    journal: store,
    archive,
    onArchived: async (last) => void process.stdout.write(`${last}\n`),
    pause: () => setImmediate(),
  }).start();
  const client = async (number: number) => {
    for (let call = seq * 100 + number * 1_000_000_000; ; call += 20) await calls(store, call, 20);
  };
  await Promise.all(Array.from({ length: 16 }, (_, number) => client(number)));
}

async function killAgain(t: TestContext): Promise<void> {
  const opened = await server();
  const database = await openTestDatabase(t, opened);
  if (!database || typeof opened === "string") return;
  const directory = mkdtempSync(join(tmpdir(), "purser-drain-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const random = seededRandom(11);
  for (let crash = 0; crash < CRASHES; crash++) {
    const args = [fileURLToPath(import.meta.url), "child", opened.url, database.database.schema, directory];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    await killAfter(child, 1 + Math.floor(random() * 40), Math.floor(random() * 25));
  }
  const store = await openSqliteStore({ directory });
  const archive = await database.archive("killed");
  await new Drain({ journal: store, archive }).close();
  const entries = await allEntries(store);
  assert.ok(entries.length > 100 * CRASHES, `${entries.length} entries: that is no load`);
  assert.deepEqual(await allEntries(asStore(archive)), entries);
  const [{ rows, epochs }] = await database.rows(
    "SELECT (SELECT count(*)::int FROM purser.entry) AS rows, (SELECT count(*)::int FROM purser.ledger) AS epochs",
  );
  assert.deepEqual([rows, epochs], [entries.length, 1]);
  await store.close();
  t.diagnostic(`${CRASHES} kills, ${entries.length} entries, each in the archive once`);
}

/** Kills a child after so many batches, and so many turns of the event loop later. */
async function killAfter(child: ChildProcess, batches: number, turns: number): Promise<void> {
  const exited = once(child, "exit");
  let seen = 0;
  for await (const _ of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    if (++seen !== batches) continue;
    for (let turn = 0; turn < turns; turn++) await setImmediate();
    child.kill("SIGKILL");
  }
  const [, signal] = await exited;
  assert.equal(signal, "SIGKILL", "the child ended by itself");
}

async function outage(t: TestContext): Promise<void> {
  const own = await startTestPostgres();
  if (typeof own === "string") return t.skip(`not run: ${own}`);
  t.after(() => own.close());
  const pool = new pg.Pool({ connectionString: own.url, max: 3 });
  pool.on("error", () => undefined);
  t.after(() => pool.end());
  const directory = mkdtempSync(join(tmpdir(), "purser-drain-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const store = await openSqliteStore({ directory });
  const archive = await openPostgresArchive({ pool, ledger: "away", copyFrom: from });
  const errors: unknown[] = [];
  let retried: (() => void) | undefined;
  const pause = async () => {
    retried?.();
    await setImmediate();
  };
  let recoveries = 0;
  const onRecovery = () => recoveries++;
  const drain = new Drain({ journal: store, archive, pause, onError: (error) => errors.push(error), onRecovery });
  t.after(() => drain.close());
  drain.start();
  for (const how of [undefined, "kill"] as const) {
    const before = errors.length;
    await calls(store, errors.length * 1_000, 200);
    await Promise.all([own.stop?.(how), calls(store, errors.length * 1_000 + 200, 200)]);
    for (let tries = 0; tries < 5; tries++) await new Promise<void>((resolve) => (retried = resolve));
    const lag = await drain.lag();
    assert.match(String(lag.failure?.message), /PostgreSQL cannot be used at the moment/);
    assert.ok(lag.entries > 0);
    await own.start?.();
    await calls(store, errors.length * 1_000 + 400, 200);
    while ((await drain.lag()).failure) await setImmediate();
    assert.equal(errors.length, before + 1, "an outage is told once");
    assert.equal(recoveries, errors.length, "and so is its end");
  }
  await drain.close();
  assert.deepEqual(await allEntries(asStore(archive)), await allEntries(store));
  assert.equal((await drain.lag()).entries, 0);
  await store.close();
}

async function restoreWhileDraining(t: TestContext): Promise<void> {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const ledger = sampleLedger({ count: 400, since: Date.UTC(2026, 8, 1), until: Date.UTC(2026, 8, 9) });
  const other = [...ledger.slice(0, 250), ...ledger.slice(250).map((entry) => ({ ...entry, at: entry.at + 5 }))];
  let present = ledger.slice(0, 300);
  const journal: Pick<Store, "entries"> = { entries: (query) => sampleJournal(present).entries(query) };
  const archive = await database.archive();
  const drain = new Drain({ journal, archive });
  await drain.step();
  present = other.slice(0, 260);
  while (await drain.step());
  await drain.step();
  assert.equal((await drain.lag()).lastSeq, 260);
  present = other;
  await drain.step();
  assert.deepEqual(await allEntries(asStore(archive)), other);
  assert.equal((await database.rows("SELECT count(*)::int AS count FROM purser.entry"))[0].count, 300 + other.length - 250);
}

async function databasePutBack(t: TestContext): Promise<void> {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const journal = createMemoryStore();
  const archive = await database.archive();
  const drain = new Drain({ journal, archive });
  await calls(journal, 0, 100);
  await drain.step();
  const tables = ["entry", "counter", "team_hour", "team_day", "user_hour", "user_day", "ledger"];
  for (const table of tables) await database.rows(`TRUNCATE purser.${table} RESTART IDENTITY CASCADE`);
  await calls(journal, 100, 50);
  await assert.rejects(drain.step(), { code: "ledger_diverged" });
  while (await drain.step());
  assert.deepEqual(await allEntries(asStore(archive)), await allEntries(journal));
}

/** The reading half is all that is asked for. */
function asStore(archive: Pick<Store, "entries">): Store {
  return archive as Store;
}
