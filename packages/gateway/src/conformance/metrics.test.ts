import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type DemoProvider, startDemoProvider } from "../demo/provider.ts";
import { startTestPrometheus } from "./prometheus.ts";
import { startRawProvider } from "./raw-provider.ts";
import { PRICES, providersAt, type Stand, startStand } from "./stand.ts";
import { typeErrors } from "./type-errors.ts";

const MONITORING = fileURLToPath(new URL("../../../../examples/monitoring/", import.meta.url));
const NO_PROMTOOL = spawnSync("promtool", ["--version"]).status !== 0 && "not run: promtool is not installed";

const BUDGETS = `
budgets:
  - name: company
    limits: [$20 / month, 1M tokens / minute, 40 concurrent]
    owner: finance@example.com
  - name: each "user"
    per: user
    limits: [300 tokens / day]`;

async function startProvider(context: TestContext): Promise<DemoProvider> {
  const provider = await startDemoProvider({ delayMs: 0 });
  context.after(() => provider.close());
  return provider;
}

async function startMetered(context: TestContext, options: { readonly store?: "memory" | "sqlite"; readonly budgets?: string } = {}) {
  const provider = await startProvider(context);
  const { store = "memory", budgets = BUDGETS } = options;
  return startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\n${budgets}`, store });
}

async function call({ url }: Stand, user: string, more: Readonly<Record<string, unknown>> = {}, headers: Record<string, string> = {}) {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "x-purser-user": user, ...headers },
    body: JSON.stringify({ model: "demo-1", messages: [{ role: "user", content: "Hello" }], ...more }),
  });
  await response.text();
  return response.status;
}

async function scrape({ url }: Stand, headers: Record<string, string> = {}): Promise<string> {
  const response = await fetch(`${url}/metrics`, { headers });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  return response.text();
}

/** The sum of a family's samples, of those whose labels have all that is asked for. */
function sumOf(text: string, name: string, labels: readonly string[] = []): number {
  const values = text
    .split("\n")
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .filter((line) => labels.every((label) => line.includes(label)))
    .map((line) => line.slice(line.lastIndexOf(" ") + 1));
  // In nano-dollars, so that the sum of decimals is exact.
  return values.some((value) => /^-?\d+\.\d{9}$/.test(value))
    ? values.reduce((sum, value) => sum + Number(value.replace(".", "")), 0)
    : values.reduce((sum, value) => sum + Number(value), 0);
}

test("the metrics say what the ledger says: calls, tokens, money, refusals and what is left", async (context) => {
  const stand = await startMetered(context);
  for (const user of ["ann", "bob", "ann", "ann"]) await call(stand, user);
  assert.equal(await call(stand, "eve", { messages: "nothing" }), 400);
  await stand.checkBooks();
  const entries = await stand.ledger("settled");
  const text = await scrape(stand);
  const charges = entries.flatMap((entry) => (entry.kind === "settled" ? [entry.charge] : []));
  assert.equal(sumOf(text, "purser_calls_total"), charges.length);
  assert.equal(
    sumOf(text, "purser_cost_dollars_total"),
    charges.reduce((sum, { cost = 0 }) => sum + cost, 0),
  );
  assert.equal(
    sumOf(text, "purser_tokens_total"),
    charges.reduce((sum, { usage }) => sum + (usage.inputTokens ?? 0) + (usage.outputTokens ?? 0), 0),
  );
  assert.equal(sumOf(text, "purser_refusals_total", ['reason="budget_exhausted"', 'budget="each \\"user\\""']), 2);
  assert.equal(sumOf(text, "purser_rejected_requests_total", ['code="body_invalid"']), 1);
  assert.equal(sumOf(text, "purser_provider_answers_total", ['answer="ok"']), 2);
  assert.equal(sumOf(text, "purser_admission_seconds_count"), 2);
  assert.equal(sumOf(text, "purser_calls_in_flight"), 0);
  const [company] = await stand.gateway.budgets.balances({ budget: "company" });
  assert.equal(sumOf(text, "purser_budget_spent_dollars", ['budget="company"']), company?.spent);
  assert.equal(sumOf(text, "purser_budget_limit_dollars", ['budget="company"', 'window="month"']), 20e9);
  assert.equal(sumOf(text, "purser_budget_balances", ['budget="each \\"user\\""']), 2);
  assert.match(text, /purser_budget_info\{budget="company",owner="finance@example.com",mode="enforce"\} 1/);
});

test("callers cannot make series: models beyond a thousand are counted together, and nothing is lost of their sums", async (context) => {
  const provider = await startRawProvider(context);
  const budgets = "budgets: [{ name: each, per: user, limits: [1M tokens / day] }]";
  const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\n${budgets}` });
  const models = Array.from({ length: 1_100 }, (_, i) => `model-${i}`);
  for (let i = 0; i < models.length; i += 50)
    await Promise.all(models.slice(i, i + 50).map((model) => call(stand, model, { model, max_tokens: 1 })));
  const text = await scrape(stand);
  const series = text.split("\n").filter((line) => line.startsWith("purser_calls_total{"));
  assert.equal(series.length, 1_001);
  assert.equal(sumOf(text, "purser_calls_total"), models.length);
  assert.equal(sumOf(text, "purser_calls_total", ['model="other"']), 100);
  assert.ok(!text.includes('user="'), "no user has a series");
  assert.equal(sumOf(text, "purser_budget_balances", ['budget="each"']), models.length);
});

