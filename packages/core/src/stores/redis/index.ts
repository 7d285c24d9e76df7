import { RedisStore, type RedisStoreOptions } from "./redis-store.ts";

export type { RedisClient } from "./client.ts";
export type { Loss, RedisStore, RedisStoreOptions } from "./redis-store.ts";
export type { LedgerSource } from "./restoration.ts";

/**
 * Balances and ledger in Redis or Valkey (a Cluster too), shared by every store with the same namespace: several gateways, one budget.
 * Nothing is sent before the first verb, or `ready`.
 */
export function createRedisStore(options: RedisStoreOptions): RedisStore {
  return new RedisStore(options);
}
