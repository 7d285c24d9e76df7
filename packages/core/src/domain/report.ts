import { PurserError } from "../errors.ts";
import { compileFilter, isReportPath, type ReportFilter, type ReportPath, reportValue } from "./charged-to.ts";
import { exactSum } from "./exact-sum.ts";
import { type Charge, type Entry, estimatedCharge } from "./ledger.ts";
import { savedNet } from "./saving.ts";
import { chargedInputTokens, chargedOutputTokens, type Usage } from "./usage.ts";
import { checkTimeZone, windowSpan } from "./window.ts";

/** What a report is asked: usage and cost of a time, by attributes and by steps of the calendar. */
export interface ReportQuery {
  /** Epoch milliseconds, inclusive. */
  readonly since: number;
  /** Epoch milliseconds, exclusive. */
  readonly until: number;
  /** One row for each combination of these values. */
  readonly by?: readonly ReportPath[];
  /** One row for each of these as well; one for the whole time where it is left out. */
  readonly step?: ReportStep;
  /** Whose calendar the steps follow; UTC where it is left out. */
  readonly timeZone?: string;
  /** Only what these select. */
  readonly filter?: ReportFilter;
}

export const REPORT_STEPS = ["hour", "day", "month"] as const;
export type ReportStep = (typeof REPORT_STEPS)[number];

/** What entries book. All are sums of integers; money is in nano-dollars. What was corrected later counts where it was corrected. */
export interface ReportAmounts {
  /** Calls that ended and were charged, also with nothing. */
  readonly calls: number;
  readonly refusals: number;
  /** Calls that got an answer which was known, so that no provider was asked. They are no part of `calls`. */
  readonly knownAnswers: number;
  readonly inputTokens: number;
  readonly cacheReadInputTokens: number;
  readonly cacheWriteInputTokens: number;
  /** The part of `inputTokens` that sessions had sent before, as far as that was seen: at least so much. */
  readonly resentInputTokens: number;
  /** The part of it that was read from prompt caches. */
  readonly resentCacheReadInputTokens: number;
  readonly outputTokens: number;
  readonly reasoningOutputTokens: number;
  readonly cost: number;
  /** The part of `cost` that `resentInputTokens` cost. */
  readonly resentCost: number;
  /** The part of `cost` that was counted by us, because the provider did not say what the call used. */
  readonly estimatedCost: number;
  /** The part of `cost` that is charged at an estimate, because the end of the call is unknown. */
  readonly unconfirmedCost: number;
  /** Calls to models without a price, whose cost is unknown and counts as nothing. */
  readonly unpricedCalls: number;
  /** What ladders saved, less what they spent to save it. It is no part of `cost`, and below 0 where calls became dearer. */
  readonly savedCost: number;
}

/** What was used in one step by one combination of values. Where nothing was, there is no row. */
export interface ReportRow extends ReportAmounts {
  /** Epoch milliseconds: where the step begins, or the report if that is later. */
  readonly from: number;
  /** Epoch milliseconds, exclusive. */
  readonly to: number;
  /** The values in the order of `by`; undefined where calls have none. */
  readonly values: readonly (string | undefined)[];
}

export const REPORT_AMOUNTS = [
  "calls",
  "refusals",
  "inputTokens",
  "cacheReadInputTokens",
  "cacheWriteInputTokens",
  "outputTokens",
  "reasoningOutputTokens",
  "cost",
  "estimatedCost",
  "unconfirmedCost",
  "unpricedCalls",
  "resentInputTokens",
  "resentCacheReadInputTokens",
  "resentCost",
  "knownAnswers",
  "savedCost",
] as const satisfies readonly (keyof ReportAmounts)[];

const NOTHING: ReportAmounts = {
  calls: 0,
  refusals: 0,
  inputTokens: 0,
  cacheReadInputTokens: 0,
  cacheWriteInputTokens: 0,
  resentInputTokens: 0,
  resentCacheReadInputTokens: 0,
  outputTokens: 0,
  reasoningOutputTokens: 0,
  cost: 0,
  resentCost: 0,
  estimatedCost: 0,
  unconfirmedCost: 0,
  unpricedCalls: 0,
  knownAnswers: 0,
  savedCost: 0,
};

/** What an entry adds to a report; nothing for entries that only hold or return. The one place that says so, for every store. */
export function bookedAmounts(entry: Entry): ReportAmounts | undefined {
  switch (entry.kind) {
    case "settled":
    case "expired":
      return { ...chargeAmounts(entry.charge), calls: 1 };
    case "corrected": {
      // The estimate that was charged when the hold expired is taken back.
      const estimate = chargeAmounts(estimatedCharge(entry.detail));
      return combine(chargeAmounts(entry.charge), estimate, (now, before) => now - before);
    }
    case "denied":
      return { ...NOTHING, refusals: entry.times ?? 1 };
    case "answered":
      return { ...NOTHING, knownAnswers: entry.times ?? 1, savedCost: entry.known.saved ?? 0 };
    // The charge of a call is whole in its settlement; what went beyond the hold is part of it.
    default:
      return undefined;
  }
}

/** What a charge adds to a report, its call aside. */
export function chargeAmounts({ usage, cost, certainty, resent, savings = [] }: Charge): ReportAmounts {
  return {
    ...NOTHING,
    inputTokens: chargedInputTokens(usage),
    cacheReadInputTokens: chargedOf(usage, "cacheReadInputTokens"),
    cacheWriteInputTokens: chargedOf(usage, "cacheWriteInputTokens"),
    resentInputTokens: resent?.inputTokens ?? 0,
    resentCacheReadInputTokens: resent?.cacheReadInputTokens ?? 0,
    outputTokens: chargedOutputTokens(usage),
    reasoningOutputTokens: chargedOf(usage, "reasoningOutputTokens"),
    cost: cost ?? 0,
    resentCost: resent?.cost ?? 0,
    estimatedCost: certainty === "estimated" ? (cost ?? 0) : 0,
    unconfirmedCost: certainty === "unconfirmed" ? (cost ?? 0) : 0,
    unpricedCalls: cost === undefined ? 1 : 0,
    savedCost: savedNet(savings),
  };
}