test("who may look at all of /api may scrape, and nobody else; in the first minute this machine may", async (context) => {
  const stand = await startMetered(context);
  await scrape(stand);
  assert.equal((await fetch(`${stand.url}/metrics`, { headers: { origin: "https://elsewhere.example" } })).status, 403);
  const caller = await stand.gateway.keys.create({ name: "caller" });
  const admin = await stand.gateway.keys.create({ name: "prometheus", role: "viewer" });
  assert.equal((await fetch(`${stand.url}/metrics`)).status, 401);
  assert.equal((await fetch(`${stand.url}/metrics`, { headers: { authorization: `Bearer ${caller.secret}` } })).status, 403);
  assert.equal((await fetch(`${stand.url}/metrics`, { method: "POST", headers: { authorization: `Bearer ${admin.secret}` } })).status, 404);
  await scrape(stand, { authorization: `Bearer ${admin.secret}` });
});

test("promtool finds nothing wrong with the metrics", { skip: NO_PROMTOOL }, async (context) => {
  const stand = await startMetered(context, { store: "sqlite" });
  await call(stand, "ann");
  await call(stand, "ann", { stream: true });
  const { status, stdout, stderr } = spawnSync("promtool", ["check", "metrics"], { input: await scrape(stand), encoding: "utf8" });
  assert.deepEqual({ status, said: stdout + stderr }, { status: 0, said: "" });
});

test("the alerts come when they should: a burnt budget, a provider that fails, a wrong balance", { skip: NO_PROMTOOL }, async (context) => {
  const stand = await startMetered(context);
  const rules = join(MONITORING, "purser-rules.yml");
  assert.equal(spawnSync("promtool", ["check", "rules", rules]).status, 0);
  const file = join(stand.directory, "alerts.test.yml");
  await writeFile(file, alertTests(rules));
  const { status, stdout, stderr } = spawnSync("promtool", ["test", "rules", file], { encoding: "utf8" });
  assert.equal(status, 0, stdout + stderr);
});

/** Eight hours after the beginning: one budget is spent at twice the pace that it can bear, another at half of it. */
function alertTests(rules: string): string {
  const labels = (name: string) => `job="purser",instance="a",budget="${name}",window="day"`;
  const budget = (name: string, perMinute: number) => [
    `      - { series: 'purser_budget_spent_dollars{${labels(name)}}', values: '0+${perMinute}x480' }`,
    `      - { series: 'purser_budget_limit_dollars{${labels(name)}}', values: '1440x480' }`,
    `      - { series: 'purser_budget_used_ratio{${labels(name)},unit="dollars"}', values: '0x480' }`,
    `      - { series: 'purser_budget_resets_timestamp_seconds{${labels(name)},unit="dollars"}', values: '86400x480' }`,
  ];
  const firing = (alert: string, expected: string) => `      - { eval_time: 8h, alertname: ${alert}, exp_alerts: [${expected}] }`;
  return [
    `rule_files: [${JSON.stringify(rules)}]`,
    "evaluation_interval: 1m",
    "tests:",
    "  - interval: 1m",
    "    input_series:",
    ...budget("wild", 2),
    ...budget("tame", 0.5),
    `      - { series: 'purser_audit_mismatches{job="purser",instance="a"}', values: '0x470 3x10' }`,
    `      - { series: 'purser_provider_answers_total{job="purser",instance="a",provider="p",answer="ok"}', values: '0+60x480' }`,
    `      - { series: 'purser_provider_answers_total{job="purser",instance="a",provider="p",answer="5xx"}', values: '0+40x480' }`,
    `      - { series: 'purser_provider_answers_total{job="purser",instance="a",provider="q",answer="ok"}', values: '0+100x480' }`,
    `      - { series: 'purser_provider_answers_total{job="purser",instance="a",provider="q",answer="4xx"}', values: '0+100x480' }`,
    "    alert_rule_test:",
    firing(
      "PurserBudgetBurnsTooFast",
      `{ exp_labels: { severity: warning, job: purser, instance: a, budget: wild, window: day }, exp_annotations: { summary: "Budget wild will be gone before it resets: at this pace it would need 200% of itself" } }`,
    ),
    firing(
      "PurserProviderFails",
      `{ exp_labels: { severity: critical, job: purser, provider: p }, exp_annotations: { summary: "p fails to answer 40% of calls" } }`,
    ),
    firing(
      "PurserBalancesAreWrong",
      `{ exp_labels: { severity: critical, job: purser, instance: a }, exp_annotations: { summary: "3 balances of a are not the sum of their ledger entries", description: "Keep a copy of the data folder and report it. Until then, trust the ledger and not the balances." } }`,
    ),
    firing("PurserStoreDown", ""),
  ].join("\n");
}

