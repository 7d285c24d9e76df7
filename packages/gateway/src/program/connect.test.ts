import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { Budgets, createMemoryStore, defineBudget, LEASE_MS, type Store } from "@purser/core";
import { createPriceBook } from "@purser/core/prices";
import OpenAI from "openai";
import { startGateway } from "../app.ts";
import { readConfig } from "../config/read-config.ts";
import { FORMATS, JSON_HEADERS, type Json, PLAIN_CALL, readAnswer } from "../conformance/calls.ts";
import {
  type Answer,
  answerChat,
  CHAT_DONE,
  chatEvent,
  chatUsageEvent,
  type RawProvider,
  STREAM_HEADERS,
  startRawProvider,
  writeJson,
} from "../conformance/raw-provider.ts";
import { checkBooks, eventually, readLedger, type Stand, startStand } from "../conformance/stand.ts";
import { type ConnectedPurser, type ConnectOptions, connectPurser } from "./connect.ts";
import { createFetch } from "./fetch.ts";
import type { FetchOptions } from "./fetch-options.ts";

type Fetch = typeof globalThis.fetch;
type Terms = Omit<FetchOptions, "budgets">;

const CONFIG = `prices: [{ provider: openai, model: m, input: 3, output: 15, max_output: 8192 }]
budgets:
  - { name: company, limits: [$10 / year] }
  - { name: each user, per: user, limits: [3 requests / year] }`;
const ANN = { subject: { user: "ann" }, provider: "openai" };

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  readonly notices: string[];
  connect(options?: Partial<ConnectOptions>): ConnectedPurser;
  send(purser: ConnectedPurser, more?: Json, terms?: Terms, init?: RequestInit): Promise<Response>;
}

async function startScene(context: TestContext, answer: Answer = answerChat({ input: 12, output: 5 }), config = CONFIG): Promise<Scene> {
  const provider = await startRawProvider(context, answer);
  const stand = await startStand(context, { config });
  const notices: string[] = [];
  const url = `${provider.url}/v1/chat/completions`;
  return {
    stand,
    provider,
    notices,
    connect(options = {}) {
      const purser = connectPurser({ url: stand.url, onNotice: (notice) => notices.push(notice), ...options });
      context.after(() => purser.close());
      return purser;
    },
    send: (purser, more = {}, terms = ANN, init = {}) =>
      purser.fetch(terms)(url, { method: "POST", headers: JSON_HEADERS, body: JSON.stringify({ ...PLAIN_CALL, ...more }), ...init }),
  };
}

/** A network between a program and its gateway that can fail. */
class Network {
  /** What happens to a request: it is passed on; or not, or its answer is lost. */
  passes: (path: string) => "passed" | "refused" | "lost" = () => "passed";
  readonly asked: string[] = [];

  readonly fetch: Fetch = async (input, init) => {
    const { pathname } = new URL(String(input));
    this.asked.push(pathname);
    const how = this.passes(pathname);
    if (how === "refused") throw failed("ECONNREFUSED");
    const answer = await fetch(input, init);
    if (how === "lost") throw failed("UND_ERR_SOCKET");
    return answer;
  };
}

function failed(code: string): TypeError {
  return new TypeError("fetch failed", { cause: Object.assign(new Error(`the connection failed (${code})`), { code }) });
}

async function spentBy(stand: Stand): Promise<Json> {
  return Object.fromEntries(
    (await stand.gateway.budgets.balances()).map(({ budget, unit, spent, held }) => [`${budget} ${unit}`, [spent, held]]),
  );
}

