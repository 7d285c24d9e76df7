// The book of record: `npm run bench -- postgres [--entries N] [--batch N]`. A year of entries goes in, twice, and is reported. Ratios hold within one run only.
import { parseArgs } from "node:util";
import { openPostgresArchive } from "@purser/core/stores/postgres";
import { startTestPostgres } from "@purser/core/testing";
import pg from "pg";
import { from } from "pg-copy-streams";
import { cpuNanos } from "./machine.mjs";
import { seededRandom } from "./statistics.mjs";

const { values } = parseArgs({ options: { entries: { type: "string", default: "1000000" }, batch: { type: "string", default: "5000" } } });
const ENTRIES = Number(values.entries);
const BATCH = Number(values.batch);
const DAY_MS = 86_400_000;
const YEAR = { since: Date.UTC(2025, 10, 1), until: Date.UTC(2026, 10, 1) };
const BUSY = { since: Date.UTC(2024, 5, 3, 9), until: Date.UTC(2024, 5, 3, 11) };
const TEAMS = Array.from({ length: 20 }, (_, i) => `team-${i}`);
const FEATURES = ["chat", "search", "summaries", "agents"];
const MODELS = ["gpt-4o", "gpt-4o-mini", "claude-sonnet-4-6", "claude-haiku-4-5"];
const USERS = 2_000;

const random = seededRandom(7);
const pick = (most) => Math.floor(random() * most);

/** Eight counters a call, as a company with budgets at every level has. Entries that a store reads together share them. */
const counters = new Map();
function countersOf(team, user, month) {
  const name = `${team} ${user} ${month}`;
  if (counters.has(name)) return counters.get(name);
  const made = ["nanodollars", "tokens"].flatMap((unit) =>
    [
      ["company", ""],
      ["teams", `team=${team}`],
      ["users", `user=${user}`],
      ["features", ""],
    ].map(([budget, subject]) => {
      const startsAt = Date.UTC(2025, month);
      const key = `${budget}|${unit}/month@UTC|${subject}|${startsAt}`;
      return { key, budget, subject, unit, window: "month@UTC", startsAt, resetsAt: Date.UTC(2025, month + 1) };
    }),
  );
  counters.set(name, made);
  return made;
}

/** Two entries a call, evenly over a time. */
function* traffic({ since, until }) {
  for (let seq = 1; seq < ENTRIES; seq += 2) {
    const at = since + Math.floor(((until - since) * seq) / (ENTRIES + 2));
    const number = pick(USERS);
    const [team, user] = [TEAMS[number % TEAMS.length], `user-${number}`];
    const counters = countersOf(team, user, new Date(at).getUTCMonth());
    const subject = {
      org: "acme",
      team,
      feature: FEATURES[pick(4)],
      user,
      key: `key_${team}`,
      provider: "openai",
      model: MODELS[pick(4)],
      endpoint: "openai-chat",
    };
    const detail = { subject, inputTokens: 1_000, outputTokens: 500, cost: 450_000, counted: true, price: "bench" };
    const reservation = `req_${at.toString(36)}${seq.toString(36)}`;
    const held = counters.map((counter) => ({ counter, held: 1_500, spent: 0 }));
    yield { seq, at, kind: "reserved", reservation, postings: held, expiresAt: at + 600_000, outputCap: 500, detail };
    const usage = { inputTokens: 900, cacheReadInputTokens: pick(400), outputTokens: 100 + pick(300) };
    const charge = { usage, cost: 150_000 + pick(200_000), certainty: "confirmed" };
    const spent = counters.map((counter) => ({ counter, held: -1_500, spent: 1_100 }));
    yield { seq: seq + 1, at: at + 900, kind: "settled", reservation, postings: spent, detail, charge };
  }
}

