import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Drain, type Entry } from "@purser/core";
import { openPostgresArchive } from "@purser/core/stores/postgres";
import { openSqliteStore } from "@purser/core/stores/sqlite";
import { startTestPostgres } from "@purser/core/testing";
import pg from "pg";
import { runCommandLine } from "../cli/command-line.ts";
import { styleFor } from "../cli/style.ts";
import type { Config } from "../config/config.ts";
import { type DemoProvider, startDemoProvider } from "../demo/provider.ts";
import { type Answered, type Json, post, readAnswer } from "./calls.ts";
import { openTestDatabase, testServer } from "./database.ts";
import { eventually, PRICES, providersAt, readLedger, type Stand, startStand } from "./stand.ts";

const server = testServer(after);
const MAIN = fileURLToPath(new URL("../cli/main.js", import.meta.url));
/** How often the gateway is killed. Set PURSER_CRASHES for more. */
const CRASHES = Number(process.env.PURSER_CRASHES ?? 4);
let provider: DemoProvider;

before(async () => {
  provider = await startDemoProvider({ delayMs: 0 });
});
after(() => provider.close());

const configText = (url: string) =>
  [
    providersAt(provider.url),
    PRICES,
    `store: { postgres: "${url}" }`,
    "budgets: [{ name: all, limits: [$100 / month, 2 concurrent] }]",
  ].join("\n");

const startGateway = (t: TestContext, url: string) => startStand(t, { config: configText(url), store: "sqlite" });

function ask({ url }: { readonly url: string }, headers: Record<string, string> = {}): Promise<Answered> {
  return post(`${url}/v1/chat/completions`, { model: "demo-1", max_tokens: 20, messages: [{ role: "user", content: "Ahoy" }] }, headers);
}

async function get({ url }: { readonly url: string }, path: string): Promise<Answered> {
  return readAnswer(await fetch(url + path));
}

/** What the archive has of one ledger, in its order. */
async function archived(url: string, ledger: string): Promise<readonly Entry[]> {
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  try {
    const archive = await openPostgresArchive({ pool, ledger });
    return await archive.entries({ most: 1_000_000 });
  } finally {
    await pool.end();
  }
}

async function ledgerName({ directory }: Stand): Promise<string> {
  const { ledgerNameOf } = await import("../books.ts");
  return ledgerNameOf(directory);
}

test("two gateways on one database share keys and books: each explains and reports the calls of both", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const one = await startGateway(t, database.url);
  const two = await startGateway(t, database.url);
  const made = (await post(`${one.url}/api/keys`, { name: "k", attributes: { team: "eng" }, may_set: ["user"], role: "admin" })).json;
  const authorization = `Bearer ${made.secret}`;
  await eventually("the other gateway to ask for a key", async () => (await ask(two)).status === 401 || undefined);
  assert.equal((await ask(one, { authorization, "x-purser-user": "ann" })).status, 200);
  const answer = await ask(two, { authorization, "x-purser-user": "bob" });
  const id = answer.headers.get("x-purser-request-id");

  const asOwner = async (stand: Stand, path: string) => readAnswer(await fetch(stand.url + path, { headers: { authorization } }));
  const explained = await eventually("the call of the other gateway", async () => {
    const { status, json } = await asOwner(one, `/api/requests/${id}`);
    return status === 200 && json.outcome === "settled" ? json : undefined;
  });
  assert.equal(explained.subject.user, "bob");
  const report = await eventually("the report", async () => {
    const { json } = await asOwner(one, "/api/report?by=team,user&filter=user=*&filter=team=e*");
    return json.data.length === 2 ? json : undefined;
  });
  assert.deepEqual(
    report.data.map(({ values, calls }: Json) => [values, calls]),
    [
      [{ team: "eng", user: "ann" }, 1],
      [{ team: "eng", user: "bob" }, 1],
    ],
  );
  assert.ok(report.data.every((row: Json) => row.cost_nanodollars > 0));
  assert.equal((await fetch(`${one.url}/api/keys/${made.id}`, { method: "DELETE", headers: { authorization } })).status, 200);
  await eventually("the key to end on the other gateway", async () => (await ask(two, { authorization })).status === 401 || undefined);
  for (const stand of [one, two]) {
    await stand.gateway.close();
    const entries = await openSqliteStore({ directory: stand.directory });
    assert.deepEqual(await archived(database.url, await ledgerName(stand)), await readLedger(entries, []));
    await entries.close();
    assert.deepEqual(stand.notices, []);
  }
});

