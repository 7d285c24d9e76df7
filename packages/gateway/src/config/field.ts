import { PurserError } from "@purser/core";
import { nearestName, suggestion } from "./nearest-name.ts";
import type { Place } from "./source.ts";

/** A JSON Schema, as far as the ones that are made here. */
export type JsonSchema = { readonly [keyword: string]: unknown };

/** One field of the configuration: how it is read, and how an editor is told about it. Both come from the same description. */
export interface Field<Value> {
  readonly schema: JsonSchema;
  /** The value, or nothing once what is wrong with it has been noted. */
  read(place: Place): Value | undefined;
}

export type ValueOf<F> = F extends Field<infer Value> ? Value : never;
export type Fields = Readonly<Record<string, Field<unknown>>>;
export type Values<F extends Fields> = { readonly [name in keyof F]?: ValueOf<F[name]> | undefined };

/** A value together with where it stands, for what can only be judged beside other fields. */
export interface Located<Value> {
  readonly value: Value;
  readonly place: Place;
}

/** A sentence that editors show beside the field, and an example or default for them to complete. */
export interface Hint {
  readonly examples?: readonly unknown[];
  readonly default?: unknown;
}

const TEXT_MOST = 4096;
/** What editors accept besides the form of a field: a variable that is filled in when the file is read. */
const VARIABLE = { type: "string", pattern: "\\$\\{" };

/** Gives a field the sentence that explains it. */
export function described<Value>(description: string, field: Field<Value>, hint: Hint = {}): Field<Value> {
  return { schema: { ...field.schema, description, ...hint }, read: field.read };
}

/** A text that is not empty. */
export function text({ most = TEXT_MOST } = {}): Field<string> {
  return { schema: { type: "string", minLength: 1, maxLength: most }, read: (place) => filledText(place, most)?.value };
}

/** A text that another function reads; what it throws is noted at the place. */
export function parsed<Value>(schema: JsonSchema, parse: (value: string) => Value): Field<Value> {
  return {
    schema: { type: "string", ...schema },
    read(place) {
      const found = filledText(place);
      if (!found) return undefined;
      try {
        return parse(found.value);
      } catch (error) {
        if (!(error instanceof PurserError)) throw error;
        // A message that repeats the text must not repeat what a variable held.
        return place.problem(error.message.replaceAll(found.value, found.written));
      }
    },
  };
}

/** A secret: never repeated, and none at all where its variable is not set. `unset` says what that means. */
export function secret(unset = "Purser has no key here. Callers can bring their own."): Field<string> {
  return {
    schema: { type: "string", minLength: 1 },
    read(place) {
      const found = place.text();
      if (found?.unset.length) {
        return place.warning(`${found.unset.join(" and ")} is not set, so ${unset}`);
      }
      if (!found || found.value.trim() === "")
        return place.problem(`is empty. Write \${NAME} for a variable of the environment, or leave it out.`);
      return /[\r\n\0]/.test(found.value) ? place.problem("has a line break in it, which no key has.") : found.value.trim();
    },
  };
}

/** One of some words. `synonyms` are further words for them. */
export function choice<const Word extends string>(words: readonly Word[], synonyms: Readonly<Record<string, Word>> = {}): Field<Word> {
  const all = [...words, ...Object.keys(synonyms)];
  return {
    schema: { enum: all },
    read(place) {
      const found = filledText(place);
      if (!found) return undefined;
      const word = words.find((candidate) => candidate === found.value) ?? synonyms[found.value];
      if (word !== undefined) return word;
      const nearest = nearestName(found.value, all);
      return place.problem(
        `"${found.written}" is not one of ${all.join(", ")}.${nearest === undefined ? "" : ` Did you mean "${nearest}"?`}`,
      );
    },
  };
}

/** `true` or `false`. */
export function flag(): Field<boolean> {
  return {
    schema: { anyOf: [{ type: "boolean" }, VARIABLE] },
    read(place) {
      const found = filledText(place);
      if (!found) return undefined;
      if (found.value === "true" || found.value === "false") return found.value === "true";
      return place.problem(`"${found.written}" is neither true nor false.`);
    },
  };
}

/** Only `true` says anything; whoever means false leaves the field out. */
export function mark(): Field<true> {
  return {
    schema: { const: true },
    read(place) {
      const found = filledText(place);
      if (!found) return undefined;
      return found.value === "true" ? true : place.problem(`can only be true. Leave it out instead of "${found.written}".`);
    },
  };
}

const COUNT = /^(\d[\d_]*|\d{1,3}(?:,\d{3})+)(\.\d+)?([kKmM]?)$/;

