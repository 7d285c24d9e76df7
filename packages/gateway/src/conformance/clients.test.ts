import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { createAnthropic } from "@ai-sdk/anthropic";
import Anthropic from "@anthropic-ai/sdk";
import type { LLMock } from "@copilotkit/aimock";
import { Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, run, setTracingDisabled, tool } from "@openai/agents";
import { generateText, jsonSchema, stepCountIs, type ToolSet } from "ai";
import OpenAI from "openai";
import { z } from "zod";
import { post, readAnswer } from "./calls.ts";
import { type Client, clientsOf, MODELS, type Prompt, REPORTED, startMock, type Told, WEATHER } from "./clients.ts";
import { moreClientsOf } from "./more-clients.ts";
import { otherClientsOf } from "./other-clients.ts";
import { answerChat, chatAnswer, messageAnswer, startRawProvider, writeJson } from "./raw-provider.ts";
import { providersAt, type Stand, startStand } from "./stand.ts";

interface Scene {
  readonly stand: Stand;
  readonly mock: LLMock;
  readonly clients: readonly Client[];
  readonly key: string;
}

async function startScene(context: TestContext): Promise<Scene> {
  const mock = await startMock(context);
  const stand = await startStand(context, {
    config: [
      providersAt(mock.url),
      // Names of Amazon's are in the price list of Bedrock only.
      `prices: [{ model: "${MODELS.bedrock.name}", input: 0.06, output: 0.24 }]`,
      "budgets: [{ name: team, for: { team: crew }, limits: [$10 / month, 1M tokens / month] }]",
    ].join("\n"),
  });
  const { secret } = await stand.gateway.keys.create({ name: "crew", attributes: { team: "crew" } });
  return {
    stand,
    mock,
    key: secret,
    clients: [...clientsOf(stand.url, secret), ...otherClientsOf(stand.url, secret), ...moreClientsOf(stand.url, secret)],
  };
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

  test("an agent that calls tools by itself is charged call by call, as much as it says in the end", async (context) => {
    const { stand, key } = await startScene(context);
    setTracingDisabled(true);
    const client = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: key });
    const weather = tool({ ...WEATHER, parameters: z.object({ city: z.string() }), execute: async () => "rain" });
    let calls = 0;
    for (const model of [
      new OpenAIResponsesModel(client, MODELS.openai.name),
      new OpenAIChatCompletionsModel(client, MODELS.openai.name),
    ]) {
      for (const stream of [true, false] as const) {
        const agent = new Agent({ name: "boatswain", model, tools: [weather] });
        const result = stream
          ? await run(agent, "What is the weather in Bremen?", { stream })
          : await run(agent, "What is the weather in Bremen?");
        if ("completed" in result) await result.completed;
        assert.equal(result.finalOutput, "It rains.");
        const { inputTokens, outputTokens } = result.state.usage;
        assert.deepEqual([inputTokens, outputTokens], [53 + 67, 37 + 11]);
        calls += 2;
        const charged = (await stand.entries(calls, "settled")).slice(-2).map(({ charge }) => charge.usage);
        assert.deepEqual(charged, [
          { inputTokens: 53, outputTokens: 37 },
          { inputTokens: 67, outputTokens: 11 },
        ]);
      }
    }
    await stand.checkBooks();
  });

  test("the caller's key stays here, and the provider gets its own", async (context) => {
    const provider = await startRawProvider(context, answerChat({ input: 41, output: 9 }, "The officer who keeps a ship's accounts."));
    const stand = await startStand(context, { config: providersAt(provider.url) });
    const { secret } = await stand.gateway.keys.create({ name: "crew" });
    const clients = clientsOf(stand.url, secret);
    for (const client of clients) await client.plain("What is a purser?");
    assert.equal(provider.received.length, clients.length);
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

  test("counting costs nothing, also when all is used up", async (context) => {
    const provider = await startRawProvider(context, (response) => writeJson(response, 200, { input_tokens: 7 }));
    const stand = await startStand(context, { config: `${providersAt(provider.url)}\nbudgets: [{ name: all, limits: [$0, 0 requests] }]` });
    const anthropic = new Anthropic({ baseURL: stand.url, apiKey: "none" });
    const counted = await anthropic.messages.countTokens({ model: "m", messages: [{ role: "user", content: "Ahoy" }] });
    assert.equal(counted.input_tokens, 7);
    const [{ url, headers } = assert.fail()] = provider.received;
    assert.equal(url, "/v1/messages/count_tokens");
    assert.equal(headers.authorization, "Bearer provider-secret");
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
