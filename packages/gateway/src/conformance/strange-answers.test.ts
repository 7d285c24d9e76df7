import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { connect } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { FORMATS, JSON_HEADERS, PLAIN_CALL, post } from "./calls.ts";
import {
  type Answer,
  answerChat,
  CHAT_DONE,
  chatAnswer,
  chatEvent,
  chatUsageEvent,
  messageAnswer,
  STREAM_HEADERS,
  startRawProvider,
  writeJson,
} from "./raw-provider.ts";
import { eventually, NANODOLLARS, PRICES, providersAt, type Stand, startStand } from "./stand.ts";

const CHAT = FORMATS[0];
const CALL = { ...PLAIN_CALL, model: "gpt-4o" };
const TEXT = "The officer who keeps the accounts of a ship and hands out the money.";

async function start(context: TestContext, answer: Answer): Promise<Stand> {
  const provider = await startRawProvider(context, answer);
  const budgets = "budgets: [{ name: all, limits: [$10, 1M tokens, 2 concurrent] }]";
  return startStand(context, { config: [providersAt(provider.url), PRICES, budgets].join("\n") });
}

describe("answers that no provider should give", () => {
  for (const [what, answer] of Object.entries({
    "choices that are no list": { choices: {}, usage: null },
    "a choice that is nothing": { choices: [null], usage: { prompt_tokens: 3, completion_tokens: 2 } },
  })) {
    test(`${what}: a whole answer passes as it came and is charged at the estimate`, async (context) => {
      const stand = await start(context, (response) => writeJson(response, 200, answer));
      const { status, json } = await post(stand.url + CHAT.path, CALL);
      assert.deepEqual([status, json], [200, answer]);
      const [settled] = await stand.entries(1, "settled");
      assert.equal(settled?.charge.certainty, "unconfirmed");
      assert.equal(settled?.charge.usage.outputTokens, CALL.max_tokens);
      await stand.checkBooks();
    });

    test(`${what}: an event in a stream passes as it came and is counted as it stands`, async (context) => {
      const event = `data: ${JSON.stringify({ ...answer, usage: null })}\n\n`;
      const stand = await start(context, (response) => response.writeHead(200, STREAM_HEADERS).end(event + CHAT_DONE));
      const { text } = await post(stand.url + CHAT.path, { ...CALL, stream: true, stream_options: { include_usage: true } });
      assert.equal(text, event + CHAT_DONE);
      const [settled] = await stand.entries(1, "settled");
      assert.ok((settled?.charge.usage.outputTokens ?? 0) > 0);
      await stand.checkBooks();
    });
  }

  test("a stream whose events are written over several lines is not counted as nothing", async (context) => {
    const event = chatEvent(TEXT).replace("{", "{\ndata: ");
    const stand = await start(context, (response) => response.writeHead(200, STREAM_HEADERS).end(event + CHAT_DONE));
    await post(stand.url + CHAT.path, { ...CALL, stream: true });
    const [settled] = await stand.entries(1, "settled");
    assert.ok((settled?.charge.usage.outputTokens ?? 0) >= 15);
  });

  test("usage that costs more than can be counted exactly does not keep the answer, nor the hold", async (context) => {
    const answer = chatAnswer(TEXT, { input: 900_000_000, output: 900_000_000 });
    const stand = await start(context, (response) => writeJson(response, 200, answer));
    const { json } = await post(stand.url + CHAT.path, CALL);
    assert.deepEqual(json, answer);
    const [settled] = await stand.entries(1, "settled");
    assert.equal(settled?.charge.certainty, "unconfirmed");
    await stand.checkBooks();
  });

  test("zeros from who cannot count are not believed", async (context) => {
    const stand = await start(context, (response, { body }) => {
      const answer = chatAnswer(TEXT, { input: 0, output: 0 });
      if (!JSON.parse(body).stream) return writeJson(response, 200, answer);
      const usage = `data: ${JSON.stringify({ choices: [], usage: answer.usage })}\n\n`;
      return response.writeHead(200, STREAM_HEADERS).end(chatEvent(TEXT) + usage + CHAT_DONE);
    });
    await post(stand.url + CHAT.path, CALL);
    await post(stand.url + CHAT.path, { ...CALL, stream: true });
    for (const { charge } of await stand.entries(2, "settled")) {
      assert.equal(charge.certainty, "estimated");
      assert.ok((charge.usage.inputTokens ?? 0) > 5);
      assert.ok((charge.usage.outputTokens ?? 0) >= 15);
    }
  });

  test("a call that asked for priority and was served as any other is charged as any other", async (context) => {
    const answer = { ...chatAnswer(TEXT, { input: 10, output: 10 }), service_tier: "default" };
    const stand = await start(context, (response) => writeJson(response, 200, answer));
    await post(stand.url + CHAT.path, { ...CALL, service_tier: "priority" });
    const [settled] = await stand.entries(1, "settled");
    assert.equal(settled?.charge.cost, 10 * (NANODOLLARS.input + NANODOLLARS.output));
  });
});

