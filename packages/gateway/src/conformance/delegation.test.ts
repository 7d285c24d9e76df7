import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Subject } from "@purser/core";
import OpenAI from "openai";
import type { KeyRole } from "../callers/key.ts";
import { answerChat, startRawProvider } from "./raw-provider.ts";
import { PRICES, providersAt, startStand } from "./stand.ts";

const BUDGETS = `
budgets:
  - { name: company, limits: [$10 / month] }
  - { name: each task, per: task, limits: [$1] }`;

async function startScene(context: TestContext, { role = "caller", attributes = { team: "search" } as Subject } = {}) {
  const provider = await startRawProvider(context, answerChat({ input: 100, output: 100 }));
  const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\n${BUDGETS}` });
  const { key, secret } = await stand.gateway.keys.create({
    name: "conductor",
    attributes,
    role: role as KeyRole,
    maySet: ["user", "session"],
  });
  const post = async (path: string, body: unknown, bearer = secret, headers: Record<string, string> = {}) => {
    const response = await fetch(`${stand.url}${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${bearer}`, ...headers },
      body: JSON.stringify(body),
    });
    // biome-ignore lint/suspicious/noExplicitAny: JSON as any client reads it
    return { status: response.status, json: (await response.json()) as any };
  };
  const hand = async (body: unknown, bearer = secret, headers = {}) => {
    const { status, json } = await post("/delegations", body, bearer, headers);
    assert.equal(status, 201, JSON.stringify(json));
    return json;
  };
  // 100 tokens in and at most 100 out at these prices: $0.0018 when it is settled, and a little more while it is held.
  const call = (bearer: string, headers = {}) =>
    post("/v1/chat/completions", { model: "m", max_tokens: 100, messages: [{ role: "user", content: "Ahoy" }] }, bearer, headers);
  return { provider, stand, key, secret, post, hand, call };
}

test("an agent spends what it was handed, with any client, and not more; its calls are in the budgets of its maker too", async (context) => {
  const { stand, provider, key, hand } = await startScene(context);
  const { key: secret, id, budget, until } = await hand({ name: "research", limits: ["$0.01", "5k tokens"], for: "2h" });
  const client = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: secret, maxRetries: 0 });
  const ask = () => client.chat.completions.create({ model: "m", max_tokens: 100, messages: [{ role: "user", content: "Ahoy" }] });
  let refused: unknown;
  const keep = (error: unknown) => {
    refused = error;
  };
  for (let calls = 0; refused === undefined && calls < 50; calls++) await ask().catch(keep);
  assert.ok(refused instanceof OpenAI.APIError && refused.status === 402);
  assert.match(refused.message, new RegExp(`Budget "research \\(${id}\\)" has \\$0\\.\\d+ left of \\$0\\.01`));
  const settled = await stand.ledger("settled");
  const spent = settled.reduce((sum, entry) => sum + (entry.kind === "settled" ? (entry.charge.cost ?? 0) : 0), 0);
  assert.ok(spent <= 10_000_000 && spent > 8_000_000, `${spent}`);
  assert.equal(provider.received.length, settled.length);
  const [first] = settled;
  assert.deepEqual(first?.kind === "settled" && first.detail.subject, {
    team: "search",
    key: key.id,
    task: id,
    tags: { agent: "research" },
    provider: "mock",
    model: "m",
    endpoint: "openai-chat",
  });
  const charged = await stand.gateway.budgets.balances({ subject: { task: id } });
  assert.deepEqual(
    charged.map(({ budget, spent }) => [budget, spent]),
    [
      ["company", spent],
      ["each task", spent],
    ],
  );
  const own = await (await fetch(`${stand.url}/budget`, { headers: { "x-api-key": secret } })).json();
  assert.deepEqual(
    (own as { data: { budget: string; spent: number; unit: string; window: string }[] }).data.map((one) => [
      one.budget,
      one.unit,
      one.window,
    ]),
    [
      ["company", "nanodollars", "month"],
      ["each task", "nanodollars", "lifetime"],
      [budget, "nanodollars", "lifetime"],
      [budget, "tokens", "lifetime"],
    ],
  );
  assert.ok(Math.abs(Date.parse(until) - Date.now() - 2 * 3_600_000) < 60_000);
  await stand.checkBooks();
});

test("agents of an agent share its pool, whatever they were promised, at the same time", async (context) => {
  const { stand, provider, hand, call } = await startScene(context);
  const lead = await hand({ name: "lead", limits: ["$0.02"] });
  const workers = await Promise.all(["a", "b", "c", "d"].map((name) => hand({ name, limits: ["$0.02"] }, lead.key)));
  const answers = await Promise.all(workers.flatMap(({ key }) => Array.from({ length: 20 }, () => call(key))));
  assert.ok(answers.every(({ status }) => status === 200 || status === 402 || status === 429));
  await stand.checkBooks();
  const balances = (await stand.gateway.store.counters()).filter(({ ref }) => ref.budget === lead.budget);
  assert.equal(balances.length, 1);
  assert.ok((balances[0]?.spent ?? 0) <= 20_000_000 && (balances[0]?.spent ?? 0) > 0);
  assert.equal(provider.received.length, answers.filter(({ status }) => status === 200).length);
  const names = new Set((await stand.ledger("settled")).map((entry) => entry.kind === "settled" && entry.detail.subject.tags?.agent));
  assert.ok(
    [...names].every((name) => /^lead\/[abcd]$/.test(String(name))),
    [...names].join(),
  );
  const tasks = new Set((await stand.ledger("reserved")).map((entry) => entry.kind === "reserved" && entry.detail.subject.task));
  assert.deepEqual([...tasks], [lead.id], "one task, so that a budget per task holds for all of them");
});

test("what is left is divided, and nobody hands on more than they were given, nor for longer", async (context) => {
  const { hand, post } = await startScene(context);
  const lead = await hand({ name: "lead", limits: ["$0.9", "1M tokens"], for: "1h" });
  const part = await hand({ name: "part", fan_out: 4 }, lead.key);
  assert.deepEqual(part.limits, ["$0.225", "250000 tokens"]);
  const longer = await hand({ name: "longer", limits: ["$0.1"], for: "5h" }, lead.key);
  assert.equal(longer.until, lead.until);
  const refused = await post("/delegations", { name: "more", limits: ["$0.91"] }, lead.key);
  assert.equal(refused.status, 400);
  assert.match(refused.json.error.message, /"\$0\.91" is more than "lead" has, which is \$0\.90\./);
});

test("a delegated key changes nothing, sets nothing that is set, and opens no other door", async (context) => {
  const { stand, hand, call, post } = await startScene(context, { role: "admin" });
  const { key } = await hand({ name: "agent", limits: ["$1"] }, undefined, { "x-purser-user": "ann" });
  assert.equal((await call(key)).status, 200);
  for (const [name, value] of [
    ["x-purser-task", "another"],
    ["x-purser-user", "bob"],
    ["x-purser-team", "sales"],
  ] as const) {
    const { status, json } = await call(key, { [name]: value });
    assert.deepEqual([status, json.error.code], [403, "attribute_forbidden"], name);
  }
  for (const path of ["/api/budgets", "/metrics"]) {
    const response = await fetch(`${stand.url}${path}`, { headers: { authorization: `Bearer ${key}` } });
    assert.equal(response.status, 403, path);
  }
  assert.equal((await post("/api/grants", { budget: "company" }, key)).status, 403);
});

test("a key that was forged, is over, or whose maker lost theirs is refused", async (context) => {
  const { stand, key: maker, hand, call } = await startScene(context);
  const { key } = await hand({ name: "agent", limits: ["$1"] });
  const [content = "", signed = ""] = key.slice("pkd-".length).split(".");
  const said = JSON.parse(Buffer.from(content, "base64url").toString());
  const forge = (change: object) => `pkd-${Buffer.from(JSON.stringify({ ...said, ...change })).toString("base64url")}.${signed}`;
  assert.equal((await call(key)).status, 200);
  for (const forged of [
    forge({ chain: [] }),
    forge({ chain: [null] }),
    forge({ chain: undefined, subject: undefined }),
    forge({ chain: [{ ...said.chain[0], limits: ["$1000"] }] }),
    forge({ subject: {} }),
    forge({ key: "key_000000000000" }),
    `pkd-${content}.${"A".repeat(43)}`,
    `pkd-${content}`,
    "pkd-.",
  ])
    assert.equal((await call(forged)).status, 401, forged);
  const short = await hand({ name: "short", limits: ["$1"], for: "1s" });
  const late = Date.parse(short.until) + 1;
  context.mock.timers.enable({ apis: ["Date"], now: late });
  assert.equal((await call(short.key)).status, 401);
  assert.equal((await call(key)).status, 200);
  await stand.gateway.keys.revoke(maker.id);
  context.mock.timers.tick(1_000);
  assert.equal((await call(key)).status, 401);
});

test("what cannot be handed on is said, with what to do", async (context) => {
  const { post, secret, hand, stand } = await startScene(context);
  for (const [body, words] of [
    [[], /The body is an object/],
    [{ name: "x" }, /Say how much: either limits/],
    [{ name: "x", limits: ["$1"], fan_out: 2 }, /Say how much: either limits/],
    [{ name: "x", limits: [] }, /limits is a list of amounts/],
    [{ name: "x", limits: ["$1 / day"] }, /has a window, and what is handed on is there once/],
    [{ name: "x", limits: ["$1", "$2"] }, /is the second limit of its unit/],
    [{ name: "x", limits: ["lots"] }, /The limit "lots" cannot be read/],
    [{ name: "x", fan_out: 0 }, /a whole number from 1 to 1,000/],
    [{ name: "an agent", limits: ["$1"] }, /1 to 64 letters/],
    [{ name: "x", limits: ["$1"], for: "90d" }, /up to 30 days/],
    [{ name: "x", limits: ["$1"], limit: "$1" }, /"limit" is no field here/],
  ] as const) {
    const { status, json } = await post("/delegations", body);
    assert.equal(status, 400, JSON.stringify(body));
    assert.match(json.error.message, words);
  }
  assert.equal((await post("/delegations", { name: "x", limits: ["$1"] }, "pk-wrong")).status, 401);
  let bearer = secret;
  for (let depth = 0; depth < 8; depth++) bearer = (await hand({ name: `d${depth}`, limits: ["$0.1"] }, bearer)).key;
  assert.match(
    (await post("/delegations", { name: "x", limits: ["$0.1"] }, bearer)).json.error.message,
    /8 delegations follow one another/,
  );
  const viewer = await stand.gateway.keys.create({ name: "auditor", role: "viewer" });
  assert.match((await post("/delegations", { name: "x", limits: ["$1"] }, viewer.secret)).json.error.message, /makes no calls/);
});