type PartOfTotal = "cacheReadInputTokens" | "cacheWriteInputTokens" | "reasoningOutputTokens";

function chargedOf(usage: Usage, kind: PartOfTotal): number {
  return (usage[kind] ?? 0) + (usage.besides ? chargedOf(usage.besides, kind) : 0);
}

function combine(a: ReportAmounts, b: ReportAmounts, of: (a: number, b: number) => number): ReportAmounts {
  return Object.fromEntries(REPORT_AMOUNTS.map((name) => [name, of(a[name], b[name])])) as unknown as ReportAmounts;
}

/** A part of the time of a report. */
export interface ReportSpan {
  readonly from: number;
  readonly to: number;
}

/** A report with more rows by time than this is a mistake rather than a question. */
const STEPS_MOST = 20_000;

/** The steps of a report in their order, the first and the last cut to its time. Throws `body_invalid` for a question without an answer. */
export function reportSteps({ since, until, by = [], step, timeZone = "UTC", filter = {} }: ReportQuery): readonly ReportSpan[] {
  checkTimeZone(timeZone);
  const unknown = [...by, ...Object.keys(filter)].find((path) => !isReportPath(path));
  if (unknown !== undefined) throw new PurserError("body_invalid", `"${unknown}" is not an attribute of a call.`);
  if (!Number.isSafeInteger(since) || !Number.isSafeInteger(until) || since >= until)
    throw new PurserError("body_invalid", "A report ends after it begins. Give an earlier `since` or a later `until`.");
  if (step === undefined) return [{ from: since, to: until }];
  const steps: ReportSpan[] = [];
  for (let from = since; from < until; ) {
    if (steps.length === STEPS_MOST)
      throw new PurserError("body_invalid", `A report has at most ${STEPS_MOST} steps. Ask for longer steps or a shorter time.`);
    const { resetsAt = until } = windowSpan({ kind: "calendar", period: step, timeZone }, from);
    const to = Math.min(resetsAt, until);
    steps.push({ from, to });
    from = to;
  }
  return steps;
}

/** So many rows are no report any more, and more than anybody should hold in memory. */
export const REPORT_ROWS_MOST = 100_000;

export function reportTooLong(): PurserError {
  const message = `The report has more than ${REPORT_ROWS_MOST.toLocaleString("en-US")} rows. Ask for longer steps, fewer attributes or a shorter time.`;
  return new PurserError("body_invalid", message);
}

/** Adds entries up to the rows of a report, for stores that cannot. */
export class ReportSum {
  readonly #by: readonly ReportPath[];
  readonly #steps: readonly ReportSpan[];
  readonly #selects: ReturnType<typeof compileFilter>;
  readonly #rows = new Map<string, ReportRow>();

  constructor(query: ReportQuery) {
    this.#by = query.by ?? [];
    this.#steps = reportSteps(query);
    this.#selects = compileFilter(query.filter ?? {});
  }

  add(entry: Entry): void {
    const step = this.#stepAt(entry.at);
    const amounts = step && bookedAmounts(entry);
    if (!amounts || !("detail" in entry) || !this.#selects(entry.detail)) return;
    const values = this.#by.map((path) => reportValue(entry.detail, path));
    const key = JSON.stringify([step.from, ...values.map((value) => value ?? null)]);
    const known = this.#rows.get(key);
    if (!known && this.#rows.size === REPORT_ROWS_MOST) throw reportTooLong();
    this.#rows.set(key, { ...step, values, ...(known ? combine(known, amounts, exactSum) : amounts) });
  }

  rows(): readonly ReportRow[] {
    return orderedRows([...this.#rows.values()]);
  }

  #stepAt(at: number): ReportSpan | undefined {
    let low = 0;
    let high = this.#steps.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#steps[middle] as ReportSpan).to <= at) low = middle + 1;
      else high = middle;
    }
    const step = this.#steps[low];
    return step && at >= step.from ? step : undefined;
  }
}

/** The rows of a report by time, then by value, those without a value first; the same wherever they were added up. */
export function orderedRows(rows: readonly ReportRow[]): readonly ReportRow[] {
  return rows.filter((row) => REPORT_AMOUNTS.some((name) => row[name] !== 0)).sort((a, b) => a.from - b.from || compareValues(a, b));
}

function compareValues({ values: a }: ReportRow, { values: b }: ReportRow): number {
  for (let i = 0; i < a.length; i++) {
    const [value, other] = [a[i], b[i]];
    if (value === other) continue;
    if (value === undefined || other === undefined) return value === undefined ? -1 : 1;
    return value < other ? -1 : 1;
  }
  return 0;
}

/**
 * The period before, to compare with: as many months where a report begins with one, up to the same time in the last of them; else as long a
 * time.
 */
export function periodBefore({ since, until, timeZone = "UTC" }: Pick<ReportQuery, "since" | "until" | "timeZone">): {
  readonly since: number;
  readonly until: number;
} {
  const monthAt = (at: number) => windowSpan({ kind: "calendar", period: "month", timeZone }, at);
  if (monthAt(since).startsAt !== since) return { since: since - (until - since), until: since };
  let before = since;
  let end = since;
  for (let at = since; at < until; at = end) {
    end = monthAt(at).resetsAt ?? until;
    before = monthAt(before - 1).startsAt;
  }
  return { since: before, until: end === until ? since : Math.min(since, before + (until - since)) };
}
