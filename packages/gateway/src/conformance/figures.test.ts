import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, type TestContext, test } from "node:test";
import { Budgets, Drain, defineBudget, type Entry, type LedgerArchive, type RateCard, type Reservation, type Store } from "@purser/core";
import { openSqliteStore } from "@purser/core/stores/sqlite";
import type { Admin } from "../admin/admin.ts";
import { createAdmin } from "../admin/routes.ts";
import { Alerts } from "../alerts/alerts.ts";
import { openFileBook } from "../alerts/file-book.ts";
import { openBooks } from "../books.ts";
import { openKeys } from "../callers/keys.ts";
import { exposition } from "../metrics/exposition.ts";
import { Figures } from "../metrics/figures.ts";
import { countedFamilies } from "../metrics/tables.ts";
import { openSwitches } from "../switches/switches.ts";
import { openTestDatabase, testServer } from "./database.ts";
import { readLedger } from "./stand.ts";
import { NO_TRACES, type RecordedCall, serviceCalls, tenantCalls } from "./traces.ts";

const server = testServer(after);
const BEGAN = Date.UTC(2023, 10, 17);
const SPAN = "since=2023-11-01&until=2023-12-01";

/** Rates at which calls do not come to whole nano-dollars, so that whoever rounds elsewhere is found out. */
const CARDS: Readonly<Record<string, RateCard>> = Object.fromEntries(
  [
    ["m-large", 37_301, 149_207],
    ["m-small", 1_003, 7_919],
  ].map(([model, input, output]) => [
    model,
    {
      provider: "p",
      model: `${model}`,
      tiers: [{ aboveInputTokens: 0, rates: { input: Number(input), output: Number(output) } }],
      source: "test",
    },
  ]),
);

interface Replayed {
  readonly store: Store;
  readonly admin: (archive?: LedgerArchive) => Admin;
  readonly metrics: string;
  readonly entries: readonly Entry[];
  readonly balances: Awaited<ReturnType<Budgets["balances"]>>;
}

/** Sends recorded calls through budgets. Some hold longer than anybody waits and are charged at their estimate; of these, some are settled late. */
async function replay(context: TestContext, calls: readonly RecordedCall[]): Promise<Replayed> {
  const directory = await mkdtemp(join(tmpdir(), "purser-figures-"));
  let now = BEGAN;
  const store = await openSqliteStore({ directory, now: () => now });
  context.after(async () => {
    await store.close();
    await rm(directory, { recursive: true, force: true });
  });
  const figures = new Figures();
  const configured = [
    defineBudget({ name: "all", limits: ["$900000", "900B tokens"], owner: "finance@example.com" }),
    defineBudget({ name: "tenants", per: "team", limits: ["$900000 / month"] }),
    defineBudget({ name: "code", for: { team: "code" }, limits: ["$900000 / month"], owner: "dev@example.com" }),
  ];
  const prices = { card: (_: string, model: string) => CARDS[model] };
  const budgets = new Budgets({
    store,
    budgets: configured,
    prices,
    now: () => now,
    onCharge: (id, subject, charge, takenBack) => figures.charged(id, subject, charge, takenBack),
    onDenial: (subject, denial, id) => figures.denied(id, subject, denial),
    onError: (error) => assert.fail(error as Error),
  });
  await budgets.adopt();
  const late: { readonly reservation: Reservation; readonly call: RecordedCall }[] = [];
  const run = async (call: RecordedCall, i: number) => {
    const { who, inputTokens, outputTokens } = call;
    const decision = await budgets.reserve({
      id: `call-${i}`,
      subject: {
        provider: "p",
        model: i % 3 === 0 ? "m-small" : "m-large",
        team: who,
        user: `${who}-${i % 7}`,
        session: `${who}-${i % 50}`,
      },
      input: { most: inputTokens },
      output: { most: outputTokens + 100 },
      leaseMs: 60_000,
    });
    assert.ok(decision.outcome === "allowed");
    if (i % 97 === 0) late.push({ reservation: decision.reservation, call });
    else await budgets.settle(decision.reservation, { inputTokens, outputTokens });
  };
  const BATCH = 1_000;
  for (let i = 0; i < calls.length; i += BATCH) {
    const batch = calls.slice(i, i + BATCH);
    now = Math.max(now, batch[0]?.at ?? 0);
    await Promise.all(batch.map((call, j) => run(call, i + j)));
  }
  now += 3_600_000;
  await budgets.expire();
  await Promise.all(
    late
      .filter((_, i) => i % 2 === 0)
      .map(({ reservation, call: { inputTokens, outputTokens } }) => budgets.settle(reservation, { inputTokens, outputTokens })),
  );
  await budgets.close();
  const kept = {
    budgets,
    store,
    keys: await openKeys(directory),
    switches: openSwitches(directory),
    alerts: new Alerts({ book: await openFileBook(directory), channels: [], budgets: [] }),
    now: () => now,
    configured: () => configured,
  };
  return {
    store,
    admin: (archive) => createAdmin({ ...kept, ...(archive && { archive }) }),
    metrics: exposition(countedFamilies(figures.snapshot())),
    entries: await readLedger(store, []),
    balances: await budgets.balances({ budget: "all" }),
  };
}

