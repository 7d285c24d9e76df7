// A budget inside OpenAI's own client, with no gateway: a program that asks until its users' money of the day is spent.
// Run: node examples/sdk-fetch.mjs
import { Budgets, createMemoryStore, defineBudget, formatDollars } from "@purser/core";
import { createPriceBook } from "@purser/core/prices";
import OpenAI from "openai";
import { createFetch } from "purser/fetch";

const budgets = new Budgets({
  store: createMemoryStore(),
  prices: createPriceBook(),
  budgets: [defineBudget({ name: "each user", per: "user", limits: ["$0.0002 / day"] })],
});
const client = new OpenAI({ fetch: createFetch({ budgets, provider: "openai", subject: { user: "ann" } }) });

const messages = [{ role: "user", content: "What does a purser do?" }];
try {
  for (;;) {
    const { usage } = await client.chat.completions.create({ model: "gpt-4o-mini", max_tokens: 200, messages });
    const [{ spent }] = await budgets.balances();
    console.log(usage.total_tokens, "tokens,", formatDollars(spent), "spent");
  }
} catch (error) {
  if (error.code !== "insufficient_quota") throw error;
  console.log(error.message);
}

/* Prints:
… tokens, $0.000… spent
…
402 Budget "each user" (user=ann) has $0.000… left of $0.0002 today ($0.000… spent). This call asks for at least $0.000…. It resets …
*/
