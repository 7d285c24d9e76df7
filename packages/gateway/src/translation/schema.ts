import { isRecord, listOf } from "../dialects/json-value.ts";

/** What providers promise to keep to of a JSON schema, all of them. */
const KEPT: ReadonlySet<string> = new Set(
  "type properties required additionalProperties items enum const anyOf description title $defs definitions $ref".split(" "),
);

/**
 * Whether every provider that promises answers of a form can promise this one: objects that are closed, fields that are all required, no
 * numbers or lengths to keep to, nothing that contains itself. OpenAI and Anthropic each refuse some of the rest.
 */
export function isPromisable(schema: unknown): boolean {
  return isKept(schema) && !containsItself(schema);
}

function isKept(schema: unknown): boolean {
  if (!isRecord(schema) || Object.keys(schema).some((name) => !KEPT.has(name))) return false;
  const { type, properties, additionalProperties } = schema;
  const own = isRecord(properties) ? Object.keys(properties) : [];
  const isObject = type === "object" || properties !== undefined;
  if (isObject && (additionalProperties !== false || own.some((name) => !listOf(schema.required).includes(name)))) return false;
  const inner = [properties, schema.$defs, schema.definitions].flatMap((named) => (isRecord(named) ? Object.values(named) : []));
  return [...inner, ...listOf(schema.anyOf), ...(schema.items === undefined ? [] : [schema.items])].every(isKept);
}

/** Whether a part of a schema that is named leads back to itself, or to a place that nobody here can look up. */
export function containsItself(schema: unknown): boolean {
  const root = schema as Record<string, unknown>;
  const named = new Map<string, unknown>();
  for (const place of ["$defs", "definitions"])
    for (const [name, value] of Object.entries(isRecord(root[place]) ? root[place] : {})) named.set(`#/${place}/${name}`, value);
  const leadsTo = (value: unknown): readonly string[] => {
    if (Array.isArray(value)) return value.flatMap(leadsTo);
    if (!isRecord(value)) return [];
    return Object.entries(value).flatMap(([name, inner]) => (name === "$ref" && typeof inner === "string" ? [inner] : leadsTo(inner)));
  };
  const isRound = (place: string, seen: readonly string[]): boolean => {
    if (!named.has(place) || seen.includes(place)) return true;
    return leadsTo(named.get(place)).some((next) => isRound(next, [...seen, place]));
  };
  return leadsTo(root).some((place) => isRound(place, []));
}
