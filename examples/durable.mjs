// A budget that outlives its process: each run of this program has a call of the day less.
// Run: node examples/durable.mjs && node examples/durable.mjs
import { randomUUID } from "node:crypto";
import { Budgets, defineBudget } from "@purser/core";
import { createPriceBook } from "@purser/core/prices";
import { openSqliteStore } from "@purser/core/stores/sqlite";

const store = await openSqliteStore({ directory: ".purser/example" });
const daily = defineBudget({ name: "daily", limits: ["1 request / day", "$1 / day"] });
const budgets = new Budgets({ store, prices: createPriceBook(), budgets: [daily] });
await budgets.adopt();

const decision = await budgets.reserve({
  id: randomUUID(),
  subject: { provider: "openai", model: "gpt-4o-mini" },
  input: { most: 100 },
  output: { most: 500 },
});
if (decision.outcome === "allowed") {
  // Here the call would be made. If the process died now, the call would be charged at its estimate.
  await budgets.settle(decision.reservation, { inputTokens: 88, outputTokens: 321 });
  console.log("answered");
} else {
  console.log(decision.denial.message);
}
await budgets.close();
await store.close();

/* Prints:
answered
Budget "daily" has nothing left of 1 request today (1 request spent). It resets …
*/
