import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export type RedisProgram = "redis-server" | "valkey-server";

/** A Redis or Valkey for tests, on a port and in a folder of its own. */
export interface TestRedis {
  readonly port: number;
  readonly url: string;
  /** Stops it in its tracks, or lets it go on. */
  freeze(isFrozen: boolean): void;
  /** SIGKILL, as a machine that fails. */
  kill(): Promise<void>;
  /** Starts it again with what it left on disk. */
  restart(): Promise<void>;
  /** Stops it for good. */
  close(): Promise<void>;
}

/** Sentinels that watch over a primary which they call `primary`. */
export interface TestSentinels {
  readonly urls: readonly string[];
  /** The port of the server that is the primary for them. */
  primary(): Promise<number>;
  /** Resolves when all of them know each other and so many replicas. */
  agreed(replicas: number): Promise<void>;
  close(): Promise<void>;
}

/** The nodes that serve slots come first, then their replicas in the same order, where there are some. */
export interface TestRedisCluster {
  readonly nodes: readonly TestRedis[];
  close(): Promise<void>;
}

/** Starts a server from the installed programs. It writes nothing to disk, unless settings say so. A text says why there is none. */
export async function startTestRedis(
  program: RedisProgram = "redis-server",
  settings: readonly string[] = [],
): Promise<TestRedis | string> {
  return startTestServer(program, (port, directory) => [
    ...["--port", String(port), "--bind", "127.0.0.1", "--dir", directory, "--save", ""],
    ...settings,
  ]);
}

const SENTINELS = 3;
const DOWN_AFTER_MS = 1_000;

/** Three sentinels that replace the primary on this port by a replica when it says nothing for a second. */
export async function startTestSentinels(primary: number, program: RedisProgram = "redis-server"): Promise<TestSentinels | string> {
  const servers: TestRedis[] = [];
  const close = async () => {
    for (const server of servers) await server.close();
  };
  for (let i = 0; i < SENTINELS; i++) {
    const server = await startTestServer(program, async (port, directory) => {
      const file = join(directory, "sentinel.conf");
      const lines = [
        `port ${port}`,
        "bind 127.0.0.1",
        `sentinel monitor primary 127.0.0.1 ${primary} 2`,
        `sentinel down-after-milliseconds primary ${DOWN_AFTER_MS}`,
        `sentinel failover-timeout primary ${5 * DOWN_AFTER_MS}`,
      ];
      await writeFile(file, `${lines.join("\n")}\n`);
      return [file, "--sentinel"];
    });
    if (typeof server === "string") return server;
    servers.push(server);
  }
  const [first] = servers as [TestRedis];
  return {
    urls: servers.map(({ url }) => url),
    primary: async () => Number(/\r\n(\d+)\r\n/.exec(await ask(first.port, "sentinel get-master-addr-by-name primary"))?.[1]),
    async agreed(replicas) {
      const isKnown = new RegExp(`,slaves=${replicas},sentinels=${SENTINELS}\\b`);
      for (const { port } of servers) await untilTrue(async () => isKnown.test(await ask(port, "info sentinel")));
    },
    close,
  };
}

/** Starts a server with arguments that its port and folder decide. */
async function startTestServer(
  program: RedisProgram,
  argsOf: (port: number, directory: string) => readonly string[] | Promise<readonly string[]>,
): Promise<TestRedis | string> {
  if (spawnSync(program, ["--version"]).status !== 0) return `${program} is not installed`;
  const directory = await mkdtemp(join(tmpdir(), "purser-redis-"));
  const port = await freePort();
  const args = await argsOf(port, directory);
  let child = await startProcess(program, args, port);
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  };
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    freeze: (isFrozen) => void child.kill(isFrozen ? "SIGSTOP" : "SIGCONT"),
    kill,
    async restart() {
      child = await startProcess(program, args, port);
    },
    async close() {
      await kill();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

interface ClusterOptions {
  readonly program?: RedisProgram | undefined;
  /** Whether each has a replica. */
  readonly replicas?: boolean;
  readonly settings?: readonly string[];
}

/** Three masters that share the slots among them. */
export async function startTestRedisCluster({
  program,
  replicas = false,
  settings = [],
}: ClusterOptions = {}): Promise<TestRedisCluster | string> {
  const own = ["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000", ...settings];
  const nodes: TestRedis[] = [];
  const close = async () => {
    for (const node of nodes) await node.close();
  };
  try {
    const count = replicas ? 6 : 3;
    for (let i = 0; i < count; i++) {
      const node = await startTestRedis(program, own);
      if (typeof node === "string") return node;
      nodes.push(node);
    }
    const masters = nodes.slice(0, 3);
    const slots = ["0 5460", "5461 10922", "10923 16383"];
    for (const [i, { port }] of masters.entries()) await ask(port, `cluster addslotsrange ${slots[i]}`);
    for (const [i, { port }] of nodes.entries()) await ask(port, `cluster set-config-epoch ${i + 1}`);
    const [first, ...others] = nodes as [TestRedis, ...TestRedis[]];
    for (const { port } of others) await ask(first.port, `cluster meet 127.0.0.1 ${port}`);
    const isMet = new RegExp(`cluster_state:ok.*cluster_known_nodes:${count}\\b`, "s");
    for (const { port } of nodes) await untilTrue(async () => isMet.test(await ask(port, "cluster info")));
    for (const [i, { port }] of nodes.slice(3).entries()) {
      const name = /[0-9a-f]{40}/.exec(await ask(masters[i]?.port ?? 0, "cluster myid"))?.[0];
      await ask(port, `cluster replicate ${name}`);
      await untilTrue(async () => (await ask(port, "info replication")).includes("master_link_status:up"));
    }
    return { nodes, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function startProcess(program: string, args: readonly string[], port: number): Promise<ChildProcess> {
  const child = spawn(program, args, { stdio: "ignore" });
  try {
    await untilTrue(async () => {
      if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}.`);
      return (await ask(port, "ping").catch(() => "")).startsWith("+PONG");
    });
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
  return child;
}

/** What a server answers to one command, as it comes over the wire. */
async function ask(port: number, command: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.end(`${command}\r\nquit\r\n`);
  let answer = "";
  for await (const bytes of socket) answer += String(bytes);
  if (answer.startsWith("-")) throw new Error(answer);
  return answer;
}

async function untilTrue(look: () => Promise<boolean>): Promise<void> {
  const until = performance.now() + 20_000;
  while (!(await look())) {
    if (performance.now() > until) throw new Error("Waited in vain for a server.");
    await sleep(20);
  }
}

/** A node of a cluster listens on a port 10,000 above its own as well. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port < 55_000 ? port : freePort();
}
