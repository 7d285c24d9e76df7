import assert from "node:assert/strict";
import type { Agent } from "node:http";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Budgets, defineBudget } from "@purser/core";
import { createPriceBook } from "@purser/core/prices";
import { Alerts } from "../alerts/alerts.ts";
import type { Channel } from "../alerts/channel.ts";
import { Hindsight } from "../alerts/hindsight.ts";
import { RedisBook } from "../alerts/redis-book.ts";
import { openRedis } from "../redis-client.ts";
import { startMailServer, startReceiver } from "./receivers.ts";
import { call, type Gateway, kill, openAgent, openStore, restart, startGateways, startProvider, urlsOf } from "./several-gateways.ts";

/** So many balances pass a threshold, each once: PURSER_TEST_CROSSINGS=10000 takes some minutes. */
const CROSSINGS = Number(process.env.PURSER_TEST_CROSSINGS ?? 240);
const AT_ONCE = 30;
const KILLS = 6;
const PATIENCE_MS = 600_000;
/** Longer than a gateway has a notice that it has taken. */
const LATER_MS = 61_000;

interface Scene {
  readonly redis: readonly string[];
  readonly gateways: Gateway[];
  readonly agent: Agent;
  /** What each channel got: who the notice is about, by its id, as often as it came. */
  readonly posted: () => Told;
  readonly mailed: () => Told;
  /** A gateway that looks a minute later, and ends when nothing is left to do. */
  lookLater(): Promise<void>;
}

type Told = ReadonlyMap<string, readonly string[]>;

/** Three gateways on one Redis that tell by webhook and by mail when a user has made the first of so many calls. */
async function startScene(context: TestContext, requests: number): Promise<Scene | string> {
  const redis = await urlsOf(context, "one server");
  if (typeof redis === "string") return redis;
  const [provider, receiver, mail] = [await startProvider(context), await startReceiver(context), await startMailServer(context)];
  const channels: readonly Channel[] = [
    { name: "hook", kind: "webhook", url: receiver.url, secret: undefined },
    { name: "mail", kind: "email", server: mail.url, from: "purser@example.com", to: ["kim@example.com"] },
  ];
  const gateways = await startGateways(context, {
    redis,
    provider: provider.url,
    budgets: `[{ name: each, per: user, limits: [${requests} requests / day], ladder: { 10%: tell } }]`,
    channels: `{ hook: { kind: webhook, url: "${receiver.url}" }, mail: { kind: email, server: "${mail.url}", from: purser@example.com, to: [kim@example.com] } }`,
    count: 3,
  });
  return {
    redis,
    gateways,
    agent: openAgent(context),
    posted: () => byId(receiver.posted.map(({ headers, body }) => [String(headers["webhook-id"]), userIn(body.data.subject)])),
    mailed: () => byId(mail.mails.map((text) => [/^Message-ID: <(.*)>\r$/m.exec(text)?.[1] ?? "", userIn(text)])),
    async lookLater() {
      const later = () => Date.now() + LATER_MS;
      const store = await openStore(context, redis);
      const budget = defineBudget({ name: "each", per: "user", limits: [`${requests} requests / day`], ladder: { "10%": "tell" } });
      const budgets = new Budgets({ store, budgets: [budget], prices: createPriceBook() });
      // The second delivers what the first had found and had no time for.
      for (let round = 0; round < 2; round++) {
        let looked = Promise.resolve(true);
        const lookBack = (since: number | undefined): Promise<boolean> => {
          looked = new Hindsight({ store, budgets, alerts }).lookBack(since);
          return looked;
        };
        const book = new RedisBook({ connect: () => openRedis(redis), namespace: "acme", now: later });
        const alerts: Alerts = new Alerts({ book, channels, budgets: [budget], now: later, lookBack });
        await alerts.tick();
        await looked;
        await alerts.close();
      }
    },
  };
}

function byId(pairs: readonly (readonly [id: string, user: string])[]): Told {
  const found = new Map<string, string[]>();
  for (const [id, user] of pairs) found.set(id, [...(found.get(id) ?? []), user]);
  return found;
}

