import assert from "node:assert/strict";
import { describe, test as nodeTest, type TestContext } from "node:test";
import type { LeaseStep } from "../../domain/lease.ts";
import { ADOPTION, type Entry } from "../../domain/ledger.ts";
import { allEntries } from "../../testing/ledger-history.ts";
import { startTestRedis } from "../../testing/redis-server.ts";
import { sampleCall, sampleDetail, sampleLimit, sampleMovingLimit, sampleSettlement } from "../../testing/sample-calls.ts";
import { matchesQuery, type Store } from "../store.ts";
import { createRedisStore, type LedgerSource, type RedisStoreOptions } from "./index.ts";
import { startProxy } from "./proxy.test-setup.ts";
import { checkServer } from "./requirements.ts";
import { eventually, type Server, startServer } from "./server.test-setup.ts";

const LIMITS = [sampleLimit({ amount: 10_000 }), sampleLimit({ budget: "team", unit: "requests", amount: 500 })];
/** A client that gives up at once, so that a lost answer stays lost. */
const IMPATIENT = { maxRetriesPerRequest: 0, autoResendUnfulfilledCommands: false } as const;
const AOF = ["--appendonly", "yes", "--appendfsync", "always"] as const;

function open(redis: RedisStoreOptions["redis"], options: Partial<RedisStoreOptions> = {}) {
  return createRedisStore({ redis, namespace: "acme", ...options });
}

const call = (id: string, input = 100) => sampleCall({ id, limits: LIMITS, input });

/** A server that does not know a script yet answers that first, and is asked again. */
async function tellScripts(store: Store): Promise<void> {
  await store.reserve(call("first"));
  await store.settle(sampleSettlement("first", 0));
  await store.record({ kind: "adjusted", reservation: "", postings: [], why: "first" });
}

async function standings(store: Store) {
  return Object.fromEntries((await store.counters()).map(({ ref, spent, held }) => [ref.unit, [spent, held]]));
}

async function outcomes(store: Store, ids: readonly string[]) {
  return Promise.all(ids.map(async (id) => (await store.reserve(call(id))).outcome));
}

const WHY_NOT = await whyNotRun();

/** Starts servers of its own, where there are any. */
function test(name: string, run: (context: TestContext) => Promise<void>): void {
  nodeTest(name, async (context) => (WHY_NOT === undefined ? run(context) : context.skip(`not run: ${WHY_NOT}`)));
}

async function whyNotRun(): Promise<string | undefined> {
  const server = await startTestRedis();
  if (typeof server === "string") return server;
  await server.close();
  return undefined;
}

async function start(context: TestContext, settings: readonly string[] = []): Promise<Server> {
  const server = await startServer(context, settings);
  return typeof server === "string" ? assert.fail(server) : server;
}

