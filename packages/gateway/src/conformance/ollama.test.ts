import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { Ollama } from "ollama";
import { post } from "./calls.ts";
import { WEATHER } from "./clients.ts";
import { LINES_HEADERS, ollamaAnswer, ollamaPart, type RawProvider, startRawProvider, writeJson } from "./raw-provider.ts";
import { PRICES, providersAt, type Stand, startStand } from "./stand.ts";

const USAGE = { input: 41, output: 9 };
const line = (value: unknown) => `${JSON.stringify(value)}\n`;

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  readonly ollama: Ollama;
}

async function startScene(context: TestContext, budget = "limits: [$10, 1M tokens]"): Promise<Scene> {
  const provider = await startRawProvider(context, (response, { body }) => {
    if (JSON.parse(body).stream === false) return writeJson(response, 200, ollamaAnswer("Aye.", USAGE));
    return response.writeHead(200, LINES_HEADERS).end(line(ollamaPart("Ay")) + line(ollamaPart("e.")) + line(ollamaAnswer("", USAGE)));
  });
  const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\nbudgets: [{ name: all, ${budget} }]` });
  const { secret } = await stand.gateway.keys.create({ name: "crew" });
  return { stand, provider, ollama: new Ollama({ host: stand.url, headers: { authorization: `Bearer ${secret}` } }) };
}

const messages = [{ role: "user", content: "Ahoy" }];

describe("ollama: its own format", () => {
  test("its client works, plain and streamed, and the ledger has the usage that it was told", async (context) => {
    const { stand, ollama, provider } = await startScene(context);
    const { message, prompt_eval_count, eval_count } = await ollama.chat({ model: "llama3.2", messages });
    assert.deepEqual([message.content, prompt_eval_count, eval_count], ["Aye.", USAGE.input, USAGE.output]);
    let text = "";
    for await (const part of await ollama.chat({ model: "llama3.2", messages, stream: true })) text += part.message.content;
    assert.equal(text, "Aye.");
    const image = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
    await ollama.chat({ model: "llama3.2", messages: [{ role: "user", content: "What is it?", images: [image] }] });
    for (const { charge } of await stand.entries(3, "settled"))
      assert.deepEqual(charge, { usage: { inputTokens: 41, outputTokens: 9 }, cost: 41 * 3_000 + 9 * 15_000, certainty: "confirmed" });
    provider.answer = (response) => writeJson(response, 200, { model: "m", embeddings: [[1, 2]], prompt_eval_count: 7 });
    assert.deepEqual((await ollama.embed({ model: "nomic-embed-text", input: "Ahoy" })).embeddings, [[1, 2]]);
    assert.deepEqual((await stand.entries(4, "settled"))[3]?.charge.usage, { inputTokens: 7, outputTokens: 0 });
    await stand.checkBooks();
  });

  test("its client gets calls of tools, plain and streamed, which are charged as they are told", async (context) => {
    const { stand, provider, ollama } = await startScene(context);
    const called = { role: "assistant", content: "", tool_calls: [{ function: { name: WEATHER.name, arguments: { city: "Bremen" } } }] };
    provider.answer = (response, { body }) => {
      const { stream, tools } = JSON.parse(body);
      assert.equal(tools[0].function.name, WEATHER.name, "tools go on as they came");
      const answer = { ...ollamaAnswer("", USAGE), message: called };
      if (stream === false) return writeJson(response, 200, answer);
      response.writeHead(200, LINES_HEADERS).end(line({ ...answer, done: false }) + line(ollamaAnswer("", USAGE)));
    };
    const parameters = { ...WEATHER.parameters, required: ["city"] };
    const call = { model: "llama3.2", messages, tools: [{ type: "function", function: { ...WEATHER, parameters } }] };
    const { message, eval_count } = await ollama.chat(call);
    assert.deepEqual([message.tool_calls?.[0]?.function.arguments, eval_count], [{ city: "Bremen" }, USAGE.output]);
    const parts = [];
    for await (const part of await ollama.chat({ ...call, stream: true })) parts.push(part);
    assert.deepEqual(parts[0]?.message.tool_calls?.[0]?.function.arguments, { city: "Bremen" });
    assert.deepEqual([parts.at(-1)?.prompt_eval_count, parts.at(-1)?.eval_count], [USAGE.input, USAGE.output]);
    for (const { charge } of await stand.entries(2, "settled"))
      assert.deepEqual(charge, { usage: { inputTokens: 41, outputTokens: 9 }, cost: 41 * 3_000 + 9 * 15_000, certainty: "confirmed" });
    await stand.checkBooks();
  });

  test("a refusal is a sentence that its client throws", async (context) => {
    const { ollama, provider } = await startScene(context, "limits: [$0]");
    await assert.rejects(ollama.chat({ model: "llama3.2", messages }), { status_code: 402, message: /^Budget "all" allows nothing/ });
    assert.equal(provider.received.length, 0);
  });

  test("a call that says nothing of it is streamed, its cap is written among the options, and -1 is no cap", async (context) => {
    const { stand, provider, ollama } = await startScene(context, "limits: [500 output tokens], min_output: 1");
    for await (const _ of await ollama.chat({ model: "m", messages, stream: true, options: { num_predict: -1, temperature: 0.5 } }));
    const [{ body } = assert.fail()] = provider.received;
    assert.deepEqual(JSON.parse(body).options, { num_predict: 500, temperature: 0.5 });
    await stand.checkBooks();
    for (const num_predict of [0, -3, 1.5, "100"])
      await assert.rejects(ollama.chat({ model: "m", messages, options: { num_predict: num_predict as number } }), { status_code: 400 });
  });

  test("a stream that breaks off, and one without counts, are charged what came by our own count", async (context) => {
    const { stand, provider, ollama } = await startScene(context);
    const words = line(ollamaPart(" word".repeat(50)));
    provider.answer = (response) => {
      response.writeHead(200, LINES_HEADERS).write(words);
      response.write(words, () => response.destroy());
    };
    await assert.rejects(async () => {
      for await (const _ of await ollama.chat({ model: "gpt-4o", messages, stream: true }));
    });
    provider.answer = (response) => response.writeHead(200, LINES_HEADERS).end(words + line({ ...ollamaPart(""), done: true }));
    for await (const _ of await ollama.chat({ model: "gpt-4o", messages, stream: true }));
    const [cut, silent] = await stand.entries(2, "settled");
    for (const [entry, least] of [
      [cut, 100],
      [silent, 50],
    ] as const) {
      assert.equal(entry?.charge.certainty, "estimated");
      const { outputTokens = 0, inputTokens = 0 } = entry?.charge.usage ?? {};
      assert.ok(outputTokens >= least && outputTokens < least + 5 && inputTokens > 0, String(outputTokens));
    }
    await stand.checkBooks();
  });

  test("what came before as numbers, and what a tool was called with, is counted", async (context) => {
    const { stand, provider } = await startScene(context, "limits: [$10], request: { max_input: 4000 }");
    const context2 = Array.from({ length: 5_000 }, (_, i) => i);
    assert.equal((await post(`${stand.url}/api/generate`, { model: "gpt-4o", prompt: "Ahoy", context: context2 })).status, 401);
    const { secret } = await stand.gateway.keys.create({ name: "mate" });
    const headers = { authorization: `Bearer ${secret}` };
    const call = { model: "gpt-4o", prompt: "Ahoy", context: context2 };
    assert.equal((await post(`${stand.url}/api/generate`, call, headers)).status, 413);
    assert.equal((await post(`${stand.url}/api/generate`, { ...call, context: context2.slice(0, 3_000) }, headers)).status, 200);
    const called = {
      role: "assistant",
      content: "",
      tool_calls: [{ function: { name: "look", arguments: { ["word ".repeat(5_000)]: true } } }],
    };
    assert.equal((await post(`${stand.url}/api/chat`, { model: "gpt-4o", messages: [called] }, headers)).status, 413);
    const hidden = { role: "user", content: "Ahoy", images: [Buffer.alloc(20_000, "picture").toString("base64")] };
    const escaped = JSON.stringify({ model: "gpt-4o", messages: [hidden] }).replace('"images"', '"im\\u0061ges"');
    assert.equal((await post(`${stand.url}/api/chat`, escaped, headers)).status, 413, "an image that is not seen as one is text");
    assert.equal(provider.received.length, 1);
  });

  test("its client lists the models that are configured, and the owner's API stays where it is", async (context) => {
    const { stand, ollama } = await startScene(context);
    assert.deepEqual((await ollama.list()).models, []);
    assert.equal((await fetch(`${stand.url}/api/chat`)).status, 404);
    assert.equal((await fetch(`${stand.url}/api/budgets`)).status, 401);
  });
});
