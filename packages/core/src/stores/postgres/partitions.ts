import type { Entry } from "../../domain/ledger.ts";
import type { Database } from "./pool.ts";

/** Makes the partitions of `purser.entry`, one for each month of UTC, before an entry needs them. */
export class Partitions {
  readonly #database: Database;
  readonly #known = new Set<string>();

  constructor(database: Database) {
    this.#database = database;
  }

  /** Partitions for entries, and for the months after them. */
  async prepare(entries: Iterable<Pick<Entry, "at">>): Promise<void> {
    const months = new Map<string, Month>();
    let month: Month | undefined;
    for (const { at } of entries) {
      if (month && at >= month.from && at < month.to) continue;
      month = monthOf(at);
      if (!this.#known.has(month.name)) months.set(month.name, month);
    }
    for (const needed of months.values()) {
      await this.#create(needed);
      await this.#create(monthOf(needed.to));
      this.#known.add(needed.name);
    }
  }

  /** To be called when a partition may be missing after all: an operator can drop one. */
  forget(): void {
    this.#known.clear();
  }

  /** Made beside the table and attached then, which holds up neither those who read nor those who write. */
  async #create({ name, from, to }: Month): Promise<void> {
    const { schema } = this.#database;
    await this.#database.transaction(async (client) => {
      await client.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [`purser partitions of ${schema}`]);
      const { rows } = await client.query("SELECT to_regclass($1) AS partition", [`${schema}.${name}`]);
      if (rows[0].partition !== null) return;
      await client.query(
        this.#database.sql(`
          CREATE TABLE purser.${name} (LIKE purser.entry);
          ALTER TABLE purser.entry ATTACH PARTITION purser.${name} FOR VALUES FROM (${from}) TO (${to});`),
      );
    });
  }
}

interface Month {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

/** `entry_2026_11`. */
function monthOf(at: number): Month {
  const date = new Date(at);
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
  const name = `entry_${String(year).padStart(4, "0")}_${String(month + 1).padStart(2, "0")}`;
  return { name, from: Date.UTC(year, month), to: Date.UTC(year, month + 1) };
}
