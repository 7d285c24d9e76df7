import { type Nanodollars, REPORT_AMOUNTS, type ReportAmounts, type ReportRow } from "@purser/core";
import { boughtInSlice, type Commitment, costIn, countedOf, HOUR_MS, partOf, type Span, slicesOf, spanAt } from "./commitment.ts";

/** What a commitment pays for in some time, and what it costs in it, for whoever keeps accounts. Calls are charged as they are, whatever stands here. */
export interface Coverage {
  readonly commitment: Commitment;
  /** By the number of the period: see `CoverageTerms.periodMs`. */
  readonly periods: ReadonlyMap<number, CoveredPeriod>;
  readonly charges: readonly CommittedCharge[];
}

/** What is paid for of the calls of one period. What came first in a slice is paid for first, so a period that is over does not change any more. */
export interface CoveredPeriod {
  /** The part of what these calls weigh that is paid for: of their costs by the ledger, or of what they count. See `weightOf`. */
  readonly weight: number;
  /** In the unit of the commitment. */
  readonly used: number;
  /** What was paid for `used`. */
  readonly usedCost: Nanodollars;
  /** What the discount takes off calls beyond what was promised. */
  readonly lessBeyond: Nanodollars;
}

/** What was bought, whether it is used or not; or what of that was not used in time. */
export interface CommittedCharge extends Span {
  readonly kind: "bought" | "unused";
  readonly quantity: number;
  readonly cost: Nanodollars;
}

export interface CoverageTerms {
  /** What is asked for. */
  readonly span: Span;
  /** An hour or a day of UTC: periods are counted from the first one of 1970. */
  readonly periodMs: number;
  /** What calls that count used, by the hour, the oldest first: of all that `spanOfLots` says. */
  readonly hours: readonly ReportRow[];
  readonly now: number;
}

/** What is bought at once and billed as one: a slice, or the short ones of one period. */
interface Lot extends Span {
  readonly slices: readonly Span[];
  readonly bought: number;
  readonly cost: Nanodollars;
}

/** The hours that have to be known for a time: what was used of a month before counts too. Nothing where the commitment is not in force. */
export function spanOfLots(commitment: Commitment, { span, periodMs }: Pick<CoverageTerms, "span" | "periodMs">): Span | undefined {
  const lots = lotsIn(commitment, span, periodMs);
  const [first, last] = [lots[0], lots.at(-1)];
  return first && last && { startsAt: first.startsAt, endsAt: Math.min(last.endsAt, Math.max(span.endsAt, first.startsAt + 1)) };
}

export function coverageOf(commitment: Commitment, { span, periodMs, hours, now }: CoverageTerms): Coverage {
  const periods = new Map<number, CoveredPeriod>();
  const charges: CommittedCharge[] = [];
  const lots = lotsIn(commitment, span, periodMs);
  const walk = new LotWalk(commitment, hours, periodMs, periods);
  for (const lot of lots) {
    const used = walk.take(lot);
    charges.push(...chargesOf(commitment, lot, used, { span, now }));
  }
  return { commitment, periods, charges };
}

/** By what the calls of a period share what is paid for: by their cost where money is, else by what they count. */
export function weightOf(commitment: Commitment, amounts: ReportAmounts): number {
  return commitment.unit === "nanodollars" ? amounts.cost : countedOf(commitment, amounts);
}

function isShort({ period }: Commitment): boolean {
  return period === "minute" || period === "hour";
}

function lotsIn(commitment: Commitment, span: Span, periodMs: number): readonly Lot[] {
  const startsAt = Math.max(span.startsAt, commitment.from);
  const endsAt = Math.min(span.endsAt, commitment.until);
  const lots: Lot[] = [];
  // What ends where the time begins is told before it, and what begins where it ends after it.
  for (let at = startsAt; at < endsAt; ) {
    const window = spanAt(commitment, at);
    lots.push(...lotsOfWindow(commitment, window, periodMs).filter((lot) => lot.startsAt < endsAt && lot.endsAt > startsAt));
    at = Math.max(window.endsAt, at + HOUR_MS);
  }
  return isShort(commitment) ? lots.filter((lot) => lot.startsAt >= startsAt) : lots;
}

/** The cost of a window is shared by its slices, and rounded so that they cost it together. */
function lotsOfWindow(commitment: Commitment, window: Span, periodMs: number): readonly Lot[] {
  const slices = slicesOf(commitment, window);
  const cost = costIn(commitment, window);
  const costUpTo = (count: number) => partOf(cost, count, slices.length);
  const lots: Lot[] = [];
  for (let first = 0; first < slices.length; ) {
    const count = isShort(commitment) ? slicesInPeriod(slices, first, periodMs) : 1;
    const its = slices.slice(first, first + count);
    const [from, to] = [its[0] as Span, its.at(-1) as Span];
    lots.push({
      startsAt: from.startsAt,
      endsAt: to.endsAt,
      slices: its,
      bought: count * boughtInSlice(commitment),
      cost: costUpTo(first + count) - costUpTo(first),
    });
    first += count;
  }
  return lots;
}

