import { PurserError } from "../errors.ts";
import { type Nanodollars, nanodollars, type Picodollars } from "./money.ts";
import type { Usage } from "./usage.ts";

/** What one token of each kind costs, in pico-dollars. A kind without a rate of its own costs what its parent kind costs. */
export interface Rates {
  readonly input: Picodollars;
  readonly cacheRead?: Picodollars;
  /** Cache written for 5 minutes, or without a stated life. */
  readonly cacheWrite?: Picodollars;
  readonly cacheWrite1h?: Picodollars;
  readonly audioInput?: Picodollars;
  readonly imageInput?: Picodollars;
  readonly output: Picodollars;
  readonly reasoning?: Picodollars;
  /** What every output token costs once the model has reasoned, where a provider charges the whole answer more (Alibaba does). */
  readonly outputAfterReasoning?: Picodollars;
  readonly audioOutput?: Picodollars;
  readonly imageOutput?: Picodollars;
}

/** Rates that hold for a whole call whose input is larger than `aboveInputTokens`. The first tier of a card starts at 0. */
export interface PriceTier {
  readonly aboveInputTokens: number;
  readonly rates: Rates;
}

/** Everything needed to price a call to one model on one day, as integers. Resolved once a day, never looked up per call. */
export interface RateCard {
  readonly provider: string;
  readonly model: string;
  /** Ascending by `aboveInputTokens`; never empty. */
  readonly tiers: readonly PriceTier[];
  /** Thousandths of the normal price that a batch costs: 500 is half. Unknown is the full price. */
  readonly batchPermille?: number;
  /** The same for a provider's slower tier and for its faster one: 500 is half, 2000 is double. */
  readonly flexPermille?: number;
  readonly priorityPermille?: number;
  /** What every call costs besides its tokens and tools. */
  readonly requestFee?: Nanodollars;
  /** What one use of a provider's tool costs: `{ web_search: 10_000_000 }` is one cent. */
  readonly toolFees?: Readonly<Record<string, Nanodollars>>;
  readonly contextTokens?: number;
  readonly maxOutputTokens?: number;
  /** What the model is known not to take. Of what is not named here nothing is known. */
  readonly lacks?: readonly Lack[];
  /** Where the card comes from, for people: `genai-prices 0.1.8`, `purser.yaml`. */
  readonly source: string;
  /** The day from which it holds, `YYYY-MM-DD`, when known. */
  readonly since?: string;
}

/** What a call may bring that not every model takes. */
export const LACKS = ["images", "tools"] as const;
export type Lack = (typeof LACKS)[number];

/** How a call is served, where the provider prices that. */
export type ServiceTier = "standard" | "batch" | "flex" | "priority";

/**
 * What a usage costs, rounded up once to the nano-dollar. A kind that is unknown costs nothing; a total that is unknown is at least its
 * known kinds, and the rest is the caller's to estimate first.
 */
export function costOf(card: RateCard, usage: Usage, service: ServiceTier = "standard"): Nanodollars {
  return nanodollars(discounted(card, tokenCost(card, usage), service)) + (card.requestFee ?? 0) + toolFees(card, usage);
}

/** What a part of a usage's input costs, at the tier of the whole, and never more than all of the input; rounded up. */
export function costOfInputPart(card: RateCard, whole: Usage, part: Usage, service: ServiceTier = "standard"): Nanodollars {
  const rates = ratesFor(card, pricedInputTokens(whole));
  return nanodollars(discounted(card, Math.min(inputCost(rates, part), inputCost(rates, whole)), service));
}

/** What was done besides the answer had a context of its own, and is priced at the tier of that. */
function tokenCost(card: RateCard, usage: Usage): Picodollars {
  const rates = ratesFor(card, pricedInputTokens(usage));
  const besides = usage.besides ? tokenCost(card, usage.besides) : 0;
  return inputCost(rates, usage) + outputCost(rates, usage) + besides;
}

/** The rates of the tier that an input of this size falls into. */
export function ratesFor(card: RateCard, inputTokens: number): Rates {
  let rates = card.tiers[0]?.rates;
  for (const tier of card.tiers) if (inputTokens > tier.aboveInputTokens) rates = tier.rates;
  if (!rates) throw withoutTier(card);
  return rates;
}

/** The most that one input token and one output token can cost, for any kind and any tier that an input of at most this size can reach. */
export function worstRates(card: RateCard, inputTokensMost: number): { readonly input: Picodollars; readonly output: Picodollars } {
  if (card.tiers.length === 0) throw withoutTier(card);
  let input = 0;
  let output = 0;
  for (const { aboveInputTokens, rates } of card.tiers) {
    if (aboveInputTokens > 0 && inputTokensMost <= aboveInputTokens) continue;
    input = Math.max(
      input,
      rates.input,
      rates.cacheRead ?? 0,
      rates.cacheWrite ?? 0,
      rates.cacheWrite1h ?? 0,
      rates.audioInput ?? 0,
      rates.imageInput ?? 0,
    );
    output = Math.max(
      output,
      rates.output,
      rates.reasoning ?? 0,
      rates.outputAfterReasoning ?? 0,
      rates.audioOutput ?? 0,
      rates.imageOutput ?? 0,
    );
  }
  return { input, output };
}