function* batches(time) {
  let batch = [];
  for (const entry of traffic(time)) {
    if (batch.push(entry) < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** How long something takes, and the processor time that it takes here and in the server: that means something on a busy machine too. */
async function timed(work) {
  const backends = [...pids];
  const [start, own, server] = [performance.now(), process.cpuUsage(), cpuNanos(backends)];
  const result = await work();
  const { user, system } = process.cpuUsage(own);
  return {
    result,
    milliseconds: performance.now() - start,
    cpuMs: (user + system) / 1_000,
    serverCpuMs: (cpuNanos(backends) - server) / 1e6,
  };
}

const server = await startTestPostgres({ durable: true });
if (typeof server === "string") {
  console.log(`postgres: not run. ${server}.`);
  process.exit();
}
/** One connection, and no workers beside it, so that all of the server's time is seen. */
const pool = new pg.Pool({ connectionString: server.url, max: 1, options: "-c max_parallel_workers_per_gather=0" });
const pids = [];
pool.on("connect", (client) => pids.push(client.processID));
pool.on("error", () => undefined);
try {
  // A gateway that catches up after an outage, and a year that is brought in: few groups a batch, and almost one for each call.
  for (const [ledger, time] of [
    ["busy", BUSY],
    ["year", YEAR],
  ]) {
    const archive = await openPostgresArchive({ pool, ledger, copyFrom: from });
    for (const round of ["first", "again"]) {
      let [rows, spent, cpu, serverCpu] = [0, 0, 0, 0];
      for (const batch of batches(time)) {
        const { milliseconds, ...used } = await timed(() => archive.append(batch));
        rows += batch.length;
        spent += milliseconds;
        cpu += used.cpuMs;
        serverCpu += used.serverCpuMs;
      }
      const perRow = { cpuMicrosPerRow: (cpu / rows) * 1_000, serverCpuMicrosPerRow: (serverCpu / rows) * 1_000 };
      print({ what: `ingest ${ledger}, ${round}`, rows, rowsPerSecond: Math.round((rows / spent) * 1_000), ...perRow });
    }
  }
  const archive = await openPostgresArchive({ pool, ledger: "year", copyFrom: from });
  await pool.query("ANALYZE");
  for (const name of ["entry", "team_hour", "team_day", "user_hour", "user_day"]) {
    const { rows } = await pool.query(
      "SELECT (SELECT count(*) FROM purser." +
        name +
        ") AS count, (SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree($1)) AS partitioned, pg_total_relation_size($1) AS plain",
      [`purser.${name}`],
    );
    print({
      what: `size of ${name}`,
      rows: Number(rows[0].count),
      megabytes: Math.round(Number(rows[0].partitioned ?? rows[0].plain) / 1e6),
    });
  }
  const quarter = { since: YEAR.until - 90 * DAY_MS, until: YEAR.until };
  const berlin = { timeZone: "Europe/Berlin" };
  const reports = {
    "year by team, model": { ...YEAR, by: ["team", "model"] },
    "year by team, model, month": { ...YEAR, by: ["team", "model"], step: "month" },
    "year by team, model, month, Berlin": { ...YEAR, by: ["team", "model"], step: "month", ...berlin },
    "year by team, model, day": { ...YEAR, by: ["team", "model"], step: "day" },
    "year by day, Berlin": { ...YEAR, step: "day", ...berlin },
    "year by day, Kolkata": { ...YEAR, step: "day", timeZone: "Asia/Kolkata" },
    "90 days by team, day, Berlin": { ...quarter, by: ["team"], step: "day", ...berlin },
    "year by user": { ...YEAR, by: ["user"] },
    "year of one user by model": { ...YEAR, by: ["model"], filter: { user: "user-7" } },
    "90 days by key (entries)": { ...quarter, by: ["key"] },
    "year by key (entries)": { ...YEAR, by: ["key"] },
  };
  for (const [what, query] of Object.entries(reports)) {
    const times = [];
    for (let i = 0; i < 5; i++) times.push(await timed(() => archive.report(query)));
    const { milliseconds, cpuMs, serverCpuMs, result } = times.sort((a, b) => a.milliseconds - b.milliseconds)[2];
    print({ what: `report: ${what}`, rows: result.length, medianMs: milliseconds, cpuMs, serverCpuMs, worstMs: times[4].milliseconds });
  }
} finally {
  await pool.end();
  await server.close();
}

function print(row) {
  console.log(JSON.stringify(row, (_, value) => (typeof value === "number" ? Number(value.toPrecision(4)) : value)));
}