/** What the entries say, added up by nobody else. */
function ledgerSums(entries: readonly Entry[]) {
  const sums = { cost: 0n, tokens: 0n, calls: 0 };
  for (const entry of entries) {
    if (entry.kind !== "settled" && entry.kind !== "expired" && entry.kind !== "corrected") continue;
    const { usage, cost = 0 } = entry.charge;
    sums.cost += BigInt(cost);
    sums.tokens += BigInt((usage.inputTokens ?? 0) + (usage.outputTokens ?? 0));
    if (entry.kind !== "corrected") sums.calls++;
    else {
      sums.cost -= BigInt(entry.detail.cost ?? 0);
      sums.tokens -= BigInt(entry.detail.inputTokens + entry.detail.outputTokens);
    }
  }
  return sums;
}

async function ask(admin: Admin, method: string, target: string, body?: unknown) {
  const { pathname, searchParams } = new URL(target, "http://purser.invalid");
  const answer = await admin({ method, path: pathname, query: searchParams, body });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  // biome-ignore lint/suspicious/noExplicitAny: JSON as any client reads it
  return answer.body as any;
}

/** Decimals as nano-dollars, exactly. */
function nano(decimal: string): bigint {
  assert.match(decimal, /^-?\d+\.\d{9}$/);
  return BigInt(decimal.replace(".", ""));
}

/** A column of a table without quoted line ends, whose cells have no commas before it. */
function column(text: string, name: string): readonly string[] {
  const [heading = "", ...lines] = text.split("\n");
  const at = heading.split(",").indexOf(name);
  assert.ok(at >= 0, `${name} in ${heading}`);
  return lines.map((line) => (line.match(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)?.[at] ?? "").replace(/,$/, ""));
}

function metricSum(text: string, name: string): bigint {
  const lines = text.split("\n").filter((line) => line.startsWith(`${name}{`));
  const values = lines.map((line) => line.slice(line.lastIndexOf(" ") + 1));
  return values.reduce((sum, value) => sum + (value.includes(".") ? nano(value) : BigInt(value)), 0n);
}

const sumOf = (values: readonly (number | bigint)[]) => values.reduce((sum: bigint, value) => sum + BigInt(value), 0n);

/** Every figure that anybody is shown, by the name of what shows it. */
async function shownFigures(admin: Admin) {
  const report = await ask(admin, "GET", `/api/report?${SPAN}&by=team,model&step=hour`);
  const compared = await ask(admin, "GET", `/api/report?${SPAN}&compare=before`);
  const focus: string = await ask(admin, "GET", `/api/report?${SPAN}&by=team&format=focus`);
  const csv: string = await ask(admin, "GET", `/api/report?${SPAN}&by=user&format=csv`);
  const statements = await ask(admin, "GET", "/api/statements?month=2023-11");
  const statementsCsv: string = await ask(admin, "GET", "/api/statements?month=2023-11&format=csv");
  const spenders = await ask(admin, "GET", `/api/spenders?${SPAN}&by=team`);
  const economics = await ask(admin, "POST", "/api/economics", { since: "2023-11-01", until: "2023-12-01" });
  const costs = {
    report: sumOf(report.data.map((row: { cost_nanodollars: number }) => row.cost_nanodollars)),
    compared: BigInt(compared.data[0].cost_nanodollars),
    focus: sumOf(column(focus, "BilledCost").map(nano)),
    csv: sumOf(column(csv, "cost_dollars").map(nano)),
    statements: BigInt(statements.total.cost_nanodollars),
    sheets: sumOf(statements.data.map((one: { total: { cost_nanodollars: number } }) => one.total.cost_nanodollars)),
    statementsCsv: sumOf(column(statementsCsv, "cost_dollars").map(nano)),
    spenders: BigInt(spenders.total.cost_nanodollars),
    economics: BigInt(economics.cost_nanodollars),
  };
  const tokens = {
    report: sumOf(report.data.map((row: { input_tokens: number; output_tokens: number }) => row.input_tokens + row.output_tokens)),
    focus: sumOf(column(focus, "ConsumedQuantity").map((text) => BigInt(text.replace(/\.0$/, "")))),
    economics: BigInt(economics.tokens),
  };
  return { costs, tokens, calls: economics.calls as number, spenders, statements, focus };
}

