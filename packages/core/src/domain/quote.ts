import { type Amounts, type Ask, type Asks, amountOf } from "./command.ts";
import type { Unit } from "./limit.ts";
import { nanodollars } from "./money.ts";
import { costOf, discounted, type RateCard, type ServiceTier, worstRates } from "./price.ts";
import { chargedInputTokens, chargedOutputTokens, totalTokens, type Usage } from "./usage.ts";

/** The size of a call before it is sent. */
export interface CallSize {
  /** The most input tokens it can have. */
  readonly inputTokens: number;
  /** The largest output cap that will be sent, for one answer. */
  readonly outputTokensMost: number;
  /** How many answers are asked for (`n`). */
  readonly copies: number;
  readonly toolCalls?: Readonly<Record<string, number>> | undefined;
}

const PICODOLLARS_PER_NANODOLLAR = 1000;
const ONE: Ask = { base: 1, perOutputToken: 0, scale: 1 };
const NOTHING: Ask = { base: 0, perOutputToken: 0, scale: 1 };

/** What a call asks of every unit, at the dearest rates that it can reach. Without a card, or when it is free, it asks for no money. */
export function asksOf(size: CallSize, card: RateCard | undefined, service: ServiceTier): Asks {
  const { inputTokens, copies } = size;
  return {
    nanodollars: card ? moneyAsk(size, card, service) : NOTHING,
    tokens: { base: inputTokens, perOutputToken: copies, scale: 1 },
    input_tokens: { base: inputTokens, perOutputToken: 0, scale: 1 },
    output_tokens: { base: 0, perOutputToken: copies, scale: 1 },
    requests: ONE,
    // It runs when its provider finds room: it is none of the calls that are served at once.
    concurrent: service === "batch" ? NOTHING : ONE,
  };
}

function moneyAsk(size: CallSize, card: RateCard, service: ServiceTier): Ask {
  const { inputTokens, outputTokensMost, copies, toolCalls = {} } = size;
  const worst = worstRates(card, inputTokens);
  const fees = costOf(card, { toolCalls });
  const base = discounted(card, inputTokens * worst.input, service) + fees * PICODOLLARS_PER_NANODOLLAR;
  const perOutputToken = discounted(card, copies * worst.output, service);
  if (base + perOutputToken * outputTokensMost <= Number.MAX_SAFE_INTEGER) {
    return { base, perOutputToken, scale: PICODOLLARS_PER_NANODOLLAR };
  }
  // Above 9,007 dollars pico-dollars are no longer exact: each token is rounded up to whole nano-dollars instead.
  return {
    base: inputTokens * nanodollars(discounted(card, worst.input, service)) + fees,
    perOutputToken: copies * nanodollars(discounted(card, worst.output, service)),
    scale: 1,
  };
}

/** What is held for a call of this size, of every unit. */
export function heldFor(size: CallSize, card: RateCard | undefined, service: ServiceTier): Amounts {
  const asks = asksOf(size, card, service);
  const held = (unit: Unit) => amountOf(asks[unit], size.outputTokensMost);
  return {
    nanodollars: held("nanodollars"),
    tokens: held("tokens"),
    input_tokens: held("input_tokens"),
    output_tokens: held("output_tokens"),
    requests: held("requests"),
    concurrent: held("concurrent"),
  };
}

/** What a call really used of every unit. It is no longer in flight, so it uses none of what is limited at once. */
export function amountsOf(usage: Usage, cost: number | undefined): Amounts {
  return {
    nanodollars: cost ?? 0,
    tokens: totalTokens(usage),
    input_tokens: chargedInputTokens(usage),
    output_tokens: chargedOutputTokens(usage),
    requests: 1,
    concurrent: 0,
  };
}
