import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Cluster, Redis } from "ioredis";

/** Servers for tests: started from the installed programs on free ports, and ended whatever becomes of the test. */

export type Program = "redis-server" | "valkey-server";

/** Whether a program is installed here. */
export function isInstalled(program: Program): boolean {
  return spawnSync(program, ["--version"]).status === 0;
}

/** Where a test registers what is to be done at its end: a test, or the file's own `after`. */
export interface Scope {
  after(end: () => Promise<void>): void;
}

/** How a client behaves that is not as usual. */
export interface ClientOptions {
  readonly port?: number;
  readonly maxRetriesPerRequest?: number;
  readonly autoResendUnfulfilledCommands?: boolean;
}

export interface Server {
  readonly port: number;
  readonly url: string;
  /** A client that ends with the test. */
  connect(options?: ClientOptions): Redis;
  /** Stops it in its tracks, or lets it go on. */
  freeze(isFrozen: boolean): void;
  /** SIGKILL, as a machine that fails. */
  kill(): Promise<void>;
  /** Starts it again on the same port, with what it left on disk. */
  restart(): Promise<void>;
}

export async function startServer(scope: Scope, program: Program = "redis-server", ...settings: readonly string[]): Promise<Server> {
  const directory = await mkdtemp(join(tmpdir(), "purser-redis-"));
  const port = await freePort();
  const args = ["--port", String(port), "--dir", directory, "--save", "", "--bind", "127.0.0.1", ...settings];
  let child = spawn(program, args, { stdio: "ignore" });
  const clients: Redis[] = [];
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  };
  scope.after(async () => {
    for (const client of clients) client.disconnect();
    await kill();
    await rm(directory, { recursive: true, force: true });
  });
  await untilAnswers(port, child);
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    connect(options) {
      const client = connectTo(port, options);
      clients.push(client);
      return client;
    },
    freeze: (isFrozen) => void child.kill(isFrozen ? "SIGSTOP" : "SIGCONT"),
    kill,
    async restart() {
      child = spawn(program, args, { stdio: "ignore" });
      await untilAnswers(port, child);
    },
  };
}

/** Three masters that share the slots, and nothing else. */
export async function startCluster(scope: Scope, program: Program = "redis-server"): Promise<Cluster> {
  const settings = ["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000"];
  const servers = await Promise.all([0, 1, 2].map(() => startServer(scope, program, ...settings)));
  const clients = servers.map((server) => server.connect());
  const slots = [
    [0, 5460],
    [5461, 10922],
    [10923, 16383],
  ] as const;
  for (const [i, client] of clients.entries()) {
    await client.call("cluster", "addslotsrange", ...(slots[i] ?? []).map(String));
    await client.call("cluster", "set-config-epoch", String(i + 1));
  }
  for (const { port } of servers.slice(1)) await clients[0]?.call("cluster", "meet", "127.0.0.1", String(port));
  await eventually(async () => {
    const infos = await Promise.all(clients.map(async (client) => String(await client.call("cluster", "info"))));
    return infos.every((info) => info.includes("cluster_state:ok") && info.includes("cluster_known_nodes:3"));
  });
  const cluster = new Cluster(
    servers.map(({ port }) => ({ host: "127.0.0.1", port })),
    { redisOptions: { commandTimeout: 2_000 } },
  );
  cluster.on("error", () => undefined);
  scope.after(async () => cluster.disconnect());
  return cluster;
}

/** Waits for what another process does. */
export async function eventually(look: () => Promise<boolean>): Promise<void> {
  const until = performance.now() + 20_000;
  while (!(await look())) {
    if (performance.now() > until) throw new Error("Waited in vain for a server.");
    await sleep(20);
  }
}

function connectTo(port: number, options: ClientOptions = {}): Redis {
  const client = new Redis({
    port,
    host: "127.0.0.1",
    commandTimeout: 5_000,
    maxRetriesPerRequest: 5,
    retryStrategy: () => 20,
    ...options,
  });
  // Its commands fail with the same error, and that is what tests look at.
  client.on("error", () => undefined);
  return client;
}

async function untilAnswers(port: number, child: ChildProcess): Promise<void> {
  const client = connectTo(port);
  try {
    await eventually(async () => {
      if (child.exitCode !== null) throw new Error(`The server ended with ${child.exitCode}.`);
      return (await client.ping().catch(() => "")) === "PONG";
    });
  } finally {
    client.disconnect();
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  // A node of a cluster listens on 10,000 more as well.
  return port < 55_000 ? port : freePort();
}
