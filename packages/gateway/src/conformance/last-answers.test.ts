import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { LAST_CALL } from "../rungs/finish.ts";
import { type Json, PLAIN_CALL, post } from "./calls.ts";
import { CHAT, refuse, startFleet } from "./fleet.ts";
import { type Answer, chatAnswer, messageAnswer, type RawProvider, startRawProvider, writeJson } from "./raw-provider.ts";
import { PRICES, providersAt, type Stand, startStand } from "./stand.ts";

const LIMIT = 20_000;
const STEP = 0.8 * LIMIT;
const BUDGETS = `budgets: [{ name: agent task, per: task, limits: [${LIMIT} tokens], min_output: 20, ladder: { 80%: finish } }]`;
const RESULT = "The log says nothing of interest about this part of the ship. ".repeat(8);
const REPORT = "This is what I have so far.";

/** A model that calls its tool for ever, unless it is told to call none. Its usage is by what it was sent. */
const AGENT: Answer = (response, { url, body }) => {
  const asked = JSON.parse(body);
  const usage = { input: Math.floor(body.length / 5), output: 20 };
  const isOver = JSON.stringify(asked.tool_choice ?? "").includes("none");
  if (url.startsWith("/v1/messages")) {
    const call = {
      ...messageAnswer("", usage),
      content: [{ type: "tool_use", id: "t1", name: "look", input: {} }],
      stop_reason: "tool_use",
    };
    return writeJson(response, 200, isOver ? messageAnswer(REPORT, usage) : call);
  }
  const answer = chatAnswer(isOver ? REPORT : "", usage) as Json;
  if (isOver) return writeJson(response, 200, answer);
  const call = { id: "t1", type: "function", function: { name: "look", arguments: "{}" } };
  const choices = [{ index: 0, finish_reason: "tool_calls", message: { role: "assistant", content: null, tool_calls: [call] } }];
  return writeJson(response, 200, { ...answer, choices });
};