describe("Redis store on bad days", () => {
  test("two gateways cannot sell the same room: of 1,000 calls at once exactly the 137 that fit are let in", async (context) => {
    const server = await start(context);
    const stores = [open(server.connect()), open(server.connect())] as const;
    const limits = [sampleLimit({ amount: 137 * 10 }), sampleLimit({ budget: "team", amount: 1_000_000 })];
    const results = await Promise.all(
      Array.from({ length: 1_000 }, (_, i) =>
        (i % 2 === 0 ? stores[0] : stores[1]).reserve(sampleCall({ id: `call-${i}`, limits, input: 10 })),
      ),
    );
    assert.equal(results.filter(({ outcome }) => outcome === "reserved").length, 137);
    const [store, other] = stores;
    assert.deepEqual(
      (await store.counters()).map(({ held }) => held),
      [1_370, 1_370],
    );
    assert.deepEqual(await other.audit(), []);
  });

  test("a server that forgot its scripts is told them again", async (context) => {
    const server = await start(context);
    const redis = server.connect();
    const store = open(redis);
    await store.reserve(call("a"));
    await redis.script("FLUSH");
    assert.equal((await store.reserve(call("b"))).outcome, "reserved");
    await redis.script("FLUSH");
    assert.deepEqual(await store.settle(sampleSettlement("a", 60)), { outcome: "settled" });
    assert.deepEqual(await standings(store), { tokens: [60, 100], requests: [1, 1] });
  });

  test("a command whose answer is lost and which the client sends again is carried out once", async (context) => {
    const server = await start(context);
    const proxy = await startProxy(context, server.port);
    const store = open(server.connect({ port: proxy.port }));
    await tellScripts(store);
    proxy.cutNextAnswer();
    assert.equal((await store.reserve(call("a"))).outcome, "reserved");
    proxy.cutNextAnswer();
    await store.record({
      kind: "adjusted",
      reservation: "",
      postings: [{ counter: LIMITS[0]?.counter ?? assert.fail(), held: 0, spent: 7 }],
      why: "test",
    });
    assert.deepEqual(await standings(store), { tokens: [7, 100], requests: [1, 1] });
    proxy.cutNextAnswer();
    assert.match((await store.settle(sampleSettlement("a", 60))).outcome, /settled|duplicate/);
    assert.deepEqual(await standings(store), { tokens: [67, 0], requests: [2, 0] });
  });

  test("a reservation whose answer is lost is refused, and what it holds is returned", async (context) => {
    const server = await start(context);
    const proxy = await startProxy(context, server.port);
    const store = open(server.connect({ port: proxy.port, ...IMPATIENT }));
    const other = open(server.connect());
    await tellScripts(store);
    proxy.cutNextAnswer();
    await assert.rejects(store.reserve(call("a")), {
      code: "store_unavailable",
      message: "Redis cannot be used: there is no connection to it. Check that it runs and can be reached; every call tries again.",
    });
    assert.deepEqual(await standings(other), { tokens: [0, 100], requests: [1, 1] });
    await eventually(async () => (await store.expire().catch(() => undefined)) !== undefined);
    assert.deepEqual(await standings(other), { tokens: [0, 0], requests: [1, 0] });
    assert.deepEqual(await other.audit(), []);
  });

  test("a hold that was acknowledged outlives a repetition whose answer is lost", async (context) => {
    const server = await start(context);
    const proxy = await startProxy(context, server.port);
    const store = open(server.connect({ port: proxy.port, ...IMPATIENT }));
    await tellScripts(store);
    await store.reserve(call("a"));
    proxy.cutNextAnswer();
    await assert.rejects(store.reserve(call("a")), { code: "store_unavailable" });
    await eventually(async () => (await store.expire().catch(() => undefined)) !== undefined);
    assert.deepEqual(await standings(store), { tokens: [0, 100], requests: [1, 1] });
  });

  test("a reservation that arrives after its end, over a slower connection, holds nothing", async (context) => {
    const server = await start(context);
    const [gateway, late] = [open(server.connect()), open(server.connect())];
    assert.deepEqual(await gateway.release({ id: "a", why: "never sent" }), { outcome: "unknown" });
    assert.deepEqual(await gateway.settle(sampleSettlement("b", 60)), { outcome: "unknown" });
    assert.deepEqual(await outcomes(late, ["a", "b", "c"]), ["ended", "ended", "reserved"]);
    assert.deepEqual(await standings(gateway), { tokens: [0, 100], requests: [0, 1] });
  });

  test("what was used while Redis is away is written down when it is back, once", async (context) => {
    const server = await start(context, AOF);
    const notices: string[] = [];
    const store = open(server.connect(IMPATIENT), { onNotice: (notice) => notices.push(notice) });
    await outcomes(store, ["a", "b", "c"]);
    await store.expire();
    notices.length = 0;
    await server.kill();
    await assert.rejects(store.settle(sampleSettlement("a", 60)), { code: "store_unavailable" });
    await assert.rejects(store.settle(sampleSettlement("a", 60)), { code: "store_unavailable" });
    await assert.rejects(store.release({ id: "b", why: "never sent" }), { code: "store_unavailable" });
    await assert.rejects(store.reserve(call("d")), { code: "store_unavailable", message: /Check that it runs/ });
    assert.ok(store.failure());
    await server.restart();
    await eventually(async () => (await store.expire().catch(() => undefined)) !== undefined);
    assert.equal(store.failure(), undefined);
    for (let second = 0; second < 3; second++) await store.expire();
    assert.deepEqual(notices, ["Redis can be used again: calls are admitted, and what was used meanwhile is written."]);
    assert.deepEqual(await standings(store), { tokens: [60, 100], requests: [1, 1] });
    assert.deepEqual(await store.audit(), []);
  });

  test("a Redis with an append-only file forgets nothing that was acknowledged when it is killed", async (context) => {
    const server = await start(context, AOF);
    const store = open(server.connect(IMPATIENT));
    const acknowledged: string[] = [];
    const client = async (name: string) => {
      for (let i = 0; ; i++) {
        const id = `${name}-${i}`;
        try {
          await store.reserve(sampleCall({ id, limits: [sampleLimit({ amount: 1e9 })], input: 10 }));
        } catch {
          return;
        }
        acknowledged.push(id);
        if (acknowledged.length === 300) await server.kill();
      }
    };
    await Promise.all(["a", "b", "c", "d"].map(client));
    await server.restart();
    await eventually(async () => (await store.expire().catch(() => undefined)) !== undefined);
    const reserved = new Set((await allEntries(store, { kinds: ["reserved"] })).map(({ reservation }) => reservation));
    assert.ok(acknowledged.length >= 300);
    assert.deepEqual(
      acknowledged.filter((id) => !reserved.has(id)),
      [],
    );
    assert.deepEqual(await store.audit(), []);
  });

  test("a Redis that restarted without a file admits nothing for anybody, until the loss is accepted", async (context) => {
    const server = await start(context);
    const gateways = [open(server.connect()), open(server.connect())] as const;
    const [first, second] = gateways;
    await outcomes(first, ["a", "b", "c"]);
    await outcomes(second, ["d"]);
    await first.settle(sampleSettlement("a", 60));
    await server.kill();
    await server.restart();
    for (const gateway of gateways) {
      await assert.rejects(gateway.reserve(call("e")), {
        code: "store_unavailable",
        message: /has lost entries .* ends at entry 0, and 5 or more were there.*purser store accept-loss/s,
      });
      assert.match(gateway.failure()?.message ?? "", /has lost entries/);
    }
    const newcomer = open(server.connect());
    await assert.rejects(newcomer.reserve(call("e")), /has lost entries/);
    await assert.rejects(first.settle(sampleSettlement("b", 60)), /has lost entries/);

    assert.deepEqual(await newcomer.acceptLoss(), { left: 0, seen: 5 });
    assert.equal(await newcomer.acceptLoss(), undefined);
    for (const [i, gateway] of [...gateways, newcomer].entries()) assert.deepEqual(await outcomes(gateway, [`after-${i}`]), ["reserved"]);
    assert.equal(first.failure(), undefined);
    const [written] = await first.entries({ kinds: ["adjusted"] });
    assert.match(written?.kind === "adjusted" ? written.why : "", /loss accepted: of 5 entries 0 were left/);
    assert.deepEqual(await first.audit(), []);
  });

  test("a replica that was behind admits nobody before those that lived are heard, and then says what is missing", async (context) => {
    const { busy, idle, part, failOver } = await startPair(context);
    await part();
    await outcomes(busy, ["lost-1", "lost-2"]);
    failOver();
    // It saw nothing of what was lost, and would sell the same room again.
    await assert.rejects(idle.reserve(call("c")), { code: "store_unavailable", message: /have been heard: 1 more, for at most 5 seconds/ });
    await assert.rejects(idle.expire(), /failed over or started anew/);
    assert.match(idle.failure()?.message ?? "", /failed over or started anew/);
    await assert.rejects(busy.expire(), /has lost entries/);
    await assert.rejects(idle.reserve(call("d")), /has lost entries/);
    assert.equal((await allEntries(idle, { kinds: ["reserved"] })).length, 2);
  });

  test("a replica that has it all admits calls as soon as all are heard", async (context) => {
    const { busy, idle, part, failOver } = await startPair(context);
    await part();
    failOver();
    await assert.rejects(idle.reserve(call("c")), /1 more/);
    assert.deepEqual(await outcomes(busy, ["d"]), ["reserved"]);
    assert.deepEqual(await outcomes(idle, ["c"]), ["reserved"]);
    assert.deepEqual(await standings(idle), { tokens: [0, 400], requests: [0, 4] });
  });

  test("who left is not waited for", async (context) => {
    const { busy, idle, part, failOver } = await startPair(context);
    await busy.close();
    await part();
    failOver();
    assert.deepEqual(await outcomes(idle, ["after one that closed"]), ["reserved"]);
  });

  test("who was killed is waited for, and not for more than five seconds", async (context) => {
    const { idle, time, part, failOver } = await startPair(context);
    await part();
    failOver();
    await assert.rejects(idle.reserve(call("c")), /1 more/);
    time.now += 4_999;
    await assert.rejects(idle.reserve(call("c")), /1 more/);
    time.now += 1;
    assert.deepEqual(await outcomes(idle, ["c"]), ["reserved"]);
  });

  test("a replica that joins is no other server: nobody is kept waiting", async (context) => {
    const [primary, replica] = [await start(context), await start(context)];
    const stores = [open(primary.connect()), open(primary.connect())] as const;
    await outcomes(stores[0], ["a"]);
    await outcomes(stores[1], ["b"]);
    const historyOf = async () => /master_replid:(\w+)/.exec(await primary.connect().info("replication"))?.[1];
    const before = await historyOf();
    const client = replica.connect();
    await client.replicaof("127.0.0.1", String(primary.port));
    await eventually(async () => (await client.xlen("{acme}:ledger")) === 2);
    assert.notEqual(await historyOf(), before, "the first replica begins another history");
    assert.deepEqual(await outcomes(stores[0], ["c"]), ["reserved"]);
  });

  test("a user who may not read INFO is served as well, and a loss is noticed when whoever wrote it asks", async (context) => {
    const { primary, busy, idle, part, failOver } = await startPair(context, { rights: ["allcommands", "-info"] });
    await part();
    await outcomes(busy, ["lost-1"]);
    assert.equal(await primary.connect().hget("{acme}:meta", "server"), null);
    failOver();
    // It saw nothing of what was lost, and writes more than that.
    assert.deepEqual(await outcomes(idle, ["c", "d", "e", "f"]), ["reserved", "reserved", "reserved", "reserved"]);
    await assert.rejects(busy.reserve(call("g")), /has lost entries/);
    await assert.rejects(idle.reserve(call("h")), /has lost entries/);
  });

  test("a primary that comes back with everything is used again without anybody's word", async (context) => {
    const [primary, replica] = [await start(context), await start(context)];
    const proxy = await startProxy(context, primary.port);
    const store = open(primary.connect({ port: proxy.port }));
    await outcomes(store, ["a", "b"]);
    proxy.leadTo(replica.port);
    await assert.rejects(store.reserve(call("c")), /has lost entries/);
    proxy.leadTo(primary.port);
    assert.deepEqual(await outcomes(store, ["d"]), ["reserved"]);
    assert.deepEqual(await standings(store), { tokens: [0, 300], requests: [0, 3] });
  });

  test("what the archive has is restored by itself, holds and ended reservations included", async (context) => {
    const server = await start(context);
    const archive = createArchive();
    const notices: string[] = [];
    let now = Date.now();
    const store = open(server.connect(), { archive, onNotice: (notice) => notices.push(notice), now: () => now });
    await outcomes(store, ["open", "settled", "released", "grown"]);
    await store.settle(sampleSettlement("settled", 60));
    await store.release({ id: "released", why: "never sent" });
    await store.extend({ id: "open", leaseMs: 120_000 });
    const { counter } = sampleLimit({ budget: "new", amount: 1_000 });
    await store.record({ kind: "adjusted", reservation: "grown", postings: [{ counter, held: 40, spent: 0 }], why: "new limit" });
    archive.add(await store.journal.entries({}));
    const [before, entries] = [await store.counters(), await store.entries({})];
    await server.kill();
    await server.restart();

    await assert.rejects(store.reserve(call("b")), /has lost entries/);
    await assert.rejects(store.expire(), /failed over or started anew/, "whoever knows of more than the archive is heard first");
    assert.deepEqual(sorted(await store.counters()), sorted(before));
    assert.deepEqual(await store.entries({}), entries);
    now += 5_000;
    assert.deepEqual(await outcomes(store, ["settled", "released", "open", "b"]), ["ended", "ended", "reserved", "reserved"]);
    assert.deepEqual(await store.settle(sampleSettlement("grown", 30)), { outcome: "settled" });
    assert.deepEqual(await store.audit(), []);
    assert.match(notices.join("\n"), /entries 1 to 8 .* restored from the archive/);
  });

  test("a replica that was behind is brought up to date from the archive, and the ledger is whole there", async (context) => {
    const archive = createArchive();
    const { busy, idle, part, failOver } = await startPair(context, { archive });
    await busy.settle(sampleSettlement("a", 60));
    await part();
    await outcomes(busy, ["c", "d"]);
    await busy.settle(sampleSettlement("b", 60));
    const [before, entries] = [await busy.counters(), await busy.entries({})];
    archive.add(await busy.journal.entries({}));
    failOver();
    await assert.rejects(idle.reserve(call("e")), /1 more/, "who saw nothing of it waits for whoever may have");
    await idle.restore();
    await idle.restore();
    assert.deepEqual(sorted(await idle.counters()), sorted(before));
    assert.deepEqual(await idle.entries({}), entries);
    assert.deepEqual(await idle.audit(), []);
    await busy.expire();
    assert.deepEqual(await outcomes(idle, ["e"]), ["reserved"]);
    assert.deepEqual(await busy.settle(sampleSettlement("c", 60)), { outcome: "settled" });
    assert.deepEqual(await busy.audit(), []);
  });

  test("leases that the archive has are restored: what they allotted, reported and charged", async (context) => {
    const server = await start(context);
    const archive = createArchive();
    let now = Date.now();
    const store = open(server.connect(), { archive, now: () => now });
    const limit = sampleLimit({ amount: 1_000 });
    const renewal = (id: string, report: number, steps: readonly LeaseStep[] = [], ends = false) =>
      store.lease({ id, report, steps, wants: ends ? [] : [{ limit, amount: 200, least: 1 }], leaseMs: 60_000, ends });
    const holds = [{ counter: limit.counter, amount: 50 }];
    const opened = (id: string): LeaseStep => ({ kind: "open", id, holds, outputCap: 0, leaseMs: 60_000, detail: sampleDetail(50) });
    await renewal("going on", 1);
    await renewal("going on", 2, [opened("own"), opened("own too"), { kind: "settle", ...sampleSettlement("own", 40) }]);
    await renewal("returned", 1);
    await renewal("returned", 2, [], true);
    archive.add(await store.journal.entries({}));
    const before = await store.counters();
    await server.kill();
    await server.restart();

    await assert.rejects(store.reserve(call("b")), /has lost entries/);
    await assert.rejects(store.expire(), /failed over or started anew/, "whoever knows of more than the archive is heard first");
    assert.deepEqual(sorted(await store.counters()), sorted(before));
    now += 5_000;
    assert.deepEqual(await renewal("returned", 3), { outcome: "ended" });
    const again = await renewal("going on", 2);
    assert.ok(again.outcome === "leased" && again.portions[0]?.amount === 200);
    assert.deepEqual(await store.settle(sampleSettlement("own too", 30)), { outcome: "settled" });
    assert.deepEqual(await renewal("going on", 3, [], true), { outcome: "ended" });
    const [standing] = await store.standings([limit]);
    assert.deepEqual(standing, { amount: 1_000, spent: 70, held: 0 });
    assert.deepEqual(await store.audit(), []);
  });

  test("a gateway that starts on an empty Redis restores it from the archive before the first call", async (context) => {
    const server = await start(context);
    const archive = createArchive();
    const first = open(server.connect());
    await outcomes(first, ["a", "b"]);
    archive.add(await first.entries({}));
    await server.kill();
    await server.restart();
    const second = open(server.connect(), { archive });
    await second.ready();
    assert.deepEqual(await standings(second), { tokens: [0, 200], requests: [0, 2] });
  });

  test("what neither Redis nor the archive has is not passed over in silence", async (context) => {
    const server = await start(context);
    const archive = createArchive();
    const store = open(server.connect(), { archive });
    await outcomes(store, ["a", "b"]);
    archive.add(await store.entries({}));
    await outcomes(store, ["c"]);
    await server.kill();
    await server.restart();
    await assert.rejects(store.reserve(call("d")), /has lost entries/);
    await assert.rejects(store.expire(), /has lost entries/);
    assert.deepEqual(await store.acceptLoss(), { left: 2, seen: 3 });
    assert.deepEqual(await standings(store), { tokens: [0, 200], requests: [0, 2] });
  });

  test("entries that were archived can leave Redis: they are read as before, and balances stay", async (context) => {
    const server = await start(context);
    const redis = server.connect();
    const archive = createArchive();
    const store = open(redis, { archive });
    const ids = Array.from({ length: 150 }, (_, i) => `call-${i}`);
    for (const id of ids) await store.reserve(call(id, 10));
    for (const id of ids.slice(0, 100)) await store.settle(sampleSettlement(id, 6));
    const before = { entries: await allEntries(store), counters: sorted(await store.counters()) };
    archive.add(before.entries);
    assert.equal(await store.trim(240), 239);
    assert.equal(await redis.xlen("{acme}:ledger"), 11);
    assert.deepEqual(await allEntries(store), before.entries);
    assert.deepEqual(sorted(await store.counters()), before.counters);
    const queries = [
      { newest: true, most: 20 },
      { newest: true, most: 200, kinds: ["settled"] as const },
      { after: 237, most: 5 },
      { reservation: "call-0" },
      { reservation: "call-99" },
      { reservation: "call-149" },
      { since: before.entries[100]?.at ?? 0, most: 1_000 },
    ];
    for (const query of queries) {
      const matching = before.entries.filter((entry) => matchesQuery(entry, query));
      const expected = "newest" in query ? matching.slice(-(query.most ?? 0)) : matching.slice(0, query.most);
      assert.deepEqual(await store.entries(query), expected, JSON.stringify(query));
    }
    assert.deepEqual(await outcomes(store, ["call-0", "call-149"]), ["ended", "reserved"]);
    assert.equal(await redis.exists("{acme}:reservation:call-0"), 1);
    assert.ok((await redis.pttl("{acme}:reservation:call-0")) > 0, "an ended reservation is not remembered for ever");
    assert.equal(await redis.pttl("{acme}:reservation:call-149"), -1, "a hold is remembered until it ends");
    assert.deepEqual(await store.settle(sampleSettlement("call-149", 60)), { outcome: "settled" });
    assert.deepEqual(await store.audit(), []);
  });

  test("entries that leave Redis while the ledger is read are read all the same", async (context) => {
    const server = await start(context);
    const archive = createArchive();
    let leaving: (() => Promise<unknown>) | undefined;
    const slow: LedgerSource = {
      ...archive,
      entries: async (query) => {
        const found = await archive.entries(query);
        const leave = leaving;
        leaving = undefined;
        await leave?.();
        return found;
      },
    };
    const store = open(server.connect(), { archive: slow });
    await outcomes(store, ["a", "b", "c", "d"]);
    archive.add(await store.journal.entries({}));
    for (const [query, keepFrom] of [
      [{}, 3],
      [{ newest: true }, 4],
    ] as const) {
      await store.trim(2);
      leaving = () => store.trim(keepFrom);
      assert.deepEqual(
        (await store.entries(query)).map(({ seq }) => seq),
        [1, 2, 3, 4],
      );
    }
    assert.deepEqual(await store.audit(), []);
  });

  test("a Redis whose memory is full refuses calls whole, and forgets none", async (context) => {
    const server = await start(context);
    const redis = server.connect();
    const store = open(redis);
    await outcomes(store, ["a", "b"]);
    await redis.config("SET", "maxmemory", "1");
    await assert.rejects(store.reserve(call("c")), { code: "store_unavailable", message: /memory is full: raise maxmemory/ });
    await assert.rejects(store.settle(sampleSettlement("a", 60)), { code: "store_unavailable" });
    assert.deepEqual(await standings(store), { tokens: [0, 200], requests: [0, 2] });
    await redis.config("SET", "maxmemory", "0");
    await store.expire();
    assert.deepEqual(await standings(store), { tokens: [60, 100], requests: [1, 1] });
    assert.equal((await store.reserve(call("c"))).outcome, "reserved", "what Redis refused was not done, and can be asked again");
    assert.deepEqual(await store.audit(), []);
  });

  test("a Redis that hangs keeps no call waiting", async (context) => {
    const server = await start(context);
    const store = open(server.connect(), { timeoutMs: 50 });
    await store.ready();
    server.freeze(true);
    try {
      await assert.rejects(store.reserve(call("a")), { code: "store_unavailable", message: /did not answer within 50 ms/ });
    } finally {
      server.freeze(false);
    }
    await eventually(async () => (await store.expire().catch(() => undefined)) !== undefined);
    await eventually(async () => (await store.counters()).every(({ held }) => held === 0));
    assert.equal((await store.reserve(call("a"))).outcome, "ended");
  });

  test("a Redis that may forget balances is not used, and the message says what to set", async (context) => {
    const server = await start(context, ["--maxmemory-policy", "allkeys-lru"]);
    const store = open(server.connect());
    await assert.rejects(store.ready(), { code: "store_unsuitable", message: /CONFIG SET maxmemory-policy noeviction/ });
    await assert.rejects(store.reserve(call("a")), { code: "store_unsuitable" });
    await server.connect().config("SET", "maxmemory-policy", "noeviction");
    await store.ready();
  });

  test("an operator is told that the append-only file is missing", async (context) => {
    const notices: string[] = [];
    const onNotice = (notice: string) => notices.push(notice);
    await open((await start(context)).connect(), { onNotice }).ready();
    assert.match(notices.join(), /Set appendonly yes and appendfsync always/);
    await open((await start(context, AOF)).connect(), { onNotice }).ready();
    assert.equal(notices.length, 1);
  });

  test("one gateway at a time does what only one may do", async (context) => {
    const server = await start(context);
    const stores = [open(server.connect()), open(server.connect()), open(server.connect())];
    let [inside, most] = [0, 0];
    await Promise.all(
      stores.map((store) =>
        store.alone(async () => {
          most = Math.max(most, ++inside);
          await store.reserve(call(`call-${most}`));
          inside--;
        }),
      ),
    );
    assert.equal(most, 1);
    assert.equal(await server.connect().exists("{acme}:lock"), 0);
  });

  test("balances of windows long closed are forgotten, their entries are not", async (context) => {
    const server = await start(context);
    let now = Date.UTC(2026, 10, 22, 12);
    const store = open(server.connect(), { now: () => now });
    const limits = [sampleLimit({ amount: 1_000, resetsAt: now + 1_000 }), ...LIMITS];
    await store.reserve(sampleCall({ id: "a", limits, input: 500 }));
    await store.reserve(sampleCall({ id: "b", limits, input: 100, leaseMs: 50 * 3_600_000 }));
    await store.settle(sampleSettlement("a", 400));
    now += 49 * 3_600_000;
    await store.expire();
    assert.equal((await store.counters()).length, 3, "what still holds something is kept");
    await store.release({ id: "b", why: "never sent" });
    now += 2 * 3_600_000;
    await store.expire();
    assert.deepEqual(
      (await store.counters()).map(({ ref }) => ref.window),
      ["lifetime", "lifetime"],
    );
    assert.equal((await store.entries({ reservation: "a" }))[1]?.postings.length, 3);
    assert.deepEqual(await store.audit(), []);
  });

  for (const [weights, which] of [
    [{}, "a bucket"],
    [{ input: 2 }, "a bucket that weighs its tokens,"],
  ] as const)
    test(`${which} into which far more flowed than it takes is not forgotten before all of it has drained`, async (context) => {
      const server = await start(context);
      let now = Date.UTC(2026, 10, 22, 12);
      const store = open(server.connect(), { now: () => now });
      const rule = { kind: "bucket", drains: 1, periodMs: 60_000, sliceMs: 1_000 } as const;
      const limit = () => sampleMovingLimit({ budget: "bucket", amount: 1, rule, at: now, weights });
      const asks = async (id: string) => (await store.reserve(sampleCall({ id, limits: [limit()], output: 1 }))).outcome;
      const postings = [{ counter: limit().counter, held: 0, spent: 871 }];
      await store.record({ kind: "adjusted", reservation: ADOPTION, postings, why: "limits changed" });
      for (const minute of [20, 500, 350]) {
        now += minute * 60_000;
        await store.expire();
        assert.equal(await asks(`early-${minute}`), "refused");
      }
      now += 60_000 + 1_000;
      assert.equal(await asks("in time"), "reserved");
      await store.release({ id: "in time", why: "never sent" });
      now += 2 * 3_600_000;
      await store.expire();
      assert.deepEqual(await store.counters(), [], "what has drained is kept");
      assert.deepEqual(await store.audit(), []);
    });

  test("a closed store refuses with what to do", async (context) => {
    const server = await start(context);
    let isTold = false;
    const store = open(server.connect(), {
      onClosed: () => {
        isTold = true;
      },
    });
    await store.reserve(call("a"));
    await store.close();
    await store.close();
    assert.ok(isTold);
    await assert.rejects(store.reserve(call("b")), { code: "store_unavailable", message: /Open it again/ });
    await assert.rejects(store.settle(sampleSettlement("a", 1)), { code: "store_unavailable", message: /Open it again/ });
  });
});

