import type { Nanodollars, ReportRow } from "@purser/core";
import { nearestRank } from "../nearest-rank.ts";
import { boughtInSlice, type Commitment, countedOf, discounted, HOUR_MS, PERIOD_MS, partOf, type Span } from "./commitment.ts";
import { usesIn } from "./standing.ts";
import type { OfferedTerms } from "./terms.ts";

/** What somebody might commit to at a provider, by what was used there. All of it is at the prices of the ledger. */
export interface Advice {
  readonly provider: string;
  /** What was looked at: since the first call there, or since when it was asked for. */
  readonly recorded: Span;
  readonly ledgerCost: Nanodollars;
  /** The same for a month. */
  readonly monthly: Nanodollars;
  readonly steady: Steady | undefined;
  /** Where a discount was named. */
  readonly discount: DiscountAdvice | undefined;
  readonly models: readonly SteadyModel[];
  readonly offers: readonly OfferAdvice[];
}

/** What was spent at least in nine of ten weeks, or days where there are no two weeks. */
export interface Steady {
  readonly of: "weeks" | "days";
  readonly count: number;
  /** Of a month. */
  readonly monthly: Nanodollars;
  /** The discount from which a commitment to it would have paid off, in hundredths of a per cent. 0: any would; nothing: none. */
  readonly paysFrom: number | undefined;
}

/** What a discount on everything is worth committing to. */
export interface DiscountAdvice {
  readonly discount: number;
  /** What it would have saved, where all that is committed to is used. */
  readonly saved: Nanodollars;
  /** The most of a month that would have been used up every time. */
  readonly usedUp: Nanodollars;
  /** From more than this a month on it would have cost more than it saved. */
  readonly paysUpTo: Nanodollars;
}

/** Tokens a minute of a model that were used in nine of ten hours. */
export interface SteadyModel {
  readonly model: string;
  readonly tokensPerMinute: number;
  /** What so many cost in an hour, at what the tokens of the model cost on average. Capacity for them pays off below it. */
  readonly hourly: Nanodollars;
}

/** What an offer would have come to. */
export interface OfferAdvice {
  readonly text: string;
  /** What the calls cost that it is for, and what would have been billed in their place. */
  readonly ledgerCost: Nanodollars;
  readonly billed: Nanodollars;
  /** How much of what is bought would not have been used, in its unit, and of how much. */
  readonly unused: number;
  readonly committed: number;
  /** Of money: the discount from which it would have paid off; nothing where none is enough. */
  readonly paysFrom: number | undefined;
  /** Of capacity: the most for an hour at which it would have. */
  readonly paysUpTo: Nanodollars | undefined;
}

export interface AdviceTerms {
  readonly provider: string;
  /** What calls used in each hour, by model, the oldest first. */
  readonly hours: readonly (ReportRow & { readonly model: string })[];
  readonly recorded: Span;
  readonly discount: number | undefined;
  readonly offers: readonly { readonly text: string; readonly terms: OfferedTerms }[];
}

const WEEK_MS = 7 * 24 * HOUR_MS;
const DAY_MS = 24 * HOUR_MS;
/** What is used nine times of ten is steady. */
const STEADY_PERCENT = 10;
const STEADY_COUNT_LEAST = 2;
const FULL = 10_000;

export function adviseOn({ provider, hours, recorded, discount, offers }: AdviceTerms): Advice {
  const months = costsIn(hours, partsOf(recorded, PERIOD_MS.month));
  const ledgerCost = months.reduce((sum, { cost }) => sum + cost, 0);
  return {
    provider,
    recorded,
    ledgerCost,
    monthly: partOf(ledgerCost, PERIOD_MS.month, lengthOf(recorded)),
    steady: steadyOf(hours, recorded, months),
    discount: discount === undefined ? undefined : discountAdvice(months, discount),
    models: steadyModels(hours, recorded),
    offers: offers.map(({ text, terms }) => offerAdvice(text, terms, hours, recorded)),
  };
}

/** What was spent in a part of the time. */
interface Part {
  readonly span: Span;
  readonly cost: Nanodollars;
}

function costsIn(hours: readonly ReportRow[], spans: readonly Span[]): readonly Part[] {
  const uses = usesIn(hours, spans);
  return spans.map((span, i) => ({ span, cost: uses[i]?.cost ?? 0 }));
}

function lengthOf({ startsAt, endsAt }: Span): number {
  return endsAt - startsAt;
}

/** A span in equal parts of about a length, so that none is too short to say anything. */
function partsOf(span: Span, lengthMs: number): readonly Span[] {
  const count = Math.max(1, Math.round(lengthOf(span) / lengthMs));
  const boundary = (i: number) =>
    i === count ? span.endsAt : span.startsAt + Math.round((lengthOf(span) * i) / count / HOUR_MS) * HOUR_MS;
  return Array.from({ length: count }, (_, i) => ({ startsAt: boundary(i), endsAt: boundary(i + 1) }));
}

/** So many whole parts of a length as there are, counted back from the end. */
function wholeParts({ startsAt, endsAt }: Span, lengthMs: number): readonly Span[] {
  const count = Math.floor((endsAt - startsAt) / lengthMs);
  return Array.from({ length: count }, (_, i) => ({
    startsAt: endsAt - (count - i) * lengthMs,
    endsAt: endsAt - (count - i - 1) * lengthMs,
  }));
}

