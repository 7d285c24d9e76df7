import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { Agent, createServer, type IncomingHttpHeaders, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Entry } from "@purser/core";
import { openSqliteStore, readSqliteStore } from "@purser/core/stores/sqlite";
import { highWater, readLedger } from "./stand.ts";

const MAIN = fileURLToPath(new URL("../cli/main.js", import.meta.url));
const WORKERS = 3;
/** What the provider reports for every call: of 60 tokens that are held, or a few more for the form of the messages. */
const USAGE = { prompt_tokens: 9, completion_tokens: 11, total_tokens: 20 };

test("several workers on one port never exceed a limit together, and use it to the end", async (t) => {
  const limit = 40_000;
  const site = await startSite(t, `[{ name: all, limits: [${limit} tokens, 1M requests / day] }]`);
  // Workers look at what is asked of them every two seconds, and take allotments of what is asked for often.
  await until("allotments", async () => {
    await load(site, { calls: 4, clients: 4 });
    return holdersOf(await site.entries()).size >= 2 || undefined;
  });
  const before = site.asked.size;
  assert.ok(before * USAGE.total_tokens < limit / 2, "most of the limit is still to be had");
  const statuses = await load(site, { calls: 2_400, clients: 40 });
  const admitted = before + (statuses.get(200) ?? 0);
  assert.equal(admitted, site.asked.size, "whoever got an answer was sent to the provider, and nobody else");
  assert.ok(admitted * USAGE.total_tokens <= limit);
  assert.ok(admitted * USAGE.total_tokens > 0.99 * limit, `${admitted} calls of ${USAGE.total_tokens} tokens were admitted`);
  assert.deepEqual([...statuses.keys()].sort(), [200, 402, 429].slice(0, statuses.size), "a refusal is one of a budget");
  const entries = await site.stop();
  for (const [key, most] of highWater(entries)) if (key.includes("|tokens/")) assert.ok(most <= limit, `${key} came to ${most}`);
  assert.ok(holdersOf(entries).size >= 2, "workers took allotments");
  await site.checkBooks(entries);
});

test("a worker that is killed costs no limit and no call of others, and another one takes its place", async (t) => {
  const site = await startSite(t, "[{ name: all, limits: [10M tokens, 1M requests / day] }]");
  await load(site, { calls: 300, clients: 20 });
  const before = await site.workers();
  assert.equal(before.length, WORKERS);
  const loading = load(site, { calls: 600, clients: 20 });
  await sleep(100);
  process.kill(before[0] as number, "SIGKILL");
  const statuses = await loading;
  assert.ok((statuses.get(200) ?? 0) >= 600 - 40, `${[...statuses]}: only calls that the dead worker had may fail`);
  const after = await until("another worker", async () => {
    const pids = await site.workers();
    return pids.length === WORKERS && !pids.includes(before[0] as number) ? pids : undefined;
  });
  assert.equal(after.filter((pid) => before.includes(pid)).length, WORKERS - 1);
  assert.equal((await load(site, { calls: 50, clients: 10 })).get(200), 50);
  assert.match(site.said(), /A worker has died \(SIGKILL\)/);
  await site.checkBooks(await site.stop());
});

test("a changed configuration is taken over by all workers at once and forgets nothing that was used; a wrong one changes nothing", async (t) => {
  const site = await startSite(t, "[{ name: all, limits: [10M tokens] }]");
  await load(site, { calls: 400, clients: 20 });
  await site.configure("[{ name: all, limits: [nothing] }]");
  await until("the complaint", () => /Nothing was changed/.test(site.said()) || undefined);
  await site.configure(`[{ name: all, limits: [10M tokens] }, { name: fresh, limits: [${410 * USAGE.total_tokens + 100} tokens] }]`);
  await until("the new configuration", () => /is taken over/.test(site.said()) || undefined);
  const statuses = await load(site, { calls: 100, clients: 4 });
  const admitted = (statuses.get(200) ?? 0) + 400;
  assert.ok(admitted <= 415 && admitted >= 408, `${admitted} calls were admitted by a limit for about 410`);
  await site.checkBooks(await site.stop());
});