describe("models that think where nobody sees it", () => {
  const THINKING = { ...CALL, model: "o3", stream: true };

  test("a caller who leaves is charged what the provider says in the end, not what was visible", async (context) => {
    let opened: ServerResponse | undefined;
    const stand = await start(context, (response) => {
      opened = response;
      response.writeHead(200, STREAM_HEADERS).write(chatEvent("Hm."));
    });
    const abort = new AbortController();
    const body = JSON.stringify(THINKING);
    const response = await fetch(stand.url + CHAT.path, { method: "POST", headers: JSON_HEADERS, body, signal: abort.signal });
    await response.body?.getReader().read();
    abort.abort();
    opened?.end(chatUsageEvent({ input: 9, output: 95 }) + CHAT_DONE);
    const [settled] = await stand.entries(1, "settled");
    assert.equal(settled?.charge.certainty, "confirmed");
    assert.equal(settled?.charge.usage.outputTokens, 95);
    await stand.checkBooks();
  });

  test("a stream that the provider cuts is charged at the most it can have cost", async (context) => {
    const stand = await start(context, (response) => {
      response.writeHead(200, STREAM_HEADERS).write(chatEvent("Hm."), () => response.socket?.destroy());
    });
    await assert.rejects(post(stand.url + CHAT.path, THINKING));
    const [settled] = await stand.entries(1, "settled");
    assert.equal(settled?.charge.certainty, "unconfirmed");
    assert.equal(settled?.charge.usage.outputTokens, THINKING.max_tokens);
    await stand.checkBooks();
  });
});

describe("answers of proxies in front of a provider", () => {
  for (const status of [408, 504, 524]) {
    test(`${status} may follow a call that was made, so its estimate is charged`, async (context) => {
      const stand = await start(context, (response) => writeJson(response, status, { error: { message: "too slow" } }));
      assert.equal((await post(stand.url + CHAT.path, CALL)).status, status);
      const [settled] = await stand.entries(1, "settled");
      assert.equal(settled?.charge.certainty, "unconfirmed");
      await stand.checkBooks();
    });
  }
});

test("a caller cannot choose whose account pays for a key that is not theirs", async (context) => {
  const provider = await startRawProvider(context, answerChat());
  const stand = await startStand(context, { config: [providersAt(provider.url), PRICES].join("\n") });
  await post(stand.url + CHAT.path, CALL, { "openai-organization": "org-other", "openai-project": "proj-other", "openai-beta": "x" });
  const { headers } = provider.received[0] ?? assert.fail();
  assert.deepEqual([headers["openai-organization"], headers["openai-project"], headers["openai-beta"]], [undefined, undefined, "x"]);
});

