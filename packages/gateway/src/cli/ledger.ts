import { existsSync } from "node:fs";
import { join } from "node:path";
import { Budgets, createMemoryStore, type LedgerArchive, PurserError, type Store } from "@purser/core";
import type { PriceBook } from "@purser/core/prices";
import { type ReadableStore, readSqliteStore } from "@purser/core/stores/sqlite";
import type { Config } from "../config/config.ts";
import { priceBookOf } from "../config/price-book.ts";
import { openRedisStore } from "../store.ts";

/** Balances and ledger, read without a server. */
export interface Ledger {
  readonly budgets: Budgets;
  readonly store: Pick<Store, "entries">;
  readonly prices: PriceBook;
  close(): Promise<void>;
}

/** Opens the ledger of a configuration for reading. One that is not there yet is empty. */
export async function openLedger(config: Config, now: () => number, archive?: LedgerArchive): Promise<Ledger> {
  const store = await openReading(config, now, archive);
  const { budgets, allowances } = config;
  const prices = priceBookOf(config);
  return { budgets: new Budgets({ store, budgets, prices, allowances, now }), store, prices, close: () => store.close() };
}

async function openReading(config: Config, now: () => number, archive?: LedgerArchive): Promise<Store> {
  const { dataDir } = config;
  if (config.store.redis) {
    const store = await openRedisStore(config, { archive, onNotice: () => undefined });
    return readOnly({
      counters: (filter) => store.counters(filter),
      standings: (limits) => store.standings(limits),
      entries: (query) => store.entries(query),
      close: () => store.close(),
    });
  }
  return existsSync(join(dataDir, "purser.db")) ? readOnly(await readSqliteStore({ directory: dataDir, now })) : createMemoryStore({ now });
}

/** A store of which only the reading half is there. */
function readOnly(reader: ReadableStore): Store {
  const refuse = () => Promise.reject(new PurserError("internal", "A ledger that is open for reading was to be changed."));
  return { ...reader, reserve: refuse, extend: refuse, settle: refuse, release: refuse, expire: refuse, record: refuse };
}