function slicesInPeriod(slices: readonly Span[], first: number, periodMs: number): number {
  const period = periodOf((slices[first] as Span).startsAt, periodMs);
  let end = first + 1;
  while (end < slices.length && periodOf((slices[end] as Span).startsAt, periodMs) === period) end++;
  return end - first;
}

export function periodOf(at: number, periodMs: number): number {
  return Math.floor(at / periodMs);
}

/** What was used of each slice of a lot. */
type Used = readonly number[];

/** Goes through lots and hours beside each other, and books what is paid for on the period of each hour. */
class LotWalk {
  readonly #commitment: Commitment;
  readonly #hours: readonly ReportRow[];
  readonly #periodMs: number;
  readonly #periods: Map<number, CoveredPeriod>;
  #next = 0;

  constructor(commitment: Commitment, hours: readonly ReportRow[], periodMs: number, periods: Map<number, CoveredPeriod>) {
    this.#commitment = commitment;
    this.#hours = hours;
    this.#periodMs = periodMs;
    this.#periods = periods;
  }

  take(lot: Lot): Used {
    let before = 0;
    return lot.slices.map((slice) => {
      const used = this.#takeSlice(slice, lot, before);
      before += used;
      return used;
    });
  }

  #takeSlice(slice: Span, lot: Lot, usedBefore: number): number {
    const bought = boughtInSlice(this.#commitment);
    const sum = { ...NOTHING };
    let counted = 0;
    let used = 0;
    for (; this.#next < this.#hours.length; this.#next++) {
      const hour = this.#hours[this.#next] as ReportRow;
      if (hour.from >= slice.endsAt) break;
      if (hour.from < slice.startsAt) continue;
      for (const name of REPORT_AMOUNTS) sum[name] += hour[name];
      // A correction may take back more than was used in this slice.
      const countedNow = Math.max(0, countedOf(this.#commitment, sum));
      const usedNow = Math.min(bought, countedNow);
      const costUpTo = (amount: number) => partOf(lot.cost, usedBefore + amount, lot.bought);
      this.#book(hour, { counted: countedNow - counted, used: usedNow - used, usedCost: costUpTo(usedNow) - costUpTo(used) });
      [counted, used] = [countedNow, usedNow];
    }
    return used;
  }

  #book(hour: ReportRow, { counted, used, usedCost }: { counted: number; used: number; usedCost: Nanodollars }): void {
    const isMoney = this.#commitment.unit === "nanodollars";
    const weight = !isMoney ? used : used === counted ? hour.cost : partOf(hour.cost, used, counted);
    const period = periodOf(hour.from, this.#periodMs);
    const known = this.#periods.get(period) ?? { weight: 0, used: 0, usedCost: 0, lessBeyond: 0 };
    this.#periods.set(period, {
      weight: known.weight + weight,
      used: known.used + used,
      usedCost: known.usedCost + usedCost,
      lessBeyond: known.lessBeyond + (isMoney ? hour.cost - weight - (counted - used) : 0),
    });
  }
}

const NOTHING = Object.fromEntries(REPORT_AMOUNTS.map((name) => [name, 0])) as Record<keyof ReportAmounts, number>;

/** What is bought is told where it begins, and what was not used where it is over: each once, in whatever parts a time is asked for. */
function chargesOf(
  commitment: Commitment,
  { startsAt, endsAt, slices, bought, cost }: Lot,
  used: Used,
  { span, now }: Pick<CoverageTerms, "span" | "now">,
): readonly CommittedCharge[] {
  const inSlice = boughtInSlice(commitment);
  const isOver = slices.map((slice) => slice.endsAt <= now && (isShort(commitment) || slice.endsAt <= span.endsAt));
  const usedInAll = used.reduce((sum, one) => sum + one, 0);
  const unused = used.reduce((sum, one, i) => sum + (isOver[i] ? inSlice - one : 0), 0);
  const unusedCost = isOver.every(Boolean) ? cost - partOf(cost, usedInAll, bought) : partOf(cost, unused, bought);
  return [
    ...(startsAt >= span.startsAt && startsAt <= now ? [{ kind: "bought", startsAt, endsAt, quantity: bought, cost } as const] : []),
    ...(unused > 0 ? [{ kind: "unused", startsAt, endsAt, quantity: unused, cost: unusedCost } as const] : []),
  ];
}
