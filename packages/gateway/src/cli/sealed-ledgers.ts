import { join } from "node:path";
import { type LedgerArchive, PurserError } from "@purser/core";
import type { AuditLine } from "../audit-log/chain.ts";
import { type SealedLedger, verifyLedger } from "../audit-log/sealed-ledger.ts";
import { ledgerName } from "../audit-log/seals.ts";
import { type Config, sharedLedger } from "../config/config.ts";
import { readWritten } from "../written-once.ts";
import { openLedger } from "./ledger.ts";

/** The ledger of a gateway, and the copy of it in PostgreSQL where there is one, beside what its audit log says that they were. */
export interface SealedLedgers {
  readonly ledgers: readonly (SealedLedger & { readonly where: string })[];
  /** Why one of them could not be read. */
  readonly unread: readonly string[];
}

export async function verifyLedgers(config: Config, lines: readonly AuditLine[], now: () => number): Promise<SealedLedgers> {
  const unread: string[] = [];
  const books = await openArchive(config).catch((error: unknown) => {
    unread.push(reasonOf(error));
    return undefined;
  });
  try {
    const terms = { ledger: ledgerName(config), lines };
    const own = async () => {
      const { store, close } = await openLedger(config, now, { archive: books?.archive });
      try {
        return { where: "", ...(await verifyLedger({ ...terms, entries: (query) => store.entries(query), isOwn: !config.store.redis })) };
      } finally {
        await close();
      }
    };
    // What has left a Redis is read from PostgreSQL already.
    const copy = async ({ archive }: { readonly archive: LedgerArchive }) => {
      const copiedUpTo = await archive.lastSeq();
      return {
        where: "in PostgreSQL",
        ...(await verifyLedger({ ...terms, entries: (query) => archive.entries(query), isOwn: false, copiedUpTo })),
      };
    };
    const asked = [own, ...(books && !config.store.redis ? [() => copy(books)] : [])];
    const ledgers: SealedLedgers["ledgers"][number][] = [];
    for (const ask of asked) {
      const ledger = await ask().catch((error: unknown) => void unread.push(reasonOf(error)));
      if (ledger) ledgers.push(ledger);
    }
    return { ledgers, unread };
  } finally {
    await books?.close();
  }
}

/** Nothing where none is configured, or nothing was brought there yet. */
export async function openArchive({ store, dataDir }: Config) {
  const ledger = sharedLedger(store) ?? (await readWritten(join(dataDir, "ledger.id")));
  if (store.postgres === undefined || ledger === undefined) return undefined;
  const { openBooks } = await import("../books.ts");
  return openBooks({ url: store.postgres, ledger, directory: dataDir, patienceMs: 0 });
}

/** What cannot be read is no reason to say nothing of the rest; what is broken in us is. */
function reasonOf(error: unknown): string {
  if (error instanceof PurserError && error.code !== "internal") return error.message;
  throw error;
}
