import type { Entry } from "../../domain/ledger.ts";
import type { Store } from "../store.ts";
import { type Database, sqlState } from "./pool.ts";
import { cleaned } from "./rows.ts";

/** One epoch of a ledger: a row of `purser.ledger`. */
export interface Epoch {
  readonly id: number;
  readonly epoch: number;
}

/** The part of a ledger's history that lies in one epoch. */
export interface Stretch {
  readonly ledger: number;
  /** Entries after this one, up to and with `upTo`. */
  readonly after: number;
  readonly upTo: number;
}

/** The row of `purser.ledger` under which an entry of a line is kept. */
export function stretchOf(line: readonly Stretch[], seq: number): number | undefined {
  return line.find(({ after }) => seq > after)?.ledger;
}

/** What tells one entry from another under the same number. */
interface Mark {
  readonly at: string | number | null;
  readonly kind: string | null;
  readonly reservation: string | null;
}

/** Whether what was written down of an entry says that it is this one. One of which nothing is left is not known to be another. */
export function isSameEntry({ at, kind, reservation }: Entry, mark: Mark): boolean {
  if (mark.kind === null) return true;
  return at === Number(mark.at) && kind === mark.kind && cleaned(reservation) === mark.reservation;
}

interface EpochRow {
  readonly id: number;
  readonly epoch: number;
  readonly last_seq: string;
  readonly last_at: string | null;
  readonly last_kind: string | null;
  readonly last_reservation: string | null;
}

const UNIQUE_VIOLATION = "23505";
const SELECT_EPOCHS =
  "SELECT id, epoch, last_seq, last_at, last_kind, last_reservation FROM purser.ledger WHERE name = $1 ORDER BY epoch DESC";

/** The epochs of one ledger: which one a store continues, and how they hang together. */
export class Epochs {
  readonly #database: Database;
  readonly #name: string;
  /** What came before an epoch never changes. */
  readonly #lines = new Map<number, readonly Stretch[]>();

  constructor(database: Database, name: string) {
    this.#database = database;
    this.#name = cleaned(name);
  }

  /** The newest epoch; the first one is made. */
  async newest(): Promise<Epoch> {
    const [newest] = await this.#all();
    return newest ?? (await this.#begin(1, undefined, 0)) ?? (await this.newest());
  }

  /** The epoch whose last entry the journal has too; a new one, from the last entry that both have, where there is none. */
  async find(journal: Pick<Store, "entries">): Promise<Epoch> {
    this.#lines.clear();
    const epochs = await this.#all();
    const [first] = await journal.entries({ most: 1 });
    // A journal in which nothing is yet says nothing about its history.
    if (epochs.length === 0 || !first) return this.newest();
    for (const row of epochs) if (await isContinued(row, journal)) return row;
    return (await this.#branch(epochs, journal)) ?? (await this.find(journal));
  }

  /** The stretches of history that an epoch consists of, newest first. */
  async lineOf({ id }: Epoch): Promise<readonly Stretch[]> {
    const known = this.#lines.get(id);
    if (known) return known;
    const { rows } = await this.#database.query(LINE, [id]);
    let upTo = Number.MAX_SAFE_INTEGER;
    const line = rows.map(({ id: ledger, after }) => {
      const stretch = { ledger, after: Number(after), upTo };
      upTo = Math.min(upTo, stretch.after);
      return stretch;
    });
    this.#lines.set(id, line);
    return line;
  }

  async #all(): Promise<readonly EpochRow[]> {
    return (await this.#database.query(SELECT_EPOCHS, [this.#name])).rows;
  }

  /** Begins an epoch after the longest beginning that the journal shares with one of the others. Nothing, where another process was quicker. */
  async #branch(epochs: readonly EpochRow[], journal: Pick<Store, "entries">): Promise<Epoch | undefined> {
    let parent = epochs[0] as EpochRow;
    let after = -1;
    for (const epoch of epochs) {
      const common = await this.#commonWith(epoch, journal);
      if (common > after) [parent, after] = [epoch, common];
    }
    return this.#begin((epochs[0] as EpochRow).epoch + 1, parent, after);
  }

  /** The last entry that an epoch and a journal both have. They differ in every entry after the first one in which they do. */
  async #commonWith(epoch: EpochRow, journal: Pick<Store, "entries">): Promise<number> {
    const line = await this.lineOf(epoch);
    let common = 0;
    let different = Number(epoch.last_seq);
    while (different - common > 1) {
      const middle = Math.floor((common + different) / 2);
      const entry = await entryAt(journal, middle);
      const isCommon = entry === "before" || (entry !== "after" && (await this.#isArchived(line, entry)));
      if (isCommon) common = middle;
      else different = middle;
    }
    return common;
  }

  async #isArchived(line: readonly Stretch[], entry: Entry): Promise<boolean> {
    const { rows } = await this.#database.query("SELECT at, kind, reservation FROM purser.entry WHERE ledger = $1 AND seq = $2", [
      stretchOf(line, entry.seq),
      entry.seq,
    ]);
    return rows.every((row) => isSameEntry(entry, row));
  }

  /** The new epoch begins with what is known of the entry that it goes on from. */
  async #begin(epoch: number, parent: EpochRow | undefined, after: number): Promise<Epoch | undefined> {
    const line = parent ? await this.lineOf(parent) : [];
    try {
      const { rows } = await this.#database.query(BEGIN_EPOCH, [this.#name, epoch, parent?.id, after, stretchOf(line, after)]);
      return rows[0];
    } catch (error) {
      if (sqlState((error as Error).cause) === UNIQUE_VIOLATION) return undefined;
      throw error;
    }
  }
}

const LINE = `
  WITH RECURSIVE line AS (
    SELECT id, parent, after, 1 AS depth FROM purser.ledger WHERE id = $1
    UNION ALL
    SELECT ledger.id, ledger.parent, ledger.after, depth + 1 FROM line JOIN purser.ledger ON ledger.id = line.parent
  )
  SELECT id, after FROM line ORDER BY depth`;

const BEGIN_EPOCH = `
  INSERT INTO purser.ledger (name, epoch, parent, after, last_seq, last_at, last_kind, last_reservation)
  SELECT $1, $2, $3, $4, $4, last.at, last.kind, last.reservation
  FROM (VALUES (1)) AS one LEFT JOIN purser.entry AS last ON last.ledger = $5 AND last.seq = $4
  RETURNING id, epoch`;

/** Whether a journal has the last entry of an epoch. An epoch without entries is continued by one that has its first. */
async function isContinued(
  { last_seq, last_at, last_kind, last_reservation }: EpochRow,
  journal: Pick<Store, "entries">,
): Promise<boolean> {
  const lastSeq = Number(last_seq);
  if (lastSeq === 0) return typeof (await entryAt(journal, 1)) === "object";
  const entry = await entryAt(journal, lastSeq);
  if (entry === "before" || entry === "after") return entry === "before";
  return isSameEntry(entry, { at: last_at, kind: last_kind, reservation: last_reservation });
}

/** The entry with a number, or whether the journal begins or ends before it comes to it. */
async function entryAt(journal: Pick<Store, "entries">, seq: number): Promise<Entry | "before" | "after"> {
  const [entry] = await journal.entries({ after: seq - 1, most: 1 });
  if (!entry) return "after";
  return entry.seq === seq ? entry : "before";
}
