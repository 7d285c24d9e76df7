import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { both } from "../call-events.ts";
import { openaiChat } from "../dialects/openai-chat/index.ts";
import { Figures } from "../metrics/figures.ts";
import { SpanQueue } from "../telemetry/export.ts";
import { ATTRIBUTE, METRIC } from "../telemetry/names.ts";
import { type Collector, type ReceivedSpan, startCollector } from "./collector.ts";
import { answerChat, chatAnswer, type RawProvider, startRawProvider, writeJson } from "./raw-provider.ts";
import { eventually, PRICES, providersAt, type Stand, startStand } from "./stand.ts";

const PARENT = { traceId: "4bf92f3577b34da6a3ce929d0e0e4736", spanId: "00f067aa0ba902b7" };
const SECRET_WORDS = "the password of the harbour";

const BUDGETS = `
budgets:
  - name: company
    limits: [$20 / month]
  - name: each user
    for: { user: eve }
    limits: [1 tokens / day]`;

interface Traced {
  readonly stand: Stand;
  readonly provider: RawProvider;
}

async function startTraced(context: TestContext, otlp: string, more = ""): Promise<Traced> {
  const provider = await startRawProvider(context);
  const telemetry = `telemetry: { otlp: "${otlp}", headers: { x-tenant: crew }, service_name: purser-test, attributes: { deployment.environment.name: test }${more} }`;
  return { provider, stand: await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\n${telemetry}\n${BUDGETS}` }) };
}

async function call({ url }: Stand, user: string, more: object = {}, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "x-purser-user": user, ...headers },
    body: JSON.stringify({ model: "gpt-4o", max_tokens: 50, messages: [{ role: "user", content: SECRET_WORDS }], ...more }),
  });
}

const CACHED_USAGE = { input: 12, output: 5 };

/** A stream of two pieces with usage at its end, or without its end. */
function stream({ isCut = false } = {}): RawProvider["answer"] {
  return (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    const event = (delta: object, more: object = {}) =>
      response.write(`data: ${JSON.stringify({ id: "c", model: "m", choices: [{ index: 0, delta, finish_reason: null }], ...more })}\n\n`);
    event({ role: "assistant", content: "Aye " });
    if (isCut) return setImmediate(() => response.destroy());
    event({ content: "aye." });
    response.write(
      `data: ${JSON.stringify({ id: "c", model: "m", choices: [{ index: 0, delta: {}, finish_reason: "stop" }], usage: { prompt_tokens: 30, completion_tokens: 7, total_tokens: 37 } })}\n\n`,
    );
    response.end("data: [DONE]\n\n");
  };
}

/** The spans of a user's call: what the caller asked here, and what was asked of a provider. */
function spansOf({ spans }: Collector, user: string): { readonly server: ReceivedSpan; readonly client: ReceivedSpan | undefined } {
  const own = spans.filter(({ attributes }) => attributes["purser.user"] === user);
  const { traceId } = own[0] ?? assert.fail(`no span of ${user}`);
  const inTrace = spans.filter((span) => span.traceId === traceId);
  const server = inTrace.find(({ kind }) => kind === "SERVER") ?? assert.fail(`no server span of ${user}`);
  assert.ok(inTrace.length <= 2, `${inTrace.length} spans of ${user}`);
  return { server, client: inTrace.find(({ kind }) => kind === "CLIENT") };
}

test("a collector sees every call as the ledger has it, with the caller's trace, and no word that was said", async (context) => {
  const collector = await startCollector(context);
  const { stand, provider } = await startTraced(context, collector.url);

  provider.answer = (response) =>
    writeJson(response, 200, {
      ...chatAnswer(SECRET_WORDS, CACHED_USAGE),
      usage: { prompt_tokens: 12, completion_tokens: 5, total_tokens: 17, prompt_tokens_details: { cached_tokens: 4 } },
    });
  const traceparent = `00-${PARENT.traceId}-${PARENT.spanId}-01`;
  await (await call(stand, "ann", {}, { traceparent, tracestate: "vendor=1", "x-purser-session": "s1", "x-purser-team": "deck" })).text();
  const handedOn = provider.received.at(-1)?.headers;
  provider.answer = stream();
  await (await call(stand, "bob", { stream: true })).text();
  assert.equal((await call(stand, "eve")).status, 413);
  provider.answer = (response) => writeJson(response, 500, { error: { message: "no" } });
  assert.equal((await call(stand, "cid")).status, 500);
  provider.answer = stream({ isCut: true });
  await (await call(stand, "dan", { stream: true })).text().catch(() => undefined);
  provider.answer = answerChat();
  await (await call(stand, "fay", {}, { traceparent: "00-zz-zz-01", tracestate: "vendor=2" })).text();
  const untraced = provider.received.at(-1)?.headers;
  assert.equal((await call(stand, "gus", {}, { traceparent: `00-${"1".repeat(32)}-${"2".repeat(16)}-00` })).status, 200);
  assert.equal((await call(stand, "ann", { messages: "nothing" })).status, 400);
  await stand.checkBooks();
  const settled = (await stand.ledger("settled")).flatMap((entry) => (entry.kind === "settled" ? [entry] : []));
  await stand.gateway.close();

  const ann = spansOf(collector, "ann");
  assert.equal(ann.client?.name, "chat gpt-4o");
  assert.equal(ann.server.name, "POST /chat/completions");
  assert.equal(ann.server.traceId, PARENT.traceId);
  assert.equal(ann.server.parentSpanId, PARENT.spanId);
  assert.equal(ann.client?.parentSpanId, ann.server.spanId);
  assert.equal(handedOn?.traceparent, `00-${PARENT.traceId}-${ann.client?.spanId}-01`);
  assert.equal(handedOn?.tracestate, "vendor=1");
  const { "purser.request.id": id, ...attributes } = ann.client?.attributes ?? {};
  assert.deepEqual(attributes, {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "mock",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "m",
    "gen_ai.request.max_tokens": 50,
    "gen_ai.conversation.id": "s1",
    "gen_ai.usage.input_tokens": 12,
    "gen_ai.usage.output_tokens": 5,
    "gen_ai.usage.cache_read.input_tokens": 4,
    "server.address": "127.0.0.1",
    "server.port": Number(new URL(provider.url).port),
    "purser.user": "ann",
    "purser.team": "deck",
    "purser.cost": 8 * 3_000 + 4 * 300 + 5 * 15_000,
    "purser.cost.certainty": "confirmed",
  });
  assert.equal(ann.server.attributes["http.response.status_code"], 200);
  assert.equal(ann.client?.resource["service.name"], "purser-test");
  assert.equal(ann.client?.resource["deployment.environment.name"], "test");
  assert.ok(collector.headers.every((headers) => headers["x-tenant"] === "crew"));

  const bob = spansOf(collector, "bob");
  assert.equal(bob.client?.attributes["gen_ai.request.stream"], true);
  assert.ok(Number(bob.client?.attributes["gen_ai.response.time_to_first_chunk"]) > 0);
  assert.equal(bob.client?.attributes["gen_ai.usage.input_tokens"], 30);
  assert.equal(bob.client?.attributes["gen_ai.response.model"], "m");

  const eve = spansOf(collector, "eve");
  assert.equal(eve.client, undefined, "nobody was asked");
  assert.equal(eve.server.attributes["purser.refusal.reason"], "request_too_large");
  assert.equal(eve.server.attributes["purser.budget.refused"], "each user");
  assert.equal(eve.server.attributes["error.type"], "request_too_large");
  assert.equal(eve.server.isError, false, "a refusal is no fault of the server");

  const cid = spansOf(collector, "cid");
  assert.equal(cid.client?.attributes["error.type"], "500");
  assert.ok(cid.client?.isError && cid.server.isError);

  const dan = spansOf(collector, "dan");
  assert.equal(dan.client?.attributes["error.type"], "cut");
  assert.equal(dan.client?.attributes["purser.cost.certainty"], "estimated");

  const fay = spansOf(collector, "fay");
  assert.equal(untraced?.traceparent, `00-${fay.client?.traceId}-${fay.client?.spanId}-01`, "what cannot be read is not handed on");
  assert.equal(untraced?.tracestate, undefined);
  assert.ok(!collector.spans.some(({ traceId }) => traceId === "1".repeat(32)), "a caller who does not record is not recorded");
  assert.ok(collector.spans.some(({ attributes: { "error.type": type } }) => type === "body_invalid"));

  for (const { start, end } of collector.spans) assert.ok(start <= end);
  for (const span of collector.spans.filter(({ kind }) => kind === "CLIENT")) {
    const entry = settled.find(({ reservation }) => reservation === span.attributes["purser.request.id"]);
    if (span.attributes["purser.user"] === "cid") continue;
    assert.deepEqual(
      [span.attributes["gen_ai.usage.input_tokens"], span.attributes["gen_ai.usage.output_tokens"], span.attributes["purser.cost"]],
      [entry?.charge.usage.inputTokens, entry?.charge.usage.outputTokens, entry?.charge.cost],
    );
  }
  assert.ok(settled.some(({ reservation }) => reservation === id));

  const sum = (metric: string, name?: string, value?: string) =>
    collector.points
      .filter((point) => point.metric === metric && (name === undefined || point.attributes[name] === value))
      .reduce((all, point) => all + point.sum, 0);
  const total = (of: (charge: (typeof settled)[number]["charge"]) => number | undefined) =>
    settled.reduce((all, { charge }) => all + (of(charge) ?? 0), 0);
  assert.equal(
    sum("gen_ai.client.token.usage", "gen_ai.token.type", "input"),
    total(({ usage }) => usage.inputTokens),
  );
  assert.equal(
    sum("gen_ai.client.token.usage", "gen_ai.token.type", "output"),
    total(({ usage }) => usage.outputTokens),
  );
  assert.equal(
    sum("purser.cost"),
    total(({ cost }) => cost),
  );
  assert.equal(sum("purser.refusals", "purser.budget.refused", "each user"), 1);
  const durations = collector.points.filter(({ metric }) => metric === "gen_ai.client.operation.duration");
  assert.deepEqual(durations.map(({ attributes: { "error.type": type } }) => type).toSorted(), ["500", "cut", undefined]);
  assert.equal(
    durations.reduce((all, { count = 0 }) => all + count, 0),
    6,
  );
  for (const point of collector.points) {
    const metric = Object.values(METRIC).find(({ name }) => name === point.metric) ?? assert.fail(point.metric);
    assert.equal(point.unit, metric.unit);
    if ("bounds" in metric) assert.deepEqual(point.bounds, [...metric.bounds]);
    const known = metric.attributes.map(({ name }) => name as string);
    for (const name of Object.keys(point.attributes)) assert.ok(known.includes(name), `${point.metric} has ${name}`);
  }
  const names = new Set<string>(Object.values(ATTRIBUTE).map(({ name }) => name));
  for (const span of collector.spans) for (const name of Object.keys(span.attributes)) assert.ok(names.has(name), name);
  for (const text of collector.texts) for (const word of [SECRET_WORDS, "provider-secret"]) assert.ok(!text.includes(word), word);
});

test("a call whose answer was known is seen with the call that it is from, what that saved, and no provider", async (context) => {
  const collector = await startCollector(context);
  const provider = await startRawProvider(context);
  const config = `${providersAt(provider.url)}\n${PRICES}\ntelemetry: { otlp: "${collector.url}" }
budgets: [{ name: all, limits: [$1], ladder: { 0%: cache similar 0.5 } }]`;
  const stand = await startStand(context, { config });
  const from = (await call(stand, "ann")).headers.get("x-purser-request-id");
  const [settled = assert.fail()] = await stand.entries(1, "settled");
  await call(stand, "ann", { messages: [{ role: "user", content: `${SECRET_WORDS}, please` }] });
  await stand.entries(1, "answered");
  await stand.gateway.close();

  const known = collector.spans.find(({ attributes }) => attributes["purser.known.rung"] !== undefined) ?? assert.fail("no span");
  assert.deepEqual(
    ["purser.known.from", "purser.known.rung", "purser.saved", "purser.user", "error.type"].map((name) => known.attributes[name]),
    [from, "cache similar 0.5 60m (all 0%)", settled.charge.cost, "ann", undefined],
  );
  assert.ok(Number(known.attributes["purser.known.nearness"]) > 0.5);
  assert.equal(collector.spans.filter(({ kind }) => kind === "CLIENT").length, 1);
  const sumOf = (metric: string) => collector.points.filter((point) => point.metric === metric).reduce((all, { sum }) => all + sum, 0);
  assert.deepEqual([sumOf("purser.known_answers"), sumOf("purser.saved")], [1, settled.charge.cost]);
  for (const text of collector.texts) assert.ok(!text.includes(SECRET_WORDS));
});

test("each attempt at a provider is a span of its own, charged by itself, and what the next one made good is no error of the call", async (context) => {
  const collector = await startCollector(context);
  const [one, two] = [await startRawProvider(context), await startRawProvider(context)];
  const at = ({ url }: RawProvider) => `{ base_url: { openai: "${url}/v1" }, api_key: k }`;
  const stand = await startStand(context, {
    config: `
providers: { one: ${at(one)}, two: ${at(two)} }
routes: [{ model: gpt-4o, providers: [one, two] }]
${PRICES}
telemetry: { otlp: "${collector.url}" }
budgets: [{ name: all, limits: [$100] }]`,
  });
  one.answer = (response) => response.socket?.destroy();
  two.answer = answerChat();
  assert.equal((await call(stand, "ann")).status, 200);
  const charged = (await stand.ledger("settled")).flatMap((entry) => (entry.kind === "settled" ? [entry] : []));
  await stand.checkBooks();
  await stand.gateway.close();

  const [server, ...others] = collector.spans.filter(({ kind }) => kind === "SERVER");
  assert.deepEqual([others.length, server?.attributes["error.type"], server?.attributes["http.response.status_code"]], [0, undefined, 200]);
  const attempts = collector.spans.filter(({ kind }) => kind === "CLIENT");
  assert.deepEqual(
    attempts.map(({ parentSpanId, attributes }) => [parentSpanId, attributes["gen_ai.provider.name"], attributes["error.type"]]),
    [
      [server?.spanId, "one", "broken"],
      [server?.spanId, "two", undefined],
    ],
  );
  assert.deepEqual(
    attempts.map(({ attributes }) => [attributes["purser.request.id"], attributes["purser.cost"]]),
    charged.map(({ reservation, charge }) => [reservation, charge.cost]),
  );
  const asked = [one, two].map(({ received }) => received.at(-1)?.headers.traceparent);
  assert.deepEqual(
    asked,
    attempts.map(({ traceId, spanId }) => `00-${traceId}-${spanId}-01`),
  );
});

test("a collector that is down, or takes and never answers, costs no call anything, and what it missed is counted", async (context) => {
  const silent = await startCollector(context, () => undefined);
  const closed = ["http://127.0.0.1:9", silent.url].map(async (otlp) => {
    const { stand, provider } = await startTraced(context, otlp);
    assert.equal((await call(stand, "ann")).status, 200);
    assert.equal(provider.received.length, 1);
    await stand.checkBooks();
    const began = performance.now();
    await stand.gateway.close();
    assert.ok(performance.now() - began < 10_000, "nobody waits for it");
  });
  await Promise.all(closed);
});

test("spans that wait for their collector are so many at most, and every other one is counted", () => {
  const figures = new Figures();
  const waiting: unknown[] = [];
  let done: (result: { code: number }) => void = () => undefined;
  type Export = Parameters<ConstructorParameters<typeof SpanQueue>[0]>[0];
  let exporter: Export | undefined;
  const nothing = async () => undefined;
  const queue = new SpanQueue(
    (given) => {
      exporter = given;
      return { onStart: () => undefined, onEnd: (span) => void waiting.push(span), forceFlush: nothing, shutdown: nothing };
    },
    {
      export: (_, told) => {
        done = told;
      },
      forceFlush: nothing,
      shutdown: nothing,
    },
    (what, count) => figures.lost(what, count),
  );
  const lost = () => figures.counted().lost.map(({ labels, cells }) => [labels[0], cells[0]]);
  const span = { spanContext: () => ({ traceFlags: 1 }) } as Parameters<typeof queue.onEnd>[0];
  for (let i = 0; i < SpanQueue.MOST + 10; i++) queue.onEnd(span);
  assert.equal(waiting.length, SpanQueue.MOST);
  assert.deepEqual(lost(), [["spans", 10]]);
  exporter?.export([span, span], () => undefined);
  queue.onEnd(span);
  assert.deepEqual(lost(), [["spans", 11]], "what is on its way is still there");
  done({ code: 1 });
  assert.deepEqual(lost(), [["spans", 13]]);
  for (let i = 0; i < 3; i++) queue.onEnd(span);
  assert.deepEqual(lost(), [["spans", 14]], "two have room again");
});

test("what goes wrong in who only watches changes nothing for a call, and is told", () => {
  const figures = new Figures();
  const errors: unknown[] = [];
  const broken = new Proxy(figures, { get: () => () => assert.fail("broken") });
  const events = both(figures, broken, (error) => errors.push(error));
  events.began("a", { headers: {}, rawHeaders: [], url: "/" }, openaiChat, false);
  events.rejected("a", "body_invalid");
  events.ended("a", 400);
  assert.equal(errors.length, 3);
  assert.deepEqual([...(figures.counted().calls[0]?.cells ?? [])], [1, 1]);
});

test("the reference has every name that is sent, and no other", () => {
  const page = readFileSync(new URL("../../../../docs/reference/telemetry.md", import.meta.url), "utf8");
  const written = [...page.matchAll(/^\| `([a-z_.]+)` \|/gm)].map(([, name]) => name);
  const sent = [...Object.values(METRIC), ...Object.values(ATTRIBUTE)].map(({ name }) => name);
  assert.deepEqual(written, sent);
  for (const { name, what } of [...Object.values(METRIC), ...Object.values(ATTRIBUTE)])
    assert.ok(page.includes(what), `${name} is described otherwise: ${what}`);
});

test("metrics count every call where few traces are sent", async (context) => {
  const collector = await startCollector(context);
  const { stand } = await startTraced(context, collector.url, ", sample: 0");
  await (await call(stand, "ann")).text();
  await eventually("the call to be settled", async () => ((await stand.ledger("settled")).length > 0 ? true : undefined));
  await stand.gateway.close();
  assert.equal(collector.spans.length, 0);
  assert.ok(collector.points.some(({ metric }) => metric === "gen_ai.client.token.usage"));
});
