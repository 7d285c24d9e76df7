import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import { readConfig } from "../config/read-config.ts";
import { type DemoProvider, startDemoProvider } from "../demo/provider.ts";
import { type Json, post, readAnswer } from "./calls.ts";
import { openTestDatabase, testServer } from "./database.ts";
import { eventually, PRICES, providersAt, type Stand, startStand } from "./stand.ts";

const server = testServer(after);
let provider: DemoProvider;

before(async () => {
  provider = await startDemoProvider({ delayMs: 0 });
});
after(() => provider.close());

const BUDGETS = `budgets:
  - { name: company, limits: [$100 / month], owner: finance@example.com }
  - { name: search, for: { team: search }, limits: [$50 / month], owner: kim@example.com, cost_center: 0815 }
  - { name: search chat, for: { team: search, feature: chat }, limits: [$5 / month], cost_center: "=CC-2" }
  - { name: chat, for: { feature: chat }, mode: observe, limits: [$5 / month], cost_center: CC-3 }`;

function textWith(more: string, expose = ""): string {
  return [providersAt(provider.url), PRICES, expose, more].join("\n");
}

const open = (context: TestContext, { budgets = BUDGETS, expose = "", store = "" } = {}) =>
  startStand(context, { config: `${textWith(budgets, expose)}\n${store}`, store: store === "" ? "memory" : "sqlite" });

function call({ url }: Stand, who: Record<string, string>, model = "demo-1") {
  const headers = Object.fromEntries(Object.entries(who).map(([name, value]) => [`x-purser-${name}`, value]));
  return post(`${url}/v1/chat/completions`, { model, max_tokens: 20, messages: [{ role: "user", content: "Ahoy" }] }, headers);
}

async function get({ url }: Stand, path: string): Promise<{ json: Json; text: string }> {
  const { status, json, text } = await readAnswer(await fetch(url + path));
  assert.equal(status, 200, text);
  return { json, text };
}

const SEARCH = { team: "search" };
const SEARCH_CHAT = { team: "search", feature: "chat" };

/** What each value of a path was charged, and what was charged in all. */
async function charged(stand: Stand, path: string): Promise<{ rows: Record<string, number>; total: number }> {
  const rows = ((await get(stand, `/api/report?by=${path}`)).json as Json).data as Json[];
  const [all] = (await get(stand, "/api/report")).json.data as Json[];
  return { rows: Object.fromEntries(rows.map((row) => [row.values[path] ?? "none", row.cost_nanodollars])), total: all.cost_nanodollars };
}

function sum(rows: Record<string, number>): number {
  return Object.values(rows).reduce((total, cost) => total + cost, 0);
}

async function spend(stand: Stand): Promise<void> {
  for (const who of [SEARCH, SEARCH_CHAT, SEARCH_CHAT, { team: "sales", feature: "chat" }, { team: "sales" }])
    assert.equal((await call(stand, who)).status, 200);
  await stand.entries(5, "settled");
}

test("every nano-dollar is charged to one cost centre and one owner, or to none, and together they are all of it", async (context) => {
  const stand = await open(context);
  await spend(stand);
  const centers = await charged(stand, "cost_center");
  const one = centers.rows["0815"] as number;
  assert.deepEqual(centers.rows, { none: one, "0815": one, "=CC-2": 2 * one, "CC-3": one });
  assert.equal(sum(centers.rows), centers.total);
  const owners = await charged(stand, "owner");
  assert.deepEqual(owners.rows, { "finance@example.com": 2 * one, "kim@example.com": 3 * one });
  assert.equal(sum(owners.rows), owners.total);
});

