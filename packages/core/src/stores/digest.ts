import { createHash } from "node:crypto";
import type { Entry } from "../domain/ledger.ts";

/** Entries of a ledger after one, up to and with another. */
export interface Stretch {
  readonly after: number;
  readonly upTo: number;
}

/** What a stretch of a ledger is known by later: whatever store it is read from, the same entries have the same digest. */
export interface Digest {
  /** SHA-256 in hexadecimal of the canonical texts of its entries, each with a line end. */
  readonly hash: string;
  /** How many entries there are. */
  readonly entries: number;
  /** How many of them are refusals of calls. */
  readonly refusals: number;
}

export function digestEntries(entries: readonly Entry[]): Digest {
  const hash = createHash("sha256");
  const counters = new Map<unknown, string>();
  let refusals = 0;
  for (const entry of entries) {
    hash.update(`${canonicalText(entry, counters)}\n`);
    if (entry.kind === "denied") refusals++;
  }
  return { hash: hash.digest("hex"), entries: entries.length, refusals };
}

/**
 * JSON whose fields stand in the order of their names, without those that are unknown: stores give entries back with fields in another order.
 * `counters`: those that were written before. They are most of an entry, and the same ones in entry after entry.
 */
function canonicalText(value: unknown, counters: Map<unknown, string>): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((item) => canonicalText(item, counters)).join(",")}]`;
  let text = "";
  for (const name of Object.keys(value).sort()) {
    const field = (value as Readonly<Record<string, unknown>>)[name];
    if (field === undefined) continue;
    text += `${text === "" ? "" : ","}${JSON.stringify(name)}:${name === "counter" ? counterText(field, counters) : canonicalText(field, counters)}`;
  }
  return `{${text}}`;
}

function counterText(counter: unknown, counters: Map<unknown, string>): string {
  const known = counters.get(counter);
  if (known !== undefined) return known;
  const text = canonicalText(counter, counters);
  counters.set(counter, text);
  return text;
}
