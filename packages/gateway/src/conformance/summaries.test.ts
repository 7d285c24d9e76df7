import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import OpenAI from "openai";
import { type Answered, type Json, post } from "./calls.ts";
import {
  type Answer,
  answerChat,
  CHAT_DONE,
  chatAnswer,
  chatEvent,
  chatUsageEvent,
  geminiAnswer,
  messageAnswer,
  type RawProvider,
  responseAnswer,
  STREAM_HEADERS,
  startRawProvider,
  writeJson,
} from "./raw-provider.ts";
import { providersAt, type Stand, startStand } from "./stand.ts";

/** The small model costs a thirtieth of the large one. */
const PRICES = `prices:
  - { model: large, input: 3, output: 15, cache_read: 0.3, cache_write: 3.75, max_output: 8192 }
  - { model: small, input: 0.1, output: 0.5, max_output: 8192 }`;

const SUMMARY = "Ann asked for the tides of Hamburg, Bremen and Cuxhaven; all were found.";

/** Whether a call asks for a summary, in any format. */
function asksForSummary(body: string): boolean {
  return body.includes("takes the place of all of it");
}

/** Answers questions for summaries with one, and everything else with little. */
const answerBoth: Answer = (response, { url, body }) => {
  const isSummary = asksForSummary(body);
  const [text, usage] = isSummary ? [SUMMARY, { input: 900, output: 30 }] : ["Aye.", { input: 500, output: 5 }];
  if (url.includes(":generateContent")) return writeJson(response, 200, geminiAnswer(text, usage));
  if (url.endsWith("/converse")) {
    const message = { role: "assistant", content: [{ text }] };
    const all = { inputTokens: usage.input, outputTokens: usage.output, totalTokens: usage.input + usage.output };
    return writeJson(response, 200, { output: { message }, stopReason: "end_turn", usage: all });
  }
  if (url.startsWith("/v1/messages")) return writeJson(response, 200, messageAnswer(text, usage));
  if (url.startsWith("/v1/responses")) return writeJson(response, 200, responseAnswer(text, usage));
  if (!JSON.parse(body).stream) return writeJson(response, 200, chatAnswer(text, usage));
  response.writeHead(200, STREAM_HEADERS);
  return response.end(chatEvent(text) + chatUsageEvent(usage) + CHAT_DONE);
};

const words = (label: string, count = 200) => `${label} ${"tide ".repeat(count)}`;

interface Form {
  readonly name: string;
  readonly path: string;
  /** A turn with a tool that was called, as messages of this format. */
  turn(i: number): readonly Json[];
  last: Json;
  /** A call with these messages. */
  body(messages: readonly Json[]): Json;
  messagesOf(body: Json): Json[];
  textOf(message: Json): string;
}

