import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { Agent, createServer, type IncomingHttpHeaders, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Entry } from "@purser/core";
import { openSqliteStore, readSqliteStore } from "@purser/core/stores/sqlite";
import { readLedger } from "./stand.ts";

export const MAIN = fileURLToPath(new URL("../cli/main.js", import.meta.url));
export const WORKERS = 3;
/** What the provider reports for every call: of 60 tokens that are held, or a few more for the form of the messages. */
export const USAGE = { prompt_tokens: 9, completion_tokens: 11, total_tokens: 20 };

export interface Site {
  /** Another one after each start. */
  readonly url: string;
  readonly directory: string;
  /** The first process. */
  readonly child: ChildProcess;
  /** The users whose calls reached the provider, and how many of each did. */
  readonly asked: ReadonlyMap<string, number>;
  /** What the server told its operator. */
  said(): string;
  /** The process ids of the workers. */
  workers(): Promise<readonly number[]>;
  configure(budgets: string): Promise<void>;
  /** Kills the first process, and waits until it is gone. */
  kill(): Promise<void>;
  /** Starts all of it again. */
  start(): Promise<void>;
  /** The ledger of the running server. */
  entries(): Promise<readonly Entry[]>;
  /** Stops the server in order, and reads its ledger. */
  stop(): Promise<readonly Entry[]>;
  /** Nothing is held, balances are the sum of the entries, and what the provider was asked has been charged. */
  checkBooks(entries: readonly Entry[]): Promise<void>;
}

interface SiteOptions {
  /** More of the configuration. */
  readonly more?: string;
  /** Where the provider is; one of its own where it is left out. */
  readonly providerUrl?: string;
  /** Other providers, each with a comma before it. */
  readonly providers?: string;
}

export async function startSite(
  t: TestContext,
  budgets: string,
  { more = "", providerUrl, providers = "" }: SiteOptions = {},
): Promise<Site> {
  const directory = await mkdtemp(join(tmpdir(), "purser-workers-"));
  const asked = new Map<string, number>();
  const provider = await startProvider(asked);
  const file = join(directory, "purser.yaml");
  const configure = (text: string) =>
    writeFile(file, `${configText(providerUrl ?? urlOf(provider), providers, join(directory, "data"), text)}\n${more}`);
  await configure(budgets);
  let said = "";
  const begin = async () => {
    const child = spawn(process.execPath, [MAIN, "serve", "--json", "--config", file, "--port", "0", "--workers", String(WORKERS)], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    child.stderr?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
    t.after(() => kill(child));
    return { child, url: await firstUrl(child, () => said) };
  };
  t.after(async () => {
    provider.close();
    provider.closeAllConnections();
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  });
  let running = await begin();
  return {
    get url() {
      return running.url;
    },
    directory,
    get child() {
      return running.child;
    },
    asked,
    kill: () => kill(running.child),
    start: async () => {
      running = await begin();
    },
    said: () => said,
    workers: () => childrenOf(running.child.pid as number),
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
      const { child } = running;
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      const [code] = await exited;
      assert.equal(code, 0, said);
      return readEntries(directory);
    },
    checkBooks: (entries) => checkBooks(directory, entries, asked),
  };
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

async function firstUrl(child: ChildProcess, said: () => string): Promise<string> {
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    if (line.startsWith("{")) return JSON.parse(line).url;
  }
  throw new Error(`The server ended before it listened: ${said()}`);
}

async function childrenOf(pid: number): Promise<readonly number[]> {
  const { stdout } = await promisify(execFile)("ps", ["-o", "pid=,ppid=", "-A"]);
  const rows = stdout.split("\n").map((line) => line.trim().split(/\s+/).map(Number));
  return rows.filter(([, parent]) => parent === pid).map(([child]) => child as number);
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

export async function until<Value>(what: string, look: () => Promise<Value | undefined> | Value | undefined): Promise<Value> {
  const end = performance.now() + 15_000;
  for (;;) {
    const value = await look();
    if (value !== undefined) return value;
    if (performance.now() > end) throw new Error(`Waited in vain for ${what}.`);
    await sleep(20);
  }
}

/** Who took allotments. */
export function holdersOf(entries: readonly Entry[]): ReadonlySet<string> {
  return new Set(entries.filter(({ kind }) => kind === "leased").map(({ reservation }) => reservation));
}

export async function readEntries(directory: string): Promise<readonly Entry[]> {
  const store = await openSqliteStore({ directory: join(directory, "data") });
  try {
    return await readLedger(store, []);
  } finally {
    await store.close();
  }
}

async function checkBooks(directory: string, entries: readonly Entry[], asked: ReadonlyMap<string, number>): Promise<void> {
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
  if (isWhole) for (const user of asked.keys()) assert.ok(charged.has(user), `the provider was asked by ${user}, who is not charged`);
}

let calls = 0;

/** So many calls by so many clients at once, each on a connection of its own. By status. */
export async function load(
  { url }: Site,
  { calls: wanted, clients }: { calls: number; clients: number },
): Promise<ReadonlyMap<number, number>> {
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

export function call(url: string, user: string, headers: IncomingHttpHeaders = {}) {
  const body = { model: "any", user, max_tokens: 20, messages: [{ role: "user", content: "Count me in, and tell me how many we are." }] };
  return ask(url, "POST", "/v1/chat/completions", body, headers);
}

/** A request on a connection of its own: the next one reaches another worker. */
export function ask(
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

function startProvider(asked: Map<string, number>): Promise<Server> {
  const text = JSON.stringify({ choices: [{ message: { content: "One." } }], usage: USAGE });
  const server = createServer(async (incoming, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const { user = "" } = JSON.parse(Buffer.concat(chunks).toString());
    asked.set(user, (asked.get(user) ?? 0) + 1);
    const answer = () => response.writeHead(200, { "content-type": "application/json", "content-length": text.length }).end(text);
    if (user.startsWith("never")) return;
    if (user.startsWith("slow")) setTimeout(answer, 700);
    else setImmediate(answer);
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

function urlOf(provider: Server): string {
  return `http://127.0.0.1:${(provider.address() as AddressInfo).port}`;
}

function configText(provider: string, others: string, data: string, budgets: string): string {
  return [
    `data: ${JSON.stringify(data)}`,
    `providers: { mock: { dialect: openai, base_url: "${provider}/v1", api_key: secret, models: ["*"] }${others} }`,
    'prices: [{ model: "*", input: 3, output: 15 }]',
    `budgets: ${budgets}`,
  ].join("\n");
}
