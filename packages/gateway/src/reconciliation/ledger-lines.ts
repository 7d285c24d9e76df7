import type { ReportJson } from "../admin/report.ts";
import type { LedgerLine } from "./reconcile.ts";

/** What a report of the ledger is asked so that it can be laid beside a bill, whose days are those of UTC. */
export function ledgerQuery({ from, to }: { readonly from: number; readonly to: number }): URLSearchParams {
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
