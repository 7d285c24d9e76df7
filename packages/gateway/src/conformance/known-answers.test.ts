import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { writeRunning } from "../cli/running-gateway.ts";
import { readConfig } from "../config/read-config.ts";
import { readLedgerCalls } from "../replay/ledger-calls.ts";
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
} from "./raw-provider.ts";
import { eventually, NANODOLLARS, PRICES, providersAt, type Stand, startStand } from "./stand.ts";

const MAIN = fileURLToPath(new URL("../cli/main.js", import.meta.url));
const HOURS = "What are your opening hours?";
/** Of 12 tokens in and 5 out. */
const COST = 12 * NANODOLLARS.input + 5 * NANODOLLARS.output;

const FAQ = `answers:
  faq:
    - { question: [When are you open?, ${HOURS}], answer: "From 9 to 17." }
    - { question: Do you ship abroad?, answer: "Yes, everywhere." }`;

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  ask(question: string, fields?: Json, headers?: Record<string, string>): Promise<Answered>;
  /** The call as the admin API reports it. */
  report(answered: Answered): Promise<Json>;
  purser(...args: readonly string[]): Promise<string>;
}

interface SceneOptions {
  readonly path?: string;
  readonly answer?: Answer;
  readonly limit?: string;
  readonly store?: "memory" | "sqlite";
}

