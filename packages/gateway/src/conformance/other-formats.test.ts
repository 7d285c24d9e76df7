import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { gzipSync } from "node:zlib";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { type Answered, failureOf, JSON_HEADERS, type Json, post } from "./calls.ts";
import {
  type Answer,
  chatAnswer,
  chatEvent,
  messageAnswer,
  messageEvent,
  type RawProvider,
  STREAM_HEADERS,
  startRawProvider,
  writeJson,
} from "./raw-provider.ts";
import { type Stand, startStand } from "./stand.ts";
import { asAnthropic, asOpenai } from "./tool-answers.ts";

/** Each maker's models are served in its own format only, at an address of its own. */
interface Scene {
  readonly stand: Stand;
  readonly openai: RawProvider;
  readonly anthropic: RawProvider;
  chat(fields?: Json, headers?: Record<string, string>): Promise<Answered>;
  message(fields?: Json, headers?: Record<string, string>): Promise<Answered>;
}

/** What comes in one format goes out in the other. */
const ALL = `budgets:
  - { name: chats, for: { endpoint: openai-chat }, limits: [$10 / day], ladder: { 0%: use claude-haiku-4-5 } }
  - { name: messages, for: { endpoint: anthropic-messages }, limits: [$10 / day], ladder: { 0%: use gpt-4o-mini } }`;

async function startScene(context: TestContext, answer: Answer = refused, rest = ALL): Promise<Scene> {
  const openai = await startRawProvider(context, answer);
  const anthropic = await startRawProvider(context, answer);
  const providers = [
    `openai: { base_url: { openai: "${openai.url}/v1" }, api_key: openai-secret }`,
    `anthropic: { base_url: { anthropic: "${anthropic.url}" }, api_key: anthropic-secret }`,
  ].join(", ");
  const stand = await startStand(context, { config: `providers: { ${providers} }\n${rest}` });
  const messages = [{ role: "user", content: "Ahoy" }];
  return {
    stand,
    openai,
    anthropic,
    chat: (fields, headers) => post(`${stand.url}/v1/chat/completions`, { model: "gpt-4o", max_tokens: 500, messages, ...fields }, headers),
    message: (fields, headers) =>
      post(`${stand.url}/v1/messages`, { model: "claude-sonnet-4-5", max_tokens: 500, messages, ...fields }, headers),
  };
}

const refused: Answer = (response) => writeJson(response, 500, {});

function using(model: string, more = ""): string {
  return `budgets: [{ name: all, limits: [$10 / day], min_output: 20, ladder: { 0%: [use ${model}${more}] } }]`;
}

function bodyOf(provider: RawProvider): Json {
  return JSON.parse(provider.received.at(-1)?.body ?? "{}");
}

