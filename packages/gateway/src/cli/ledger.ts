import { existsSync } from "node:fs";
import { join } from "node:path";
import { Budgets, createMemoryStore, PurserError, type Store } from "@purser/core";
import type { PriceBook } from "@purser/core/prices";
import { type ReadableStore, readSqliteStore } from "@purser/core/stores/sqlite";
import type { Config } from "../config/config.ts";
import { priceBookOf } from "../config/price-book.ts";

/** Balances and ledger of a data folder, read without a server. */
export interface Ledger {
  readonly budgets: Budgets;
  readonly store: Pick<Store, "entries">;
  readonly prices: PriceBook;
  close(): Promise<void>;
}

/** Opens the ledger of a configuration's data folder for reading. One that is not there yet is empty. */
export async function openLedger(config: Config, now: () => number): Promise<Ledger> {
  const store = existsSync(join(config.dataDir, "purser.db"))
    ? readOnly(await readSqliteStore({ directory: config.dataDir, now }))
    : createMemoryStore({ now });
  const { budgets, allowances } = config;
  const prices = priceBookOf(config);
  return { budgets: new Budgets({ store, budgets, prices, allowances, now }), store, prices, close: () => store.close() };
}

/** A store of which only the reading half is there. */
function readOnly(reader: ReadableStore): Store {
  const refuse = () => Promise.reject(new PurserError("internal", "A ledger that is open for reading was to be changed."));
  return { ...reader, reserve: refuse, extend: refuse, settle: refuse, release: refuse, expire: refuse, record: refuse };
}