function userIn(text: string): string {
  return /user=(?:3D)?(user-\d+)/.exec(text.replaceAll("=\r\n", ""))?.[1] ?? text;
}

function users(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `user-${i}`).sort();
}

/** Who was told of, each by one id. */
function toldOf(told: Told): string[] {
  return [...told.values()].map((all) => [...new Set(all)].join(" ")).sort();
}

function timesTold(told: Told): number {
  return [...told.values()].reduce((sum, all) => sum + all.length, 0);
}

async function patiently(what: string, look: () => Promise<boolean> | boolean): Promise<void> {
  const until = performance.now() + PATIENCE_MS;
  while (!(await look())) {
    if (performance.now() > until) throw new Error(`Waited in vain for ${what}.`);
    await sleep(50);
  }
}

/** Works on so many at once. */
async function each(all: readonly string[], work: (one: string, i: number) => Promise<unknown>): Promise<void> {
  const left = all.entries();
  const workers = Array.from({ length: AT_ONCE }, async () => {
    for (const [i, one] of left) await work(one, i);
  });
  await Promise.all(workers);
}

test("a threshold that three gateways see being passed at the same moment is told once by each channel", async (context) => {
  const scene = await startScene(context, 3);
  if (typeof scene === "string") return context.skip(`not run: ${scene}`);
  const { gateways, agent, posted, mailed } = scene;
  const all = users(CROSSINGS);
  await each(all, (user) => Promise.all(gateways.map((gateway) => call(agent, gateway, user))));
  const waiting = async (gateway: Gateway) => {
    const { data } = (await (await fetch(`${gateway.url}/api/channels`)).json()) as { data: readonly { waiting: number }[] };
    return data.reduce((sum, { waiting }) => sum + waiting, 0);
  };
  const [first, second] = gateways as [Gateway, Gateway];
  await patiently("all notices", async () => posted().size >= CROSSINGS && mailed().size >= CROSSINGS && (await waiting(first)) === 0);
  const lists = await Promise.all(
    [first, second].map(async ({ url }) => ((await (await fetch(`${url}/api/deliveries`)).json()) as { data: readonly unknown[] }).data),
  );
  assert.equal(lists[0]?.length, Math.min(2 * CROSSINGS, 1_000));
  assert.deepEqual(lists[0], lists[1], "every gateway lists what all have delivered");
  for (const { child } of gateways) await kill(child);
  await scene.lookLater();
  for (const told of [posted(), mailed()]) {
    assert.deepEqual(toldOf(told), all);
    assert.equal(timesTold(told), CROSSINGS);
  }
});

test("gateways that are killed while thresholds are passed lose no notice; what comes twice comes under the same id", async (context) => {
  const scene = await startScene(context, 2);
  if (typeof scene === "string") return context.skip(`not run: ${scene}`);
  const { redis, gateways, agent, posted, mailed } = scene;
  const restarts = gateways.map(() => Promise.resolve());
  let kills = 0;
  // Each user calls one gateway once: nobody else sees the threshold being passed.
  await each(users(CROSSINGS), async (user, i) => {
    await restarts[i % 3];
    await call(agent, gateways[i % 3] as Gateway, user);
    if (i % Math.ceil(CROSSINGS / KILLS) !== 7) return;
    const doomed = kills++ % 3;
    restarts[doomed] = (restarts[doomed] as Promise<void>).then(() => restart(gateways, doomed));
  });
  await Promise.all(restarts);
  for (const { child } of gateways) await kill(child);
  await scene.lookLater();

  const store = await openStore(context, redis);
  const charged = (await store.counters({ budget: "each" })).filter(({ spent }) => spent > 0).map(({ ref }) => userIn(JSON.stringify(ref)));
  assert.ok(charged.length > CROSSINGS / 2);
  for (const told of [posted(), mailed()]) {
    assert.deepEqual(toldOf(told), charged.toSorted(), "everybody whose call was charged, and nobody else");
    context.diagnostic(`${charged.length} of ${CROSSINGS} calls were charged; ${timesTold(told) - told.size} notices came twice`);
    assert.ok(timesTold(told) - told.size <= 20 * (kills + 3), "no more comes twice than was under way when a gateway died");
  }
});
