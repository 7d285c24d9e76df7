import type { ReportQuery } from "@purser/core";
import type { Figures } from "../admin/figures.ts";
import { type ReportJson, reportJson } from "../admin/report.ts";
import type { Commitment } from "../commitments/commitment.ts";
import { shareRows } from "../commitments/shares.ts";
import { readCoverages, type UsesSource } from "../commitments/uses.ts";
import { DAY_MS, type Days } from "./bill.ts";
import { type CommittedLines, committedLines } from "./committed.ts";
import type { LedgerLine } from "./reconcile.ts";

/** What the ledger has of some days, read where it is. */
export async function readLedgerLines(figures: Pick<Figures, "report">, { from, to }: Days): Promise<readonly LedgerLine[]> {
  const query: ReportQuery = { since: from, until: to, by: ["provider", "model"], step: "day", timeZone: "UTC" };
  return ledgerLines(reportJson(await figures.report(query), query));
}

/** What commitments make of bills for some days. */
export async function readCommittedLines(
  commitments: readonly Commitment[],
  source: UsesSource,
  { from, to, now }: Days & { readonly now: number },
): Promise<readonly CommittedLines[]> {
  const coverages = await readCoverages(commitments, source, { span: { startsAt: from, endsAt: to }, periodMs: DAY_MS, now });
  if (coverages.length === 0) return [];
  const query: ReportQuery = { since: from, until: to, by: ["provider", "model"], step: "day", timeZone: "UTC" };
  const whole = await source.figures.report(query);
  const rows = shareRows(whole, { coverages, periodMs: DAY_MS, whole, at: { provider: 0, model: 1 } });
  return committedLines(coverages, rows);
}

/** The ledger as a question to the admin API. The days of bills are those of UTC. */
export function ledgerQuery({ from, to }: Days): URLSearchParams {
  const instant = (at: number) => new Date(at).toISOString();
  return new URLSearchParams({ since: instant(from), until: instant(to), by: "provider,model", step: "day", time_zone: "UTC" });
}

/** The rows of such a report. Refusals alone are left out. */
export function ledgerLines({ data }: ReportJson): readonly LedgerLine[] {
  return data.flatMap((row): LedgerLine[] => {
    const { provider, model } = row.values;
    if (row.calls === 0 && row.cost_nanodollars === 0) return [];
    const { cache_read_input_tokens: cacheRead, cache_write_input_tokens: cacheWrite } = row;
    const input = Math.max(0, row.input_tokens - cacheRead - cacheWrite);
    return [
      {
        from: Date.parse(row.from),
        to: Date.parse(row.to),
        provider: provider ?? "",
        model: model ?? "",
        amounts: {
          calls: row.calls,
          cost: row.cost_nanodollars,
          estimated: row.estimated_nanodollars,
          unconfirmed: row.unconfirmed_nanodollars,
          unpricedCalls: row.unpriced_calls,
          tokens: { input, cacheRead, cacheWrite, cacheWrite1h: 0, output: row.output_tokens },
        },
      },
    ];
  });
}