test("a statement, a spreadsheet and FOCUS have them too, each nano-dollar once", async (context) => {
  const stand = await open(context);
  await spend(stand);
  const { total } = await charged(stand, "cost_center");
  const statements = (await get(stand, "/api/statements?by=cost_center")).json as Json;
  assert.deepEqual(Object.fromEntries(statements.data.map((one: Json) => [one.value, one.owner])), {
    "0815": "kim@example.com",
    "=CC-2": "kim@example.com",
    "CC-3": "finance@example.com",
    null: "finance@example.com",
  });
  assert.equal(
    statements.data.reduce((cost: number, one: Json) => cost + one.total.cost_nanodollars, 0),
    total,
  );
  assert.match((await get(stand, "/api/report?by=cost_center&format=csv")).text, /,'=CC-2,2,/);
  const [heading = "", ...lines] = (await get(stand, "/api/report?by=cost_center,team&format=focus")).text.trim().split(/\r?\n/);
  assert.equal(heading.split(",")[0], "BilledCost");
  assert.equal(lines.length, 4);
  const cost = lines.reduce((all, line) => all + Math.round(Number(line.split(",")[0]) * 1e9), 0);
  assert.equal(cost, total);
  assert.ok(
    lines.some((line) => line.includes('""cost_center"":""0815"",""team"":""search""')),
    lines.join("\n"),
  );
});

test("reports are of the cost centres that were in force when the calls were made", async (context) => {
  const stand = await open(context);
  await spend(stand);
  const before = await charged(stand, "cost_center");
  const changed = `server: { port: 0 }\ndata: ${JSON.stringify(stand.directory)}\n${textWith(BUDGETS.replace("0815", "CC-9"))}`;
  await stand.gateway.reload(readConfig({ text: changed, environment: {} }));
  assert.equal((await call(stand, SEARCH)).status, 200);
  await stand.entries(6, "settled");
  const { rows } = await charged(stand, "cost_center");
  assert.deepEqual(rows, { ...before.rows, "CC-9": before.rows["0815"] });
});

test("who makes the call cannot choose where it is booked", async (context) => {
  const stand = await open(context);
  const { headers } = await call(stand, { ...SEARCH, tags: "cost_center=CC-3,owner=eve", cost_center: "CC-3", owner: "eve" });
  const { json } = await get(stand, `/api/requests/${headers.get("x-purser-request-id")}`);
  assert.deepEqual([json.cost_center, json.owner], ["0815", "kim@example.com"]);
});

test("a refusal names whom to ask, who may stand at a wider budget, and not where callers are not to know", async (context) => {
  const tight =
    "budgets: [{ name: company, limits: [$9 / day], owner: finance@example.com }, { name: no, for: { team: no }, limits: [$0 / day] }]";
  const shown = await call(await open(context, { budgets: tight }), { team: "no" });
  assert.equal(shown.status, 402);
  assert.match(shown.json.error.message, /Ask finance@example\.com for more\.$/);
  const hidden = await call(await open(context, { budgets: tight, expose: "expose: { owner: false }" }), { team: "no" });
  assert.match(hidden.json.error.message, /Ask the owner of the budget for more\.$/);
  assert.doesNotMatch(hidden.text, /finance/);
});

test("balances, the tree of budgets and metrics say whose they are", async (context) => {
  const stand = await open(context);
  const balances = (await get(stand, "/api/budgets?owners=true")).json.data as Json[];
  assert.deepEqual(
    balances.map(({ budget, owner, cost_center }) => [budget, owner, cost_center]),
    [
      ["company", "finance@example.com", null],
      ["search", "kim@example.com", "0815"],
      ["search chat", "kim@example.com", "=CC-2"],
      ["chat", "finance@example.com", "CC-3"],
    ],
  );
  const tree = (await get(stand, "/api/budget-tree")).json.data as Json[];
  assert.deepEqual([tree[2].owner, tree[2].owner_from, tree[1].owner_from], ["kim@example.com", "search", null]);
  assert.match(tree[2].sentence, /Cost centre: =CC-2\. Owner: kim@example\.com, as of search\.$/);
  const { text } = await get(stand, "/metrics");
  assert.match(text, /purser_budget_info\{budget="search",owner="kim@example.com",mode="enforce",cost_center="0815"\} 1/);
});

test("PostgreSQL has who was charged, and reports by it", async (context) => {
  const database = await openTestDatabase(context, await server());
  if (!database) return;
  const stand = await open(context, { store: `store: { postgres: "${database.url}" }` });
  await spend(stand);
  const { rows, total } = await eventually("all calls to be in PostgreSQL", async () => {
    const found = await charged(stand, "cost_center").catch(() => undefined);
    return found && Object.keys(found.rows).length === 4 ? found : undefined;
  });
  assert.equal(rows["=CC-2"], 2 * (rows["0815"] as number));
  assert.equal(sum(rows), total);
  const { json } = await get(stand, "/api/report?by=team&filter=owner%3Dkim*");
  assert.deepEqual(
    json.data.map(({ values, calls }: Json) => [values.team, calls]),
    [["search", 3]],
  );
});