function steadyOf(hours: AdviceTerms["hours"], recorded: Span, months: readonly Part[]): Steady | undefined {
  const weeks = wholeParts(recorded, WEEK_MS);
  const isWeeks = weeks.length >= STEADY_COUNT_LEAST;
  const spans = isWeeks ? weeks : wholeParts(recorded, DAY_MS);
  if (spans.length < STEADY_COUNT_LEAST) return undefined;
  const costs = costsIn(hours, spans).map(({ cost }) => cost);
  const lowest = nearestRank(
    costs.toSorted((a, b) => a - b),
    STEADY_PERCENT,
  );
  const monthly = partOf(lowest, PERIOD_MS.month, isWeeks ? WEEK_MS : DAY_MS);
  return { of: isWeeks ? "weeks" : "days", count: spans.length, monthly, paysFrom: paysFrom(months, monthly, PERIOD_MS.month) };
}

/** The part of an amount for a period that falls into a span. */
function shareOf(amount: number, span: Span, periodMs: number): number {
  return partOf(amount, lengthOf(span), periodMs);
}

/** What is billed for a commitment to money: what was used at the discount, and at least what is committed to. */
function billedOf(parts: readonly Part[], amount: Nanodollars, periodMs: number, discount: number): Nanodollars {
  return parts.reduce((sum, { span, cost }) => sum + Math.max(shareOf(amount, span, periodMs), discounted(cost, discount)), 0);
}

/** The least discount at which no more is billed than without a commitment. */
function paysFrom(parts: readonly Part[], amount: Nanodollars, periodMs: number): number | undefined {
  const cost = parts.reduce((sum, part) => sum + part.cost, 0);
  return leastWith(FULL - 1, (discount) => billedOf(parts, amount, periodMs, discount) <= cost);
}

/** The least whole number from 0 up to `most` that satisfies what holds from some number on; nothing where none does. */
function leastWith(most: number, holds: (value: number) => boolean): number | undefined {
  if (!holds(most)) return undefined;
  let [low, high] = [0, most];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function discountAdvice(months: readonly Part[], discount: number): DiscountAdvice {
  const cost = months.reduce((sum, part) => sum + part.cost, 0);
  const each = months.map((part) => partOf(discounted(part.cost, discount), PERIOD_MS.month, lengthOf(part.span)));
  const usedUp = Math.max(0, Math.min(...each));
  const tooMuch = leastWith(Number.MAX_SAFE_INTEGER, (amount) => billedOf(months, amount, PERIOD_MS.month, discount) > cost);
  return { discount, saved: cost - discounted(cost, discount), usedUp, paysUpTo: Math.max(0, (tooMuch ?? 1) - 1) };
}

function steadyModels(hours: AdviceTerms["hours"], recorded: Span): readonly SteadyModel[] {
  if (lengthOf(recorded) < STEADY_COUNT_LEAST * DAY_MS) return [];
  const spans = wholeParts(recorded, HOUR_MS);
  const models = [...new Set(hours.map(({ model }) => model))];
  return models
    .flatMap((model): SteadyModel[] => {
      const uses = usesIn(
        hours.filter((row) => row.model === model),
        spans,
      );
      const tokens = uses.map(({ inputTokens, outputTokens }) => inputTokens + outputTokens);
      const lowest = nearestRank(
        tokens.toSorted((a, b) => a - b),
        STEADY_PERCENT,
      );
      const all = tokens.reduce((sum, one) => sum + one, 0);
      const cost = uses.reduce((sum, one) => sum + one.cost, 0);
      return lowest < MINUTES ? [] : [{ model, tokensPerMinute: Math.floor(lowest / MINUTES), hourly: partOf(cost, lowest, all) }];
    })
    .sort((a, b) => b.hourly - a.hourly);
}

const MINUTES = 60;

function offerAdvice(text: string, terms: OfferedTerms, hours: readonly ReportRow[], recorded: Span): OfferAdvice {
  return terms.price ? capacityAdvice(text, terms, terms.price, hours, recorded) : moneyAdvice(text, terms, hours, recorded);
}

function moneyAdvice(text: string, { amount, period, discount }: OfferedTerms, hours: readonly ReportRow[], recorded: Span): OfferAdvice {
  const periodMs = PERIOD_MS[period];
  const parts = costsIn(hours, partsOf(recorded, periodMs));
  const billed = billedOf(parts, amount, periodMs, discount);
  const used = parts.reduce((sum, { cost }) => sum + discounted(cost, discount), 0);
  return {
    text,
    ledgerCost: parts.reduce((sum, { cost }) => sum + cost, 0),
    billed,
    unused: billed - used,
    committed: parts.reduce((sum, { span }) => sum + shareOf(amount, span, periodMs), 0),
    paysFrom: paysFrom(parts, amount, periodMs),
    paysUpTo: undefined,
  };
}

function capacityAdvice(
  text: string,
  terms: OfferedTerms,
  price: NonNullable<Commitment["price"]>,
  hours: readonly ReportRow[],
  recorded: Span,
): OfferAdvice {
  const periodMs = terms.period === "minute" ? HOUR_MS : PERIOD_MS[terms.period];
  const spans = partsOf(recorded, periodMs);
  const uses = usesIn(hours, spans);
  const sums = { ledgerCost: 0, covered: 0, used: 0, committed: 0 };
  for (const [i, span] of spans.entries()) {
    const use = uses[i];
    const bought = shareOf(boughtInSlice(terms), span, periodMs);
    const counted = use ? Math.max(0, countedOf(terms, use)) : 0;
    const used = Math.min(bought, counted);
    sums.ledgerCost += use?.cost ?? 0;
    sums.covered += partOf(use?.cost ?? 0, used, counted);
    sums.used += used;
    sums.committed += bought;
  }
  return {
    text,
    ledgerCost: sums.ledgerCost,
    billed: sums.ledgerCost - sums.covered + shareOf(price.amount, recorded, PERIOD_MS[price.period]),
    unused: sums.committed - sums.used,
    committed: sums.committed,
    paysFrom: undefined,
    paysUpTo: partOf(sums.covered, HOUR_MS, lengthOf(recorded)),
  };
}
