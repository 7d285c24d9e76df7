import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type DemoProvider, startDemoProvider } from "./provider.ts";

let provider: DemoProvider;

function post(path: string, body: object): Promise<Response> {
  return fetch(provider.url + path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
}

// biome-ignore lint/suspicious/noExplicitAny: JSON from outside has no type.
type Json = any;

async function jsonOf(response: Response): Promise<Json> {
  return response.json();
}

/** The data of the events of a stream. */
async function eventsOf(response: Response): Promise<readonly string[]> {
  const text = await response.text();
  return [...text.matchAll(/^data: (.*)$/gm)].map(([, data = ""]) => data);
}

const MESSAGES = [{ role: "user", content: "What is a purser?" }];

const FORMATS = [
  { path: "/v1/chat/completions", body: { messages: MESSAGES }, text: (json: Json) => json.choices[0].message.content },
  { path: "/v1/responses", body: { input: "What is a purser?" }, text: (json: Json) => json.output[0].content[0].text },
  { path: "/v1/messages", body: { messages: MESSAGES }, text: (json: Json) => json.content[0].text },
  {
    path: "/v1beta/models/demo-1:generateContent",
    body: { contents: [{ parts: [{ text: "What is a purser?" }] }] },
    text: (json: Json) => json.candidates[0].content.parts[0].text,
  },
];

describe("the demo provider", () => {
  before(async () => {
    provider = await startDemoProvider({ delayMs: 0 });
  });
  after(() => provider.close());

  test("says the same in every format", async () => {
    const texts = [];
    for (const { path, body, text } of FORMATS) texts.push(text(await jsonOf(await post(path, { model: "demo-1", ...body }))));
    assert.match(texts[0], /^You asked: “What is a purser\?”/);
    assert.deepEqual([...new Set(texts)], [texts[0]]);
  });

  test("says the same, and the same usage, as a whole and as a stream", async () => {
    const whole = await jsonOf(await post("/v1/chat/completions", { model: "demo-1", messages: MESSAGES }));
    const stream = await eventsOf(
      await post("/v1/chat/completions", { model: "demo-1", messages: MESSAGES, stream: true, stream_options: { include_usage: true } }),
    );
    assert.equal(stream.at(-1), "[DONE]");
    const chunks = stream.slice(0, -1).map((data) => JSON.parse(data));
    assert.equal(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join(""), whole.choices[0].message.content);
    assert.deepEqual(chunks.at(-1).usage, whole.usage);
    assert.equal(whole.choices[0].finish_reason, "stop");
    assert.equal(whole.usage.completion_tokens, whole.choices[0].message.content.split(" ").length);
  });

  test("keeps to the output cap in both formats, and says that it did", async () => {
    const openai = await jsonOf(await post("/v1/chat/completions", { model: "demo-mini", messages: MESSAGES, max_completion_tokens: 5 }));
    assert.deepEqual([openai.usage.completion_tokens, openai.choices[0].finish_reason], [5, "length"]);
    const anthropic = await jsonOf(await post("/v1/messages", { model: "demo-mini", messages: MESSAGES, max_tokens: 5 }));
    assert.deepEqual([anthropic.usage.output_tokens, anthropic.stop_reason], [5, "max_tokens"]);
    const events = (
      await eventsOf(await post("/v1/messages", { model: "demo-mini", messages: MESSAGES, max_tokens: 5, stream: true }))
    ).map((data) => JSON.parse(data));
    assert.deepEqual(
      events.find(({ type }) => type === "message_delta"),
      {
        type: "message_delta",
        delta: { stop_reason: "max_tokens", stop_sequence: null },
        usage: { output_tokens: 5 },
      },
    );
    assert.equal(events.at(-1).type, "message_stop");
  });

  test("reports usage in an OpenAI stream only where it is asked to, as the real one does", async () => {
    const events = await eventsOf(await post("/v1/chat/completions", { model: "demo-mini", messages: MESSAGES, stream: true }));
    assert.ok(!events.some((data) => data.includes("usage")));
  });

  test("counts a message of Anthropic's as it would charge it", async () => {
    const { usage } = await jsonOf(await post("/v1/messages", { model: "demo-1", messages: MESSAGES }));
    const counted = await jsonOf(await post("/v1/messages/count_tokens", { model: "demo-1", messages: MESSAGES }));
    assert.deepEqual(counted, { input_tokens: usage.input_tokens });
  });

  test("refuses what it does not know, in the format that was spoken", async () => {
    const openai = await post("/v1/chat/completions", { model: "gpt-4o", messages: MESSAGES });
    assert.equal(openai.status, 404);
    assert.match((await jsonOf(openai)).error.message, /demo-1, demo-mini/);
    const anthropic = await post("/v1/messages", { messages: MESSAGES });
    assert.equal(anthropic.status, 400);
    assert.equal((await jsonOf(anthropic)).type, "error");
    assert.equal((await post("/v1/embeddings", {})).status, 404);
  });
});
