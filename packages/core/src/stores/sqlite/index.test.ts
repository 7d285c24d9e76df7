import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ADOPTION } from "../../domain/ledger.ts";
import { createFakeClock, leaseContract, storeContract } from "../../testing/index.ts";
import { sampleCall, sampleLimit, sampleMovingLimit, sampleSettlement } from "../../testing/sample-calls.ts";
import type { Store } from "../store.ts";
import { temporaryDirectory } from "./directory.test-setup.ts";
import { isSafeVersion, loadSqlite } from "./driver.ts";
import { openSqliteStore, readSqliteStore } from "./index.ts";
import { openDurableStore } from "./opening.ts";

for (const { name, run } of storeContract) {
  test(`SQLite store: ${name}`, async (t) => {
    const directory = temporaryDirectory(t);
    await run((options) => openSqliteStore({ directory, ...options }));
  });
}

for (const { name, run } of leaseContract) {
  test(`SQLite store, leases: ${name}`, async (t) => {
    const directory = temporaryDirectory(t);
    await run((options) => openSqliteStore({ directory, ...options }));
  });
}

const LIMITS = [sampleLimit({ amount: 10_000 }), sampleLimit({ budget: "team", unit: "nanodollars", amount: 90_000 })];

test("balances, ledger and ended reservations outlive the process", async (t) => {
  const directory = temporaryDirectory(t);
  const clock = createFakeClock();
  const first = await openSqliteStore({ directory, now: clock.now });
  await first.reserve(sampleCall({ id: "a", limits: LIMITS, input: 500 }));
  await first.settle(sampleSettlement("a", 321));
  const [counters, entries] = [await first.counters(), await first.entries({})];
  await first.close();
  const second = await openSqliteStore({ directory, now: clock.now });
  assert.deepEqual(await second.counters(), counters);
  assert.deepEqual(await second.entries({}), entries);
  assert.deepEqual(await second.settle(sampleSettlement("a", 321)), { outcome: "duplicate" });
  assert.deepEqual(await second.reserve(sampleCall({ id: "a", limits: LIMITS, input: 500 })), { outcome: "ended" });
  assert.deepEqual(await second.audit(), []);
  await second.close();
});

test("what the last owner left in flight is charged at its estimate, and can still be corrected", async (t) => {
  const directory = temporaryDirectory(t);
  const first = await openSqliteStore({ directory });
  await first.reserve(sampleCall({ id: "a", limits: LIMITS, input: 500 }));
  await first.extend({ id: "a", leaseMs: 3_600_000 });
  await first.close();
  const second = await openSqliteStore({ directory });
  const [counter] = await second.counters({ budget: "company" });
  assert.deepEqual([counter?.spent, counter?.held], [500, 0]);
  await second.close();
  const third = await openSqliteStore({ directory });
  assert.deepEqual(await third.settle(sampleSettlement("a", 100)), { outcome: "corrected" });
  assert.deepEqual(await third.audit(), []);
  await third.close();
  const fourth = await openSqliteStore({ directory });
  assert.deepEqual(await fourth.settle(sampleSettlement("a", 100)), { outcome: "duplicate" });
  await fourth.close();
});

test("what a new limit took over of such a call is corrected with it, also after another start", async (t) => {
  const directory = temporaryDirectory(t);
  const first = await openSqliteStore({ directory });
  await first.reserve(sampleCall({ id: "a", limits: LIMITS, input: 500 }));
  await first.close();
  const second = await openSqliteStore({ directory });
  const { counter } = sampleLimit({ budget: "user", amount: 900 });
  await second.record({ kind: "adjusted", reservation: "a", postings: [{ counter, held: 0, spent: 500 }], why: "new limit" });
  await second.close();
  const third = await openSqliteStore({ directory });
  await third.settle(sampleSettlement("a", 100));
  const [user] = await third.counters({ budget: "user" });
  assert.deepEqual([user?.spent, await third.audit()], [100, []]);
  await third.close();
});

test("a directory belongs to one process at a time, and the refusal says what to do", async (t) => {
  const directory = temporaryDirectory(t);
  const owner = await openSqliteStore({ directory });
  await assert.rejects(openSqliteStore({ directory }), {
    code: "store_locked",
    message: new RegExp(`process ${process.pid}.*Stop that one`),
  });
  await owner.close();
  const next = await openSqliteStore({ directory });
  await next.close();
});

