import assert from "node:assert/strict";
import { test } from "node:test";
import { type Balance, Budgets, createMemoryStore, defineBudget } from "@purser/core";
import { createPriceBook } from "@purser/core/prices";
import { Hindsight } from "./hindsight.ts";

const NOW = Date.UTC(2026, 10, 20, 12);
const SECOND = 1_000;
const MINUTE = 60_000;

interface Scene {
  readonly clock: { now: number };
  readonly budgets: Budgets;
  readonly hindsight: Hindsight;
  /** Whose balances were looked at, and how many requests were spent. */
  readonly seen: Map<string, number>;
  call(user: string, end?: "settled" | "left open"): Promise<void>;
}

function startScene(): Scene {
  const clock = { now: NOW };
  const store = createMemoryStore({ now: () => clock.now });
  const budgets = new Budgets({
    store,
    prices: createPriceBook(),
    budgets: [defineBudget({ name: "each", per: "user", limits: ["10 requests / day"] })],
    now: () => clock.now,
  });
  const seen = new Map<string, number>();
  const observe = (balances: readonly Balance[]) => {
    for (const { subject, spent } of balances) seen.set(subject, spent);
  };
  const alerts = { observe, watches: ({ user }: { readonly user?: string }) => user !== "unwatched" };
  let calls = 0;
  const scene: Scene = {
    clock,
    budgets,
    hindsight: new Hindsight({ store, budgets, alerts }),
    seen,
    async call(user, end = "settled") {
      const decision = await budgets.reserve({
        id: `req_${++calls}`,
        subject: { user, provider: "openai", model: "gpt-4o" },
        input: { most: 10 },
        output: { most: 10 },
      });
      assert.equal(decision.outcome, "allowed");
      if (end === "settled" && decision.outcome === "allowed")
        await budgets.settle(decision.reservation, { inputTokens: 10, outputTokens: 5 });
    },
  };
  return scene;
}

test("all that was charged since a time is looked at, over many pages, and nothing before", async () => {
  const scene = startScene();
  await scene.call("early");
  scene.clock.now += MINUTE;
  for (let i = 0; i < 1_200; i++) await scene.call(`user-${i}`);
  await scene.call("unwatched");
  await scene.hindsight.lookBack(NOW + MINUTE);
  assert.equal(scene.seen.size, 1_200);
  assert.equal(scene.seen.get("user=user-1199"), 1);
  assert.ok(!scene.seen.has("user=early"));
});

test("where nobody knows since when, the newest charges are looked at", async () => {
  const scene = startScene();
  for (let i = 0; i < 1_001; i++) await scene.call(`user-${i}`);
  await scene.call("open", "left open");
  await scene.hindsight.lookBack(undefined);
  assert.equal(scene.seen.size, 1_000);
  assert.ok(scene.seen.has("user=user-1000"));
});

test("what is charged because nobody settled it is looked at", async () => {
  const scene = startScene();
  await scene.call("ann", "left open");
  await scene.call("bob");
  scene.clock.now += 20 * MINUTE;
  const { expired } = await scene.budgets.expire();
  await scene.hindsight.expired(expired.length);
  assert.deepEqual([...scene.seen], [["user=ann", 1]]);
  scene.clock.now += SECOND;
  await scene.hindsight.expired((await scene.budgets.expire()).expired.length);
  assert.equal(scene.seen.size, 1);
});
