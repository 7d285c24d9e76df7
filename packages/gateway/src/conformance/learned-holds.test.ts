import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { openSqliteStore } from "@purser/core/stores/sqlite";
import { JSON_HEADERS, type Json, post } from "./calls.ts";
import { chatAnswer, type RawProvider, startRawProvider, writeJson } from "./raw-provider.ts";
import { urlsOf } from "./several-gateways.ts";
import { eventually, highWater, providersAt, type Stand, startStand } from "./stand.ts";

/** $1 and $10 for a million tokens: 1,000 and 10,000 nano-dollars for one. */
const PRICES =
  "prices: [{ model: gpt-4o, input: 1, output: 10, max_output: 4096 }, { model: claude-sonnet-4-6, input: 1, output: 10, max_output: 4096 }]";
const USUAL = 100;
const MAIN = fileURLToPath(new URL("../cli/main.js", import.meta.url));
const EVENTS = { "content-type": "text/event-stream" };

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
}

/** A gateway that knows that answers have a hundred tokens, and a provider whose streams say what a test lets them. */
async function startScene(
  context: TestContext,
  { limit, holds = "learned", store = "" }: { limit: string; holds?: string; store?: string },
): Promise<Scene> {
  const provider = await startRawProvider(context);
  const config = `${store}\n${providersAt(provider.url)}\n${PRICES}\nholds: ${holds}\nbudgets: [{ name: all, min_output: 1, limits: [${limit}] }]`;
  const lengths = Array.from({ length: 60 }, () => USUAL);
  const stand = await startStand(context, {
    config,
    store: "sqlite",
    adjust: (read) => {
      const answers = Object.fromEntries(["gpt-4o", "claude-sonnet-4-6"].map((model) => [JSON.stringify(["mock", model, null]), lengths]));
      writeFileSync(join(read.dataDir, "answers.json"), JSON.stringify({ version: 1, answers }));
      return read;
    },
  });
  return { stand, provider };
}

const chat = (content: string, more: object = {}) =>
  `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 0, model: "gpt-4o", choices: [{ index: 0, delta: { content }, finish_reason: null }], ...more })}\n\n`;

/** An answer of so many words, each a token, and its end. */
function wordsOf(count: number): (response: Parameters<RawProvider["answer"]>[0]) => Promise<void> {
  return async (response) => {
    response.writeHead(200, EVENTS);
    for (let i = 0; i < count && !response.destroyed; i++) {
      if (!response.write(chat(" the"))) await new Promise((resolve) => response.once("drain", resolve));
      if (i % 10 === 9) await new Promise((resolve) => setImmediate(resolve));
    }
    const usage = { prompt_tokens: 8, completion_tokens: count, total_tokens: 8 + count };
    const last = { choices: [{ index: 0, delta: {}, finish_reason: "stop" }] };
    response.end(`${chat("", last)}${chat("", { choices: [], usage })}data: [DONE]\n\n`);
  };
}

const CALL = { model: "gpt-4o", stream: true, stream_options: { include_usage: true }, messages: [{ role: "user", content: "Ahoy" }] };

function events(text: string): readonly Json[] {
  return text
    .split("\n")
    .filter((line) => line.startsWith("data: {"))
    .map((line) => JSON.parse(line.slice(6)));
}

const wordsIn = (text: string) => events(text).filter(({ choices }) => choices[0]?.delta.content === " the").length;

/** What is spent and held together was never more than the limit, at no entry of the ledger. */
async function checkNeverOver({ stand }: Scene, amount: number): Promise<void> {
  await stand.checkBooks();
  for (const [key, used] of highWater(await stand.ledger())) if (key.startsWith("all|nano")) assert.ok(used <= amount, `${key}: ${used}`);
  assert.deepEqual(await stand.ledger("overrun"), []);
}

