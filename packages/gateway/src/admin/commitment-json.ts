import { PurserError, type Unit, type WeightsInput } from "@purser/core";
import type { Advice, OfferAdvice } from "../commitments/advice.ts";
import type { Commitment } from "../commitments/commitment.ts";
import type { CommitmentStanding } from "../commitments/standing.ts";
import { parseDiscount, parseOffer } from "../commitments/terms.ts";
import type { AdviceQuery } from "../commitments/uses.ts";
import type { Days } from "../reconciliation/bill.ts";
import type { CommittedLines } from "../reconciliation/committed.ts";
import { instantJson } from "./balances.ts";
import { readInstant } from "./report.ts";

/** A commitment as it stands, as programs read it: amounts are integers, money in nano-dollars. */
export interface CommitmentJson {
  readonly name: string;
  readonly providers: readonly string[];
  readonly models: readonly string[];
  readonly unit: Unit;
  readonly weights?: WeightsInput;
  /** How much of it is bought in each period. */
  readonly amount: number;
  readonly period: string;
  /** A part of 1; 0 where nothing is taken off. */
  readonly discount: number;
  /** What capacity costs; null for money. */
  readonly price: { readonly nanodollars: number; readonly period: string } | null;
  readonly from: string | null;
  readonly until: string | null;
  readonly state: "not begun" | "running" | "over";
  readonly window: { readonly from: string; readonly to: string };
  readonly committed: number;
  readonly used: number;
  readonly unused: number;
  readonly left: number;
  readonly over: number;
  readonly ledger_nanodollars: number;
  readonly covered_nanodollars: number;
  readonly cost_nanodollars: number;
  readonly unused_nanodollars: number;
  readonly expected: { readonly used: number; readonly unused: number; readonly unused_nanodollars: number } | null;
}

const FULL = 10_000;

export function commitmentJson({ commitment, state, window, expected, ...standing }: CommitmentStanding): CommitmentJson {
  const { name, providers, models, unit, weights, amount, period, discount, price, from, until } = commitment;
  return {
    name,
    providers,
    models,
    unit,
    ...(weights && { weights: weights.said }),
    amount,
    period,
    discount: discount / FULL,
    price: price ? { nanodollars: price.amount, period: price.period } : null,
    from: finiteInstant(from),
    until: finiteInstant(until),
    state,
    window: { from: instantJson(window.startsAt), to: instantJson(window.endsAt) },
    committed: standing.committed,
    used: standing.used,
    unused: standing.unused,
    left: standing.left,
    over: standing.over,
    ledger_nanodollars: standing.ledgerCost,
    covered_nanodollars: standing.coveredCost,
    cost_nanodollars: standing.cost,
    unused_nanodollars: standing.unusedCost,
    expected: expected ? { used: expected.used, unused: expected.unused, unused_nanodollars: expected.unusedCost } : null,
  };
}

function finiteInstant(at: Commitment["from"]): string | null {
  return Number.isFinite(at) ? instantJson(at) : null;
}

/** What might be committed to. Money is in nano-dollars, and shares are parts of 1. */
export interface CommitmentAdviceJson {
  readonly since: string;
  readonly until: string;
  readonly data: readonly AdviceJson[];
}

export interface AdviceJson {
  readonly provider: string;
  readonly from: string;
  readonly to: string;
  readonly ledger_nanodollars: number;
  readonly monthly_nanodollars: number;
  readonly steady: {
    readonly of: "weeks" | "days";
    readonly count: number;
    readonly monthly_nanodollars: number;
    readonly pays_from_discount: number | null;
  } | null;
  readonly discount: {
    readonly discount: number;
    readonly saved_nanodollars: number;
    readonly used_up_monthly_nanodollars: number;
    readonly pays_up_to_monthly_nanodollars: number;
  } | null;
  readonly models: readonly { readonly model: string; readonly steady_tokens_per_minute: number; readonly hourly_nanodollars: number }[];
  readonly offers: readonly OfferJson[];
}

export interface OfferJson {
  readonly offer: string;
  readonly ledger_nanodollars: number;
  readonly billed_nanodollars: number;
  readonly saved_nanodollars: number;
  readonly committed: number;
  readonly unused: number;
  readonly pays_from_discount: number | null;
  readonly pays_up_to_hourly_nanodollars: number | null;
}

export function adviceJson(advice: readonly Advice[], { since, until }: AdviceQuery): CommitmentAdviceJson {
  return { since: instantJson(since), until: instantJson(until), data: advice.map(providerJson) };
}