/** A whole number in a range: `4000`, `4,000`, `4k`, `1.5M`. */
export function count({ least, most, what }: { readonly least: number; readonly most: number; readonly what: string }): Field<number> {
  return {
    schema: {
      anyOf: [
        { type: "integer", minimum: least, maximum: most },
        { type: "string", pattern: "^(\\d[\\d_,.]*[kKmM]?|.*\\$\\{.*)$" },
      ],
    },
    read(place) {
      const found = filledText(place);
      if (!found) return undefined;
      const [, whole, fraction = "", multiplier = ""] = COUNT.exec(found.value) ?? [];
      const factor = { k: 1000, m: 1_000_000 }[multiplier.toLowerCase()] ?? 1;
      const value = whole === undefined ? Number.NaN : (Math.round(Number(whole.replace(/[_,]/g, "") + fraction) * 1e6) / 1e6) * factor;
      if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
      const range = `from ${least.toLocaleString("en-US")} to ${most.toLocaleString("en-US")}`;
      return place.problem(`"${found.written}" is not ${what}. Write a whole number ${range}.`);
    },
  };
}

/** An amount of dollars, kept as it is written, so that whoever prices by it reads it exactly. */
export function dollars(parse: (amount: string) => number): Field<string> {
  const amount = parsed({}, (value) => {
    parse(value);
    return value;
  });
  const schema = {
    anyOf: [
      { type: "number", minimum: 0 },
      { type: "string", pattern: "^(\\$?\\d|.*\\$\\{.*)" },
    ],
  };
  return { schema, read: amount.read };
}

/** A number with decimals, at least 0. */
export function share(): Field<number> {
  return {
    schema: { type: "number", minimum: 0 },
    read(place) {
      const found = filledText(place);
      if (!found) return undefined;
      return /^\d*\.?\d+$/.test(found.value) ? Number(found.value) : place.problem(`"${found.written}" is not a number such as 0.5.`);
    },
  };
}

const SIZES: Readonly<Record<string, number>> = { b: 1, kb: 1e3, mb: 1e6, gb: 1e9, kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3 };
const DURATIONS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000 };

/** Bytes: `32 MiB`. */
export function byteSize(range: { readonly least: number; readonly most: number }): Field<number> {
  return measure({ units: SIZES, example: "32 MiB", ...range });
}

/** Milliseconds, written as `30 s` or `10 m`. */
export function duration(range: { readonly least: number; readonly most: number }): Field<number> {
  return measure({ units: DURATIONS, example: "30 s", ...range });
}

interface Measure {
  readonly units: Readonly<Record<string, number>>;
  readonly example: string;
  readonly least: number;
  readonly most: number;
}

function measure({ units, example, least, most }: Measure): Field<number> {
  return {
    schema: { type: "string", examples: [example] },
    read(place) {
      const found = filledText(place);
      if (!found) return undefined;
      const [, number, unit = ""] = /^(\d+(?:\.\d+)?) ?([a-zA-Z]+)$/.exec(found.value) ?? [];
      const factor = Object.hasOwn(units, unit.toLowerCase()) ? units[unit.toLowerCase()] : undefined;
      if (number === undefined || factor === undefined) {
        return place.problem(
          `"${found.written}" has no unit that is known. Write it like ${example}, with ${Object.keys(units).join(", ")}.`,
        );
      }
      const value = Math.round(Number(number) * factor);
      if (value >= least && value <= most) return value;
      return place.problem(`"${found.written}" is out of range. It can be ${least / factor} to ${most / factor} ${unit}.`);
    },
  };
}

/** A list. Where `single` is set, one item may stand without brackets. */
export function list<Item>(item: Field<Item>, { most, least = 0, single = false }: ListOptions): Field<readonly Item[]> {
  const schema = { type: "array", items: item.schema, maxItems: most, ...(least > 0 && { minItems: least }) };
  return {
    schema: single ? { anyOf: [item.schema, schema] } : schema,
    read(place) {
      const items = place.items() ?? (single && place.text() ? [place] : undefined);
      if (!items)
        return place.problem(
          isEmpty(place) ? "is empty. Write a list or leave the field out." : `is not a list. Write it like [${single ? "a, b" : "…"}].`,
        );
      if (items.length < least) return place.problem("is an empty list. Name something or leave the field out.");
      if (items.length > most) return place.problem(`has ${items.length} items; at most ${most} are possible.`);
      // What could not be read has been noted, and then nothing comes of the file: the rest is looked at for its own problems.
      return items.map((at) => item.read(at)).filter((value) => value !== undefined);
    },
  };
}

interface ListOptions {
  readonly most: number;
  readonly least?: number;
  readonly single?: boolean;
}

