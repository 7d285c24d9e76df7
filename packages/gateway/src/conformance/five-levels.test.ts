import assert from "node:assert/strict";
import type { Agent } from "node:http";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startTestRedis, type TestRedis } from "@purser/core/testing";
import { BUDGETS, CALLS, callAll, checkNeverOver, LIMITS, TRIES } from "./five-levels.ts";
import { type Gateway, openAgent, openStore, restart, startGateways, startProvider, untilEnded } from "./several-gateways.ts";
import { readLedger } from "./stand.ts";

/** By when a budget must be used at its first refusal that no retry helps. One of few calls is full with its last ones in flight. */
const USED_LEAST = 0.99;
/** Longer than the lease of a call, or of a gateway. */
const LATER_MS = 11 * 60_000;

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

for (const leases of [false, true]) {
  test(`5,000 calls over three gateways${leases ? " with leases" : ""} fill budgets of five levels and pass none`, async (context) => {
    const scene = await startScene(context, { leases });
    if (!scene) return;
    const outcome = await callAll(scene.agent, scene.gateways, scene.asked, { tries: TRIES.forever });
    context.diagnostic(JSON.stringify({ ...outcome, usedAtFirstRefusal: Object.fromEntries(outcome.usedAtFirstRefusal) }));
    assert.equal(outcome.served + outcome.refused, CALLS);
    assert.equal(outcome.served, scene.asked.length);
    assert.ok(outcome.usedAtFirstRefusal.size >= 3, "several levels refused calls");
    for (const [budget, used] of outcome.usedAtFirstRefusal) assert.ok(used >= USED_LEAST, `${budget} refused when ${used} was used`);
    if (!leases) await untilEnded(await openStore(context, [scene.redis.url]));
    await checkNeverOver(await openStore(context, [scene.redis.url]), scene.asked);
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
    const outcome = await callAll(agent, gateways, asked, { tries: TRIES.some }).finally(() => {
      isOver = true;
    });
    await killing;
    context.diagnostic(JSON.stringify({ ...outcome, usedAtFirstRefusal: Object.fromEntries(outcome.usedAtFirstRefusal) }));
    await checkNeverOver(await openStore(context, [scene.redis.url]), scene.asked);

    // What the dead held is charged when its lease ends; until then it counts as used.
    const later = await openStore(context, [redis.url], () => Date.now() + LATER_MS);
    await later.expire();
    await checkNeverOver(await openStore(context, [scene.redis.url]), scene.asked);
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
