import assert from "node:assert/strict";
import type { Agent } from "node:http";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openPostgresArchive } from "@purser/core/stores/postgres";
import type { RedisStore } from "@purser/core/stores/redis";
import {
  startTestPostgres,
  startTestRedis,
  startTestRedisCluster,
  startTestSentinels,
  type TestRedis,
  type TestRedisCluster,
  type TestSentinels,
} from "@purser/core/testing";
import { Redis } from "ioredis";
import pg from "pg";
import { runCommandLine } from "../cli/command-line.ts";
import { styleFor } from "../cli/style.ts";
import { BUDGETS, COST, callAll, checkNeverOver, TRIES } from "./five-levels.ts";
import { call, type Gateway, openAgent, openStore, startGateways, startProvider, untilEnded } from "./several-gateways.ts";
import { readLedger } from "./stand.ts";

const LOAD = { tries: TRIES.forever, calls: 400, atOnce: 50 };
/** How many calls are served before something breaks. */
const BEFORE = 60;
const DURABLE = ["--appendonly", "yes", "--appendfsync", "always"];
/** The user as whom a replica follows, so that it can be kept from it. */
const FOLLOWER = ["--masteruser", "follower", "--masterauth", "hush", "--user", ..."follower on >hush +psync +replconf +ping".split(" ")];

interface Scene {
  readonly primary: TestRedis;
  readonly replica: TestRedis;
  readonly sentinels: TestSentinels;
  readonly gateways: Gateway[];
  readonly asked: readonly string[];
  readonly agent: Agent;
}

/** Three gateways that three sentinels lead to a primary with a replica. A text says why there are none. */
async function startScene(context: TestContext, { postgres }: { readonly postgres?: string } = {}): Promise<Scene | string> {
  const [primary, replica] = [
    await startTestRedis("redis-server", [...DURABLE, ...FOLLOWER]),
    await startTestRedis("redis-server", [...DURABLE, ...FOLLOWER]),
  ];
  if (typeof primary === "string") return primary;
  if (typeof replica === "string") return replica;
  for (const server of [primary, replica]) context.after(() => server.close());
  await order(replica, "replicaof", "127.0.0.1", String(primary.port));
  const sentinels = await startTestSentinels(primary.port);
  if (typeof sentinels === "string") return sentinels;
  context.after(() => sentinels.close());
  await sentinels.agreed(1);
  const provider = await startProvider(context);
  const gateways = await startGateways(context, {
    redis: ["redis://primary"],
    sentinels: sentinels.urls,
    ...(postgres !== undefined && { postgres }),
    provider: provider.url,
    budgets: BUDGETS,
    count: 3,
  });
  return { primary, replica, sentinels, gateways, asked: provider.asked, agent: openAgent(context) };
}

/** Sends one command to a server, as an operator does. */
async function order({ port }: TestRedis, command: string, ...args: readonly string[]): Promise<unknown> {
  const client = new Redis({ host: "127.0.0.1", port });
  client.on("error", () => undefined);
  try {
    return await client.call(command, ...args);
  } finally {
    client.disconnect();
  }
}

/** Waits for servers and clocks of others, and looks only now and then: their work needs the processor. */
async function until(what: string, look: () => Promise<boolean> | boolean): Promise<void> {
  const latest = performance.now() + 60_000;
  while (!(await look())) {
    if (performance.now() > latest) throw new Error(`Waited in vain for ${what}.`);
    await sleep(20);
  }
}

/** What the provider was asked for is in the ledger, each call once, and charged at what it used. */
async function checkWhole(store: RedisStore, asked: readonly string[]): Promise<void> {
  await until("the last hold to end", async () => (await store.counters()).every(({ held }) => held === 0));
  await checkNeverOver(store, asked);
  const settled = await readLedger(store, ["settled"]);
  const users = settled.map((entry) => (entry.kind === "settled" ? entry.detail.subject.user : undefined));
  assert.deepEqual(users.toSorted(), asked.map((label) => label.split(" ")[0]).toSorted());
  const [company] = await store.counters({ budget: "company" });
  assert.equal(company?.spent, asked.length * COST);
}

/**
 * A server that fails may have told its clients what it had not told its replica yet, by a moment. That is noticed, and here accepted, so that
 * calls go on. Whether it was so is said at the end: then the ledger lacks calls, and is otherwise as it should be.
 */
function acceptLosses(store: RedisStore): { end(): Promise<boolean> } {
  let [isOver, hasLost] = [false, false];
  const accepting = (async () => {
    while (!isOver) {
      if (await store.acceptLoss().catch(() => undefined)) hasLost = true;
      await sleep(200);
    }
  })();
  return {
    async end() {
      isOver = true;
      await accepting;
      return hasLost;
    },
  };
}

async function checkBooks(store: RedisStore, asked: readonly string[], hasLost: boolean): Promise<void> {
  if (!hasLost) return checkWhole(store, asked);
  await checkNeverOver(store, []);
  assert.ok((await readLedger(store, ["settled"])).length < asked.length);
}