/** A map from names to values. */
export function map<Value>(value: Field<Value>, options: MapOptions): Field<ReadonlyMap<string, Value>> {
  const { most, key, suggestions } = options;
  return {
    schema: {
      type: "object",
      maxProperties: most,
      additionalProperties: value.schema,
      ...(suggestions && { properties: Object.fromEntries(suggestions.map((name) => [name, value.schema])) }),
      ...(options.pattern && { propertyNames: { pattern: options.pattern } }),
    },
    read(place) {
      const entries = place.entries();
      if (!entries)
        return place.problem(
          isEmpty(place) ? "is empty. Write what belongs there or leave the field out." : "is not a map of names to values.",
        );
      if (entries.length > most) return place.problem(`has ${entries.length} names; at most ${most} are possible.`);
      const values = new Map<string, Value>();
      for (const entry of entries) {
        const wrong = values.has(entry.key) ? WRITTEN_TWICE : key?.(entry.key);
        const read = wrong === undefined ? value.read(entry.value) : entry.keyPlace.problem(wrong);
        if (read !== undefined) values.set(entry.key, read);
      }
      return values;
    },
  };
}

interface MapOptions {
  readonly most: number;
  /** What is wrong with a name, if anything. */
  readonly key?: (name: string) => string | undefined;
  /** The same rule for editors. */
  readonly pattern?: string;
  /** Names that editors complete. */
  readonly suggestions?: readonly string[];
}

/** A map with known fields. What is not known is refused with the nearest name. */
export function object<F extends Fields>(fields: F, options: ObjectOptions<F> = {}): Field<Values<F>> {
  const { required = [], emptyAllowed = false, refused = {} } = options;
  const names = Object.keys(fields);
  return {
    schema: {
      type: emptyAllowed ? ["object", "null"] : "object",
      properties: Object.fromEntries(names.map((name) => [name, fields[name]?.schema])),
      ...(required.length > 0 && { required }),
      additionalProperties: false,
    },
    read(place) {
      if (isEmpty(place) && emptyAllowed) return {};
      const entries = place.entries();
      if (!entries)
        return place.problem(
          isEmpty(place) ? "is empty. Write what belongs there or leave the field out." : `is not a map. Fields here: ${names.join(", ")}.`,
        );
      const values: Record<string, unknown> = {};
      for (const { key, keyPlace, value } of entries) {
        const field = Object.hasOwn(fields, key) ? fields[key] : undefined;
        if (Object.hasOwn(values, key)) keyPlace.problem(WRITTEN_TWICE);
        else if (Object.hasOwn(refused, key)) keyPlace.problem(refused[key] ?? "");
        else if (!field) keyPlace.problem(key === "<<" ? MERGED : `unknown field.${suggestion(key, names)}`);
        else values[key] = field.read(value);
      }
      for (const name of required) if (!entries.some(({ key }) => key === name)) place.problem(`${String(name)} is missing.`);
      return values as Values<F>;
    },
  };
}

interface ObjectOptions<F> {
  readonly required?: readonly (keyof F & string)[];
  /** Whether a name with nothing behind it means all defaults. */
  readonly emptyAllowed?: boolean;
  /** Fields that people may expect and that are refused with a word of their own. */
  readonly refused?: Readonly<Record<string, string>>;
}

/** Either of two forms: the second where the value is a map. */
export function textOrMap<A, B>(one: Field<A>, several: Field<B>): Field<A | B> {
  return { schema: { anyOf: [one.schema, several.schema] }, read: (place) => (place.entries() ? several.read(place) : one.read(place)) };
}

/** Either of two forms: the second where the value is a list. */
export function textOrList<A, B>(one: Field<A>, several: Field<B>): Field<A | B> {
  return { schema: { anyOf: [one.schema, several.schema] }, read: (place) => (place.items() ? several.read(place) : one.read(place)) };
}

/** Keeps the place of a value. */
export function located<Value>(field: Field<Value>): Field<Located<Value>> {
  return {
    schema: field.schema,
    read(place) {
      const value = field.read(place);
      return value === undefined ? undefined : { value, place };
    },
  };
}

const WRITTEN_TWICE = "is written twice. Keep one of them.";
const MERGED = "maps are not merged here. Write the fields out; a whole value can be repeated, by &name and *name.";

function isEmpty(place: Place): boolean {
  return place.text() === undefined && place.items() === undefined && place.entries() === undefined;
}

/** The text of a place, or nothing once it is noted what is wrong with it as a text. */
function filledText(place: Place, most = TEXT_MOST) {
  const found = place.text();
  if (!found) return place.problem(isEmpty(place) ? "is empty. Write a value or leave the field out." : "is not a single value.");
  if (found.unset.length > 0) {
    const [name] = found.unset;
    return place.problem(`the variable ${found.unset.join(" and ")} is not set. Set it, or write \${${name}:-default}.`);
  }
  if (found.value.trim() === "") return place.problem("is empty. Write a value or leave the field out.");
  if (found.value.length > most) return place.problem(`is longer than ${most} characters.`);
  return found;
}
