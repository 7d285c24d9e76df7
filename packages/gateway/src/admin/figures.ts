import {
  type LedgerArchive,
  type ReportQuery,
  type ReportRow,
  reportLedger,
  type SavingRow,
  type SavingsQuery,
  type Store,
  savingsOfLedger,
} from "@purser/core";
import { openRollups, type Rollups, type SpentHour } from "@purser/core/stores/sqlite";
import type { TrialSums } from "../trials/trial.ts";
import { Kept } from "./kept.ts";
import { briefly } from "./patience.ts";

/** Where reports, the overview and the history of budgets come from. */
export interface Figures {
  /** Exact, and as long as it takes: from the ledger itself where no sums of it answer. */
  report(query: ReportQuery): Promise<readonly ReportRow[]>;
  /** What rungs of ladders saved: exact too. */
  savings(query: SavingsQuery): Promise<readonly SavingRow[]>;
  /** From sums only, so at once; `isComplete` says whether they are of the whole ledger yet. */
  glance(queries: readonly ReportQuery[]): Promise<Glance>;
  /** Reads sums of the ledger: those of the gateway, or made for this question where none runs. */
  fromSums<Found>(read: (sums: TrialSums) => Found): Promise<Found>;
  /** What a limit of a budget was charged, by the hour. */
  spent(budget: string, limit: string, since: number): readonly SpentHour[];
}

export interface Glance {
  readonly reports: readonly (readonly ReportRow[])[];
  readonly isComplete: boolean;
}

export interface FiguresOptions {
  readonly store: Pick<Store, "entries">;
  /** The book of record, where there is one: its sums are of all gateways. */
  readonly archive?: Pick<LedgerArchive, "report" | "savings"> | undefined;
  /** The sums of this gateway's own ledger; none where no gateway runs. */
  readonly rollups?: (() => Rollups) | undefined;
  readonly onError?: ((error: unknown) => void) | undefined;
}

export function createFigures({ store, archive, rollups, onError = () => undefined }: FiguresOptions): Figures {
  const fresh = async () => {
    const sums = rollups?.();
    if (!sums) return undefined;
    // What cannot be brought up to date is told, and answers with what it has.
    await briefly(sums.catchUp().catch(onError));
    return sums;
  };
  const kept = new Kept<readonly ReportRow[]>();
  const report = async (query: ReportQuery) => {
    if (archive) return archive.report(query);
    return (await fresh())?.report(query) ?? reportLedger(store, query);
  };
  return {
    report,
    async savings(query) {
      if (archive) return archive.savings(query);
      return (await fresh())?.savings(query) ?? savingsOfLedger(store, query);
    },
    async glance(queries) {
      const sums = archive ? undefined : await fresh();
      if (!sums) return { reports: await Promise.all(queries.map(report)), isComplete: true };
      const { isComplete } = sums.progress;
      const reports = queries.map((query) => {
        const read = () => sums.report(query, { isPartEnough: true }) ?? [];
        // Over all calls there are few rows, and as many as users by an attribute.
        return query.by && isComplete ? kept.read(JSON.stringify({ ...query, until: undefined }), read) : read();
      });
      return { reports: await Promise.all(reports), isComplete };
    },
    async fromSums(read) {
      const sums = await fresh();
      if (sums) return read(sums);
      const made = await openRollups({ ledger: { entries: (query) => store.entries(query) }, timeZone: "UTC" });
      try {
        await made.catchUp();
        return read(made);
      } finally {
        await made.close();
      }
    },
    spent: (budget, limit, since) => rollups?.().spent(budget, limit, since) ?? [],
  };
}
