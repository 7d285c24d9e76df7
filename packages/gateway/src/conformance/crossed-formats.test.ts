import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { ApiError, type Content, type GenerateContentResponse, GoogleGenAI } from "@google/genai";
import OpenAI from "openai";
import { failureOf, post } from "./calls.ts";
import {
  type Answer,
  chatEvent,
  geminiAnswer,
  geminiEvent,
  type RawProvider,
  STREAM_HEADERS,
  startRawProvider,
  writeJson,
} from "./raw-provider.ts";
import { type Stand, startStand } from "./stand.ts";
import { asAnthropic, asGoogle, asOpenai, asResponder } from "./tool-answers.ts";

/** Each maker's models are served in one format only, at an address of its own; clients ask for what stands there in their format. */
interface Scene {
  readonly stand: Stand;
  readonly openai: RawProvider;
  readonly anthropic: RawProvider;
  readonly google: RawProvider;
  readonly responder: RawProvider;
}

/** What a call has as its tag `to` says where it goes. */
const ALL = `budgets:
  - { name: google, for: { tag.to: google }, limits: [$10 / day], ladder: { 0%: use gemini-2.5-flash } }
  - { name: openai, for: { tag.to: openai }, limits: [$10 / day], ladder: { 0%: use gpt-4o-mini } }
  - { name: anthropic, for: { tag.to: anthropic }, limits: [$10 / day], ladder: { 0%: use claude-haiku-4-5 } }
  - { name: responder, for: { tag.to: responder }, limits: [$10 / day], ladder: { 0%: use gpt-5.1-codex-mini } }`;

async function startScene(context: TestContext, answers: Partial<Record<keyof Scene, Answer>> = {}, rest = ALL): Promise<Scene> {
  const failing: Answer = (response) => writeJson(response, 500, {});
  const openai = await startRawProvider(context, answers.openai ?? failing);
  const anthropic = await startRawProvider(context, answers.anthropic ?? failing);
  const google = await startRawProvider(context, answers.google ?? failing);
  const responder = await startRawProvider(context, answers.responder ?? answers.openai ?? failing);
  const providers = [
    `openai: { base_url: { openai-chat: "${openai.url}/v1" }, api_key: openai-secret }`,
    `anthropic: { base_url: { anthropic: "${anthropic.url}" }, api_key: anthropic-secret }`,
    `google: { base_url: { gemini: "${google.url}" }, api_key: google-secret }`,
    `responder: { base_url: { openai-responses: "${responder.url}/v1" }, api_key: responder-secret, models: [gpt-4o, gpt-5.1-codex-mini] }`,
  ].join(", ");
  const stand = await startStand(context, { config: `providers: { ${providers} }\n${rest}` });
  return { stand, openai, anthropic, google, responder };
}

/** What a client makes of two turns: a tool that is called, and what is said about its result. */
interface Heard {
  readonly called: readonly [name: string, input: unknown];
  readonly said: string;
  /** Tokens read, of these from a cache, written, and of these thoughts where the format says so. */
  readonly usage: readonly (number | undefined)[];
}

interface Client {
  readonly endpoint: string;
  readonly targets: readonly (keyof typeof TARGETS)[];
  talk(url: string, to: string, isStreamed: boolean): Promise<Heard>;
}

const LOOK = { type: "object", properties: { at: { type: "string" } } };