nodeTest("servers are judged by what they say of themselves", () => {
  const info = (fields: Readonly<Record<string, string>>) =>
    Object.entries({ redis_version: "7.0.15", maxmemory_policy: "noeviction", aof_enabled: "1", ...fields })
      .map(([name, value]) => `${name}:${value}\r\n`)
      .join("");
  assert.deepEqual(checkServer(info({})), []);
  assert.deepEqual(checkServer(info({ redis_version: "6.2.0" })), []);
  assert.throws(() => checkServer(info({ redis_version: "6.0.20" })), { code: "store_unsuitable", message: /version 6.0.20/ });
  assert.match(checkServer(info({ aof_enabled: "0" })).join(), /Set appendonly yes/);
  assert.match(checkServer(info({ connected_slaves: "1" })).join(), /Set min-replicas-to-write 1 and min-replicas-max-lag 3/);
  assert.deepEqual(checkServer(info({ connected_slaves: "1", min_slaves_good_slaves: "1" })), []);
  for (const policy of ["allkeys-lru", "volatile-ttl", "volatile-lru"])
    assert.throws(() => checkServer(info({ maxmemory_policy: policy })), { code: "store_unsuitable" });
});

nodeTest("a namespace that could leave its slot is refused", () => {
  const redis = { call: async () => null };
  for (const namespace of ["", "a}b", "{a", "a b", "x".repeat(65)])
    assert.throws(() => createRedisStore({ redis, namespace }), { code: "config_invalid" }, namespace);
});

