import type { Entry } from "../../domain/ledger.ts";
import type { ArchiveQuery } from "../archive.ts";
import { LEDGER_PAGE } from "../store.ts";
import type { CounterNumbers } from "./counters.ts";
import type { Stretch } from "./epochs.ts";
import type { Database } from "./pool.ts";
import { cleaned, type EntryRow, entryOf, SELECT_ENTRY } from "./rows.ts";

/** Reads entries back as they were written. */
export class EntryReader {
  readonly #database: Database;
  readonly #counters: CounterNumbers;

  constructor(database: Database, counters: CounterNumbers) {
    this.#database = database;
    this.#counters = counters;
  }

  /** The entries of a query from the stretches of one ledger's history, given newest first. */
  async entries(query: ArchiveQuery, line: readonly Stretch[]): Promise<readonly Entry[]> {
    const { most = LEDGER_PAGE, newest = false } = query;
    const found: Entry[] = [];
    // Stretch by stretch, because each has an index in the order of its entries and all of them together have none.
    for (const stretch of newest ? line : line.toReversed()) {
      if (found.length >= most) break;
      const { where, values } = conditionsOf(query, stretch);
      const sql = `${SELECT_ENTRY} WHERE ${where} ORDER BY e.seq ${newest ? "DESC" : "ASC"} LIMIT $${values.length + 1}`;
      found.push(...(await this.#read(sql, [...values, most - found.length])));
    }
    return newest ? found.reverse() : found;
  }

  /** All entries about a reservation, of whatever ledger. */
  ofReservation(reservation: string): Promise<readonly Entry[]> {
    const sql = `${SELECT_ENTRY} WHERE left(e.reservation, 200) = left($1, 200) AND e.reservation = $1 ORDER BY e.ledger, e.seq`;
    return this.#read(sql, [cleaned(reservation)]);
  }

  async #read(sql: string, values: unknown[]): Promise<Entry[]> {
    const rows = (await this.#database.query(sql, values)).rows as EntryRow[];
    const counterOf = await this.#counters.refsOf(rows.flatMap(({ counters }) => (counters ?? []).map(Number)));
    return rows.map((row) => entryOf(row, counterOf));
  }
}

function conditionsOf({ reservation, kinds, since, after, before }: ArchiveQuery, stretch: Stretch) {
  const values: unknown[] = [];
  const bound = (value: unknown) => `$${values.push(value)}`;
  const terms = [
    `e.ledger = ${bound(stretch.ledger)}`,
    `e.seq > ${bound(Math.max(stretch.after, after ?? 0))}`,
    `e.seq <= ${bound(Math.min(stretch.upTo, (before ?? Number.MAX_SAFE_INTEGER) - 1))}`,
  ];
  if (reservation !== undefined) {
    const id = bound(cleaned(reservation));
    terms.push(`left(e.reservation, 200) = left(${id}, 200) AND e.reservation = ${id}`);
  }
  if (kinds !== undefined) terms.push(`e.kind = ANY(${bound(kinds)})`);
  if (since !== undefined) terms.push(`e.at >= ${bound(since)}`);
  return { where: terms.join(" AND "), values };
}
