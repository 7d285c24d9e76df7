import { type DialectName, dialectsOf, FAMILY_NAMES, type Provider } from "../providers/provider.ts";
import { type ConfiguredRoute, entryText, missingKey, servedIn } from "../providers/routing.ts";

/** The providers of a route that have no key, so that calls pass over them. */
export function keyNotes({ entries }: ConfiguredRoute, providers: readonly Provider[]): readonly string[] {
  const names = entries.map(({ provider }) => provider);
  return providers
    .filter((one) => names.includes(one.name) && missingKey(one) !== undefined)
    .map(({ name }) => `${name} has no key, and is left out`);
}

/** A route with several providers as people say it: `gpt-4o: azure, then openai. Up to 2 attempts, again after 429, 5xx, …` */
export function routeSentence({ pattern, entries, retry }: ConfiguredRoute): string {
  const order = entries.map(entryText).join(", then ");
  if (!retry) return `${pattern}: ${order}.`;
  return `${pattern}: ${order}. Up to ${retry.attempts} attempts; again after ${[...retry.on].join(", ")}.`;
}

/**
 * Which formats not all providers of a route serve as they come: `anthropic-messages: by openai after translation`, `openai-embeddings: not by
 * claude`. A format that none of them speaks is not served by the route at all, and is not named.
 */
export function formatNotes({ entries }: ConfiguredRoute, providers: readonly Provider[]): readonly string[] {
  const listed = [...new Set(entries.map(({ provider }) => provider))].flatMap((name) => providers.filter((one) => one.name === name));
  const noteOf = (dialect: DialectName): string => {
    if (!listed.some(({ baseUrls }) => baseUrls[dialect] !== undefined)) return "";
    const names = (is: (served: DialectName | undefined) => boolean) =>
      listed.filter((one) => is(servedIn(one, dialect))).map(({ name }) => name);
    const translated = names((served) => served !== undefined && served !== dialect);
    const missing = names((served) => served === undefined);
    return [
      ...(missing.length > 0 ? [`not by ${missing.join(", ")}`] : []),
      ...(translated.length > 0 ? [`by ${translated.join(", ")} after translation`] : []),
    ].join("; ");
  };
  return FAMILY_NAMES.flatMap((family) => {
    const notes = dialectsOf(family).map((dialect) => [dialect, noteOf(dialect)] as const);
    const [first] = notes;
    if (first && notes.length > 1 && notes.every(([, note]) => note === first[1])) return first[1] === "" ? [] : [`${family}: ${first[1]}`];
    return notes.filter(([, note]) => note !== "").map(([dialect, note]) => `${dialect}: ${note}`);
  });
}
