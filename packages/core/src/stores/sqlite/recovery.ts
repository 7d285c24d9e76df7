import { type LeasedEntry, leaseOf } from "../../domain/lease.ts";
import { ADOPTION, type CounterRef, type Entry } from "../../domain/ledger.ts";
import { addCounter, createState, ENDED_MOST, evolve, type State } from "../../domain/state.ts";
import type { Database } from "./driver.ts";
import { isKnown } from "./encoder.ts";
import { type CounterRow, counterOf, type EntryRow, entryOf, SELECT_ENTRIES } from "./rows.ts";

/** What a ledger says: the balances and holds of its last entry, and what is needed to write the next one. */
export interface Recovered {
  readonly state: State;
  /** The number of each counter in the tables, by its key. */
  readonly counterIds: Map<string, number>;
  /** The largest number that a counter ever had. */
  readonly counterIdLast: number;
  /** The entry that opened each reservation which can still be settled or corrected. */
  readonly opened: Map<string, number>;
  /** The counters that entries after the last snapshot changed, by their key. */
  readonly changed: ReadonlySet<string>;
  /** The latest time of any entry. */
  readonly latest: number;
  /** A time that has certainly come, by which windows may be forgotten; 0 where nothing is known. */
  readonly steady: number;
}

/** Reads the last snapshot and evolves it by the entries after it. */
export function recover(database: Database): Recovered {
  database.exec("BEGIN");
  try {
    return new Recovery(database).run();
  } finally {
    database.exec("COMMIT");
  }
}

class Recovery {
  readonly #database: Database;
  readonly #state = createState();
  readonly #refs = new Map<number, CounterRef>();
  readonly #opened = new Map<string, number>();
  readonly #changed = new Set<string>();
  #latest = 0;
  #steady = 0;

  constructor(database: Database) {
    this.#database = database;
  }

  run(): Recovered {
    this.#readSnapshot();
    this.#replay();
    for (const id of this.#opened.keys()) if (!isKnown(this.#state, id)) this.#opened.delete(id);
    return {
      state: this.#state,
      counterIds: this.#counterIds(),
      counterIdLast: (this.#get("SELECT max(id) AS last FROM counter") as { last: number | null }).last ?? 0,
      opened: this.#opened,
      changed: this.#changed,
      latest: this.#latest,
      steady: this.#steady || this.#latest,
    };
  }

  #readSnapshot(): void {
    const snapshot = this.#get("SELECT seq, holds, steady FROM snapshot") as { seq: number; holds: string; steady: number } | undefined;
    if (!snapshot) return;
    this.#steady = snapshot.steady;
    this.#latest = (this.#get("SELECT max(latest) AS latest FROM mark") as { latest: number }).latest;
    this.#readBalances();
    this.#readHolds(JSON.parse(snapshot.holds) as readonly number[], snapshot.seq);
    this.#readEnded(snapshot.seq);
    this.#readExpired(snapshot.seq);
    this.#readGrants(snapshot.seq);
    this.#readAdopted(snapshot.seq);
    this.#state.seq = snapshot.seq;
  }

  #readBalances(): void {
    const rows = this.#database.prepare("SELECT c.*, b.held, b.spent FROM balance b JOIN counter c ON c.id = b.counter").iterate();
    for (const row of rows as Iterable<CounterRow & { held: number; spent: number }>) {
      const ref = counterOf(row);
      this.#refs.set(row.id, ref);
      addCounter(this.#state, { ref, held: row.held, spent: row.spent });
    }
  }

  /** A hold is what the entries of its reservation made it, up to the snapshot; a lease what its last one says. */
  #readHolds(opened: readonly number[], upTo: number): void {
    const statement = this.#database.prepare(`${SELECT_ENTRIES} WHERE (e.seq = ? OR e.opened = ?) AND e.seq <= ? ORDER BY e.seq`);
    for (const seq of opened) {
      const scratch = createState();
      for (const row of statement.all(seq, seq, upTo) as EntryRow[]) {
        const entry = this.#entry(row);
        if (entry.kind === "leased") this.#readLease(entry);
        else evolve(scratch, { ...entry, seq: scratch.seq + 1 });
      }
      for (const [id, hold] of scratch.holds) {
        this.#state.holds.set(id, hold);
        this.#opened.set(id, seq);
      }
    }
  }

