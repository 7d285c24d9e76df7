import { mkdir } from "node:fs/promises";
import { Drain, type LedgerArchive, type Store } from "@purser/core";
import type { Books } from "./books.ts";
import type { Keys } from "./callers/key.ts";
import { openKeys } from "./callers/keys.ts";
import { type Config, sharedLedger } from "./config/config.ts";
import { type OpenedStore, openStore, type StoreOptions } from "./store.ts";

/** What a gateway writes down, and where: balances and ledger, keys, and the book of record where there is one. */
export interface Records {
  readonly store: Store;
  readonly keys: Keys;
  readonly archive: LedgerArchive | undefined;
  /** Brings the ledger to the book of record, once it is started. */
  readonly archiving: Drain | undefined;
  /** Archives what is left, and lets go of everything. */
  close(): Promise<void>;
}

export interface RecordsOptions extends Pick<StoreOptions, "onNotice" | "onError"> {
  /** Where balances live; the store of the configuration where it is left out. */
  readonly store?: Store | undefined;
  /** Whether another process brings the ledger of that store to the book of record. */
  readonly isArchivedElsewhere?: boolean;
}

/** Opens all that a configuration names. */
export async function openRecords(config: Config, options: RecordsOptions): Promise<Records> {
  const { store: given, isArchivedElsewhere = false, onNotice, onError } = options;
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
  const books = await openBooksOf(config, onError);
  const { store, ...ledger } = given ? { store: given, journal: given } : await openOwnStore(config, books, options);
  const onRecovery = () => onNotice("PostgreSQL can be used again: what was written down meanwhile is brought there.");
  const archiving = books && !isArchivedElsewhere ? new Drain({ ...ledger, archive: books.archive, onError, onRecovery }) : undefined;
  const keys = books?.keys ?? (await openKeys(config.dataDir, { onError }));
  return {
    store,
    keys,
    archive: books?.archive,
    archiving,
    async close() {
      await archiving?.close();
      keys.close();
      await store.close();
      await books?.close();
    },
  };
}

/** Loaded only where it is used: most gateways have no PostgreSQL. */
async function openBooksOf({ store, dataDir }: Config, onError: (error: unknown) => void): Promise<Books | undefined> {
  if (store.postgres === undefined) return undefined;
  const { openBooks, ledgerNameOf } = await import("./books.ts");
  return openBooks({ url: store.postgres, ledger: sharedLedger(store) ?? (await ledgerNameOf(dataDir)), directory: dataDir, onError });
}

async function openOwnStore(
  config: Config,
  books: Books | undefined,
  { onNotice, onError }: Pick<StoreOptions, "onNotice" | "onError">,
): Promise<OpenedStore> {
  try {
    return await openStore(config, { onNotice, onError, archive: books?.archive });
  } catch (error) {
    await books?.close();
    throw error;
  }
}
