import assert from "node:assert/strict";
import { test } from "node:test";
import { type BudgetInput, Budgets, type Call, createMemoryStore, defineBudget, type RateCard } from "./index.ts";

const CARD: RateCard = {
  provider: "demo",
  model: "demo-1",
  tiers: [{ aboveInputTokens: 0, rates: { input: 1_000_000, output: 2_000_000 } }],
  source: "test",
};
const NOON = Date.UTC(2026, 10, 22, 12, 0);

function setUp(budgets: readonly BudgetInput[], { now = () => NOON, card = CARD as RateCard | undefined } = {}) {
  const store = createMemoryStore({ now });
  return { store, budgets: new Budgets({ store, budgets: budgets.map(defineBudget), prices: { card: () => card }, now }) };
}

let calls = 0;
function call(size: { input: number; output: number }, extra: Partial<Call> = {}): Call {
  const subject = { provider: "demo", model: "demo-1", user: "ann" };
  return { id: `call-${++calls}`, subject, input: { most: size.input }, output: { most: size.output }, ...extra };
}

test("two calls cannot share the last dollar", async () => {
  const { budgets } = setUp([{ name: "company", limits: ["$1 / day"] }]);
  const [first, second] = await Promise.all([
    budgets.reserve(call({ input: 400_000, output: 100 })),
    budgets.reserve(call({ input: 700_000, output: 100 })),
  ]);
  assert.equal(first.outcome, "allowed");
  assert.equal(second.outcome, "denied");
});

test("a denied call holds nothing on any of its budgets", async () => {
  const { budgets } = setUp([
    { name: "company", limits: ["$10 / day", "1M tokens / minute"] },
    { name: "users", per: "user", limits: ["100 tokens / day"] },
  ]);
  const decision = await budgets.reserve(call({ input: 400, output: 10 }));
  assert.equal(decision.outcome, "denied");
  for (const { held, spent } of await budgets.balances()) assert.deepEqual({ held, spent }, { held: 0, spent: 0 });
});

test("a settled call is charged what it used, to the nano-dollar, and holds nothing", async () => {
  const { budgets } = setUp([{ name: "company", limits: ["$10 / day", "1M / day", "2 concurrent", "10 requests / hour"] }]);
  const decision = await budgets.reserve(call({ input: 1_000, output: 500 }));
  assert.ok(decision.outcome === "allowed");
  await budgets.settle(decision.reservation, { inputTokens: 900, outputTokens: 33 });
  const balances = Object.fromEntries((await budgets.balances()).map(({ unit, spent, held }) => [unit, [spent, held]]));
  assert.deepEqual(balances, { nanodollars: [966_000, 0], tokens: [933, 0], concurrent: [0, 0], requests: [1, 0] });
});

test("the output cap is lowered to what fits, and no further than min_output", async () => {
  const { budgets } = setUp([{ name: "company", limits: ["1000 tokens / day"], minOutput: 300 }]);
  const lowered = await budgets.reserve(call({ input: 500, output: 4_000 }));
  assert.ok(lowered.outcome === "allowed");
  assert.equal(lowered.reservation.outputTokens, 500);
  await budgets.settle(lowered.reservation, { inputTokens: 500, outputTokens: 100 });
  const denied = await budgets.reserve(call({ input: 101, output: 4_000 }));
  assert.ok(denied.outcome === "denied");
  assert.equal(denied.denial.reason, "budget_exhausted");
});
