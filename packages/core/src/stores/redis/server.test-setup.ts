import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Cluster, Redis } from "ioredis";
import { type RedisProgram, startTestRedis, startTestRedisCluster, type TestRedis } from "../../testing/redis-server.ts";

/** Where something is registered that is to be done at the end: a test, or a list of the file's own. */
export type Scope = Pick<TestContext, "after">;

/** How a client behaves that is not as usual. */
export interface ClientOptions {
  readonly port?: number;
  readonly maxRetriesPerRequest?: number;
  readonly autoResendUnfulfilledCommands?: boolean;
}

/** A server that ends with its test, and clients that end before it. */
export interface Server extends TestRedis {
  connect(options?: ClientOptions): Redis;
}

/** A text says why there is none. */
export async function startServer(scope: Scope, settings: readonly string[] = [], program?: RedisProgram): Promise<Server | string> {
  const server = await startTestRedis(program, settings);
  if (typeof server === "string") return server;
  const clients: Redis[] = [];
  scope.after(async () => {
    for (const client of clients) client.disconnect();
    await server.close();
  });
  return {
    ...server,
    connect(options = {}) {
      const usual = { host: "127.0.0.1", port: server.port, commandTimeout: 5_000, maxRetriesPerRequest: 5, retryStrategy: () => 20 };
      const client = new Redis({ ...usual, ...options });
      // Its commands fail with the same error, and that is what tests look at.
      client.on("error", () => undefined);
      clients.push(client);
      return client;
    },
  };
}

/** A client of a cluster that ends with its test. A text says why there is none. */
export async function startCluster(scope: Scope, program?: RedisProgram): Promise<Cluster | string> {
  const servers = await startTestRedisCluster({ program });
  if (typeof servers === "string") return servers;
  const client = new Cluster(servers.nodes.map(({ port }) => ({ host: "127.0.0.1", port })));
  client.on("error", () => undefined);
  scope.after(async () => {
    client.disconnect();
    await servers.close();
  });
  return client;
}

/** Waits for what another process does. */
export async function eventually(look: () => Promise<boolean>): Promise<void> {
  const until = performance.now() + 20_000;
  while (!(await look())) {
    if (performance.now() > until) throw new Error("Waited in vain.");
    await sleep(20);
  }
}