const FORMS: readonly Form[] = [
  {
    name: "chat",
    path: "/v1/chat/completions",
    turn: (i) => [
      { role: "user", content: words(`question ${i}`) },
      { role: "assistant", content: null, tool_calls: [{ id: `t${i}`, type: "function", function: { name: "look", arguments: "{}" } }] },
      { role: "tool", tool_call_id: `t${i}`, content: "found" },
      { role: "assistant", content: `answer ${i}` },
    ],
    last: { role: "user", content: "And now?" },
    body: (messages) => ({ model: "large", max_tokens: 100, messages: [{ role: "system", content: "Be brief." }, ...messages] }),
    messagesOf: ({ messages }) => {
      assert.deepEqual(messages[0], { role: "system", content: "Be brief." });
      return messages.slice(1);
    },
    textOf: ({ content }) => content,
  },
  {
    name: "responses",
    path: "/v1/responses",
    turn: (i) => [
      { role: "user", content: words(`question ${i}`) },
      { type: "function_call", call_id: `t${i}`, name: "look", arguments: "{}" },
      { type: "function_call_output", call_id: `t${i}`, output: "found" },
      { type: "message", role: "assistant", content: [{ type: "output_text", text: `answer ${i}` }] },
    ],
    last: { role: "user", content: "And now?" },
    body: (input) => ({ model: "large", max_output_tokens: 100, store: false, instructions: "Be brief.", input }),
    messagesOf: ({ input, instructions }) => {
      assert.equal(instructions, "Be brief.");
      return input;
    },
    textOf: ({ content }) => content,
  },
  {
    name: "messages",
    path: "/v1/messages",
    turn: (i) => [
      { role: "user", content: words(`question ${i}`) },
      { role: "assistant", content: [{ type: "tool_use", id: `t${i}`, name: "look", input: {} }] },
      { role: "user", content: [{ type: "tool_result", tool_use_id: `t${i}`, content: "found" }] },
      { role: "assistant", content: `answer ${i}` },
    ],
    last: { role: "user", content: "And now?" },
    body: (messages) => ({ model: "large", max_tokens: 100, system: "Be brief.", messages }),
    messagesOf: ({ messages, system }) => {
      assert.equal(system, "Be brief.");
      return messages;
    },
    textOf: ({ content }) => content,
  },
  {
    name: "Gemini",
    path: "/v1beta/models/large:generateContent",
    turn: (i) => [
      { role: "user", parts: [{ text: words(`question ${i}`) }] },
      { role: "model", parts: [{ functionCall: { name: "look", args: {} } }] },
      { role: "user", parts: [{ functionResponse: { name: "look", response: { found: true } } }] },
      { role: "model", parts: [{ text: `answer ${i}` }] },
    ],
    last: { role: "user", parts: [{ text: "And now?" }] },
    body: (contents) => ({ contents, generationConfig: { maxOutputTokens: 100 }, systemInstruction: { parts: [{ text: "Be brief." }] } }),
    messagesOf: ({ contents, systemInstruction }) => {
      assert.deepEqual(systemInstruction, { parts: [{ text: "Be brief." }] });
      return contents;
    },
    textOf: ({ parts }) => parts[0].text,
  },
  {
    name: "Bedrock's Converse",
    path: "/model/large/converse",
    turn: (i) => [
      { role: "user", content: [{ text: words(`question ${i}`) }] },
      { role: "assistant", content: [{ toolUse: { toolUseId: `t${i}`, name: "look", input: {} } }] },
      { role: "user", content: [{ toolResult: { toolUseId: `t${i}`, content: [{ text: "found" }] } }] },
      { role: "assistant", content: [{ text: `answer ${i}` }] },
    ],
    last: { role: "user", content: [{ text: "And now?" }] },
    body: (messages) => ({ system: [{ text: "Be brief." }], messages, inferenceConfig: { maxTokens: 100 } }),
    messagesOf: ({ messages, system }) => {
      assert.deepEqual(system, [{ text: "Be brief." }]);
      return messages;
    },
    textOf: ({ content }) => content[0].text,
  },
];

const CHAT = FORMS[0] as Form;

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  /** A call with so many turns before its last message. */
  call(turns: number, more?: Json, headers?: Record<string, string>): Promise<Answered>;
  summaries(): readonly Json[];
  sent(): Json;
}

interface SceneOptions {
  readonly form?: Form;
  readonly budgets?: string;
  readonly answer?: Answer;
}

const LADDER = "ladder: { 0%: summarise 1200 with small }";

