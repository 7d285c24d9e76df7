// A message through the gateway, what it cost, and what is left for this user.
// Run: node examples/anthropic.mjs
import Anthropic from "@anthropic-ai/sdk";

const baseURL = process.env.PURSER_URL ?? "http://127.0.0.1:4100";
const client = new Anthropic({ baseURL, apiKey: process.env.PURSER_KEY });
const headers = { "x-purser-user": "bob", "x-purser-feature": "chat" };
const call = { model: "demo-1", max_tokens: 300, messages: [{ role: "user", content: "What does a purser do?" }] };

const { data, response } = await client.messages.create(call, { headers }).withResponse();
console.log(data.content[0].text.slice(0, 80), "…");
console.log("cost:", Number(response.headers.get("x-purser-cost-nanodollars")) / 1e9, "dollars");

const left = await fetch(`${baseURL}/budget`, { headers: { ...headers, authorization: `Bearer ${process.env.PURSER_KEY}` } });
const balances = (await left.json()).data.filter(({ budget }) => budget === "each user");
for (const { subject, unit, window, left } of balances) console.log(subject, "has left", left, unit, "of this", window);

/* Prints:
You asked: “What does a purser do?”. I am a demonstration model: I run on your …
cost: 0.0012675 dollars
user=bob has left 19856 tokens of this day
user=bob has left 59 requests of this hour
user=bob has left 4 concurrent of this lifetime
*/
