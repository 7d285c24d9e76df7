import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { Agent, createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Entry, Store } from "@purser/core";
import { openSqliteStore } from "@purser/core/stores/sqlite";

/** 100 with PURSER_CRASHES=100; each is a `kill -9` at a random moment under load, and a restart. */
const CRASHES = Number(process.env.PURSER_CRASHES ?? 12);
const CLIENTS = 24;
const TOKENS_LIMIT = 1_000_000;
const USAGE = { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 };
const MAIN = fileURLToPath(new URL("../cli/main.js", import.meta.url));

test(`a gateway killed ${CRASHES} times under load forgets nothing that the provider was asked, every hold ends, and no entry is taken for an altered one`, async () => {
  const directory = await mkdtemp(join(tmpdir(), "purser-crash-"));
  const asked = new Set<string>();
  const provider = await startProvider(asked);
  const config = join(directory, "purser.yaml");
  await writeFile(config, configText(provider, join(directory, "data")));
  const random = seededRandom(20_261_122);
  let calls = 0;
  try {
    for (let crash = 0; crash < CRASHES; crash++) {
      const gateway = await startGatewayProcess(config);
      calls = await loadUntilKilled(gateway, calls, 1 + Math.floor(random() * 200));
    }
    assert.ok(asked.size > CRASHES * 5, `only ${asked.size} calls reached the provider: that is no load`);
    const verified = spawnSync(process.execPath, [MAIN, "audit", "verify", "--config", config], { encoding: "utf8" });
    assert.match(verified.stdout, /^[\d,]+ entries of the ledger as sealed, none changed, taken out or put in\./m);
    assert.equal(verified.status, 0);
    await checkBooks(join(directory, "data"), asked);
  } finally {
    provider.close();
    provider.closeAllConnections();
    await rm(directory, { recursive: true, force: true });
  }
});

/** What the provider was asked is in the ledger, what is in the ledger has ended, and the balances are the sum of its entries. */
async function checkBooks(data: string, asked: ReadonlySet<string>): Promise<void> {
  const store = await openSqliteStore({ directory: data });
  try {
    const entries = await readAll(store);
    const reserved = new Map<string, Entry>();
    const ended = new Set<string>();
    const running = new Map<string, { held: number; spent: number }>();
    for (const entry of entries) {
      if (entry.kind === "reserved") reserved.set(entry.detail.subject.user ?? "", entry);
      if (entry.kind === "settled" || entry.kind === "released" || entry.kind === "expired") ended.add(entry.reservation);
      for (const { counter, held, spent } of entry.postings) {
        const sum = running.get(counter.key) ?? { held: 0, spent: 0 };
        running.set(counter.key, { held: sum.held + held, spent: sum.spent + spent });
        if (counter.unit === "tokens")
          assert.ok(sum.held + held + sum.spent + spent <= TOKENS_LIMIT, `over the limit at entry ${entry.seq}`);
      }
    }
    for (const user of asked) {
      const hold = reserved.get(user);
      assert.ok(hold, `the provider was asked by ${user}, and the ledger does not know it`);
      assert.ok(ended.has(hold.reservation), `the hold of ${user} never ended`);
    }
    const counters = await store.counters();
    assert.ok(counters.length > 0);
    for (const { ref, held, spent } of counters) {
      assert.equal(held, 0, `${ref.key} still holds ${held}`);
      assert.deepEqual({ held, spent }, running.get(ref.key), ref.key);
      if (ref.unit === "tokens") assert.ok(spent >= asked.size * USAGE.total_tokens, "the provider charged more than the ledger says");
    }
  } finally {
    await store.close();
  }
}

async function readAll(store: Store): Promise<readonly Entry[]> {
  const entries: Entry[] = [];
  for (;;) {
    const page = await store.entries({ after: entries.at(-1)?.seq ?? 0, most: 10_000 });
    if (page.length === 0) return entries;
    entries.push(...page);
  }
}

/** Keeps calling until so many answers came, then kills the gateway in the middle of the others. Returns how many calls were made so far. */
async function loadUntilKilled({ child, url }: GatewayProcess, callsBefore: number, answersWanted: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  const exited = once(child, "exit");
  let calls = callsBefore;
  let answers = 0;
  const client = async () => {
    while (answers < answersWanted) {
      if (!(await callOnce(url, agent, `user-${++calls}`, calls % 3 === 0))) return;
      answers++;
    }
    child.kill("SIGKILL");
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  child.kill("SIGKILL");
  await exited;
  agent.destroy();
  return calls;
}

/** Whether a whole answer came. */
function callOnce(url: string, agent: Agent, user: string, stream: boolean): Promise<boolean> {
  const body = JSON.stringify({ model: "any", user, stream, max_tokens: 20, messages: [{ role: "user", content: "Count me." }] });
  return new Promise((resolve) => {
    const call = request(
      `${url}/v1/chat/completions`,
      { method: "POST", agent, headers: { "content-type": "application/json" } },
      (response) => {
        response.resume();
        response.on("end", () => resolve(response.complete));
        response.on("close", () => resolve(response.complete));
      },
    );
    call.on("error", () => resolve(false));
    call.end(body);
  });
}

interface GatewayProcess {
  readonly child: ChildProcess;
  readonly url: string;
}

async function startGatewayProcess(config: string): Promise<GatewayProcess> {
  const child = spawn(process.execPath, [MAIN, "serve", "--json", "--config", config, "--port", "0"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  for await (const line of lines) {
    if (line.startsWith("{")) return { child, url: JSON.parse(line).url };
  }
  throw new Error("The gateway ended before it listened.");
}

function startProvider(asked: Set<string>): Promise<Server> {
  const server = createServer(async (incoming, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const { user, stream } = JSON.parse(Buffer.concat(chunks).toString());
    asked.add(user);
    if (stream) {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(`data: ${JSON.stringify({ choices: [{ delta: { content: "One " } }] })}\n\n`);
      setImmediate(() => response.end(`data: ${JSON.stringify({ choices: [], usage: USAGE })}\n\ndata: [DONE]\n\n`));
    } else {
      const text = JSON.stringify({ choices: [{ message: { content: "One." } }], usage: USAGE });
      setImmediate(() => response.writeHead(200, { "content-type": "application/json", "content-length": text.length }).end(text));
    }
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

function configText(provider: Server, data: string): string {
  const { port } = provider.address() as AddressInfo;
  return [
    `data: ${JSON.stringify(data)}`,
    `providers: { mock: { dialect: openai, base_url: "http://127.0.0.1:${port}/v1", api_key: secret, models: ["*"] } }`,
    'prices: [{ model: "*", input: 3, output: 15 }]',
    `budgets: [{ name: all, limits: [$9000, ${TOKENS_LIMIT} tokens, 100 concurrent, 1M requests] }]`,
  ].join("\n");
}

/** Mulberry32: the moments of the kills are the same in every run. */
function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
