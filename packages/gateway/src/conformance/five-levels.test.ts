import assert from "node:assert/strict";
import type { Agent } from "node:http";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startTestRedis, type TestRedis } from "@purser/core/testing";
import {
  type Answer,
  call,
  type Gateway,
  openAgent,
  openStore,
  restart,
  startGateways,
  startProvider,
  untilEnded,
} from "./several-gateways.ts";
import { highWater, readLedger } from "./stand.ts";

const CALLS = 5_000;
const AT_ONCE = 500;
/** 11 tokens of input and 7 of output, at $3 and $15 for a million. */
const COST = 138_000;
/** Five levels, each of which refuses some calls: the company has room for 1,449 of them. */
const BUDGETS = `[
  { name: company, limits: [$0.2 / year] },
  { name: team, per: team, limits: [$0.08 / month] },
  { name: chat, for: { feature: chat }, limits: [11k tokens] },
  { name: small, for: { model: small }, limits: [$0.045 / day] },
  { name: user, per: user, limits: [10 requests / day, 5 concurrent] } ]`.replaceAll("\n", " ");
/** Of every counter, by its budget and unit. */
const LIMITS: Readonly<Record<string, number>> = {
  "company nanodollars": 200_000_000,
  "team nanodollars": 80_000_000,
  "chat tokens": 11_000,
  "small nanodollars": 45_000_000,
  "user requests": 10,
  "user concurrent": 5,
};
/** By when a budget must be used at its first refusal that no retry helps. One of few calls is full with its last ones in flight. */
const USED_LEAST = 0.99;
/** A client that is told to come back soon does, as SDKs do; what a dead gateway held stays held, so some give up. */
const TRIES = { forever: 5_000, some: 15 };
/** Longer than the lease of a call, or of a gateway. */
const LATER_MS = 11 * 60_000;

/** Who makes a call, as its attributes and its provider see it: most of one team, half for chat, a quarter of the small model. */
function callerOf(i: number) {
  return {
    user: `user-${Math.floor(i / 20)}`,
    team: i % 10 < 5 ? "team-0" : `team-${i % 5}`,
    feature: i % 2 === 0 ? "chat" : "search",
    model: i % 4 === 0 ? "small" : "large",
  };
}

/** How many of a budget's calls the provider was asked for; of the team that calls most. */
const COUNTED: Readonly<Record<string, (label: string) => boolean>> = {
  company: () => true,
  team: (label) => label.includes(" team-0 "),
  chat: (label) => label.includes(" chat "),
  small: (label) => label.includes(" small"),
};
const ROOM: Readonly<Record<string, number>> = {
  company: 200_000_000 / COST,
  team: 80_000_000 / COST,
  chat: 11_000 / 18,
  small: 45_000_000 / COST,
};

interface Outcome {
  served: number;
  refused: number;
  gaveUp: number;
  /** What part of each budget was used when it first refused a call for good. */
  readonly usedAtFirstRefusal: Map<string, number>;
}

