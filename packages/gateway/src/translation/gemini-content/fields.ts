import { isRecord } from "../../dialects/json-value.ts";
import { Fields, shown, Untranslatable } from "../untranslatable.ts";

/** The fields of an object that Google takes in two spellings, `inlineData` and `inline_data`: here always the first. */
export function fieldsOf(value: unknown, where: string): Fields {
  if (!isRecord(value)) return new Fields(value, where);
  const fields = new Map<string, unknown>();
  for (const [name, inner] of Object.entries(value)) {
    if (fields.has(camelCase(name))) throw new Untranslatable(`${where} has ${shown(name)} twice`);
    fields.set(camelCase(name), inner);
  }
  return new Fields(Object.fromEntries(fields), where);
}

function camelCase(name: string): string {
  return name.replace(/(?<=[a-z])_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
