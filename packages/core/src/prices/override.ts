import { type Nanodollars, type Picodollars, parseDollars, parseDollarsPerMillion } from "../domain/money.ts";
import type { Lack, PriceTier, RateCard, Rates } from "../domain/price.ts";
import { compilePattern } from "../domain/subject.ts";
import { PurserError } from "../errors.ts";

type Dollars = number | string;

/** Prices in dollars per million tokens, by kind. */
export interface PricesPerMillion {
  readonly input?: Dollars;
  readonly cache_read?: Dollars;
  readonly cache_write?: Dollars;
  readonly cache_write_1h?: Dollars;
  readonly audio_input?: Dollars;
  readonly image_input?: Dollars;
  readonly output?: Dollars;
  readonly reasoning?: Dollars;
  /** What every output token costs once the model has reasoned. */
  readonly output_after_reasoning?: Dollars;
  readonly audio_output?: Dollars;
  readonly image_output?: Dollars;
}

/** Prices for a whole call whose input is larger than `above` tokens. A kind that is not given costs what it does below. */
export interface PriceTierOverride extends PricesPerMillion {
  readonly above: number;
}

/** A price of your own. It wins over the catalogue; what it leaves out comes from there, for a model that is known there. */
export interface PriceOverride extends PricesPerMillion {
  readonly provider?: string | readonly string[];
  /** One or more names, in which `*` stands for anything. */
  readonly model: string | readonly string[];
  readonly tiers?: readonly PriceTierOverride[];
  /** Kinds as a multiple of the input price, used where nothing else states them: `{ cache_write: 1.25 }`. */
  readonly of_input?: { readonly [kind in "cache_read" | "cache_write" | "cache_write_1h"]?: number };
  /** The share of the normal price that a batch costs: 0.5 is half. The same for a provider's slower and faster tier. */
  readonly batch?: number;
  readonly flex?: number;
  readonly priority?: number;
  /** Dollars for every call, besides its tokens. */
  readonly request?: Dollars;
  /** Dollars for one use of a provider's tool, by name. */
  readonly tools?: Readonly<Record<string, Dollars>>;
  /** Says that the model costs nothing. Without it, a price of 0 has to be written out. */
  readonly free?: true;
  readonly max_output?: number;
  readonly context?: number;
  /** What the model does not take. */
  readonly lacks?: readonly Lack[];
  /** The first day on which it holds, `YYYY-MM-DD`, in UTC. */
  readonly from?: string;
}

/** An override parsed once: integers, and patterns that can be asked. */
export interface PriceLayer {
  readonly providers: readonly string[] | undefined;
  readonly isForModel: (names: readonly string[]) => boolean;
  readonly models: readonly string[];
  readonly from: string | undefined;
  readonly rates: Partial<Rates>;
  readonly tiers: readonly (Partial<Rates> & { readonly above: number })[] | undefined;
  readonly ofInput: readonly (readonly [kind: RateKind, permille: number])[];
  readonly free: boolean;
  readonly source: string;
  /** Fields of the card that are taken over as they are. */
  readonly fields: Partial<
    Pick<RateCard, "batchPermille" | "flexPermille" | "priorityPermille" | "requestFee" | "contextTokens" | "maxOutputTokens" | "lacks">
  >;
  readonly toolFees: Readonly<Record<string, Nanodollars>> | undefined;
}

export type RateKind = keyof Rates;

/** The kinds of a price as the configuration writes them, and as a rate card names them. */
export const PRICE_KINDS = {
  input: "input",
  cache_read: "cacheRead",
  cache_write: "cacheWrite",
  cache_write_1h: "cacheWrite1h",
  audio_input: "audioInput",
  image_input: "imageInput",
  output: "output",
  reasoning: "reasoning",
  output_after_reasoning: "outputAfterReasoning",
  audio_output: "audioOutput",
  image_output: "imageOutput",
} as const satisfies Record<keyof PricesPerMillion, RateKind>;

/** Reads an override, or says what is wrong with it. */
export function parseOverride(override: PriceOverride, source: string, providerOf: (name: string) => string): PriceLayer {
  const models = [override.model].flat().map((model) => model.trim().toLowerCase());
  const subject = `The price of ${models.join(", ")}`;
  if (models.length === 0 || models.some((model) => model === ""))
    throw invalid("A price names no model. Write model: gpt-4o, or a pattern with *.");
  const rates = parseRates(override, subject);
  const tiers = override.tiers?.map((tier) => ({ above: wholeNumber(tier.above, `${subject}: above`), ...parseRates(tier, subject) }));
  if (override.free && (Object.keys(rates).length > 0 || tiers)) throw invalid(`${subject} is free and has a price. Keep one of them.`);
  if (override.from !== undefined && !isDay(override.from))
    throw invalid(`${subject}: from is "${override.from}". Write a day like 2026-01-31.`);
  return {
    providers: override.provider === undefined ? undefined : [override.provider].flat().map(providerOf),
    models,
    isForModel: modelTest(models),
    from: override.from,
    rates,
    tiers: tiers?.toSorted((a, b) => a.above - b.above),
    ofInput: Object.entries(override.of_input ?? {}).map(([kind, share]) => [
      PRICE_KINDS[kind as keyof PricesPerMillion],
      permille(share, subject),
    ]),
    free: override.free === true,
    source,
    fields: {
      ...(override.batch === undefined ? {} : { batchPermille: permille(override.batch, `${subject}: batch`) }),
      ...(override.flex === undefined ? {} : { flexPermille: permille(override.flex, `${subject}: flex`) }),
      ...(override.priority === undefined ? {} : { priorityPermille: permille(override.priority, `${subject}: priority`) }),
      ...(override.request === undefined ? {} : { requestFee: dollars(override.request, `${subject}: request`) }),
      ...(override.context === undefined ? {} : { contextTokens: wholeNumber(override.context, `${subject}: context`) }),
      ...(override.lacks === undefined ? {} : { lacks: override.lacks }),
      ...(override.max_output === undefined ? {} : { maxOutputTokens: wholeNumber(override.max_output, `${subject}: max_output`) }),
    },
    toolFees:
      override.tools &&
      Object.fromEntries(Object.entries(override.tools).map(([tool, fee]) => [tool, dollars(fee, `${subject}: tool ${tool}`)])),
  };
}

