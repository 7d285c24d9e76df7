import type { KeyName } from "../callers/key.ts";
import { keyNames } from "../callers/key-names.ts";
import type { AdminAccess } from "./admin-access.ts";

/** What values of an attribute are called for people: keys by their names. */
export type NameOf = (path: string, value: string) => string;

/** Asks for names only where keys are shown. */
export async function askNames(access: AdminAccess, by: readonly string[]): Promise<NameOf> {
  if (!by.includes("key")) return (_, value) => value;
  const { data } = (await access.ask("GET", "/api/key-names")) as { readonly data: readonly KeyName[] };
  const names = keyNames(data);
  return (path, value) => (path === "key" && names.get(value)) || value;
}
