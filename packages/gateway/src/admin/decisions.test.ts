import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { createMemoryStore, type Store } from "@purser/core";
import { type RunningGateway, startGateway } from "../app.ts";
import { readConfig } from "../config/read-config.ts";
import { eventually, NANODOLLARS, PRICES, providersAt, startStand } from "../conformance/stand.ts";

const BUDGETS = `budgets:
  - { name: company, limits: [$1 / month] }
  - { name: users, per: user, limits: [3000 tokens / day] }
  - { name: small, for: { feature: small }, request: { max_input: 100, models: [m, gpt-4o] } }`;
const CONFIG = [providersAt("http://127.0.0.1:9"), PRICES, BUDGETS].join("\n");
const CALL = {
  subject: { user: "ann", provider: "mock", model: "m" },
  input_tokens: 1_000,
  max_output_tokens: 500,
  least_output_tokens: 500,
};
const USAGE = { input_tokens: 900, cache_read_input_tokens: 400, output_tokens: 100 };
const COST = 500 * NANODOLLARS.input + 400 * NANODOLLARS.cacheRead + 100 * NANODOLLARS.output;

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: JSON from outside has no type.
  readonly body: any;
}

async function post(url: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  return ask(url, { method: "POST", headers, ...(body !== undefined && { body: JSON.stringify(body) }) });
}

async function ask(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, init);
  return { status: response.status, headers: response.headers, body: await response.json() };
}

/** A gateway over a store of the test's own, or over a folder. */
async function startOver(
  context: TestContext,
  { store, data, config = CONFIG }: { readonly store?: Store; readonly data?: string; readonly config?: string },
) {
  const directory = data ?? (await mkdtemp(join(tmpdir(), "purser-decisions-")));
  const text = `server: { port: 0 }\ndata: ${JSON.stringify(directory)}\n${config}\n`;
  const gateway = await startGateway({ config: readConfig({ text, environment: {} }), ...(store && { store }) });
  if (data === undefined) {
    context.after(async () => {
      await gateway.close();
      await rm(directory, { recursive: true });
    });
  }
  return gateway;
}

async function usersBalance(gateway: RunningGateway) {
  const [balance] = await gateway.budgets.balances({ budget: "users" });
  return { spent: balance?.spent, held: balance?.held };
}

