import { isRecord } from "../../dialects/json-value.ts";
import { Fields } from "../untranslatable.ts";

/** The fields of an object that Google takes in two spellings, `inlineData` and `inline_data`: here always the first. */
export function fieldsOf(value: unknown, where: string): Fields {
  if (!isRecord(value)) return new Fields(value, where);
  return new Fields(Object.fromEntries(Object.entries(value).map(([name, inner]) => [camelCase(name), inner])), where);
}

function camelCase(name: string): string {
  return name.replace(/(?<=[a-z])_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
