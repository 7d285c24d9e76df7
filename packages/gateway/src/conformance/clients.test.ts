import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import Anthropic from "@anthropic-ai/sdk";
import { LLMock } from "@copilotkit/aimock";
import { generateText, jsonSchema, stepCountIs, streamText, type ToolSet } from "ai";
import OpenAI from "openai";
import { post, readAnswer } from "./calls.ts";
import { answerChat, chatAnswer, messageAnswer, startRawProvider, writeJson } from "./raw-provider.ts";
import { providersAt, type Stand, startStand } from "./stand.ts";

/** What the makers' price lists say, in nano-dollars for a token: $0.15 and $0.60, $3 and $15 for a million. */
const MODELS = {
  openai: { name: "gpt-4o-mini", input: 150, output: 600 },
  anthropic: { name: "claude-sonnet-4-6", input: 3_000, output: 15_000 },
} as const;

/** What the mock is told to report, for each prompt. The numbers have nothing in common, so that no two can be mistaken. */
const REPORTED = {
  "What is a purser?": { input: 41, output: 89 },
  "What is the weather in Bremen?": { input: 53, output: 37 },
} as const;
type Prompt = keyof typeof REPORTED;

/** What a client says that a call used. */
interface Told {
  readonly input: number | undefined;
  readonly output: number | undefined;
}

interface Client {
  readonly name: string;
  readonly model: (typeof MODELS)["openai" | "anthropic"];
  readonly plain: (prompt: Prompt) => Promise<Told>;
  readonly streamed: (prompt: Prompt) => Promise<Told>;
}

const WEATHER = {
  name: "weather",
  description: "The weather somewhere",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false },
} as const;

/** The clients as their makers ship them, told another base URL and another key. */
function clientsOf(url: string, key: string): readonly Client[] {
  const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: key });
  const anthropic = new Anthropic({ baseURL: url, apiKey: key });
  const aiOpenai = createOpenAI({ baseURL: `${url}/v1`, apiKey: key }).chat(MODELS.openai.name);
  const aiAnthropic = createAnthropic({ baseURL: `${url}/v1`, apiKey: key })(MODELS.anthropic.name);
  const chat = (prompt: Prompt) => ({
    model: MODELS.openai.name,
    messages: [{ role: "user" as const, content: prompt }],
    tools: [{ type: "function" as const, function: WEATHER }],
  });
  const message = (prompt: Prompt) => ({
    model: MODELS.anthropic.name,
    max_tokens: 1_000,
    messages: [{ role: "user" as const, content: prompt }],
    tools: [{ name: WEATHER.name, description: WEATHER.description, input_schema: { ...WEATHER.parameters, required: ["city"] } }],
  });
  const tools = {
    weather: { description: WEATHER.description, inputSchema: jsonSchema({ ...WEATHER.parameters, required: ["city"] }) },
  } as ToolSet;
  const viaAi = (model: typeof aiOpenai | typeof aiAnthropic) => ({
    plain: async (prompt: Prompt) => {
      const { usage, text, toolCalls } = await generateText({ model, prompt, tools, maxOutputTokens: 1_000 });
      checkAnswer(prompt, text, toolCalls[0]?.input);
      return { input: usage.inputTokens, output: usage.outputTokens };
    },
    streamed: async (prompt: Prompt) => {
      const stream = streamText({ model, prompt, tools, maxOutputTokens: 1_000 });
      checkAnswer(prompt, await stream.text, (await stream.toolCalls)[0]?.input);
      const { inputTokens, outputTokens } = await stream.usage;
      return { input: inputTokens, output: outputTokens };
    },
  });
  return [
    {
      name: "openai",
      model: MODELS.openai,
      async plain(prompt) {
        const { choices, usage } = await openai.chat.completions.create(chat(prompt));
        const call = choices[0]?.message.tool_calls?.[0];
        checkAnswer(prompt, choices[0]?.message.content, call?.type === "function" ? JSON.parse(call.function.arguments) : undefined);
        return { input: usage?.prompt_tokens, output: usage?.completion_tokens };
      },
      async streamed(prompt) {
        const stream = openai.chat.completions.stream({ ...chat(prompt), stream_options: { include_usage: true } });
        const { choices, usage } = await stream.finalChatCompletion();
        const call = choices[0]?.message.tool_calls?.[0];
        checkAnswer(prompt, choices[0]?.message.content, call ? JSON.parse(call.function.arguments) : undefined);
        return { input: usage?.prompt_tokens, output: usage?.completion_tokens };
      },
    },
    {
      name: "@anthropic-ai/sdk",
      model: MODELS.anthropic,
      async plain(prompt) {
        const { content, usage } = await anthropic.messages.create(message(prompt));
        checkBlocks(prompt, content);
        return { input: usage.input_tokens, output: usage.output_tokens };
      },
      async streamed(prompt) {
        const { content, usage } = await anthropic.messages.stream(message(prompt)).finalMessage();
        checkBlocks(prompt, content);
        return { input: usage.input_tokens, output: usage.output_tokens };
      },
    },
    { name: "ai with @ai-sdk/openai", model: MODELS.openai, ...viaAi(aiOpenai) },
    { name: "ai with @ai-sdk/anthropic", model: MODELS.anthropic, ...viaAi(aiAnthropic) },
  ];
}