async function open(context: TestContext, { budgets = BUDGETS, answer = AGENT, store = "memory" as "memory" | "sqlite" } = {}) {
  const provider = await startRawProvider(context, answer);
  const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\n${budgets}`, store });
  return { provider, stand };
}

const TASK = { "x-purser-task": "refactor-7" };
const TOOLS = [{ type: "function", function: { name: "look", parameters: { type: "object", properties: {} } } }];
const CALL = { model: "m", max_tokens: 100, tools: TOOLS, messages: [{ role: "user", content: "Look at the ship." }] };

const send = ({ url }: Stand, fields: Json = {}, headers: Record<string, string> = TASK) =>
  post(`${url}/v1/chat/completions`, { ...CALL, ...fields }, headers);

/** A call, and what it used is charged. */
async function ask(stand: Stand, fields?: Json, headers?: Record<string, string>) {
  const answered = await send(stand, fields, headers);
  await stand.checkBooks();
  return answered;
}

/** A call that uses so many tokens, whatever it says. */
const using =
  (tokens: number): Answer =>
  (response) =>
    writeJson(response, 200, chatAnswer("Aye.", { input: tokens - 5, output: 5 }));

function sentLast({ received }: RawProvider): Json {
  return JSON.parse(received.at(-1)?.body ?? "{}");
}

test("an agent's loop of tools ends with a text and never with an error, through OpenAI's SDK", async (context) => {
  const { provider, stand } = await open(context);
  const client = new OpenAI({ apiKey: "any", baseURL: `${stand.url}/v1`, maxRetries: 0, defaultHeaders: TASK });
  const messages: Json[] = [...CALL.messages];
  let said: string | null | undefined;
  let rounds = 0;
  while (!said && rounds < 20) {
    const { choices } = await client.chat.completions.create({ ...(CALL as Json), messages });
    const message = (choices as Json)[0].message;
    said = message.content;
    messages.push(message, ...(message.tool_calls ?? []).map(({ id }: Json) => ({ role: "tool", tool_call_id: id, content: RESULT })));
    rounds++;
  }
  assert.equal(said, REPORT);
  assert.ok(rounds > 3 && rounds < 20, `${rounds} rounds`);
  const { messages: sent, tools, tool_choice } = sentLast(provider);
  assert.deepEqual([tools, tool_choice, sent.at(-1)], [TOOLS, "none", { role: "user", content: LAST_CALL }]);
  await assert.rejects(client.chat.completions.create({ ...(CALL as Json), messages }), (error: Json) => {
    assert.equal(error.status, 402);
    assert.match(error.message, /Task refactor-7 has ended: budget "agent task" had room for one last answer, and that was given\./);
    return true;
  });
  assert.equal(provider.received.length, rounds);
  assert.equal((await ask(stand, {}, { "x-purser-task": "other" })).status, 200);
  await stand.checkBooks();
});

test("an agent's loop of tools ends with a text and never with an error, through Anthropic's SDK", async (context) => {
  const { provider, stand } = await open(context);
  const client = new Anthropic({ apiKey: "any", baseURL: stand.url, maxRetries: 0, defaultHeaders: TASK });
  const tools = [{ name: "look", input_schema: { type: "object" as const } }];
  const messages: Json[] = [{ role: "user", content: "Look at the ship." }];
  let said: string | undefined;
  let rounds = 0;
  while (!said && rounds < 20) {
    const { content } = await client.messages.create({ model: "m", max_tokens: 100, tools, messages });
    said = (content as Json[]).find(({ type }) => type === "text")?.text;
    messages.push({ role: "assistant", content });
    messages.push({ role: "user", content: [{ type: "tool_result", tool_use_id: "t1", content: RESULT }] });
    rounds++;
  }
  assert.equal(said, REPORT);
  assert.ok(rounds > 3 && rounds < 20, `${rounds} rounds`);
  const sent = sentLast(provider);
  assert.deepEqual([sent.tools, sent.tool_choice], [tools, { type: "none" }]);
  const { role, content } = sent.messages.at(-1);
  assert.deepEqual([role, content.map(({ type }: Json) => type), content[1].text], ["user", ["tool_result", "text"], LAST_CALL]);
  await assert.rejects(client.messages.create({ model: "m", max_tokens: 100, tools, messages }), /Task refactor-7 has ended/);
});

test("whatever comes at once, nothing but the last answer goes beyond the step, and that is one", async (context) => {
  const { stand } = await open(context, { answer: using(110) });
  const calls = await Promise.all(Array.from({ length: 80 }, () => send(stand, { max_tokens: 400 })));
  await stand.checkBooks();
  const last = calls.filter(({ headers }) => headers.get("x-purser-rung")?.startsWith("finish"));
  assert.ok(last.length <= 1, `${last.length} last answers`);
  for (let round = 0; round < 60; round++) await ask(stand);
  const entries = await stand.ledger();
  let standing = 0;
  let finished = 0;
  for (const { kind, postings, ...entry } of entries) {
    for (const { counter, held, spent } of postings) if (counter.unit === "tokens") standing += held + spent;
    if (kind !== "reserved" || !("detail" in entry)) continue;
    if (entry.detail.rungs?.length) finished++;
    else assert.ok(standing <= STEP, `${standing} tokens before the last answer`);
  }
  assert.equal(finished, 1);
  assert.ok(standing <= LIMIT);
  assert.match((await ask(stand)).json.error.message, /has ended/);
});

test("a call that would take what is kept is the last one, however far the step is, and its cap is what is left", async (context) => {
  const { provider, stand } = await open(context, { answer: using(14_000) });
  assert.equal((await ask(stand)).headers.get("x-purser-rung"), null);
  const { status, headers } = await ask(stand, {
    max_tokens: 5_000,
    messages: [{ role: "user", content: `Look. ${"aye ".repeat(1_000)}` }],
  });
  assert.deepEqual([status, headers.get("x-purser-rung")], [200, "finish (agent task 80%)"]);
  assert.equal(sentLast(provider).messages.at(-1).content, LAST_CALL);
  assert.deepEqual(await stand.ledger("denied"), [], "what nobody was refused");
  assert.ok(sentLast(provider).max_tokens < 4_500, `${sentLast(provider).max_tokens}`);
  assert.match((await ask(stand, { messages: [{ role: "user", content: "?" }], max_tokens: 20 })).json.error.message, /has ended/);
});

test("a last answer that the provider could not give can be asked for again", async (context) => {
  const { provider, stand } = await open(context, { answer: using(17_000) });
  await ask(stand);
  provider.answer = (response) => writeJson(response, 500, { error: { message: "No." } });
  assert.equal((await ask(stand)).status, 500);
  provider.answer = using(100);
  const again = await ask(stand);
  assert.deepEqual([again.status, again.headers.get("x-purser-rung")], [200, "finish (agent task 80%)"]);
  assert.equal((await ask(stand)).status, 402);
});

test("a last answer that one provider cannot give is given by the next one", async (context) => {
  const fleet = await startFleet(context, {
    budgets: "[{ name: agent task, per: task, limits: [1000 tokens], min_output: 20, ladder: { 80%: finish } }]",
  });
  const { stand, one, two } = fleet;
  one.answer = using(775);
  const call = { ...PLAIN_CALL, model: "list-1" };
  const asked = async () => {
    const answered = await post(stand.url + CHAT, call, TASK);
    await stand.checkBooks();
    return answered;
  };
  assert.equal((await asked()).headers.get("x-purser-rung"), null);
  one.answer = refuse(500);
  two.answer = using(40);
  const { status, headers } = await asked();
  assert.deepEqual([status, headers.get("x-purser-provider"), headers.get("x-purser-rung")], [200, "two", "finish (agent task 80%)"]);
  assert.equal(sentLast(two).messages.at(-1).content, LAST_CALL);
  assert.match((await asked()).json.error.message, /Task refactor-7 has ended/);
});

test("a last answer may be a stream, and ends as one", async (context) => {
  const { stand } = await open(context, { answer: using(17_000) });
  await ask(stand);
  const client = new OpenAI({ apiKey: "any", baseURL: `${stand.url}/v1`, maxRetries: 0, defaultHeaders: TASK });
  const stream = await client.chat.completions.create({ ...(CALL as Json), stream: true }).asResponse();
  assert.equal(stream.headers.get("x-purser-rung"), "finish (agent task 80%)");
  await stream.text();
  await stand.checkBooks();
  assert.equal((await ask(stand)).status, 402);
});

test("what else stands on the step is done to the last call too", async (context) => {
  const budgets = BUDGETS.replace("80%: finish", "80%: [finish, trim 300]");
  const { provider, stand } = await open(context, { budgets, answer: using(14_000) });
  await ask(stand);
  const messages = Array.from({ length: 9 }, (_, i) => ({
    role: i % 2 === 0 ? "user" : "assistant",
    content: `${i} ${"aye ".repeat(250)}`,
  }));
  const { status, headers } = await ask(stand, { messages });
  assert.deepEqual([status, headers.get("x-purser-rung")], [200, "trim 300 (agent task 80%), finish (agent task 80%)"]);
  assert.deepEqual(
    sentLast(provider).messages.map(({ content }: Json) => content.slice(0, 9)),
    ["8 aye aye", LAST_CALL.slice(0, 9)],
  );
});

test("responses and Google's content say it in their own ways", async (context) => {
  const { provider, stand } = await open(context, { answer: using(17_000) });
  const bodies: Json[] = [];
  for (const [path, body] of [
    ["/v1/responses", { model: "m", max_output_tokens: 100, input: "Look.", tools: [{ type: "function", name: "look" }] }],
    [
      "/v1beta/models/m:generateContent",
      {
        contents: [{ role: "user", parts: [{ text: "Look." }] }],
        tools: [{ functionDeclarations: [{ name: "look" }] }],
        generationConfig: { maxOutputTokens: 100 },
      },
    ],
  ] as const) {
    const task = { "x-purser-task": path };
    await ask(stand, {}, task);
    const { headers } = await post(stand.url + path, body, task);
    assert.equal(headers.get("x-purser-rung"), "finish (agent task 80%)", path);
    bodies.push(sentLast(provider));
  }
  const [responses, content] = bodies;
  assert.deepEqual(
    [responses.tool_choice, responses.input],
    [
      "none",
      [
        { role: "user", content: "Look." },
        { role: "user", content: LAST_CALL },
      ],
    ],
  );
  assert.deepEqual(content.toolConfig, { functionCallingConfig: { mode: "NONE" } });
  assert.deepEqual(content.contents, [{ role: "user", parts: [{ text: "Look." }, { text: LAST_CALL }] }]);
});

test("a format that cannot say it gets none of what is kept, and is refused before it", async (context) => {
  const { stand } = await open(context, { answer: using(15_990) });
  await ask(stand);
  const { status, headers, json } = await post(`${stand.url}/v1/completions`, { model: "m", max_tokens: 200, prompt: "Look." }, TASK);
  assert.deepEqual([status, headers.get("x-purser-rung")], [402, null]);
  assert.match(json.error.message, /has 10 tokens left of 20,000 tokens for its whole life/);
  assert.equal((await stand.ledger("denied")).length, 1);
});

test("what is reset begins again, and what is granted has one more last answer", async (context) => {
  const { provider, stand } = await open(context, { answer: using(17_000) });
  await ask(stand);
  provider.answer = using(100);
  assert.equal((await ask(stand)).status, 200);
  assert.equal((await ask(stand)).status, 402);
  provider.answer = using(10_000);
  const whose = { budget: "agent task", for: { task: "refactor-7" }, why: "a test", giver: "kim" };
  const granted = await post(`${stand.url}/api/grants`, { ...whose, amount: "20k tokens", until: "2099-01-01" });
  assert.equal(granted.status, 201, granted.text);
  const rungs = [];
  for (let i = 0; i < 4; i++) {
    const { status, headers } = await ask(stand);
    rungs.push(status === 200 ? (headers.get("x-purser-rung") ?? "as it came") : status);
  }
  assert.deepEqual(rungs, ["as it came", "as it came", "finish (agent task 80%)", 402]);
  const { budget: _, ...reset } = whose;
  assert.equal((await post(`${stand.url}/api/budgets/agent%20task/reset`, reset)).status, 200);
  const begun = await ask(stand);
  assert.deepEqual([begun.status, begun.headers.get("x-purser-rung")], [200, null]);
});
