import { shown, Untranslatable } from "../untranslatable.ts";

/** Stands between the namespace of a tool and its name, where a format knows no namespaces. */
const MARK = "__dot__";

/** The name of a tool in other formats. */
export function joinedName(namespace: string | undefined, name: string): string {
  if (name.includes(MARK) || namespace?.includes(MARK)) throw new Untranslatable(`a tool is called ${shown(name)}`);
  return namespace === undefined ? name : `${namespace}${MARK}${name}`;
}

/** The name of a tool as its client knows it. */
export function splitName(joined: string): { readonly name: string; readonly namespace?: string } {
  const at = joined.indexOf(MARK);
  return at < 0 ? { name: joined } : { name: joined.slice(at + MARK.length), namespace: joined.slice(0, at) };
}