function checkBlocks(prompt: Prompt, content: readonly Anthropic.ContentBlock[]): void {
  const text = content.find((block) => block.type === "text");
  const use = content.find((block) => block.type === "tool_use");
  checkAnswer(prompt, text?.text, use?.input);
}

/** One prompt is answered in words, the other by asking for a tool. */
function checkAnswer(prompt: Prompt, text: string | null | undefined, toolInput: unknown): void {
  if (prompt === "What is a purser?") assert.equal(text, "The officer who keeps a ship's accounts.");
  else assert.deepEqual(toolInput, { city: "Bremen" });
}

async function startMock(context: TestContext): Promise<LLMock> {
  const mock = new LLMock({ port: 0, host: "127.0.0.1", chunkSize: 7, journalMaxEntries: 0 });
  const usageOf = (prompt: Prompt) => ({ prompt_tokens: REPORTED[prompt].input, completion_tokens: REPORTED[prompt].output });
  mock.on(
    { userMessage: "What is a purser?" },
    { content: "The officer who keeps a ship's accounts.", usage: usageOf("What is a purser?") },
  );
  mock.on(
    { userMessage: "What is the weather in Bremen?", hasToolResult: true },
    { content: "It rains.", usage: { prompt_tokens: 67, completion_tokens: 11 } },
  );
  mock.on(
    { userMessage: "What is the weather in Bremen?", hasToolResult: false },
    { toolCalls: [{ name: "weather", arguments: '{"city":"Bremen"}' }], usage: usageOf("What is the weather in Bremen?") },
  );
  await mock.start();
  context.after(() => mock.stop());
  return mock;
}

interface Scene {
  readonly stand: Stand;
  readonly mock: LLMock;
  readonly clients: readonly Client[];
  readonly key: string;
}

async function startScene(context: TestContext): Promise<Scene> {
  const mock = await startMock(context);
  const stand = await startStand(context, {
    config: `${providersAt(mock.url)}\nbudgets: [{ name: team, for: { team: crew }, limits: [$10 / month, 1M tokens / month] }]`,
  });
  const { secret } = await stand.gateway.keys.create({ name: "crew", attributes: { team: "crew" } });
  return { stand, mock, key: secret, clients: clientsOf(stand.url, secret) };
}

/** The last settlement, against what the client said and what the price list says. */
async function checkSettled({ stand }: Scene, calls: number, { model }: Client, prompt: Prompt, told: Told): Promise<void> {
  const { input, output } = REPORTED[prompt];
  assert.deepEqual(told, { input, output }, "the client got the provider's usage");
  const { charge, postings } = (await stand.entries(calls, "settled")).at(-1) ?? assert.fail();
  assert.deepEqual(charge, {
    usage: { inputTokens: input, outputTokens: output },
    cost: input * model.input + output * model.output,
    certainty: "confirmed",
  });
  assert.deepEqual(
    postings.map(({ counter, spent }) => [counter.unit, spent]),
    [
      ["nanodollars", input * model.input + output * model.output],
      ["tokens", input + output],
    ],
  );
}