describe("decisions for other gateways", () => {
  test("a call is held on all its budgets, and charged what it used", async (context) => {
    const { url, gateway, checkBooks } = await startStand(context, { config: CONFIG });
    const { status, body } = await post(`${url}/api/decisions`, CALL);
    assert.equal(status, 200);
    const { id, expires_at, balances, ...rest } = body;
    assert.deepEqual(rest, { outcome: "allowed", output_tokens: 500, input_tokens: 1_000 });
    assert.match(id, /^dec_/);
    assert.ok(Math.abs(Date.parse(expires_at) - Date.now() - 600_000) < 5_000, expires_at);
    const described = (await ask(`${url}/api/budgets`)).body.data;
    assert.deepEqual([...balances].sort(byBudget), [...described].sort(byBudget));
    assert.deepEqual(await usersBalance(gateway), { spent: 0, held: 1_500 });

    const settled = await post(`${url}/api/decisions/${id}/settle`, { usage: USAGE });
    assert.deepEqual(settled.body, { id, outcome: "settled", usage: USAGE, cost_nanodollars: COST, certainty: "confirmed" });
    assert.deepEqual(await usersBalance(gateway), { spent: 1_000, held: 0 });
    const report = (await ask(`${url}/api/requests/${id}`)).body;
    assert.equal(report.cost_nanodollars, COST);
    assert.equal(report.outcome, "settled");
    await checkBooks();
  });

  test("two gateways cannot share the last tokens", async (context) => {
    const { url, gateway } = await startStand(context, { config: CONFIG });
    const answers = await Promise.all(Array.from({ length: 8 }, () => post(`${url}/api/decisions`, CALL)));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 200, 429, 429, 429, 429, 429, 429]);
    assert.deepEqual(await usersBalance(gateway), { spent: 0, held: 3_000 });
    const refused = answers.find(({ status }) => status === 429);
    assert.equal(refused?.body.code, "budget_busy");
    assert.equal(refused?.headers.get("retry-after"), "1");
  });

  test("the output cap is lowered to what fits, and not below what the call needs", async (context) => {
    const { url } = await startStand(context, { config: CONFIG });
    const { body } = await post(`${url}/api/decisions`, { ...CALL, max_output_tokens: 9_000 });
    assert.equal(body.output_tokens, 2_000);
    await post(`${url}/api/decisions/${body.id}/release`);
    assert.equal((await post(`${url}/api/decisions`, { ...CALL, max_output_tokens: 9_000, least_output_tokens: 2_001 })).status, 413);
  });

  test("a refusal has the status, headers and budget of the gateway's own", async (context) => {
    const { url, ledger } = await startStand(context, { config: CONFIG });
    const { body } = await post(`${url}/api/decisions`, CALL);
    await post(`${url}/api/decisions/${body.id}/settle`, { usage: { input_tokens: 2_000, output_tokens: 0 } });

    const exhausted = await post(`${url}/api/decisions`, { ...CALL, id: "call-2" });
    assert.equal(exhausted.status, 402);
    assert.equal(exhausted.headers.get("content-type"), "application/problem+json");
    assert.equal(exhausted.headers.get("x-should-retry"), "false");
    assert.equal(exhausted.headers.get("retry-after"), null);
    assert.match(exhausted.headers.get("ratelimit") ?? "", /^"users-tokens-day";r=1000;t=\d+/);
    assert.equal(exhausted.body.code, "budget_exhausted");
    assert.equal(exhausted.body.id, "call-2");
    assert.match(exhausted.body.detail, /^Budget "users" \(user=ann\) has 1,000 tokens left of 3,000 tokens today/);
    const { name, subject, limit, spent, left, asked } = exhausted.body.budget;
    assert.deepEqual([name, subject, limit, spent, left, asked], ["users", "user=ann", 3_000, 2_000, 1_000, 1_500]);
    await eventually("the refusal in the ledger", async () => (await ledger("denied")).length === 1 || undefined);

    const small = { ...CALL.subject, feature: "small" };
    assert.equal((await post(`${url}/api/decisions`, { ...CALL, subject: small })).status, 413);
    const other = await post(`${url}/api/decisions`, { ...CALL, subject: { ...small, model: "n" } });
    assert.deepEqual([other.status, other.body.code], [400, "model_not_allowed"]);
  });

  test("a repeated question gets the same answer and holds nothing twice", async (context) => {
    const { url, gateway } = await startStand(context, { config: CONFIG });
    const asked = { ...CALL, id: "call-1" };
    const answers = await Promise.all([post(`${url}/api/decisions`, asked), post(`${url}/api/decisions`, asked)]);
    const byHeader = await post(`${url}/api/decisions`, CALL, { "idempotency-key": "call-1" });
    for (const { status, body } of [...answers, byHeader]) {
      assert.equal(status, 200);
      assert.deepEqual(body, answers[0]?.body);
    }
    assert.deepEqual(await usersBalance(gateway), { spent: 0, held: 1_500 });
  });

  test("one id cannot let two calls through", async (context) => {
    const { url, gateway } = await startStand(context, { config: CONFIG });
    const asked = { ...CALL, id: "call-1" };
    const others = [
      { ...asked, input_tokens: 1_001 },
      { ...asked, copies: 2 },
      { ...asked, subject: { ...CALL.subject, user: "bob" } },
    ];
    assert.equal((await post(`${url}/api/decisions`, asked)).status, 200);
    for (const other of others) assert.equal((await post(`${url}/api/decisions`, other)).status, 400);
    assert.equal((await post(`${url}/api/decisions/call-1/settle`, { usage: USAGE })).body.outcome, "settled");
    const again = await post(`${url}/api/decisions`, asked);
    assert.equal(again.status, 400);
    assert.match(again.body.detail, /"call-1" was used/);
    assert.deepEqual(await usersBalance(gateway), { spent: 1_000, held: 0 });
  });

  test("a refused id can be asked again", async (context) => {
    const { url } = await startStand(context, { config: CONFIG });
    const { body } = await post(`${url}/api/decisions`, { ...CALL, max_output_tokens: 2_000 });
    const asked = { ...CALL, id: "call-1" };
    assert.equal((await post(`${url}/api/decisions`, asked)).status, 429);
    await post(`${url}/api/decisions/${body.id}/release`, { why: "the upstream was down" });
    assert.equal((await post(`${url}/api/decisions`, asked)).status, 200);
  });

  test("settling twice charges once, and says what was charged", async (context) => {
    const { url, gateway } = await startStand(context, { config: CONFIG });
    const { body } = await post(`${url}/api/decisions`, CALL);
    await post(`${url}/api/decisions/${body.id}/settle`, { usage: USAGE, certainty: "estimated" });
    const again = await post(`${url}/api/decisions/${body.id}/settle`, { usage: { input_tokens: 1, output_tokens: 1 } });
    assert.deepEqual(again.body, { id: body.id, outcome: "duplicate", usage: USAGE, cost_nanodollars: COST, certainty: "estimated" });
    assert.equal((await post(`${url}/api/decisions/${body.id}/release`)).body.outcome, "duplicate");
    assert.equal((await post(`${url}/api/decisions/${body.id}/extend`, { lease_seconds: 60 })).status, 404);
    assert.deepEqual(await usersBalance(gateway), { spent: 1_000, held: 0 });
  });

  test("a released call costs nothing", async (context) => {
    const { url, gateway, checkBooks } = await startStand(context, { config: CONFIG });
    const { body } = await post(`${url}/api/decisions`, CALL);
    assert.deepEqual((await post(`${url}/api/decisions/${body.id}/release`)).body, { id: body.id, outcome: "released" });
    assert.deepEqual(await usersBalance(gateway), { spent: 0, held: 0 });
    await checkBooks();
  });

  test("what nobody knows is charged as it was held", async (context) => {
    const { url } = await startStand(context, { config: CONFIG });
    const { body } = await post(`${url}/api/decisions`, { ...CALL, copies: 2 });
    const settled = await post(`${url}/api/decisions/${body.id}/settle`, { usage: { input_tokens: 900 } });
    assert.deepEqual(settled.body.usage, { input_tokens: 900, output_tokens: 1_000 });
    assert.equal(settled.body.certainty, "unconfirmed");
  });

  test("a hold whose lease ran out is charged at its estimate, and late truth corrects that", async (context) => {
    let now = Date.now();
    const store = createMemoryStore({ now: () => now });
    const gateway = await startOver(context, { store });
    const url = `${gateway.url}/api/decisions`;
    await post(url, { ...CALL, id: "late", lease_seconds: 60 });
    await post(url, { ...CALL, id: "renewed", lease_seconds: 60 });
    const extended = await post(`${url}/renewed/extend`, { lease_seconds: 600 });
    assert.deepEqual(extended.body, { id: "renewed", outcome: "extended", expires_at: new Date(now + 600_000).toISOString() });
    now += 61_000;
    await gateway.budgets.expire();
    assert.deepEqual(await usersBalance(gateway), { spent: 1_500, held: 1_500 });
    assert.equal((await post(`${url}/late/extend`, { lease_seconds: 60 })).status, 404);
    const settled = await post(`${url}/late/settle`, { usage: USAGE });
    assert.deepEqual([settled.body.outcome, settled.body.cost_nanodollars], ["corrected", COST]);
    assert.deepEqual(await usersBalance(gateway), { spent: 1_000, held: 1_500 });
  });

  test("a decision is settled at its price after a restart", async (context) => {
    const data = await mkdtemp(join(tmpdir(), "purser-decisions-"));
    context.after(() => rm(data, { recursive: true }));
    const first = await startOver(context, { data });
    for (const id of ["known", "unknown"])
      await post(`${first.url}/api/decisions`, { ...CALL, max_output_tokens: 100, least_output_tokens: 0, copies: 2, id });
    await first.close();

    const second = await startOver(context, { data });
    try {
      const url = `${second.url}/api/decisions`;
      const known = await post(`${url}/known/settle`, { usage: USAGE });
      assert.deepEqual(known.body, { id: "known", outcome: "corrected", usage: USAGE, cost_nanodollars: COST, certainty: "confirmed" });
      const unknown = await post(`${url}/unknown/settle`, { usage: {} });
      assert.deepEqual(unknown.body.usage, { input_tokens: 1_000, output_tokens: 200 });
      assert.equal(unknown.body.cost_nanodollars, 1_000 * NANODOLLARS.input + 200 * NANODOLLARS.output);
      assert.equal((await post(url, { ...CALL, id: "known" })).status, 400);
      assert.deepEqual(await usersBalance(second), { spent: 2_200, held: 0 });
    } finally {
      await second.close();
    }
  });

  test("a mode and a tier with prices of their own are held and charged at those, also after a restart", async (context) => {
    const data = await mkdtemp(join(tmpdir(), "purser-decisions-"));
    context.after(() => rm(data, { recursive: true }));
    const fast = CONFIG.replace("prices: [", "prices: [{ model: m-fast, input: 30, output: 150, priority: 2, max_output: 8192 }, ");
    const first = await startOver(context, { data, config: fast });
    const asked = { ...CALL, priced_as: "m-fast", service: "priority", id: "call-1" };
    assert.equal((await post(`${first.url}/api/decisions`, asked)).status, 200);
    const [held] = await first.budgets.balances({ budget: "company" });
    assert.equal(held?.held, 2 * (1_000 * 30_000 + 500 * 150_000));
    for (const other of [{ priced_as: "m" }, { service: "standard" }])
      assert.equal((await post(`${first.url}/api/decisions`, { ...asked, ...other })).status, 400, "another call under the same id");
    await first.close();

    const second = await startOver(context, { data, config: fast });
    try {
      const usage = { input_tokens: 900, output_tokens: 100, besides: { input_tokens: 50, output_tokens: 10 } };
      const { body } = await post(`${second.url}/api/decisions/call-1/settle`, { usage, service: "priority" });
      assert.equal(body.cost_nanodollars, 2 * (950 * 30_000 + 110 * 150_000));
      assert.deepEqual(body.usage, usage);
      const report = (await ask(`${second.url}/api/requests/call-1`)).body;
      assert.deepEqual([report.usage, report.cost_nanodollars], [usage, body.cost_nanodollars]);
    } finally {
      await second.close();
    }
  });

  test("a text is counted where its length would refuse it", async (context) => {
    const { url } = await startStand(context, { config: CONFIG });
    const call = { subject: { ...CALL.subject, feature: "small", model: "gpt-4o" }, text: "budget ".repeat(60), max_output_tokens: 10 };
    const { status, body } = await post(`${url}/api/decisions`, call);
    assert.equal(status, 200);
    assert.ok(body.input_tokens > 60 && body.input_tokens <= 100, body.input_tokens);
    const long = await post(`${url}/api/decisions`, { ...call, text: "budget ".repeat(200) });
    assert.deepEqual([long.status, long.body.code], [413, "request_too_large"]);
  });

  test("while the store is down, calls are refused or go uncounted, as their budgets say", async (context) => {
    const closed = await startStand(context, { config: CONFIG, store: "sqlite" });
    await closed.gateway.store.close();
    const refused = await post(`${closed.url}/api/decisions`, CALL);
    assert.deepEqual([refused.status, refused.body.code, refused.headers.get("retry-after")], [503, "store_unavailable", "5"]);

    const config = CONFIG.replaceAll("limits:", "on_store_failure: open, limits:").replace("request:", "on_store_failure: open, request:");
    const open = await startStand(context, { config, store: "sqlite" });
    await open.gateway.store.close();
    const { status, headers, body } = await post(`${open.url}/api/decisions`, CALL);
    assert.deepEqual([status, body.outcome, body.output_tokens], [200, "uncounted", 500]);
    assert.equal(headers.get("x-purser-uncounted"), "store unavailable");
  });

  test("a wrong question is refused with the name of the field", async (context) => {
    const { url, ledger } = await startStand(context, { config: CONFIG });
    const { input_tokens, ...unsized } = CALL;
    for (const [body, field] of [
      [undefined, "body"],
      [[], "body"],
      [{ ...CALL, max_tokens: 5 }, '"max_tokens"'],
      [unsized, '"input_tokens"'],
      [{ ...CALL, text: "a" }, '"text"'],
      [{ ...unsized, text: 5 }, '"text"'],
      [{ ...CALL, input_tokens: -1 }, '"input_tokens"'],
      [{ ...CALL, input_tokens: "5" }, '"input_tokens"'],
      [{ ...CALL, input_tokens: 1.5 }, '"input_tokens"'],
      [{ ...CALL, input_tokens: 1e15 }, '"input_tokens"'],
      [{ ...CALL, max_output_tokens: undefined }, '"max_output_tokens"'],
      [{ ...CALL, least_output_tokens: 501 }, '"least_output_tokens"'],
      [{ ...CALL, copies: 0 }, '"copies"'],
      [{ ...CALL, lease_seconds: 0 }, '"lease_seconds"'],
      [{ ...CALL, lease_seconds: 1e9 }, '"lease_seconds"'],
      [{ ...CALL, tool_calls: { search: -1 } }, '"tool_calls"'],
      [{ ...CALL, priced_as: "" }, '"priced_as"'],
      [{ ...CALL, service: "fast" }, '"service"'],
      [{ ...CALL, id: "req_1" }, '"id"'],
      [{ ...CALL, id: "a/b" }, '"id"'],
      [{ ...CALL, id: 5 }, '"id"'],
      [{ ...CALL, subject: undefined }, '"subject"'],
      [{ ...CALL, subject: { ...CALL.subject, model: undefined } }, '"model"'],
      [{ ...CALL, subject: { ...CALL.subject, provider: "" } }, '"subject.provider"'],
      [{ ...CALL, subject: { ...CALL.subject, teem: "a" } }, '"teem"'],
      [{ ...CALL, subject: { ...CALL.subject, user: "a\nb" } }, '"subject.user"'],
      [{ ...CALL, subject: { ...CALL.subject, tags: { "a b": "c" } } }, "tag"],
      [{ ...CALL, subject: { ...CALL.subject, tags: { a: 1 } } }, '"subject.tags.a"'],
    ] as const) {
      const answer = await post(`${url}/api/decisions`, body);
      assert.deepEqual([answer.status, answer.body.code], [400, "body_invalid"], JSON.stringify(body));
      assert.ok(answer.body.detail.includes(field), `${JSON.stringify(body)}: ${answer.body.detail}`);
    }
    const { body } = await post(`${url}/api/decisions`, CALL);
    for (const settlement of [
      undefined,
      {},
      { usage: USAGE, cost: 1 },
      { usage: { tokens: 5 } },
      { usage: { input_tokens: -1 } },
      { usage: { input_tokens: 1, cache_read_input_tokens: 2 } },
      { usage: { output_tokens: 1, reasoning_output_tokens: 2 } },
      { usage: { tool_calls: { a: "b" } } },
      { usage: USAGE, certainty: "sure" },
      { usage: USAGE, service: "fast" },
      { usage: { ...USAGE, besides: 5 } },
      { usage: { ...USAGE, besides: { input_tokens: -1 } } },
      { usage: { ...USAGE, besides: { input_tokens: 1, besides: {} } } },
    ]) {
      assert.equal((await post(`${url}/api/decisions/${body.id}/settle`, settlement)).status, 400, JSON.stringify(settlement));
    }
    assert.equal((await post(`${url}/api/decisions/${body.id}/extend`, {})).status, 400);
    assert.equal((await post(`${url}/api/decisions/${body.id}/release`, { why: "" })).status, 400);
    const entries = await ledger("reserved", "extended", "settled", "released", "denied");
    assert.deepEqual(
      entries.map(({ kind }) => kind),
      ["reserved"],
    );
  });

  test("nobody settles what was never decided, or a call of the gateway itself", async (context) => {
    const { url, gateway } = await startStand(context, { config: CONFIG });
    const own = { id: "req_1", subject: CALL.subject, input: { most: 10 }, output: { most: 10 } };
    assert.equal((await gateway.budgets.reserve(own)).outcome, "allowed");
    for (const id of ["dec_nothing", "req_1"]) {
      for (const [verb, body] of [
        ["settle", { usage: {} }],
        ["release", {}],
        ["extend", { lease_seconds: 1 }],
      ] as const) {
        const answer = await post(`${url}/api/decisions/${id}/${verb}`, body);
        assert.deepEqual([answer.status, answer.body.code], [404, "reservation_unknown"], `${id} ${verb}`);
      }
    }
  });

  test("only the owner's credentials decide", async (context) => {
    const { url, gateway } = await startStand(context, { config: CONFIG });
    const { secret } = await gateway.keys.create({ name: "app", attributes: {}, maySet: ["user"], role: "caller" });
    const admin = await gateway.keys.create({ name: "nginx", attributes: {}, maySet: [], role: "admin" });
    for (const path of ["/api/decisions", "/api/decisions/a/settle", "/api/authorize"]) {
      assert.equal((await post(url + path, CALL)).status, 401);
      assert.equal((await post(url + path, CALL, { authorization: `Bearer ${secret}` })).status, 403);
    }
    const answer = await post(`${url}/api/decisions`, CALL, { authorization: `Bearer ${admin.secret}` });
    assert.equal(answer.status, 200);
  });
});

