import type { CounterRef, Entry } from "../../packages/core/dist/index.js";
import { LedgerSums } from "../../packages/core/dist/stores/sqlite/audit.js";
import type { Batch } from "../../packages/core/dist/stores/sqlite/batch.js";
import { type Database, loadSqlite, type OpenDatabase, type Statement } from "../../packages/core/dist/stores/sqlite/driver.js";
import type { Journal } from "../../packages/core/dist/stores/sqlite/journal.js";
import { type PageQuery, readDigest, readPage } from "../../packages/core/dist/stores/sqlite/reading.js";
import { type Recovered, recover } from "../../packages/core/dist/stores/sqlite/recovery.js";
import { type CounterRow, counterOf, type EntryRow, entryOf, SELECT_ENTRIES } from "../../packages/core/dist/stores/sqlite/rows.js";
import { prepareSchema } from "../../packages/core/dist/stores/sqlite/schema.js";
import { batchWriter } from "../../packages/core/dist/stores/sqlite/writing.js";
import type { Dice } from "./dice.js";
import type { Process, VirtualTime } from "./virtual-time.js";

export interface DiskOptions {
  readonly time: VirtualTime;
  readonly dice: Dice;
  /** How often a write fails, and how often it takes long, from 0 to 1. */
  readonly failureChance: number;
  readonly slowChance: number;
  /** Told of each entry that is on the disk. */
  onEntry(entry: Entry): void;
  onFailure(): void;
}

let open: OpenDatabase | undefined;
let spare: Database | undefined;

/** SQLite has to be found once, before virtual time begins. */
export async function prepareDisks(): Promise<void> {
  open ??= await loadSqlite();
}

/**
 * The disk of one machine: the tables of the embedded store, written by its own statements, and outliving the processes that write. A
 * batch is on it whole or not at all; who wrote it may die before the write, or after it and before it is told.
 */
export class Disk {
  readonly #options: DiskOptions;
  readonly #database: Database;
  readonly #write: (batch: Batch) => void;
  readonly #read: Statement;
  readonly #counters = new Map<number, CounterRef>();
  #seq = 0;
  isWell = false;

  constructor(options: DiskOptions) {
    this.#options = options;
    this.#database = emptyDatabase();
    this.#write = batchWriter(this.#database);
    this.#read = this.#database.prepare(`${SELECT_ENTRIES} WHERE e.seq > ? ORDER BY e.seq`);
  }

  recover(): Recovered {
    return recover(this.#database);
  }

  /** The journal of one process. */
  journalOf(process: Process): Journal {
    const { time, dice } = this.#options;
    const later = <Result>(ms: number, run: () => Result): Promise<Result> =>
      new Promise((resolve, reject) => {
        time.after(process, ms, () => {
          try {
            resolve(run());
          } catch (error) {
            reject(error as Error);
          }
        });
      });
    const sums = new LedgerSums();
    return {
      write: (batch) => this.#writeSoon(process, batch),
      page: (query: PageQuery) => later(dice.between(0, 3), () => readPage(this.#database, query)),
      audit: (step) => later(dice.between(0, 3), () => sums.take(this.#database, step)),
      digest: (stretch) => later(dice.between(0, 3), () => readDigest(this.#database, stretch)),
      close: async () => undefined,
    };
  }

  /** Gives the tables back for the next disk: to make them anew takes longer than to empty them. */
  discard(): void {
    spare = this.#database;
  }

  #writeSoon(process: Process, batch: Batch): Promise<void> {
    const { time, dice, failureChance, slowChance, onFailure } = this.#options;
    const ms = !this.isWell && dice.chance(slowChance) ? dice.magnitude(50, 5_000) : dice.between(0, 2);
    const failsAt = this.isWell || !dice.chance(failureChance) ? "never" : dice.chance(0.5) ? "before" : "after";
    return new Promise((resolve, reject) => {
      time.after(process, ms, () => {
        if (failsAt !== "before") this.#commit(batch);
        // The thread that writes and the one that waits are told apart by a moment: enough to die in between.
        time.after(process, 0, () => {
          if (failsAt === "never") return resolve();
          onFailure();
          reject(new Error(failsAt === "before" ? "database or disk is full" : "disk I/O error"));
        });
      });
    });
  }

  /** What was written is read back as any reader would: what is on the disk is what counts. */
  #commit(batch: Batch): void {
    this.#write(batch);
    for (const row of this.#read.all(this.#seq) as EntryRow[]) {
      const entry = entryOf(row, { get: (id) => this.#counter(id) });
      this.#seq = entry.seq;
      this.#options.onEntry(entry);
    }
  }

  #counter(id: number): CounterRef {
    let counter = this.#counters.get(id);
    if (!counter) {
      counter = counterOf(this.#database.prepare("SELECT * FROM counter WHERE id = ?").get(id) as CounterRow);
      this.#counters.set(id, counter);
    }
    return counter;
  }
}

function emptyDatabase(): Database {
  if (!open) throw new Error("Call prepareDisks first.");
  const database = spare ?? open(":memory:");
  if (spare) database.exec("DELETE FROM entry; DELETE FROM counter; DELETE FROM balance; DELETE FROM snapshot; DELETE FROM mark");
  else prepareSchema(database);
  spare = undefined;
  return database;
}
