import { after, describe, test } from "node:test";
import type { Cluster, Redis } from "ioredis";
import { storeContract } from "../../testing/index.ts";
import { createRedisStore } from "./index.ts";
import { isInstalled, type Scope, startCluster, startServer } from "./server.test-setup.ts";

interface Home {
  readonly name: string;
  readonly program: "redis-server" | "valkey-server";
  open(scope: Scope): Promise<Redis | Cluster>;
}

const HOMES: readonly Home[] = [
  { name: "Redis", program: "redis-server", open: async (scope) => (await startServer(scope)).connect() },
  { name: "Redis Cluster", program: "redis-server", open: (scope) => startCluster(scope) },
  { name: "Valkey", program: "valkey-server", open: async (scope) => (await startServer(scope, "valkey-server")).connect() },
  { name: "Valkey Cluster", program: "valkey-server", open: (scope) => startCluster(scope, "valkey-server") },
];

for (const { name, program, open } of HOMES) {
  describe(name, () => {
    const ends: (() => Promise<void>)[] = [];
    after(async () => {
      for (const end of ends.reverse()) await end();
    });
    let client: Promise<Redis | Cluster> | undefined;
    let namespaces = 0;
    for (const { name: law, run } of storeContract) {
      test(`${name} store: ${law}`, async (context) => {
        if (!isInstalled(program)) return context.skip(`not run: ${program} is not installed`);
        client ??= open({ after: (end) => ends.push(end) });
        const redis = await client;
        await run(async ({ now }) => createRedisStore({ redis, namespace: `contract-${++namespaces}`, now }));
      });
    }
  });
}