test("report, statement, FOCUS, Prometheus, balances and ledger agree to the nano-dollar on real traces", {
  skip: NO_TRACES,
}, async (context) => {
  const postgres = await server();
  const database = typeof postgres === "string" ? undefined : await openTestDatabase(context, postgres);
  const calls = [...serviceCalls(), ...tenantCalls(BEGAN)].toSorted((a, b) => a.at - b.at);
  const { store, admin, metrics, entries, balances } = await replay(context, calls);
  const truth = ledgerSums(entries);
  assert.equal(truth.calls, calls.length);
  assert.ok(entries.some(({ kind }) => kind === "corrected") && entries.some(({ kind }) => kind === "expired"));
  context.diagnostic(`${calls.length} calls, ${truth.tokens} tokens, ${truth.cost} nano-dollars`);

  const all = (sums: object, sum: bigint) => Object.fromEntries(Object.keys(sums).map((name) => [name, sum]));
  const embedded = await ask(admin(), "GET", `/api/report?${SPAN}&by=team,model`);
  assert.equal(sumOf(embedded.data.map((row: { cost_nanodollars: number }) => row.cost_nanodollars)), truth.cost);
  const archive = database && (await archived(context, database.url, store));
  if (archive) assert.deepEqual(await ask(admin(archive), "GET", `/api/report?${SPAN}&by=team,model`), embedded);
  // The book of record, where there is one, answers faster.
  const shown = await shownFigures(admin(archive));
  assert.deepEqual(shown.costs, all(shown.costs, truth.cost));
  assert.deepEqual(shown.tokens, all(shown.tokens, truth.tokens));
  assert.equal(shown.calls, truth.calls);
  assert.equal(metricSum(metrics, "purser_cost_dollars_total") - metricSum(metrics, "purser_cost_taken_back_dollars_total"), truth.cost);
  assert.equal(metricSum(metrics, "purser_tokens_total") - metricSum(metrics, "purser_tokens_taken_back_total"), truth.tokens);
  assert.equal(metricSum(metrics, "purser_calls_total"), BigInt(truth.calls));
  assert.deepEqual(
    balances.map(({ unit, spent }) => [unit, BigInt(spent)]),
    [
      ["nanodollars", truth.cost],
      ["tokens", truth.tokens],
    ],
  );
  assert.equal((await store.audit?.())?.length, 0);

  const owners = new Map(shown.statements.data.map(({ value, owner }: { value: string; owner: string }) => [value, owner]));
  assert.deepEqual([owners.get("code"), owners.get("c61")], ["dev@example.com", "finance@example.com"]);
  const tenants = Array.from({ length: 10 }, (_, digit) => `filter=team=c${digit}*`).join("&");
  const { spenders, concentration } = await ask(admin(archive), "GET", `/api/spenders?${SPAN}&by=team&${tenants}`);
  const three = concentration.find(({ percent }: { percent: number }) => percent === 3);
  assert.ok(spenders === 74 && three.spenders === 2 && three.share > 0.5, `${three.spenders} of ${spenders} tenants use ${three.share}`);
});

/** The book of record, with all that a store has written. */
async function archived(context: TestContext, url: string, store: Store): Promise<LedgerArchive> {
  const directory = await mkdtemp(join(tmpdir(), "purser-books-"));
  const books = await openBooks({ url, ledger: "traces", directory });
  context.after(async () => {
    await books.close();
    await rm(directory, { recursive: true, force: true });
  });
  const drain = new Drain({ journal: store, archive: books.archive });
  while (await drain.step());
  return books.archive;
}