async function startScene(
  context: TestContext,
  { form = CHAT, budgets = `[{ name: all, limits: [$1 / day], ${LADDER} }]`, answer = answerBoth }: SceneOptions = {},
): Promise<Scene> {
  const provider = await startRawProvider(context, answer);
  const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\nbudgets: ${budgets}` });
  return {
    stand,
    provider,
    call: (turns, more = {}, headers = {}) => {
      const history = Array.from({ length: turns }, (_, i) => form.turn(i)).flat();
      return post(stand.url + form.path, { ...form.body([...history, form.last]), ...more }, headers);
    },
    summaries: () => provider.received.filter(({ body }) => asksForSummary(body)).map(({ body }) => JSON.parse(body)),
    sent: () => JSON.parse(provider.received.findLast(({ body }) => !asksForSummary(body))?.body ?? "{}"),
  };
}

describe("a summary", () => {
  for (const form of FORMS)
    test(`${form.name}: stands for the oldest turns, before the latest ones as they were`, async (context) => {
      const { stand, call, sent, summaries } = await startScene(context, { form });
      const { status, headers, text } = await call(12);
      assert.equal(status, 200, text);
      assert.equal(headers.get("x-purser-rung"), "summarise 1200 with small (all 0%)");
      const [note, noted, ...kept] = form.messagesOf(sent());
      assert.ok(form.textOf(note).endsWith(SUMMARY));
      assert.match(noted.role, /assistant|model/);
      const history = Array.from({ length: 12 }, (_, i) => form.turn(i)).flat();
      assert.ok(kept.length >= 5 && kept.length < 24, `${kept.length} messages are left`);
      assert.deepEqual(kept, [...history, form.last].slice(-kept.length), "whole turns, in order");
      const [question] = summaries();
      const asked = JSON.stringify(question);
      assert.ok(asked.includes("question 0") && !asked.includes("question 11"), "what is left out is what is summarised");
      await stand.checkBooks();
    });

  test("is paid for on the budgets of its caller, as a call of its own in the ledger", async (context) => {
    const budgets = `[{ name: all, limits: [$1 / day], ${LADDER} }, { name: each, per: user, limits: [$1 / day] }]`;
    const { stand, call } = await startScene(context, { budgets });
    const answered = await call(12, {}, { "x-purser-user": "ann" });
    const [summary, own] = await stand.entries(2, "settled");
    assert.deepEqual([summary?.detail.subject.model, summary?.detail.subject.user], ["small", "ann"]);
    assert.deepEqual(summary?.detail.rungs, [`summary for ${answered.headers.get("x-purser-request-id")}`]);
    assert.equal(summary?.charge.cost, 900 * 100 + 30 * 500);
    const cost = (summary?.charge.cost ?? 0) + (own?.charge.cost ?? 0);
    for (const balance of await stand.gateway.budgets.balances()) assert.equal(balance.spent, cost, balance.budget);
  });

  test("is paid for once by a chat that grows, until that has grown by another part", async (context) => {
    const { stand, call, summaries, sent } = await startScene(context);
    for (let turns = 1; turns <= 20; turns++) {
      const { status, text } = await call(turns, {}, { "x-purser-user": "ann" });
      assert.equal(status, 200, text);
      const tokens = JSON.stringify(sent()).split("tide ").length;
      assert.ok(tokens < 1_300, `at ${turns} turns ${tokens} words were sent`);
    }
    const written = summaries();
    assert.ok(written.length >= 4 && written.length <= 8, `${written.length} summaries in 20 calls`);
    const asked = written.map((question) => JSON.stringify(question.messages));
    for (const [i, one] of asked.entries()) if (i > 0) assert.ok(one.includes(SUMMARY), "each goes on from the one before");
    for (let turn = 0; turn < 15; turn++)
      assert.equal(asked.filter((one) => one.includes(`question ${turn} `)).length, 1, `turn ${turn} is read once`);
    await stand.checkBooks();
  });

  test("is nobody else's: another user with the same words has one of their own", async (context) => {
    const { call, summaries } = await startScene(context);
    for (const user of ["ann", "ann", "bob"]) await call(12, {}, { "x-purser-user": user });
    assert.equal(summaries().length, 2);
  });

  test("is written once for calls at the same time", async (context) => {
    const { call, summaries } = await startScene(context);
    const answers = await Promise.all([call(12), call(12), call(12)]);
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 200],
    );
    assert.equal(summaries().length, 1);
  });

  test("is found again though marks for the prompt cache moved on", async (context) => {
    const form = FORMS[2] as Form;
    const { call, summaries } = await startScene(context, { form });
    const marked = (at: number) => {
      const history = Array.from({ length: 12 }, (_, i) => form.turn(i)).flat();
      const messages = [...history, form.last].map((message, i) =>
        i === at ? { ...message, content: [{ type: "text", text: message.content, cache_control: { type: "ephemeral" } }] } : message,
      );
      return { messages };
    };
    // What is read from a cache at a tenth of its price is not worth a summary that is not there yet.
    await call(12);
    const { headers } = await call(12, marked(48));
    assert.equal(summaries().length, 1);
    assert.match(headers.get("x-purser-rung") ?? "", /^summarise 1200 with small/);
  });

  test("is left out, and said to be, where it would cost more than the conversation does from the cache", async (context) => {
    const { call, summaries, sent } = await startScene(context);
    const { headers } = await call(7, { prompt_cache_key: "chat-1" });
    assert.equal(headers.get("x-purser-rung"), "summarise 1200 with small left out as dearer (all 0%)");
    assert.deepEqual([summaries().length, CHAT.messagesOf(sent()).length], [0, 29]);
  });

  test("is left out as well where a provider caches by itself, as its answers say", async (context) => {
    const cached: Answer = (response, received) => {
      if (asksForSummary(received.body)) return answerBoth(response, received);
      const { usage, ...answer } = chatAnswer("Aye.", { input: 1_000, output: 5 });
      return writeJson(response, 200, { ...answer, usage: { ...usage, prompt_tokens_details: { cached_tokens: 980 } } });
    };
    const { call, summaries, stand } = await startScene(context, { answer: cached });
    await call(3, {}, { "x-purser-user": "ann" });
    await stand.entries(1, "settled");
    const ann = await call(4, {}, { "x-purser-user": "ann" });
    assert.equal(ann.headers.get("x-purser-rung"), "summarise 1200 with small left out as dearer (all 0%)");
    assert.equal(summaries().length, 0);
    const bob = await call(4, {}, { "x-purser-user": "bob" });
    assert.equal(bob.headers.get("x-purser-rung"), "summarise 1200 with small (all 0%)");
  });

  test("is left out where its model costs as much as what it saves", async (context) => {
    const { call, summaries } = await startScene(context, {
      budgets: `[{ name: all, limits: [$1 / day], ladder: { 0%: summarise 1200 with large } }]`,
    });
    const { headers } = await call(12);
    assert.equal(headers.get("x-purser-rung"), "summarise 1200 with large left out as dearer (all 0%)");
    assert.equal(summaries().length, 0);
  });

  for (const [what, fail] of [
    ["refuses", (response) => writeJson(response, 500, { error: { message: "no" } })],
    ["breaks off", (response) => response.destroy()],
    ["says nothing", (response) => writeJson(response, 200, chatAnswer("", { input: 900, output: 1 }))],
  ] as const satisfies readonly (readonly [string, Answer])[])
    test(`is done without where its model ${what}, which is not asked again with each call`, async (context) => {
      const answer: Answer = (response, received) => (asksForSummary(received.body) ? fail(response) : answerBoth(response, received));
      const { stand, call, summaries, sent } = await startScene(context, { answer });
      for (let i = 0; i < 3; i++) {
        const { status, headers } = await call(12);
        assert.deepEqual([status, headers.get("x-purser-rung")], [200, null]);
        assert.equal(CHAT.messagesOf(sent()).length, 49);
      }
      assert.equal(summaries().length, 1);
      await stand.checkBooks();
    });

  test("is done without where its budget has no room for it, and history is trimmed instead where the ladder says so", async (context) => {
    const small = "{ name: summaries, for: { model: small }, limits: [0 tokens / day] }";
    const budgets = `[{ name: all, limits: [$1 / day], ladder: { 0%: [summarise 1200 with small, trim 1500] } }, ${small}]`;
    const { call, summaries, sent } = await startScene(context, { budgets });
    const { status, headers } = await call(12);
    assert.deepEqual([status, headers.get("x-purser-rung"), summaries().length], [200, "trim 1500 (all 0%)", 0]);
    assert.match(CHAT.messagesOf(sent())[0].content, /^question/);
  });

  test("is not asked of a model that a budget of the call does not allow", async (context) => {
    const budgets = `[{ name: all, limits: [$1 / day], ${LADDER} }, { name: quality, limits: [$1 / day], request: { models: [large] } }]`;
    const { call, summaries } = await startScene(context, { budgets });
    const { status, headers } = await call(12);
    assert.deepEqual([status, headers.get("x-purser-rung"), summaries().length], [200, null, 0]);
  });

  test("leaves what fits alone, and a single turn that does not", async (context) => {
    const { call, summaries } = await startScene(context);
    assert.equal((await call(2)).headers.get("x-purser-rung"), null);
    const { headers } = await call(0, { messages: [{ role: "user", content: words("one", 2_000) }] });
    assert.deepEqual([headers.get("x-purser-rung"), summaries().length], [null, 0]);
  });
});

describe("a conversation with a summary in it", () => {
  test("is streamed by the SDKs as any other", async (context) => {
    const { stand, summaries } = await startScene(context);
    const messages = [...Array.from({ length: 12 }, (_, i) => CHAT.turn(i)).flat(), CHAT.last];
    const client = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none" });
    let text = "";
    for await (const chunk of await client.chat.completions.create({ model: "large", messages, stream: true }))
      text += chunk.choices[0]?.delta.content ?? "";
    assert.deepEqual([text, summaries().length], ["Aye.", 1]);
    const gemini = FORMS[3] as Form;
    const google = new GoogleGenAI({ apiKey: "none", httpOptions: { baseUrl: stand.url } });
    const contents = [...Array.from({ length: 12 }, (_, i) => gemini.turn(i)).flat(), gemini.last];
    const answer = await google.models.generateContent({ model: "large", contents });
    assert.deepEqual([answer.text, summaries().length], ["Aye.", 2]);
    const anthropic = new Anthropic({ baseURL: stand.url, apiKey: "none" });
    const form = FORMS[2] as Form;
    const turns = [...Array.from({ length: 12 }, (_, i) => form.turn(i)).flat(), form.last];
    const message = await anthropic.messages.create({ model: "large", max_tokens: 100, messages: turns });
    assert.deepEqual([message.content[0]?.type === "text" && message.content[0].text, summaries().length], ["Aye.", 3]);
  });

  test("streams from Gemini, whose summary is a whole answer of another path", async (context) => {
    const form = FORMS[3] as Form;
    const answer: Answer = (response, received) => {
      if (!received.url.includes(":streamGenerateContent")) return answerBoth(response, received);
      response.writeHead(200, STREAM_HEADERS);
      return response.end(`data: ${JSON.stringify(geminiAnswer("Aye.", { input: 500, output: 5 }))}\r\n\r\n`);
    };
    const { stand, provider, call } = await startScene(context, {
      form: { ...form, path: "/v1beta/models/large:streamGenerateContent?alt=sse" },
      answer,
    });
    const { status, headers } = await call(12);
    assert.deepEqual([status, headers.get("x-purser-rung")], [200, "summarise 1200 with small (all 0%)"]);
    assert.deepEqual(
      provider.received.map(({ url }) => url),
      ["/v1beta/models/small:generateContent", "/v1beta/models/large:streamGenerateContent?alt=sse"],
    );
    await stand.checkBooks();
  });
});

test("history that names an earlier answer is trimmed by what the call carries, and still held at what the model can read", async (context) => {
  const provider = await startRawProvider(context, answerChat());
  const budgets = "[{ name: all, limits: [$50 / day], ladder: { 0%: trim 900 } }]";
  const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\nunseen_input: 50000\nbudgets: ${budgets}` });
  const form = FORMS[1] as Form;
  const send = (turns: number) => {
    const input = [...Array.from({ length: turns }, (_, i) => form.turn(i)).flat(), form.last];
    return post(`${stand.url}/v1/responses`, { model: "large", max_output_tokens: 100, previous_response_id: "resp_0", input });
  };
  const short = await send(2);
  assert.equal(short.headers.get("x-purser-rung"), null, "what is somewhere else is nothing to trim");
  const long = await send(12);
  assert.equal(long.headers.get("x-purser-rung"), "trim 900 (all 0%)");
  for (const { detail } of await stand.entries(2, "settled")) assert.ok(detail.inputTokens >= 50_000, `${detail.inputTokens} were held`);
});
