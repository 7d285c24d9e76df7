import { compilePattern } from "@purser/core";
import { meansModel } from "@purser/core/prices";
import { DEMO_ELSEWHERE, DEMO_MODELS } from "../demo/models.ts";
import type { RetryPolicy } from "../failover/retry.ts";
import { otherForms } from "../translation/translation.ts";
import { PRESETS } from "./presets/index.ts";
import type { DialectName, Provider } from "./provider.ts";

/** Which provider a call goes to, and what the model is called there. */
export interface Route {
  readonly provider: Provider;
  /** The model, as budgets and prices know it. */
  readonly model: string;
  /** The model as the provider is to be told: its own name for it. */
  readonly sentAs: string;
  /** The rule that decided, as a sentence for people. */
  readonly why: string;
  /** Whether anything says that the provider serves the model, and not only that nobody else speaks the dialect. */
  readonly isClaimed: boolean;
  /** What the provider calls it in its prices, where that is another name than budgets know it by. */
  readonly pricedAs?: string;
  /** Where else the call can go, where the configuration says so. */
  readonly failover?: Failover;
}

/** The providers of one model, in the order of their priority, and when a call goes on to the next of them. */
export interface Failover {
  readonly targets: readonly FailoverTarget[];
  readonly retry: RetryPolicy;
}

export interface FailoverTarget {
  /** The format in which the provider gets the call: the call's own, or one into which it can be translated. */
  readonly dialect: DialectName;
  readonly route: Omit<Route, "failover">;
}

/** `{ pattern: "gpt-*", entries: [{ provider: "azure" }], retry: undefined }` */
export interface ConfiguredRoute {
  readonly pattern: string;
  /** At least one, in the order of their priority. */
  readonly entries: readonly RouteEntry[];
  /** None where a call is made once. */
  readonly retry?: RetryPolicy | undefined;
}

export interface RouteEntry {
  readonly provider: string;
  /** What the model is called there, where that is another name; `*` stands for the name of the call. */
  readonly model?: string | undefined;
}

/** No provider serves the model in this dialect: the message says what to do about it. */
export interface UnknownRoute {
  readonly unknown: string;
}

export interface Routing {
  readonly providers: readonly Provider[];
  readonly routes: readonly ConfiguredRoute[];
}

/**
 * The rule from model to provider, the first that decides:
 * 1. `routes` of the configuration, in their order, and of one of them its first provider that speaks the dialect;
 * 2. the name of a provider before the model, `groq/llama-3.3-70b-versatile`, which is then left out;
 * 3. the models that providers serve: those that the configuration lists before those of presets, providers with a key before those
 *    without, a longer pattern before a shorter one, and then the order of the configuration;
 * 4. the only provider that speaks the dialect.
 * A provider that does not speak the dialect of the call is never chosen.
 */
export function routeModel(model: string, dialect: DialectName, { providers, routes }: Routing): Route | UnknownRoute {
  const speakers = providers.filter((provider) => provider.baseUrls[dialect] !== undefined);
  const decided =
    routeByConfiguration(model, dialect, providers, routes) ??
    routeByPrefix(model, dialect, providers) ??
    routeByModels(model, speakers) ??
    routeToOnlySpeaker(model, dialect, speakers);
  if (!decided) return { unknown: unknownMessage(model, dialect, providers, speakers) };
  if ("unknown" in decided) return decided;
  return {
    ...decided,
    ...(decided.sentAs === undefined && namesAt(decided.provider, decided.model)),
    isClaimed: decided.isClaimed ?? true,
  } as Route;
}

/** A provider with names of its own for models is asked for either, and is told its own; budgets and prices know the model's. */
export function namesAt({ deployments }: Provider, name: string): Pick<Route, "model" | "sentAs"> {
  if (Object.hasOwn(deployments, name)) return { model: deployments[name] as string, sentAs: name };
  const own = Object.keys(deployments).find((deployment) => deployments[deployment] === name);
  return { model: name, sentAs: own ?? name };
}

export type Router = (model: string, dialect: DialectName) => Route | UnknownRoute;

