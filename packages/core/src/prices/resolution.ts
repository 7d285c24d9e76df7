import type { Nanodollars } from "../domain/money.ts";
import type { Lack, RateCard, Rates } from "../domain/price.ts";
import { CATALOGUE_JSON, CATALOGUE_SOURCE } from "./catalogue.ts";

/** A model of the compiled catalogue. */
interface CatalogueModel {
  readonly id: string;
  /** Whole names that stand for it. */
  readonly names: readonly string[];
  /** Names to which a date, a version or a region may be added. */
  readonly stems?: readonly string[];
  readonly context?: number;
  readonly maxOutput?: number;
  readonly maxOutputOf?: Readonly<Record<string, number>>;
  readonly lacks?: readonly Lack[];
  /** Ascending by day; the first one has no `since`. */
  readonly prices: readonly CataloguePrice[];
}

interface CataloguePrice {
  readonly since?: string;
  readonly tiers: readonly (readonly [aboveInputTokens: number, rates: Rates])[];
  readonly fees?: Readonly<Record<string, Nanodollars>>;
  readonly raised?: boolean;
  readonly free?: boolean;
}

interface ProviderIndex {
  readonly byName: ReadonlyMap<string, CatalogueModel>;
  readonly byStem: ReadonlyMap<string, CatalogueModel>;
}

/** A day after all prices. */
export const LAST_DAY = "9999-12-31";

/** Our names of the providers, and where each one's prices stand in the catalogue, in the order in which they are asked. */
const PROVIDERS: Readonly<Record<string, readonly string[]>> = {
  openai: ["openai"],
  anthropic: ["anthropic"],
  google: ["google"],
  qwen: [],
  deepseek: ["deepseek"],
  mistral: ["mistral"],
  groq: ["groq"],
  xai: ["x-ai"],
  together: ["together"],
  fireworks: ["fireworks"],
  openrouter: ["openrouter"],
  cerebras: ["cerebras"],
  moonshot: ["moonshotai"],
  zai: ["zai"],
  perplexity: ["perplexity"],
  cohere: ["cohere"],
  // Azure sells these at the makers' own prices where it has no price of its own.
  azure: ["azure", "openai", "anthropic", "deepseek", "x-ai", "moonshotai"],
  bedrock: ["aws"],
  vertex: ["google"],
  ollama: [],
  vllm: [],
  local: [],
};

const PROVIDER_ALIASES: Readonly<Record<string, string>> = {
  dashscope: "qwen",
  alibaba: "qwen",
  gemini: "google",
  aws: "bedrock",
  "x-ai": "xai",
  moonshotai: "moonshot",
  "z-ai": "zai",
  "z.ai": "zai",
  "azure-openai": "azure",
  "vertex-ai": "vertex",
  vertex_ai: "vertex",
  "google-vertex": "vertex",
  "mistral-ai": "mistral",
  mistralai: "mistral",
  "together-ai": "together",
  together_ai: "together",
  "fireworks-ai": "fireworks",
  fireworks_ai: "fireworks",
};

/**
 * Whose model a name is, for a provider that we do not know. Only names that one maker alone sells are listed: an open model has no first
 * party whose price would say anything about another host's.
 */
const FIRST_PARTIES: readonly (readonly [provider: string, names: RegExp])[] = [
  ["openai", /^(?:gpt-(?!oss)|chatgpt-|o\d(?:-|$)|codex-|text-embedding-)/],
  ["anthropic", /^claude-/],
  ["google", /^gemini-/],
  ["xai", /^grok-/],
  ["qwen", /^(?:qwen[\d.]*-(?:max|plus|turbo|flash|vl-max|vl-plus|coder-plus|coder-flash)|qwq-plus)/],
  ["mistral", /^(?:mistral-(?:large|medium)|codestral)-/],
  ["deepseek", /^deepseek-(?:chat|reasoner)$/],
  ["cohere", /^command-/],
  ["perplexity", /^sonar(?:-|$)/],
];