for (const isStreamed of [false, true]) {
  const how = isStreamed ? "streamed" : "whole";

  test(`the OpenAI SDK uses a tool with a model of Anthropic's, ${how}`, async (context) => {
    const { stand, openai, anthropic } = await startScene(context, asAnthropic);
    const client = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none", maxRetries: 0 });
    const messages: OpenAI.ChatCompletionMessageParam[] = [
      { role: "system", content: "Be brief." },
      { role: "user", content: "What is there?" },
    ];
    const tools: OpenAI.ChatCompletionTool[] = [
      { type: "function", function: { name: "look", parameters: { type: "object", properties: { at: { type: "string" } } } } },
    ];
    const terms = { model: "gpt-4o", messages, tools, user: "ann" };
    const turn = async () =>
      isStreamed
        ? client.chat.completions.stream({ ...terms, stream_options: { include_usage: true } }).finalChatCompletion()
        : client.chat.completions.create(terms);
    const first = await turn();
    const called = first.choices[0]?.message ?? assert.fail();
    assert.equal(first.choices[0]?.finish_reason, "tool_calls");
    const [tool] = called.tool_calls ?? [];
    assert.ok(tool?.type === "function");
    assert.deepEqual([tool.id, tool.function.name, tool.function.arguments], ["toolu_1", "look", '{"at":"sea"}']);
    assert.deepEqual(
      [first.usage?.prompt_tokens, first.usage?.prompt_tokens_details?.cached_tokens, first.usage?.completion_tokens],
      [120, 100, 30],
    );
    messages.push(called, { role: "tool", tool_call_id: tool.id, content: "a sail" });
    const second = await turn();
    assert.equal(second.choices[0]?.message.content, "It is a sail");
    assert.equal(second.choices[0]?.finish_reason, "stop");

    assert.equal(openai.received.length, 0);
    const [{ url, headers } = assert.fail()] = anthropic.received;
    assert.equal(url, "/v1/messages");
    assert.deepEqual(
      [headers["x-api-key"], headers["anthropic-version"], headers.authorization],
      ["anthropic-secret", "2023-06-01", undefined],
    );
    assert.deepEqual(
      Object.keys(headers).filter((name) => name.startsWith("x-stainless")),
      [],
    );
    const { model, system, messages: sent } = bodyOf(anthropic);
    assert.deepEqual([model, system], ["claude-haiku-4-5", [{ type: "text", text: "Be brief." }]]);
    assert.deepEqual(sent[1].content, [{ type: "tool_use", id: "toolu_1", name: "look", input: { at: "sea" } }]);
    const result = { type: "tool_result", tool_use_id: "toolu_1", content: [{ type: "text", text: "a sail" }] };
    assert.deepEqual(sent[2].content, [result]);

    const settled = await stand.entries(2, "settled");
    for (const { detail, charge } of settled) {
      assert.equal(charge.certainty, "confirmed");
      assert.equal(charge.cost, 20 * 1_000 + 100 * 100 + 30 * 5_000);
      assert.deepEqual(detail.insteadOf, { provider: "openai", model: "gpt-4o" });
      const { provider, model, endpoint, user } = detail.subject;
      assert.deepEqual([provider, model, endpoint, user], ["anthropic", "claude-haiku-4-5", "openai-chat", "ann"]);
    }
    await stand.checkBooks();
  });

  test(`the Anthropic SDK uses a tool with a model of OpenAI's, ${how}`, async (context) => {
    const { stand, openai, anthropic } = await startScene(context, asOpenai);
    const client = new Anthropic({ baseURL: stand.url, apiKey: "none", maxRetries: 0 });
    const messages: Anthropic.MessageParam[] = [{ role: "user", content: "What is there?" }];
    const tools: Anthropic.Tool[] = [{ name: "look", input_schema: { type: "object", properties: { at: { type: "string" } } } }];
    const terms = { model: "claude-sonnet-4-5", max_tokens: 20_000, system: "Be brief.", messages, tools, metadata: { user_id: "ann" } };
    const turn = async () => (isStreamed ? client.messages.stream(terms).finalMessage() : client.messages.create(terms));
    const first = await turn();
    assert.equal(first.stop_reason, "tool_use");
    const [block] = first.content;
    assert.ok(block?.type === "tool_use");
    assert.deepEqual([block.id, block.name, block.input], ["call_1", "look", { at: "sea" }]);
    const { input_tokens, cache_read_input_tokens, output_tokens } = first.usage;
    assert.deepEqual([input_tokens, cache_read_input_tokens, output_tokens], [20, 100, 30]);
    messages.push({ role: "assistant", content: first.content });
    messages.push({ role: "user", content: [{ type: "tool_result", tool_use_id: block.id, content: "a sail" }] });
    const second = await turn();
    assert.deepEqual(
      second.content.map((one) => one.type === "text" && one.text),
      ["It is a sail"],
    );
    assert.equal(second.stop_reason, "end_turn");

    assert.equal(anthropic.received.length, 0);
    const [{ url, headers } = assert.fail()] = openai.received;
    assert.equal(url, "/v1/chat/completions");
    assert.deepEqual(
      [headers.authorization, headers["x-api-key"], headers["anthropic-version"]],
      ["Bearer openai-secret", undefined, undefined],
    );
    const { model, max_tokens, messages: sent } = bodyOf(openai);
    assert.deepEqual([model, max_tokens], ["gpt-4o-mini", 16_384], "no more than the model can write");
    assert.deepEqual(sent[0], { role: "system", content: "Be brief." });
    assert.deepEqual(sent.at(-1), { role: "tool", tool_call_id: "call_1", content: "a sail" });

    const settled = await stand.entries(2, "settled");
    for (const { detail, charge } of settled) {
      assert.equal(charge.cost, 20 * 150 + 100 * 75 + 30 * 600);
      const { provider, model, endpoint, user } = detail.subject;
      assert.deepEqual([provider, model, endpoint, user], ["openai", "gpt-4o-mini", "anthropic-messages", "ann"]);
    }
    await stand.checkBooks();
  });
}