/** Names of models come from callers, so only so many answers are kept. */
const ROUTES_KEPT = 1_000;

/** The rule for one configuration, which answers the same question once. */
export function createRouter(routing: Routing): Router {
  const known = new Map<string, Route | UnknownRoute>();
  return (model, dialect) => {
    const question = `${dialect} ${model}`;
    let route = known.get(question);
    if (!route) {
      if (known.size >= ROUTES_KEPT) known.clear();
      route = routeModel(model, dialect, routing);
      known.set(question, route);
    }
    return route;
  };
}

type Decided =
  | (Omit<Route, "sentAs" | "isClaimed"> & { readonly sentAs?: string; readonly isClaimed?: boolean })
  | UnknownRoute
  | undefined;

function routeByConfiguration(model: string, dialect: DialectName, providers: readonly Provider[], routes: Routing["routes"]): Decided {
  const route = routes.find(({ pattern }) => matcher(pattern)(model));
  if (!route) return undefined;
  const targets = failoverTargets(model, dialect, route, providers);
  const first = targets.find((target) => target.dialect === dialect);
  if (!first) {
    const provider = providers.find(({ name }) => name === route.entries[0]?.provider);
    // What is written down is meant: another provider must not step in where these cannot answer.
    return provider && { unknown: withoutDialect(model, dialect, provider, `the route for ${route.pattern}`) };
  }
  return { ...first.route, ...(route.retry && { failover: { targets, retry: route.retry } }) };
}

/** Where a route can send a call in this format, in the order of the configuration. */
function failoverTargets(
  model: string,
  dialect: DialectName,
  { pattern, entries }: ConfiguredRoute,
  providers: readonly Provider[],
): readonly FailoverTarget[] {
  const why = `The route for ${pattern} sends it to ${entries.map(entryText).join(", then to ")}.`;
  return entries.flatMap((entry) => {
    const provider = providers.find(({ name }) => name === entry.provider);
    const spoken = provider && servedIn(provider, dialect);
    if (!provider || !spoken) return [];
    return [{ dialect: spoken, route: { provider, ...namesOfEntry(entry, provider, model), why, isClaimed: true } }];
  });
}

/** The format in which a provider can be sent a call in this one: itself, or one into which it can be translated. */
export function servedIn({ baseUrls }: Provider, dialect: DialectName): DialectName | undefined {
  return [dialect, ...otherForms(dialect)].find((one) => baseUrls[one] !== undefined);
}

/** `openrouter/openai/gpt-4o` */
export function entryText({ provider, model }: RouteEntry): string {
  return model === undefined ? provider : `${provider}/${model}`;
}

/** Another name of the same model is for its provider and for prices; budgets know the model by one name. Another model is another one for all. */
function namesOfEntry(entry: RouteEntry, provider: Provider, asked: string): Pick<Route, "model" | "sentAs" | "pricedAs"> {
  const plain = withoutPrefix(asked, provider);
  if (entry.model === undefined) return namesAt(provider, plain);
  const own = entry.model.replace("*", () => plain);
  const names = namesAt(provider, own);
  if (names.model !== own || names.sentAs !== own || own === plain || !meansModel(provider.name, own, plain)) return names;
  return { model: plain, sentAs: own, pricedAs: own };
}

function routeByPrefix(model: string, dialect: DialectName, providers: readonly Provider[]): Decided {
  const slash = model.indexOf("/");
  const provider = slash > 0 ? providers.find(({ name }) => name === model.slice(0, slash)) : undefined;
  if (!provider || slash === model.length - 1) return undefined;
  if (provider.baseUrls[dialect] === undefined) return { unknown: withoutDialect(model, dialect, provider, "its name") };
  return { provider, model: withoutPrefix(model, provider), why: `The name begins with the provider: ${provider.name}/.` };
}