const CLIENTS: readonly Client[] = [
  {
    endpoint: "openai-chat",
    targets: ["google", "responder"],
    async talk(url, to, isStreamed) {
      const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0, defaultHeaders: tagged(to) });
      const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "What is there?" }];
      const tools: OpenAI.ChatCompletionTool[] = [{ type: "function", function: { name: "look", parameters: LOOK } }];
      const call = { model: "gpt-4o", messages, tools };
      const turn = () =>
        isStreamed
          ? client.chat.completions.stream({ ...call, stream_options: { include_usage: true } }).finalChatCompletion()
          : client.chat.completions.create(call);
      const first = await turn();
      const message = first.choices[0]?.message ?? assert.fail();
      const [tool] = message.tool_calls ?? [];
      assert.ok(tool?.type === "function" && first.choices[0]?.finish_reason === "tool_calls");
      messages.push(message, { role: "tool", tool_call_id: tool.id, content: "a sail" });
      const { choices, usage } = await turn();
      const { prompt_tokens, completion_tokens, prompt_tokens_details: read, completion_tokens_details: written } = usage ?? assert.fail();
      return {
        called: [tool.function.name, JSON.parse(tool.function.arguments)],
        said: choices[0]?.message.content ?? "",
        usage: [prompt_tokens, read?.cached_tokens, completion_tokens, written?.reasoning_tokens],
      };
    },
  },
  {
    endpoint: "anthropic-messages",
    targets: ["google", "responder"],
    async talk(url, to, isStreamed) {
      const client = new Anthropic({ baseURL: url, apiKey: "none", maxRetries: 0, defaultHeaders: tagged(to) });
      const messages: Anthropic.MessageParam[] = [{ role: "user", content: "What is there?" }];
      const tools: Anthropic.Tool[] = [{ name: "look", input_schema: { ...LOOK, type: "object" } }];
      const call = { model: "claude-sonnet-4-5", max_tokens: 500, messages, tools };
      const turn = () => (isStreamed ? client.messages.stream(call).finalMessage() : client.messages.create(call));
      const { content, stop_reason } = await turn();
      const [tool] = content;
      assert.ok(tool?.type === "tool_use" && stop_reason === "tool_use");
      messages.push({ role: "assistant", content });
      messages.push({ role: "user", content: [{ type: "tool_result", tool_use_id: tool.id, content: "a sail" }] });
      const { content: said, usage } = await turn();
      const { input_tokens, cache_read_input_tokens: cached, output_tokens, output_tokens_details: details } = usage;
      return {
        called: [tool.name, tool.input],
        said: said.map((block) => (block.type === "text" ? block.text : "")).join(""),
        usage: [input_tokens + (cached ?? 0), cached ?? 0, output_tokens, details?.thinking_tokens ?? 0],
      };
    },
  },
  {
    endpoint: "openai-responses",
    targets: ["openai", "anthropic", "google"],
    async talk(url, to, isStreamed) {
      const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0, defaultHeaders: tagged(to) });
      const input: OpenAI.Responses.ResponseInputItem[] = [{ role: "user", content: "What is there?" }];
      const tools: OpenAI.Responses.Tool[] = [{ type: "function", name: "look", parameters: LOOK, strict: false }];
      const call = { model: "gpt-4o", input, tools, store: false, instructions: "Be brief." };
      const turn = () => (isStreamed ? client.responses.stream(call).finalResponse() : client.responses.create(call));
      const first = await turn();
      const [tool] = first.output;
      assert.ok(tool?.type === "function_call" && first.status === "completed");
      input.push(tool, { type: "function_call_output", call_id: tool.call_id, output: "a sail" });
      const { output_text, usage } = await turn();
      const { input_tokens, input_tokens_details: read, output_tokens, output_tokens_details: written } = usage ?? assert.fail();
      return {
        called: [tool.name, JSON.parse(tool.arguments)],
        said: output_text,
        usage: [input_tokens, read.cached_tokens, output_tokens, written.reasoning_tokens],
      };
    },
  },
  {
    endpoint: "gemini-content",
    targets: ["openai", "anthropic", "responder"],
    async talk(url, to, isStreamed) {
      const client = new GoogleGenAI({ apiKey: "none", httpOptions: { baseUrl: url, headers: tagged(to) } });
      const contents: Content[] = [{ role: "user", parts: [{ text: "What is there?" }] }];
      const tools = [{ functionDeclarations: [{ name: "look", parametersJsonSchema: LOOK }] }];
      const call = { model: "gemini-2.5-pro", contents, config: { systemInstruction: "Be brief.", tools } };
      const turn = async () => {
        if (!isStreamed) return [await client.models.generateContent(call)];
        const answers: GenerateContentResponse[] = [];
        for await (const answer of await client.models.generateContentStream(call)) answers.push(answer);
        return answers;
      };
      const first = await turn();
      const tool = first.find(({ functionCalls }) => functionCalls)?.functionCalls?.[0] ?? assert.fail();
      // As the chats of the SDK keep what came: each piece of a stream as a content of its own.
      contents.push(...first.flatMap(({ candidates }) => candidates?.[0]?.content ?? []));
      const { id = "", name = "" } = tool;
      contents.push({ role: "user", parts: [{ functionResponse: { id, name, response: { output: "a sail" } } }] });
      const second = await turn();
      const usage = second.at(-1)?.usageMetadata;
      return {
        called: [name, tool.args],
        said: second.map(({ text = "" }) => text).join(""),
        usage: [
          usage?.promptTokenCount,
          usage?.cachedContentTokenCount,
          (usage?.candidatesTokenCount ?? 0) + (usage?.thoughtsTokenCount ?? 0),
          usage?.thoughtsTokenCount ?? 0,
        ],
      };
    },
  },
];