/** One name for each provider, whatever it is called: `dashscope` and `alibaba` are `qwen`. */
export function canonicalProvider(name: string): string {
  const provider = name.trim().toLowerCase();
  return PROVIDER_ALIASES[provider] ?? provider;
}

/** Whether prices of this provider are ours to know. A name that is not belongs to a server of the user's own. */
export function isKnownProvider(provider: string): boolean {
  return Object.hasOwn(PROVIDERS, provider) || catalogue().has(provider);
}

/** The providers whose models have prices, under our names. Servers of one's own are free whatever they serve, so they say nothing here. */
export function knownProviders(): readonly string[] {
  const own = new Set(["ollama", "vllm", "local"]);
  return Object.keys(PROVIDERS).filter((provider) => !own.has(provider));
}

/** The provider whose price stands in for a model on an unknown server, and the model's name there. */
export function firstPartyOf(model: string): { readonly provider: string; readonly model: string } | undefined {
  const slash = model.indexOf("/");
  const vendor = slash > 0 ? canonicalProvider(model.slice(0, slash)) : undefined;
  const bare = model.slice(slash + 1);
  const [provider] = FIRST_PARTIES.find(([maker, names]) => names.test(bare) && (vendor === undefined || vendor === maker)) ?? [];
  return provider === undefined ? undefined : { provider, model: bare };
}

/** The names that a model of a provider can be meant by: as written, and without the prefixes and paths that providers put before it. */
export function namesOf(provider: string, model: string): readonly string[] {
  const written = model.trim().toLowerCase();
  const names = [written];
  const add = (name: string | undefined) => name && !names.includes(name) && names.push(name);
  const slash = written.indexOf("/");
  // OpenRouter's own names begin with the maker, and it sells them at prices of its own.
  if (slash > 0 && canonicalProvider(written.slice(0, slash)) === provider) add(written.slice(slash + 1));
  add(/^models\/([^/]+)$/.exec(written)?.[1]);
  if (provider === "vertex") add(/^(?:projects\/.*\/)?(?:publishers\/[^/]+\/models\/|google\/|anthropic\/)([^/]+)$/.exec(written)?.[1]);
  if (provider === "bedrock") {
    const profile = /^arn:.*\/([^/]+)$/.exec(written)?.[1] ?? written;
    add(profile);
    // Names of a region are listed where they cost more; the others cost what the plain name does. A global one is never cheaper than listed.
    const plain = /^(?:us|us-gov|eu|apac|jp|au|ca|in|global)\.(.+)$/.exec(profile)?.[1] ?? profile;
    add(plain);
    add(/^anthropic\.(.+)$/.exec(plain)?.[1]);
    for (const name of [...names]) add(name.replace(/-v\d+(?::\d+)?$/, ""));
  }
  // Google's previews cost what the model does, unless the catalogue lists them apart.
  if (provider === "google" || provider === "vertex")
    for (const name of [...names]) add(name.replace(/-preview(?:-\d\d-(?:\d\d|20\d\d))?$/, ""));
  return names;
}

/**
 * Whether a provider's own name for a model means this one: with the maker before it, a path, a region, a date or other punctuation. OpenRouter's
 * `anthropic/claude-sonnet-4.5` and Bedrock's `us.anthropic.claude-sonnet-4-5-20250929-v1:0` are both `claude-sonnet-4-5`.
 */
export function meansModel(provider: string, ownName: string, model: string): boolean {
  const wanted = plainName(model);
  return namesOf(canonicalProvider(provider), ownName).some((name) => plainName(name) === wanted);
}

/**
 * One name for all names that a provider's model goes by, as far as they have one price: that of the catalogue, or else the name without maker,
 * edition and punctuation.
 */
export function commonName(providerName: string, model: string): string {
  const known = canonicalProvider(providerName);
  const { provider, model: name } = (isKnownProvider(known) ? undefined : firstPartyOf(model.trim().toLowerCase())) ?? {
    provider: known,
    model,
  };
  const names = namesOf(provider, name);
  return foundIn(provider, names)?.found.id.toLowerCase() ?? plainName(names.at(-1) ?? name);
}

