import { after, describe, test } from "node:test";
import { leaseContract, storeContract } from "../../testing/index.ts";
import { createRedisStore, type RedisClient } from "./index.ts";
import { type Scope, startCluster, startServer } from "./server.test-setup.ts";

type Home = (scope: Scope) => Promise<RedisClient | string>;

const HOMES: Readonly<Record<string, Home>> = {
  Redis: async (scope) => connected(await startServer(scope)),
  "Redis Cluster": (scope) => startCluster(scope),
  Valkey: async (scope) => connected(await startServer(scope, [], "valkey-server")),
  "Valkey Cluster": (scope) => startCluster(scope, "valkey-server"),
};

function connected(server: Awaited<ReturnType<typeof startServer>>): RedisClient | string {
  return typeof server === "string" ? server : server.connect();
}

for (const [name, start] of Object.entries(HOMES)) {
  describe(name, () => {
    const ends: (() => unknown)[] = [];
    after(async () => {
      for (const end of ends.reverse()) await end();
    });
    let client: Promise<RedisClient | string> | undefined;
    let namespaces = 0;
    for (const { name: law, run } of [...storeContract, ...leaseContract]) {
      test(`${name} store: ${law}`, async (context) => {
        client ??= start({ after: (end) => ends.push(end as () => unknown) });
        const redis = await client;
        if (typeof redis === "string") return context.skip(`not run: ${redis}`);
        await run(async ({ now }) => createRedisStore({ redis, namespace: `contract-${++namespaces}`, now }));
      });
    }
  });
}
