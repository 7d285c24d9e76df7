import type { CallDetail, Charge, Entry } from "./ledger.ts";
import type { Selector, Subject, SubjectPath } from "./subject.ts";
import { chargedInputTokens, chargedOutputTokens, type Usage } from "./usage.ts";

/** What a report is asked: usage and cost of a time, by attributes and by steps of the calendar. */
export interface ReportQuery {
  /** Epoch milliseconds, inclusive. */
  readonly since: number;
  /** Epoch milliseconds, exclusive. */
  readonly until: number;
  /** One row for each combination of these values. */
  readonly by?: readonly SubjectPath[];
  /** One row for each of these as well; one for the whole time where it is left out. */
  readonly step?: ReportStep;
  /** Whose calendar the steps follow; UTC where it is left out. */
  readonly timeZone?: string;
  /** Only what these select. */
  readonly filter?: Selector;
}

export const REPORT_STEPS = ["hour", "day", "month"] as const;
export type ReportStep = (typeof REPORT_STEPS)[number];

/** What was used in one step by one combination of values. */
export interface ReportRow extends ReportAmounts {
  /** Epoch milliseconds: where the step begins, or the report if that is later. */
  readonly from: number;
  /** Epoch milliseconds, exclusive. */
  readonly to: number;
  /** The values in the order of `by`; undefined where calls have none. */
  readonly values: readonly (string | undefined)[];
}

/** What entries book. All are sums of integers; money is in nano-dollars. */
export interface ReportAmounts {
  /** Calls that ended and were charged, also with nothing. */
  readonly calls: number;
  readonly refusals: number;
  readonly inputTokens: number;
  readonly cacheReadInputTokens: number;
  readonly cacheWriteInputTokens: number;
  readonly outputTokens: number;
  readonly reasoningOutputTokens: number;
  readonly cost: number;
  /** The part of `cost` that is charged at an estimate, because the end of the call is unknown. */
  readonly unconfirmedCost: number;
  /** Calls to models without a price, whose cost is unknown and counts as nothing. */
  readonly unpricedCalls: number;
}