const TARGETS = {
  openai: { answer: asOpenai, model: "gpt-4o-mini", cost: 20 * 150 + 100 * 75 + 30 * 600, thoughts: 0, path: /^\/v1\/chat\/completions$/ },
  anthropic: {
    answer: asAnthropic,
    model: "claude-haiku-4-5",
    cost: 20 * 1_000 + 100 * 100 + 30 * 5_000,
    thoughts: 0,
    path: /^\/v1\/messages$/,
  },
  google: {
    answer: asGoogle,
    model: "gemini-2.5-flash",
    cost: 20 * 300 + 100 * 30 + 30 * 2_500,
    thoughts: 10,
    path: /^\/v1beta\/models\/gemini-2\.5-flash:(generateContent|streamGenerateContent\?alt=sse)$/,
  },
  responder: {
    answer: asResponder,
    model: "gpt-5.1-codex-mini",
    cost: 20 * 250 + 100 * 25 + 30 * 2_000,
    thoughts: 10,
    path: /^\/v1\/responses$/,
  },
} as const;

function tagged(to: string): Record<string, string> {
  return { "x-purser-tags": `to=${to}` };
}

test("an SDK of each format uses a tool with a model of each other one", async (context) => {
  const scene = await startScene(context, { openai: asOpenai, anthropic: asAnthropic, google: asGoogle, responder: asResponder });
  const { stand } = scene;
  let settled = 0;
  for (const { endpoint, targets, talk } of CLIENTS)
    for (const to of targets)
      for (const isStreamed of [false, true])
        await context.test(`${endpoint} with ${TARGETS[to].model}, ${isStreamed ? "streamed" : "whole"}`, async () => {
          const { model, cost, thoughts, path } = TARGETS[to];
          const heard = await talk(stand.url, to, isStreamed);
          assert.deepEqual(heard, { called: ["look", { at: "sea" }], said: "It is a sail", usage: [120, 100, 30, thoughts] });
          const { url, headers } = scene[to].received.at(-1) ?? assert.fail();
          assert.match(url, path);
          const key = headers["x-goog-api-key"] ?? headers["x-api-key"] ?? headers.authorization;
          assert.match(String(key), new RegExp(`${to}-secret$`));
          settled += 2;
          for (const { charge, detail } of (await stand.entries(settled, "settled")).slice(-2)) {
            assert.deepEqual([charge.cost, charge.certainty], [cost, "confirmed"]);
            assert.deepEqual([detail.subject.endpoint, detail.subject.provider, detail.subject.model], [endpoint, to, model]);
            assert.deepEqual(detail.rungs, [`use ${model} (${to} 0%)`]);
          }
        });
  await stand.checkBooks();
});