async function startScene(context: TestContext, ladder: string, options: SceneOptions = {}): Promise<Scene> {
  const { path = "/v1/chat/completions", answer = answerChat(), limit = "$1 / day", store = "memory" } = options;
  const provider = await startRawProvider(context, answer);
  const budgets = `budgets: [{ name: all, limits: [${limit}], min_output: 1, ladder: ${ladder} }]`;
  const answers = ladder.includes("lookup") ? FAQ : "";
  const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\n${answers}\n${budgets}`, store });
  return {
    stand,
    provider,
    ask: (content, fields = {}, headers = {}) =>
      post(stand.url + path, { model: "m", max_tokens: 100, messages: [{ role: "user", content }], ...fields }, headers),
    report: async ({ headers }) => {
      const id = headers.get("x-purser-request-id");
      return eventually(`${id} in the ledger`, async () => {
        const response = await fetch(`${stand.url}/api/requests/${id}`);
        return response.ok ? response.json() : undefined;
      });
    },
    purser: async (...args) => {
      writeRunning(stand.directory, { url: stand.url, pid: process.pid });
      const env = { ...process.env, PURSER_DATA: stand.directory };
      return (await promisify(execFile)(process.execPath, [MAIN, ...args], { env, cwd: stand.directory })).stdout;
    },
  };
}

function rungOf({ headers }: Answered): string | null {
  return headers.get("x-purser-rung");
}

describe("a call that is answered from what was kept", () => {
  for (const store of ["memory", "sqlite"] as const) {
    test(`stands in the ledger (${store}): by which rung, from which call, and what it saved; and is charged nothing`, async (context) => {
      const { stand, provider, ask, report, purser } = await startScene(context, "{ 0%: cache }", { store });
      const first = await ask(HOURS);
      await stand.entries(1, "settled");
      const [before] = await stand.gateway.budgets.balances();
      const again = await ask(HOURS);
      assert.equal(provider.received.length, 1);
      const known = await report(again);
      const from = first.headers.get("x-purser-request-id");
      assert.deepEqual([known.outcome, known.cost_nanodollars, known.saved_nanodollars], ["known answer", null, COST]);
      assert.deepEqual(known.known_answer, { rung: "cache 60m (all 0%)", from, entry: null, handover: null, nearness: null, times: 1 });
      assert.deepEqual(known.rungs, ["cache 60m (all 0%)"]);
      assert.deepEqual(
        known.entries.map(({ kind, postings, why }: Json) => [kind, postings, why]),
        [["answered", [], "cache 60m (all 0%)"]],
      );
      assert.deepEqual(await stand.gateway.budgets.balances(), [before]);
      const text = await purser("explain", again.headers.get("x-purser-request-id") ?? "");
      assert.match(text, /got an answer that was known, and was charged nothing: cache 60m \(all 0%\)\./);
      assert.ok(text.includes(`Its question is the same as that of ${from}. That saved $0.000111.`), text);
      assert.match(text, /A call that is not made holds nothing and is charged nothing\./);
      assert.match(await purser("explain", "last"), /got an answer that was known/);
      assert.match(await purser("report"), /Calls {2}Known answers .* Saved +Cost\n +1 +1 +12 +5 +\$0\.00011 +\$0\.00011\n/);
      const { data }: Json = await (await fetch(`${stand.url}/api/report`)).json();
      assert.deepEqual([data[0].calls, data[0].known_answers, data[0].saved_nanodollars], [1, 1, COST]);
      const allowed: Json = await (await fetch(`${stand.url}/api/requests?outcome=allowed`)).json();
      assert.deepEqual(
        allowed.data.map(({ outcome }: Json) => outcome),
        ["known answer", "settled"],
      );
      const metrics = await (await fetch(`${stand.url}/metrics`)).text();
      assert.match(metrics, /purser_known_answers_total\{provider="mock",model="m"\} 1\n/);
      assert.match(metrics, /purser_saved_dollars_total\{budget="all",rung="cache 60m"\} 0\.000111000\n/);
      const { calls, known: left } = await readLedgerCalls(stand.gateway.store);
      assert.deepEqual([calls.length, left], [1, 1], "a replay leaves it out, and says so");
      await stand.checkBooks();
    });
  }

  test("says of the cost of a call without a price that it is not known", async (context) => {
    const provider = await startRawProvider(context);
    const config = `${providersAt(provider.url)}\nbudgets: [{ name: all, limits: [1M tokens / day], ladder: { 0%: cache } }]`;
    const stand = await startStand(context, { config });
    const call = { model: "nobody-knows", max_tokens: 100, messages: [{ role: "user", content: HOURS }] };
    await post(`${stand.url}/v1/chat/completions`, call);
    await stand.entries(1, "settled");
    await post(`${stand.url}/v1/chat/completions`, call);
    const [{ known } = assert.fail()] = await stand.entries(1, "answered");
    assert.equal(known.saved, undefined);
  });
});

describe("answers that stand in the configuration", () => {
  for (const { name, path } of FORMATS) {
    test(`${name}: are given without a provider, always or when the budget is used up, whatever the case and punctuation`, async (context) => {
      const { stand, provider, ask, report, purser } = await startScene(context, "{ 0%: lookup faq, 100%: block }", {
        path,
        limit: "1 request / day",
      });
      const found = await ask("  when are you OPEN  ");
      assert.deepEqual([found.status, rungOf(found)], [200, "lookup faq (all 0%)"]);
      assert.match(found.text, /From 9 to 17\./);
      assert.equal(provider.received.length, 0);
      assert.equal((await ask("Is there a car park?")).status, 200);
      assert.equal((await ask("Is there a car park?")).status, 402);
      assert.match((await ask("Do you ship abroad?")).text, /Yes, everywhere\./);
      assert.equal(provider.received.length, 1);
      const known = await report(found);
      assert.deepEqual(known.known_answer, {
        rung: "lookup faq (all 0%)",
        from: null,
        entry: "faq, question 1",
        handover: null,
        nearness: null,
        times: 1,
      });
      assert.equal(known.saved_nanodollars, null);
      assert.match(
        await purser("explain", known.id),
        /charged nothing: lookup faq \(all 0%\)\. Its question is the same as that of faq, question 1 of the configuration\.\n/,
      );
      await stand.checkBooks();
    });
  }

  test("are what a call gets that does not fit any more, before the ladder's ready text", async (context) => {
    const { stand, provider, ask, report } = await startScene(context, `{ 100%: [lookup faq similar 0.7, 'answer "Later."'] }`, {
      limit: "60 tokens / day",
    });
    while (rungOf(await ask("Is there a car park?")) === null);
    const made = provider.received.length;
    const found = await ask("Hi, what are your opening hours please?");
    assert.deepEqual([rungOf(found), found.json.choices[0].message.content], ["lookup faq (all)", "From 9 to 17."]);
    const other = await ask("Is there a car park?");
    assert.deepEqual([rungOf(other), other.json.choices[0].message.content], ["answer (all)", "Later."]);
    assert.equal(provider.received.length, made);
    assert.deepEqual([(await report(found)).outcome, (await report(found)).rungs], ["ready text", ["lookup faq (all)"]]);
    await stand.entries(3, "denied");
  });

  test("the SDKs read them, whole and streamed, also at the end of a conversation", async (context) => {
    const { stand, provider } = await startScene(context, "{ 0%: lookup faq similar 0.8 }");
    const openai = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none" });
    const anthropic = new Anthropic({ baseURL: stand.url, apiKey: "none" });
    const messages = [
      { role: "user" as const, content: "Ahoy" },
      { role: "assistant" as const, content: "Aye." },
      { role: "user" as const, content: [{ type: "text" as const, text: "Hi, what are your opening hours please?" }] },
    ];
    const whole = await openai.chat.completions.create({ model: "m", messages });
    const { choices } = await openai.chat.completions.stream({ model: "m", messages }).finalChatCompletion();
    assert.deepEqual([whole.choices[0]?.message.content, choices[0]?.message.content], ["From 9 to 17.", "From 9 to 17."]);
    const message = await anthropic.messages.create({ model: "m", max_tokens: 100, messages });
    const streamed = await anthropic.messages.stream({ model: "m", max_tokens: 100, messages }).finalMessage();
    for (const { content } of [message, streamed]) assert.deepEqual(content[0]?.type === "text" && content[0].text, "From 9 to 17.");
    const response = await openai.responses.create({ model: "m", input: HOURS });
    assert.equal(response.output_text, "From 9 to 17.");
    const ended = await openai.responses.stream({ model: "m", input: HOURS }).finalResponse();
    assert.equal(ended.output_text, "From 9 to 17.");
    assert.equal(provider.received.length, 0);
    assert.equal((await stand.entries(6, "answered"))[0]?.known.nearness, 0.86);
  });

  test("are given to no call that ends with something else than a question, or asks for another form than a text", async (context) => {
    const { stand, provider, ask } = await startScene(context, "{ 0%: lookup faq similar 0.5 }", { limit: "1M tokens / day" });
    const image = { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } };
    const schema = { type: "json_schema", json_schema: { name: "a", schema: { type: "object" } } };
    const tools = [{ type: "function", function: { name: "look" } }];
    for (const fields of [
      { messages: [{ role: "user", content: [{ type: "text", text: HOURS }, image] }] },
      {
        messages: [
          { role: "user", content: HOURS },
          { role: "assistant", content: "We" },
        ],
      },
      { messages: [{ role: "system", content: HOURS }] },
      { response_format: schema },
      { response_format: { type: "json_object" } },
      { tools, tool_choice: "required" },
      { n: 2 },
    ]) {
      const before = provider.received.length;
      const { status, text } = await ask(HOURS, fields);
      assert.deepEqual([status, provider.received.length], [200, before + 1], `${JSON.stringify(fields)}: ${text}`);
    }
    assert.equal(
      rungOf(await ask(HOURS, { tools, tool_choice: "auto", response_format: { type: "text" } })),
      "lookup faq similar 0.5 (all 0%)",
    );
    await stand.entries(1, "answered");
  });

  test("change with the configuration, without a restart", async (context) => {
    const { stand, provider, ask } = await startScene(context, "{ 0%: lookup faq }");
    const text = `server: { port: 0 }\ndata: ${JSON.stringify(stand.directory)}\n${providersAt(provider.url)}\n${PRICES}
answers: { faq: [{ question: ${HOURS}, answer: Always. }] }
budgets: [{ name: all, limits: [$1 / day], ladder: { 0%: lookup faq } }]`;
    await stand.gateway.reload(readConfig({ text, environment: {} }));
    assert.match((await ask(HOURS)).text, /Always\./);
    assert.equal(rungOf(await ask("Do you ship abroad?")), null);
  });
});

/** Says how many calls it has answered, as a stream. */
function countingStream(): Answer {
  let calls = 0;
  return (response, { url }) => {
    calls++;
    response.writeHead(200, STREAM_HEADERS);
    if (!url.startsWith("/v1/messages")) {
      const finish = { index: 0, delta: {}, finish_reason: "stop" };
      response.write(chatEvent(`Answer ${calls}`).replace('"content"', '"role":"assistant","content"'));
      response.write(
        `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [finish] })}\n\n`,
      );
      response.end(CHAT_DONE);
      return;
    }
    const message = { id: "msg_1", type: "message", role: "assistant", model: "m", content: [], stop_reason: null, stop_sequence: null };
    for (const event of [
      { type: "message_start", message: { ...message, usage: { input_tokens: 12, output_tokens: 1 } } },
      { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
      { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: `Answer ${calls}` } },
      { type: "content_block_stop", index: 0 },
      { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 5 } },
      { type: "message_stop" },
    ])
      response.write(messageEvent(event));
    response.end();
  };
}

describe("a similar question", () => {
  const ASKED = "Hi, what are your opening hours please?";

  for (const { name, path } of FORMATS) {
    test(`${name}: gets the answer of the one that was asked before, and everybody is told how near it is`, async (context) => {
      const { stand, provider, ask, report, purser } = await startScene(context, "{ 0%: cache similar 0.8 10m }", { path });
      const first = await ask(HOURS);
      await stand.entries(1, "settled");
      const again = await ask(ASKED);
      assert.deepEqual([again.text, rungOf(again)], [first.text, "cache similar 0.8 10m at 0.86 (all 0%)"]);
      assert.equal(rungOf(await ask(HOURS)), "cache similar 0.8 10m (all 0%)", "the same call is answered as ever");
      assert.equal(provider.received.length, 1);
      const known = await report(again);
      const from = first.headers.get("x-purser-request-id");
      assert.deepEqual(known.known_answer, {
        rung: "cache similar 0.8 10m (all 0%)",
        from,
        entry: null,
        handover: null,
        nearness: 0.86,
        times: 1,
      });
      assert.equal(known.saved_nanodollars, COST);
      assert.ok((await purser("explain", known.id)).includes(`Its question is 86% like that of ${from}. That saved $0.000111.`));
      await stand.checkBooks();
    });

    test(`${name}: is another question where a number, a negation, a name or anything around it differs`, async (context) => {
      const { provider, ask } = await startScene(context, "{ 0%: cache similar 0.5 }", { path });
      const kept = "How do I send 15 parcels to Anna in Paris with a tracking number?";
      await ask(kept);
      for (const [question, fields, headers] of [
        ["How do I send 16 parcels to Anna in Paris with a tracking number?"],
        ["How do I send 15 parcels to Anna in Paris without a tracking number?"],
        ["How do I send 15 parcels to Anne in Paris with a tracking number?"],
        ["How do I not send 15 parcels to Anna in Paris with a tracking number?"],
        ["how do i send 15 parcels to anna in parma with a tracking number?"],
        [`${kept}!`, { model: "other" }],
        [`${kept}!`, { max_tokens: 99 }],
        [`${kept}!`, { system: "You are terse." }],
        [`${kept}!`, { tools: [{ name: "look", type: "function", function: { name: "look" }, input_schema: { type: "object" } }] }],
        [
          `${kept}!`,
          {
            messages: [
              { role: "user", content: "Ahoy" },
              { role: "assistant", content: "Aye" },
              { role: "user", content: `${kept}!` },
            ],
          },
        ],
        [`${kept}!`, {}, { "x-purser-user": "bob" }],
        [`${kept}!`, {}, { "x-purser-team": "red" }],
      ] as const) {
        const before = provider.received.length;
        const { status, text } = await ask(question, fields, headers);
        assert.deepEqual([status, provider.received.length], [200, before + 1], `${question} ${JSON.stringify(fields)} ${text}`);
      }
      assert.equal(rungOf(await ask(`${kept}!`)), "cache similar 0.5 60m at 1 (all 0%)");
    });
  }

  test("gets a stream again as a stream, which the SDKs read", async (context) => {
    const { stand, provider } = await startScene(context, "{ 0%: cache similar 0.8 }", { answer: countingStream() });
    const openai = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none" });
    const anthropic = new Anthropic({ baseURL: stand.url, apiKey: "none" });
    for (const content of [HOURS, ASKED]) {
      const messages = [{ role: "user" as const, content }];
      const { choices } = await openai.chat.completions.stream({ model: "m", messages }).finalChatCompletion();
      assert.equal(choices[0]?.message.content, "Answer 1");
      const answered = await anthropic.messages.stream({ model: "m", max_tokens: 100, messages }).finalMessage();
      assert.equal(answered.content[0]?.type === "text" && answered.content[0].text, "Answer 2");
    }
    assert.equal(provider.received.length, 2);
    await stand.entries(2, "answered");
    await stand.checkBooks();
  });

  test("is answered only where all budgets of the call allow that", async (context) => {
    const provider = await startRawProvider(context);
    const budgets = `budgets:
  - { name: company, limits: [$1 / day], ladder: { 0%: cache 24h } }
  - { name: red, for: { team: red }, limits: [$1 / day], ladder: { 0%: cache similar 0.5 10m } }
  - { name: blue, for: { team: blue }, limits: [$1 / day] }`;
    const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\n${budgets}` });
    const ask = (content: string) =>
      post(
        `${stand.url}/v1/chat/completions`,
        { model: "m", max_tokens: 9, messages: [{ role: "user", content }] },
        { "x-purser-team": "red" },
      );
    await ask(HOURS);
    assert.equal(rungOf(await ask(ASKED)), null, "the company gives the same call again, and no similar one");
    assert.equal(rungOf(await ask(HOURS)), "cache 1440m (company 0%)");
  });
});