/** Lays a layer over a card. Without a card below, a layer makes one only if it says both what input and what output cost. */
export function applyLayer(card: RateCard | undefined, layer: PriceLayer, provider: string, model: string): RateCard | undefined {
  if (layer.free) return freeCard(card, layer, provider, model);
  const tiers = layeredTiers(card?.tiers, layer);
  if (!tiers) return undefined;
  const toolFees = layer.toolFees ? { ...card?.toolFees, ...layer.toolFees } : card?.toolFees;
  return {
    ...(card ?? { provider, model }),
    ...layer.fields,
    ...(toolFees ? { toolFees } : {}),
    tiers: layer.ofInput.length > 0 ? tiers.map((tier) => withShares(tier, layer.ofInput)) : tiers,
    ...provenance(card, layer),
  };
}

function freeCard(card: RateCard | undefined, layer: PriceLayer, provider: string, model: string): RateCard {
  const { contextTokens, maxOutputTokens, lacks } = { ...card, ...layer.fields };
  return {
    provider,
    model,
    tiers: [{ aboveInputTokens: 0, rates: { input: 0, output: 0 } }],
    ...(contextTokens === undefined ? {} : { contextTokens }),
    ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }),
    ...(lacks === undefined ? {} : { lacks }),
    ...provenance(undefined, layer),
  };
}

/** Who says the price: the layer, if it states one, and below it whoever says the rest. */
function provenance(card: RateCard | undefined, layer: PriceLayer): Pick<RateCard, "source" | "since"> {
  const statesPrice = layer.free || layer.tiers !== undefined || Object.keys(layer.rates).length > 0;
  if (card && !statesPrice) return { source: card.source };
  const source = card && !isComplete(layer.rates) ? `${layer.source}, over ${card.source}` : layer.source;
  return layer.from === undefined ? { source } : { source, since: layer.from };
}

/** Whether rates can stand without a catalogue below them. */
export function isComplete(rates: Partial<Rates>): rates is Rates {
  return rates.input !== undefined && rates.output !== undefined;
}

function layeredTiers(below: readonly PriceTier[] | undefined, layer: PriceLayer): readonly PriceTier[] | undefined {
  const base = below ?? (isComplete(layer.rates) ? [{ aboveInputTokens: 0, rates: layer.rates }] : undefined);
  const first = base?.[0];
  if (!base || !first) return undefined;
  if (!layer.tiers) return base.map(({ aboveInputTokens, rates }) => ({ aboveInputTokens, rates: mergeRates(rates, layer.rates) }));
  const lowest = mergeRates(first.rates, layer.rates);
  return [
    { aboveInputTokens: 0, rates: lowest },
    ...layer.tiers.map(({ above, ...rates }) => ({ aboveInputTokens: above, rates: mergeRates(lowest, rates) })),
  ];
}

/** A new price for output is the price of reasoning too, unless that has one of its own beside it. */
function mergeRates(below: Rates, rates: Partial<Rates>): Rates {
  if (rates.output === undefined) return { ...below, ...rates };
  const { reasoning: _, outputAfterReasoning: __, ...rest } = below;
  return { ...rest, ...rates };
}

function withShares({ aboveInputTokens, rates }: PriceTier, shares: PriceLayer["ofInput"]): PriceTier {
  const added = shares
    .filter(([kind]) => rates[kind] === undefined)
    .map(([kind, share]) => [kind, Math.ceil((rates.input * share) / 1000)]);
  return { aboveInputTokens, rates: { ...rates, ...(Object.fromEntries(added) as Partial<Rates>) } };
}

/** Tests any of the names that a model goes by against patterns, whole. */
function modelTest(patterns: readonly string[]): (names: readonly string[]) => boolean {
  const tests = patterns.map(compilePattern);
  return (names) => names.some((name) => tests.some((matches) => matches(name)));
}

function parseRates(prices: PricesPerMillion, subject: string): Partial<Rates> {
  const rates: { [kind in RateKind]?: Picodollars } = {};
  for (const [name, kind] of Object.entries(PRICE_KINDS)) {
    const price = prices[name as keyof PricesPerMillion];
    if (price !== undefined) rates[kind] = named(`${subject}: ${name}`, () => parseDollarsPerMillion(price));
  }
  return rates;
}

function dollars(amount: Dollars, subject: string): Nanodollars {
  return named(subject, () => parseDollars(amount));
}

/** An amount that cannot be kept exactly is refused under the name of the price. */
function named<T>(subject: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw new PurserError("price_invalid", `${subject}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

function permille(share: number, subject: string): number {
  const thousandths = Math.round(share * 1000);
  if (!Number.isFinite(share) || share < 0 || Math.abs(thousandths - share * 1000) > 1e-6) {
    throw invalid(`${subject} is ${share}. Write a share of the normal price with at most three decimal places, like 0.5.`);
  }
  return thousandths;
}

function wholeNumber(value: number, subject: string): number {
  if (!Number.isSafeInteger(value) || value < 0) throw invalid(`${subject} is ${value}. Write a whole number of tokens.`);
  return value;
}

function isDay(text: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text)) && new Date(text).toISOString().startsWith(text);
}

function invalid(message: string): PurserError {
  return new PurserError("price_invalid", message);
}
