import type { EntryKind } from "../domain/ledger.ts";
import { type ReportQuery, type ReportRow, ReportSum } from "../domain/report.ts";
import { LEDGER_PAGE, type Store } from "./store.ts";

/** The entries that book something. */
const BOOKING: readonly EntryKind[] = ["settled", "expired", "corrected", "denied", "answered"];

/** Usage and cost of a store's own ledger, added up entry by entry. For a year of a busy gateway that is the work of an archive. */
export async function reportLedger(ledger: Pick<Store, "entries">, query: ReportQuery): Promise<readonly ReportRow[]> {
  const sum = new ReportSum(query);
  for (let after = 0; ; ) {
    const page = await ledger.entries({ since: query.since, kinds: BOOKING, after, most: LEDGER_PAGE });
    for (const entry of page) sum.add(entry);
    const last = page.at(-1);
    if (!last || page.length < LEDGER_PAGE) return sum.rows();
    after = last.seq;
  }
}