test("whichever worker answers: a key is good, a balance is whole, and a decision of one is settled at another", async (t) => {
  const site = await startSite(t, "[{ name: all, limits: [10M tokens] }]");
  await load(site, { calls: 200, clients: 20 });
  const token = (await readFile(join(site.directory, "data", "admin.token"), "utf8")).trim();
  const owner = { authorization: `Bearer ${token}` };
  const spent = async () => {
    const { body } = await ask(site.url, "GET", "/api/budgets", undefined, owner);
    return (body as { data: { spent: number }[] }).data[0]?.spent;
  };
  // What the others have used is known when they have reported it.
  await until("the reports", async () => (await spent()) === 200 * USAGE.total_tokens || undefined);
  for (let i = 0; i < WORKERS; i++) assert.equal(await spent(), 200 * USAGE.total_tokens);
  const made = await ask(site.url, "POST", "/api/keys", { name: "ann", may_set: ["user"] }, owner);
  const { secret } = made.body as { secret: string };
  for (let i = 0; i < 2 * WORKERS; i++) {
    assert.equal((await call(site.url, `key-${i}`, { authorization: `Bearer ${secret}` })).status, 200);
    assert.equal((await call(site.url, `none-${i}`, { authorization: "Bearer pk-wrong" })).status, 401);
  }
  const batch = await ask(site.url, "POST", "/v1/batches", {}, owner);
  assert.equal(batch.status, 404);
  assert.match(JSON.stringify(batch.body), /Batches are taken by a single process: start the gateway without --workers/);
  const subject = { provider: "mock", model: "any" };
  for (let i = 0; i < 2 * WORKERS; i++) {
    const asked = { id: `dec-${i}`, subject, input_tokens: 10, max_output_tokens: 10 };
    const first = await ask(site.url, "POST", "/api/decisions", asked, owner);
    assert.equal(first.status, 200, JSON.stringify(first.body));
    assert.deepEqual((await ask(site.url, "POST", "/api/decisions", asked, owner)).body, first.body, "asked again, it is the same");
    const other = await ask(site.url, "POST", "/api/decisions", { ...asked, input_tokens: 11 }, owner);
    assert.equal(other.status, 400, "another call cannot have its id");
    const usage = { usage: { input_tokens: 4, output_tokens: 5 } };
    const settled = await ask(site.url, "POST", `/api/decisions/dec-${i}/settle`, usage, owner);
    assert.equal((settled.body as { outcome: string }).outcome, "settled", JSON.stringify(settled.body));
    const whole = { model: "any", max_tokens: 10, messages: [{ role: "user", content: "Hi" }] };
    const named = { ...owner, "x-purser-provider": "mock", "x-purser-decision-id": `whole-${i}` };
    const allowed = await ask(site.url, "POST", "/api/authorize?path=/v1/chat/completions", whole, named);
    assert.equal(allowed.status, 200, JSON.stringify(allowed.body));
    const answer = { choices: [], usage: { prompt_tokens: 4, completion_tokens: 5 } };
    const charged = await ask(site.url, "POST", `/api/decisions/whole-${i}/settle`, { answer }, owner);
    assert.deepEqual((charged.body as { usage: object }).usage, { input_tokens: 4, output_tokens: 5 });
  }
  await site.checkBooks(await site.stop());
});

test("workers that are told to stop let their calls end and return what they had at hand", async (t) => {
  const site = await startSite(t, "[{ name: all, limits: [10M tokens] }]");
  await load(site, { calls: 400, clients: 20 });
  const slow = Promise.all(Array.from({ length: 6 }, (_, i) => call(site.url, `slow-${i}`)));
  await until("the slow calls", () => [...site.asked].filter((user) => user.startsWith("slow")).length === 6 || undefined);
  const entries = await site.stop();
  assert.deepEqual(
    (await slow).map(({ status }) => status),
    [200, 200, 200, 200, 200, 200],
  );
  await site.checkBooks(entries);
  assert.ok(entries.filter(({ kind }) => kind === "expired").length === 0);
  const last = new Map(entries.flatMap((entry) => (entry.kind === "leased" ? [[entry.reservation, entry.end] as const] : [])));
  for (const end of last.values()) assert.equal(end, "returned");
});

test("whichever worker is scraped tells what all have counted, and goes on telling it when one of them dies", async (t) => {
  const site = await startSite(t, "[{ name: all, limits: [10M tokens] }]");
  const token = (await readFile(join(site.directory, "data", "admin.token"), "utf8")).trim();
  const counted = async () => {
    const response = await fetch(`${site.url}/metrics`, { headers: { authorization: `Bearer ${token}`, connection: "close" } });
    const text = await response.text();
    return {
      calls: Number(/^purser_calls_total\{.*\} (\d+)$/m.exec(text)?.[1] ?? 0),
      inFlight: Number(/^purser_calls_in_flight (\d+)$/m.exec(text)?.[1]),
      mismatches: /^purser_audit_mismatches (\d+)$/m.exec(text)?.[1],
    };
  };
  await load(site, { calls: 300, clients: 20 });
  // Each worker says what it has counted every second.
  await until("all workers", async () => (await counted()).calls === 300 || undefined);
  for (let i = 0; i < WORKERS; i++) assert.equal((await counted()).calls, 300);
  const before = await site.workers();
  process.kill(before[0] as number, "SIGKILL");
  await until("another worker", async () => (await site.workers()).filter((pid) => !before.includes(pid)).length === 1 || undefined);
  assert.equal((await counted()).calls, 300);
  await load(site, { calls: 100, clients: 10 });
  await until("the others", async () => (await counted()).calls === 400 || undefined);
  assert.equal((await counted()).inFlight, 0);
  await until("an audit", async () => (await counted()).mismatches === "0" || undefined);
  await site.checkBooks(await site.stop());
});

