import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { readConfig } from "../config/read-config.ts";
import { type Answered, FORMATS, type Json, post } from "./calls.ts";
import {
  type Answer,
  answerChat,
  CHAT_DONE,
  chatEvent,
  messageEvent,
  type RawProvider,
  STREAM_HEADERS,
  startRawProvider,
  writeJson,
} from "./raw-provider.ts";
import { PRICES, providersAt, type Stand, startStand } from "./stand.ts";

const CALL = { model: "m", max_tokens: 100, messages: [{ role: "user", content: "Ahoy" }] };

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  call(fields?: Json, headers?: Record<string, string>): Promise<Answered>;
}

async function startScene(
  context: TestContext,
  ladder: string,
  { path = "/v1/chat/completions", answer = answerChat(), limit = "$1 / day" }: { path?: string; answer?: Answer; limit?: string } = {},
): Promise<Scene> {
  const provider = await startRawProvider(context, answer);
  const budgets = `budgets: [{ name: all, limits: [${limit}], min_output: 1, ladder: ${ladder} }]`;
  const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\n${budgets}` });
  return { stand, provider, call: (fields = {}, headers = {}) => post(stand.url + path, { ...CALL, ...fields }, headers) };
}

/** Says how many calls it has answered, as a stream. */
function answerStream(): Answer {
  let calls = 0;
  return (response, { url }) => {
    calls++;
    response.writeHead(200, STREAM_HEADERS);
    if (url.startsWith("/v1/messages")) {
      const message = { id: "msg_1", type: "message", role: "assistant", model: "m", content: [], stop_reason: null, stop_sequence: null };
      const usage = { input_tokens: 12, output_tokens: 1 };
      for (const event of [
        { type: "message_start", message: { ...message, usage } },
        { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
        { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: `Answer ${calls}` } },
        { type: "content_block_stop", index: 0 },
        { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 5 } },
        { type: "message_stop" },
      ])
        response.write(messageEvent(event));
      response.end();
      return;
    }
    const finish = { index: 0, delta: {}, finish_reason: "stop" };
    response.write(chatEvent(`Answer ${calls}`).replace('"content"', '"role":"assistant","content"'));
    response.write(`data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [finish] })}\n\n`);
    response.end(CHAT_DONE);
  };
}

describe("the cache", () => {
  for (const { name, path } of FORMATS) {
    test(`${name}: answers the same call as before, byte for byte, asks no provider and costs nothing`, async (context) => {
      const { stand, provider, call } = await startScene(context, "{ 0%: cache }", { path });
      const first = await call();
      assert.equal(first.headers.get("x-purser-rung"), null);
      const [before] = await stand.gateway.budgets.balances();
      const again = await call();
      assert.deepEqual([again.status, again.text, again.headers.get("content-type")], [200, first.text, first.headers.get("content-type")]);
      assert.equal(again.headers.get("x-purser-rung"), "cache 60m (all 0%)");
      assert.notEqual(again.headers.get("x-purser-request-id"), first.headers.get("x-purser-request-id"));
      assert.equal(provider.received.length, 1);
      await call({ messages: [{ role: "user", content: "Ahoy!" }] });
      assert.equal(provider.received.length, 2, "another text is another call");
      const entries = await stand.entries(2, "settled");
      assert.equal(entries.length, 2);
      const [after] = await stand.gateway.budgets.balances();
      assert.ok(before && after && after.spent === 2 * before.spent);
      await stand.checkBooks();
    });

    test(`${name}: gives nobody what another key, user or team was answered`, async (context) => {
      const { stand, provider, call } = await startScene(context, "{ 0%: cache }", { path });
      for (const user of ["ann", "bob"]) for (let i = 0; i < 2; i++) await call({}, { "x-purser-user": user });
      assert.equal(provider.received.length, 2);
      await call({}, { "x-purser-team": "red", "x-purser-user": "ann" });
      assert.equal(provider.received.length, 3);
      const keys = await Promise.all(["a", "b"].map((one) => stand.gateway.keys.create({ name: one })));
      for (const { secret } of keys) for (let i = 0; i < 2; i++) await call({}, { "x-api-key": secret });
      assert.equal(provider.received.length, 5);
    });
  }

  test("keeps nothing before its step is reached", async (context) => {
    const { provider, call } = await startScene(context, "{ 60%: cache }", { limit: "2 requests / day" });
    for (let i = 0; i < 2; i++) assert.equal((await call()).status, 200);
    assert.equal(provider.received.length, 2);
    assert.equal((await call()).status, 402);
  });

  test("answers a call that is known for free, where the budget would refuse it", async (context) => {
    const { provider, call } = await startScene(context, "{ 0%: cache }", { limit: "1 request / day" });
    assert.equal((await call()).status, 200);
    assert.equal((await call({ max_tokens: 7 })).status, 402);
    assert.equal((await call()).status, 200);
    assert.equal(provider.received.length, 1);
  });

  test("gives streams again as streams, which the SDKs read", async (context) => {
    const { stand, provider } = await startScene(context, "{ 0%: cache 10m }", { answer: answerStream() });
    const openai = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none" });
    const anthropic = new Anthropic({ baseURL: stand.url, apiKey: "none" });
    const messages = [{ role: "user" as const, content: "Ahoy" }];
    for (let i = 0; i < 2; i++) {
      const { choices } = await openai.chat.completions.stream({ model: "m", messages }).finalChatCompletion();
      assert.deepEqual([choices[0]?.message.content, choices[0]?.finish_reason], ["Answer 1", "stop"]);
      const { content, stop_reason } = await anthropic.messages.stream({ model: "m", max_tokens: 100, messages }).finalMessage();
      assert.deepEqual([content[0]?.type === "text" && content[0].text, stop_reason], ["Answer 2", "end_turn"]);
    }
    assert.equal(provider.received.length, 2);
    await stand.checkBooks();
  });

  test("keeps no answer that is an error, that broke off, or that was cut at the cap", async (context) => {
    const { provider, call } = await startScene(context, "{ 0%: cache }");
    provider.answer = (response) => writeJson(response, 400, { error: { message: "no" } });
    for (let i = 0; i < 2; i++) assert.equal((await call()).status, 400);
    provider.answer = (response) => {
      response.writeHead(200, STREAM_HEADERS);
      response.write(chatEvent("half"), () => response.destroy());
    };
    for (let i = 0; i < 2; i++) await call({ stream: true }).catch(() => undefined);
    provider.answer = answerChat({ input: 12, output: 100 });
    for (let i = 0; i < 2; i++) assert.equal((await call()).status, 200);
    assert.equal(provider.received.length, 6);
  });

  test("keeps no answer for which the provider looked something up", async (context) => {
    const { provider, call } = await startScene(context, "{ 0%: cache }", { limit: "1M tokens / day" });
    for (let i = 0; i < 2; i++) assert.equal((await call({ web_search_options: {} })).status, 200);
    assert.equal(provider.received.length, 2);
  });

  test("forgets all when no ladder asks for it any more", async (context) => {
    const { stand, provider, call } = await startScene(context, "{ 0%: cache }");
    await call();
    const { gateway } = stand;
    const read = (budgets: string) =>
      readConfig({
        text: `server: { port: 0 }\ndata: ${JSON.stringify(stand.directory)}\n${providersAt(provider.url)}\n${PRICES}\n${budgets}`,
        environment: {},
      });
    await gateway.reload(read(""));
    await gateway.reload(read("budgets: [{ name: all, limits: [$1 / day], ladder: { 0%: cache } }]"));
    await call();
    assert.equal(provider.received.length, 2);
  });
});
