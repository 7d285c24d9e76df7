import { createLeasedStore, type LedgerArchive, type Store } from "@purser/core";
import { createRedisStore, type RedisStore } from "@purser/core/stores/redis";
import { openSqliteStore } from "@purser/core/stores/sqlite";
import type { Config } from "./config/config.ts";
import { openRedis } from "./redis-client.ts";

export interface StoreOptions {
  /** The book of record, where there is one: it has what has left a Redis. */
  readonly archive?: LedgerArchive | undefined;
  /** Told what an operator should know. */
  readonly onNotice: (notice: string) => void;
  readonly onError: (error: unknown) => void;
}

/** A store, and how what is in it comes to the book of record. */
export interface OpenedStore {
  readonly store: Store;
  /** The entries that the store itself has. */
  readonly journal: Pick<Store, "entries">;
  /** Told how far the book of record goes: what comes before that may leave the store. */
  readonly onArchived?: (lastSeq: number) => Promise<void>;
  /** Puts back what the store has lost and the book of record has. */
  readonly onBehind?: () => Promise<void>;
}

/** Opens the store that a configuration names: the Redis of several gateways, or the data folder of one. */
export async function openStore(config: Config, options: StoreOptions): Promise<OpenedStore> {
  if (!config.store.redis) {
    const store = await openSqliteStore({ directory: config.dataDir, onError: options.onError, onNotice: options.onNotice });
    const left = leftOpen(store);
    if (left !== undefined) options.onNotice(left);
    return { store, journal: store };
  }
  const store = await openRedisStore(config, options);
  const onArchived = async (lastSeq: number) => {
    await store.trim(lastSeq);
  };
  const { leases } = config.store;
  return {
    store: leases ? createLeasedStore(store, { onError: options.onError }) : store,
    journal: store.journal,
    onArchived,
    onBehind: () => store.restore(),
  };
}

/** What to tell of the calls whose owner died and that were charged when a store was opened; nothing where there were none. */
export function leftOpen({ expiredAtStart: { length } = [] }: Pick<Store, "expiredAtStart">): string | undefined {
  if (length === 0) return undefined;
  const calls = length === 1 ? "1 call was" : `${length.toLocaleString("en-US")} calls were`;
  return `${calls} left open by the process before this one. How they ended is not known, so they are charged at their estimate, unconfirmed.`;
}

/** Opens balances in the Redis of a configuration that can be reached and is fit to keep them. */
export async function openRedisStore(
  { store: { redis: urls = [], sentinels, namespace } }: Pick<Config, "store">,
  { archive, onNotice }: Pick<StoreOptions, "archive" | "onNotice">,
): Promise<RedisStore> {
  const redis = await openRedis(urls, { sentinels });
  const store = createRedisStore({ redis, namespace, onNotice, onClosed: () => redis.disconnect(), ...(archive && { archive }) });
  try {
    await store.ready();
  } catch (error) {
    redis.disconnect();
    throw error;
  }
  return store;
}
