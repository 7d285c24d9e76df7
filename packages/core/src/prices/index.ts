import type { RateCard, Rates } from "../domain/price.ts";
import { PurserError } from "../errors.ts";
import { OVERLAY } from "./overlay.ts";
import { applyLayer, isComplete, PRICE_KINDS, type PriceLayer, type PriceOverride, parseOverride, type RateKind } from "./override.ts";
import {
  canonicalProvider,
  catalogueCard,
  catalogueModels,
  firstPartyOf,
  isKnownProvider,
  knownProviders,
  LAST_DAY,
  namesOf,
} from "./resolution.ts";

export type { PriceOverride, PricesPerMillion, PriceTierOverride } from "./override.ts";
export { canonicalProvider, commonName, meansModel } from "./resolution.ts";

/** Knows what every model costs on every day. */
export interface PriceBook {
  /** The card of a model at a time in milliseconds, or `undefined` for a model that has no price. */
  card(provider: string, model: string, at: number): RateCard | undefined;
  /** The models of a provider that the catalogue knows, for completing and for suggesting names. */
  models(provider: string): readonly string[];
}

export interface PriceBookOptions {
  /** Your own prices. The more exact one wins: a name over a pattern, a named provider over none, a later `from`, a later row. */
  readonly overrides?: readonly PriceOverride[];
  /** What a model without any price costs. Without it, such a model has no card. */
  readonly fallback?: PriceOverride;
  /** Where the overrides stand, for the source of a card. */
  readonly source?: string;
  /** Providers that run on one's own machine: what they serve costs nothing, unless an override says otherwise. */
  readonly ownMachine?: readonly string[];
}

/** Cards that are kept before the oldest names are forgotten: names come from callers, so they must not fill the memory. */
const CARDS_KEPT = 2_048;
/** No provider has a longer name for a model. A caller's megabyte is not worth resolving. */
const MODEL_LENGTH_MOST = 512;
const DAY_MS = 86_400_000;

/** Opens the price catalogue, with your own prices on top. */
export function createPriceBook(options: PriceBookOptions = {}): PriceBook {
  const source = options.source ?? "your prices";
  const layers = (options.overrides ?? []).map((override) => parseOverride(override, source, canonicalProvider)).toSorted(byExactness);
  for (const layer of layers) refuseIncomplete(layer);
  const fallback = options.fallback && parseOverride(options.fallback, `${source}, for models without a price`, canonicalProvider);
  if (fallback && !fallback.free && !isComplete(fallback.rates)) {
    throw new PurserError("price_invalid", "The price for models without one needs both input and output, or free: true.");
  }
  const ownMachine = new Set(options.ownMachine);
  const cards = new Map<string, RateCard | undefined>();
  return {
    card(provider, model, at) {
      if (model.length > MODEL_LENGTH_MOST) return undefined;
      const day = Math.floor(at / DAY_MS);
      const key = `${day}\n${provider}\n${model}`;
      const kept = cards.get(key);
      if (kept !== undefined || cards.has(key)) return kept;
      if (cards.size >= CARDS_KEPT) cards.clear();
      const listed = ownMachine.has(provider) ? ownMachineCard(provider, model) : undefined;
      const card = resolve(provider, model, new Date(day * DAY_MS).toISOString().slice(0, 10), { listed, overrides: layers, fallback });
      cards.set(key, card);
      return card;
    },
    models(provider) {
      const canonical = canonicalProvider(provider);
      const own = OVERLAY_LAYERS.filter(({ providers, rates }) => providers?.includes(canonical) && isComplete(rates)).flatMap(
        ({ models }) => models,
      );
      return [...new Set([...catalogueModels(canonical), ...own.filter((name) => !name.includes("*"))])].sort();
    },
  };
}

/** One row of a rate card for people: `input $2.50 per million tokens`. */
export interface PriceRow {
  readonly what: string;
  readonly price: string;
  /** The input size above which it holds, for a long-context tier. */
  readonly aboveInputTokens?: number;
}

/** A rate card as rows that say what each kind costs, its tiers, discounts and fees. */
export function explainCard(card: RateCard): readonly PriceRow[] {
  const rows: PriceRow[] = [];
  for (const { aboveInputTokens, rates } of card.tiers) {
    for (const [kind, rate] of kindsOf(rates)) {
      rows.push({
        what: KIND_NAMES[kind],
        price: `${dollarsOf(rate, 6)} per million tokens`,
        ...(aboveInputTokens > 0 ? { aboveInputTokens } : {}),
      });
    }
  }
  for (const service of ["batch", "flex", "priority"] as const) {
    const permille = card[`${service}Permille`];
    if (permille !== undefined) rows.push({ what: service, price: `${permille / 10} % of the price` });
  }
  if (card.requestFee !== undefined) rows.push({ what: "every call", price: dollarsOf(card.requestFee, 9) });
  for (const [tool, fee] of Object.entries(card.toolFees ?? {}))
    rows.push({ what: tool.replaceAll("_", " "), price: `${dollarsOf(fee, 9)} per use` });
  return rows;
}