/** A model's name without maker, edition and punctuation. */
function plainName(name: string): string {
  return stemOf(name.slice(name.lastIndexOf("/") + 1)).replace(/[^a-z0-9]+/g, "-");
}

/** The card of a model on a day, from the compiled catalogue. Unknown is `undefined`: a name that only begins like a known one is unknown. */
export function catalogueCard(provider: string, model: string, day: string): RateCard | undefined {
  const { name, found, price } = foundIn(provider, namesOf(provider, model), day) ?? {};
  return name !== undefined && found && price ? cardOf(provider, model, name, found, price) : undefined;
}

/** The model that any of these names means, with its price on a day. */
function foundIn(provider: string, names: readonly string[], day = LAST_DAY) {
  for (const source of PROVIDERS[provider] ?? [provider]) {
    const index = catalogue().get(source);
    if (!index) continue;
    for (const name of names) {
      const found = index.byName.get(name) ?? index.byStem.get(stemOf(name));
      const price = found?.prices.findLast(({ since = "" }) => since <= day);
      if (found && price) return { name, found, price };
    }
  }
  return undefined;
}

/** Every model that the catalogue has for a provider, by its main name. */
export function catalogueModels(provider: string): readonly string[] {
  const models = (PROVIDERS[provider] ?? [provider]).flatMap((source) => [...(catalogue().get(source)?.byName.values() ?? [])]);
  return [...new Set(models.map(({ id, names }) => names.find((name) => name === id.toLowerCase()) ?? names[0] ?? id))].sort();
}

/**
 * A name without what only says which edition it is: a full date, `latest`, a version of Bedrock or Vertex. Endings like `-mini`, `-fast` or
 * `-2411` stay, because they can cost something else.
 */
export function stemOf(name: string): string {
  let stem = name.toLowerCase();
  for (let before = ""; before !== stem; ) {
    before = stem;
    stem = stem.replace(/(?:@(?:20\d{6}|default|latest)|-20\d{6}|-20\d\d-[01]\d-[0-3]\d|-latest|-v\d+:\d+|:\d+|[-@.:])$/, "");
  }
  return stem;
}

function cardOf(provider: string, model: string, name: string, found: CatalogueModel, price: CataloguePrice): RateCard {
  const { request, ...toolFees } = price.fees ?? {};
  const maxOutputTokens = found.maxOutputOf?.[name] ?? found.maxOutput;
  return {
    provider,
    model,
    tiers: price.tiers.map(([aboveInputTokens, rates]) => ({ aboveInputTokens, rates })),
    ...(request === undefined ? {} : { requestFee: request }),
    ...(Object.keys(toolFees).length > 0 ? { toolFees } : {}),
    ...(found.context === undefined ? {} : { contextTokens: found.context }),
    ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }),
    ...(found.lacks === undefined ? {} : { lacks: found.lacks }),
    source: price.raised ? `${CATALOGUE_SOURCE}, the highest of the sources that differ` : CATALOGUE_SOURCE,
    ...(price.since === undefined ? {} : { since: price.since }),
  };
}

let parsed: ReadonlyMap<string, ProviderIndex> | undefined;

/** Parsed on first use: a program that never asks for a price never pays for the catalogue. */
function catalogue(): ReadonlyMap<string, ProviderIndex> {
  parsed ??= new Map(
    Object.entries(JSON.parse(CATALOGUE_JSON) as Record<string, readonly CatalogueModel[]>).map(([provider, models]) => [
      provider,
      {
        byName: firstWins(models.flatMap((model) => model.names.map((name) => [name, model] as const))),
        byStem: firstWins(models.flatMap((model) => (model.stems ?? []).map((stem) => [stem, model] as const))),
      },
    ]),
  );
  return parsed;
}

function firstWins<V>(entries: readonly (readonly [string, V])[]): ReadonlyMap<string, V> {
  return new Map(entries.toReversed());
}
