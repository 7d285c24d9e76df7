import type { Entry, EntryKind } from "../domain/ledger.ts";
import { type ReportQuery, type ReportRow, ReportSum } from "../domain/report.ts";
import { bookedSavings, type SavingRow, type SavingsQuery, SavingsSum } from "../domain/saving.ts";
import { LEDGER_PAGE, type Store } from "./store.ts";

/** The entries that book something. */
const BOOKING: readonly EntryKind[] = ["settled", "expired", "corrected", "denied", "answered"];

/** Usage and cost of a store's own ledger, added up entry by entry. For a year of a busy gateway that is the work of an archive. */
export async function reportLedger(ledger: Pick<Store, "entries">, query: ReportQuery): Promise<readonly ReportRow[]> {
  const sum = new ReportSum(query);
  for await (const entry of bookings(ledger, query.since)) sum.add(entry);
  return sum.rows();
}

/** What rungs of ladders saved, in the same way. */
export async function savingsOfLedger(ledger: Pick<Store, "entries">, { since, until }: SavingsQuery): Promise<readonly SavingRow[]> {
  const sum = new SavingsSum();
  for await (const entry of bookings(ledger, since)) if (entry.at < until) for (const row of bookedSavings(entry)) sum.add(row);
  return sum.rows();
}

async function* bookings(ledger: Pick<Store, "entries">, since: number): AsyncGenerator<Entry> {
  for (let after = 0; ; ) {
    const page = await ledger.entries({ since, kinds: BOOKING, after, most: LEDGER_PAGE });
    yield* page;
    const last = page.at(-1);
    if (!last || page.length < LEDGER_PAGE) return;
    after = last.seq;
  }
}