const HEADERS = {
  "x-purser-user": "jörg",
  "x-purser-provider": "mock",
  "x-purser-model": "m",
  "x-purser-input-tokens": "1000",
  "x-purser-max-output-tokens": "2000",
};

describe("decisions in headers", () => {
  test("an allowed call is a 200 whose headers say its id and its cap", async (context) => {
    const { url, gateway } = await startStand(context, { config: CONFIG });
    const { status, headers } = await ask(`${url}/api/authorize`, { headers: { ...latin1(HEADERS), "x-purser-decision-id": "call-1" } });
    assert.equal(status, 200);
    assert.equal(headers.get("x-purser-decision-id"), "call-1");
    assert.equal(headers.get("x-purser-output-tokens"), "2000");
    assert.equal(headers.get("x-purser-input-tokens"), "1000");
    const [balance] = await gateway.budgets.balances({ budget: "users" });
    assert.deepEqual([balance?.subject, balance?.held], ["user=jörg", 3_000]);
    assert.equal((await post(`${url}/api/decisions/call-1/settle`, { usage: USAGE })).body.outcome, "settled");
  });

  test("a refusal is a 403 that says in headers what it would be, or what it is", async (context) => {
    const { url } = await startStand(context, { config: CONFIG });
    const headers = latin1(HEADERS);
    const first = await ask(`${url}/api/authorize`, { headers });
    await post(`${url}/api/decisions/${first.headers.get("x-purser-decision-id")}/settle`, {
      usage: { input_tokens: 2_999, output_tokens: 0 },
    });
    for (const [target, status] of [
      ["/api/authorize", 403],
      ["/api/authorize?status=exact", 402],
      ["/api/authorize?status=exact&path=/v1/messages?beta=true", 402],
    ] as const) {
      const refused = await ask(url + target, { method: "POST", headers });
      assert.equal(refused.status, status);
      assert.equal(refused.headers.get("x-purser-status"), "402");
      assert.equal(refused.headers.get("x-purser-code"), "budget_exhausted");
      assert.equal(refused.headers.get("x-should-retry"), "false");
      const message = JSON.parse(`"${refused.headers.get("x-purser-message")}"`);
      assert.equal(message, refused.body.detail);
      assert.match(message, /^Budget "users" \(user=jörg\)/);
    }
  });

  test("a header that is missing, wrong or unknown is refused by its name", async (context) => {
    const { url } = await startStand(context, { config: CONFIG });
    const { "x-purser-input-tokens": _, ...unsized } = latin1(HEADERS);
    for (const [headers, name] of [
      [unsized, "x-purser-input-tokens"],
      [{ ...unsized, "x-purser-input-tokens": "many" }, "x-purser-input-tokens"],
      [{ ...latin1(HEADERS), "x-purser-model": "" }, "x-purser-model"],
      [{ ...latin1(HEADERS), "x-purser-teem": "a" }, "x-purser-teem"],
      [{ ...latin1(HEADERS), "x-purser-decision-id": "req_1" }, "x-purser-decision-id"],
    ] as const) {
      const answer = await ask(`${url}/api/authorize`, { headers });
      assert.deepEqual([answer.status, answer.headers.get("x-purser-status")], [403, "400"], name);
      assert.ok(answer.body.detail.includes(name), answer.body.detail);
    }
  });

  test("a caller's own idempotency key does not let a second call through", async (context) => {
    const { url, gateway } = await startStand(context, { config: CONFIG });
    const headers = { ...latin1(HEADERS), "x-purser-max-output-tokens": "500", "idempotency-key": "same" };
    for (let i = 0; i < 2; i++) assert.equal((await ask(`${url}/api/authorize`, { headers })).status, 200);
    assert.deepEqual(await usersBalance(gateway), { spent: 0, held: 3_000 });
  });
});

