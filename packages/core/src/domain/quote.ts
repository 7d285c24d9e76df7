import type { Amounts, Asks } from "./engine.ts";
import { costOf, discounted, type RateCard, type ServiceTier, worstRates } from "./price.ts";
import { totalTokens, type Usage } from "./usage.ts";

/** The size of a call before it is sent. */
export interface CallSize {
  /** The most input tokens it can have. */
  readonly inputTokens: number;
  /** The largest output cap that will be sent, for one answer. */
  readonly outputTokensMost: number;
  /** How many answers are asked for (`n`). */
  readonly copies: number;
  readonly toolCalls?: Readonly<Record<string, number>>;
}

const PICODOLLARS_PER_NANODOLLAR = 1000;
const NOTHING = { base: 0, perOutputToken: 0, scale: 1 };

/** What a call asks of every unit, at the dearest rates that it can reach. Without a card, or when it is free, it asks for no money. */
export function asksOf(size: CallSize, card: RateCard | undefined, service: ServiceTier): Asks {
  const { inputTokens, copies } = size;
  return {
    nanodollars: card ? moneyAsk(size, card, service) : NOTHING,
    tokens: { base: inputTokens, perOutputToken: copies, scale: 1 },
    input_tokens: { base: inputTokens, perOutputToken: 0, scale: 1 },
    output_tokens: { base: 0, perOutputToken: copies, scale: 1 },
    requests: { base: 1, perOutputToken: 0, scale: 1 },
    concurrent: { base: 1, perOutputToken: 0, scale: 1 },
  };
}

function moneyAsk({ inputTokens, outputTokensMost, copies, toolCalls }: CallSize, card: RateCard, service: ServiceTier) {
  const worst = worstRates(card, inputTokens);
  const base =
    discounted(card, inputTokens * worst.input, service) + costOf(card, { toolCalls: toolCalls ?? {} }) * PICODOLLARS_PER_NANODOLLAR;
  const perOutputToken = discounted(card, worst.output * copies, service);
  // Beyond what can be counted exactly it is beyond every limit too: half of it each keeps the sum exact, and refused.
  const most = Number.MAX_SAFE_INTEGER / 2;
  return {
    base: Math.min(base, Math.floor(most)),
    perOutputToken: Math.min(perOutputToken, Math.floor(most / Math.max(1, outputTokensMost))),
    scale: PICODOLLARS_PER_NANODOLLAR,
  };
}

/** What a call really used of every unit. A call at once is over when it is settled, so it uses none. */
export function amountsOf(usage: Usage, cost: number | undefined): Amounts {
  return {
    nanodollars: cost ?? 0,
    tokens: totalTokens(usage),
    input_tokens: usage.inputTokens ?? 0,
    output_tokens: usage.outputTokens ?? 0,
    requests: 1,
    concurrent: 0,
  };
}