test("workers end with the process that started them", async (t) => {
  const site = await startSite(t, "[{ name: all, limits: [10M tokens] }]");
  const pids = await site.workers();
  site.child.kill("SIGKILL");
  await until("the workers to end", () => pids.every((pid) => !isAlive(pid)) || undefined);
  await site.checkBooks(await readEntries(site.directory));
});

test("a port that is taken, or a number that is none, is refused with what to do", async (t) => {
  const site = await startSite(t, "[]");
  const taken = await serveOnce(["--port", new URL(site.url).port, "--workers", "2", "--data", join(site.directory, "other")]);
  assert.match(taken, /Port \d+ on 127.0.0.1 is in use/);
  assert.match(await serveOnce(["--workers", "none"]), /--workers is a number of processes from 1 to 256/);
  assert.match(await serveOnce(["--workers", "2", "--demo"]), /The demo runs in one process/);
});

interface Site {
  readonly url: string;
  readonly directory: string;
  readonly child: ChildProcess;
  /** The users whose calls reached the provider. */
  readonly asked: ReadonlySet<string>;
  /** What the server told its operator. */
  said(): string;
  /** The process ids of the workers. */
  workers(): Promise<readonly number[]>;
  configure(budgets: string): Promise<void>;
  /** The ledger of the running server. */
  entries(): Promise<readonly Entry[]>;
  /** Stops the server in order, and reads its ledger. */
  stop(): Promise<readonly Entry[]>;
  /** Nothing is held, balances are the sum of the entries, and what the provider was asked has been charged. */
  checkBooks(entries: readonly Entry[]): Promise<void>;
}

async function startSite(t: TestContext, budgets: string): Promise<Site> {
  const directory = await mkdtemp(join(tmpdir(), "purser-workers-"));
  const asked = new Set<string>();
  const provider = await startProvider(asked);
  const file = join(directory, "purser.yaml");
  const configure = (text: string) => writeFile(file, configText(provider, join(directory, "data"), text));
  await configure(budgets);
  const child = spawn(process.execPath, [MAIN, "serve", "--json", "--config", file, "--port", "0", "--workers", String(WORKERS)], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    provider.close();
    provider.closeAllConnections();
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  });
  const url = await firstUrl(child, () => said);
  return {
    url,
    directory,
    child,
    asked,
    said: () => said,
    workers: () => childrenOf(child.pid as number),
    configure,
    entries: async () => {
      const store = await readSqliteStore({ directory: join(directory, "data") });
      try {
        return await store.entries({ most: 10_000 });
      } finally {
        await store.close();
      }
    },
    stop: async () => {
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      const [code] = await exited;
      assert.equal(code, 0, said);
      return readEntries(directory);
    },
    checkBooks: (entries) => checkBooks(directory, entries, asked),
  };
}

async function firstUrl(child: ChildProcess, said: () => string): Promise<string> {
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    if (line.startsWith("{")) return JSON.parse(line).url;
  }
  throw new Error(`The server ended before it listened: ${said()}`);
}

/** What `serve` says when it cannot start. */
async function serveOnce(args: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, [MAIN, "serve", ...args], { stdio: ["ignore", "ignore", "pipe"], cwd: tmpdir() });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  const [code] = await once(child, "exit");
  assert.equal(code, 2, said);
  return said;
}

