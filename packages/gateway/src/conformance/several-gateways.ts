import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { Agent, createServer, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import type { Store } from "@purser/core";
import { createRedisStore, type LedgerSource, type RedisStore } from "@purser/core/stores/redis";
import { startTestRedis, startTestRedisCluster } from "@purser/core/testing";
import { openRedis } from "../redis-client.ts";
import { eventually } from "./stand.ts";

/** Gateways in processes of their own that share one Redis, with a provider behind them, and calls to them. */

const MAIN = fileURLToPath(new URL("../cli/main.js", import.meta.url));
const USAGE = { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 };

export interface Answer {
  readonly status: number;
  readonly id: string;
  readonly body: string;
}

export interface Gateway {
  readonly url: string;
  readonly child: ChildProcess;
  readonly config: string;
  /** What its environment has besides. */
  readonly env: Readonly<Record<string, string>>;
  /** How often it was started before: what it writes of itself can name it by PURSER_TEST_LIFE. */
  readonly life: number;
}

/** A provider that answers at once, but for users whose calls it keeps. */
export async function startProvider(context: TestContext) {
  const asked: string[] = [];
  const kept: ServerResponse[] = [];
  const server = createServer(async (incoming, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const { user } = JSON.parse(Buffer.concat(chunks).toString()) as { user: string };
    asked.push(user);
    if (user.startsWith("kept")) {
      kept.push(response);
      return;
    }
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ choices: [{ message: { content: "Aye." } }], usage: USAGE }));
  });
  // One that closes connections after seconds can do so while a call is on its way to it.
  server.keepAliveTimeout = 120_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, asked, kept };
}

interface GatewaysOptions {
  readonly redis: readonly string[];
  /** Those who know where the primary is, whose name for it is the host of `redis`. */
  readonly sentinels?: readonly string[];
  readonly namespace?: string;
  readonly postgres?: string;
  readonly provider: string;
  /** The list under `budgets:`, as YAML on one line. */
  readonly budgets: string;
  /** What is under `channels:`, as YAML on one line; of each gateway by its number, where they differ. */
  readonly channels?: string | ((gateway: number) => string);
  readonly count: number;
  readonly leases?: boolean;
  /** What their environment has besides. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Gateways in processes of their own, each with a folder of its own, on the Redis at these addresses. */
export async function startGateways(context: TestContext, options: GatewaysOptions): Promise<Gateway[]> {
  const { redis, sentinels, namespace = "acme", postgres, provider, budgets, channels = "{}", count, leases = false, env = {} } = options;
  const directory = await mkdtemp(join(tmpdir(), "purser-several-"));
  const gateways: Gateway[] = [];
  context.after(async () => {
    for (const { child } of gateways) await kill(child);
    await rm(directory, { recursive: true, force: true });
  });
  const store = [`redis: ${JSON.stringify(redis)}`, `namespace: ${namespace}`];
  if (sentinels) store.push(`sentinels: ${JSON.stringify(sentinels)}`);
  if (postgres !== undefined) store.push(`postgres: ${JSON.stringify(postgres)}`);
  if (leases) store.push("leases: true");
  const started = Array.from({ length: count }, async (_, i) => {
    const config = join(directory, `purser-${i}.yaml`);
    await writeFile(
      config,
      [
        `data: ${JSON.stringify(join(directory, `data-${i}`))}`,
        `store: { ${store.join(", ")} }`,
        `providers: { mock: { dialect: openai, base_url: "${provider}", api_key: secret, models: ["*"] } }`,
        'prices: [{ model: "*", input: 3, output: 15 }]',
        `budgets: ${budgets}`,
        `channels: ${typeof channels === "string" ? channels : channels(i)}`,
      ].join("\n"),
    );
    gateways.push(await startGateway({ config, env, life: 0 }));
  });
  await Promise.all(started);
  return gateways;
}

async function startGateway({ config, env, life }: Pick<Gateway, "config" | "env" | "life">): Promise<Gateway> {
  const args = [MAIN, "serve", "--json", "--config", config, "--port", "0"];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env, PURSER_TEST_LIFE: String(life) },
  });
  let said = "";
  child.stderr.on("data", (text) => {
    said += text;
  });
  for await (const line of createInterface({ input: child.stdout })) {
    said += `${line}\n`;
    if (line.startsWith('{"url"')) return { child, config, env, life, url: (JSON.parse(line) as { url: string }).url };
  }
  throw new Error(`The gateway ended before it listened: ${said}`);
}

const STARTS_MOST = 10;

/** Kills one of several gateways and starts it anew, with the same folder at another address; again, as a supervisor does, if it gives up. */
export async function restart(gateways: Gateway[], i: number): Promise<void> {
  const { child, config, env, life } = gateways[i] as Gateway;
  await kill(child);
  for (let n = 1; ; n++) {
    try {
      gateways[i] = await startGateway({ config, env, life: life + n });
      return;
    } catch (error) {
      if (n === STARTS_MOST) throw error;
    }
  }
}

export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

interface StoreOptions {
  readonly namespace?: string;
  /** Where entries are that have left Redis. */
  readonly archive?: LedgerSource;
}

/** The store as a test sees it, at its own time or at another. */
export async function openStore(
  context: TestContext,
  redis: readonly string[],
  now?: () => number,
  { namespace = "acme", archive }: StoreOptions = {},
): Promise<RedisStore> {
  const client = await openRedis(redis);
  const store = createRedisStore({ redis: client, namespace, ...(now && { now }), ...(archive && { archive }) });
  context.after(async () => {
    await store.close();
    client.disconnect();
  });
  return store;
}

interface CallOptions {
  readonly model?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Makes one call. Nothing where the connection broke. `user` is what the provider sees as well. */
export function call(
  agent: Agent,
  { url }: Pick<Gateway, "url">,
  user: string,
  { model = "any", headers }: CallOptions = {},
): Promise<Answer | undefined> {
  const body = JSON.stringify({ model, user, max_tokens: 20, messages: [{ role: "user", content: "Count me." }] });
  return new Promise((resolve) => {
    const sent = request(
      `${url}/v1/chat/completions`,
      { method: "POST", agent, headers: { "content-type": "application/json", ...headers } },
      (response) => {
        let text = "";
        response.on("data", (chunk) => {
          text += chunk;
        });
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, id: String(response.headers["x-purser-request-id"]), body: text }),
        );
        response.on("error", () => resolve(undefined));
      },
    );
    sent.on("error", () => resolve(undefined));
    sent.end(body);
  });
}

export function openAgent(context: TestContext): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 200 });
  context.after(() => agent.destroy());
  return agent;
}

export async function untilEnded(store: Store): Promise<void> {
  await eventually("the last hold to end", async () => (await store.counters()).every(({ held }) => held === 0) || undefined);
}

export async function urlsOf(context: TestContext, kind: "one server" | "a cluster"): Promise<readonly string[] | string> {
  const started = kind === "one server" ? await startTestRedis() : await startTestRedisCluster();
  if (typeof started === "string") return started;
  context.after(() => started.close());
  return "nodes" in started ? started.nodes.map(({ url }) => url) : [started.url];
}