for (const fault of ["killed", "frozen"] as const) {
  test(`a primary is ${fault} under load: gateways follow the sentinels to its replica, and the books are whole`, async (context) => {
    const scene = await startScene(context);
    if (typeof scene === "string") return context.skip(`not run: ${scene}`);
    const { primary, replica, sentinels, gateways, asked, agent } = scene;
    const calling = callAll(agent, gateways, asked, LOAD);
    await until("the first calls", () => asked.length >= BEFORE);
    if (fault === "killed") await primary.kill();
    else primary.freeze(true);
    await until("the replica to take over", async () => (await sentinels.primary()) === replica.port);
    const before = asked.length;
    const store = await openStore(context, [replica.url]);
    const losses = acceptLosses(store);
    await until("calls at the replica", () => asked.length > before);
    // What it was asked before it froze is answered now, and nobody hears it any more.
    if (fault === "frozen") primary.freeze(false);
    const outcome = await calling;
    const hasLost = await losses.end();
    const { served, refused } = outcome;
    context.diagnostic(JSON.stringify({ served, refused, hasLost, afterFailOver: asked.length - before }));
    assert.equal(served + refused, LOAD.calls);
    assert.equal(served, asked.length);
    await checkBooks(store, asked, hasLost);
  });
}

/** Makes so many calls, over all gateways, and returns how they were answered. */
async function callEach({ gateways, agent }: Scene, name: string, count: number): Promise<readonly (number | undefined)[]> {
  const calls = Array.from({ length: count }, (_, i) => {
    const user = `${name}-${i}`;
    const headers = { "x-purser-user": user, "x-purser-team": "crew" };
    return call(agent, gateways[i % gateways.length] as Gateway, `${user} crew - any`, { headers });
  });
  return (await Promise.all(calls)).map((answer) => answer?.status);
}

function all(status: number, count: number): readonly number[] {
  return Array.from({ length: count }, () => status);
}

/** The replica follows no more, and what is acknowledged from now on is lost when it takes over. */
async function cutReplica(context: TestContext, { primary, replica }: Scene): Promise<void> {
  const store = await openStore(context, [primary.url]);
  await untilEnded(store);
  const lengthOf = (server: TestRedis) => order(server, "xlen", "{acme}:ledger");
  await until("the replica to have it all", async () => (await lengthOf(primary)) === (await lengthOf(replica)));
  await order(primary, "acl", "setuser", "follower", "off");
  await order(primary, "client", "kill", "type", "replica");
}

async function failOver({ primary, replica, sentinels }: Scene): Promise<void> {
  await primary.kill();
  await until("the replica to take over", async () => (await sentinels.primary()) === replica.port);
}

test("a replica that was behind takes over: all gateways notice and admit nothing, until the loss is accepted", async (context) => {
  const scene = await startScene(context);
  if (typeof scene === "string") return context.skip(`not run: ${scene}`);
  const { replica, gateways, asked } = scene;
  assert.deepEqual(await callEach(scene, "early", 30), all(200, 30));
  await cutReplica(context, scene);
  assert.deepEqual(await callEach(scene, "lost", 3), all(200, 3));
  await failOver(scene);
  await until("the loss to be noticed", async () => (await order(replica, "hget", "{acme}:meta", "fence")) !== null);
  for (let i = 0; i < 5; i++) assert.deepEqual(await callEach(scene, `refused-${i}`, 6), all(503, 6));
  assert.equal(asked.length, 33);

  const config = gateways[0]?.config ?? "";
  const environment = { cwd: "/", env: {}, style: styleFor({}, {}), now: Date.now, print: () => undefined, say: () => undefined };
  const accepted = await runCommandLine(["store", "accept-loss", "--config", config], environment);
  assert.match(accepted.text ?? "", /Of at least \d+ entries \d+ were left at primary\. Gateways go on from there/);
  await until("gateways to go on", async () => (await callEach(scene, "after", 3)).every((status) => status === 200));
  const store = await openStore(context, [replica.url]);
  await untilEnded(store);
  assert.deepEqual(await store.audit(), []);
  const users = (await readLedger(store, ["reserved"])).map((entry) => (entry.kind === "reserved" ? entry.detail.subject.user : ""));
  assert.equal(users.filter((user) => user?.startsWith("early")).length, 30);
  assert.equal(users.filter((user) => user?.startsWith("lost")).length, 0);
});

test("with PostgreSQL, what a fail-over lost is put back to the entry, and budgets are filled from there and not passed", async (context) => {
  const database = await startTestPostgres();
  if (typeof database === "string") return context.skip(`not run: ${database}`);
  const pool = new pg.Pool({ connectionString: database.url, max: 2 });
  context.after(async () => {
    await pool.end();
    await database.close();
  });
  const scene = await startScene(context, { postgres: database.url });
  if (typeof scene === "string") return context.skip(`not run: ${scene}`);
  const { primary, replica, gateways, asked, agent } = scene;
  const archive = await openPostgresArchive({ pool, ledger: "redis/acme" });

  assert.deepEqual(await callEach(scene, "early", 30), all(200, 30));
  await cutReplica(context, scene);
  assert.deepEqual(await callEach(scene, "lost", 30), all(200, 30));
  await untilEnded(await openStore(context, [primary.url]));
  const lastSeq = async () => Number(await order(primary, "hget", "{acme}:meta", "seq"));
  await until("the archive to have it all", async () => (await archive.lastSeq()) === (await lastSeq()));
  await failOver(scene);
  const outcome = await callAll(agent, gateways, asked, LOAD);
  assert.equal(outcome.served + outcome.refused, LOAD.calls);
  assert.equal(outcome.served + 60, asked.length);
  await checkWhole(await openStore(context, [replica.url], undefined, { archive }), asked);
});

