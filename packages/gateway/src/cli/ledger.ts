import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Budgets, createMemoryStore, type LedgerArchive, PurserError, type Store } from "@purser/core";
import type { PriceBook } from "@purser/core/prices";
import { openSqliteStore, type ReadableStore, readSqliteStore } from "@purser/core/stores/sqlite";
import type { Config } from "../config/config.ts";
import { priceBookOf } from "../config/price-book.ts";
import { leftOpen, openRedisStore } from "../store.ts";

/** Balances and ledger, read without a server. */
export interface Ledger {
  readonly budgets: Budgets;
  readonly store: Pick<Store, "entries" | "digest" | "lastSeqAtStart">;
  readonly prices: PriceBook;
  close(): Promise<void>;
}

export interface LedgerOptions {
  /** To change the ledger of a data folder, it must belong to no other process. */
  readonly purpose?: "reading" | "changing" | undefined;
  /** The book of record, which has what has left a Redis. */
  readonly archive?: LedgerArchive | undefined;
  /** Told what the user should know. */
  readonly say?: (text: string) => void;
}

/** Opens the ledger of a configuration: for reading, where one that is not there yet is empty; or to change it. */
export async function openLedger(config: Config, now: () => number, options: LedgerOptions = {}): Promise<Ledger> {
  const store = options.purpose === "changing" ? await openToChange(config, now, options) : await openToRead(config, now, options);
  const { budgets, allowances } = config;
  const prices = priceBookOf(config);
  return { budgets: new Budgets({ store, budgets, prices, allowances, now }), store, prices, close: () => store.close() };
}

async function openToChange(config: Config, now: () => number, { archive, say }: LedgerOptions): Promise<Store> {
  const { dataDir: directory, store } = config;
  if (store.redis) return openRedisStore(config, { archive, onNotice: () => undefined });
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const opened = await openSqliteStore({ directory, now });
  const left = leftOpen(opened);
  if (left !== undefined) say?.(left);
  return opened;
}

async function openToRead(config: Config, now: () => number, { archive }: LedgerOptions): Promise<Store> {
  const { dataDir: directory } = config;
  if (config.store.redis) {
    const store = await openRedisStore(config, { archive, onNotice: () => undefined });
    return readOnly({
      counters: (filter) => store.counters(filter),
      standings: (limits) => store.standings(limits),
      entries: (query) => store.entries(query),
      close: () => store.close(),
    });
  }
  if (!existsSync(join(directory, "purser.db"))) return createMemoryStore({ now });
  return readOnly(await readSqliteStore({ directory, now }));
}

/** A store of which only the reading half is there. */
function readOnly(reader: ReadableStore): Store {
  const refuse = () => Promise.reject(new PurserError("internal", "A ledger that is open for reading was to be changed."));
  return { ...reader, reserve: refuse, extend: refuse, settle: refuse, release: refuse, expire: refuse, record: refuse };
}