  /** The last entry of a lease says all about it. */
  #readLease(entry: LeasedEntry): void {
    this.#state.leases.set(leaseOf(entry));
    this.#opened.set(entry.reservation, entry.seq);
  }

  #readEnded(upTo: number): void {
    const rows = this.#database
      .prepare(
        `SELECT r.reservation AS id FROM entry e JOIN entry r ON r.seq = e.opened
         WHERE e.seq <= ? AND e.kind IN ('settled', 'released', 'expired') ORDER BY e.seq DESC LIMIT ?`,
      )
      .all(upTo, ENDED_MOST) as { id: string }[];
    for (const { id } of rows.reverse()) this.#state.ended.set(id, true);
  }

  /** Expired reservations can be corrected, once. */
  #readExpired(upTo: number): void {
    const rows = this.#database
      .prepare(
        `${SELECT_ENTRIES} WHERE e.kind = 'expired' AND e.kind NOT IN ('reserved', 'settled') AND e.seq <= ?
         AND NOT EXISTS (SELECT 1 FROM entry c WHERE c.opened = e.opened AND c.kind = 'corrected' AND c.seq <= ?)
         ORDER BY e.seq DESC LIMIT ?`,
      )
      .all(upTo, upTo, ENDED_MOST) as EntryRow[];
    const openedBy = this.#database.prepare("SELECT opened FROM entry WHERE seq = ?");
    for (const row of rows.reverse()) {
      const entry = this.#entry(row);
      if (entry.kind !== "expired") continue;
      this.#state.expired.set(entry.reservation, { postings: entry.postings, detail: entry.detail });
      this.#opened.set(entry.reservation, (openedBy.get(row.seq) as { opened: number }).opened);
    }
    this.#readCharged(upTo);
  }

  /** What limits that came into force later took over of the charge of an expired reservation is corrected with it. */
  #readCharged(upTo: number): void {
    const rows = this.#database
      .prepare(
        `${SELECT_ENTRIES} WHERE e.kind = 'adjusted' AND e.kind NOT IN ('reserved', 'settled') AND e.opened IS NOT NULL AND e.seq <= ?
         AND EXISTS (SELECT 1 FROM entry x WHERE x.opened = e.opened AND x.kind = 'expired' AND x.seq < e.seq) ORDER BY e.seq`,
      )
      .all(upTo) as EntryRow[];
    for (const row of rows) {
      const { reservation, postings } = this.#entry(row);
      const expired = this.#state.expired.get(reservation);
      if (expired) this.#state.expired.set(reservation, { ...expired, postings: [...expired.postings, ...postings] });
    }
  }

  /** Grants are few, so they are read from the ledger and are no part of the snapshot. */
  #readGrants(upTo: number): void {
    const rows = this.#database
      .prepare(
        `${SELECT_ENTRIES} WHERE e.kind IN ('granted', 'revoked') AND e.kind NOT IN ('reserved', 'settled') AND e.seq <= ? ORDER BY e.seq`,
      )
      .all(upTo) as EntryRow[];
    for (const row of rows) {
      this.#state.seq = row.seq - 1;
      evolve(this.#state, this.#entry(row));
    }
  }

  #readAdopted(upTo: number): void {
    const sql = "SELECT max(seq) AS seq FROM entry WHERE reservation = ? AND seq <= ?";
    const { seq } = this.#database.prepare(sql).get(ADOPTION, upTo) as { seq: number | null };
    this.#state.adopted = seq ?? 0;
  }

  #replay(): void {
    const rows = this.#database.prepare(`${SELECT_ENTRIES} WHERE e.seq > ? ORDER BY e.seq`).iterate(this.#state.seq);
    for (const row of rows as Iterable<EntryRow>) {
      const entry = this.#entry(row);
      if (entry.kind === "reserved" || entry.kind === "leased") this.#opened.set(entry.reservation, entry.seq);
      for (const { counter } of entry.postings) this.#changed.add(counter.key);
      this.#latest = Math.max(this.#latest, entry.at);
      evolve(this.#state, entry);
    }
  }

  #entry(row: EntryRow): Entry {
    return entryOf(row, { get: (id) => this.#ref(id) });
  }

  /** Counters are read when an entry first names them: most of the ledger's are long closed. */
  #ref(id: number): CounterRef | undefined {
    const known = this.#refs.get(id);
    if (known) return known;
    const row = this.#database.prepare("SELECT * FROM counter WHERE id = ?").get(id) as CounterRow | undefined;
    if (row) this.#refs.set(id, counterOf(row));
    return this.#refs.get(id);
  }

  /**
   * Of two numbers for one key the later counts: the earlier one was forgotten. A slice on which nothing stands any more has one too, since
   * the last snapshot may still have what stood on it.
   */
  #counterIds(): Map<string, number> {
    const ids = new Map<string, number>();
    for (const [id, { key }] of [...this.#refs].sort(([a], [b]) => a - b)) {
      if (this.#state.counters.has(key) || this.#changed.has(key)) ids.set(key, id);
    }
    return ids;
  }

  #get(sql: string): unknown {
    return this.#database.prepare(sql).get();
  }
}
