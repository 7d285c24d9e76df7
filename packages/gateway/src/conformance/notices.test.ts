import assert from "node:assert/strict";
import type { Agent } from "node:http";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Budgets, defineBudget } from "@purser/core";
import { createPriceBook } from "@purser/core/prices";
import { LEASE_MS } from "../alerts/alert-book.ts";
import { Alerts } from "../alerts/alerts.ts";
import type { Channel } from "../alerts/channel.ts";
import { AT_ONCE } from "../alerts/courier.ts";
import { Hindsight } from "../alerts/hindsight.ts";
import { RedisBook } from "../alerts/redis-book.ts";
import { openRedis } from "../redis-client.ts";
import { type MailServer, type Receiver, startMailServer, startReceiver } from "./receivers.ts";
import { call, type Gateway, kill, openAgent, openStore, restart, startGateways, startProvider, urlsOf } from "./several-gateways.ts";

/** So many balances pass a threshold, each once: PURSER_TEST_CROSSINGS=10000 takes some minutes. */
const CROSSINGS = Number(process.env.PURSER_TEST_CROSSINGS ?? 240);
const CALLERS = 30;
const KILLS = 6;
const PATIENCE_MS = 600_000;
/** Longer than it takes for a gateway to be missed. */
const MISSED_MS = 11_000;
/** A gateway sends no more to a channel at once, what it repeats included. */
const ROUND_MOST = 2 * AT_ONCE;

interface Scene {
  readonly redis: readonly string[];
  readonly gateways: Gateway[];
  readonly agent: Agent;
  readonly receiver: Receiver;
  readonly mail: MailServer;
  /** What each channel got, in the order in which it came. */
  readonly posted: () => readonly Copy[];
  readonly mailed: () => readonly Copy[];
  /** A gateway that looks a minute later, and ends when nothing is left to do. */
  lookLater(): Promise<void>;
}

/** A notice as it came. */
interface Copy {
  readonly id: string;
  readonly user: string;
  /** Which start of which gateway sent it. */
  readonly sender: string;
  /** Whether it says that it may have come before. */
  readonly isMarked: boolean;
}

