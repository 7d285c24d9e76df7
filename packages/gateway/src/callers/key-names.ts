import type { KeyName } from "./key.ts";

/** What keys are called where people read it, by their ids: with the id as well where two have the same name. */
export function keyNames(keys: readonly KeyName[]): ReadonlyMap<string, string> {
  const owners = new Map<string, number>();
  for (const { name } of keys) owners.set(name, (owners.get(name) ?? 0) + 1);
  return new Map(keys.map(({ id, name }) => [id, (owners.get(name) ?? 0) > 1 ? `${name} (${id})` : name]));
}
