// An agent that takes one step after the other, until it is done or its budget is: then it returns what it has.
// Run: purser run --budget '2000 tokens' -- node examples/agent.mjs
import OpenAI from "openai";

const client = new OpenAI();
const messages = [{ role: "user", content: "Plan a voyage from Bremen to Valparaíso." }];
const steps = [];
try {
  while (steps.length < 20) {
    const { choices } = await client.chat.completions.create({ model: "gpt-4o-mini", max_tokens: 400, messages });
    steps.push(choices[0].message.content);
    messages.push(choices[0].message, { role: "user", content: "Go on with the next leg." });
  }
} catch (error) {
  if (error.code !== "insufficient_quota") throw error;
  console.log("Stopped by the budget:", error.message);
}
console.log("Steps done:", steps.length);

/* Prints:
Stopped by the budget: 402 Budget "run" has … left of 2,000 tokens for its whole life …
Steps done: …

Purser: … calls, 1 refused, $0.000….

Model        Calls  Input  Output  Cost
gpt-4o-mini  …
*/