test("while PostgreSQL is away calls are answered and counted, and then the books are whole", { timeout: 120_000 }, async (t) => {
  const own = await startTestPostgres();
  if (typeof own === "string") return t.skip(`not run: ${own}`);
  t.after(() => own.close());
  const stand = await startGateway(t, own.url);
  const traffic = async (calls: number) => {
    for (let call = 0; call < calls; call++) assert.equal((await ask(stand)).status, 200);
  };
  await traffic(20);
  const readiness = await eventually("the books to be level", async () => {
    const { json } = await get(stand, "/readyz");
    return json.archive?.entries_behind === 0 ? json : undefined;
  });
  assert.deepEqual(readiness, { status: "ready", archive: { status: "reachable", entries_behind: 0, seconds_behind: 0 } });

  await Promise.all([own.stop?.("kill"), traffic(30)]);
  await traffic(10);
  const away = await eventually("the outage to be seen", async () => {
    const answer = await get(stand, "/readyz");
    return answer.json.archive?.status === "unavailable" ? answer : undefined;
  });
  assert.equal(away.status, 200);
  assert.ok(away.json.archive.entries_behind >= 20);
  assert.equal((await get(stand, "/api/report")).status, 503);
  assert.equal((await get(stand, "/api/requests?limit=5")).json.data.length, 5);

  await own.start?.();
  await traffic(10);
  await eventually("the gateway to catch up", async () => (await get(stand, "/readyz")).json.archive.entries_behind === 0 || undefined);
  assert.equal((await get(stand, "/api/report")).json.data[0].calls, 70);
  const ledger = await stand.ledger();
  assert.deepEqual(await archived(own.url, await ledgerName(stand)), ledger);
  const outages = stand.notices.filter((notice) => /PostgreSQL cannot be used at the moment/.test(notice));
  assert.ok(outages.length >= 1 && outages.length <= 4, stand.notices.join("\n"));
  assert.ok(
    stand.notices.some((notice) => /PostgreSQL can be used again/.test(notice)),
    stand.notices.join("\n"),
  );
});