function routeByModels(model: string, speakers: readonly Provider[]): Decided {
  let best: { readonly provider: Provider; readonly pattern: string; readonly rank: readonly number[] } | undefined;
  for (const provider of speakers) {
    for (const pattern of provider.models) {
      if (!matcher(pattern)(model)) continue;
      const rank = [listsItsModels(provider) ? 1 : 0, needsNoOtherKey(provider) ? 1 : 0, pattern.replaceAll("*", "").length];
      if (!best || isAbove(rank, best.rank)) best = { provider, pattern, rank };
    }
  }
  return best && { provider: best.provider, model, why: `${best.provider.name} serves ${best.pattern}.` };
}

function routeToOnlySpeaker(model: string, dialect: DialectName, speakers: readonly Provider[]): Decided {
  const [provider] = speakers;
  return provider && speakers.length === 1
    ? { provider, model, why: `${provider.name} is the only provider that speaks ${dialect}.`, isClaimed: false }
    : undefined;
}

/** Some providers have models whose own names begin with theirs, such as groq/compound: those are sent as they are. */
function withoutPrefix(model: string, provider: Provider): string {
  const prefix = `${provider.name}/`;
  if (!model.startsWith(prefix)) return model;
  const isOwnName = provider.models.some((pattern) => pattern.startsWith(prefix) && matcher(pattern)(model));
  return isOwnName ? model : model.slice(prefix.length);
}

/** Whether the configuration says what the provider serves, rather than the preset of its name. */
function listsItsModels({ name, models }: Provider): boolean {
  const preset = PRESETS.get(name)?.models ?? [];
  return models.length !== preset.length || models.some((pattern, index) => pattern !== preset[index]);
}

/** Has a key, or is a preset that asks for none. */
function needsNoOtherKey({ name, apiKey }: Provider): boolean {
  return apiKey !== undefined || PRESETS.get(name)?.env.length === 0;
}

/** What to do about a provider that is known to need a key and has none; nothing where it may do without. */
export function missingKey({ name, apiKey }: Provider): string | undefined {
  const [variable] = PRESETS.get(name)?.env ?? [];
  if (apiKey !== undefined || variable === undefined) return undefined;
  return `Provider ${name} needs a key, and none is configured. Set ${variable} where the gateway runs, or api_key under providers in purser.yaml.`;
}

function isAbove(rank: readonly number[], other: readonly number[]): boolean {
  const differing = rank.findIndex((value, index) => value !== other[index]);
  return differing >= 0 && (rank[differing] ?? 0) > (other[differing] ?? 0);
}

/** Names come from callers: a message repeats no more of them than a reader needs. */
function shown(model: string): string {
  return model.length > 100 ? `${model.slice(0, 100)}…` : model;
}

function withoutDialect(model: string, dialect: DialectName, provider: Provider, chosenBy: string): string {
  const spoken = Object.keys(provider.baseUrls).join(", ") || "nothing";
  return (
    `"${shown(model)}" goes to ${provider.name} by ${chosenBy}, and ${provider.name} does not speak ${dialect}, only ${spoken}. ` +
    `Call it with a client of that kind, or give ${provider.name} a base_url for ${dialect} in purser.yaml.`
  );
}

function unknownMessage(model: string, dialect: DialectName, providers: readonly Provider[], speakers: readonly Provider[]): string {
  const other = routeByModels(model, providers);
  if (other && "provider" in other) return withoutDialect(model, dialect, other.provider, "what it serves");
  if (DEMO_MODELS.includes(model)) return `"${model}" ${DEMO_ELSEWHERE}`;
  const names = speakers.map(({ name }) => name).join(", ");
  if (names === "") return `No provider that speaks ${dialect} is configured. Add one under providers in purser.yaml.`;
  return `No provider serves "${shown(model)}". Write PROVIDER/${shown(model)} with one of ${names}, or add a route for it to purser.yaml.`;
}

/** Compiled patterns by their text: all of them come from the configuration and the presets, so there are few. */
const matchers = new Map<string, (model: string) => boolean>();
const MATCHERS_KEPT = 10_000;

function matcher(pattern: string): (model: string) => boolean {
  let matches = matchers.get(pattern);
  if (!matches) {
    if (matchers.size >= MATCHERS_KEPT) matchers.clear();
    matches = compilePattern(pattern);
    matchers.set(pattern, matches);
  }
  return matches;
}
