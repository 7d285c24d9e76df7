import type { CounterRef, Entry } from "../../domain/ledger.ts";
import type { ReportQuery, ReportRow } from "../../domain/report.ts";
import type { SavingRow, SavingsQuery } from "../../domain/saving.ts";
import { PurserError } from "../../errors.ts";
import type { Appended, ArchiveQuery, LedgerArchive } from "../archive.ts";
import type { Store } from "../store.ts";
import { appendEntries, sequenceOf } from "./appending.ts";
import { CounterNumbers } from "./counters.ts";
import { type Epoch, Epochs } from "./epochs.ts";
import { Partitions } from "./partitions.ts";
import { type CopyFrom, type Database, sqlState } from "./pool.ts";
import { EntryReader } from "./reading.ts";
import { readReport } from "./reporting.ts";
import { readSavings } from "./savings.ts";

export interface ArchiveOptions {
  readonly database: Database;
  readonly ledger: string;
  readonly copyFrom?: CopyFrom | undefined;
}

/** What PostgreSQL says where a row fits no partition. */
const NO_PARTITION = "23514";

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
    // The database may have been put back, and then nothing that is known of it need be so.
    this.#counters.forget();
    this.#partitions.forget();
    this.#epoch = await this.#epochs.find(journal);
    return this.lastSeq();
  }

  append(entries: readonly Entry[]): Promise<Appended> {
    const appended = this.#running.then(() => this.#append(entries));
    this.#running = appended.catch(() => undefined);
    return appended;
  }

  async lastSeq(): Promise<number> {
    const { id } = await this.#currentEpoch();
    const { rows } = await this.#database.query("SELECT last_seq FROM purser.ledger WHERE id = $1", [id]);
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

  savings(query: SavingsQuery): Promise<readonly SavingRow[]> {
    return readSavings(this.#database, query);
  }

  async close(): Promise<void> {
    await this.#running;
  }

  async #currentEpoch(): Promise<Epoch> {
    this.#epoch ??= await this.#epochs.newest();
    return this.#epoch;
  }

  async #append(entries: readonly Entry[]): Promise<Appended> {
    if (entries.length === 0) return { added: 0, lastSeq: await this.lastSeq() };
    checkOrder(entries);
    await this.#partitions.prepare(entries);
    const counterId = await this.#counters.idsOf(countersOf(entries));
    const epoch = await this.#currentEpoch();
    const line = await this.#epochs.lineOf(epoch);
    try {
      return await appendEntries({ database: this.#database, copyFrom: this.#copyFrom, epoch, line, counterId }, entries);
    } catch (error) {
      if (sqlState((error as Error).cause) === NO_PARTITION) this.#partitions.forget();
      throw error;
    }
  }
}

function* countersOf(entries: readonly Entry[]): Generator<CounterRef> {
  for (const { postings } of entries) for (const { counter } of postings) yield counter;
}

function checkOrder(entries: readonly Entry[]): void {
  const first = (entries[0] as Entry).seq;
  if (entries.every(({ seq }, i) => seq === first + i)) return;
  throw new PurserError("internal", `Entries are archived in order and without gaps; these begin at ${first} and are not.`);
}
