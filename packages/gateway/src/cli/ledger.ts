import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Budgets, createMemoryStore, PurserError, type Store } from "@purser/core";
import type { PriceBook } from "@purser/core/prices";
import { openSqliteStore, type ReadableStore, readSqliteStore } from "@purser/core/stores/sqlite";
import type { Config } from "../config/config.ts";
import { priceBookOf } from "../config/price-book.ts";

/** Balances and ledger of a data folder, read without a server. */
export interface Ledger {
  readonly budgets: Budgets;
  readonly store: Pick<Store, "entries">;
  readonly prices: PriceBook;
  close(): Promise<void>;
}

/**
 * Opens the ledger of a configuration's data folder: for reading, where one that is not there yet is empty; or to change it, which only one
 * process can at a time.
 */
export async function openLedger(config: Config, now: () => number, purpose: "reading" | "changing" = "reading"): Promise<Ledger> {
  const store = purpose === "changing" ? await openToChange(config, now) : await openToRead(config, now);
  const { budgets, allowances } = config;
  const prices = priceBookOf(config);
  return { budgets: new Budgets({ store, budgets, prices, allowances, now }), store, prices, close: () => store.close() };
}

async function openToChange({ dataDir: directory }: Config, now: () => number): Promise<Store> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  return openSqliteStore({ directory, now });
}

async function openToRead({ dataDir: directory }: Config, now: () => number): Promise<Store> {
  if (!existsSync(join(directory, "purser.db"))) return createMemoryStore({ now });
  return readOnly(await readSqliteStore({ directory, now }));
}

/** A store of which only the reading half is there. */
function readOnly(reader: ReadableStore): Store {
  const refuse = () => Promise.reject(new PurserError("internal", "A ledger that is open for reading was to be changed."));
  return { ...reader, reserve: refuse, extend: refuse, settle: refuse, release: refuse, expire: refuse, record: refuse };
}
