import { finished } from "node:stream/promises";
import { setImmediate } from "node:timers/promises";
import type { CounterRef, Entry } from "../../domain/ledger.ts";
import type { ReportQuery, ReportRow } from "../../domain/report.ts";
import { PurserError } from "../../errors.ts";
import type { Appended, ArchiveQuery, LedgerArchive } from "../archive.ts";
import type { Store } from "../store.ts";
import { COPY, INSERT_LISTED, INSERT_STAGED, STAGE } from "./appending.sql.ts";
import { copyText } from "./copy-text.ts";
import { CounterNumbers } from "./counters.ts";
import { type Epoch, Epochs, isSameEntry, type Stretch } from "./epochs.ts";
import { Partitions } from "./partitions.ts";
import { type CopyFrom, type Database, integerOf, type PostgresClient, sqlState } from "./pool.ts";
import { EntryReader } from "./reading.ts";
import { readReport } from "./reporting.ts";
import { type CounterIds, cleaned, rowOf } from "./rows.ts";

export interface ArchiveOptions {
  readonly database: Database;
  readonly ledger: string;
  readonly copyFrom?: CopyFrom | undefined;
}

/** From this many rows on, copying them is faster than sending them as lists. */
const COPIED_LEAST = 200;
/** So many rows are written at a time between turns of the event loop, so that no call waits for a batch. */
const ROWS_AT_ONCE = 200;
/** A connection that says nothing for so long during an append is given up; the append is repeated on another. */
const APPEND_MS = 60_000;
const NO_PARTITION = "23514";

/** An epoch that is being added to, with the history that it continues. */
interface OpenEpoch extends Epoch {
  readonly line: readonly Stretch[];
}

/** The ledger of one store in PostgreSQL. */
export class PostgresArchive implements LedgerArchive {
  readonly #database: Database;
  readonly #copyFrom: CopyFrom | undefined;
  readonly #epochs: Epochs;
  readonly #counters: CounterNumbers;
  readonly #partitions: Partitions;
  readonly #reader: EntryReader;
  #epoch: Epoch | undefined;
  #running: Promise<unknown> = Promise.resolve();

  constructor({ database, ledger, copyFrom }: ArchiveOptions) {
    this.#database = database;
    this.#copyFrom = copyFrom;
    this.#epochs = new Epochs(database, ledger);
    this.#counters = new CounterNumbers(database);
    this.#partitions = new Partitions(database);
    this.#reader = new EntryReader(database, this.#counters);
  }

  async resume(journal: Pick<Store, "entries">): Promise<number> {
    this.#epoch = await this.#epochs.find(journal);
    return this.lastSeq();
  }

  append(entries: readonly Entry[]): Promise<Appended> {
    const appended = this.#running.then(() => this.#append(entries));
    this.#running = appended.catch(() => undefined);
    return appended;
  }

  async lastSeq(): Promise<number> {
    const epoch = await this.#currentEpoch();
    const { rows } = await this.#database.query("SELECT last_seq FROM purser.ledger WHERE id = $1", [epoch.id]);
    return sequenceOf(rows[0].last_seq);
  }

  async entries(query: ArchiveQuery): Promise<readonly Entry[]> {
    return this.#reader.entries(query, await this.#epochs.lineOf(await this.#currentEpoch()));
  }

  reservationEntries(reservation: string): Promise<readonly Entry[]> {
    return this.#reader.ofReservation(reservation);
  }

  report(query: ReportQuery): Promise<readonly ReportRow[]> {
    return readReport(this.#database, query);
  }

  async close(): Promise<void> {
    await this.#running;
  }

  async #currentEpoch(): Promise<Epoch> {
    this.#epoch ??= await this.#epochs.newest();
    return this.#epoch;
  }