test("a directory that cannot be taken for another reason than an owner says that reason", async (t) => {
  const directory = temporaryDirectory(t);
  writeFileSync(join(directory, "owner.pid"), "12345\n");
  writeFileSync(join(directory, "owner.db"), "this is no database".repeat(100));
  await assert.rejects(openSqliteStore({ directory }), {
    code: "store_unavailable",
    message: /cannot be used: file is not a database\. .*owner\.db.* may be deleted/,
  });
});

test("a ledger can be read beside its owner and after it", async (t) => {
  const directory = temporaryDirectory(t);
  await assert.rejects(readSqliteStore({ directory }), { code: "store_unavailable" });
  const owner = await openSqliteStore({ directory });
  const reader = await readSqliteStore({ directory });
  assert.deepEqual(await reader.counters(), []);
  for (const id of ["a", "b", "c"]) await owner.reserve(sampleCall({ id, limits: LIMITS, input: 500 }));
  await owner.settle(sampleSettlement("a", 321));
  assert.deepEqual(await reader.counters(), await owner.counters());
  const newest = { kinds: ["reserved", "settled"], most: 2, newest: true } as const;
  assert.deepEqual(await reader.entries(newest), await owner.entries(newest));
  const entries = await owner.entries({});
  await owner.close();
  assert.deepEqual(await reader.entries({}), entries);
  await reader.close();
  const later = await readSqliteStore({ directory });
  assert.deepEqual(await later.entries({}), entries);
  await later.close();
});

test("a long ledger is read whole, page by page, from either end", async (t) => {
  const directory = temporaryDirectory(t);
  const store = await openSqliteStore({ directory });
  const [limit] = LIMITS as [(typeof LIMITS)[number]];
  const posting = { counter: limit.counter, held: 0, spent: 1 };
  await Promise.all(
    Array.from({ length: 2_500 }, () => store.record({ kind: "adjusted", reservation: "", postings: [posting], why: "test" })),
  );
  const seqs = async (newest: boolean, most: number) => (await store.entries({ most, newest })).map(({ seq }) => seq);
  assert.deepEqual(
    await seqs(false, 2_100),
    Array.from({ length: 2_100 }, (_, i) => i + 1),
  );
  assert.deepEqual(
    await seqs(true, 2_100),
    Array.from({ length: 2_100 }, (_, i) => i + 401),
  );
  assert.equal((await store.entries({})).length, 1_000);
  await store.close();
});

test("balances of windows long closed are forgotten, their entries are not", async (t) => {
  const directory = temporaryDirectory(t);
  const clock = createFakeClock();
  const limits = [sampleLimit({ amount: 1_000, resetsAt: clock.now() + 1_000 }), ...LIMITS];
  const { now, elapsed } = clock;
  const first = await openDurableStore({ directory, now, elapsed });
  await first.reserve(sampleCall({ id: "a", limits, input: 500 }));
  await first.settle(sampleSettlement("a", 400));
  clock.advance(49 * 3_600_000);
  await first.close();
  const second = await openSqliteStore({ directory, now: clock.now });
  assert.deepEqual(
    (await second.counters()).map(({ ref, spent }) => [ref.budget, ref.window, spent]),
    [
      ["company", "lifetime", 400],
      ["team", "lifetime", 600],
    ],
  );
  assert.equal((await second.entries({ reservation: "a" }))[1]?.postings.length, 3);
  assert.deepEqual(await second.audit(), []);
  await second.close();
});

