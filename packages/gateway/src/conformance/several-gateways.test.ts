import assert from "node:assert/strict";
import { test } from "node:test";
import type { Entry } from "@purser/core";
import { startTestPostgres, startTestRedis } from "@purser/core/testing";
import { openRedis } from "../redis-client.ts";
import {
  call,
  type Gateway,
  kill,
  openAgent,
  openStore,
  restart,
  startGateways,
  startProvider,
  untilEnded,
  urlsOf,
} from "./several-gateways.ts";
import { eventually, readLedger } from "./stand.ts";

/** Longer than the lease of a call. */
const LATER_MS = 11 * 60_000;

/** One budget for all with these limits, and one for each user. */
function budgetsOf(limits: string): string {
  return `[{ name: all, limits: [${limits}] }, { name: each, per: user, limits: [1M tokens / day] }]`;
}

for (const kind of ["one server", "a cluster"] as const) {
  test(`three gateways on ${kind} let exactly the 137 of 1,000 calls at once through that there is room for`, async (context) => {
    const redis = await urlsOf(context, kind);
    if (typeof redis === "string") return context.skip(`not run: ${redis}`);
    const provider = await startProvider(context);
    const gateways = await startGateways(context, { redis, provider: provider.url, budgets: budgetsOf("137 requests, $9000"), count: 3 });
    const agent = openAgent(context);
    const calls = Array.from({ length: 1_000 }, (_, i) => call(agent, gateways[i % 3] as Gateway, `user-${i}`));
    const statuses = (await Promise.all(calls)).map((answer) => answer?.status);
    assert.equal(statuses.filter((status) => status === 200).length, 137);
    assert.equal(statuses.filter((status) => status === 402).length, 863);
    assert.equal(provider.asked.length, 137);
    const store = await openStore(context, redis);
    await untilEnded(store);
    assert.deepEqual(await store.audit(), []);
    const [company] = (await store.counters({ budget: "all" })).filter(({ ref }) => ref.unit === "requests");
    assert.equal(company?.spent, 137);
    for (const { url } of gateways) {
      const { data } = (await (await fetch(`${url}/api/budgets?budget=all`)).json()) as { data: readonly { unit: string; left: number }[] };
      assert.equal(data.find(({ unit }) => unit === "requests")?.left, 0, "every gateway shows the same balance");
      assert.equal((await fetch(`${url}/readyz`)).status, 200);
    }
  });
}

test("a gateway that is killed loses nothing: what it had in flight is charged unconfirmed when its lease ends", async (context) => {
  const redis = await urlsOf(context, "one server");
  if (typeof redis === "string") return context.skip(`not run: ${redis}`);
  const provider = await startProvider(context);
  const gateways = await startGateways(context, {
    redis,
    provider: provider.url,
    budgets: budgetsOf("1000 requests, $9000, 500 concurrent"),
    count: 3,
  });
  const [doomed, ...others] = gateways as [Gateway, ...Gateway[]];
  const agent = openAgent(context);
  const lost = Array.from({ length: 20 }, (_, i) => call(agent, doomed, `kept-${i}`));
  await eventually("the calls to reach the provider", () => provider.kept.length === 20 || undefined);
  const traffic = Array.from({ length: 200 }, (_, i) => call(agent, others[i % 2] as Gateway, `user-${i}`));
  await kill(doomed.child);
  assert.deepEqual(new Set((await Promise.all(traffic)).map((answer) => answer?.status)), new Set([200]));
  await Promise.all(lost);

  const store = await openStore(context, redis);
  await eventually("the others to settle", async () => (await readLedger(store, ["settled"])).length === 200 || undefined);
  assert.deepEqual((await store.expire()).expired, [], "a lease lives as long as it was given");
  const later = await openStore(context, redis, () => Date.now() + LATER_MS);
  assert.equal((await later.expire()).expired.length, 20);

  const entries = await readLedger(store, []);
  const expired = entries.filter((entry): entry is Entry & { kind: "expired" } => entry.kind === "expired");
  assert.deepEqual(new Set(expired.map(({ charge }) => charge.certainty)), new Set(["unconfirmed"]));
  assert.deepEqual(
    expired.map(({ detail }) => detail.subject.user).sort(),
    provider.asked.filter((user) => user.startsWith("kept")).sort(),
  );
  const reserved = new Set(entries.flatMap((entry) => (entry.kind === "reserved" ? [entry.detail.subject.user] : [])));
  assert.deepEqual(
    provider.asked.filter((user) => !reserved.has(user)),
    [],
  );
  await untilEnded(store);
  assert.deepEqual(await store.audit(), []);
  assert.equal((await call(agent, others[0] as Gateway, "after"))?.status, 200);
});