/** Two gateways with a call each on a primary whose replica follows until they part. Their users have these rights. */
async function startPair(
  context: TestContext,
  { archive, rights = ["allcommands"] }: Pick<RedisStoreOptions, "archive"> & { readonly rights?: readonly string[] } = {},
) {
  const [primary, replica] = [await start(context), await start(context)];
  const replicaClient = replica.connect();
  for (const client of [primary.connect(), replicaClient])
    await client.acl("SETUSER", "default", "reset", "on", "nopass", "allkeys", ...rights);
  await replicaClient.replicaof("127.0.0.1", String(primary.port));
  const proxy = await startProxy(context, primary.port);
  const time = { now: Date.now() };
  const connect = () => open(primary.connect({ port: proxy.port }), { now: () => time.now, ...(archive && { archive }) });
  const [busy, idle] = [connect(), connect()];
  await outcomes(busy, ["a", "b"]);
  await idle.expire();
  const primaryClient = primary.connect();
  const part = async () => {
    await eventually(async () => (await replicaClient.hlen("{acme}:meta")) === (await primaryClient.hlen("{acme}:meta")));
    await replicaClient.replicaof("NO", "ONE");
  };
  return { primary, busy, idle, time, part, failOver: () => proxy.leadTo(replica.port) };
}

/** Where entries go that leave Redis, as `LedgerArchive` has it. */
function createArchive(): LedgerSource & { add(entries: readonly Entry[]): void } {
  const archived: Entry[] = [];
  return {
    add: (entries) => archived.push(...entries.filter(({ seq }) => seq > (archived.at(-1)?.seq ?? 0))),
    lastSeq: async () => archived.at(-1)?.seq ?? 0,
    entries: async ({ before = Infinity, most = 1_000, newest, ...query }) => {
      const matching = archived.filter((entry) => entry.seq < before && matchesQuery(entry, query));
      return newest ? matching.slice(-most) : matching.slice(0, most);
    },
  };
}

function sorted<Keyed extends { readonly ref: { readonly key: string } }>(counters: readonly Keyed[]): readonly Keyed[] {
  return [...counters].sort((a, b) => (a.ref.key < b.ref.key ? -1 : 1));
}