test(`a gateway that is killed ${CRASHES} times under load has every entry in PostgreSQL once`, { timeout: 240_000 }, async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const directory = await mkdtemp(join(tmpdir(), "purser-postgres-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const config = join(directory, "purser.yaml");
  await writeFile(config, `data: ${JSON.stringify(directory)}\n${configText(database.url)}`);
  for (let crash = 0; crash < CRASHES; crash++) {
    const { child, url } = await serve(config);
    const exited = once(child, "exit");
    let answers = 0;
    const client = async () => {
      while (answers++ < 40 * (crash + 1)) if (!(await ask({ url }).catch(() => undefined))) return;
      child.kill("SIGKILL");
    };
    await Promise.all(Array.from({ length: 2 }, client));
    await exited;
  }
  const { child } = await serve(config);
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  await exited;
  const store = await openSqliteStore({ directory });
  const { ledgerNameOf } = await import("../books.ts");
  const pool = new pg.Pool({ connectionString: database.url, max: 1 });
  try {
    const archive = await openPostgresArchive({ pool, ledger: await ledgerNameOf(directory) });
    await new Drain({ journal: store, archive }).close();
    const entries = await readLedger(store, []);
    assert.ok(entries.length > CRASHES * 100, `${entries.length} entries: that is no load`);
    assert.deepEqual(await archive.entries({ most: 1_000_000 }), entries);
    const [{ count }] = await database.rows("SELECT count(*)::int AS count FROM purser.entry");
    assert.equal(count, entries.length);
  } finally {
    await pool.end();
    await store.close();
  }
});

async function serve(config: string): Promise<{ readonly child: ChildProcess; readonly url: string }> {
  const child = spawn(process.execPath, [MAIN, "serve", "--json", "--config", config, "--port", "0"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    if (line.startsWith("{")) return { child, url: JSON.parse(line).url };
  }
  throw new Error("The gateway ended before it listened.");
}

test("the command line reports the same from PostgreSQL and from the gateway's own ledger", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const yaml = configText(database.url).replace("concurrent] }", "concurrent], min_output: 10, ladder: { 0%: shorten 16 } }");
  const stand = await startStand(t, { config: yaml, store: "sqlite" });
  for (const user of ["ann", "bob", "=1+1"]) await ask(stand, { "x-purser-user": user, "x-purser-tags": "customer=acme" });
  await post(`${stand.url}/v1/chat/completions`, {
    model: "demo-1",
    max_tokens: 1,
    messages: [{ role: "user", content: "word ".repeat(9_000_000) }],
  });
  await stand.gateway.close();
  const [postgres, own] = [join(stand.directory, "postgres.yaml"), join(stand.directory, "own.yaml")];
  await writeFile(postgres, yaml);
  await writeFile(own, yaml.replace(/^store:.*$/m, ""));
  const now = Date.now();
  const purser = (file: string, ...args: readonly string[]) =>
    runPurser(["report", "--config", file, "--data", stand.directory, "--until", "2999-01-01", ...args], stand.directory, [], now);
  for (const args of [
    ["--by", "user,model"],
    ["--by", "tag.customer", "--by", "user", "--step", "month", "--zone", "Asia/Kolkata"],
    ["--filter", "user=a*", "--step", "hour", "--since", "1d", "--until", "2027-01-01"],
  ]) {
    const [left, right] = [await purser(postgres, ...args), await purser(own, ...args)];
    assert.equal(left.exit, 0, left.text);
    assert.deepEqual(left.json, right.json);
    assert.equal(left.text, right.text);
    assert.ok((left.json as Json).data.length > 0, args.join(" "));
  }
  const savings = (file: string) =>
    runPurser(["savings", "--config", file, "--data", stand.directory, "--since", "1d"], stand.directory, [], now);
  const [ofPostgres, ofOwn] = [await savings(postgres), await savings(own)];
  assert.deepEqual((ofPostgres.json as Json).data, (ofOwn.json as Json).data);
  assert.deepEqual(
    (ofPostgres.json as Json).data.map(({ rung, calls }: Json) => [rung, calls]),
    [["shorten 16", 3]],
  );
  const advice = (file: string) =>
    runPurser(["commitments", "advise", "--config", file, "--data", stand.directory, "--discount", "5%"], stand.directory, [], now);
  const [advised, adviceOfOwn] = [await advice(postgres), await advice(own)];
  assert.deepEqual(advised.json, adviceOfOwn.json);
  assert.ok((advised.json as Json).data[0].ledger_nanodollars > 0);
  const table = await purser(postgres, "--by", "user");
  assert.match(table.text, /^User +Calls +Input +Output +Cost$/m);
  assert.match(table.text, /^Total +3 /m);
  const csv = await purser(postgres, "--by", "user", "--csv");
  assert.match(csv.text, /^from,to,user,calls,refusals,.*cost_dollars/);
  assert.match(csv.text, /,'=1\+1,1,0,\d+,.*,0\.\d{9},/);
});

test("what the data folder knows is shown while the database is away, and what it does not know is refused", async (t) => {
  const own = await startTestPostgres();
  if (typeof own === "string") return t.skip(`not run: ${own}`);
  t.after(() => own.close());
  const stand = await startGateway(t, own.url);
  await ask(stand);
  await stand.gateway.close();
  await own.stop?.();
  const file = join(stand.directory, "purser.yaml");
  await writeFile(file, configText(own.url));
  const said: string[] = [];
  const purser = (...args: readonly string[]) => runPurser([...args, "--config", file, "--data", stand.directory], stand.directory, said);
  assert.match((await purser("budgets")).text, /^all +\$100\.00 \/ month /m);
  assert.deepEqual(said, []);
  assert.match((await purser("explain", "last")).text, /was allowed and charged/);
  assert.match(said.join(), /Nothing listens there.*Only this gateway's own calls/);
  for (const command of ["keys", "report"]) {
    const { exit, text } = await purser(command);
    assert.equal(exit, 2);
    assert.match(text, /Nothing listens there/);
  }
});

function runPurser(args: readonly string[], cwd: string, said: string[] = [], now = Date.now()) {
  const style = styleFor({}, {});
  return runCommandLine(args, { cwd, env: {}, style, now: () => now, print: () => undefined, say: (text) => said.push(text) });
}

test("a gateway that cannot listen lets go of the database", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const one = await startGateway(t, database.url);
  const connections = async () => {
    const sql = "SELECT count(*)::int AS count FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'purser'";
    return (await database.rows(sql))[0].count;
  };
  await one.gateway.close();
  await eventually("its connections to end", async () => (await connections()) === 0 || undefined);
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  t.after(() => taken.close());
  const { port } = taken.address() as AddressInfo;
  const adjust = (config: Config) => ({ ...config, server: { ...config.server, port } });
  await assert.rejects(startStand(t, { config: configText(database.url), store: "sqlite", adjust }), /in use/);
  await eventually("its connections to end", async () => (await connections()) === 0 || undefined);
});

test("a database that cannot be used stops the start with what to do, without the password", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const { openBooks } = await import("../books.ts");
  const refusal = async (url: string) => {
    const error = await openBooks({ url, ledger: "x", directory: tmpdir(), patienceMs: 0 }).then(
      () => assert.fail("it was opened"),
      (error: { code: string; message: string }) => error,
    );
    assert.ok(!error.message.includes("hush"), error.message);
    return `${error.code}: ${error.message}`;
  };
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  listener.close();
  await once(listener, "close");
  assert.match(
    await refusal(`postgres://me:hush@127.0.0.1:${port}/purser`),
    /^store_unavailable: .*Nothing listens there.*store\.postgres/,
  );
  const other = (change: Partial<URL>) => Object.assign(new URL(database.url), { password: "hush" }, change).href;
  assert.match(await refusal(other({ pathname: "/nothing_here" })), /There is no such database.*CREATE DATABASE/);
  assert.match(await refusal(other({ username: "nobody_here" })), /refuses the (user|password)/);
  await database.rows("CREATE SCHEMA purser");
  await database.rows("CREATE TABLE purser.migration (number integer, name text, sha256 text)");
  await database.rows("INSERT INTO purser.migration VALUES (999, 'future', '')");
  assert.match(await refusal(database.url), /^postgres_unusable: .*later version of Purser/);
});