function providerJson({ provider, recorded, ledgerCost, monthly, steady, discount, models, offers }: Advice): AdviceJson {
  return {
    provider,
    from: instantJson(recorded.startsAt),
    to: instantJson(recorded.endsAt),
    ledger_nanodollars: ledgerCost,
    monthly_nanodollars: monthly,
    steady: steady
      ? { of: steady.of, count: steady.count, monthly_nanodollars: steady.monthly, pays_from_discount: shareJson(steady.paysFrom) }
      : null,
    discount: discount
      ? {
          discount: discount.discount / FULL,
          saved_nanodollars: discount.saved,
          used_up_monthly_nanodollars: discount.usedUp,
          pays_up_to_monthly_nanodollars: discount.paysUpTo,
        }
      : null,
    models: models.map(({ model, tokensPerMinute, hourly }) => ({
      model,
      steady_tokens_per_minute: tokensPerMinute,
      hourly_nanodollars: hourly,
    })),
    offers: offers.map(offerJson),
  };
}

function offerJson({ text, ledgerCost, billed, committed, unused, paysFrom, paysUpTo }: OfferAdvice): OfferJson {
  return {
    offer: text,
    ledger_nanodollars: ledgerCost,
    billed_nanodollars: billed,
    saved_nanodollars: ledgerCost - billed,
    committed,
    unused,
    pays_from_discount: shareJson(paysFrom),
    pays_up_to_hourly_nanodollars: paysUpTo ?? null,
  };
}

function shareJson(discount: number | undefined): number | null {
  return discount === undefined ? null : discount / FULL;
}

const LOOKED_BACK_MS = 90 * 86_400_000;
const OFFERS_MOST = 20;

/** Reads what advice is asked for. Throws `body_invalid` with what to do. */
export function readAdviceQuery(
  query: URLSearchParams,
  { now, timeZone }: { readonly now: number; readonly timeZone: string },
): AdviceQuery {
  const at = (name: "since" | "until", otherwise: number) => {
    const text = query.get(name);
    return text === null ? otherwise : readInstant(name, text, timeZone);
  };
  const [since, until] = [at("since", now - LOOKED_BACK_MS), Math.min(at("until", now), now)];
  if (since >= until) throw invalid("Give an earlier `since` or a later `until`: nothing lies between them.");
  const discount = query.get("discount");
  const offers = query.getAll("offer");
  if (offers.length > OFFERS_MOST) throw invalid(`At most ${OFFERS_MOST} offers are compared at once.`);
  const [provider, model] = [query.getAll("provider"), query.getAll("model")];
  return {
    since,
    until,
    ...(provider.length > 0 && { provider }),
    ...(model.length > 0 && { model }),
    discount: discount === null ? undefined : read(() => parseDiscount(discount)),
    offers: offers.map((text) => ({ text, terms: read(() => parseOffer(text)) })),
  };
}

function read<Value>(parse: () => Value): Value {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof PurserError)) throw error;
    throw invalid(error.message);
  }
}

function invalid(message: string): PurserError {
  return new PurserError("body_invalid", message);
}

/** What commitments make of what providers bill, day by day of UTC. Money is in nano-dollars. */
export interface CommittedBillJson {
  readonly name: string;
  readonly kind: "money" | "capacity";
  readonly providers: readonly string[];
  readonly less: readonly {
    readonly from: string;
    readonly to: string;
    readonly provider: string;
    readonly model: string;
    readonly nanodollars: number;
  }[];
  readonly charges: readonly { readonly from: string; readonly to: string; readonly nanodollars: number }[];
}

export function committedBillJson({ name, kind, providers, less, charges }: CommittedLines): CommittedBillJson {
  const days = ({ from, to }: Days) => ({ from: instantJson(from), to: instantJson(to) });
  return {
    name,
    kind,
    providers,
    less: less.map(({ provider, model, cost, ...span }) => ({ ...days(span), provider, model, nanodollars: cost })),
    charges: charges.map(({ cost, ...span }) => ({ ...days(span), nanodollars: cost })),
  };
}

export function committedLinesOf({ name, kind, providers, less, charges }: CommittedBillJson): CommittedLines {
  const days = ({ from, to }: { readonly from: string; readonly to: string }) => ({ from: Date.parse(from), to: Date.parse(to) });
  return {
    name,
    kind,
    providers,
    less: less.map(({ provider, model, nanodollars: cost, ...span }) => ({ ...days(span), provider, model, cost })),
    charges: charges.map(({ nanodollars: cost, ...span }) => ({ ...days(span), cost })),
  };
}
