import { isRecord, listOf } from "../dialects/json-value.ts";

/** A call that another format cannot say. The message says why, as the end of a sentence: `it takes no "seed"`. */
export class Untranslatable extends Error {}

/** Names come from callers, and stand in the ledger. */
const SHOWN = 64;

/** Something in quotes, so short that it can be shown. */
export function shown(text: unknown): string {
  return JSON.stringify(String(text).slice(0, SHOWN));
}

/** The fields of an object, each to be taken once. What nobody takes would be lost, so it cannot be translated. */
export class Fields {
  readonly #left: Map<string, unknown>;
  readonly #where: string;

  /** `where`: what the object is, for people: `a message`. */
  constructor(value: unknown, where: string) {
    if (!isRecord(value)) throw new Untranslatable(`${where} is no object`);
    this.#where = where;
    // A field that is null is as good as none, in all formats.
    this.#left = new Map(Object.entries(value).filter(([, inner]) => inner !== null && inner !== undefined));
  }

  take(name: string): unknown {
    const value = this.#left.get(name);
    this.#left.delete(name);
    return value;
  }

  text(name: string): string | undefined {
    const value = this.take(name);
    if (value !== undefined && typeof value !== "string") throw this.#odd(name);
    return value;
  }

  requiredText(name: string): string {
    const value = this.text(name);
    if (value === undefined) throw this.#odd(name);
    return value;
  }

  number(name: string): number | undefined {
    const value = this.take(name);
    if (value !== undefined && typeof value !== "number") throw this.#odd(name);
    return value;
  }

  boolean(name: string): boolean | undefined {
    const value = this.take(name);
    if (value !== undefined && typeof value !== "boolean") throw this.#odd(name);
    return value;
  }

  record(name: string): Readonly<Record<string, unknown>> | undefined {
    const value = this.take(name);
    if (value !== undefined && !isRecord(value)) throw this.#odd(name);
    return value;
  }

  list(name: string): readonly unknown[] {
    const value = this.take(name);
    if (value !== undefined && !Array.isArray(value)) throw this.#odd(name);
    return listOf(value);
  }

  /** Fields that change nothing about the answer. */
  ignore(...names: readonly string[]): void {
    for (const name of names) this.#left.delete(name);
  }

  /** A field that may only say what would be the case without it. */
  allowOnly(name: string, ...usual: readonly unknown[]): void {
    const value = this.#left.get(name);
    if (usual.some((one) => JSON.stringify(one) === JSON.stringify(value))) this.#left.delete(name);
  }

  /** To be called when all that is known was taken. */
  done(): void {
    for (const name of this.#left.keys()) throw this.#odd(name);
  }

  #odd(name: string): Untranslatable {
    return new Untranslatable(`${this.#where} has ${shown(name)}`);
  }
}

/** A text, or a list of parts that are all texts. */
export function textsOf(content: unknown, where: string): readonly string[] {
  if (content === undefined || content === null) return [];
  if (typeof content === "string") return [content];
  if (!Array.isArray(content)) throw new Untranslatable(`${where} is neither text nor parts`);
  return content.map((part) => {
    const fields = new Fields(part, where);
    const type = fields.text("type");
    if (type !== "text") throw new Untranslatable(`${where} has a part of type ${shown(type)}`);
    return textPart(fields);
  });
}

/** The text of a part whose type was taken. Marks for a prompt cache are of no use elsewhere. */
export function textPart(fields: Fields): string {
  const text = fields.requiredText("text");
  fields.ignore("cache_control", "prompt_cache_breakpoint");
  fields.allowOnly("citations", []);
  fields.allowOnly("annotations", []);
  fields.done();
  return text;
}

/** Whether a text is nothing but blanks: some formats refuse such a part. */
export function isBlank(text: string): boolean {
  return text.trim() === "";
}