const KIND_NAMES: Readonly<Record<RateKind, string>> = {
  input: "input",
  cacheRead: "input read from cache",
  cacheWrite: "input written to cache for 5 minutes",
  cacheWrite1h: "input written to cache for 1 hour",
  audioInput: "audio input",
  imageInput: "image input",
  output: "output",
  reasoning: "reasoning",
  outputAfterReasoning: "output after reasoning",
  audioOutput: "audio output",
  imageOutput: "image output",
};

const OVERLAY_LAYERS: readonly PriceLayer[] = OVERLAY.map((row) => parseOverride(row, row.source, canonicalProvider));

interface Layers {
  /** A card that stands in the place of the catalogue's. */
  readonly listed: RateCard | undefined;
  readonly overrides: readonly PriceLayer[];
  readonly fallback: PriceLayer | undefined;
}

function ownMachineCard(provider: string, model: string): RateCard {
  return { provider, model, tiers: [{ aboveInputTokens: 0, rates: { input: 0, output: 0 } }], source: "runs on your own machine" };
}

function resolve(providerName: string, model: string, day: string, { listed, overrides, fallback }: Layers): RateCard | undefined {
  const provider = canonicalProvider(providerName);
  const names = namesOf(provider, model);
  const applies = (layer: PriceLayer) =>
    (layer.from ?? "") <= day && (layer.providers?.includes(provider) ?? true) && layer.isForModel(names);
  let card = listed ?? listedCard(provider, model, day) ?? firstPartyCard(provider, model, day);
  for (const layer of overrides) if (applies(layer)) card = applyLayer(card, layer, provider, model) ?? card;
  card ??= fallback && applies(fallback) ? applyLayer(undefined, fallback, provider, model) : undefined;
  return card && { ...card, provider: providerName, model };
}

/** The catalogue with our own corrections, before anything that the user says. */
function listedCard(provider: string, model: string, day: string): RateCard | undefined {
  const names = namesOf(provider, model);
  let card = catalogueCard(provider, model, day);
  for (const layer of OVERLAY_LAYERS) {
    if (!layer.providers?.includes(provider) || (layer.from ?? "") > day || !layer.isForModel(names)) continue;
    card = applyLayer(card, layer, provider, model) ?? card;
  }
  return card;
}

/**
 * A server of the user's own that offers a maker's model, such as a proxy for gpt-4o, is priced as the maker does, and the source says so. A
 * provider that we know is not: what it does not list, it may sell at any price.
 */
function firstPartyCard(provider: string, model: string, day: string): RateCard | undefined {
  if (isKnownProvider(provider)) return undefined;
  const maker = firstPartyOf(model.trim().toLowerCase());
  const card = maker && listedCard(maker.provider, maker.model, day);
  return card && { ...card, source: `${card.source}, as ${maker.provider}/${maker.model}` };
}

function kindsOf(rates: Rates): readonly (readonly [RateKind, number])[] {
  return Object.values(PRICE_KINDS).flatMap((kind) => {
    const rate = rates[kind];
    return rate === undefined ? [] : [[kind, rate] as const];
  });
}

/** An integer with so many decimal places as dollars: at least cents, and every place that says something. */
function dollarsOf(amount: number, places: number): string {
  const digits = String(amount).padStart(places + 1, "0");
  const fraction = digits.slice(-places).replace(/0+$/, "").padEnd(2, "0");
  return `$${Number(digits.slice(0, -places)).toLocaleString("en-US")}.${fraction}`;
}

/** A price for one name must be whole by itself or stand on the catalogue. For a pattern, only the names that are asked can show it. */
function refuseIncomplete(layer: PriceLayer): void {
  const statesPrice = layer.tiers !== undefined || Object.keys(layer.rates).length > 0;
  if (!statesPrice || isComplete(layer.rates)) return;
  for (const model of layer.models.filter((name) => !name.includes("*"))) {
    const providers = layer.providers ?? knownProviders();
    if (providers.some((provider) => listedCard(provider, model, LAST_DAY) ?? firstPartyCard(provider, model, LAST_DAY))) continue;
    const name = layer.providers ? `${layer.providers.join(", ")}/${model}` : model;
    throw new PurserError("price_invalid", `${name} has no price in the catalogue, so yours needs both input and output (or free: true).`);
  }
}

/** From the least exact to the most: the last one that applies has the last word. */
function byExactness(a: PriceLayer, b: PriceLayer): number {
  const [left, right] = [exactness(a), exactness(b)];
  const differing = left.findIndex((value, index) => value !== right[index]);
  return differing === -1 ? 0 : (left[differing] as number | string) < (right[differing] as number | string) ? -1 : 1;
}

function exactness({ models, providers, from }: PriceLayer): readonly (number | string)[] {
  const isExact = models.every((model) => !model.includes("*"));
  const literal = Math.min(...models.map((model) => model.replaceAll("*", "").length));
  return [isExact ? 1 : 0, isExact ? 0 : literal, providers ? 1 : 0, from ?? ""];
}