  async #append(entries: readonly Entry[]): Promise<Appended> {
    const epoch = await this.#currentEpoch();
    if (entries.length === 0) return { added: 0, lastSeq: await this.lastSeq() };
    checkOrder(entries);
    await this.#partitions.prepare(times(entries));
    const counterId = await this.#counters.idsOf(counters(entries));
    const line = await this.#epochs.lineOf(epoch);
    try {
      return await this.#database.connected((client) => withDeadline(this.#transact(client, { ...epoch, line }, entries, counterId)));
    } catch (error) {
      if (sqlState((error as PurserError).cause) === NO_PARTITION) this.#partitions.forget();
      throw error;
    }
  }

  async #transact(client: PostgresClient, epoch: OpenEpoch, entries: readonly Entry[], counterId: CounterIds): Promise<Appended> {
    // What was archived may be trimmed from its store, so it has to be on disk whatever the server does by default.
    await client.query("BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL jit = off");
    try {
      const known = await this.#lockEpoch(client, epoch, entries);
      const fresh = entries.filter(({ seq }) => seq > known);
      const last = fresh.at(-1);
      let added = 0;
      if (last) {
        added = await this.#insert(client, epoch, fresh, counterId);
        await client.query(
          this.#database.sql(
            "UPDATE purser.ledger SET last_seq = $2, last_at = $3, last_kind = $4, last_reservation = $5 WHERE id = $1",
          ),
          [epoch.id, last.seq, last.at, last.kind, cleaned(last.reservation)],
        );
      }
      await client.query("COMMIT");
      return { added, lastSeq: last?.seq ?? known };
    } catch (error) {
      await client.query("ROLLBACK").catch(() => undefined);
      throw error;
    }
  }

  /** Keeps other processes that append to the ledger waiting, and returns its last entry, once it is clear that these entries continue it. */
  async #lockEpoch(client: PostgresClient, epoch: OpenEpoch, entries: readonly Entry[]): Promise<number> {
    const { rows } = await client.query(
      this.#database.sql("SELECT last_seq, last_at, last_kind, last_reservation FROM purser.ledger WHERE id = $1 FOR UPDATE"),
      [epoch.id],
    );
    const { last_seq, last_at, last_kind, last_reservation } = rows[0];
    const known = sequenceOf(last_seq);
    const [first] = entries as readonly [Entry];
    if (first.seq > known + 1) throw diverged(`entries ${known + 1} to ${first.seq - 1} are missing before what is to be added`);
    // Histories that differ at one entry differ from there on, so the last one that both have speaks for all before it.
    const common = entries[Math.min(known, (entries.at(-1) as Entry).seq) - first.seq];
    if (!common) return known;
    const isKnown =
      common.seq === known
        ? isSameEntry(common, { at: last_at, kind: last_kind, reservation: last_reservation })
        : await this.#epochs.has(client, epoch.line, common);
    if (!isKnown) throw diverged(`entry ${common.seq} is another one there`);
    return known;
  }

  async #insert(client: PostgresClient, { id }: Epoch, entries: readonly Entry[], counterId: CounterIds): Promise<number> {
    const { rows } =
      this.#copyFrom && entries.length >= COPIED_LEAST
        ? await this.#copy(client, this.#copyFrom, id, entries, counterId)
        : await this.#list(client, id, entries, counterId);
    return rows[0].added;
  }

  async #copy(client: PostgresClient, copyFrom: CopyFrom, ledger: number, entries: readonly Entry[], counterId: CounterIds) {
    await client.query(this.#database.sql(STAGE));
    const stream = client.query(copyFrom(COPY));
    const done = finished(stream);
    // The error of a stream that is never awaited would end the process.
    done.catch(() => undefined);
    for (let i = 0; i < entries.length && stream.writable; i += ROWS_AT_ONCE) {
      stream.write(copyText(entries.slice(i, i + ROWS_AT_ONCE).map((entry) => rowOf(entry, ledger, counterId))));
      await setImmediate();
    }
    stream.end();
    await done;
    return client.query(this.#database.sql(INSERT_STAGED));
  }

  #list(client: PostgresClient, ledger: number, entries: readonly Entry[], counterId: CounterIds) {
    const rows = entries.map((entry) => rowOf(entry, ledger, counterId));
    const columns = (rows[0] ?? []).map((_, column) => rows.map((row) => row[column]));
    return client.query(this.#database.sql(INSERT_LISTED), columns);
  }
}

function* times(entries: readonly Entry[]): Generator<number> {
  for (const { at } of entries) yield at;
}

function* counters(entries: readonly Entry[]): Generator<CounterRef> {
  for (const { postings } of entries) for (const { counter } of postings) yield counter;
}

function checkOrder(entries: readonly Entry[]): void {
  const first = (entries[0] as Entry).seq;
  if (entries.every(({ seq }, i) => seq === first + i)) return;
  throw new PurserError("internal", `Entries are archived in order and without gaps; these begin at ${first} and are not.`);
}

/** A connection whose other end vanished would be waited for without end. */
async function withDeadline<Result>(running: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${APPEND_MS / 1000} s`)), APPEND_MS);
    timer.unref();
  });
  running.catch(() => undefined);
  try {
    return await Promise.race([running, late]);
  } finally {
    clearTimeout(timer);
  }
}

function sequenceOf(value: string): number {
  return integerOf(value, () => new PurserError("internal", `A ledger cannot have ${value} entries.`));
}

function diverged(what: string): PurserError {
  return new PurserError("ledger_diverged", `The ledger in PostgreSQL has another history than the one that goes on: ${what}.`);
}
