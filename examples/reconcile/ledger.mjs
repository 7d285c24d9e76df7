// Five days of a company in October, as a ledger to lay its bills beside: `purser reconcile` reads it. The calls are made up.
// Run: node examples/reconcile/ledger.mjs
import { Budgets, defineBudget } from "@purser/core";
import { createPriceBook } from "@purser/core/prices";
import { openSqliteStore } from "@purser/core/stores/sqlite";

const MODELS = [
  { provider: "openai", model: "gpt-4o", calls: 40, usage: { inputTokens: 60_000, cacheReadInputTokens: 20_000, outputTokens: 10_000 } },
  { provider: "openai", model: "gpt-4o-mini", calls: 20, usage: { inputTokens: 60_000, outputTokens: 5_000 } },
  { provider: "openai", model: "gpt-4.1-nano", calls: 20, usage: { inputTokens: 100_000, outputTokens: 10_000 } },
  { provider: "mistral", model: "mistral-large-latest", calls: 10, usage: { inputTokens: 50_000, outputTokens: 10_000 } },
];

let now = 0;
const store = await openSqliteStore({ directory: "october", now: () => now });
const budgets = new Budgets({
  store,
  prices: createPriceBook(),
  budgets: [defineBudget({ name: "company", limits: ["$1,000 / month"] })],
  now: () => now,
});

async function call(id, { provider, model, usage }, certainty) {
  const input = { most: usage.inputTokens };
  const decision = await budgets.reserve({ id, subject: { provider, model }, input, output: { most: usage.outputTokens } });
  await budgets.settle(decision.reservation, usage, certainty);
}

for (let day = 12; day <= 16; day++) {
  now = Date.UTC(2026, 9, day, 12);
  const calls = MODELS.flatMap((one) => Array.from({ length: one.calls }, (_, i) => call(`${day} ${one.model} ${i}`, one)));
  await Promise.all(calls);
}
// The connection broke, and nobody knows how this one ended.
await call("lost", { provider: "openai", model: "gpt-4o", usage: { inputTokens: 60_000, outputTokens: 4_000 } }, "unconfirmed");

console.log(`${(await store.entries({ kinds: ["settled"], most: 1_000 })).length} calls are in the ledger in october.`);
await budgets.close();
await store.close();

/* Prints:
451 calls are in the ledger in october.
*/
