// Two calls of one user at the same time, and room for one.
// Run: node examples/library.mjs
import { Budgets, createMemoryStore, defineBudget } from "@purser/core";
import { createPriceBook } from "@purser/core/prices";

const budgets = new Budgets({
  store: createMemoryStore(),
  prices: createPriceBook({ overrides: [{ model: "model-1", input: "3", output: "15", max_output: 4000 }] }),
  budgets: [
    defineBudget({ name: "company", limits: ["$100 / month"] }),
    defineBudget({ name: "each user", per: "user", limits: ["$0.03 / day"], minOutput: 1000 }),
  ],
});

const subject = { user: "ann", provider: "house", model: "model-1" };
const ask = (id) => budgets.reserve({ id, subject, input: { most: 1000 }, output: { most: 1500 } });
const [one, two] = await Promise.all([ask("call-1"), ask("call-2")]);
console.log(one.outcome, two.outcome, two.denial.reason);

await budgets.settle(one.reservation, { inputTokens: 1000, outputTokens: 200 });
const three = await ask("call-3");
console.log(three.outcome, "with room for", three.reservation.outputTokens, "tokens of output");
await budgets.release(three.reservation, "the user changed her mind");

for (const { budget, spent, held, left } of await budgets.balances()) console.log(budget, { spent, held, left });

/* Prints:
allowed denied budget_busy
allowed with room for 1400 tokens of output
company { spent: 6000000, held: 0, left: 99994000000 }
each user { spent: 6000000, held: 0, left: 24000000 }
*/