describe("holds that are learned", () => {
  test("a stream as long as usual holds what is usual, and may have all that its model can write", async (context) => {
    const { stand, provider } = await startScene(context, { limit: "$1 / month" });
    provider.answer = wordsOf(40);
    const answer = await post(`${stand.url}/v1/chat/completions`, CALL);
    assert.equal(wordsIn(answer.text), 40);
    const [reserved] = await stand.entries(1, "reserved");
    assert.equal(reserved?.detail.outputTokens, USUAL);
    assert.deepEqual(await stand.ledger("raised"), []);
    // The provider is told no lower cap than the model's own.
    assert.equal(JSON.parse(provider.received[0]?.body ?? "{}").max_completion_tokens ?? 4096, 4096);
  });

  test("a stream that is longer than usual comes whole, holding more ahead of what passes", async (context) => {
    const scene = await startScene(context, { limit: "$1 / month" });
    scene.provider.answer = wordsOf(1_000);
    const answer = await post(`${scene.stand.url}/v1/chat/completions`, CALL);
    assert.equal(wordsIn(answer.text), 1_000);
    assert.match(answer.text, /"finish_reason":"stop"/);
    const raised = await scene.stand.ledger("raised");
    assert.ok(raised.length >= 2 && raised.length < 20, `${raised.length} times more was held`);
    const [settled] = await scene.stand.entries(1, "settled");
    assert.equal(settled?.charge.usage.outputTokens, 1_000);
    assert.ok((settled?.detail.outputTokens ?? 0) >= 1_000);
    assert.equal(settled?.detail.outputTokensAtFirst, USUAL);
    await checkNeverOver(scene, 1e9);
  });

  for (const { name, path, call, answer, end } of [
    {
      name: "a chat",
      path: "/v1/chat/completions",
      call: CALL,
      answer: wordsOf(900),
      end: /"finish_reason":"length"[\s\S]*"completion_tokens":\d+[\s\S]*data: \[DONE\]/,
    },
    {
      name: "a message",
      path: "/v1/messages",
      call: { model: "claude-sonnet-4-6", max_tokens: 4_000, stream: true, messages: CALL.messages },
      answer: messageOf(900),
      end: /"stop_reason":"max_tokens"[\s\S]*event: message_stop/,
    },
  ])
    test(`${name} for which no more can be held ends as if its cap had been reached, and nothing is overspent`, async (context) => {
      // Room for about 300 tokens of output.
      const scene = await startScene(context, { limit: "$0.003 / month" });
      scene.provider.answer = answer;
      const got = await post(`${scene.stand.url}${path}`, call);
      assert.equal(got.status, 200);
      assert.match(got.text, end);
      const [settled] = await scene.stand.entries(1, "settled");
      const { outputTokens = 0 } = settled?.charge.usage ?? {};
      assert.ok(outputTokens > 150 && outputTokens <= 300, `${outputTokens} tokens`);
      assert.ok(outputTokens <= (settled?.detail.outputTokens ?? 0));
      await checkNeverOver(scene, 3_000_000);
    });

  test("many more calls run at once in the same budget, and all of it is filled", async (context) => {
    const atOnce = async (holds: string) => {
      const scene = await startScene(context, { limit: "$0.5 / month", holds });
      const { stand, provider } = scene;
      const waiting: (() => void)[] = [];
      provider.answer = (response) => {
        response.writeHead(200, EVENTS);
        response.write(chat(" the"));
        waiting.push(() =>
          response.end(`${chat("", { choices: [], usage: { prompt_tokens: 8, completion_tokens: 1, total_tokens: 9 } })}data: [DONE]\n\n`),
        );
      };
      const calls = Array.from({ length: 60 }, () => post(`${stand.url}/v1/chat/completions`, { ...CALL, max_tokens: 4_096 }));
      await eventually("all to be decided", async () => {
        const { length } = await stand.ledger("reserved");
        return length === waiting.length && length + (await stand.ledger("denied")).length >= 60 ? true : undefined;
      });
      const admitted = waiting.length;
      for (const end of waiting) end();
      await Promise.all(calls);
      await checkNeverOver(scene, 500_000_000);
      return admitted;
    };
    const [full, learned] = [await atOnce("full"), await atOnce("learned")];
    // 4,096 tokens at 10,000 nano-dollars are $0.041, and the cap of the last call is lowered to what fits; a hundred are $0.001.
    assert.ok(full >= 12 && full <= 14, `${full} with full holds`);
    assert.equal(learned, 60);
  });

  test("streams that grow at the same time in a budget that is nearly full share what there is, and none overspends", async (context) => {
    const scene = await startScene(context, { limit: "$0.03 / month" });
    scene.provider.answer = wordsOf(800);
    const answers = await Promise.all(Array.from({ length: 12 }, () => post(`${scene.stand.url}/v1/chat/completions`, CALL)));
    const ended = answers.map(({ text }) => /"finish_reason":"(stop|length)"/.exec(text)?.[1]);
    assert.ok(ended.includes("length"), ended.join());
    for (const { status, text } of answers) assert.ok(status !== 200 || /\[DONE\]/.test(text), text.slice(-300));
    await checkNeverOver(scene, 30_000_000);
    const spent = (await scene.stand.gateway.store.counters()).find(({ ref }) => ref.unit === "nanodollars")?.spent ?? 0;
    assert.ok(spent > 0.7 * 30_000_000, `${spent} of 30,000,000 were used`);
  });

  test("two gateways with allotments of one Redis do not overspend either", async (context) => {
    const redis = await urlsOf(context, "one server");
    if (typeof redis === "string") return context.skip(`not run: ${redis}`);
    const store = `store: { redis: ${JSON.stringify(redis)}, leases: true }`;
    const scenes = [
      await startScene(context, { limit: "$0.03 / month", store }),
      await startScene(context, { limit: "$0.03 / month", store }),
    ];
    for (const { provider } of scenes) provider.answer = wordsOf(800);
    const calls = Array.from({ length: 12 }, (_, i) => post(`${scenes[i % 2]?.stand.url}/v1/chat/completions`, CALL));
    const answers = await Promise.all(calls);
    const whole = answers.filter(({ status }) => status === 200);
    assert.ok(whole.length >= 3, `${whole.length} streams`);
    for (const { text } of whole) assert.match(text, /"finish_reason":"(stop|length)"[\s\S]*\[DONE\]/);
    const [first, second] = scenes as [Scene, Scene];
    await second.stand.checkBooks();
    assert.ok((await first.stand.ledger("raised")).length > 0);
    await checkNeverOver(first, 30_000_000);
  });

  test("a gateway that is killed while a stream goes on charges what was held by then, and no less", async (context) => {
    const directory = await mkdtemp(join(tmpdir(), "purser-learned-"));
    context.after(() => rm(directory, { recursive: true, force: true }));
    const provider = await startRawProvider(context);
    provider.answer = async (response) => {
      response.writeHead(200, EVENTS);
      for (let i = 0; i < 300; i++) response.write(chat(" the"));
    };
    const data = join(directory, "data");
    await mkdir(data);
    writeFileSync(join(data, "answers.json"), JSON.stringify({ version: 1, answers: { '["mock","gpt-4o",null]': Array(60).fill(USUAL) } }));
    const config = join(directory, "purser.yaml");
    const budgets = "budgets: [{ name: all, min_output: 1, limits: [$1 / month] }]";
    writeFileSync(config, `data: ${JSON.stringify(data)}\n${providersAt(provider.url)}\n${PRICES}\nholds: learned\n${budgets}\n`);
    const child = spawn(process.execPath, [MAIN, "serve", "--json", "--config", config, "--port", "0"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    context.after(() => child.kill("SIGKILL"));
    const [line] = await once(createInterface({ input: child.stdout }), "line");
    const response = await fetch(`${JSON.parse(line).url}/v1/chat/completions`, {
      method: "POST",
      headers: JSON_HEADERS,
      body: JSON.stringify(CALL),
    });
    let got = "";
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      got += Buffer.from(chunk).toString();
      if (wordsIn(got) >= 290) break;
    }
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
    const store = await openSqliteStore({ directory: data });
    const [expired] = await store.entries({ kinds: ["expired"] });
    const raised = (await store.entries({ kinds: ["raised"] })).at(-1);
    await store.close();
    assert.ok(expired?.kind === "expired" && raised?.kind === "raised");
    assert.equal(expired.charge.certainty, "unconfirmed");
    assert.ok((expired.charge.usage.outputTokens ?? 0) >= 290, "what passed was held");
    assert.equal(expired.charge.usage.outputTokens, raised.outputCap);
  });

  test("an answer that is no stream, or of a model that nobody knows yet, holds all that it can have", async (context) => {
    const { stand, provider } = await startScene(context, { limit: "$1 / month" });
    provider.answer = (response) => writeJson(response, 200, chatAnswer("Aye.", { input: 8, output: 2 }));
    await post(`${stand.url}/v1/chat/completions`, { ...CALL, stream: false, stream_options: undefined });
    provider.answer = wordsOf(3);
    await post(`${stand.url}/v1/chat/completions`, CALL, { "x-purser-feature": "new" });
    const reserved = await stand.entries(2, "reserved");
    assert.deepEqual(
      reserved.map(({ detail }) => detail.outputTokens),
      [4_096, 4_096],
    );
  });

  test("what is usual is learned from what came, and is known after a restart", async (context) => {
    const { stand, provider } = await startScene(context, { limit: "$1 / month" });
    provider.answer = wordsOf(7);
    for (let i = 0; i < 51; i++) await post(`${stand.url}/v1/chat/completions`, CALL, { "x-purser-feature": "short" });
    const last = (await stand.entries(51, "reserved")).at(-1);
    assert.equal(last?.detail.outputTokens, 7);
    await stand.gateway.close();
    const stored = JSON.parse(readFileSync(join(stand.directory, "answers.json"), "utf8"));
    assert.equal(stored.answers['["mock","gpt-4o","short"]'].length, 51);
  });
});

function messageOf(count: number): RawProvider["answer"] {
  return async (response) => {
    const event = (type: string, more: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`;
    const message = {
      id: "m",
      type: "message",
      role: "assistant",
      model: "claude-sonnet-4-6",
      content: [],
      stop_reason: null,
      stop_sequence: null,
    };
    response.writeHead(200, EVENTS);
    response.write(event("message_start", { message: { ...message, usage: { input_tokens: 8, output_tokens: 1 } } }));
    response.write(event("content_block_start", { index: 0, content_block: { type: "text", text: "" } }));
    for (let i = 0; i < count && !response.destroyed; i++) {
      response.write(event("content_block_delta", { index: 0, delta: { type: "text_delta", text: " the" } }));
      if (i % 10 === 9) await new Promise((resolve) => setImmediate(resolve));
    }
    response.write(event("content_block_stop", { index: 0 }));
    response.write(event("message_delta", { delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: count } }));
    response.end(event("message_stop", {}));
  };
}