/** `fetch` takes headers one character a byte. */
function latin1<Names extends string>(headers: Record<Names, string>): Record<Names, string> {
  const written = Object.entries<string>(headers).map(([name, value]) => [name, Buffer.from(value, "utf8").toString("latin1")]);
  return Object.fromEntries(written);
}

const GUIDE = fileURLToPath(new URL("../../../../docs/guides/other-gateways.md", import.meta.url));

test("nginx keeps the budgets with the configuration of the guide", async (context) => {
  if (spawnSync("nginx", ["-v"]).error) return context.skip("not run: nginx is not installed");
  const config = [
    providersAt("http://127.0.0.1:9"),
    PRICES.replace("'*'", "gpt-4o"),
    "budgets: [{ name: users, limits: [3000 tokens / day] }]",
  ].join("\n");
  const { url, gateway, directory, entries } = await startStand(context, { config: config.replace("mock:", "openai:") });
  const { secret } = await gateway.keys.create({ name: "nginx", attributes: {}, maySet: ["user"], role: "admin" });
  const seen: (string | undefined)[] = [];
  const model = createServer((incoming, response) => {
    seen.push(incoming.headers["x-purser-decision-id"] as string | undefined);
    incoming.resume().on("end", () => response.end('{"answer":"yes"}'));
  }).listen(0, "127.0.0.1");
  await once(model, "listening");
  const socketPath = join(directory, "nginx.sock");
  const written = /^```nginx .*\n([\s\S]*?)^```$/m.exec(await readFile(GUIDE, "utf8"))?.[1] ?? "";
  const places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${directory}/${name};`).join("\n");
  const conf = written
    .replace("events {}", `daemon off;\nmaster_process off;\npid ${directory}/nginx.pid;\nerror_log stderr;\nevents {}`)
    .replace("http {", `http {\naccess_log off;\n${places}`)
    .replace("127.0.0.1:8080", `unix:${socketPath}`)
    .replace("http://127.0.0.1:4100", url)
    .replace("http://127.0.0.1:8000", `http://127.0.0.1:${(model.address() as AddressInfo).port}`)
    .replace("ADMIN_KEY", secret);
  await writeFile(join(directory, "nginx.conf"), conf);
  const nginx = spawn("nginx", ["-p", directory, "-c", join(directory, "nginx.conf"), "-e", "stderr"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let complaints = "";
  nginx.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaints += text;
  });
  const ended = once(nginx, "exit");
  context.after(async () => {
    nginx.kill("SIGTERM");
    await ended;
    model.close();
    model.closeAllConnections();
  });
  const call = (body: string, headers = {}) => callOverSocket(socketPath, body, headers);
  const first = await eventually("nginx to listen", () => call("x".repeat(900)).catch(() => undefined)).catch((error) => {
    throw new Error(`${error.message}\n${complaints}`);
  });

  assert.equal(first.status, 200, first.text);
  assert.deepEqual(await usersBalance(gateway), { spent: 0, held: 1_900 });
  const settled = await post(
    `${url}/api/decisions/${seen[0]}/settle`,
    { usage: { input_tokens: 500, output_tokens: 1_000 } },
    {
      authorization: `Bearer ${secret}`,
    },
  );
  assert.equal(settled.body.outcome, "settled");

  // Who calls cannot make itself smaller, another, or the same call again.
  const forged = { "x-purser-input-tokens": "1", "x-purser-user": "ann", "x-purser-decision-id": seen[0], "idempotency-key": "a" };
  const refused = await call("x".repeat(600), forged);
  assert.equal(refused.status, 402, refused.text);
  assert.equal(refused.headers["x-should-retry"], "false");
  const { error } = JSON.parse(refused.text);
  assert.equal(error.code, "budget_exhausted");
  assert.match(error.message, /^Budget "users" has 1,500 tokens left of 3,000 tokens today/);

  const fitting = await call("x".repeat(500));
  assert.equal(fitting.status, 200);
  const busy = await call("x");
  assert.deepEqual([busy.status, busy.headers["retry-after"], JSON.parse(busy.text).error.code], [429, "1", "budget_busy"]);
  const unsized = await call("x", { "transfer-encoding": "chunked" });
  assert.deepEqual([unsized.status, JSON.parse(unsized.text).error.code], [400, "body_invalid"]);
  assert.equal(seen.length, 2);
  const reserved = await entries(2, "reserved");
  assert.deepEqual(
    reserved.map(({ reservation, detail }) => [reservation, detail.subject.user]),
    seen.map((id) => [id, "unix:"]),
  );

  await gateway.close();
  const alone = await call("x");
  assert.equal(alone.status, 503);
  assert.equal(JSON.parse(alone.text).error.code, "store_unavailable");
  assert.equal(seen.length, 2);
});

interface SocketAnswer {
  readonly status: number | undefined;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly text: string;
}

function callOverSocket(socketPath: string, body: string, headers: Record<string, string>): Promise<SocketAnswer> {
  return new Promise((resolve, reject) => {
    const length = "transfer-encoding" in headers ? {} : { "content-length": String(Buffer.byteLength(body)) };
    const outgoing = request(
      { socketPath, path: "/v1/chat/completions", method: "POST", headers: { ...headers, ...length } },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => {
          text += part;
        });
        response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, text }));
      },
    );
    outgoing.on("error", reject).end(body);
  });
}

function byBudget(a: { readonly budget: string }, b: { readonly budget: string }): number {
  return a.budget < b.budget ? -1 : 1;
}