describe("usage that stands beside the usage", () => {
  test("what a conversation was compacted with is charged too", async (context) => {
    const step = (type: string, input: number, output: number) => ({ type, input_tokens: input, output_tokens: output });
    const answer = {
      ...messageAnswer(TEXT, { input: 600, output: 20 }),
      usage: {
        ...step("", 600, 20),
        iterations: [step("compaction", 60_000, 500), step("message", 600, 20), step("fallback_message", 7, 7)],
      },
    };
    const stand = await start(context, (response) => writeJson(response, 200, answer));
    await post(stand.url + FORMATS[1].path, CALL);
    const [settled] = await stand.entries(1, "settled");
    assert.deepEqual(settled?.charge.usage, { inputTokens: 600, outputTokens: 20, besides: { inputTokens: 60_000, outputTokens: 500 } });
    assert.equal(settled?.charge.cost, 60_600 * NANODOLLARS.input + 520 * NANODOLLARS.output);
  });

  test("a search that the usage does not mention is charged, also where nobody knows what became of the call", async (context) => {
    const provider = await startRawProvider(context, answerChat());
    const budgets = "budgets: [{ name: all, limits: [$10] }]";
    const stand = await startStand(context, { config: [providersAt(provider.url), budgets].join("\n") });
    const call = { ...CALL, model: "gpt-4o-search-preview" };
    await post(stand.url + CHAT.path, call);
    provider.answer = (response) => response.destroy();
    await post(stand.url + CHAT.path, call);
    for (const { charge } of await stand.entries(2, "settled")) assert.ok((charge.cost ?? 0) >= 25_000_000, `${charge.cost}`);
  });

  test("thoughts that only the total shows are charged as output", async (context) => {
    const answer = { ...chatAnswer(TEXT, { input: 9, output: 5 }), usage: { prompt_tokens: 9, completion_tokens: 5, total_tokens: 130 } };
    const stand = await start(context, (response) => writeJson(response, 200, answer));
    await post(stand.url + CHAT.path, CALL);
    const [settled] = await stand.entries(1, "settled");
    assert.deepEqual(settled?.charge.usage, { inputTokens: 9, outputTokens: 121 });
  });
});

describe("ways round a budget for a model", () => {
  test("a fast mode is priced by itself and stays in the model's budget", async (context) => {
    const provider = await startRawProvider(context, answerChat());
    const config = [
      providersAt(provider.url),
      "prices: [{ model: gpt-4o, input: 3, output: 15, max_output: 8192 }, { model: gpt-4o-fast, input: 30, output: 150, max_output: 8192 }]",
      "budgets: [{ name: one, for: { model: gpt-4o }, limits: [$1 / month, 1 requests / month] }]",
    ].join("\n");
    const stand = await startStand(context, { config });
    await post(stand.url + FORMATS[1].path, { ...CALL, speed: "fast" });
    const [settled] = await stand.entries(1, "settled");
    assert.equal(settled?.charge.cost, 12 * 30_000 + 5 * 150_000);
    assert.equal((await post(stand.url + FORMATS[1].path, { ...CALL, speed: "fast" })).status, 402);
  });

  for (const more of [
    { models: ["a", "b"] },
    { fallbacks: ["b"] },
    { model: " gpt-4o" },
    { Model: "gpt-5-pro" },
    { MAX_TOKENS: 100_000 },
    { maxTokens: 100_000 },
    { "max_to\u212aens": 100_000 },
    { N: 128 },
    { apiBase: "http://127.0.0.1:9" },
  ])
    test(`refused: ${JSON.stringify(more)}`, async (context) => {
      const stand = await start(context, () => assert.fail("the provider was asked"));
      for (const { path } of FORMATS) assert.equal((await post(stand.url + path, { ...CALL, ...more })).status, 400);
      assert.deepEqual(await stand.ledger("reserved"), []);
    });
});