describe("clients that others wrote, before a provider that others wrote", () => {
  test("every client works, plain, streamed and with tools, and the ledger has exactly the usage that the client was told", async (context) => {
    const scene = await startScene(context);
    let calls = 0;
    for (const client of scene.clients) {
      for (const way of ["plain", "streamed"] as const) {
        for (const prompt of Object.keys(REPORTED) as Prompt[]) {
          await context.test(`${client.name}, ${way}: ${prompt}`, async () => {
            await checkSettled(scene, ++calls, client, prompt, await client[way](prompt));
          });
        }
      }
    }
    await scene.stand.checkBooks();
    assert.equal(scene.mock.getRequests().length, calls, "the provider was called once a call");
    const [money] = await scene.stand.gateway.budgets.balances({ budget: "team" });
    let expected = 0;
    for (const { model } of scene.clients)
      for (const { input, output } of Object.values(REPORTED)) expected += 2 * (input * model.input + output * model.output);
    assert.equal(money?.spent, expected, "the budget has spent the sum, to the nano-dollar");
    assert.deepEqual(scene.stand.notices, []);
  });

  test("a conversation with a tool's result in it is charged turn by turn", async (context) => {
    const { stand, key } = await startScene(context);
    const { totalUsage, text } = await generateText({
      model: createAnthropic({ baseURL: `${stand.url}/v1`, apiKey: key })(MODELS.anthropic.name),
      prompt: "What is the weather in Bremen?",
      tools: {
        weather: {
          description: WEATHER.description,
          inputSchema: jsonSchema({ ...WEATHER.parameters, required: ["city"] }),
          execute: async () => "rain",
        },
      } as ToolSet,
      stopWhen: stepCountIs(2),
    });
    assert.equal(text, "It rains.");
    const settled = await stand.entries(2, "settled");
    const charged = settled.map(({ charge }) => [charge.usage.inputTokens, charge.usage.outputTokens]);
    assert.deepEqual(charged, [
      [53, 37],
      [67, 11],
    ]);
    assert.deepEqual([totalUsage.inputTokens, totalUsage.outputTokens], [53 + 67, 37 + 11]);
    await stand.checkBooks();
  });

  test("the caller's key stays here, and the provider gets its own", async (context) => {
    const provider = await startRawProvider(context, answerChat({ input: 41, output: 9 }, "The officer who keeps a ship's accounts."));
    const stand = await startStand(context, { config: providersAt(provider.url) });
    const { secret } = await stand.gateway.keys.create({ name: "crew" });
    for (const client of clientsOf(stand.url, secret)) await client.plain("What is a purser?");
    assert.equal(provider.received.length, 4);
    for (const { url, headers, rawHeaders } of provider.received) {
      assert.equal(headers.authorization, "Bearer provider-secret");
      assert.deepEqual([headers["x-api-key"], headers["api-key"]], [undefined, undefined]);
      assert.ok(!`${url} ${rawHeaders}`.includes(secret));
      if (url === "/v1/messages")
        assert.match(String(headers["anthropic-version"]), /^20\d\d-\d\d-\d\d$/, "headers of the API pass untouched");
    }
  });

  test("what came from the provider's cache is charged at the cache's price", async (context) => {
    const provider = await startRawProvider(context, (response, { url }) => {
      if (url === "/v1/messages") {
        const usage = {
          input_tokens: 7,
          cache_read_input_tokens: 20,
          cache_creation_input_tokens: 13,
          cache_creation: { ephemeral_5m_input_tokens: 9, ephemeral_1h_input_tokens: 4 },
          output_tokens: 5,
        };
        return writeJson(response, 200, { ...messageAnswer("Aye.", { input: 0, output: 0 }), usage });
      }
      const usage = {
        prompt_tokens: 40,
        completion_tokens: 50,
        total_tokens: 90,
        prompt_tokens_details: { cached_tokens: 32 },
        completion_tokens_details: { reasoning_tokens: 45 },
      };
      return writeJson(response, 200, { ...chatAnswer("Aye.", { input: 0, output: 0 }), usage });
    });
    const stand = await startStand(context, { config: `${providersAt(provider.url)}\nbudgets: [{ name: all, limits: [$1] }]` });
    const messages = [{ role: "user" as const, content: "Say aye, as you were told a moment ago, and nothing else." }];
    const openai = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none" });
    const { data: completion, response } = await openai.chat.completions.create({ model: "gpt-4o-mini", messages }).withResponse();
    assert.equal(completion.usage?.prompt_tokens_details?.cached_tokens, 32);
    // $0.15 and $0.60 for a million, $0.075 for what was cached.
    assert.equal(response.headers.get("x-purser-cost-nanodollars"), String(8 * 150 + 32 * 75 + 50 * 600));
    const anthropic = new Anthropic({ baseURL: stand.url, apiKey: "none" });
    const message = await anthropic.messages.create({ model: MODELS.anthropic.name, max_tokens: 50, messages }).withResponse();
    assert.equal(message.data.usage.cache_read_input_tokens, 20);
    // $3 and $15; $0.30 from the cache, $3.75 into it for five minutes and $6 for an hour.
    assert.equal(
      message.response.headers.get("x-purser-cost-nanodollars"),
      String(7 * 3_000 + 20 * 300 + 9 * 3_750 + 4 * 6_000 + 5 * 15_000),
    );
    const settled = await stand.entries(2, "settled");
    assert.deepEqual(
      settled.map(({ charge }) => charge.cost),
      [8 * 150 + 32 * 75 + 50 * 600, 7 * 3_000 + 20 * 300 + 9 * 3_750 + 4 * 6_000 + 5 * 15_000],
    );
    await stand.checkBooks();
  });

  test("usage is in a stream where it was asked for, and nowhere where it was not, and is charged either way", async (context) => {
    const { stand, key } = await startScene(context);
    const call = { model: MODELS.openai.name, stream: true, messages: [{ role: "user", content: "What is a purser?" }] };
    const headers = { authorization: `Bearer ${key}` };
    const url = `${stand.url}/v1/chat/completions`;
    const shown = await post(url, { ...call, stream_options: { include_usage: true } }, headers);
    assert.match(shown.text, /"usage":\{"prompt_tokens":41,"completion_tokens":89,"total_tokens":130\}/);
    for (const asked of [{}, { stream_options: { include_usage: false } }, { stream_options: {} }, { stream_options: null }]) {
      const hidden = await post(url, { ...call, ...asked }, headers);
      assert.equal(hidden.status, 200);
      assert.doesNotMatch(hidden.text, /usage/);
      assert.match(hidden.text, /data: \[DONE\]\n\n$/);
      assert.doesNotMatch(hidden.text, /\n\n\n/, "no empty event stands where usage was");
    }
    for (const { charge } of await stand.entries(5, "settled")) {
      assert.deepEqual(charge.usage, { inputTokens: 41, outputTokens: 89 });
      assert.equal(charge.certainty, "confirmed");
    }
    const openai = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: key });
    const stream = await openai.chat.completions.create({
      model: MODELS.openai.name,
      stream: true,
      messages: [{ role: "user", content: "What is a purser?" }],
    });
    for await (const chunk of stream) {
      assert.equal(chunk.usage ?? undefined, undefined);
      assert.equal(chunk.choices.length, 1, "a client that reads choices[0] of every chunk finds it");
    }
    await stand.checkBooks();
  });

  test("clients that list models get the ones that are configured", async (context) => {
    const mock = await startMock(context);
    const stand = await startStand(context, {
      config: `providers: { mock: { base_url: "${mock.url}/v1", dialect: openai, api_key: k, models: [gpt-4o-mini, "qwen-*"] } }`,
    });
    const openai = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none" });
    const anthropic = new Anthropic({ baseURL: stand.url, apiKey: "none" });
    const names = [];
    for await (const { id } of openai.models.list()) names.push(id);
    for await (const { id } of anthropic.models.list()) names.push(id);
    assert.deepEqual(names, ["gpt-4o-mini", "gpt-4o-mini"]);
    assert.equal((await readAnswer(await fetch(stand.url, { method: "HEAD" }))).status, 200);
  });
});
