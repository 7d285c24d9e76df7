/** Budgets that are made, changed and taken out over the admin API: in the file, in force without a restart, and with nothing of what was used lost. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type RunningGateway, startGateway } from "../app.ts";
import { createAdminClient } from "../client/admin-client.ts";
import { openBudgetFile } from "../config/change-budgets.ts";
import { readConfig } from "../config/read-config.ts";
import { watchConfig } from "../config/watch.ts";
import { startDemoProvider } from "../demo/provider.ts";
import type { Json } from "./calls.ts";
import { eventually, PRICES, providersAt, startStand } from "./stand.ts";

const BUDGETS = `# Ask kim before you change a thing.
budgets:
  - name: company   # all of it
    limits: [1M tokens / month]
    owner: \${OWNER}
`;

interface Stand {
  readonly gateway: RunningGateway;
  text(): string;
  ask(method: string, path: string, body?: unknown, key?: string): Promise<{ status: number; body: Json }>;
  call(team: string): Promise<{ status: number; text: string }>;
  untilKnown(isKnown: (budgets: Json[]) => boolean): Promise<void>;
}

async function startFiled(context: TestContext): Promise<Stand> {
  const provider = await startDemoProvider({ delayMs: 0 });
  context.after(() => provider.close());
  const directory = mkdtempSync(join(tmpdir(), "purser-budgets-"));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, "purser.yaml");
  writeFileSync(file, `server: { port: 0 }\ndata: data\n${providersAt(provider.url)}\n${PRICES}\n${BUDGETS}`);
  const source = { file, environment: { OWNER: "kim@example.com", SECRET: "sk-very-secret" } };
  const config = readConfig(source);
  const gateway = await startGateway({ config, budgetFile: openBudgetFile(config, source) });
  context.after(() => gateway.close());
  context.after(watchConfig(file, (change) => void gateway.reload(change.config), { ...source, current: config }));
  const token = readFileSync(join(directory, "data/admin.token"), "utf8").trim();
  const ask = async (method: string, path: string, body?: unknown, key = token) => {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const response = await fetch(gateway.url + path, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) });
    return { status: response.status, body: (await response.json()) as Json };
  };
  const { secret } = await gateway.keys.create({ name: "program", maySet: ["team"] });
  return {
    gateway,
    ask,
    text: () => readFileSync(file, "utf8"),
    async call(team) {
      const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json", "x-purser-team": team };
      const body = JSON.stringify({ model: "demo-1", max_tokens: 50, messages: [{ role: "user", content: "Ahoy" }] });
      const response = await fetch(`${gateway.url}/v1/chat/completions`, { method: "POST", headers, body });
      return { status: response.status, text: await response.text() };
    },
    async untilKnown(isKnown) {
      await eventually(
        "the file to be taken over",
        async () => isKnown((await ask("GET", "/api/budget-tree")).body.data as Json[]) || undefined,
        15_000,
      );
    },
  };
}

test("a budget is made, changed and taken out, each time in force at once, and knows what was used before it", async (context) => {
  const { ask, call, text, untilKnown } = await startFiled(context);
  const first = text();
  assert.equal((await call("search")).status, 200);

  const budget = { name: "search", for: { team: "search" }, limits: ["10 requests / day"], owner: "ann" };
  const made = await ask("POST", "/api/budgets", { budget, why: "a new team" });
  assert.deepEqual([made.status, made.body.name, made.body.budget], [201, "search", budget]);
  assert.match(made.body.sentence, /^Calls with team search may use 10 requests a day/);
  assert.equal(text(), `${first}  - name: search\n    for: { team: search }\n    limits: [10 requests / day]\n    owner: ann\n`);
  await untilKnown((all) => all.some(({ name }) => name === "search"));
  const spent = async () => (await ask("GET", "/api/budgets?budget=search")).body.data[0]?.spent;
  assert.equal(await spent(), 1, "the call that was before the budget counts in its window");

  const change = { budget: { ...budget, limits: ["2 requests / day"], mode: "enforce" }, version: made.body.version, why: "less" };
  const changed = await ask("PUT", "/api/budgets/search", change);
  assert.equal(changed.status, 200);
  await untilKnown((all) => all.some(({ name, limits }) => name === "search" && limits[0].text === "2 requests / day"));
  assert.equal(await spent(), 1);
  assert.equal((await call("search")).status, 200);
  assert.match((await call("search")).text, /Budget \\?"search\\?" has /);
  assert.equal((await call("sales")).status, 200);

  const removed = await ask("DELETE", "/api/budgets/search", { version: changed.body.version, why: "the team is gone" });
  assert.deepEqual([removed.status, removed.body], [200, { name: "search", removed: true }]);
  assert.equal(text(), first);
  await untilKnown((all) => all.length === 1);
  assert.equal((await call("search")).status, 200);
});

test("who changes a budget that somebody else has changed is told, and so is who names what there is not", async (context) => {
  const { ask, text } = await startFiled(context);
  const { body: seen } = await ask("GET", "/api/budgets/company");
  assert.deepEqual(seen.budget, { name: "company", limits: ["1M tokens / month"], owner: `\${OWNER}` });
  const put = (budget: object, version: unknown) => ask("PUT", "/api/budgets/company", { budget, version, why: "x" });
  const first = await put({ ...seen.budget, limits: ["2M tokens / month"] }, seen.version);
  assert.equal(first.status, 200);
  assert.match(text(), / {4}limits: \[2M tokens \/ month\]\n {4}owner: \$\{OWNER\}\n/, "the variable stays");
  const before = text();
  const late = await put({ ...seen.budget, limits: ["3M tokens / month"] }, seen.version);
  assert.deepEqual([late.status, late.body.code], [409, "config_fixed"]);
  assert.match(late.body.detail, /Somebody else has changed budget "company" meanwhile/);
  const { version } = first.body;
  for (const [method, path, body, status, detail] of [
    ["PUT", "/api/budgets/company", { budget: seen.budget }, 400, /"version" \(that GET says\) is a text.*missing/],
    ["PUT", "/api/budgets/company", { budget: [], version }, 400, /"budget" is not a JSON object/],
    ["PUT", "/api/budgets/company", { budget: { ...seen.budget, limits: ["$1 / fortnight"] }, version }, 400, /^limits.*not a window/],
    ["PUT", "/api/budgets/company", { budget: { ...seen.budget, owner: `\${SECRET}` }, version }, 400, /"owner" names a variable/],
    ["PUT", "/api/budgets/nobody", { budget: { name: "nobody" }, version }, 404, /no budget "nobody"/],
    ["GET", "/api/budgets/nobody", undefined, 404, /no budget "nobody"/],
    ["DELETE", "/api/budgets/company", { why: "x" }, 400, /"version"/],
    ["DELETE", "/api/budgets/company", { version: seen.version }, 409, /Somebody else/],
    ["POST", "/api/budgets", { budget: seen.budget }, 400, /names a variable|names two budgets/],
    ["POST", "/api/budgets", { budget: { name: "x" }, because: "y" }, 400, /"because" is not a field/],
    ["POST", "/api/budgets?dry_run=perhaps", { budget: { name: "x" } }, 400, /"dry_run" is true or false/],
    ["POST", "/api/budgets?try=true", { budget: { name: "x" } }, 400, /no parameter "try"/],
  ] as const) {
    const answer = await ask(method, path, body);
    assert.equal(answer.status, status, `${method} ${path} ${JSON.stringify(answer.body)}`);
    assert.match(answer.body.detail, detail);
    assert.doesNotMatch(JSON.stringify(answer.body), /very-secret/);
  }
  assert.equal(text(), before);
});

test("a budget for which nobody would answer is warned of while it is written, and written", async (context) => {
  const { ask } = await startFiled(context);
  const { body } = await ask("PUT", "/api/budgets/company?dry_run=true", { budget: { name: "company", limits: ["$5 / day"] } });
  assert.deepEqual([body.problems, body.warnings.map(({ field }: Json) => field)], [[], ["owner"]]);
  assert.match(body.warnings[0].message, /^It has no owner, .* Give it one: owner: kim@example\.com\.$/);
  const observing = { name: "company", limits: ["$5 / day"], mode: "observe" };
  assert.deepEqual((await ask("PUT", "/api/budgets/company?dry_run=true", { budget: observing })).body.warnings, []);
});

test("a trial reads a budget back, tells what is wrong by its field, and leaves no trace", async (context) => {
  const { ask, text } = await startFiled(context);
  const before = text();
  const lines = async () => (await ask("GET", "/api/audit")).body.data.length;
  const known = await lines();
  const right = await ask("POST", "/api/budgets?dry_run=true", { budget: { name: "x", limits: ["$5 / day"] } });
  const sentence = "All calls may use $5.00 a day (UTC). Owner: kim@example.com, as of company.";
  assert.deepEqual(right.body, { name: "x", sentence, problems: [], warnings: [] });
  const { status, body } = await ask("PUT", "/api/budgets/company?dry_run=true", {
    budget: { name: "company", limits: ["1M tokens / month"], ladder: { "80%": "us gpt-4o" }, onwer: "kim" },
  });
  assert.deepEqual([status, body.sentence, body.problems.map(({ field }: Json) => field)], [200, null, ["ladder", "onwer"]]);
  assert.match((await ask("DELETE", "/api/budgets/company?dry_run=true")).body.sentence, /^All calls may use 1,000,000 tokens a month/);
  assert.equal(text(), before);
  assert.equal(await lines(), known);
});

test("the audit log says who changed a budget, why, and what it was before and after", async (context) => {
  const { ask, gateway, untilKnown } = await startFiled(context);
  const { secret } = await gateway.keys.create({ name: "adi", role: "admin" });
  const viewer = await gateway.keys.create({ name: "vic", role: "viewer" });
  const { body: seen } = await ask("GET", "/api/budgets/company", undefined, viewer.secret);
  const change = { budget: { ...seen.budget, limits: ["2M tokens / month"] }, version: seen.version, why: "the launch" };
  assert.equal((await ask("PUT", "/api/budgets/company", change, viewer.secret)).status, 403);
  assert.equal((await ask("PUT", "/api/budgets/company?dry_run=true", change, viewer.secret)).status, 403);
  assert.equal((await ask("PUT", "/api/budgets/company", change, secret)).status, 200);
  await untilKnown(([company]) => company.limits[0].amount === 2_000_000);
  const { data } = (await ask("GET", "/api/audit")).body;
  const [outcome, asked] = data.filter(({ what }: Json) => what === "PUT /api/budgets/{name}");
  assert.match(asked.by, /adi/);
  assert.equal(asked.details.body.why, "the launch");
  assert.deepEqual(
    [outcome.of, outcome.details.status, outcome.details.budget, outcome.details.before, outcome.details.after],
    [asked.n, 200, "company", seen.budget, change.budget],
  );
});

test("the client of the API has the names and types of it", async (context) => {
  const { gateway, untilKnown } = await startFiled(context);
  const { secret: key } = await gateway.keys.create({ name: "adi", role: "admin" });
  const purser = createAdminClient({ url: gateway.url, key });
  const budget = { name: "search", for: { team: "search", "tag.env": "prod" }, limits: ["$5 / day"] };
  const tried = await purser.createBudget({ query: { dry_run: true }, body: { budget } });
  assert.ok("problems" in tried && tried.problems.length === 0);
  await purser.createBudget({ body: { budget, why: "a new team" } });
  await untilKnown((all) => all.length === 2);
  const { version } = await purser.getBudget({ path: { name: "search" } });
  await purser.removeBudget({ path: { name: "search" }, body: { version, why: "not needed" } });
});

test("a gateway without a file of its own says so, and shows its budgets all the same", async (context) => {
  const { gateway } = await startStand(context, { config: "budgets: [{ name: company, limits: [$5 / day] }]" });
  const { secret } = await gateway.keys.create({ name: "adi", role: "admin" });
  const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
  const ask = async (method: string, path: string, body?: object) =>
    (await fetch(gateway.url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) })).json() as Promise<Json>;
  const budget = { name: "x", limits: ["$5 / day"] };
  for (const answer of [
    await ask("POST", "/api/budgets", { budget }),
    await ask("POST", "/api/budgets?dry_run=true", { budget }),
    await ask("GET", "/api/budgets/company"),
    await ask("PUT", "/api/budgets/company", { budget: { ...budget, name: "company" }, version: "x" }),
    await ask("DELETE", "/api/budgets/company", { version: "x" }),
    await ask("POST", "/api/budgets/company/limit", { limit: "$5 / day", to: "$6 / day" }),
  ])
    assert.deepEqual([answer.status, answer.code], [409, "config_fixed"]);
  assert.equal((await ask("GET", "/api/budget-tree")).data.length, 1);
});
