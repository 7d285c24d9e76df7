import { createHash } from "node:crypto";
import type { CounterRef } from "../../domain/ledger.ts";
import type { Unit } from "../../domain/limit.ts";
import type { Database } from "./pool.ts";
import { type CounterIds, cleaned, isClean } from "./rows.ts";

/** Numbers that are kept at hand. Counters come with every subject and window, so it starts over when there are too many. */
const KNOWN_MOST = 100_000;

/** The numbers of counters in the database. They are given once and never change, so those that are known need not be asked for. */
export class CounterNumbers {
  readonly #database: Database;
  #ids = new Map<string, number>();
  #refs = new Map<number, CounterRef>();

  constructor(database: Database) {
    this.#database = database;
  }

  forget(): void {
    this.#ids = new Map();
    this.#refs = new Map();
  }

  /** The numbers of all these counters; those that have none get one. In a transaction of its own, so that what is known here is there for all. */
  async idsOf(counters: Iterable<CounterRef>): Promise<CounterIds> {
    if (this.#ids.size > KNOWN_MOST) this.#ids = new Map();
    const ids = this.#ids;
    // Entries that were read together share their counters, and an object is found faster than its key.
    const asked = new Map<CounterRef, number | undefined>();
    const missing = new Map<string, CounterRef>();
    for (const counter of counters) {
      if (asked.has(counter)) continue;
      const id = ids.get(counter.key);
      asked.set(counter, id);
      if (id === undefined) missing.set(counter.key, counter);
    }
    if (missing.size > 0) await this.#define([...missing.values()], ids);
    return (counter) => asked.get(counter) ?? (ids.get(counter.key) as number);
  }

  async #define(counters: readonly CounterRef[], ids: Map<string, number>): Promise<void> {
    const keys = new Map(counters.map((counter) => [digestOf(counter.key), counter.key]));
    const rows = counters.map((counter) => [digestOf(counter.key), ...columnsOf(counter)]);
    const columns = (rows[0] ?? []).map((_, column) => rows.map((row) => row[column]));
    await this.#database.query(DEFINE, columns);
    const { rows: found } = await this.#database.query(FIND, [[...keys.keys()]]);
    for (const { id, digest } of found) ids.set(keys.get(digest) as string, Number(id));
  }

  /** The counters with these numbers. */
  async refsOf(ids: Iterable<number>): Promise<(id: number) => CounterRef> {
    if (this.#refs.size > KNOWN_MOST) this.#refs = new Map();
    const refs = this.#refs;
    const missing = [...new Set(ids)].filter((id) => !refs.has(id));
    if (missing.length > 0) {
      const { rows } = await this.#database.query("SELECT * FROM purser.counter WHERE id = ANY($1)", [missing]);
      for (const row of rows as CounterRow[]) refs.set(Number(row.id), refOf(row));
    }
    return (id) => {
      const ref = refs.get(id);
      if (!ref) throw new Error(`The ledger posts to counter ${id}, which it does not define.`);
      return ref;
    };
  }
}

const DEFINE = `
  INSERT INTO purser.counter (digest, key, budget, subject, unit, "window", starts_at, resets_at, definition)
  SELECT decode(digest, 'hex'), key, budget, subject, unit, "window", starts_at, resets_at, definition::json
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::text[])
    AS counter (digest, key, budget, subject, unit, "window", starts_at, resets_at, definition)
  ORDER BY digest
  ON CONFLICT (digest) DO NOTHING`;

const FIND = `
  SELECT id, encode(digest, 'hex') AS digest
  FROM purser.counter WHERE digest IN (SELECT decode(asked, 'hex') FROM unnest($1::text[]) AS asked)`;

interface CounterRow {
  readonly id: string;
  readonly key: string;
  readonly budget: string;
  readonly subject: string;
  readonly unit: string;
  readonly window: string;
  readonly starts_at: string;
  readonly resets_at: string | null;
  readonly definition: CounterRef | null;
}

function columnsOf(counter: CounterRef) {
  const { key, budget, subject, unit, window, startsAt, resetsAt } = counter;
  const texts = [key, budget, subject, unit, window];
  return [...texts.map(cleaned), startsAt, resetsAt ?? null, isExact(counter, texts) ? null : JSON.stringify(counter)];
}

const FIELDS: ReadonlySet<string> = new Set(["key", "budget", "subject", "unit", "window", "startsAt", "resetsAt"]);

/** Whether the columns say a counter as it is. */
function isExact(counter: CounterRef, texts: readonly string[]): boolean {
  return texts.every(isClean) && Object.keys(counter).every((field) => FIELDS.has(field));
}

function refOf({ key, budget, subject, unit, window, starts_at, resets_at, definition }: CounterRow): CounterRef {
  const resetsAt = resets_at === null ? undefined : Number(resets_at);
  if (definition) return { ...definition, resetsAt };
  return { key, budget, subject, unit: unit as Unit, window, startsAt: Number(starts_at), resetsAt };
}

function digestOf(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}