describe("a program that is connected to a gateway", () => {
  test("holds and charges its calls there, and sends them to the provider itself", async (context) => {
    const { stand, provider, connect, send } = await startScene(context);
    const response = await send(connect());
    assert.equal((await readAnswer(response)).json.choices[0].message.content, "Aye.");
    assert.equal(provider.received[0]?.url, "/v1/chat/completions");
    const id = response.headers.get("x-purser-request-id");
    const report: Json = await (await fetch(`${stand.url}/api/requests/${id}`)).json();
    assert.equal(report.outcome, "settled");
    assert.deepEqual(report.usage, { input_tokens: 12, output_tokens: 5 });
    assert.equal(report.cost_nanodollars, 12 * 3_000 + 5 * 15_000);
    assert.deepEqual(report.subject, { user: "ann", provider: "openai", model: "m", endpoint: "openai-chat" });
    await stand.checkBooks();
  });

  test("has the balances right when its SDK has seen the end of a stream", async (context) => {
    const { stand, provider, connect } = await startScene(context, (response) => {
      response.writeHead(200, STREAM_HEADERS).write(chatEvent("Aye."));
      response.end(chatUsageEvent({ input: 12, output: 5 }) + CHAT_DONE);
    });
    const client = new OpenAI({ apiKey: "secret", baseURL: `${provider.url}/v1`, fetch: connect().fetch(ANN) });
    const messages = [{ role: "user" as const, content: "Ahoy" }];
    let text = "";
    for await (const { choices } of await client.chat.completions.create({ model: "m", max_tokens: 100, stream: true, messages }))
      text += choices[0]?.delta.content ?? "";
    assert.equal(text, "Aye.");
    assert.deepEqual(await spentBy(stand), { "company nanodollars": [111_000, 0], "each user requests": [1, 0] });
  });

  test("is refused as the gateway refuses its own calls, word for word", async (context) => {
    const { stand, provider, connect, send } = await startScene(context);
    const purser = connect();
    for (let i = 0; i < 3; i++) await readAnswer(await send(purser));
    const refused = await readAnswer(await send(purser));
    const prices = createPriceBook({ overrides: [{ provider: "openai", model: "m", input: "3", output: "15", max_output: 8_192 }] });
    const own = createFetch({
      budgets: new Budgets({ store: stand.gateway.store, prices, budgets: readConfig({ text: CONFIG, environment: {} }).budgets }),
      ...ANN,
    });
    const init = { method: "POST", headers: JSON_HEADERS, body: JSON.stringify(PLAIN_CALL) };
    const expected = await readAnswer(await own(`${provider.url}/v1/chat/completions`, init));
    assert.equal(refused.status, 402);
    assert.deepEqual(refused.json, expected.json);
    for (const name of ["x-should-retry", "content-type"]) assert.equal(refused.headers.get(name), expected.headers.get(name));
    assert.match(refused.headers.get("ratelimit") ?? "", /^"each user-requests-year";r=0;t=\d+/);
    assert.equal(provider.received.length, 3);
  });

  test("is told to come back where calls in flight hold what it asks", async (context) => {
    const { stand, connect, send } = await startScene(context, undefined, "budgets: [{ name: all, limits: [1000 tokens / year] }]");
    const held = { id: "held", subject: { provider: "openai", model: "m" }, input: { most: 950 }, output: { most: 0 } };
    assert.equal((await stand.gateway.budgets.reserve(held)).outcome, "allowed");
    const { status, headers } = await send(connect());
    assert.deepEqual([status, headers.get("retry-after-ms")], [429, "1000"]);
  });

  test("is told when to come back where a window moves on", async (context) => {
    const { connect, send } = await startScene(context, undefined, "budgets: [{ name: all, limits: [1 request / rolling 30s] }]");
    const purser = connect();
    await readAnswer(await send(purser));
    const { status, headers } = await send(purser);
    assert.equal(status, 429);
    const waitMs = Number(headers.get("retry-after-ms"));
    assert.ok(waitMs > 2_000 && waitMs < 60_000, `${waitMs} ms`);
  });

  test("counts the input itself: what a bound would refuse passes, and no text leaves it", async (context) => {
    const { stand, connect, send } = await startScene(context, undefined, "budgets: [{ name: all, limits: [700 tokens / year] }]");
    const bodies: string[] = [];
    const asks: Fetch = (input, init) => {
      bodies.push(String(init?.body));
      return fetch(input, init);
    };
    const messages = [{ role: "user", content: "budget ".repeat(500) }];
    assert.equal((await send(connect({ fetch: asks }), { messages, model: "gpt-4o" })).status, 200);
    const [{ detail } = assert.fail()] = await stand.entries(1, "reserved");
    assert.ok(detail.inputTokens > 500 && detail.inputTokens < 600, `${detail.inputTokens} tokens`);
    assert.doesNotMatch(bodies.join(), /budget budget/);
  });

  test("has its key refused in the words of the gateway", async (context) => {
    const { stand, provider, connect, send } = await startScene(context);
    const { secret } = await stand.gateway.keys.create({ name: "app", attributes: {}, maySet: ["user"], role: "caller" });
    const admin = await stand.gateway.keys.create({ name: "program", attributes: {}, maySet: [], role: "admin" });
    for (const [key, status] of [
      [undefined, 401],
      ["pk-wrong", 401],
      [secret, 401],
    ] as const) {
      const answer = await readAnswer(await send(connect(key === undefined ? {} : { key })));
      assert.equal(answer.status, status, answer.text);
      assert.match(answer.json.error.message, /^The gateway at http:\/\/127\.0\.0\.1:\d+ refuses what this program asks: /);
    }
    assert.equal(provider.received.length, 0);
    assert.equal((await send(connect({ key: admin.secret }))).status, 200);
  });

  test("what is no gateway's URL, or no fail mode, is told at once", () => {
    for (const url of ["", "localhost:4100", "ftp://a"]) assert.throws(() => connectPurser({ url }), { code: "config_invalid" }, url);
    assert.throws(() => connectPurser({ url: "http://a", failMode: "closd" as "closed" }), { code: "config_invalid" });
  });
});

