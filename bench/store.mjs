// What the stores can do, as rows of JSON: `node bench/store.mjs`. About 20 seconds; ratios hold within one run only.
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { openSqliteStore } from "@purser/core/stores/sqlite";
import { apply } from "../packages/core/dist/domain/engine.js";
import { createState } from "../packages/core/dist/domain/state.js";
import { loadSqlite } from "../packages/core/dist/stores/sqlite/driver.js";

const SLICE_MS = Number(process.env.PURSER_BENCH_SLICE_MS ?? 1_000);
const ROUNDS = 3;
const USERS = 1_000;
const NOTHING = { base: 0, perOutputToken: 0, scale: 1 };

/** Eight limits: money, tokens and requests of a company, a team and a feature, and two of each user. */
const limitsByUser = Array.from({ length: USERS }, (_, user) => [
  ...["company", "team", "feature"].flatMap((budget) => [limit(budget, "", "nanodollars"), limit(budget, "", "tokens")]),
  limit("users", `user=${user}`, "tokens"),
  limit("users", `user=${user}`, "requests"),
]);

function limit(budget, subject, unit) {
  const key = `${budget}|${unit}/month@UTC|${subject}|1793491200000`;
  const counter = { key, budget, subject, unit, window: "month@UTC", startsAt: 1793491200000, resetsAt: 1796083200000 };
  return { counter, amount: Number.MAX_SAFE_INTEGER / 2, enforced: true };
}

let calls = 0;
function reserveCommand() {
  // Ids that ascend: an index over random ones costs as much again as everything else.
  const id = `${Date.now().toString(36)}-${++calls}`;
  const limits = limitsByUser[calls % USERS];
  const subject = {
    team: "platform",
    feature: "chat",
    user: `user-${calls % USERS}`,
    key: "key-1",
    provider: "openai",
    model: "gpt-4o-mini",
  };
  const asks = {
    nanodollars: { base: 150_000_000, perOutputToken: 600_000, scale: 1_000 },
    tokens: { base: 1_000, perOutputToken: 1, scale: 1 },
    input_tokens: { ...NOTHING, base: 1_000 },
    output_tokens: { ...NOTHING, perOutputToken: 1 },
    requests: { ...NOTHING, base: 1 },
    concurrent: { ...NOTHING, base: 1 },
  };
  const detail = { subject, inputTokens: 1_000, outputTokens: 500, cost: undefined, counted: false, price: "bench" };
  return { kind: "reserve", id, limits, asks, output: { least: 16, most: 500 }, leaseMs: 600_000, detail };
}

const AMOUNTS = { nanodollars: 300_123, tokens: 1_100, input_tokens: 900, output_tokens: 200, requests: 1, concurrent: 0 };
const CHARGE = { usage: { inputTokens: 900, outputTokens: 200 }, cost: 300_123, certainty: "confirmed" };
const settleCommand = (id) => ({ kind: "settle", id, amounts: AMOUNTS, charge: CHARGE });

function inMemory() {
  const state = createState();
  const cpu = process.cpuUsage();
  const start = performance.now();
  let pairs = 0;
  while (performance.now() - start < SLICE_MS) {
    for (let i = 0; i < 500; i++, pairs++) {
      const command = reserveCommand();
      apply(state, command, start);
      apply(state, settleCommand(command.id), start);
    }
  }
  const pairsPerSecond = (pairs / (performance.now() - start)) * 1_000;
  const { user, system } = process.cpuUsage(cpu);
  return { pairsPerSecond, cpuMicrosPerPair: (user + system) / pairs };
}

function fsyncMilliseconds(directory) {
  const file = openSync(join(directory, "fsync"), "w");
  const page = Buffer.alloc(4_096, 1);
  const times = Array.from({ length: 200 }, () => {
    const start = performance.now();
    writeSync(file, page);
    fdatasyncSync(file);
    return performance.now() - start;
  });
  closeSync(file);
  return percentile(times, 0.5);
}

