import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Budgets } from "../../budgets.ts";
import { defineBudget } from "../../domain/budget.ts";
import { createRedisStore } from "./index.ts";
import { startServer } from "./server.test-setup.ts";

const NOON = Date.UTC(2026, 10, 22, 12);
const DAY_MS = 86_400_000;
const PRICES = { card: () => undefined };
const BUDGETS = [defineBudget({ name: "company", limits: ["1000 tokens / day", "100 requests / minute", "50k tokens"] })];

const call = (id: string, tokens = 100) => ({ id, subject: { model: "demo-1" }, input: { most: tokens }, output: { most: 0 } });

/** Gateways with clocks of their own on one Redis. A text says why there are none. */
async function startGateways(context: TestContext, ...clocks: readonly (() => number)[]) {
  const server = await startServer(context);
  if (typeof server === "string") return server;
  return clocks.map((now) => {
    const store = createRedisStore({ redis: server.connect(), namespace: "acme", now: () => NOON });
    return { store, budgets: new Budgets({ store, budgets: BUDGETS, prices: PRICES, now }) };
  });
}

for (const [what, skewMs] of [
  ["a day ahead", DAY_MS],
  ["a day behind", -DAY_MS],
  ["minutes ahead", 180_000],
] as const) {
  test(`a gateway whose clock is ${what} shares the windows of the others`, async (context) => {
    const gateways = await startGateways(
      context,
      () => NOON,
      () => NOON + skewMs,
    );
    if (typeof gateways === "string") return context.skip(`not run: ${gateways}`);
    const [right, wrong] = gateways;
    assert.ok(right && wrong);
    await right.budgets.adopt();
    await wrong.budgets.adopt();
    for (let i = 0; i < 5; i++) {
      for (const [who, { budgets }] of [right, wrong].entries())
        assert.equal((await budgets.reserve(call(`${i}-${who}`))).outcome, "allowed");
    }
    const refused = await wrong.budgets.reserve(call("one more", 1));
    assert.equal(refused.outcome === "denied" && refused.denial.balance?.held, 1_000);
    assert.equal((await right.store.counters()).length, 3, "no window was opened beside the present ones");
  });
}

test("gateways that put the same new limit in force at the same time take over what was used once", async (context) => {
  const now = () => NOON;
  const gateways = await startGateways(context, now, now, () => NOON + DAY_MS);
  if (typeof gateways === "string") return context.skip(`not run: ${gateways}`);
  const [first] = gateways;
  assert.ok(first);
  await first.budgets.adopt();
  const used = await first.budgets.reserve(call("used"));
  const open = await first.budgets.reserve(call("open", 200));
  assert.ok(used.outcome === "allowed" && open.outcome === "allowed");
  await first.budgets.settle(used.reservation, { inputTokens: 70, outputTokens: 0 });
  const budgets = [...BUDGETS, defineBudget({ name: "new", limits: ["10k tokens / day"] })];
  await Promise.all(gateways.map((gateway) => gateway.budgets.configure({ budgets, prices: PRICES })));
  const standing = async () => {
    const [counter] = await first.store.counters({ budget: "new" });
    return [counter?.spent, counter?.held];
  };
  assert.deepEqual(await standing(), [70, 200]);
  await first.budgets.settle(open.reservation, { inputTokens: 150, outputTokens: 0 });
  assert.deepEqual(await standing(), [220, 0]);
  assert.deepEqual(await first.store.audit(), []);
});