/** What providers charge in other ways than by plain tokens, as they answer it. */
const CHARGED: readonly { readonly what: string; readonly path: string; readonly call: Json; readonly answer: Json }[] = [
  {
    what: "a tier that costs more",
    path: "/v1/chat/completions",
    call: { model: "gpt-5", service_tier: "priority" },
    answer: { choices: [], service_tier: "priority", usage: { prompt_tokens: 1_000, completion_tokens: 50 } },
  },
  {
    what: "a tier that was asked for and not given",
    path: "/v1/chat/completions",
    call: { model: "gpt-5", service_tier: "priority" },
    answer: { choices: [], service_tier: "default", usage: { prompt_tokens: 1_000, completion_tokens: 50 } },
  },
  {
    what: "a mode with a price of its own",
    path: "/v1/messages",
    call: { model: "claude-opus-4-6", speed: "fast" },
    answer: { content: [], usage: { input_tokens: 1_000, output_tokens: 50 } },
  },
  {
    what: "a conversation that was compacted first",
    path: "/v1/messages",
    call: { model: "claude-opus-4-6" },
    answer: {
      content: [],
      usage: {
        input_tokens: 600,
        output_tokens: 20,
        cache_read_input_tokens: 7,
        iterations: [
          { type: "compaction", input_tokens: 60_000, output_tokens: 500 },
          { type: "message", input_tokens: 600, output_tokens: 20 },
        ],
      },
    },
  },
  {
    what: "a tool that is charged by the call",
    path: "/v1/messages",
    call: { model: "claude-opus-4-6", tools: [{ type: "web_search_20250305", name: "web_search", max_uses: 3 }] },
    answer: { content: [], usage: { input_tokens: 1_000, output_tokens: 50, server_tool_use: { web_search_requests: 2 } } },
  },
  {
    what: "an answer without usage",
    path: "/v1/chat/completions",
    call: { model: "gpt-4o" },
    answer: { choices: [{ message: { content: "Aye, aye." } }] },
  },
];

describe("what a connected program is held and charged", () => {
  for (const { what, path, call, answer } of CHARGED) {
    test(`is the same as with budgets of its own: ${what}`, async (context) => {
      const provider = await startRawProvider(context, (response) => writeJson(response, 200, answer));
      const stand = await startStand(context, { config: `prices: ${JSON.stringify(FAST)}\nbudgets: [{ name: all, limits: [${LIMITS}] }]` });
      const store = createMemoryStore();
      const prices = createPriceBook({ overrides: FAST.map((row) => ({ ...row, input: String(row.input), output: String(row.output) })) });
      const budgets = new Budgets({ store, prices, budgets: [defineBudget({ name: "all", limits: LIMITS })] });
      const name = path === FORMATS[0].path ? "openai" : "anthropic";
      const purser = connectPurser({ url: stand.url });
      context.after(() => purser.close());
      const body = JSON.stringify({ max_tokens: 200, messages: PLAIN_CALL.messages, ...call });
      for (const send of [purser.fetch({ provider: name }), createFetch({ budgets, provider: name })])
        assert.equal((await readAnswer(await send(provider.url + path, { method: "POST", headers: JSON_HEADERS, body }))).status, 200);
      const [there, here] = [await booked(stand.gateway.store), await booked(store)];
      assert.deepEqual(there, here);
      assert.ok(there.spent > 0);
    });
  }
});

