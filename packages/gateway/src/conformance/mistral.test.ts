import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { Mistral } from "@mistralai/mistralai";
import OpenAI from "openai";
import type { Json } from "./calls.ts";
import { checkAnswer, type Prompt, REPORTED, startMock, WEATHER } from "./clients.ts";
import { type RawProvider, startRawProvider, writeJson } from "./raw-provider.ts";
import { type Stand, startStand } from "./stand.ts";

/** $0.15 and $0.60 for a million. */
const MODEL = { name: "mistral-small-latest", input: 150, output: 600 };

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  readonly key: string;
}

/**
 * A mock that others wrote, with the habits of Mistral's API before it: it refuses what it does not know, `stream_options.include_usage` too,
 * and says what a stream used in the chunk that ends it.
 */
async function startScene(context: TestContext): Promise<Scene> {
  const mock = await startMock(context);
  const provider = await startRawProvider(context, async (response, { url, body }) => {
    const call = JSON.parse(body);
    if (call.stream_options?.include_usage !== undefined || call.max_completion_tokens !== undefined)
      return writeJson(response, 422, { object: "error", message: "Extra inputs are not permitted", type: "invalid_request_error" });
    const asked = call.stream ? { ...call, stream_options: { include_usage: true } } : call;
    const answer = await fetch(mock.url + url, { method: "POST", body: JSON.stringify(asked) });
    if (!call.stream) return writeJson(response, 200, await answer.json());
    const events = (await answer.text()).split("\n\n").filter((event) => event.startsWith("data: {"));
    const chunks = events.map((event) => JSON.parse(event.slice("data: ".length)));
    const { usage } = chunks.find(({ choices }) => choices.length === 0) ?? {};
    const said = chunks.filter(({ choices }) => choices.length > 0);
    const calls = said.flatMap(({ choices }) => choices[0].delta.tool_calls ?? []);
    const end = { ...said.at(-1), usage };
    // It sends a call of a tool in one piece.
    const pieces = calls.length > 0 ? [withDelta(end, { content: "", tool_calls: [joined(calls)] })] : [...said.slice(0, -1), end];
    const text = pieces.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join("");
    response.writeHead(200, { "content-type": "text/event-stream" }).end(`${text}data: [DONE]\n\n`);
  });
  const config = [
    `providers: { mistral: { base_url: "${provider.url}/v1", api_key: k } }`,
    "budgets: [{ name: all, limits: [$1, 1M tokens] }]",
  ].join("\n");
  const stand = await startStand(context, { config });
  const { secret } = await stand.gateway.keys.create({ name: "crew" });
  return { stand, provider, key: secret };
}

function withDelta(chunk: Json, delta: Json): Json {
  return { ...chunk, choices: [{ ...chunk.choices[0], delta }] };
}

/** A call of a tool, of which the pieces came one by one. */
function joined(pieces: readonly Json[]): Json {
  const called = pieces.map((piece) => piece.function?.arguments ?? "").join("");
  return { ...pieces[0], function: { name: pieces[0].function.name, arguments: called } };
}

describe("Mistral", () => {
  test("its client works, plain, streamed and with tools, and the ledger has exactly the usage that it was told", async (context) => {
    const { stand, key } = await startScene(context);
    const mistral = new Mistral({ serverURL: stand.url, apiKey: key });
    const call = (content: Prompt) => ({
      model: MODEL.name,
      messages: [{ role: "user" as const, content }],
      tools: [{ type: "function" as const, function: WEATHER }],
    });
    const args = (given: unknown) => (typeof given === "string" && given !== "" ? JSON.parse(given) : given);
    let calls = 0;
    for (const prompt of Object.keys(REPORTED) as Prompt[]) {
      const { choices, usage } = await mistral.chat.complete(call(prompt));
      const message = choices[0]?.message;
      checkAnswer(prompt, message?.content as string, args(message?.toolCalls?.[0]?.function.arguments));
      let [text, called] = ["", ""];
      let told: typeof usage | undefined;
      for await (const { data } of await mistral.chat.stream(call(prompt))) {
        const { content, toolCalls } = data.choices[0]?.delta ?? {};
        text += content ?? "";
        called += toolCalls?.[0]?.function.arguments ?? "";
        told = data.usage ?? told;
      }
      checkAnswer(prompt, text, args(called));
      const { input, output } = REPORTED[prompt];
      for (const one of [usage, told]) assert.deepEqual([one?.promptTokens, one?.completionTokens], [input, output]);
      calls += 2;
      for (const { charge } of (await stand.entries(calls, "settled")).slice(-2))
        assert.deepEqual(charge, {
          usage: { inputTokens: input, outputTokens: output },
          cost: input * MODEL.input + output * MODEL.output,
          certainty: "confirmed",
        });
    }
    await stand.checkBooks();
  });

  test("a stream of another client is not asked for its usage there, where asking is refused, and is charged all the same", async (context) => {
    const { stand, provider, key } = await startScene(context);
    const openai = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: key });
    const stream = await openai.chat.completions.create({
      model: MODEL.name,
      stream: true,
      messages: [{ role: "user", content: "What is a purser?" }],
    });
    for await (const { choices } of stream) assert.equal(choices.length, 1);
    assert.equal(JSON.parse(provider.received[0]?.body ?? "").stream_options, undefined);
    const [{ charge } = assert.fail()] = await stand.entries(1, "settled");
    assert.deepEqual(charge.usage, { inputTokens: 41, outputTokens: 89 });
    assert.equal(charge.certainty, "confirmed");
  });
});