/** Makes all calls, over all gateways, and each again until it is served, refused for good, or tired. */
async function callAll(agent: Agent, gateways: readonly Gateway[], asked: readonly string[], tries: number): Promise<Outcome> {
  const outcome: Outcome = { served: 0, refused: 0, gaveUp: 0, usedAtFirstRefusal: new Map() };
  const make = async (i: number): Promise<Answer | undefined> => {
    const { user, team, feature, model } = callerOf(i);
    const headers = { "x-purser-user": user, "x-purser-team": team, "x-purser-feature": feature };
    for (let n = 0; n < tries; n++) {
      const gateway = gateways[(i + n) % gateways.length] as Gateway;
      const answer = await call(agent, gateway, `${user} ${team} ${feature} ${model}`, { model, headers });
      if (answer?.status === 200 || answer?.status === 402) return answer;
      assert.ok(answer === undefined || [429, 503].includes(answer.status), answer?.body);
      await sleep(20);
    }
    return undefined;
  };
  let next = 0;
  const makeSome = async () => {
    while (next < CALLS) {
      const answer = await make(next++);
      if (answer === undefined) outcome.gaveUp++;
      else if (answer.status === 200) outcome.served++;
      else {
        outcome.refused++;
        const { name } = (JSON.parse(answer.body) as { error: { budget: { name: string } } }).error.budget;
        const counted = COUNTED[name];
        if (!counted || outcome.usedAtFirstRefusal.has(name)) continue;
        outcome.usedAtFirstRefusal.set(name, asked.filter(counted).length / (ROOM[name] as number));
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, makeSome));
  return outcome;
}

interface Scene {
  readonly redis: TestRedis;
  readonly gateways: Gateway[];
  readonly asked: readonly string[];
  readonly agent: Agent;
}

/** Three gateways on a Redis that writes down what it says. Nothing where there is none. */
async function startScene(context: TestContext, { leases }: { readonly leases: boolean }): Promise<Scene | undefined> {
  const redis = await startTestRedis("redis-server", ["--appendonly", "yes", "--appendfsync", "always"]);
  if (typeof redis === "string") {
    context.skip(`not run: ${redis}`);
    return undefined;
  }
  context.after(() => redis.close());
  const provider = await startProvider(context);
  const gateways = await startGateways(context, { redis: [redis.url], provider: provider.url, budgets: BUDGETS, count: 3, leases });
  return { redis, gateways, asked: provider.asked, agent: openAgent(context) };
}

/** At no entry of the ledger had a limit more spent and held than it allows; what the provider was asked for fits each of them too. */
async function checkNeverOver(context: TestContext, { redis, asked }: Scene): Promise<void> {
  const store = await openStore(context, [redis.url]);
  assert.deepEqual(await store.audit(), []);
  for (const [key, most] of highWater(await readLedger(store, []))) {
    const [budget, limit = ""] = key.split("|");
    const allowed = LIMITS[`${budget} ${limit.slice(0, limit.indexOf("/"))}`];
    assert.ok(allowed !== undefined && most <= allowed, `${key} had ${most} of ${allowed}`);
  }
  for (const [budget, counted] of Object.entries(COUNTED)) assert.ok(asked.filter(counted).length <= (ROOM[budget] as number), budget);
  const calls = new Map<string, number>();
  for (const label of asked) calls.set(label.split(" ")[0] as string, (calls.get(label.split(" ")[0] as string) ?? 0) + 1);
  assert.ok(
    [...calls.values()].every((count) => count <= 10),
    "no user has more than its ten requests",
  );
}

for (const leases of [false, true]) {
  test(`5,000 calls over three gateways${leases ? " with leases" : ""} fill budgets of five levels and pass none`, async (context) => {
    const scene = await startScene(context, { leases });
    if (!scene) return;
    const outcome = await callAll(scene.agent, scene.gateways, scene.asked, TRIES.forever);
    context.diagnostic(JSON.stringify({ ...outcome, usedAtFirstRefusal: Object.fromEntries(outcome.usedAtFirstRefusal) }));
    assert.equal(outcome.served + outcome.refused, CALLS);
    assert.equal(outcome.served, scene.asked.length);
    assert.ok(outcome.usedAtFirstRefusal.size >= 3, "several levels refused calls");
    for (const [budget, used] of outcome.usedAtFirstRefusal) assert.ok(used >= USED_LEAST, `${budget} refused when ${used} was used`);
    if (!leases) await untilEnded(await openStore(context, [scene.redis.url]));
    await checkNeverOver(context, scene);
  });

  test(`the same${leases ? " with leases" : ""} while a gateway is killed each second and Redis once`, async (context) => {
    const scene = await startScene(context, { leases });
    if (!scene) return;
    const { redis, gateways, asked, agent } = scene;
    let isOver = false;
    const killing = (async () => {
      for (let second = 1; !isOver; second++) {
        await sleep(1_000);
        if (second === 3) {
          await redis.kill();
          await redis.restart();
        }
        await restart(gateways, second % gateways.length);
      }
      return undefined;
    })();
    const outcome = await callAll(agent, gateways, asked, TRIES.some).finally(() => {
      isOver = true;
    });
    await killing;
    context.diagnostic(JSON.stringify({ ...outcome, usedAtFirstRefusal: Object.fromEntries(outcome.usedAtFirstRefusal) }));
    await checkNeverOver(context, scene);

    // What the dead held is charged when its lease ends; until then it counts as used.
    const later = await openStore(context, [redis.url], () => Date.now() + LATER_MS);
    await later.expire();
    await checkNeverOver(context, scene);
    const entries = await readLedger(later, ["reserved"]);
    const known = new Set(entries.map((entry) => entry.kind === "reserved" && entry.detail.subject.user));
    assert.deepEqual(
      [...new Set(asked.map((label) => label.split(" ")[0]))].filter((user) => !known.has(user)),
      [],
    );
    const [company] = await later.counters({ budget: "company" });
    assert.ok((company?.spent ?? 0) >= USED_LEAST * (LIMITS["company nanodollars"] as number), `the company used ${company?.spent}`);
  });
}
