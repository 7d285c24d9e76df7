import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
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

export interface TestRedisCluster {
  readonly nodes: readonly TestRedis[];
  close(): Promise<void>;
}

/** Starts a server from the installed programs. It writes nothing to disk, unless settings say so. A text says why there is none. */
export async function startTestRedis(
  program: RedisProgram = "redis-server",
  settings: readonly string[] = [],
): Promise<TestRedis | string> {
  if (spawnSync(program, ["--version"]).status !== 0) return `${program} is not installed`;
  const directory = await mkdtemp(join(tmpdir(), "purser-redis-"));
  const port = await freePort();
  const args = ["--port", String(port), "--bind", "127.0.0.1", "--dir", directory, "--save", "", ...settings];
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

/** Three masters that share the slots among them. */
export async function startTestRedisCluster(program: RedisProgram = "redis-server"): Promise<TestRedisCluster | string> {
  const settings = ["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000"];
  const nodes: TestRedis[] = [];
  const close = async () => {
    for (const node of nodes) await node.close();
  };
  try {
    for (let i = 0; i < 3; i++) {
      const node = await startTestRedis(program, settings);
      if (typeof node === "string") return node;
      nodes.push(node);
    }
    const slots = ["0 5460", "5461 10922", "10923 16383"];
    for (const [i, { port }] of nodes.entries()) {
      await ask(port, `cluster addslotsrange ${slots[i]}`);
      await ask(port, `cluster set-config-epoch ${i + 1}`);
    }
    const [first, ...others] = nodes as [TestRedis, ...TestRedis[]];
    for (const { port } of others) await ask(first.port, `cluster meet 127.0.0.1 ${port}`);
    for (const { port } of nodes)
      await untilTrue(async () => /cluster_state:ok.*cluster_known_nodes:3/s.test(await ask(port, "cluster info")));
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