test("slices that no window reaches any more are forgotten within minutes, in memory and in the tables, and every balance is its sum", async (t) => {
  const directory = temporaryDirectory(t);
  const clock = createFakeClock();
  const { now, elapsed } = clock;
  const store = await openDurableStore({ directory, now, elapsed, snapshotMs: 0 });
  for (let second = 0; second < 400; second++) {
    const at = clock.now();
    const limits = [
      sampleMovingLimit({ budget: "rolling", amount: 1e6, rule: { kind: "rolling", lengthMs: 60_000, sliceMs: 1_000 }, at }),
      sampleMovingLimit({ budget: "bucket", amount: 1e6, rule: { kind: "bucket", drains: 240, periodMs: 60_000, sliceMs: 1_000 }, at }),
    ];
    await store.reserve(sampleCall({ id: `call-${second}`, limits, input: 60 }));
    if (second % 7 !== 0) await store.settle(sampleSettlement(`call-${second}`, 50));
    else await store.release({ id: `call-${second}`, why: "never sent" });
    clock.advance(5_000);
  }
  assert.deepEqual(await store.audit(), []);
  const kept = (await store.counters()).length;
  // Those of the last twelve minutes: a minute and the ten that clocks may be set back.
  assert.ok(kept <= 180, `${kept} counters`);
  await store.close();
  const again = await openDurableStore({ directory, now, elapsed });
  // What ran out since the last look at it is forgotten as well.
  const found = (await again.counters()).length;
  assert.ok(found > 120 && found <= kept, `${found} of ${kept} counters`);
  assert.deepEqual(await again.audit(), []);
  clock.advance(3_600_000 * 24);
  await again.reserve(sampleCall({ id: "late", limits: [sampleLimit({ amount: 10 })], input: 1 }));
  await again.close();
  const empty = await openSqliteStore({ directory, now: clock.now });
  assert.deepEqual(
    (await empty.counters()).map(({ ref }) => ref.window),
    ["lifetime"],
  );
  await empty.close();
});

test("a bucket into which far more flowed than it takes is not forgotten before all of it has drained, over a restart either", async (t) => {
  const directory = temporaryDirectory(t);
  const { now, elapsed, advance } = createFakeClock();
  const rule = { kind: "bucket", drains: 1, periodMs: 60_000, sliceMs: 1_000 } as const;
  const limit = () => sampleMovingLimit({ budget: "bucket", amount: 1, rule, at: now() });
  const open = () => openDurableStore({ directory, now, elapsed, snapshotMs: 0 });
  const asks = async (store: Store, id: string) => (await store.reserve(sampleCall({ id, limits: [limit()], output: 1 }))).outcome;
  const first = await open();
  const postings = [{ counter: limit().counter, held: 0, spent: 871 }];
  await first.record({ kind: "adjusted", reservation: ADOPTION, postings, why: "limits changed" });
  for (const minute of [20, 500]) {
    advance(minute * 60_000);
    assert.equal(await asks(first, `early-${minute}`), "refused");
  }
  await first.close();
  const second = await open();
  advance(350 * 60_000);
  assert.equal(await asks(second, "almost"), "refused");
  advance(60_000 + 1_000);
  assert.equal(await asks(second, "in time"), "reserved");
  await second.release({ id: "in time", why: "never sent" });
  advance(15 * 60_000);
  await second.reserve(sampleCall({ id: "later", limits: [], input: 1 }));
  assert.deepEqual(await second.counters(), [], "what has drained is kept");
  assert.deepEqual(await second.audit(), []);
  await second.close();
});

test("a clock that is days ahead for a while, over restarts too, forgets nothing of the windows that are open", async (t) => {
  const directory = temporaryDirectory(t);
  const clock = createFakeClock();
  const { now, elapsed } = clock;
  const DAY_MS = 24 * 3_600_000;
  const rule = { kind: "rolling", lengthMs: DAY_MS, sliceMs: DAY_MS / 60 } as const;
  const limits = () => [
    sampleLimit({ budget: "today", amount: 1_000, resetsAt: Date.UTC(2026, 10, 23) }),
    sampleMovingLimit({ budget: "rolling", amount: 1_000, rule, at: now() }),
  ];
  const open = () => openDurableStore({ directory, now, elapsed, snapshotMs: 0 });
  const first = await open();
  await first.reserve(sampleCall({ id: "a", limits: limits(), input: 600 }));
  await first.settle(sampleSettlement("a", 600));
  clock.jump(5 * DAY_MS);
  await first.reserve(sampleCall({ id: "far ahead", limits: [], input: 1 }));
  await first.close();
  clock.jump(-5 * DAY_MS);
  await (await open()).close();
  clock.advance(60_000);
  clock.jump(300 * DAY_MS);
  const ahead = await open();
  clock.advance(60_000);
  await ahead.reserve(sampleCall({ id: "farther ahead", limits: [], input: 1 }));
  clock.jump(-300 * DAY_MS);
  const refused = await ahead.reserve(sampleCall({ id: "b", limits: limits(), input: 401 }));
  assert.ok(refused.outcome === "refused");
  assert.deepEqual(
    refused.standings.map(({ spent }) => spent),
    [600, 600],
  );
  assert.equal((await ahead.reserve(sampleCall({ id: "c", limits: limits(), input: 400 }))).outcome, "reserved");
  await ahead.close();
});