describe("a call that a ladder sends on in another format", () => {
  test("gets its stream event by event, and no usage that it did not ask for", async (context) => {
    const { stand, anthropic } = await startScene(context);
    let goOn = () => undefined as unknown;
    anthropic.answer = (response) => {
      response.writeHead(200, STREAM_HEADERS);
      response.write(messageEvent({ type: "message_start", message: messageAnswer("", { input: 7, output: 1 }) }));
      response.write(messageEvent({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }));
      response.write(messageEvent({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Aye" } }));
      goOn = () =>
        response.end(
          messageEvent({ type: "message_delta", delta: { stop_reason: "max_tokens" }, usage: { output_tokens: 9 } }) +
            messageEvent({ type: "message_stop" }),
        );
    };
    const client = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none", maxRetries: 0 });
    const stream = await client.chat.completions.create({ model: "gpt-4o", stream: true, messages: [{ role: "user", content: "Ahoy" }] });
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    for await (const chunk of stream) {
      chunks.push(chunk);
      // The provider writes its end only when the client has read the text.
      if (chunk.choices[0]?.delta.content === "Aye") goOn();
    }
    assert.equal(chunks.at(-1)?.choices[0]?.finish_reason, "length");
    assert.ok(chunks.every(({ usage }) => usage === undefined));
    const [{ charge } = assert.fail()] = await stand.entries(1, "settled");
    assert.equal(charge.cost, 7 * 1_000 + 9 * 5_000);
  });

  test("is told of a refusal of the provider in its own format, and is not charged", async (context) => {
    const { stand, openai, anthropic } = await startScene(context);
    anthropic.answer = (response) =>
      writeJson(
        response,
        429,
        { type: "error", error: { type: "rate_limit_error", message: "Slow down." } },
        { "retry-after": "7", "anthropic-organization-id": "o" },
      );
    const client = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none", maxRetries: 0 });
    const asked = client.chat.completions.create({ model: "gpt-4o", messages: [{ role: "user", content: "Ahoy" }] });
    const limited = await failureOf(asked);
    assert.ok(limited instanceof OpenAI.RateLimitError);
    assert.deepEqual([limited.type, limited.message, limited.headers.get("retry-after")], ["rate_limit_error", "429 Slow down.", "7"]);
    assert.equal(limited.headers.get("anthropic-organization-id"), null);

    const other = new Anthropic({ baseURL: stand.url, apiKey: "none", maxRetries: 0 });
    openai.answer = (response) =>
      writeJson(response, 400, { error: { message: "No.", type: "invalid_request_error", param: "x", code: null } });
    const call = { model: "claude-sonnet-4-5", max_tokens: 10, messages: [{ role: "user" as const, content: "Ahoy" }] };
    const bad = await failureOf(other.messages.create(call));
    assert.ok(bad instanceof Anthropic.BadRequestError);
    assert.deepEqual((bad.error as Json).error, { type: "invalid_request_error", message: "No." });
    openai.answer = (response) => response.writeHead(503, { "content-type": "text/html" }).end("<h1>Down</h1>");
    const down = await failureOf(other.messages.create(call));
    assert.ok(down instanceof Anthropic.InternalServerError);
    assert.match(down.message, /The provider answered 503: <h1>Down/);
    await stand.entries(3, "released");
    await stand.checkBooks();
  });

  test("is told of an error in the middle of a stream, and what passed is charged", async (context) => {
    const { stand, anthropic, openai } = await startScene(context);
    anthropic.answer = (response) => {
      response.writeHead(200, STREAM_HEADERS);
      response.write(messageEvent({ type: "message_start", message: messageAnswer("", { input: 7, output: 1 }) }));
      response.write(messageEvent({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Aye, aye" } }));
      response.end(messageEvent({ type: "error", error: { type: "overloaded_error", message: "Overloaded" } }));
    };
    const client = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none", maxRetries: 0 });
    const stream = client.chat.completions.stream({ model: "gpt-4o", messages: [{ role: "user", content: "Ahoy" }] });
    await assert.rejects(stream.finalChatCompletion(), /Overloaded/);
    openai.answer = (response) =>
      response.writeHead(200, STREAM_HEADERS).end(`${chatEvent("Aye")}data: {"error":{"message":"Gone","type":"server_error"}}\n\n`);
    const other = new Anthropic({ baseURL: stand.url, apiKey: "none", maxRetries: 0 });
    const call = { model: "claude-sonnet-4-5", max_tokens: 10, messages: [{ role: "user" as const, content: "Ahoy" }] };
    await assert.rejects(other.messages.stream(call).finalMessage(), /Gone/);
    for (const { charge } of await stand.entries(2, "settled")) assert.ok(charge.certainty === "estimated" && (charge.cost ?? 0) > 0);
    await stand.checkBooks();
  });

  test("ends as if its cap had been reached where it is switched off, with the usage that it asked for", async (context) => {
    const { stand, anthropic, openai } = await startScene(context);
    const switchOff = async (user: string) => {
      const { status, text } = await post(`${stand.url}/api/switches`, { for: { user }, why: "bug 123", by: "kim" });
      assert.equal(status, 201, text);
    };
    anthropic.answer = (response) => {
      response.writeHead(200, STREAM_HEADERS);
      response.write(messageEvent({ type: "message_start", message: messageAnswer("", { input: 7, output: 1 }) }));
      response.write(
        messageEvent({ type: "content_block_start", index: 0, content_block: { type: "tool_use", id: "t", name: "f", input: {} } }),
      );
    };
    const client = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none", maxRetries: 0 });
    const stream = client.chat.completions.stream({
      model: "gpt-4o",
      user: "ann",
      stream_options: { include_usage: true },
      messages: [{ role: "user", content: "Ahoy" }],
    });
    stream.once("chunk", () => void switchOff("ann"));
    const { choices, usage } = await stream.finalChatCompletion();
    assert.equal(choices[0]?.finish_reason, "length");
    assert.equal(usage?.prompt_tokens, 7);
    openai.answer = (response) => {
      response.writeHead(200, STREAM_HEADERS);
      response.write(chatEvent("Aye, aye, captain"));
    };
    const other = new Anthropic({ baseURL: stand.url, apiKey: "none", maxRetries: 0 });
    const streamed = other.messages.stream({
      model: "claude-sonnet-4-5",
      max_tokens: 10,
      metadata: { user_id: "bob" },
      messages: [{ role: "user", content: "Ahoy" }],
    });
    streamed.once("text", () => void switchOff("bob"));
    const { stop_reason, usage: used } = await streamed.finalMessage();
    assert.equal(stop_reason, "max_tokens");
    assert.ok(used.input_tokens > 0 && used.output_tokens > 0, JSON.stringify(used));
    await stand.checkBooks();
  });

  test("gets an error in its own format where the answer cannot be read, and its estimate is charged", async (context) => {
    const { stand, chat, anthropic } = await startScene(context);
    const packed: Answer = (response) => response.writeHead(200, { ...JSON_HEADERS, "content-encoding": "gzip" }).end(gzipSync("{}"));
    for (const answer of [packed, ((response) => response.writeHead(200, JSON_HEADERS).end("<html>")) as Answer]) {
      anthropic.answer = answer;
      const { status, json, headers } = await chat();
      assert.equal(status, 502);
      assert.match(json.error.message, /the answer cannot be read\. The call may have been made, so its estimate was charged/);
      assert.equal(headers.get("content-encoding"), null);
    }
    for (const { charge } of await stand.entries(2, "settled")) assert.equal(charge.certainty, "unconfirmed");
    await stand.checkBooks();
  });

  test("is shortened, trimmed and answered again as any other", async (context) => {
    const rungs = ", shorten 50, trim 300, cache 10m";
    const { chat, anthropic, stand } = await startScene(context, asAnthropic, using("claude-haiku-4-5", rungs));
    anthropic.answer = (response) => writeJson(response, 200, messageAnswer("Aye.", { input: 12, output: 5 }));
    const turns = Array.from({ length: 10 }, (_, i) => [
      { role: "user", content: `${i} ${"word ".repeat(100)}` },
      { role: "assistant", content: "Yes." },
    ]).flat();
    const messages = [{ role: "system", content: "Be brief." }, ...turns, { role: "user", content: "And now?" }];
    const first = await chat({ messages });
    assert.equal(first.headers.get("x-purser-rung"), "use claude-haiku-4-5 (all 0%), shorten 50 (all 0%), trim 300 (all 0%)");
    const { max_tokens, system, messages: sent } = bodyOf(anthropic);
    assert.deepEqual([max_tokens, system[0].text], [50, "Be brief."]);
    assert.ok(sent.length < 10 && sent[0].role === "user");
    const second = await chat({ messages });
    assert.equal(second.headers.get("x-purser-rung"), "cache 10m (all 0%)");
    assert.deepEqual([second.text, anthropic.received.length], [first.text, 1]);
    assert.equal(second.json.choices[0].message.content, "Aye.");
    await chat({ messages, stream: true });
    assert.equal(anthropic.received.length, 2, "a stream is not given what was whole");
    await stand.checkBooks();
  });
});

test("a summary is written by a model that speaks another format, for calls that stay where they are and for those that are sent on", async (context) => {
  const summary: Answer = (response, { url, body }) => {
    const isQuestion = body.includes("takes the place of all of it");
    const [text, usage] = isQuestion ? ["Tides were looked up.", { input: 900, output: 30 }] : ["Aye.", { input: 500, output: 5 }];
    writeJson(response, 200, url.startsWith("/v1/messages") ? messageAnswer(text, usage) : chatAnswer(text, usage));
  };
  const { stand, chat, message, openai, anthropic } = await startScene(
    context,
    summary,
    `prices: [{ model: cheap, input: 0.01, output: 0.01, max_output: 8192 }]
routes: [{ model: cheap, provider: anthropic }]
budgets:
  - { name: chats, for: { endpoint: openai-chat }, limits: [$10 / day], ladder: { 0%: summarise 900 with cheap } }
  - { name: messages, for: { endpoint: anthropic-messages }, limits: [$10 / day], ladder: { 0%: [use gpt-4o-mini, summarise 900 with cheap] } }`,
  );
  const messagesOf = (word: string) => [
    ...Array.from({ length: 12 }, (_, i) => [
      { role: "user", content: `${i} ${`${word} `.repeat(200)}` },
      { role: "assistant", content: "Found." },
    ]).flat(),
    { role: "user", content: "And now?" },
  ];
  const asked = await chat({ messages: messagesOf("tide") });
  assert.equal(asked.headers.get("x-purser-rung"), "summarise 900 with cheap (chats 0%)");
  assert.match(bodyOf(openai).messages[0].content, /Tides were looked up\./);
  assert.deepEqual([bodyOf(openai).model, bodyOf(anthropic).model], ["gpt-4o", "cheap"]);
  const sentOn = await message({ messages: messagesOf("ebb") });
  assert.equal(sentOn.headers.get("x-purser-rung"), "use gpt-4o-mini (messages 0%), summarise 900 with cheap (messages 0%)");
  assert.match(bodyOf(openai).messages[0].content, /Tides were looked up\./);
  assert.deepEqual([bodyOf(openai).model, anthropic.received.length], ["gpt-4o-mini", 2]);
  const endpoints = (await stand.entries(4, "settled")).map(({ detail }) => [detail.subject.endpoint, detail.subject.model]);
  assert.deepEqual(endpoints, [
    ["openai-chat", "cheap"],
    ["openai-chat", "gpt-4o"],
    ["anthropic-messages", "cheap"],
    ["anthropic-messages", "gpt-4o-mini"],
  ]);
  await stand.checkBooks();
});

describe("a rung is left out, and says why, where the other model", () => {
  test("cannot be told all that the call says", async (context) => {
    const { stand, chat, openai, anthropic } = await startScene(context, asOpenai, using("claude-haiku-4-5"));
    const { status, headers } = await chat({ seed: 7 });
    const why = 'use claude-haiku-4-5 left out: the call has "seed" (all 0%)';
    assert.deepEqual([status, headers.get("x-purser-rung"), anthropic.received.length], [200, why, 0]);
    assert.deepEqual([bodyOf(openai).model, bodyOf(openai).seed], ["gpt-4o", 7]);
    const [{ reservation, detail } = assert.fail()] = await stand.entries(1, "settled");
    assert.deepEqual([detail.rungs, detail.insteadOf], [[why], undefined]);
    const report: Json = await (await fetch(`${stand.url}/api/requests/${reservation}`)).json();
    assert.deepEqual(report.rungs, [why]);
  });

  test("sees no images, calls no tools, or cannot read so much", async (context) => {
    const { chat, openai } = await startScene(
      context,
      asOpenai,
      `routes: [{ model: blind, provider: openai }, { model: small, provider: anthropic }]
prices:
  - { model: blind, input: 0.1, output: 0.1, lacks: [images, tools] }
  - { model: small, input: 0.1, output: 0.1, context: 60, max_output: 50 }
budgets:
  - { name: a, limits: [$10 / day], ladder: { 0%: use blind } }
  - { name: b, limits: [$10 / day], ladder: { 0%: use small } }`,
    );
    const image = { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } };
    const messages = [{ role: "user", content: [image, { type: "text", text: "word ".repeat(200) }] }];
    const { headers } = await chat({ messages });
    const rungs = headers.get("x-purser-rung") ?? "";
    assert.match(rungs, /use blind left out: the model sees no images \(a 0%\)/);
    assert.match(rungs, /use small left out: the call is larger than what the model can read \(b 0%\)/);
    assert.equal(bodyOf(openai).model, "gpt-4o");
    const tools = [{ type: "function", function: { name: "look" } }];
    const used = await chat({ tools, messages: [{ role: "user", content: "word ".repeat(200) }] });
    assert.match(used.headers.get("x-purser-rung") ?? "", /use blind left out: the model calls no tools \(a 0%\)/);
  });

  test("costs more for the same text", async (context) => {
    const { chat, openai, anthropic } = await startScene(context, asOpenai, using("claude-haiku-4-5"));
    const { headers } = await chat({ model: "gpt-4o-mini" });
    assert.deepEqual([headers.get("x-purser-rung"), bodyOf(openai).model, anthropic.received.length], [null, "gpt-4o-mini", 0]);
  });

  test("would need the caller's own key, which is for another provider", async (context) => {
    const { stand, chat, openai, anthropic } = await startScene(context, asOpenai, using("claude-haiku-4-5"));
    const own = { authorization: "Bearer sk-of-the-caller" };
    anthropic.answer = asAnthropic;
    assert.equal((await chat({}, own)).headers.get("x-purser-rung"), "use claude-haiku-4-5 (all 0%)");
    assert.equal(anthropic.received[0]?.headers["x-api-key"], "anthropic-secret");
    assert.equal(JSON.stringify(anthropic.received).includes("sk-of-the-caller"), false);
    const keyless = [
      `providers: { openai: { base_url: { openai: "${openai.url}/v1" } }, anthropic: { base_url: { anthropic: "${anthropic.url}" } } }`,
      using("claude-haiku-4-5"),
    ].join("\n");
    const other = await startStand(context, { config: keyless });
    const body = { model: "gpt-4o", messages: [{ role: "user", content: "Ahoy" }] };
    const { headers } = await post(`${other.url}/v1/chat/completions`, body, own);
    assert.equal(headers.get("x-purser-rung"), "use claude-haiku-4-5 left out: anthropic has no key (all 0%)");
    assert.equal(openai.received.at(-1)?.headers.authorization, own.authorization);
    await stand.checkBooks();
  });
});
