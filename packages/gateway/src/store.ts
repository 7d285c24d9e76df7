import type { Store } from "@purser/core";
import { createRedisStore, type RedisStore } from "@purser/core/stores/redis";
import { openSqliteStore } from "@purser/core/stores/sqlite";
import type { Config } from "./config/config.ts";
import { openRedis } from "./redis-client.ts";

export interface StoreOptions {
  /** Told what an operator should know. */
  readonly onNotice: (notice: string) => void;
  readonly onError: (error: unknown) => void;
}

/** Opens the store that a configuration names: the Redis of several gateways, or the data folder of one. */
export async function openStore({ store, dataDir }: Config, { onNotice, onError }: StoreOptions): Promise<Store> {
  return store.redis ? openRedisStore(store.redis, store.namespace, onNotice) : openSqliteStore({ directory: dataDir, onError });
}

/** Opens balances in a Redis that can be reached and is fit to keep them. */
export async function openRedisStore(urls: readonly string[], namespace: string, onNotice: (notice: string) => void): Promise<RedisStore> {
  const redis = await openRedis(urls);
  const store = createRedisStore({ redis, namespace, onNotice, onClosed: () => redis.disconnect() });
  try {
    await store.ready();
  } catch (error) {
    redis.disconnect();
    throw error;
  }
  return store;
}
