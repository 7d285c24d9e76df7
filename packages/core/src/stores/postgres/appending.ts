import { finished } from "node:stream/promises";
import { setImmediate } from "node:timers/promises";
import type { Entry } from "../../domain/ledger.ts";
import { bookedSavings } from "../../domain/saving.ts";
import { PurserError } from "../../errors.ts";
import type { Appended } from "../archive.ts";
import { ADD_TO_ROLLUPS, ADD_TO_SAVINGS, COPY_ROWS, INSERT_ROWS } from "./appending.sql.ts";
import { copyText } from "./copy-text.ts";
import { type Epoch, isSameEntry, type Stretch, stretchOf } from "./epochs.ts";
import { type CopyFrom, type Database, integerOf, type PostgresClient } from "./pool.ts";
import { type CounterIds, cleaned, rowOf } from "./rows.ts";

export interface AppendOptions {
  readonly database: Database;
  readonly epoch: Epoch;
  /** The history that the epoch is part of. */
  readonly line: readonly Stretch[];
  readonly counterId: CounterIds;
  readonly copyFrom: CopyFrom | undefined;
}

/** From this many rows on, copying them is faster than sending them as lists. */
const COPIED_LEAST = 200;
/** So many rows are written at a time between turns of the event loop, so that no call waits for a batch. */
const ROWS_AT_ONCE = 200;
/** A connection that says nothing for so long is given up; the append is repeated on another. */
const APPEND_MS = 60_000;

/** Adds entries, and what they book to the rollups, in one transaction. Those that are there already are passed over. */
export async function appendEntries(options: AppendOptions, entries: readonly Entry[]): Promise<Appended> {
  return options.database.connected((client) => withDeadline(new Append(options, client).run(entries)));
}

class Append {
  readonly #options: AppendOptions;
  readonly #client: PostgresClient;

  constructor(options: AppendOptions, client: PostgresClient) {
    this.#options = options;
    this.#client = client;
  }

  async run(entries: readonly Entry[]): Promise<Appended> {
    // What was archived may be trimmed from its store, so it has to be on disk whatever the server does by default.
    await this.#client.query("BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL jit = off");
    try {
      const known = await this.#lockEpoch(entries);
      const fresh = entries.filter(({ seq }) => seq > known);
      if (fresh.length > 0) await this.#add(fresh);
      await this.#client.query("COMMIT");
      return { added: fresh.length, lastSeq: known + fresh.length };
    } catch (error) {
      await this.#client.query("ROLLBACK").catch(() => undefined);
      throw error;
    }
  }

  /** Keeps others that append to the epoch waiting, and returns its last entry, once it is clear that these entries continue it. */
  async #lockEpoch(entries: readonly Entry[]): Promise<number> {
    const { rows } = await this.#run(
      "SELECT last_seq, last_at AS at, last_kind AS kind, last_reservation AS reservation FROM purser.ledger WHERE id = $1 FOR UPDATE",
      [this.#options.epoch.id],
    );
    if (!rows[0]) throw diverged("it is not there any more");
    const known = sequenceOf(rows[0].last_seq);
    const [first, last] = [entries[0], entries.at(-1)] as [Entry, Entry];
    if (first.seq > known + 1) throw diverged(`entries ${known + 1} to ${first.seq - 1} are missing before what is to be added`);
    // Histories that differ at one entry differ from there on, so the last one that both have speaks for all before it.
    const common = entries[Math.min(known, last.seq) - first.seq];
    const isKnown = !common || (common.seq === known ? isSameEntry(common, rows[0]) : await this.#has(common));
    if (!isKnown) throw diverged(`entry ${common.seq} is another one there`);
    return known;
  }

  async #has(entry: Entry): Promise<boolean> {
    const { rows } = await this.#run("SELECT at, kind, reservation FROM purser.entry WHERE ledger = $1 AND seq = $2 AND at = $3", [
      stretchOf(this.#options.line, entry.seq),
      entry.seq,
      entry.at,
    ]);
    return rows.some((row) => isSameEntry(entry, row));
  }

  async #add(entries: readonly Entry[]): Promise<void> {
    const { epoch, copyFrom } = this.#options;
    if (copyFrom && entries.length >= COPIED_LEAST) await this.#copy(entries, copyFrom);
    else await this.#insert(entries);
    const [first, last] = [entries[0], entries.at(-1)] as [Entry, Entry];
    const { earliest, latest } = timesOf(entries);
    const added = [epoch.id, first.seq, last.seq, earliest, latest];
    await this.#run(ADD_TO_ROLLUPS, added);
    if (entries.some((entry) => bookedSavings(entry).length > 0)) await this.#run(ADD_TO_SAVINGS, added);
    await this.#run("UPDATE purser.ledger SET last_seq = $2, last_at = $3, last_kind = $4, last_reservation = $5 WHERE id = $1", [
      epoch.id,
      last.seq,
      last.at,
      last.kind,
      cleaned(last.reservation),
    ]);
  }

  async #copy(entries: readonly Entry[], copyFrom: CopyFrom): Promise<void> {
    const stream = this.#client.query(copyFrom(this.#options.database.sql(COPY_ROWS)));
    const done = finished(stream);
    // The error of a stream that is not awaited yet would end the process.
    done.catch(() => undefined);
    for (let i = 0; i < entries.length && stream.writable; i += ROWS_AT_ONCE) {
      stream.write(copyText(this.#rows(entries.slice(i, i + ROWS_AT_ONCE))));
      await setImmediate();
    }
    stream.end();
    await done;
  }

  async #insert(entries: readonly Entry[]): Promise<void> {
    const rows = this.#rows(entries);
    const columns = (rows[0] ?? []).map((_, column) => rows.map((row) => row[column]));
    await this.#run(INSERT_ROWS, columns);
  }

  #rows(entries: readonly Entry[]) {
    const { epoch, counterId } = this.#options;
    return entries.map((entry) => rowOf(entry, epoch.id, counterId));
  }

  #run(sql: string, values: unknown[]) {
    return this.#client.query(this.#options.database.sql(sql), values);
  }
}

function timesOf(entries: readonly Entry[]): { readonly earliest: number; readonly latest: number } {
  let [earliest, latest] = [Number.MAX_SAFE_INTEGER, 0];
  for (const { at } of entries) {
    earliest = Math.min(earliest, at);
    latest = Math.max(latest, at);
  }
  return { earliest, latest };
}

/** A connection whose other end vanished would be waited for without end. */
async function withDeadline<Result>(running: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${APPEND_MS / 1000} s`)), APPEND_MS).unref();
  });
  running.catch(() => undefined);
  try {
    return await Promise.race([running, late]);
  } finally {
    clearTimeout(timer);
  }
}

export function sequenceOf(value: string): number {
  return integerOf(value, () => new PurserError("internal", `A ledger cannot have ${value} entries.`));
}

function diverged(what: string): PurserError {
  return new PurserError("ledger_diverged", `The ledger in PostgreSQL has another history than the one that goes on: ${what}.`);
}