/** Applies what the service tier costs to an amount in pico-dollars, rounding up. */
export function discounted(card: RateCard, picodollars: number, service: ServiceTier): number {
  const permille = service === "standard" ? undefined : card[`${service}Permille`];
  if (permille === undefined) return picodollars;
  // In two parts, because the product of a large amount and a thousand would leave the exact integers.
  const rest = picodollars % 1000;
  return ((picodollars - rest) / 1000) * permille + Math.ceil((rest * permille) / 1000);
}

/** Whether nothing of the model costs anything: no token, whatever its kind, no second, no use of a tool. */
export function isFree({ tiers, toolFees = {}, requestFee = 0 }: RateCard): boolean {
  if (requestFee > 0 || Object.values(toolFees).some((fee) => fee > 0)) return false;
  return tiers.every(({ rates }) => Object.values(rates).every((rate) => !rate));
}

/** A number of tokens and what each of them costs. */
type Share = readonly [tokens: number, rate: Picodollars];

function inputCost(rates: Rates, usage: Usage): number {
  const total = billed(usage.inputTokens, usage.unbilledInputTokens);
  if (isPlainInput(usage)) return (total ?? 0) * rates.input;
  const cacheWrite1h = usage.cacheWrite1hInputTokens ?? 0;
  const cacheWrite5m = Math.max(0, (usage.cacheWriteInputTokens ?? 0) - cacheWrite1h);
  const write5mRate = rates.cacheWrite ?? rates.input;
  return shareCost(total, rates.input, [
    [usage.cacheReadInputTokens ?? 0, rates.cacheRead ?? rates.input],
    [cacheWrite5m, write5mRate],
    [cacheWrite1h, rates.cacheWrite1h ?? write5mRate],
    [usage.audioInputTokens ?? 0, rates.audioInput ?? rates.input],
    [usage.imageInputTokens ?? 0, rates.imageInput ?? rates.input],
  ]);
}

/** Most usages have one kind of input only. */
function isPlainInput(usage: Usage): boolean {
  const { cacheReadInputTokens: read, cacheWriteInputTokens: write, cacheWrite1hInputTokens: write1h } = usage;
  return !read && !write && !write1h && !usage.audioInputTokens && !usage.imageInputTokens;
}

function outputCost(rates: Rates, usage: Usage): number {
  const total = billed(usage.outputTokens, usage.unbilledOutputTokens);
  if (!usage.reasoningOutputTokens && !usage.audioOutputTokens && !usage.imageOutputTokens) return (total ?? 0) * rates.output;
  const reasoning = usage.reasoningOutputTokens ?? 0;
  const text = reasoning > 0 ? (rates.outputAfterReasoning ?? rates.output) : rates.output;
  return shareCost(total, text, [
    [reasoning, rates.reasoning ?? text],
    [usage.audioOutputTokens ?? 0, rates.audioOutput ?? text],
    [usage.imageOutputTokens ?? 0, rates.imageOutput ?? text],
  ]);
}

function billed(total: number | undefined, unbilled: number | undefined): number | undefined {
  return total === undefined || unbilled === undefined ? total : Math.max(0, total - unbilled);
}

/** Prices the shares, and what is left of the total at the rate of text. */
function shareCost(total: number | undefined, textRate: Picodollars, shares: readonly Share[]): number {
  let named = 0;
  let cost = 0;
  for (const [tokens, rate] of shares) {
    named += tokens;
    cost += tokens * rate;
  }
  if (total === undefined || named === total) return cost;
  return named < total ? cost + (total - named) * textRate : overlapCost(total, shares);
}

/** Some providers report one token under two kinds, such as cached audio. It is charged once, at the dearest of them. */
function overlapCost(total: number, shares: readonly Share[]): number {
  let left = total;
  let cost = 0;
  for (const [tokens, rate] of shares.toSorted((a, b) => b[1] - a[1])) {
    const charged = Math.min(tokens, left);
    cost += charged * rate;
    left -= charged;
  }
  return cost;
}

function pricedInputTokens(usage: Usage): number {
  if (usage.inputTokens !== undefined) return usage.inputTokens;
  const cacheWrite = Math.max(usage.cacheWriteInputTokens ?? 0, usage.cacheWrite1hInputTokens ?? 0);
  return (usage.cacheReadInputTokens ?? 0) + cacheWrite + (usage.audioInputTokens ?? 0) + (usage.imageInputTokens ?? 0);
}

function toolFees(card: RateCard, usage: Usage): Nanodollars {
  let fees = 0;
  const known = card.toolFees ?? {};
  // Names of tools come from providers, so `constructor` must not be one of them.
  for (const [tool, calls] of Object.entries(usage.toolCalls ?? {})) if (Object.hasOwn(known, tool)) fees += calls * (known[tool] ?? 0);
  return fees;
}

function withoutTier(card: RateCard): PurserError {
  return new PurserError("price_invalid", `The rate card of ${card.provider}/${card.model} has no tier.`);
}
