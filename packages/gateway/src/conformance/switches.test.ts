import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import Anthropic from "@anthropic-ai/sdk";
import { streamText } from "ai";
import OpenAI from "openai";
import { startGateway } from "../app.ts";
import { readConfig } from "../config/read-config.ts";
import { openSwitches } from "../switches/switches.ts";
import { type Answered, FORMATS, JSON_HEADERS, type Json, post } from "./calls.ts";
import { type Answer, answerChat, chatEvent, messageEvent, type RawProvider, STREAM_HEADERS, startRawProvider } from "./raw-provider.ts";
import { eventually, NANODOLLARS, PRICES, providersAt, type Stand, startStand } from "./stand.ts";

const BUDGETS = "budgets: [{ name: all, limits: [$10 / day] }]";
const CALL = { model: "m", max_tokens: 100, messages: [{ role: "user", content: "Ahoy" }] };
const WORDS = "The officer who keeps a ship's accounts";

const MESSAGE = { id: "msg_1", type: "message", role: "assistant", model: "m", content: [], stop_reason: null, stop_sequence: null };
const MESSAGE_START = messageEvent({ type: "message_start", message: { ...MESSAGE, usage: { input_tokens: 12, output_tokens: 1 } } });
const MESSAGE_BEGINNING =
  MESSAGE_START +
  messageEvent({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }) +
  messageEvent({ type: "ping" }) +
  messageEvent({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: WORDS } });

/** Begins an answer and does not go on with it. */
function beginning(text: { readonly openai: string; readonly anthropic: string }): Answer {
  return (response, { url }) => {
    response.writeHead(200, STREAM_HEADERS);
    response.write(url.startsWith("/v1/messages") ? text.anthropic : text.openai);
  };
}

const CHAT_BEGINNING = `${chatEvent("").replace('"content":""', '"role":"assistant","content":""')}${chatEvent(WORDS)}`;

const BEGIN = beginning({ openai: CHAT_BEGINNING, anthropic: MESSAGE_BEGINNING });

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  call(path: string, fields?: Json, headers?: Record<string, string>): Promise<Answered>;
  switchOff(selector: Json, more?: Json): Promise<Json>;
}

