import {
  type CalendarPeriod,
  type Nanodollars,
  type ReportAmounts,
  startingOn,
  type Unit,
  type Weights,
  type Window,
  type WindowStart,
  weigh,
  windowSpan,
} from "@purser/core";

/** What was promised to a provider: so much money in each period for a discount, or so much capacity that is paid whether it is used or not. */
export interface Commitment {
  readonly name: string;
  /** Names, in which `*` stands for anything. */
  readonly providers: readonly string[];
  /** The models that count, likewise. */
  readonly models: readonly string[];
  readonly unit: Exclude<Unit, "concurrent">;
  /** How much is bought in each period: an integer, money in nano-dollars. */
  readonly amount: number;
  readonly period: CommittedPeriod;
  /** What is taken off the prices of the ledger, in hundredths of a per cent. */
  readonly discount: number;
  /** What capacity costs. Money is its own price. */
  readonly price?: { readonly amount: Nanodollars; readonly period: PricePeriod };
  /** By how much tokens of each kind count, where not every one is one. */
  readonly weights?: Weights;
  readonly timeZone: string;
  /** The day on which its windows begin, where it is not that of the calendar. */
  readonly starts?: WindowStart;
  /** Epoch milliseconds; minus infinity where nothing is said. */
  readonly from: number;
  /** Epoch milliseconds; infinity where nothing is said. */
  readonly until: number;
}

export const COMMITTED_PERIODS = ["minute", "hour", "day", "month", "quarter", "year"] as const;
export type CommittedPeriod = (typeof COMMITTED_PERIODS)[number];
export const PRICE_PERIODS = ["hour", "day", "month", "quarter", "year"] as const;
export type PricePeriod = (typeof PRICE_PERIODS)[number];

/** A span of time, in epoch milliseconds: from the first on, up to the second. */
export interface Span {
  readonly startsAt: number;
  readonly endsAt: number;
}

export const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const MINUTES = 60;
const FULL = 10_000;

/** The window that is looked at: the longest of a month, the period that is committed to, and that of the price. */
export function committedWindow({ period, price, timeZone, starts }: Commitment): Window {
  const longest = Math.max(...[period, price?.period ?? period, "month"].map((one) => COMMITTED_PERIODS.indexOf(one as CommittedPeriod)));
  return windowOf(COMMITTED_PERIODS[longest] as CommittedPeriod, timeZone, starts);
}

function windowOf(period: CalendarPeriod, timeZone: string, starts: WindowStart | undefined): Window {
  const window: Window = { kind: "calendar", period, timeZone };
  return (starts && startingOn(window, starts)) ?? window;
}

/** The window at a time, as far as the commitment is in force: the first one begins with it. */
export function spanAt(commitment: Commitment, now: number): Span {
  const { from, until } = commitment;
  const at = Math.max(from, Math.min(now, until - 1));
  const { startsAt, resetsAt = until } = windowSpan(committedWindow(commitment), at);
  return { startsAt, endsAt: Math.min(resetsAt, until) };
}

/**
 * The parts of a span in each of which so much is bought, and what of one is not used cannot be used in another. Uses are known by the hour, so
 * what is bought by the minute is looked at by the hour too.
 */
export function slicesOf({ period, timeZone, starts }: Commitment, { startsAt, endsAt }: Span): readonly Span[] {
  if (period === "minute" || period === "hour") return hoursOf({ startsAt, endsAt });
  const window = windowOf(period, timeZone, starts);
  const slices: Span[] = [];
  for (let at = startsAt; at < endsAt; ) {
    const { resetsAt = endsAt } = windowSpan(window, at);
    slices.push({ startsAt: at, endsAt: Math.min(resetsAt, endsAt) });
    at = resetsAt;
  }
  return slices;
}

function hoursOf({ startsAt, endsAt }: Span): readonly Span[] {
  return Array.from({ length: Math.ceil((endsAt - startsAt) / HOUR_MS) }, (_, i) => {
    const at = startsAt + i * HOUR_MS;
    return { startsAt: at, endsAt: Math.min(at + HOUR_MS, endsAt) };
  });
}

/** How much is bought in one slice. */
export function boughtInSlice({ amount, period }: Pick<Commitment, "amount" | "period">): number {
  return period === "minute" ? amount * MINUTES : amount;
}

/** What a commitment costs in a span, used or not. */
export function costIn(commitment: Commitment, span: Span): Nanodollars {
  const { price, timeZone } = commitment;
  if (!price) return slicesOf(commitment, span).length * commitment.amount;
  const priced: Commitment = { ...commitment, period: price.period, timeZone };
  return slicesOf(priced, span).length * price.amount;
}

/** What of some use counts, at the prices that the provider bills it by. */
export function countedOf({ unit, discount, weights }: Pick<Commitment, "unit" | "discount" | "weights">, row: ReportAmounts): number {
  const { inputTokens, outputTokens } = row;
  switch (unit) {
    case "nanodollars":
      return discounted(row.cost, discount);
    case "requests":
      return row.calls;
    default: {
      if (weights) return weigh(weights, unit, { usage: row, certainty: "confirmed" });
      return (unit === "output_tokens" ? 0 : inputTokens) + (unit === "input_tokens" ? 0 : outputTokens);
    }
  }
}

/** An amount less a discount, which is rounded down to the nano-dollar. */
export function discounted(amount: Nanodollars, discount: number): Nanodollars {
  return amount - partOf(amount, discount, FULL);
}

/** `amount` × `part` / `whole` to the unit below, exactly: such a product does not fit into a number. */
export function partOf(amount: number, part: number, whole: number): number {
  return whole === 0 ? 0 : Number((BigInt(amount) * BigInt(part)) / BigInt(whole));
}

/** About how long a period is. */
export const PERIOD_MS: Readonly<Record<CommittedPeriod, number>> = {
  minute: HOUR_MS / MINUTES,
  hour: HOUR_MS,
  day: DAY_MS,
  month: (365.25 / 12) * DAY_MS,
  quarter: (365.25 / 4) * DAY_MS,
  year: 365.25 * DAY_MS,
};