/** Several gateways on one Redis that tell by webhook and by mail when a user has made the first of so many calls. */
async function startScene(context: TestContext, requests: number, count = 3): Promise<Scene | string> {
  const redis = await urlsOf(context, "one server");
  if (typeof redis === "string") return redis;
  const [provider, receiver, mail] = [await startProvider(context), await startReceiver(context), await startMailServer(context)];
  const gateways = await startGateways(context, {
    redis,
    provider: provider.url,
    budgets: `[{ name: each, per: user, limits: [${requests} requests / day], ladder: { 10%: tell } }]`,
    channels: (i) =>
      `{ hook: { kind: webhook, url: "${receiver.url}/${i}.\${PURSER_TEST_LIFE}" }, mail: { kind: email, server: "${mail.url}", from: "${i}.\${PURSER_TEST_LIFE}@example.com", to: [kim@example.com] } }`,
    count,
  });
  const channels: readonly Channel[] = [
    { name: "hook", kind: "webhook", url: `${receiver.url}/later`, secret: undefined },
    { name: "mail", kind: "email", server: mail.url, from: "later@example.com", to: ["kim@example.com"] },
  ];
  return {
    redis,
    gateways,
    agent: openAgent(context),
    receiver,
    mail,
    posted: () =>
      receiver.posted.map(({ headers, body, path }) => ({
        id: String(headers["webhook-id"]),
        user: userIn(body.data.subject),
        sender: path.slice(1),
        isMarked: headers["x-purser-repeat"] === "possible",
      })),
    mailed: () =>
      mail.mails.map((text) => ({
        id: /^Message-ID: <(.*)>\r$/m.exec(text)?.[1] ?? "",
        user: userIn(text),
        sender: /^From: (.*)@/m.exec(text)?.[1] ?? "",
        isMarked: /^X-Purser-Repeat: possible\r$/m.test(text) && text.includes("You may have been told this before"),
      })),
    async lookLater() {
      const store = await openStore(context, redis);
      const budget = defineBudget({ name: "each", per: "user", limits: [`${requests} requests / day`], ladder: { "10%": "tell" } });
      const budgets = new Budgets({ store, budgets: [budget], prices: createPriceBook() });
      // First it waits for those that it has not heard of, then it delivers what it had no time for.
      for (const laterMs of [LEASE_MS, LEASE_MS + MISSED_MS, LEASE_MS + 2 * MISSED_MS]) {
        const later = () => Date.now() + laterMs;
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

function userIn(text: string): string {
  return /user=(?:3D)?(user-\d+)/.exec(text.replaceAll("=\r\n", ""))?.[1] ?? text;
}

function users(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `user-${i}`).sort();
}

/** Whom a receiver hears of that drops what it has handled, by its id, as Standard Webhooks and mail servers have it. */
function heardBy(copies: readonly Copy[]): string[] {
  const handled = new Set<string>();
  const heard: string[] = [];
  for (const { id, user } of copies) {
    if (!handled.has(id)) heard.push(user);
    handled.add(id);
  }
  return heard.sort();
}

/** What came again under an id that had come before, and what was the latest before each of them. */
function repeatsOf(copies: readonly Copy[]): { readonly repeats: readonly Copy[]; readonly repeated: readonly Copy[] } {
  const latest = new Map<string, Copy>();
  const repeats: Copy[] = [];
  const repeated: Copy[] = [];
  for (const copy of copies) {
    const before = latest.get(copy.id);
    if (before) {
      repeats.push(copy);
      repeated.push(before);
    }
    latest.set(copy.id, copy);
  }
  return { repeats, repeated };
}

/** What its sender was sending when it was killed: what it sends next it takes when all of that is written down. */
function inFlight(copies: readonly Copy[]): ReadonlySet<Copy> {
  const senders = new Set(copies.map(({ sender }) => sender).filter((sender) => sender !== "later"));
  return new Set([...senders].flatMap((sender) => copies.filter((copy) => copy.sender === sender).slice(-ROUND_MOST)));
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
  const workers = Array.from({ length: CALLERS }, async () => {
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
  await patiently("all notices", async () => posted().length >= CROSSINGS && mailed().length >= CROSSINGS && (await waiting(first)) === 0);
  const lists = await Promise.all(
    [first, second].map(async ({ url }) => ((await (await fetch(`${url}/api/deliveries`)).json()) as { data: readonly unknown[] }).data),
  );
  assert.equal(lists[0]?.length, Math.min(2 * CROSSINGS, 1_000));
  assert.deepEqual(lists[0], lists[1], "every gateway lists what all have delivered");
  for (const { child } of gateways) await kill(child);
  await scene.lookLater();
  for (const copies of [posted(), mailed()]) {
    assert.deepEqual(copies.map(({ user }) => user).sort(), all, "nobody had to drop anything");
    assert.ok(copies.every(({ isMarked }) => !isMarked));
  }
});

test("a notice whose gateway is killed before it hears the answer is told again, under the same id and marked", async (context) => {
  const scene = await startScene(context, 2, 1);
  if (typeof scene === "string") return context.skip(`not run: ${scene}`);
  const { gateways, agent, receiver, mail, posted, mailed } = scene;
  receiver.status = undefined;
  mail.answers = false;
  const [doomed] = gateways as [Gateway];
  await call(agent, doomed, "user-0");
  await patiently("both channels", () => posted().length === 1 && mailed().length === 1);
  await kill(doomed.child);
  receiver.status = 200;
  mail.answers = true;
  await scene.lookLater();
  for (const copies of [posted(), mailed()]) {
    assert.deepEqual(
      copies.map(({ sender, isMarked }) => [sender, isMarked]),
      [
        ["0.0", false],
        ["later", true],
      ],
    );
    assert.deepEqual(heardBy(copies), ["user-0"]);
  }
  assert.equal(receiver.posted[0]?.text, receiver.posted[1]?.text, "who compares bodies finds the same");
});

test("gateways that are killed while thresholds are passed tell each once who drops ids that it knows; what comes twice was under way when one was killed", async (context) => {
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
  for (const [channel, copies] of [
    ["webhook", posted()],
    ["mail", mailed()],
  ] as const) {
    assert.deepEqual(heardBy(copies), charged.toSorted(), "everybody whose call was charged, and nobody else");
    const { repeats, repeated } = repeatsOf(copies);
    const marked = copies.filter(({ isMarked }) => isMarked).length;
    context.diagnostic(
      `${channel}: ${charged.length} of ${CROSSINGS} calls were charged; ${repeats.length} notices came again, of ${marked} in doubt`,
    );
    const killed = inFlight(copies);
    assert.deepEqual(
      repeated.filter((copy) => !killed.has(copy)),
      [],
      "its sender was killed while it sent it",
    );
    assert.deepEqual(
      repeats.filter(({ isMarked }) => !isMarked),
      [],
      "it says that it may have come before",
    );
  }
});