async function durable(store, clients) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const times = [];
  let pairs = 0;
  delay.enable();
  const cpu = process.cpuUsage();
  const start = performance.now();
  const client = async () => {
    while (performance.now() - start < SLICE_MS) {
      const command = reserveCommand();
      const asked = performance.now();
      await store.reserve(command);
      times.push(performance.now() - asked);
      await store.settle(settleCommand(command.id));
      pairs++;
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  const took = performance.now() - start;
  delay.disable();
  const { user, system } = process.cpuUsage(cpu);
  return {
    pairsPerSecond: (pairs / took) * 1_000,
    reserveP50Ms: percentile(times, 0.5),
    reserveP99Ms: percentile(times, 0.99),
    stallMs: delay.max / 1e6,
    cpuMicrosPerPair: (user + system) / pairs,
  };
}

/** What is done without a journal: counters in SQLite, one transaction for each reserve and each settle. */
async function openBaseline(directory) {
  const database = (await loadSqlite())(join(directory, "baseline.db"));
  database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    CREATE TABLE counter (key TEXT PRIMARY KEY, most INTEGER, spent INTEGER, held INTEGER) STRICT;
    CREATE TABLE entry (seq INTEGER PRIMARY KEY, reservation TEXT, body TEXT) STRICT;`);
  const insert = database.prepare("INSERT OR IGNORE INTO counter VALUES (?, ?, 0, 0)");
  database.exec("BEGIN");
  for (const limits of limitsByUser) for (const { counter, amount } of limits) insert.run(counter.key, Math.floor(amount));
  database.exec("COMMIT");
  const hold = database.prepare("UPDATE counter SET held = held + ?1 WHERE key = ?2 AND spent + held + ?1 <= most");
  const spend = database.prepare("UPDATE counter SET held = held - ?, spent = spent + ? WHERE key = ?");
  const entry = database.prepare("INSERT INTO entry (reservation, body) VALUES (?, ?)");
  const transaction = (body) => {
    database.exec("BEGIN IMMEDIATE");
    body();
    database.exec("COMMIT");
  };
  return () => {
    const start = performance.now();
    let pairs = 0;
    for (; performance.now() - start < SLICE_MS; pairs++) {
      const { id, limits, detail } = reserveCommand();
      transaction(() => {
        for (const { counter } of limits) hold.run(1_500, counter.key);
        entry.run(id, JSON.stringify(detail));
      });
      transaction(() => {
        for (const { counter } of limits) spend.run(1_500, 1_100, counter.key);
        entry.run(id, JSON.stringify(CHARGE));
      });
    }
    return (pairs / (performance.now() - start)) * 1_000;
  };
}

function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

function medians(runs) {
  return Object.fromEntries(
    Object.keys(runs[0]).map((name) => [
      name,
      round(
        percentile(
          runs.map((run) => run[name]),
          0.5,
        ),
      ),
    ]),
  );
}

function round(value) {
  return value >= 1_000 ? Math.round(value) : Math.round(value * 1_000) / 1_000;
}

function print(name, figures) {
  console.log(JSON.stringify({ bench: "store", name, ...figures }));
}

const directory = mkdtempSync(join(tmpdir(), "purser-bench-"));
try {
  inMemory();
  const memory = Array.from({ length: ROUNDS }, inMemory);
  print("memory, 8 limits", medians(memory));
  const store = await openSqliteStore({ directory });
  const baseline = await openBaseline(directory);
  await durable(store, 256);
  const rounds = [];
  for (let round = 0; round < ROUNDS; round++) {
    const fsyncMs = fsyncMilliseconds(directory);
    const runs = { fsyncMs, perTransaction: baseline() };
    for (const clients of [1, 64, 256]) runs[clients] = await durable(store, clients);
    rounds.push(runs);
  }
  print("fsync of one page", medians(rounds.map(({ fsyncMs }) => ({ p50Ms: fsyncMs }))));
  print(
    "counters in SQLite, a transaction per operation",
    medians(rounds.map(({ perTransaction }) => ({ pairsPerSecond: perTransaction }))),
  );
  for (const clients of [1, 64, 256])
    print(`durable, ${clients} client${clients > 1 ? "s" : ""}`, medians(rounds.map((runs) => runs[clients])));
  const ratios = rounds.map((runs) => ({
    throughputToTransactionPerOperation: runs[256].pairsPerSecond / runs.perTransaction,
    idleP50AboveFsyncMs: runs[1].reserveP50Ms - runs.fsyncMs,
  }));
  print("ratios within a round", medians(ratios));
  const mismatches = await store.audit();
  print("audit", { entries: (await store.entries({ newest: true, most: 1 }))[0]?.seq, mismatches: mismatches.length });
  await store.close();
} finally {
  rmSync(directory, { recursive: true, force: true });
}