async function startScene(context: TestContext, answer: Answer = answerChat(), budgets = BUDGETS): Promise<Scene> {
  const provider = await startRawProvider(context, answer);
  const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\n${budgets}` });
  return {
    stand,
    provider,
    call: (path, fields = {}, headers = {}) => post(stand.url + path, { ...CALL, ...fields }, headers),
    switchOff: async (selector, more = {}) => {
      const { status, json, text } = await post(`${stand.url}/api/switches`, { for: selector, why: "bug 123", by: "ann", ...more });
      assert.equal(status, 201, text);
      return json;
    },
  };
}

/** A stream as a client without an SDK reads it: `begun` when something came, `rest` when it ended. */
async function openStream(url: string, fields: Json = {}, headers: Record<string, string> = {}) {
  const body = JSON.stringify({ ...CALL, stream: true, ...fields });
  const response = await fetch(url, { method: "POST", headers: { ...JSON_HEADERS, ...headers }, body });
  assert.equal(response.status, 200);
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  const first = decoder.decode((await reader.read()).value, { stream: true });
  const rest = async () => {
    let text = first;
    for (let read = await reader.read(); !read.done; read = await reader.read()) text += decoder.decode(read.value, { stream: true });
    return text;
  };
  return { first, rest };
}

function dataOf(stream: string): readonly Json[] {
  return stream
    .split("\n\n")
    .filter((event) => event !== "")
    .map((event) => /^data: (.*)$/m.exec(event)?.[1] ?? assert.fail(`no data in ${JSON.stringify(event)}`))
    .map((data) => (data === "[DONE]" ? data : JSON.parse(data)));
}

describe("what is switched off", () => {
  for (const { name, path } of FORMATS) {
    test(`${name}: is refused with 402 and a code of its own, says why and until when, and asks no provider`, async (context) => {
      const { stand, provider, call, switchOff } = await startScene(context);
      await switchOff({ feature: "chatbot" }, { until: "2199-01-01T00:00:00Z" });
      const { status, headers, text, json } = await call(path, {}, { "x-purser-feature": "chatbot" });
      assert.equal(status, 402);
      assert.equal(headers.get("x-should-retry"), "false");
      assert.equal(headers.get("retry-after"), null);
      assert.equal(json.error.code ?? json.error.details.error_code, "switched_off");
      assert.match(
        text,
        /Calls with feature chatbot are switched off since .* UTC: bug 123\. They are switched on again 2199-01-01 00:00 UTC\./,
      );
      assert.equal((await call(path, {}, { "x-purser-feature": "search" })).status, 200, "all else goes on");
      assert.equal(provider.received.length, 1);
      const [denied] = await stand.entries(1, "denied");
      assert.equal(denied?.reason, "switched_off");
      await stand.checkBooks();
    });

    test(`${name}: a running stream ends as if its cap had been reached, and is charged for what was delivered`, async (context) => {
      let left = 0;
      const { stand, switchOff } = await startScene(context, (response, received) => {
        response.once("close", () => left++);
        BEGIN(response, received);
      });
      const other = await openStream(stand.url + path, {}, { "x-purser-feature": "search" });
      const stream = await openStream(stand.url + path, { stream_options: { include_usage: true } }, { "x-purser-feature": "chatbot" });
      const began = performance.now();
      await switchOff({ feature: "chatbot" });
      const events = dataOf(await stream.rest());
      assert.ok(performance.now() - began < 1000, "within a second");
      if (name === "openai") {
        const [, said, finish, usage, done] = events;
        assert.equal(said.choices[0].delta.content, WORDS);
        assert.deepEqual([finish.id, finish.choices[0].finish_reason], ["c", "length"]);
        assert.deepEqual(Object.keys(usage.usage), ["prompt_tokens", "completion_tokens", "total_tokens"]);
        assert.equal(done, "[DONE]");
      } else {
        assert.deepEqual(
          events.slice(-3).map(({ type, index, delta }: Json) => [type, index ?? delta?.stop_reason]),
          [
            ["content_block_stop", 0],
            ["message_delta", "max_tokens"],
            ["message_stop", undefined],
          ],
        );
      }
      const [{ charge } = assert.fail()] = await stand.entries(1, "settled");
      assert.equal(charge.certainty, "estimated");
      const { inputTokens = 0, outputTokens = 0 } = charge.usage;
      assert.ok(outputTokens > 5 && outputTokens < 15, `${outputTokens} tokens of ${WORDS}`);
      assert.equal(charge.cost, inputTokens * NANODOLLARS.input + outputTokens * NANODOLLARS.output);
      await eventually("the provider to be left", () => left === 1 || undefined);
      await switchOff({ feature: "search" });
      await other.rest();
      await stand.checkBooks();
    });

    test(`${name}: a stream that has not begun is refused, and one whose whole answer is paid for comes`, async (context) => {
      const answers: (() => void)[] = [];
      const { stand, call, switchOff, provider } = await startScene(context, (response, received) => {
        answers.push(() => answerChat()(response, received));
      });
      const stream = call(path, { stream: true });
      const whole = call(path);
      await eventually("both calls", () => provider.received.length === 2 || undefined);
      await switchOff({ model: "m" });
      assert.equal((await stream).status, 402);
      for (const answer of answers) answer();
      assert.equal((await whole).status, 200);
      await stand.checkBooks();
    });
  }

  test("a stream that hangs in the middle of an event still gets an end that every client can read", async (context) => {
    const torn = [
      {
        openai: `${CHAT_BEGINNING}data: {"id":"c","choices":[{"ind`,
        anthropic: `${MESSAGE_BEGINNING}event: content_block_delta\ndata: {"ty`,
      },
      { openai: `${CHAT_BEGINNING}data: `, anthropic: `${MESSAGE_BEGINNING}event: content_block_delta\n` },
      { openai: CHAT_BEGINNING.trimEnd(), anthropic: MESSAGE_BEGINNING.trimEnd() },
      { openai: ": hello\n", anthropic: ": hello\n" },
    ];
    for (const text of torn) {
      const { stand, provider, switchOff } = await startScene(context, beginning(text));
      const openai = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none" });
      const anthropic = new Anthropic({ baseURL: stand.url, apiKey: "none" });
      const messages = [{ role: "user" as const, content: "Ahoy" }];
      const chat = openai.chat.completions.stream({ model: "m", messages });
      const message = anthropic.messages.stream({ model: "m", max_tokens: 100, messages });
      const ends = Promise.all([chat.finalChatCompletion(), message.finalMessage()]);
      await eventually("both calls", () => provider.received.length === 2 || undefined);
      await switchOff({ model: "m" });
      const [completion, { stop_reason }] = await ends.catch((error: unknown) => assert.fail(`${JSON.stringify(text)}: ${error}`));
      assert.deepEqual([completion.choices[0]?.finish_reason, stop_reason], ["length", "max_tokens"]);
    }
  });

  test("the SDKs of OpenAI, Anthropic and Vercel read the end of a stream as one that was cut at its cap", async (context) => {
    const { stand, switchOff } = await startScene(context, BEGIN);
    const baseURL = `${stand.url}/v1`;
    const openai = new OpenAI({ baseURL, apiKey: "none" });
    const anthropic = new Anthropic({ baseURL: stand.url, apiKey: "none" });
    const messages = [{ role: "user" as const, content: "Ahoy" }];
    const seen: (string | null | undefined)[] = [];
    let begun = 0;
    const noted = () => void begun++;

    const chat = openai.chat.completions.stream({ model: "m", messages, stream_options: { include_usage: true } }).once("content", noted);
    const message = anthropic.messages.stream({ model: "m", max_tokens: 100, messages }).once("text", noted);
    const viaAi = [createOpenAI({ baseURL, apiKey: "none" }).chat("m"), createAnthropic({ baseURL, apiKey: "none" })("m")].map(
      async (model) => {
        const { textStream, finishReason, text } = streamText({ model, prompt: "Ahoy", maxOutputTokens: 100 });
        for await (const _ of textStream) noted();
        assert.equal(await text, WORDS);
        seen.push(await finishReason);
      },
    );
    await eventually("four streams to begin", () => begun === 4 || undefined);
    await switchOff({ model: "m" });
    const { choices, usage } = await chat.finalChatCompletion();
    assert.equal(choices[0]?.message.content, WORDS);
    assert.ok(usage && usage.prompt_tokens > 0 && usage.completion_tokens > 0);
    const final = await message.finalMessage();
    assert.deepEqual(
      final.content.map((block) => block.type === "text" && block.text),
      [WORDS],
    );
    await Promise.all(viaAi);
    assert.deepEqual([choices[0]?.finish_reason, final.stop_reason, ...seen], ["length", "max_tokens", "length", "length"]);
    await stand.checkBooks();
  });

  test("no SDK tries again what is switched off", async (context) => {
    const { stand, switchOff } = await startScene(context);
    await switchOff({});
    let requests = 0;
    const counted: typeof fetch = (...request) => {
      requests++;
      return fetch(...request);
    };
    const messages = [{ role: "user" as const, content: "Ahoy" }];
    const openai = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none", fetch: counted });
    await assert.rejects(openai.chat.completions.create({ model: "m", messages }), { status: 402, code: "switched_off" });
    const anthropic = new Anthropic({ baseURL: stand.url, apiKey: "none", fetch: counted });
    await assert.rejects(anthropic.messages.create({ model: "m", max_tokens: 10, messages }), { status: 402 });
    const model = createOpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none", fetch: counted }).chat("m");
    const errors: Json[] = [];
    const { text } = streamText({ model, prompt: "Ahoy", onError: ({ error }) => void errors.push(error) });
    await Promise.resolve(text).catch(() => undefined);
    assert.equal(errors[0].statusCode, 402);
    assert.equal(requests, 3);
  });

  test("what another process switches off stops within a second", async (context) => {
    const { stand, call } = await startScene(context, BEGIN);
    const stream = await openStream(`${stand.url}/v1/chat/completions`);
    const began = performance.now();
    const elsewhere = await openSwitches(stand.directory);
    const { id } = await elsewhere.off({ for: { provider: "mock" }, by: "bob", why: "an outage" });
    assert.equal(dataOf(await stream.rest()).at(-1), "[DONE]");
    assert.ok(performance.now() - began < 1000, "within a second");
    assert.equal((await call("/v1/messages")).status, 402);
    await elsewhere.on(id, { by: "bob", why: "it is over" });
    const passed = await eventually("calls to pass again", async () => {
      const again = await openStream(`${stand.url}/v1/chat/completions`).catch(() => undefined);
      return again;
    });
    assert.match(passed.first, /officer/);
  });

  test("a switch outlives a restart, and what happened stays written down", async (context) => {
    const { stand, provider, switchOff } = await startScene(context);
    const { id } = await switchOff({ user: ["ann", "bob"] });
    await stand.gateway.close();
    const config = readConfig({
      text: `server: { port: 0 }\ndata: ${JSON.stringify(stand.directory)}\n${providersAt(provider.url)}`,
      environment: {},
    });
    const again = await startGateway({ config });
    context.after(() => again.close());
    const calls = `${again.url}/v1/chat/completions`;
    assert.equal((await post(calls, CALL, { "x-purser-user": "bob" })).status, 402);
    const ended = await fetch(`${again.url}/api/switches/${id}?by=kim&why=mended`, { method: "DELETE" });
    assert.equal(ended.status, 200);
    assert.equal((await post(calls, CALL, { "x-purser-user": "bob" })).status, 200);
    assert.equal((await fetch(`${again.url}/api/switches/${id}`, { method: "DELETE" })).status, 404);
    const { data }: Json = await (await fetch(`${again.url}/api/switches?all=true`)).json();
    assert.deepEqual(
      data.map(({ for: selector, by, why, ended: end, in_force }: Json) => [selector, by, why, end.by, end.why, in_force]),
      [[{ user: ["ann", "bob"] }, "ann", "bug 123", "kim", "mended", false]],
    );
    assert.equal(readFileSync(join(stand.directory, "switches.jsonl"), "utf8").trim().split("\n").length, 2);
  });

  test("no ladder leads to a model that is switched off, and one that leads away from it is followed", async (context) => {
    const ladder = "budgets: [{ name: all, for: { model: large }, limits: [$10 / day], ladder: { 0%: use small } }]";
    const provider = await startRawProvider(context);
    const prices = "prices: [{ model: large, input: 3, output: 15 }, { model: small, input: 1, output: 5 }]";
    const { url } = await startStand(context, { config: `${providersAt(provider.url)}\n${prices}\n${ladder}` });
    const statusOf = async () => (await post(`${url}/v1/chat/completions`, { ...CALL, model: "large" })).status;
    const sent = () => JSON.parse(provider.received.at(-1)?.body ?? "{}").model;
    await post(`${url}/api/switches`, { for: { model: "large" }, why: "it is dear" });
    assert.deepEqual([await statusOf(), sent()], [200, "small"]);
    await post(`${url}/api/switches`, { for: { model: "small" }, why: "it is dull" });
    assert.deepEqual([await statusOf(), provider.received.length], [402, 1]);
  });

  test("calls that other gateways ask about are refused too", async (context) => {
    const { stand, switchOff } = await startScene(context);
    await switchOff({ model: "m" });
    const asked = { subject: { provider: "mock", model: "m" }, input_tokens: 10, max_output_tokens: 10 };
    const { status, json } = await post(`${stand.url}/api/decisions`, asked);
    assert.deepEqual([status, json.code], [402, "switched_off"]);
  });

  test("a switch that says nothing, or something else than a budget's `for:`, is refused with what to do", async (context) => {
    const { stand } = await startScene(context);
    for (const body of [
      undefined,
      {},
      { for: {} },
      { for: { feture: "x" }, why: "w" },
      { for: { feature: [] }, why: "w" },
      { for: { feature: 1 }, why: "w" },
      { for: {}, why: " " },
      { for: {}, why: "w", until: "2020-01-01" },
      { for: {}, why: "w", when: "now" },
    ]) {
      const { status, json } = await post(`${stand.url}/api/switches`, body ?? "");
      assert.deepEqual([status, json.code], [400, "body_invalid"], JSON.stringify(body));
    }
  });
});
