import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { startRawProvider } from "./raw-provider.ts";
import { startReceiver } from "./receivers.ts";
import { eventually, PRICES, providersAt, startStand } from "./stand.ts";

const BUDGETS = `
budgets:
  - { name: company, limits: [$20 / month, 40 concurrent] }
  - { name: each, per: user, limits: [$1 / day, 100k tokens / day], owner: kim@example.com }`;

async function startOwn(context: TestContext, { isTold = true } = {}) {
  const [provider, receiver] = [await startRawProvider(context), await startReceiver(context)];
  const channels = isTold ? `channels: { hook: { kind: webhook, url: "${receiver.url}" } }\n` : "";
  const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\n${channels}${BUDGETS}` });
  const { key, secret } = await stand.gateway.keys.create({ name: "ann's agent", attributes: { user: "ann", team: "search" } });
  const headers = { authorization: `Bearer ${secret}` };
  const call = () =>
    fetch(`${stand.url}/v1/chat/completions`, {
      method: "POST",
      headers,
      body: JSON.stringify({ model: "m", max_tokens: 100, messages: [{ role: "user", content: "Ahoy" }] }),
    }).then((response) => response.text());
  // biome-ignore lint/suspicious/noExplicitAny: JSON as any client reads it
  const get = async (path: string, more: object = headers): Promise<any> => {
    const response = await fetch(`${stand.url}${path}`, { headers: { ...more } });
    return { status: response.status, ...((await response.json()) as object) };
  };
  return { stand, receiver, key, secret, headers, call, get };
}

/** The official client, with the key of a caller. */
async function connect(context: TestContext, url: string, secret: string): Promise<Client> {
  const client = new Client({ name: "test", version: "1" });
  const requestInit = { headers: { authorization: `Bearer ${secret}` } };
  // The SDK's types do not allow for exactOptionalPropertyTypes.
  const transport = new StreamableHTTPClientTransport(new URL(`${url}/mcp`), { requestInit }) as unknown as Parameters<
    Client["connect"]
  >[0];
  await client.connect(transport);
  context.after(() => client.close());
  return client;
}

test("a key is told of in the shapes of LiteLLM and OpenRouter, in dollars, by its tightest budget", async (context) => {
  const { stand, key, call, get } = await startOwn(context);
  await call();
  await stand.checkBooks();
  const [balance] = (await stand.gateway.budgets.balances({ subject: { user: "ann" }, budget: "each" })).filter(
    ({ unit }) => unit === "nanodollars",
  );
  assert.ok(balance && balance.spent > 0);
  const { info } = await get("/key/info");
  assert.deepEqual(
    [info.key_alias, info.spend, info.max_budget, info.budget_duration, info.user_id, info.team_id],
    ["ann's agent", balance.spent / 1e9, 1, "24h", "ann", "search"],
  );
  assert.equal(info.budget_reset_at, new Date(balance.resetsAt ?? 0).toISOString());
  assert.deepEqual(
    info.budget_limits.map(({ max_budget }: { max_budget: number }) => max_budget),
    [1, 20],
  );
  const { data } = await get("/api/v1/key");
  assert.deepEqual(
    [data.label, data.limit, data.limit_remaining, data.limit_reset, data.usage, data.usage_daily, data.usage_monthly],
    [key.name, 1, balance.left / 1e9, "daily", balance.spent / 1e9, balance.spent / 1e9, balance.spent / 1e9],
  );
  assert.equal(data.usage_weekly, undefined, "what no budget counts is not said to be nothing");
  for (const path of ["/key/info", "/api/v1/key"]) assert.equal((await get(path, {})).status, 401);
});

test("an agent with the official MCP client sees its budget, estimates a call, and asks for more, once", async (context) => {
  const { stand, receiver, secret, call } = await startOwn(context);
  await call();
  await stand.checkBooks();
  const client = await connect(context, stand.url, secret);
  const { tools } = await client.listTools();
  assert.deepEqual(
    tools.map(({ name, annotations }) => [name, annotations?.readOnlyHint]),
    [
      ["get_my_budget", true],
      ["estimate_cost", true],
      ["request_increase", false],
    ],
  );
  const use = async (name: string, input: Record<string, unknown> = {}) => {
    const { content, structuredContent, isError } = await client.callTool({ name, arguments: input });
    return { text: (content as { text: string }[])[0]?.text ?? "", data: structuredContent as never as Record<string, unknown>, isError };
  };
  const mine = await use("get_my_budget");
  assert.match(mine.text, /"each" \(user=ann\): \$0\.99\d* left of \$1\.00 today/);
  assert.equal((mine.data.balances as unknown[]).length, 4);
  const small = await use("estimate_cost", { model: "m", input_tokens: 1_000, max_output_tokens: 1_000 });
  assert.deepEqual([small.data.cost_nanodollars, small.data.fits], [18_000_000, true]);
  const large = await use("estimate_cost", { model: "m", text: "a long text ".repeat(10), max_output_tokens: 90_000 });
  assert.deepEqual([large.data.fits, /There is not enough left: .*"each" \(user=ann\)/.test(large.text)], [false, true]);
  const asked = await use("request_increase", { reason: "the release is today", budget: "each", percent: 50 });
  assert.match(asked.text, /^kim@example\.com was asked for 50,000 tokens more of budget "each"/);
  await eventually("the question", () => receiver.posted.length > 0 || undefined);
  await use("request_increase", { reason: "really", budget: "each", percent: 50 });
  assert.match(receiver.posted[0]?.body.data.text, /They say: "the release is today": .* Give 50,000 tokens more/);
  for (const [name, input, words] of [
    ["estimate_cost", { model: "m", max_output_tokens: -1 }, /whole number/],
    ["request_increase", {}, /"reason" is a text/],
    ["request_increase", { reason: "x", budget: "nobody's" }, /No budget "nobody's"/],
  ] as const) {
    const { isError, text } = await use(name, input);
    assert.ok(isError && words.test(text), text);
  }
  await assert.rejects(use("buy_a_ship"), /There is no tool "buy_a_ship"/);
  assert.equal(receiver.posted.length, 1, "the same is asked once");
});

test("without a key, from another site, or in another tongue, /mcp says what is wrong", async (context) => {
  const { stand, secret, headers } = await startOwn(context, { isTold: false });
  const post = (body: string, more: Record<string, string> = {}) =>
    fetch(`${stand.url}/mcp`, { method: "POST", body, headers: { ...headers, ...more } });
  const ping = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" });
  assert.equal((await post(ping, { authorization: "Bearer pk-wrong" })).status, 401);
  assert.equal((await post(ping, { origin: "https://elsewhere.example" })).status, 403);
  assert.equal((await fetch(`${stand.url}/mcp`, { headers })).status, 405);
  assert.equal((await post("{")).status, 400);
  assert.equal((await post("[]")).status, 400);
  assert.equal((await post(JSON.stringify({ jsonrpc: "2.0", method: "notifications/initialized" }))).status, 202);
  assert.equal(
    ((await (await post(JSON.stringify({ jsonrpc: "2.0", id: 2, method: "resources/list" }))).json()) as { error: { code: number } }).error
      .code,
    -32601,
  );
  const client = await connect(context, stand.url, secret);
  const nobody = await client.callTool({ name: "request_increase", arguments: { reason: "more" } });
  assert.match(JSON.stringify(nobody), /Nobody can be told here: no channel is configured/);
});
