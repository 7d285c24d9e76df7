import { ATTEMPTS_MOST, RETRIED_ON, RETRY_WAIT_MS, type RetryPolicy } from "../failover/retry.ts";
import { DIALECTS, type Provider } from "../providers/provider.ts";
import { type ConfiguredRoute, type RouteEntry, servedIn } from "../providers/routing.ts";
import type { RouteFields } from "./description.ts";
import type { Located } from "./field.ts";
import { suggestion } from "./nearest-name.ts";
import type { Place } from "./source.ts";

/** The routes of the file, each with its providers in the order of their priority. */
export function configuredRoutes(entries: readonly Located<RouteFields>[], providers: readonly Provider[]): readonly ConfiguredRoute[] {
  return entries.flatMap(({ value, place }) => {
    const { model, provider, providers: several, retry } = value;
    if (model === undefined) return [];
    if (provider !== undefined && several !== undefined)
      return place.field("providers").problem("stands beside provider. Write all of them here, the first choice first.") ?? [];
    const texts = several ?? (provider === undefined ? undefined : [provider]);
    if (texts === undefined) return hasProviders(place) ? [] : (place.problem("provider is missing.") ?? []);
    const at = place.field(several ? "providers" : "provider");
    const named = texts.map((text) => entryOf(text, providers, at)).filter((one) => one !== undefined);
    if (named.length < texts.length) return [];
    const policy = policyOf(retry, named.length);
    if (named.length > 1) checkTogether(named, providers, at);
    return [{ pattern: model, entries: named, ...(policy && { retry: policy }) }];
  });
}

/** Whether they stand in the file, and were found wrong before. */
function hasProviders(place: Place): boolean {
  return place.entries()?.some(({ key }) => key === "provider" || key === "providers") ?? false;
}

/** `openrouter/openai/gpt-4o` is the model `openai/gpt-4o` of `openrouter`. */
function entryOf(text: string, providers: readonly Provider[], place: Place): RouteEntry | undefined {
  const slash = text.indexOf("/");
  const [provider, model] = slash < 0 ? [text, undefined] : [text.slice(0, slash), text.slice(slash + 1)];
  const names = providers.map(({ name }) => name);
  if (!names.includes(provider)) return place.problem(`no provider "${provider}" is configured.${suggestion(provider, names)}`);
  if (model === "")
    return place.problem(`"${text}" ends where the name of the model begins. Write ${provider}/MODEL, or ${provider} alone.`);
  return { provider, model };
}

/** None where a call is made once: there is nothing to go on to. */
function policyOf(retry: RouteFields["retry"], providers: number): RetryPolicy | undefined {
  const attempts = retry?.attempts ?? Math.min(providers, ATTEMPTS_MOST);
  return attempts === 1 && providers === 1
    ? undefined
    : { attempts, on: new Set(retry?.on ?? RETRIED_ON), waitMs: retry?.wait ?? RETRY_WAIT_MS };
}

/** A provider that gets no call which the first one gets is there for nothing. */
function checkTogether([first, ...others]: readonly RouteEntry[], providers: readonly Provider[], place: Place): void {
  const named = (entry: RouteEntry | undefined) => providers.find(({ name }) => name === entry?.provider);
  const one = named(first);
  if (!one) return;
  const spoken = DIALECTS.filter((dialect) => one.baseUrls[dialect] !== undefined);
  for (const entry of others) {
    const other = named(entry);
    if (other && !spoken.some((dialect) => servedIn(other, dialect) !== undefined))
      place.warning(
        `${other.name} speaks no format that ${one.name} speaks, and none that its calls can be translated into: it takes over none of them.`,
      );
  }
}
