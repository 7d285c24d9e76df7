import { compileSelector, type Nanodollars, REPORT_AMOUNTS, type ReportAmounts, type ReportRow } from "@purser/core";
import { type Commitment, partOf } from "./commitment.ts";
import { type Coverage, type CoveredPeriod, periodOf, weightOf } from "./coverage.ts";

/** A row of a report, and what commitments pay for of it. */
export interface SharedRow {
  readonly covered: readonly CoveredPart[];
  /** What no commitment pays for. */
  readonly rest: ReportRow;
  /** What discounts take off that, by commitment. */
  readonly less: readonly { readonly commitment: Commitment; readonly amount: Nanodollars }[];
}

export interface CoveredPart {
  readonly commitment: Commitment;
  /** What is paid for of the row: its amounts by the ledger. */
  readonly row: ReportRow;
  /** What that is of the commitment, in its unit. */
  readonly quantity: number;
  /** What was paid for it. */
  readonly cost: Nanodollars;
}

export interface SharesOptions {
  readonly coverages: readonly Coverage[];
  readonly periodMs: number;
  /** All calls of the time by period, provider and model, whichever are shared here. */
  readonly whole: readonly ReportRow[];
  /** Where provider and model stand among the values of a row. */
  readonly at: { readonly provider: number; readonly model: number };
}

/**
 * Shares what commitments pay for in a period among its calls, in proportion to what each counts, so that the shares are the whole to the unit. Where
 * several are for the same call, the one that was configured first pays before the others: a charge has one payer.
 */
export function shareRows(rows: readonly ReportRow[], { coverages, periodMs, whole, at }: SharesOptions): readonly SharedRow[] {
  const sharers = coverages.map((coverage) => new Sharer(coverage, periodMs, at));
  for (const row of whole) for (const sharer of sharers) sharer.weigh(row);
  return rows.map((row) => shareRow(row, sharers));
}

function shareRow(row: ReportRow, sharers: readonly Sharer[]): SharedRow {
  const covered: CoveredPart[] = [];
  const less: { commitment: Commitment; amount: Nanodollars }[] = [];
  let rest = row;
  for (const sharer of sharers) {
    const share = sharer.take(row, rest);
    if (!share) continue;
    const { commitment } = sharer;
    const part = partOfRow(row, share.weight, share.of);
    rest = lessRow(rest, part);
    if (share.quantity !== 0 || share.cost !== 0) covered.push({ commitment, row: part, quantity: share.quantity, cost: share.cost });
    if (share.less !== 0) less.push({ commitment, amount: share.less });
  }
  return { covered, rest, less };
}

interface Share {
  readonly weight: number;
  /** What the whole row weighs. */
  readonly of: number;
  readonly quantity: number;
  readonly cost: Nanodollars;
  readonly less: Nanodollars;
}

/** What of a commitment is given to rows, one after the other. */
class Sharer {
  readonly #coverage: Coverage;
  readonly #periodMs: number;
  readonly #isIts: (row: ReportRow) => boolean;
  readonly #weights = new Map<number, number>();
  readonly #given = new Map<number, number>();

  constructor(coverage: Coverage, periodMs: number, { provider, model }: SharesOptions["at"]) {
    const { providers, models } = coverage.commitment;
    const selects = compileSelector({ provider: providers, model: models });
    this.#coverage = coverage;
    this.#periodMs = periodMs;
    this.#isIts = ({ values }) => selects({ provider: values[provider] ?? "", model: values[model] ?? "" });
  }

  get commitment(): Commitment {
    return this.#coverage.commitment;
  }

  /** To be called with every row by provider and model first. */
  weigh(row: ReportRow): void {
    const period = this.#periodAt(row);
    if (!this.#coverage.periods.has(period) || !this.#isIts(row)) return;
    this.#weights.set(period, (this.#weights.get(period) ?? 0) + weightOf(this.commitment, row));
  }

  /** `rest` is what others have left of the row. */
  take(row: ReportRow, rest: ReportRow): Share | undefined {
    const period = this.#periodAt(row);
    const paid = this.#coverage.periods.get(period);
    const all = this.#weights.get(period) ?? 0;
    if (!paid || all === 0 || !this.#isIts(row)) return undefined;
    const of = weightOf(this.commitment, row);
    if (of === 0) return undefined;
    const before = this.#given.get(period) ?? 0;
    this.#given.set(period, before + of);
    const shareOf = (name: keyof CoveredPeriod) => partOf(paid[name], before + of, all) - partOf(paid[name], before, all);
    const wanted = shareOf("weight");
    const left = weightOf(this.commitment, rest);
    const weight = of > 0 ? Math.max(0, Math.min(wanted, left)) : Math.min(0, Math.max(wanted, left));
    const given = (amount: number) => (weight === wanted ? amount : partOf(amount, weight, wanted));
    return { weight, of, quantity: given(shareOf("used")), cost: given(shareOf("usedCost")), less: shareOf("lessBeyond") };
  }

  #periodAt(row: ReportRow): number {
    return periodOf(row.from, this.#periodMs);
  }
}

function partOfRow(row: ReportRow, weight: number, of: number): ReportRow {
  if (weight === of) return row;
  return { ...row, ...amountsBy((name) => partOf(row[name], weight, of)) };
}

function lessRow(row: ReportRow, part: ReportRow): ReportRow {
  return { ...row, ...amountsBy((name) => row[name] - part[name]) };
}

function amountsBy(amountOf: (name: keyof ReportAmounts) => number): ReportAmounts {
  return Object.fromEntries(REPORT_AMOUNTS.map((name) => [name, amountOf(name)])) as unknown as ReportAmounts;
}