async function childrenOf(pid: number): Promise<readonly number[]> {
  const { stdout } = await promisify(execFile)("ps", ["-o", "pid=,ppid=", "-A"]);
  const rows = stdout.split("\n").map((line) => line.trim().split(/\s+/).map(Number));
  return rows.filter(([, parent]) => parent === pid).map(([child]) => child as number);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function until<Value>(what: string, look: () => Promise<Value | undefined> | Value | undefined): Promise<Value> {
  const end = performance.now() + 15_000;
  for (;;) {
    const value = await look();
    if (value !== undefined) return value;
    if (performance.now() > end) throw new Error(`Waited in vain for ${what}.`);
    await sleep(20);
  }
}

/** Who took allotments. */
function holdersOf(entries: readonly Entry[]): ReadonlySet<string> {
  return new Set(entries.filter(({ kind }) => kind === "leased").map(({ reservation }) => reservation));
}

async function readEntries(directory: string): Promise<readonly Entry[]> {
  const store = await openSqliteStore({ directory: join(directory, "data") });
  try {
    return await readLedger(store, []);
  } finally {
    await store.close();
  }
}

async function checkBooks(directory: string, entries: readonly Entry[], asked: ReadonlySet<string>): Promise<void> {
  const sums = new Map<string, { spent: number; held: number }>();
  const charged = new Set<string>();
  for (const entry of entries) {
    for (const { counter, spent, held } of entry.postings) {
      const sum = sums.get(counter.key) ?? { spent: 0, held: 0 };
      sums.set(counter.key, { spent: sum.spent + spent, held: sum.held + held });
    }
    if (entry.kind === "settled" || entry.kind === "expired") charged.add(entry.detail.subject.user ?? "");
  }
  const store = await openSqliteStore({ directory: join(directory, "data") });
  try {
    for (const { ref, spent, held } of await store.counters()) {
      assert.deepEqual({ spent, held }, sums.get(ref.key), ref.key);
      assert.equal(held, 0, ref.key);
      // What died with a worker, its allotments included, is charged without a name.
      if (ref.unit === "tokens" && ref.budget === "all") assert.ok(spent >= asked.size * USAGE.total_tokens, `${spent} for ${asked.size}`);
    }
    assert.deepEqual(await store.audit(), []);
  } finally {
    await store.close();
  }
  const isWhole = !entries.some((entry) => entry.kind === "leased" && entry.end === "expired");
  if (isWhole) for (const user of asked) assert.ok(charged.has(user), `the provider was asked by ${user}, who is not charged`);
}

let calls = 0;

/** So many calls by so many clients at once, each on a connection of its own. By status. */
async function load({ url }: Site, { calls: wanted, clients }: { calls: number; clients: number }): Promise<ReadonlyMap<number, number>> {
  const statuses = new Map<number, number>();
  let begun = 0;
  const client = async () => {
    while (begun < wanted) {
      begun++;
      const { status } = await call(url, `user-${++calls}`).catch(() => ({ status: 0 }));
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return statuses;
}

function call(url: string, user: string, headers: IncomingHttpHeaders = {}) {
  const body = { model: "any", user, max_tokens: 20, messages: [{ role: "user", content: "Count me in, and tell me how many we are." }] };
  return ask(url, "POST", "/v1/chat/completions", body, headers);
}

/** A request on a connection of its own: the next one reaches another worker. */
function ask(
  url: string,
  method: string,
  path: string,
  body?: unknown,
  headers: IncomingHttpHeaders = {},
): Promise<{ readonly status: number; readonly body: unknown }> {
  return new Promise((resolve, reject) => {
    const agent = new Agent({ keepAlive: false });
    const asked = request(
      `${url}${path}`,
      { method, agent, headers: { "content-type": "application/json", ...headers } },
      async (response) => {
        try {
          const chunks: Buffer[] = [];
          for await (const chunk of response) chunks.push(chunk);
          resolve({ status: response.statusCode ?? 0, body: JSON.parse(Buffer.concat(chunks).toString() || "null") });
        } catch (error) {
          reject(error);
        }
      },
    );
    asked.on("error", reject);
    // The connection that was being handed to a worker when it died is nobody's.
    asked.setTimeout(8_000, () => asked.destroy(new Error("No answer in time.")));
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function startProvider(asked: Set<string>): Promise<Server> {
  const text = JSON.stringify({ choices: [{ message: { content: "One." } }], usage: USAGE });
  const server = createServer(async (incoming, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const { user = "" } = JSON.parse(Buffer.concat(chunks).toString());
    asked.add(user);
    const answer = () => response.writeHead(200, { "content-type": "application/json", "content-length": text.length }).end(text);
    if (user.startsWith("slow")) setTimeout(answer, 700);
    else setImmediate(answer);
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

function configText(provider: Server, data: string, budgets: string): string {
  const { port } = provider.address() as AddressInfo;
  return [
    `data: ${JSON.stringify(data)}`,
    `providers: { mock: { dialect: openai, base_url: "http://127.0.0.1:${port}/v1", api_key: secret, models: ["*"] } }`,
    'prices: [{ model: "*", input: 3, output: 15 }]',
    `budgets: ${budgets}`,
  ].join("\n");
}
