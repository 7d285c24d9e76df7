import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { writeRunning } from "../cli/running-gateway.ts";
import { type Answered, FORMATS, type Json, post } from "./calls.ts";
import { type Answer, answerChat, type RawProvider, startRawProvider } from "./raw-provider.ts";
import { providersAt, type Stand, startStand } from "./stand.ts";

const MAIN = fileURLToPath(new URL("../cli/main.js", import.meta.url));

/** The larger model costs three times as much as the smaller one. */
const PRICES = `prices:
  - { model: large, input: 3, output: 15, cache_read: 0.3, max_output: 8192 }
  - { model: [middle, small], input: 1, output: 5, max_output: 8192 }
  - { model: tiny, input: 0.1, output: 0.5, max_output: 8192 }`;

/** Writes as much as the call allows. */
const answerFully: Answer = (response, received) =>
  answerChat({ input: 12, output: JSON.parse(received.body).max_tokens })(response, received);

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  call(fields?: Json, headers?: Record<string, string>): Promise<Answered>;
  /** The last call as the provider got it. */
  sent(): Json;
}

async function startScene(context: TestContext, budgets: string, path = "/v1/chat/completions"): Promise<Scene> {
  const provider = await startRawProvider(context, answerFully);
  const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\nbudgets:\n${budgets}` });
  return {
    stand,
    provider,
    call: (fields = {}, headers = {}) =>
      post(stand.url + path, { model: "large", max_tokens: 1000, messages: [{ role: "user", content: "Ahoy" }], ...fields }, headers),
    sent: () => JSON.parse(provider.received.at(-1)?.body ?? "{}"),
  };
}

const CAPACITY = "We are at capacity today. A colleague will write to you.";

const CHATBOT = `
  - name: chatbot
    limits: [10000 tokens / day]
    min_output: 50
    ladder:
      50%: use small
      80%: shorten 100
      100%: answer "${CAPACITY}"`;

test("a caller's own key stays with the provider that it was meant for, whichever model a ladder uses", async (context) => {
  const [theirs, other] = [await startRawProvider(context, answerFully), await startRawProvider(context, answerFully)];
  const providers = `providers:
  theirs: { base_url: { openai: "${theirs.url}/v1" }, models: [large] }
  other: { base_url: { openai: "${other.url}/v1" }, models: [small] }`;
  const stand = await startStand(context, {
    config: `${providers}\n${PRICES}\nbudgets: [{ name: all, limits: [1M tokens / day], ladder: { 0%: use small } }]`,
  });
  const body = { model: "large", max_tokens: 100, messages: [{ role: "user", content: "Ahoy" }] };
  const { status } = await post(`${stand.url}/v1/chat/completions`, body, { authorization: "Bearer sk-their-own" });
  assert.deepEqual([status, theirs.received.length, other.received.length], [200, 0, 1]);
  assert.doesNotMatch(JSON.stringify(other.received), /sk-their-own/);
});

describe("a ladder", () => {
  test("goes by what is spent and by what is left, also where more was given since", async (context) => {
    const budget = `
  - name: chatbot
    limits: [10000 tokens / day]
    min_output: 50
    ladder: { 3k tokens: use small, 4k tokens left: shorten 100 }`;
    const { stand, call } = await startScene(context, budget);
    const rungs = async (calls: number) => {
      const seen: string[] = [];
      for (let i = 0; i < calls; i++) seen.push((await call()).headers.get("x-purser-rung") ?? "");
      return seen;
    };
    assert.deepEqual(await rungs(3), ["", "", ""]);
    assert.deepEqual(await rungs(3), Array(3).fill("use small (chatbot 3k tokens)"));
    const [left] = await rungs(1);
    assert.equal(left, "use small (chatbot 3k tokens), shorten 100 (chatbot 4k tokens left)");
    const until = new Date(Date.now() + 3_600_000).toISOString();
    await stand.gateway.budgets.grant({ id: "grant_1", budget: "chatbot", amount: "10k tokens / day", until, giver: "ann", why: "a fair" });
    assert.deepEqual(await rungs(1), ["use small (chatbot 3k tokens)"], "what is spent stays spent, and more is left");
  });

  for (const { name, path } of FORMATS) {
    test(`${name}: as a budget fills, calls go to a cheaper model, then get shorter answers, then a ready text, and none is refused`, async (context) => {
      const { stand, provider, call, sent } = await startScene(context, CHATBOT, path);
      const seen: string[] = [];
      for (let i = 0; i < 30; i++) {
        const asked = provider.received.length;
        const { status, headers, text } = await call();
        assert.equal(status, 200, text);
        const rung = headers.get("x-purser-rung") ?? "";
        const step = provider.received.length > asked ? `${sent().model} ${sent().max_tokens} | ${rung}` : `ready | ${rung}`;
        if (step.startsWith("ready")) assert.ok(text.includes(CAPACITY));
        if (seen.at(-1) !== step) seen.push(step);
      }
      assert.deepEqual(seen.slice(0, 3), [
        "large 1000 | ",
        "small 1000 | use small (chatbot 50%)",
        "small 100 | use small (chatbot 50%), shorten 100 (chatbot 80%)",
      ]);
      assert.equal(seen.at(-1), "ready | answer (chatbot)");
      const [balance] = await stand.gateway.budgets.balances();
      assert.ok(balance && balance.spent <= 10_000 && balance.spent + 62 > 10_000, `${balance?.spent} of 10,000 tokens`);
      await stand.checkBooks();
    });
  }

  test("says in the ledger what it did, and what the model that was asked for would have cost", async (context) => {
    const { stand, call } = await startScene(context, "\n  - { name: all, limits: [$1 / day], ladder: { 0%: use small } }");
    assert.equal((await call()).status, 200);
    const [{ reservation, detail, charge } = assert.fail()] = await stand.entries(1, "settled");
    assert.equal(detail.subject.model, "small");
    assert.deepEqual(detail.rungs, ["use small (all 0%)"]);
    assert.deepEqual(detail.insteadOf, { provider: "mock", model: "large" });
    assert.equal(charge.cost, 12 * 1_000 + 1000 * 5_000);
    const report: Json = await (await fetch(`${stand.url}/api/requests/${reservation}`)).json();
    assert.equal(report.saved_nanodollars, 12 * 2_000 + 1000 * 10_000);
  });

  test("never makes a call dearer: a rung to a dearer model is left out", async (context) => {
    const { call, sent } = await startScene(context, "\n  - { name: all, limits: [$1 / day], ladder: { 0%: use large } }");
    const { headers } = await call({ model: "small" });
    assert.deepEqual([sent().model, headers.get("x-purser-rung")], ["small", null]);
  });

  test("never goes to a model that a budget of the call does not allow, or that nobody serves", async (context) => {
    const { call, sent } = await startScene(
      context,
      `
  - { name: all, limits: [$1 / day], ladder: { 0%: use small } }
  - { name: quality, limits: [$1 / day], request: { models: [large, middle] }, ladder: { 0%: use middle } }`,
    );
    await call();
    assert.equal(sent().model, "middle", "the floor of one budget holds for the ladder of another");
  });

  test("leads on where the next model's budget has a ladder too", async (context) => {
    const { call, sent } = await startScene(
      context,
      `
  - { name: for large, for: { model: large }, limits: [100 tokens / day], ladder: { 0%: use small } }
  - { name: for small, for: { model: small }, limits: [0 tokens / day], ladder: { 100%: use tiny } }`,
    );
    const { status, headers } = await call();
    assert.equal(status, 200);
    assert.equal(sent().model, "tiny");
    assert.equal(headers.get("x-purser-rung"), "use small (for large 0%), use tiny (for small 100%)");
  });

  test("of several budgets the strictest rung of a kind holds", async (context) => {
    const { call, sent } = await startScene(
      context,
      `
  - { name: a, limits: [$1 / day], min_output: 10, ladder: { 0%: [use small, shorten 500] } }
  - { name: b, limits: [$1 / day], min_output: 10, ladder: { 0%: [use tiny, shorten 200] } }`,
    );
    const { headers } = await call();
    assert.deepEqual([sent().model, sent().max_tokens], ["tiny", 200]);
    assert.match(headers.get("x-purser-rung") ?? "", /use tiny \(b 0%\), shorten 200 \(b 0%\)$/);
  });

  test("goes by the limits that are to last, and by a busy minute only where a step says so", async (context) => {
    const budget = (steps: string) =>
      `\n  - { name: all, limits: [$1 / day, 2000 tokens / minute bucket], min_output: 1, ladder: { ${steps} } }`;
    const usual = await startScene(context, budget("50%: use small"));
    assert.equal((await usual.call()).headers.get("x-purser-rung"), null);
    assert.equal((await usual.call({ max_tokens: 500 })).headers.get("x-purser-rung"), null);
    assert.equal(usual.sent().model, "large");
    const named = await startScene(context, budget("50% of tokens: use small, 90% of $: block"));
    await named.call();
    assert.equal((await named.call({ max_tokens: 500 })).headers.get("x-purser-rung"), "use small (all 50% of tokens)");
    assert.equal(named.sent().model, "small");
  });

  test("does not shorten below what a budget calls an answer", async (context) => {
    const { call, sent } = await startScene(context, "\n  - { name: a, limits: [$1 / day], min_output: 400, ladder: { 0%: shorten 100 } }");
    const { headers } = await call();
    assert.deepEqual([sent().max_tokens, headers.get("x-purser-rung")], [400, "shorten 100 to 400 (a 0%)"]);
  });

  test("shortens to what its budget says, also beside budgets that say nothing of short answers", async (context) => {
    const { call, sent } = await startScene(
      context,
      `
  - { name: company, limits: [$1 / day] }
  - { name: chat, limits: [$1 / day], min_output: 20, ladder: { 0%: shorten 40 } }`,
    );
    const { headers } = await call();
    assert.deepEqual([sent().max_tokens, headers.get("x-purser-rung")], [40, "shorten 40 (chat 0%)"]);
  });

  test("says of a model without a price that it is not used", async (context) => {
    const { call, sent } = await startScene(context, "\n  - { name: all, limits: [$1 / day], ladder: { 0%: use smal } }");
    const { headers } = await call();
    assert.deepEqual([sent().model, headers.get("x-purser-rung")], ["large", "use smal left out: the model has no price (all 0%)"]);
  });

  test("blocks from its share on, and says from which, how much is used and until when", async (context) => {
    const { stand, provider, call } = await startScene(
      context,
      "\n  - { name: careful, owner: kim@example.com, limits: [10000 tokens / day], ladder: { 20%: block } }",
    );
    for (let i = 0; i < 2; i++) assert.equal((await call()).status, 200);
    const refused = await call();
    assert.equal(refused.status, 402);
    assert.match(
      refused.json.error.message,
      /^Budget "careful" takes no calls from 20% on, and 20\.24% is used\. It resets \d{4}-\d\d-\d\d 00:00 UTC\. Ask kim@example\.com for more\.$/,
    );
    assert.equal(refused.headers.get("x-should-retry"), "false");
    assert.equal(provider.received.length, 2);
    await stand.entries(1, "denied");
    await stand.checkBooks();
  });

  test("does nothing for a budget that only observes", async (context) => {
    const { call, sent } = await startScene(
      context,
      "\n  - { name: a, mode: observe, limits: [$1 / day], ladder: { 0%: [use small, block] } }",
    );
    assert.equal((await call()).status, 200);
    assert.equal(sent().model, "large");
  });

  test("slows calls down, and a client that leaves meanwhile is not charged", async (context) => {
    const { stand, provider, call } = await startScene(
      context,
      `
  - { name: patient, for: { user: ann }, limits: [$1 / day], ladder: { 0%: slow 20ms } }
  - { name: very patient, for: { user: bob }, limits: [$1 / day], ladder: { 0%: slow 60s } }`,
    );
    const slowed = await call({}, { "x-purser-user": "ann" });
    assert.equal(slowed.status, 200);
    assert.equal(slowed.headers.get("x-purser-rung"), "slow 20ms (patient 0%)");
    const leaving = AbortSignal.timeout(50);
    const body = JSON.stringify({ model: "large", messages: [{ role: "user", content: "Ahoy" }] });
    const headers = { "content-type": "application/json", "x-purser-user": "bob" };
    await assert.rejects(fetch(`${stand.url}/v1/chat/completions`, { method: "POST", body, headers, signal: leaving }));
    assert.equal(provider.received.length, 1);
    await stand.checkBooks();
    assert.equal((await stand.ledger("reserved")).length, 1);
  });
});

describe("a text in the place of an answer", () => {
  const BUDGETS = `
  - { name: empty, limits: [0 tokens / day], ladder: { 100%: 'answer "${CAPACITY}"' } }`;

  test("the OpenAI SDK reads it, whole and streamed", async (context) => {
    const { stand, provider } = await startScene(context, BUDGETS);
    const client = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none" });
    const call = { model: "large", messages: [{ role: "user" as const, content: "Ahoy" }] };
    const whole = await client.chat.completions.create(call);
    assert.equal(whole.choices[0]?.message.content, CAPACITY);
    assert.equal(whole.usage?.total_tokens, 0);
    let text = "";
    for await (const chunk of await client.chat.completions.create({ ...call, stream: true }))
      text += chunk.choices[0]?.delta.content ?? "";
    assert.equal(text, CAPACITY);
    assert.equal(provider.received.length, 0);
  });

  test("the OpenAI SDK reads it as a response, whole and streamed", async (context) => {
    const { stand, provider } = await startScene(context, BUDGETS);
    const client = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none" });
    const whole = await client.responses.create({ model: "large", input: "Ahoy" });
    assert.equal(whole.output_text, CAPACITY);
    assert.equal(whole.usage?.total_tokens, 0);
    const streamed = await client.responses.stream({ model: "large", input: "Ahoy" }).finalResponse();
    assert.equal(streamed.output_text, CAPACITY);
    assert.equal(provider.received.length, 0);
  });

  test("the Anthropic SDK reads it, whole and streamed", async (context) => {
    const { stand, provider } = await startScene(context, BUDGETS);
    const client = new Anthropic({ baseURL: stand.url, apiKey: "none" });
    const call = { model: "large", max_tokens: 100, messages: [{ role: "user" as const, content: "Ahoy" }] };
    const whole = await client.messages.create(call);
    assert.deepEqual(whole.content, [{ type: "text", text: CAPACITY }]);
    const streamed = await client.messages.stream(call).finalMessage();
    assert.deepEqual(
      streamed.content.map((block) => block.type === "text" && block.text),
      [CAPACITY],
    );
    assert.equal(streamed.stop_reason, "end_turn");
    assert.equal(provider.received.length, 0);
  });
});

describe("a ready text in the books", () => {
  for (const [when, limits, what] of [
    ["the ladder ends the call", "0 tokens / day", /nothing|takes no calls/],
    ["the call does not fit any more", "100 tokens / day", /left of 100 tokens|nothing left/],
  ] as const) {
    test(`where ${when}, it is explained as what the caller got, by the rung that it is from, and not as a refusal`, async (context) => {
      const { stand, provider, call } = await startScene(
        context,
        `
  - { name: chatbot, limits: [${limits}], min_output: 50, ladder: { 100%: 'answer "${CAPACITY}"' } }`,
      );
      // Each fits once at the most.
      while ((await call()).headers.get("x-purser-rung") === null);
      const { status, headers, json } = await call();
      assert.deepEqual([status, json.choices[0].message.content], [200, CAPACITY]);
      assert.ok(Math.abs(json.created * 1_000 - Date.now()) < 3_600_000, "it is of now, and not of 1970");
      const made = provider.received.length;
      await stand.entries(2, "denied");
      const report: Json = await (await fetch(`${stand.url}/api/requests/${headers.get("x-purser-request-id")}`)).json();
      assert.deepEqual([report.outcome, report.rungs, report.cost_nanodollars], ["ready text", ["answer (chatbot)"], null]);
      assert.match(report.message, what);
      assert.deepEqual(
        report.entries.map(({ kind, why }: Json) => [kind, why]),
        [["denied", "answer (chatbot) in its place"]],
      );
      const { data }: Json = await (await fetch(`${stand.url}/api/requests?outcome=denied`)).json();
      assert.deepEqual(
        data.map(({ outcome }: Json) => outcome),
        ["ready text", "ready text"],
      );
      assert.equal(provider.received.length, made);
      writeRunning(stand.directory, { url: stand.url, pid: process.pid });
      const env = { ...process.env, PURSER_DATA: stand.directory };
      const { stdout } = await promisify(execFile)(process.execPath, [MAIN, "explain", "last"], { env, cwd: stand.directory });
      assert.match(stdout, /got a ready text in the place of an answer: answer \(chatbot\) \(budget_exhausted\)/);
      assert.doesNotMatch(stdout, /was refused/);
    });
  }

  test("a refusal in a format that cannot carry a text stays a refusal", async (context) => {
    const { stand, call } = await startScene(
      context,
      `
  - { name: chatbot, limits: [0 tokens / day], ladder: { 100%: 'answer "${CAPACITY}"' } }`,
      "/v1/embeddings",
    );
    const { status, headers } = await call({ input: "Ahoy" });
    assert.equal(status, 402);
    await stand.entries(1, "denied");
    const report: Json = await (await fetch(`${stand.url}/api/requests/${headers.get("x-purser-request-id")}`)).json();
    assert.deepEqual([report.outcome, report.rungs], ["denied", []]);
  });
});

describe("history that is trimmed", () => {
  const trimTo = (tokens: number) => `\n  - { name: all, limits: [$1 / day], ladder: { 0%: trim ${tokens} } }`;
  const long = (label: string) => `${label} ${"word ".repeat(200)}`;

  /** Ten turns of about 200 tokens, each with a tool that was called, in both formats. */
  const openaiTurns = Array.from({ length: 20 }, (_, i) => [
    { role: "user", content: long(`question ${i}`) },
    { role: "assistant", content: null, tool_calls: [{ id: `t${i}`, type: "function", function: { name: "look", arguments: "{}" } }] },
    { role: "tool", tool_call_id: `t${i}`, content: "found" },
    { role: "assistant", content: `answer ${i}` },
  ]).flat();
  const anthropicTurns = Array.from({ length: 10 }, (_, i) => [
    { role: "user", content: long(`question ${i}`) },
    { role: "assistant", content: [{ type: "tool_use", id: `t${i}`, name: "look", input: {} }] },
    { role: "user", content: [{ type: "tool_result", tool_use_id: `t${i}`, content: "found" }] },
    { role: "assistant", content: `answer ${i}` },
  ]).flat();

  test("keeps the system prompt, the latest turns, and every tool call with its answer", async (context) => {
    const { call, sent } = await startScene(context, trimTo(900));
    const messages = [{ role: "system", content: "Be brief." }, ...openaiTurns, { role: "user", content: "And now?" }];
    const { status, headers } = await call({ messages });
    assert.equal(status, 200);
    assert.equal(headers.get("x-purser-rung"), "trim 900 (all 0%)");
    const kept: Json[] = sent().messages;
    assert.deepEqual(kept[0], messages[0]);
    assert.deepEqual(kept.at(-1), messages.at(-1));
    assert.equal(kept[1].role, "user");
    assert.deepEqual(kept.slice(1), messages.slice(messages.length - kept.length + 1), "what is kept is the end, whole and in order");
    const answered = new Set(kept.map(({ tool_call_id }) => tool_call_id));
    for (const { tool_calls = [] } of kept) for (const { id } of tool_calls) assert.ok(answered.has(id));
    assert.ok(kept.length < messages.length && kept.length > 5, `${kept.length} of ${messages.length} messages`);
  });

  test("the same for messages of Anthropic, whose results of tools come from the user", async (context) => {
    const { call, sent } = await startScene(context, trimTo(900), "/v1/messages");
    const messages = [...anthropicTurns, { role: "user", content: "And now?" }];
    await call({ messages, system: "Be brief." });
    const kept: Json[] = sent().messages;
    assert.equal(sent().system, "Be brief.");
    assert.match(kept[0].content, /^question/);
    assert.deepEqual(kept, messages.slice(messages.length - kept.length));
  });

  test("the same for items of a response", async (context) => {
    const { call, sent } = await startScene(context, trimTo(900), "/v1/responses");
    const items = Array.from({ length: 10 }, (_, i) => [
      { role: "user", content: long(`question ${i}`) },
      { type: "function_call", call_id: `t${i}`, name: "look", arguments: "{}" },
      { type: "function_call_output", call_id: `t${i}`, output: "found" },
      { type: "message", role: "assistant", content: [{ type: "output_text", text: `answer ${i}` }] },
    ]).flat();
    const input = [...items, { role: "user", content: "And now?" }];
    const { headers } = await call({ messages: undefined, max_tokens: undefined, max_output_tokens: 100, store: false, input });
    assert.equal(headers.get("x-purser-rung"), "trim 900 (all 0%)");
    const kept: Json[] = sent().input;
    assert.equal(kept[0].role, "user");
    assert.deepEqual(kept, input.slice(input.length - kept.length));
  });

  test("the same for contents of Gemini, whose path names the model: another one can be used there too", async (context) => {
    const ladder = "\n  - { name: all, limits: [$1 / day], ladder: { 0%: [trim 900, use small] } }";
    const { call, sent, provider } = await startScene(context, ladder, "/v1beta/models/large:generateContent");
    const contents = Array.from({ length: 10 }, (_, i) => [
      { role: "user", parts: [{ text: long(`question ${i}`) }] },
      { role: "model", parts: [{ functionCall: { name: "look", args: {} } }] },
      { role: "user", parts: [{ functionResponse: { name: "look", response: { found: true } } }] },
      { role: "model", parts: [{ text: `answer ${i}` }] },
    ]).flat();
    const generationConfig = { maxOutputTokens: 100 };
    await call({ messages: undefined, max_tokens: undefined, model: undefined, contents, generationConfig });
    const kept: Json[] = sent().contents;
    assert.match(kept[0].parts[0].text, /^question/);
    assert.deepEqual(kept, contents.slice(contents.length - kept.length));
    assert.match(provider.received[0]?.url ?? "", /models\/small:generateContent$/);
  });

  test("the cut stays where it is for some turns, so that a prompt cache is not written anew with each", async (context) => {
    const { call, sent } = await startScene(context, trimTo(2500));
    const firsts: string[] = [];
    for (let turns = 52; turns <= openaiTurns.length; turns += 4) {
      await call({ messages: [...openaiTurns.slice(0, turns), { role: "user", content: "And now?" }] });
      firsts.push(sent().messages[0].content.slice(0, 11));
    }
    const stays = firsts.filter((first, i) => first === firsts[i - 1]).length;
    assert.ok(stays >= 3, `of ${firsts.length} calls ${stays} begin as the one before: ${firsts.join(", ")}`);
  });

  test("what fits is left alone, and so is a single turn that does not", async (context) => {
    const { call, sent } = await startScene(context, trimTo(100));
    for (const content of ["short", long("a single long turn")]) {
      const { headers } = await call({ messages: [{ role: "user", content }] });
      assert.equal(headers.get("x-purser-rung"), null);
      assert.equal(sent().messages[0].content, content);
    }
  });

  test("a long beginning that is read from the cache costs less than a short one that is not: it stays, and that is said", async (context) => {
    const { call, sent } = await startScene(context, trimTo(900));
    const messages = [...openaiTurns, { role: "user", content: "And now?" }];
    const { headers } = await call({ messages, prompt_cache_key: "chat-1" });
    assert.equal(headers.get("x-purser-rung"), "trim 900 left out as dearer (all 0%)");
    assert.equal(sent().messages.length, messages.length);
  });
});