test("with PostgreSQL beside it Redis keeps only what is new, and gets back what it loses", async (context) => {
  const server = await startTestRedis();
  const database = await startTestPostgres();
  if (typeof server !== "string") context.after(() => server.close());
  if (typeof database !== "string") context.after(() => database.close());
  if (typeof server === "string") return context.skip(`not run: ${server}`);
  if (typeof database === "string") return context.skip(`not run: ${database}`);
  const provider = await startProvider(context);
  const options = {
    redis: [server.url],
    postgres: database.url,
    provider: provider.url,
    budgets: budgetsOf("50 requests, $9000"),
    count: 2,
  };
  const gateways = (await startGateways(context, options)) as [Gateway, Gateway];
  const agent = openAgent(context);
  const ids: string[] = [];
  for (let i = 0; i < 30; i++) {
    const answer = await call(agent, gateways[i % 2] as Gateway, `user-${i}`);
    assert.equal(answer?.status, 200);
    ids.push(answer?.id ?? "");
  }
  const client = await openRedis([server.url]);
  context.after(() => client.disconnect());
  await eventually("Redis to be relieved", async () => (await client.xlen("{acme}:ledger")) <= 1 || undefined);
  for (const { url } of gateways) {
    const report = (await (await fetch(`${url}/api/requests/${ids[0]}`)).json()) as { outcome: string; entries: readonly unknown[] };
    assert.deepEqual([report.outcome, report.entries.length], ["settled", 2]);
  }

  await server.kill();
  await server.restart();
  const answers = async () => Promise.all(gateways.map(async (gateway, i) => (await call(agent, gateway, `after-${i}`))?.status));
  // Who may know of more than the archive has five seconds to say so.
  await eventually("what was lost to be restored", async () => (await answers()).every((status) => status === 200) || undefined, 20_000);
  const left = async ({ url }: Gateway) => {
    const { data } = (await (await fetch(`${url}/api/budgets?budget=all`)).json()) as { data: readonly { unit: string; left: number }[] };
    return data.find(({ unit }) => unit === "requests")?.left;
  };
  assert.deepEqual(await Promise.all(gateways.map(left)), [50 - provider.asked.length, 50 - provider.asked.length]);
  assert.ok(provider.asked.length >= 32);
});

test("while Redis is away gateways refuse with 503 and say so, and go on when it is back", async (context) => {
  const server = await startTestRedis("redis-server", ["--appendonly", "yes", "--appendfsync", "always"]);
  if (typeof server === "string") return context.skip(`not run: ${server}`);
  context.after(() => server.close());
  const provider = await startProvider(context);
  const [gateway] = (await startGateways(context, {
    redis: [server.url],
    provider: provider.url,
    budgets: budgetsOf("$9000"),
    count: 1,
  })) as [Gateway];
  const agent = openAgent(context);
  assert.equal((await call(agent, gateway, "before"))?.status, 200);
  await server.kill();
  const refused = await call(agent, gateway, "during");
  assert.equal(refused?.status, 503);
  assert.match(refused?.body ?? "", /store is unavailable/);
  await eventually(
    "the gateway to say that it is not ready",
    async () => (await fetch(`${gateway.url}/readyz`)).status === 503 || undefined,
  );
  await server.restart();
  await eventually("the gateway to be ready again", async () => (await fetch(`${gateway.url}/readyz`)).status === 200 || undefined);
  assert.equal((await call(agent, gateway, "after"))?.status, 200);
  assert.deepEqual(provider.asked, ["before", "after"]);
});

test("a gateway whose Redis cannot be reached, or may forget, does not start and says why", async (context) => {
  const server = await startTestRedis("redis-server", ["--maxmemory-policy", "volatile-lru"]);
  if (typeof server === "string") return context.skip(`not run: ${server}`);
  context.after(() => server.close());
  const start = (url: string) =>
    startGateways(context, { redis: [url], provider: "http://127.0.0.1:1/v1", budgets: budgetsOf("$1"), count: 1 });
  await assert.rejects(start(server.url), /maxmemory-policy noeviction/);
  await server.kill();
  await assert.rejects(start(server.url), /Redis at 127\.0\.0\.1:\d+ cannot be used: .*Is it running/);
});

for (const kind of ["one server", "a cluster"] as const)
  test(`what the guard of one gateway on ${kind} trips on stands at all of them, and whoever lets go of it does so for all`, async (context) => {
    const redis = await urlsOf(context, kind);
    if (typeof redis === "string") return context.skip(`not run: ${redis}`);
    const provider = await startProvider(context);
    const budgets = "[{ name: agents, per: user, limits: [$9000], guard: { repeats: 4, lasts: 1 h } }]";
    const gateways = await startGateways(context, { redis, provider: provider.url, budgets, count: 3 });
    const [one, other, third] = gateways as [Gateway, Gateway, Gateway];
    const agent = openAgent(context);
    const headers = { "x-purser-user": "ann" };
    for (let i = 0; i < 3; i++) assert.equal((await call(agent, one, "ann", { headers }))?.status, 200);
    assert.equal((await call(agent, one, "ann", { headers }))?.status, 402);
    const asked = provider.asked.length;
    const guardsOf = async ({ url }: Gateway) =>
      ((await (await fetch(`${url}/api/guards`)).json()) as { data: readonly { id: string }[] }).data;
    const [standing = assert.fail()] = await guardsOf(one);
    await eventually("the others to know it", async () => {
      const all = await Promise.all([other, third].map(guardsOf));
      return all.every((list) => list[0]?.id === standing.id) || undefined;
    });
    for (const gateway of [other, third]) assert.equal((await call(agent, gateway, "ann", { headers }))?.status, 402);
    assert.equal(provider.asked.length, asked);
    assert.equal((await call(agent, other, "bob", { headers: { "x-purser-user": "bob" } }))?.status, 200);
    await restart(gateways, 2);
    assert.equal((await guardsOf(gateways[2] as Gateway))[0]?.id, standing.id, "it is known after a restart");
    assert.equal((await fetch(`${other.url}/api/guards/${standing.id}?by=kim`, { method: "DELETE" })).status, 200);
    for (const gateway of gateways) {
      assert.deepEqual(await guardsOf(gateway), []);
      assert.equal((await call(agent, gateway, "ann", { headers }))?.status, 200);
    }
  });