const GEMINI_CALL = { contents: [{ parts: [{ text: "Ahoy" }] }], generationConfig: { maxOutputTokens: 500 } };
const RESPONSE_CALL = { model: "gpt-4o", input: "Ahoy", max_output_tokens: 500, store: false };
const CHAT_CALL = { model: "gpt-4o", messages: [{ role: "user" as const, content: "Ahoy" }] };

function clientsOf({ stand }: Scene, to: keyof typeof TARGETS, user = "ann") {
  const headers = { ...tagged(to), "x-purser-user": user };
  return {
    openai: new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none", maxRetries: 0, defaultHeaders: headers }),
    google: new GoogleGenAI({ apiKey: "none", httpOptions: { baseUrl: stand.url, headers } }),
    askGoogle: (body: object = GEMINI_CALL, action = "streamGenerateContent") =>
      post(`${stand.url}/v1beta/models/gemini-2.5-pro:${action}`, body, headers),
    respond: (fields: object = {}) => post(`${stand.url}/v1/responses`, { ...RESPONSE_CALL, ...fields }, headers),
    chat: (fields: object = {}) => post(`${stand.url}/v1/chat/completions`, { ...CHAT_CALL, ...fields }, headers),
  };
}

async function all<One>(stream: AsyncIterable<One>): Promise<One[]> {
  const items: One[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

test("a stream of Google's is a list where its client does not ask for events, also when it is given again", async (context) => {
  const budgets = "budgets: [{ name: all, limits: [$10 / day], ladder: { 0%: [use gpt-4o-mini, cache 10m] } }]";
  const scene = await startScene(context, { openai: asOpenai }, budgets);
  const { askGoogle } = clientsOf(scene, "openai");
  for (const rung of ["use gpt-4o-mini (all 0%)", "cache 10m (all 0%)"]) {
    const { headers, json } = await askGoogle();
    assert.deepEqual([headers.get("x-purser-rung"), headers.get("content-type")], [rung, "application/json"]);
    const [called, end] = json;
    assert.deepEqual(called.candidates[0].content.parts, [{ functionCall: { id: "call_1", name: "look", args: { at: "sea" } } }]);
    assert.deepEqual([end.candidates[0].finishReason, end.usageMetadata.totalTokenCount, json.length], ["STOP", 150, 2]);
  }
  const whole = await askGoogle(GEMINI_CALL, "generateContent");
  assert.equal(whole.json.candidates[0].content.parts[0].functionCall.name, "look");
  const events = await askGoogle(GEMINI_CALL, "streamGenerateContent?alt=sse");
  assert.deepEqual([events.headers.get("content-type"), events.text.match(/^data: /gm)?.length], ["text/event-stream", 2]);
  assert.equal(scene.openai.received.length, 3, "of three forms of an answer none is given for another");
  await scene.stand.checkBooks();
});

describe("a client of another format", () => {
  test("is told of a refusal of the provider in its own format, and is not charged", async (context) => {
    const limited: Answer = (response) =>
      writeJson(response, 429, { error: { code: 429, message: "Slow down.", status: "RESOURCE_EXHAUSTED" } }, { "retry-after": "7" });
    const bad: Answer = (response) => writeJson(response, 400, { error: { message: "No.", type: "invalid_request_error" } });
    const scene = await startScene(context, { google: limited, openai: bad });
    const refused = await failureOf(clientsOf(scene, "google").openai.responses.create(RESPONSE_CALL));
    assert.ok(refused instanceof OpenAI.RateLimitError);
    assert.deepEqual([refused.message, refused.headers.get("retry-after")], ["429 Slow down.", "7"]);
    const { google } = clientsOf(scene, "openai");
    const failure = await failureOf(google.models.generateContent({ model: "gemini-2.5-pro", contents: "Ahoy" }));
    assert.ok(failure instanceof ApiError && failure.status === 400);
    assert.deepEqual(JSON.parse(failure.message), { error: { code: 400, message: "No.", status: "INVALID_ARGUMENT" } });
    await scene.stand.entries(2, "released");
    await scene.stand.checkBooks();
  });

  test("is told of an error in the middle of a stream, and what passed is charged", async (context) => {
    const openai: Answer = (response) =>
      response.writeHead(200, STREAM_HEADERS).end(`${chatEvent("Aye")}data: {"error":{"message":"Gone","type":"server_error"}}\n\n`);
    const google: Answer = (response) => {
      response.writeHead(200, STREAM_HEADERS).write(geminiEvent("Aye", { input: 7, output: 1 }, null));
      response.end(`data: ${JSON.stringify({ error: { code: 503, message: "Overloaded", status: "UNAVAILABLE" } })}\r\n\r\n`);
    };
    const scene = await startScene(context, { openai, google });
    const { google: genai, openai: client, askGoogle } = clientsOf(scene, "openai");
    await assert.rejects(genai.models.generateContentStream({ model: "gemini-2.5-pro", contents: "Ahoy" }).then(all), /Gone/);
    const { json } = await askGoogle();
    assert.deepEqual([json[0].candidates[0].content.parts, json[1].error.message], [[{ text: "Aye" }], "Gone"]);
    const events = await all(await client.responses.create({ ...RESPONSE_CALL, stream: true }));
    const last = events.at(-1);
    assert.ok(last?.type === "response.failed");
    assert.deepEqual(last.response.error, { code: "server_error", message: "Gone" });
    const chat = clientsOf(scene, "google").openai.chat.completions.stream(CHAT_CALL);
    await assert.rejects(chat.finalChatCompletion(), /Overloaded/);
    for (const { charge } of await scene.stand.entries(4, "settled"))
      assert.ok((charge.cost ?? 0) > 0 && charge.certainty !== "unconfirmed");
    await scene.stand.checkBooks();
  });

  test("gets the end of a stream as if its cap had been reached where it is switched off", async (context) => {
    const openai: Answer = (response) => response.writeHead(200, STREAM_HEADERS).write(chatEvent("Aye, aye, captain"));
    const google: Answer = (response) =>
      response.writeHead(200, STREAM_HEADERS).write(geminiEvent("Aye, aye", { input: 7, output: 3 }, null));
    const scene = await startScene(context, { openai, google });
    const switchOff = async (user: string) => {
      const { status, text } = await post(`${scene.stand.url}/api/switches`, { for: { user }, why: "bug 123", by: "kim" });
      assert.equal(status, 201, text);
    };
    const { google: genai } = clientsOf(scene, "openai", "ann");
    const answers: GenerateContentResponse[] = [];
    for await (const answer of await genai.models.generateContentStream({ model: "gemini-2.5-pro", contents: "Ahoy" })) {
      answers.push(answer);
      if (answers.length === 1) await switchOff("ann");
    }
    assert.deepEqual(
      answers.map(({ text, candidates }) => [text, candidates?.[0]?.finishReason]),
      [
        ["Aye, aye, captain", undefined],
        ["", "MAX_TOKENS"],
      ],
    );
    assert.ok((answers.at(-1)?.usageMetadata?.candidatesTokenCount ?? 0) > 0);
    const { openai: client } = clientsOf(scene, "openai", "bob");
    const events: OpenAI.Responses.ResponseStreamEvent[] = [];
    for await (const event of await client.responses.create({ ...RESPONSE_CALL, stream: true })) {
      events.push(event);
      if (event.type === "response.output_text.delta") await switchOff("bob");
    }
    const end = events.at(-1);
    assert.ok(end?.type === "response.incomplete");
    assert.equal(end.response.incomplete_details?.reason, "max_output_tokens");
    assert.ok((end.response.usage?.output_tokens ?? 0) > 0);
    assert.deepEqual(
      events.map(({ sequence_number }) => sequence_number),
      events.map((_, i) => i),
    );
    const chat = clientsOf(scene, "google", "cleo").openai.chat.completions.stream({
      ...CHAT_CALL,
      stream_options: { include_usage: true },
    });
    chat.once("content", () => void switchOff("cleo"));
    const { choices, usage } = await chat.finalChatCompletion();
    assert.deepEqual([choices[0]?.finish_reason, choices[0]?.message.content, usage?.prompt_tokens], ["length", "Aye, aye", 7]);
    await scene.stand.checkBooks();
  });

  test("is shortened and summarised as any other, with a cap that is held and kept to", async (context) => {
    const text: Answer = (response, { body }) => {
      const isQuestion = body.includes("takes the place of all of it");
      writeJson(response, 200, geminiAnswer(isQuestion ? "Tides were looked up." : "Aye.", { input: isQuestion ? 900 : 300, output: 20 }));
    };
    const budgets = `budgets:
  - { name: chats, for: { tag.to: google }, limits: [$10 / day], min_output: 20, ladder: { 0%: [use gemini-2.5-flash, shorten 50, summarise 900 with gemini-2.5-flash-lite] } }`;
    const scene = await startScene(context, { google: text }, budgets);
    const turns = Array.from({ length: 12 }, (_, i) => [
      { role: "user", content: `${i} ${"tide ".repeat(200)}` },
      { role: "assistant", content: "Found." },
    ]).flat();
    const { respond } = clientsOf(scene, "google");
    const { json, headers } = await respond({ input: [...turns, { role: "user", content: "And now?" }], max_output_tokens: undefined });
    assert.equal(json.output[0].content[0].text, "Aye.");
    const rungs = ["use gemini-2.5-flash", "shorten 50", "summarise 900 with gemini-2.5-flash-lite"];
    assert.equal(headers.get("x-purser-rung"), rungs.map((rung) => `${rung} (chats 0%)`).join(", "));
    const [question, call] = scene.google.received;
    assert.match(question?.url ?? "", /gemini-2\.5-flash-lite:generateContent$/);
    const { contents, generationConfig } = JSON.parse(call?.body ?? "{}");
    assert.match(contents[0].parts[0].text, /Tides were looked up\./);
    assert.deepEqual([generationConfig.maxOutputTokens, contents.length < 10], [50, true]);
    const [, { detail } = assert.fail()] = await scene.stand.entries(2, "reserved");
    assert.equal(detail.outputTokens, 50);
    const endpoints = (await scene.stand.entries(2, "settled")).map(({ detail: { subject } }) => [subject.endpoint, subject.model]);
    assert.deepEqual(endpoints, [
      ["openai-responses", "gemini-2.5-flash-lite"],
      ["openai-responses", "gemini-2.5-flash"],
    ]);
    await scene.stand.checkBooks();
  });

  test("stays where it is, and is told why, where its call says what the other format cannot", async (context) => {
    const scene = await startScene(context, { openai: (response) => writeJson(response, 200, {}), google: asGoogle });
    const whys: readonly (readonly [asked: Promise<{ headers: Headers }>, why: string])[] = [
      [clientsOf(scene, "google").respond({ store: undefined }), 'the answer is to be kept at OpenAI: "store" is not false'],
      [clientsOf(scene, "google").respond({ previous_response_id: "resp_1" }), 'the call has "previous_response_id"'],
      [clientsOf(scene, "google").respond({ tools: [{ type: "web_search" }] }), 'a tool is of type "web_search"'],
      [
        clientsOf(scene, "openai").askGoogle({ ...GEMINI_CALL, tools: [{ googleSearch: {} }] }, "generateContent"),
        'a tool has "googleSearch"',
      ],
      [clientsOf(scene, "google").chat({ seed: 7 }), 'the call has "seed"'],
    ];
    for (const [asked, why] of whys) assert.match((await asked).headers.get("x-purser-rung") ?? "", new RegExp(`left out: ${why} `));
    await scene.stand.entries(5, "settled");
    await scene.stand.checkBooks();
  });
});

test("a call goes on to the next provider of its model in another format, and back in its own", async (context) => {
  const busy: Answer = (response) => writeJson(response, 503, { error: { message: "Busy.", code: 503, status: "UNAVAILABLE" } });
  const routes = `routes:
  - { model: gemini-2.5-pro, providers: [google, openai/gpt-4o] }
  - { model: gpt-4o, providers: [responder, anthropic/claude-haiku-4-5, responder/gpt-5.1-codex-mini], retry: { attempts: 3 } }
budgets: [{ name: all, limits: [$10 / day] }]`;
  const answers = { google: busy, openai: asOpenai, anthropic: busy, responder: busy };
  const scene = await startScene(context, answers, routes);
  const { askGoogle, respond } = clientsOf(scene, "openai");
  const listed = await askGoogle();
  assert.equal(listed.headers.get("x-purser-provider"), "openai");
  assert.equal(listed.json[0].candidates[0].content.parts[0].functionCall.name, "look");
  let asked = 0;
  scene.responder.answer = (response, call) => (++asked === 1 ? busy(response, call) : asResponder(response, call));
  const { json, headers } = await respond({ tools: [{ type: "function", name: "look", parameters: LOOK, strict: false }] });
  assert.deepEqual([headers.get("x-purser-provider"), headers.get("x-purser-attempts")], ["responder", "3"]);
  assert.deepEqual([json.id, json.output.at(-1).call_id], ["resp_1", "call_1"]);
  const [, last] = scene.responder.received.map(({ body }) => JSON.parse(body).model);
  assert.deepEqual([scene.anthropic.received.length, last], [1, "gpt-5.1-codex-mini"]);
  await scene.stand.entries(2, "settled");
  await scene.stand.checkBooks();
});

test("a conversation that is only to be made short stays with who serves it", async (context) => {
  const scene = await startScene(context, {
    openai: (response) => writeJson(response, 200, { object: "response.compaction", output: [] }),
  });
  const body = { model: "gpt-4o", input: [{ role: "user", content: "Ahoy" }], store: false };
  const { json, headers } = await post(`${scene.stand.url}/v1/responses/compact`, body, tagged("anthropic"));
  assert.equal(json.object, "response.compaction");
  assert.match(headers.get("x-purser-rung") ?? "", /^use claude-haiku-4-5 left out: /);
  assert.equal(scene.anthropic.received.length, 0);
});

test("a model of Google's on Vertex AI answers clients of other formats, and its clients are answered by others", async (context) => {
  const provider = await startRawProvider(context, asGoogle);
  const openai = await startRawProvider(context, asOpenai);
  const config = `providers:
  vertex: { base_url: { vertex: "${provider.url}/v1/projects/crew/locations/global" }, api_key: token, auth_header: authorization }
  openai: { base_url: { openai: "${openai.url}/v1" }, api_key: k }
budgets:
  - { name: chats, for: { endpoint: openai-chat }, limits: [$10 / day], ladder: { 0%: use gemini-2.5-flash } }
  - { name: contents, for: { endpoint: vertex-content }, limits: [$10 / day], ladder: { 0%: use gpt-4o-mini } }`;
  const stand = await startStand(context, { config });
  const chat = await post(`${stand.url}/v1/chat/completions`, { ...CHAT_CALL, stream: true });
  assert.match(chat.text, /"name":"look".*"finish_reason":"tool_calls".*\[DONE\]/s);
  const path = "/v1/projects/crew/locations/global/publishers/google/models/gemini-2.5-flash:streamGenerateContent?alt=sse";
  assert.deepEqual([provider.received[0]?.url, provider.received[0]?.headers.authorization], [path, "Bearer token"]);
  const own = `${stand.url}/v1/projects/mine/locations/global/publishers/google/models/gemini-2.5-pro`;
  const { json } = await post(`${own}:generateContent`, GEMINI_CALL);
  assert.deepEqual([json.candidates[0].content.parts[0].functionCall.name, json.usageMetadata.totalTokenCount], ["look", 150]);
  assert.equal((await post(`${own}:streamGenerateContent`, GEMINI_CALL)).json.length, 2);
  assert.deepEqual([openai.received.length, provider.received.length], [2, 1]);
  await stand.checkBooks();
});