/** So little that the input of each call is counted, and not only bound. */
const LIMITS = ["$0.50 / year", "50000 tokens / year"];
const FAST = [{ provider: "anthropic", model: "claude-opus-4-6-fast", input: 30, output: 150 }];

/** What was held and charged for the only call of a store. */
async function booked(store: Store) {
  await checkBooks(store);
  const entries = await readLedger(store, ["reserved", "settled"]);
  const [held, settled] = entries;
  assert.ok(held?.kind === "reserved" && settled?.kind === "settled");
  const { usage, cost, certainty } = settled.charge;
  const amounts = (entry: typeof held | typeof settled) =>
    entry.postings.map(({ counter, held: more, spent }) => [counter.unit, more, spent]);
  return { held: amounts(held), settled: amounts(settled), usage, certainty, spent: cost ?? 0 };
}

describe("while the gateway is away", () => {
  test("no call is admitted, and its caller reads why", async (context) => {
    const { stand, provider, connect, send, notices } = await startScene(context);
    const purser = connect();
    await stand.gateway.close();
    const { status, headers, json } = await readAnswer(await send(purser));
    assert.deepEqual([status, headers.get("retry-after"), json.error.code], [503, "5", "store_unavailable"]);
    assert.match(json.error.message, /cannot be asked: .*ECONNREFUSED.* No call is admitted meanwhile\./);
    assert.equal(provider.received.length, 0);
    assert.equal(notices.length, 1);
  });

  test("calls are made uncounted where the program says so", async (context) => {
    const { provider, connect, send, notices } = await startScene(context);
    const network = new Network();
    network.passes = () => "refused";
    const purser = connect({ failMode: "open", fetch: network.fetch });
    assert.equal((await send(purser)).status, 200);
    assert.equal(provider.received.length, 1);
    assert.equal(notices.length, 1);
    await purser.close();
    assert.deepEqual(network.asked, ["/api/decisions", "/api/decisions"], "what was never held is not settled");
  });

  test("a gateway that refuses is not away", async (context) => {
    const { connect, send } = await startScene(context);
    const purser = connect({ failMode: "open" });
    for (let i = 0; i < 3; i++) await readAnswer(await send(purser));
    assert.equal((await send(purser)).status, 402);
  });

  test("a connection that closes just as it is used costs nothing: the question is asked again", async (context) => {
    const { stand, connect, send, notices } = await startScene(context);
    const network = new Network();
    let lost = 0;
    network.passes = () => (lost++ % 2 === 0 ? "lost" : "passed");
    await readAnswer(await send(connect({ fetch: network.fetch })));
    assert.deepEqual(await spentBy(stand), { "company nanodollars": [111_000, 0], "each user requests": [1, 0] });
    assert.deepEqual(notices, []);
    assert.equal((await stand.ledger("reserved")).length, 1);
  });

  for (const again of ["lost", "refused"] as const) {
    test(`what was held for a call that nobody got to send is returned, where the answer is lost and then ${again}`, async (context) => {
      const { stand, provider, connect, send } = await startScene(context);
      const network = new Network();
      network.passes = (path) => (path !== "/api/decisions" ? "passed" : network.asked.length === 1 ? "lost" : again);
      const purser = connect({ fetch: network.fetch });
      assert.equal((await send(purser)).status, 503);
      assert.equal(provider.received.length, 0);
      await purser.close();
      await stand.checkBooks();
      assert.deepEqual(await spentBy(stand), { "company nanodollars": [0, 0], "each user requests": [0, 0] });
      assert.equal((await stand.ledger("released")).length, 1);
    });
  }

  test("what a call used is told later, and none is charged twice", async (context) => {
    const { stand, connect, send, notices } = await startScene(context);
    const network = new Network();
    network.passes = (path) => (path.endsWith("/settle") ? "refused" : "passed");
    const purser = connect({ fetch: network.fetch });
    for (let i = 0; i < 2; i++) assert.equal((await readAnswer(await send(purser))).status, 200);
    assert.deepEqual((await spentBy(stand))["each user requests"], [0, 2], "both are held until the gateway is told");
    assert.equal(notices.length, 1);
    network.passes = () => "passed";
    await purser.close();
    assert.deepEqual(await spentBy(stand), { "company nanodollars": [222_000, 0], "each user requests": [2, 0] });
    assert.equal((await stand.ledger("settled")).length, 2);
  });

  test("what it could not be told before the program ended is said, and charged when the leases run out", async (context) => {
    let now = Date.now();
    const store = createMemoryStore({ now: () => now });
    const provider = await startRawProvider(context);
    const gateway = await startGateway({
      config: readConfig({
        text: `server: { port: 0 }\n${CONFIG}`,
        environment: {},
        flags: { data: (await startStand(context, { config: CONFIG })).directory },
      }),
      store,
    });
    context.after(() => gateway.close());
    const network = new Network();
    network.passes = (path) => (path.endsWith("/settle") ? "refused" : "passed");
    const notices: string[] = [];
    const purser = connectPurser({ url: gateway.url, fetch: network.fetch, onNotice: (notice) => notices.push(notice) });
    const init = { method: "POST", headers: JSON_HEADERS, body: JSON.stringify(PLAIN_CALL) };
    await readAnswer(await purser.fetch(ANN)(`${provider.url}/v1/chat/completions`, init));
    await purser.close();
    assert.match(notices.join(), /was not told how 1 call ended/);
    now += LEASE_MS + 1;
    await gateway.budgets.expire();
    const [expired] = await readLedger(store, ["expired"]);
    assert.ok(expired?.kind === "expired" && expired.charge.certainty === "unconfirmed");
    await checkBooks(store);
  });

  test("a gateway that was started anew is told what its calls used, in the place of the estimate", async (context) => {
    const provider = await startRawProvider(context, answerChat({ input: 12, output: 5 }));
    const first = await startStand(context, { config: CONFIG, store: "sqlite" });
    const config = readConfig({ text: `server: { port: ${first.port} }\n${CONFIG}`, environment: {}, flags: { data: first.directory } });
    const network = new Network();
    network.passes = (path) => (path.endsWith("/settle") ? "refused" : "passed");
    const purser = connectPurser({ url: first.url, fetch: network.fetch, onNotice: () => undefined });
    const init = { method: "POST", headers: JSON_HEADERS, body: JSON.stringify(PLAIN_CALL) };
    await readAnswer(await purser.fetch(ANN)(`${provider.url}/v1/chat/completions`, init));
    await first.gateway.close();
    const second = await startGateway({ config });
    try {
      network.passes = () => "passed";
      await purser.close();
      const [corrected] = await readLedger(second.store, ["corrected"]);
      assert.ok(corrected?.kind === "corrected");
      assert.deepEqual(corrected.charge.usage, { inputTokens: 12, outputTokens: 5 });
      await checkBooks(second.store);
    } finally {
      await second.close();
    }
  });

  test("a caller that goes away while its call is decided leaves nothing held", async (context) => {
    const { stand, provider, connect, send } = await startScene(context);
    const gone = new AbortController();
    const hangs: Fetch = async (input, init) => {
      const { signal = null, ...asked } = init ?? {};
      const answer = await fetch(input, asked);
      if (!String(input).endsWith("/api/decisions")) return answer;
      const aborted = new Promise<never>((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
      gone.abort();
      return aborted;
    };
    const purser = connect({ fetch: hangs });
    await assert.rejects(send(purser, {}, ANN, { signal: gone.signal }), { name: "AbortError" });
    await eventually("the hold to be returned", async () => (await stand.ledger("released")).length === 1 || undefined);
    assert.equal(provider.received.length, 0);
    await stand.checkBooks();
  });

  test("no call is made any more when the program has let go", async (context) => {
    const { provider, connect, send } = await startScene(context);
    const purser = connect({ failMode: "open" });
    await purser.close();
    assert.equal((await send(purser)).status, 503);
    assert.equal(provider.received.length, 0);
  });
});