test("a closed store refuses with what to do", async (t) => {
  const store = await openSqliteStore({ directory: temporaryDirectory(t) });
  await store.close();
  await store.close();
  await assert.rejects(store.reserve(sampleCall({ id: "a", limits: LIMITS })), { code: "store_unavailable", message: /Open it again/ });
  await assert.rejects(store.settle(sampleSettlement("a", 1)), { code: "store_unavailable" });
});

for (const version of [1, 2])
  test(`a ledger of the format ${version} goes on`, async (t) => {
    const directory = temporaryDirectory(t);
    const before = await openSqliteStore({ directory });
    await before.reserve(sampleCall({ id: "a", limits: LIMITS, input: 500 }));
    await before.settle(sampleSettlement("a", 400));
    const counters = await before.counters();
    await before.close();
    const database = (await loadSqlite())(join(directory, "purser.db"));
    database.exec("ALTER TABLE counter DROP COLUMN drains; PRAGMA user_version = 2");
    if (version === 1) database.exec("ALTER TABLE snapshot DROP COLUMN steady; PRAGMA user_version = 1");
    database.close();
    const after = await openSqliteStore({ directory });
    assert.deepEqual(await after.counters(), counters);
    await after.close();
  });

test("a file that is no ledger is refused with what to do", async (t) => {
  const directory = temporaryDirectory(t);
  writeFileSync(join(directory, "purser.db"), "This is not a database, but it is long enough to look at. ".repeat(100));
  await assert.rejects(openSqliteStore({ directory }), { code: "store_unavailable", message: /restore it from a copy/ });
  await assert.rejects(readSqliteStore({ directory }), { code: "store_unavailable" });
});

test("an SQLite that can damage the journal is not used", () => {
  const versions = { "3.45.1": false, "3.51.2": false, "3.51.3": true, "3.52.0": false, "3.53.0": true, "3.52.1": true, "4.0.0": true };
  for (const [version, isSafe] of Object.entries(versions)) assert.equal(isSafeVersion(version), isSafe, version);
});

test("an audit finds a balance that is not the sum of its entries, and one that is missing, among thousands that change meanwhile", async (t) => {
  const directory = temporaryDirectory(t);
  const store = await openSqliteStore({ directory });
  const users = Array.from({ length: 12_000 }, (_, i) => [sampleLimit({ budget: `user ${i}`, amount: 1_000 })]);
  const call = async (id: string, limits: (typeof users)[number]) => {
    await store.reserve(sampleCall({ id, limits, input: 7 }));
    await store.settle(sampleSettlement(id, 5));
  };
  await Promise.all(users.map((limits, i) => call(`first ${i}`, limits)));
  assert.deepEqual(await store.audit(), []);
  const busy = Promise.all(users.slice(0, 500).map((limits, i) => call(`second ${i}`, limits)));
  assert.deepEqual(await store.audit(), []);
  await busy;
  await store.close();

  const open = await loadSqlite();
  const database = open(join(directory, "purser.db"));
  const numberOf = "(SELECT id FROM counter WHERE budget = ?)";
  database.prepare(`UPDATE balance SET spent = spent + 1 WHERE counter = ${numberOf}`).run("user 11999");
  database.prepare(`DELETE FROM balance WHERE counter = ${numberOf}`).run("user 3");
  database.close();
  const again = await openSqliteStore({ directory });
  const found = (await again.audit()).map(({ balance, ledger }) => ({ balance, ledger }));
  assert.deepEqual(found, [
    { balance: { held: 0, spent: 6 }, ledger: { held: 0, spent: 5 } },
    { balance: { held: 0, spent: 0 }, ledger: { held: 0, spent: 10 } },
  ]);
  await again.close();
});
