import type { Entry } from "../domain/ledger.ts";
import { LEDGER_PAGE, type LedgerQuery, type Store } from "../stores/store.ts";

/** Every entry that a query asks for, page by page. */
export async function allEntries(store: Store, query: LedgerQuery = {}): Promise<readonly Entry[]> {
  const entries: Entry[] = [];
  for (;;) {
    const page = await store.entries({ ...query, after: entries.at(-1)?.seq ?? 0 });
    entries.push(...page);
    if (page.length < LEDGER_PAGE) return entries;
  }
}