describe("what a provider charges beside tokens", () => {
  const PRICED = (more: string) =>
    `prices: [{ model: "*", input: 3, output: 15, max_output: 8192 }, { model: gpt-4o, tools: { browser_search: 0.01 } }${more}]`;

  async function scene(context: TestContext, more = "", limits = "$10") {
    const provider = await startRawProvider(context, answerChat());
    const budgets = `budgets: [{ name: all, limits: [${limits}] }]`;
    return { provider, stand: await startStand(context, { config: [providersAt(provider.url), PRICED(more), budgets].join("\n") }) };
  }

  test("a tool that runs at the provider is charged a use, because no usage counts it", async (context) => {
    const { stand } = await scene(context);
    await post(stand.url + CHAT.path, { ...CALL, tools: [{ type: "browser_search" }] });
    const [settled] = await stand.entries(1, "settled");
    assert.equal(settled?.charge.cost, 12 * NANODOLLARS.input + 5 * NANODOLLARS.output + 10_000_000);
  });

  const UNPRICED: readonly (readonly [tool: string, more: object])[] = [
    ["web_search", { tools: [{ type: "builtin_function", function: { name: "$web_search" } }] }],
    ["code_interpreter", { tools: [{ type: "function", function: { name: "f" } }, { type: "code_interpreter" }] }],
    ["web_search", { web_search_options: {} }],
    ["web_search", { enable_search: true }],
    ["live_search", { search_parameters: { mode: "auto" } }],
    ["plugin_web", { plugins: [{ id: "web" }] }],
    ["web_search", { model: "gpt-5-search-api" }],
  ];
  for (const [tool, more] of UNPRICED)
    test(`${JSON.stringify(more)} is refused where money is limited and "${tool}" has no price`, async (context) => {
      const { stand, provider } = await scene(context);
      const { status, json } = await post(stand.url + CHAT.path, { ...CALL, model: "m", ...more });
      assert.equal(status, 400);
      assert.match(json.error.message, new RegExp(`The tool "${tool}" of the model .* has no price, and budget "all" limits money`));
      assert.equal(provider.received.length, 0);
    });

  test("such a tool passes where only tokens are limited, and where the model is said to cost nothing", async (context) => {
    const call = { ...CALL, tools: [{ type: "code_interpreter" }] };
    const { stand: tokens } = await scene(context, "", "1M tokens");
    assert.equal((await post(tokens.url + CHAT.path, call)).status, 200);
    const { stand: free } = await scene(context, ", { model: free-model, free: true }");
    assert.equal((await post(free.url + CHAT.path, { ...call, model: "free-model" })).status, 200);
  });

  test("the best of many answers is budgeted as many", async (context) => {
    const { stand } = await scene(context);
    await post(stand.url + CHAT.path, { ...CALL, best_of: 20 });
    const [reserved] = await stand.entries(1, "reserved");
    assert.equal(reserved?.detail.outputTokens, 20 * CALL.max_tokens);
  });

  test("inference in one country is priced by itself", async (context) => {
    const { stand } = await scene(context, ", { model: gpt-4o-us, input: 3.3, output: 16.5 }");
    for (const inference_geo of ["global", "us"]) await post(stand.url + FORMATS[1].path, { ...CALL, inference_geo });
    const costs = (await stand.entries(2, "settled")).map(({ charge }) => charge.cost);
    assert.deepEqual(costs, [12 * 3_000 + 5 * 15_000, 12 * 3_300 + 5 * 16_500]);
  });

  test("a tool cannot name a dearer model than the call", async (context) => {
    const { stand, provider } = await scene(context);
    const advisor = (model: string) => ({ ...CALL, tools: [{ type: "advisor_20260301", name: "advisor", model }] });
    assert.equal((await post(stand.url + FORMATS[1].path, advisor("claude-opus-5"))).status, 400);
    assert.equal(provider.received.length, 0);
    assert.equal((await post(stand.url + FORMATS[1].path, advisor(CALL.model))).status, 200);
  });
});

test("a document in the place of an image is no image", async (context) => {
  const provider = await startRawProvider(context, answerChat());
  const budgets = "budgets: [{ name: all, limits: [$10], request: { max_input: 5000 } }]";
  const stand = await startStand(context, { config: [providersAt(provider.url), PRICES, budgets].join("\n") });
  const url = `data:application/pdf;base64,${"JVBERi0x".repeat(2_000)}`;
  const messages = [{ role: "user", content: [{ type: "image_url", image_url: { url } }] }];
  assert.equal((await post(stand.url + CHAT.path, { ...CALL, model: "gemini-2.5-flash", messages })).status, 413);
});

test("calls written one behind the other end with their connection, also those whose turn to be answered never came", async (context) => {
  const long = chatEvent("word ".repeat(5_000));
  let calls = 0;
  const stand = await start(context, (response) => {
    response.writeHead(200, STREAM_HEADERS);
    if (calls++ === 0) return response.write(chatEvent("first"));
    // More than the buffers on the way take, so that its end comes only when somebody reads on.
    for (let i = 0; i < 2_000; i++) response.write(long);
    return response.end(chatUsageEvent({ input: 8, output: 99 }) + CHAT_DONE);
  });
  const body = JSON.stringify({ ...CALL, stream: true });
  const head = Object.entries({ host: "localhost", ...JSON_HEADERS, "content-length": body.length }).map((pair) => pair.join(": "));
  const one = [`POST ${CHAT.path} HTTP/1.1`, ...head, "", body].join("\r\n");
  const socket = connect(stand.port, "127.0.0.1");
  socket.write(one + one);
  await new Promise((resolve) => socket.once("data", resolve));
  await eventually("the second call", async () => ((await stand.ledger("reserved")).length === 2 && calls === 2) || undefined);
  socket.destroy();
  const settled = await stand.entries(2, "settled");
  assert.deepEqual(settled.map(({ charge }) => charge.certainty).sort(), ["confirmed", "estimated"]);
  await stand.checkBooks();
});