interface Organisation {
  readonly namespace: string;
  readonly slot: number;
  readonly gateways: Gateway[];
  readonly asked: readonly string[];
}

/** A Cluster of six, and two organisations whose keys lie on its first node and on its second: three gateways. */
async function startSix(context: TestContext) {
  const cluster = await startTestRedisCluster({ replicas: true, settings: [...DURABLE, "--cluster-require-full-coverage", "no"] });
  if (typeof cluster === "string") return cluster;
  context.after(() => cluster.close());
  const startOrganisation = async (part: number, count: number): Promise<Organisation> => {
    const { namespace, slot } = await namespaceOn(cluster, part);
    const provider = await startProvider(context);
    const redis = cluster.nodes.map(({ url }) => url);
    const gateways = await startGateways(context, { redis, namespace, provider: provider.url, budgets: BUDGETS, count });
    return { namespace, slot, gateways, asked: provider.asked };
  };
  const [one, other] = [await startOrganisation(0, 2), await startOrganisation(1, 1)];
  return { cluster, one, other, agent: openAgent(context) };
}

/** A namespace whose keys lie on one of the three parts of a cluster. */
async function namespaceOn({ nodes: [node] }: TestRedisCluster, part: number) {
  for (let i = 0; ; i++) {
    const namespace = `crew-${i}`;
    const slot = Number(await order(node as TestRedis, "cluster", "keyslot", `{${namespace}}`));
    if (Math.floor(slot / 5_461) === part) return { namespace, slot };
  }
}

/** Both organisations call while something happens to the cluster, and then their books are whole. */
async function callWhile(
  context: TestContext,
  { cluster, one, other, agent }: Exclude<Awaited<ReturnType<typeof startSix>>, string>,
  event: () => Promise<void>,
): Promise<void> {
  const calling = [one, other].map(({ gateways, asked }) => callAll(agent, gateways, asked, LOAD));
  await until("the first calls", () => one.asked.length >= BEFORE);
  await event();
  const before = one.asked.length;
  const urls = cluster.nodes.map(({ url }) => url);
  const store = await openStore(context, urls, undefined, { namespace: one.namespace });
  const losses = acceptLosses(store);
  const outcomes = await Promise.all(calling);
  const hasLost = await losses.end();
  context.diagnostic(JSON.stringify({ outcomes: outcomes.map(({ served, refused }) => ({ served, refused })), hasLost, before }));
  assert.ok(one.asked.length > before, "calls go on afterwards");
  for (const [i, { asked }] of [one, other].entries()) {
    const { served, refused } = outcomes[i] as (typeof outcomes)[number];
    assert.equal(served + refused, LOAD.calls);
    assert.equal(served, asked.length);
  }
  await checkBooks(store, one.asked, hasLost);
  await checkWhole(await openStore(context, urls, undefined, { namespace: other.namespace }), other.asked);
}

test("a node of a Cluster of six is killed under load: its replica takes over, and the books of all organisations are whole", async (context) => {
  const six = await startSix(context);
  if (typeof six === "string") return context.skip(`not run: ${six}`);
  const [first, , , replica] = six.cluster.nodes as [TestRedis, TestRedis, TestRedis, TestRedis];
  await callWhile(context, six, async () => {
    await first.kill();
    await until("its replica to take over", async () => ((await order(replica, "role")) as unknown[])[0] === "master");
  });
});

test("a slot moves to another node of a Cluster under load, and the books are whole", async (context) => {
  const six = await startSix(context);
  if (typeof six === "string") return context.skip(`not run: ${six}`);
  const { cluster, one } = six;
  const [source, , target] = cluster.nodes as [TestRedis, TestRedis, TestRedis];
  const slot = String(one.slot);
  const nameOf = async (node: TestRedis) => String(await order(node, "cluster", "myid"));
  const [from, to] = [await nameOf(source), await nameOf(target)];
  await callWhile(context, six, async () => {
    await order(target, "cluster", "setslot", slot, "importing", from);
    await order(source, "cluster", "setslot", slot, "migrating", to);
    for (;;) {
      const keys = (await order(source, "cluster", "getkeysinslot", slot, "20")) as readonly string[];
      if (keys.length === 0) break;
      await order(source, "migrate", "127.0.0.1", String(target.port), "", "0", "5000", "keys", ...keys);
    }
    for (const node of [target, source]) await order(node, "cluster", "setslot", slot, "node", to);
  });
});