interface Dashboard {
  readonly panels: readonly {
    readonly id: number;
    readonly title: string;
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
    readonly targets?: readonly { readonly expr: string }[];
  }[];
}

test("a real Prometheus takes what is shipped: it scrapes with a key, its sums are the ledger's, and every panel has an answer", async (context) => {
  const budgets = BUDGETS.replace("    owner:", "    ladder: { 0%: shorten 8000 }\n    owner:");
  const stand = await startMetered(context, { store: "sqlite", budgets });
  const { secret } = await stand.gateway.keys.create({ name: "prometheus", role: "viewer" });
  const { secret: key } = await stand.gateway.keys.create({ name: "caller", maySet: ["user"] });
  await writeFile(join(stand.directory, "purser.key"), `${secret}\n`);
  const shipped = readFileSync(join(MONITORING, "prometheus.yml"), "utf8");
  const configuration = shipped
    .replace("127.0.0.1:4100", new URL(stand.url).host)
    .replaceAll("15s", "1s")
    .replace("purser-rules.yml", join(MONITORING, "purser-rules.yml"));
  await writeFile(join(stand.directory, "prometheus.yml"), configuration);
  const prometheus = await startTestPrometheus(context, join(stand.directory, "prometheus.yml"));
  if (typeof prometheus === "string") return context.skip(`not run: ${prometheus}`);
  const { query, until } = prometheus;
  await until("the first scrape", async () => ((await query('up{job="purser"} == 1')).size === 1 ? true : undefined));
  const headers = { authorization: `Bearer ${key}` };
  for (const user of ["ann", "bob", "cid", "ann", "ann"]) await call(stand, user, {}, headers);
  await stand.checkBooks();
  const cost = (await stand.ledger("settled")).reduce((sum, entry) => sum + (entry.kind === "settled" ? (entry.charge.cost ?? 0) : 0), 0);
  assert.ok(cost > 0);
  const scraped = await until("the calls", async () => {
    const [value] = (await query("sum(purser_cost_dollars_total) - sum(purser_cost_taken_back_dollars_total)")).values();
    return value !== undefined && Number(value) > 0 && (await query("sum(purser_calls_total) == 3")).size === 1 ? value : undefined;
  });
  assert.equal(Math.round(Number(scraped) * 1e9), cost);
  await until("the audit", async () => ((await query("purser_audit_mismatches == 0")).size === 1 ? true : undefined));
  const { panels } = JSON.parse(readFileSync(join(MONITORING, "grafana-dashboard.json"), "utf8")) as Dashboard;
  const expressions = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })));
  assert.ok(expressions.length >= 20);
  for (const { title, expr } of expressions) {
    // There is no book of record here.
    if (expr.startsWith("purser_archive")) continue;
    await until(
      `an answer to "${title}"`,
      async () => (await query(expr.replaceAll("$job", ".+").replaceAll("$instance", ".+"))).size || undefined,
    );
  }
});

/** Grafana's own type of a dashboard, whose enumerations a file writes as their values. */
const WRITTEN = `
import type { Dashboard } from "@grafana/schema";
type Written<T> = T extends string ? \`\${T}\` : T extends readonly (infer One)[] ? Written<One>[] : T extends object ? { [K in keyof T]: Written<T[K]> } : T;
`;

test("the Grafana dashboard is one by the schema that Grafana publishes, and no two panels lie on one another", async (context) => {
  const text = readFileSync(join(MONITORING, "grafana-dashboard.json"), "utf8");
  const check = (name: string, json: string) => `export const ${name}: Written<Dashboard> = ${json};`;
  assert.deepEqual(await typeErrors(context, [WRITTEN, check("dashboard", text)]), []);
  const wrong = [check("value", text.replace('"absolute"', '"never"')), check("name", text.replace('"refresh"', '"refreshes"'))];
  assert.equal((await typeErrors(context, [WRITTEN, ...wrong])).length, 2);
  const { panels } = JSON.parse(text) as Dashboard;
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
  );
  assert.equal(new Set(cells).size, cells.length);
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  for (const { gridPos } of panels) assert.ok(gridPos.x + gridPos.w <= 24);
});
