// A stream through the gateway, with the user that it is charged to, until the budget is used up.
// Run: node examples/openai-stream.mjs
import OpenAI from "openai";

const client = new OpenAI({ baseURL: `${process.env.PURSER_URL ?? "http://127.0.0.1:4100"}/v1`, apiKey: process.env.PURSER_KEY });
const call = {
  model: "demo-mini",
  stream: true,
  stream_options: { include_usage: true },
  messages: [{ role: "user", content: "What does a purser do?" }],
};
const headers = { "x-purser-user": "ann", "x-purser-feature": "tiny" };

try {
  for (;;) {
    for await (const { choices, usage } of await client.chat.completions.create(call, { headers })) {
      process.stdout.write(choices[0]?.delta.content ?? "");
      if (usage) console.log(`\n[${usage.prompt_tokens} tokens in, ${usage.completion_tokens} out]`);
    }
  }
} catch (error) {
  if (error.code !== "insufficient_quota") throw error;
  console.log(error.message);
}

/* Prints:
You asked: “What does a purser do?”. I am demo-mini: I answer briefly, because brief answers are cheap.
[23 tokens in, 18 out]
402 Budget "tiny" has 259 tokens left of 300 tokens today (41 tokens spent). This call asks for at least … tokens. …
*/
