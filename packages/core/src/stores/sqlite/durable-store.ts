import type { BoundLimit, Command, ReserveCommand, Results, Standing } from "../../domain/command.ts";
import { apply } from "../../domain/engine.ts";
import type { Entry } from "../../domain/ledger.ts";
import { standings } from "../../domain/standing.ts";
import type { Counter, State } from "../../domain/state.ts";
import { PurserError } from "../../errors.ts";
import type { Digest, Stretch } from "../digest.ts";
import { KEEP_CLOSED_MS, KEEP_SLICES_MS } from "../forgetting.ts";
import { selectCounters } from "../memory.ts";
import type { CounterFilter, LeasingStore, LedgerQuery, Mismatch, Store } from "../store.ts";
import type { AuditAnswer, AuditStep } from "./audit.ts";
import type { Batch } from "./batch.ts";
import { CommitQueue } from "./commit-queue.ts";
import { Encoder } from "./encoder.ts";
import type { Journal } from "./journal.ts";
import { readEntries } from "./reading.ts";
import type { Recovered } from "./recovery.ts";

/** A store whose every acknowledged effect survives the process and the power. */
export interface SqliteStore extends LeasingStore {
  /** Compares every balance with the sum of its entries in the ledger. Always empty, or there is a fault to report. */
  audit(): Promise<readonly Mismatch[]>;
  /** Why nothing can be written at the moment; nothing when all is well. */
  failure(): PurserError | undefined;
}

export interface DurableStoreOptions {
  readonly journal: Journal;
  readonly recovered: Recovered;
  /** For messages. */
  readonly directory: string;
  readonly now?: () => number;
  /** Milliseconds from any moment on, by a clock that cannot be set. */
  readonly elapsed?: () => number;
  /** Told once of each failure to write. */
  readonly onError?: (error: unknown) => void;
  /** Told once when it can be written again. */
  readonly onNotice?: (notice: string) => void;
  /** Told when the store has let go of the journal. */
  readonly onClosed?: () => void;
  readonly snapshotMs?: number;
  readonly retryMs?: number;
  readonly lingerMs?: number;
}

const RETRY_MS = 1_000;
/**
 * A settlement is written with the next reservation, or after this long: a crash in between charges its hold at the estimate. Longer would
 * save commits of a gateway with little to do, and make the next caller wait for its own commit on a disk and a core that fell asleep.
 */
const LINGER_MS = 2;
const AUDITED_AT_ONCE = 5_000;
const GOES_ON = "; it is tried again every second, and what was used until then is kept in memory.";

/** Decides in memory, at once and in order; answers when the journal has it. */
export class DurableStore implements SqliteStore {
  expiredAtStart: readonly string[] = [];
  readonly lastSeqAtStart: number;
  readonly #journal: Journal;
  readonly #state: State;
  readonly #encoder: Encoder;
  readonly #queue: CommitQueue;
  readonly #now: () => number;
  readonly #onClosed: () => void;
  readonly #directory: string;
  readonly #onError: (error: unknown) => void;
  readonly #followers = new Set<(entries: readonly Entry[]) => void>();
  /** Entries that wait to be written, and those of the batch that is being written, where somebody follows. */
  #untold: Entry[] = [];
  #telling: readonly Entry[] = [];
  #auditing: Promise<readonly Mismatch[]> | undefined;
  #closed: Promise<void> | undefined;

  constructor(options: DurableStoreOptions) {
    const { journal, recovered, directory, snapshotMs, elapsed, retryMs = RETRY_MS, lingerMs = LINGER_MS } = options;
    const { onNotice = () => undefined } = options;
    this.#journal = journal;
    this.#state = recovered.state;
    this.lastSeqAtStart = recovered.state.seq;
    this.#encoder = new Encoder(recovered, { snapshotMs, elapsed });
    this.#directory = directory;
    this.#now = options.now ?? Date.now;
    this.#onClosed = options.onClosed ?? (() => undefined);
    this.#onError = options.onError ?? (() => undefined);
    this.#queue = new CommitQueue({
      write: (batch) => journal.write(batch).then(() => this.#tell()),
      take: () => this.#take(),
      describe: (cause) => this.#unavailable(cause),
      onFailure: this.#onError,
      onRecovery: () =>
        onNotice(`The ledger in ${directory} can be written again: calls are admitted, and what was used meanwhile is in it.`),
      retryMs,
      lingerMs,
    });
  }

  async reserve(command: Omit<ReserveCommand, "kind">): Promise<Results["reserve"]> {
    const refusal = this.#refusal();
    if (refusal) throw refusal;
    const { result, entries } = this.#run({ kind: "reserve", ...command });
    if (result.outcome !== "reserved") return result;
    return this.#durable(result, () => {
      // The call was told that it may not go ahead, so what it holds is returned, whenever that can be written.
      if (entries.length > 0) this.#run({ kind: "release", id: command.id, why: "the reservation could not be written down" });
    });
  }

  extend = (command: Parameters<Store["extend"]>[0]) => this.#change({ kind: "extend", ...command });
  settle = (command: Parameters<Store["settle"]>[0]) => this.#change({ kind: "settle", ...command });
  release = (command: Parameters<Store["release"]>[0]) => this.#change({ kind: "release", ...command });
  expire = () => this.#change({ kind: "expire" });

  async record(entry: Parameters<Store["record"]>[0]): Promise<Results["record"]> {
    const refusal = this.#refusal();
    if (refusal) throw refusal;
    return this.#change({ kind: "record", entry });
  }

  /** What is allotted may be spent at once, so nothing is before it can be written down. */
  async lease(command: Parameters<LeasingStore["lease"]>[0]): Promise<Results["lease"]> {
    const refusal = this.#refusal();
    if (refusal) throw refusal;
    return this.#change({ kind: "lease", ...command });
  }

  /** Charges what a dead owner held at its estimate, and makes sure that the journal can be written. To be awaited before any verb. */
  async begin(): Promise<void> {
    this.expiredAtStart = this.#run({ kind: "expire", all: true }).result.expired;
    await this.#writeSnapshot();
  }

  async counters(filter: CounterFilter = {}): Promise<readonly Readonly<Counter>[]> {
    return selectCounters(this.#state, filter);
  }

  async standings(limits: readonly BoundLimit[]): Promise<readonly Standing[]> {
    return standings(this.#state, limits, this.#now());
  }

  async entries(query: LedgerQuery): Promise<readonly Entry[]> {
    const upTo = this.#state.seq;
    await this.#everythingDurable();
    return this.#reading(() => readEntries((page) => this.#journal.page(page), query, upTo));
  }

  follow(follower: (entries: readonly Entry[]) => void): () => void {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  digest(stretch: Stretch): Promise<Digest> {
    return this.#reading(() => this.#journal.digest(stretch));
  }

  audit(): Promise<readonly Mismatch[]> {
    this.#auditing ??= this.#audit().finally(() => {
      this.#auditing = undefined;
    });
    return this.#auditing;
  }

  /** Balances are compared some at a time, each lot as of its own entry: so no audit holds calls up, and none stops for them. */
  async #audit(): Promise<readonly Mismatch[]> {
    const now = this.#now();
    const mismatches: Mismatch[] = [];
    const counters = this.#state.counters.values();
    for (let isLast = false; !isLast; ) {
      const balances: number[] = [];
      while (balances.length < AUDITED_AT_ONCE * 3 && !isLast) {
        const { value: counter, done } = counters.next();
        if (done) isLast = true;
        else balances.push(this.#encoder.numberOf(counter.ref.key), counter.held, counter.spent);
      }
      const upTo = this.#state.seq;
      await this.#everythingDurable();
      while ((await this.#auditStep({ step: "advance", upTo })).upTo < upTo);
      mismatches.push(...(await this.#auditStep({ step: "compare", balances })).mismatches);
    }
    const closed = { windowsBefore: now - KEEP_CLOSED_MS, slicesBefore: now - KEEP_SLICES_MS };
    mismatches.push(...(await this.#auditStep({ step: "finish", ...closed })).mismatches);
    return mismatches;
  }

  #auditStep(step: AuditStep): Promise<AuditAnswer> {
    return this.#reading(() => this.#journal.audit(step));
  }

  failure(): PurserError | undefined {
    return this.#queue.failure;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    try {
      if (this.#queue.failure) await this.#queue.retry();
      await this.#everythingDurable();
      await this.#writeSnapshot();
    } finally {
      await this.#journal.close();
      this.#onClosed();
    }
  }

  /** Writes past the queue: only where no verb can come in between. */
  async #writeSnapshot(): Promise<void> {
    try {
      await this.#journal.write(this.#encoder.take(this.#now(), { snapshot: true }));
    } catch (cause) {
      throw this.#unavailable(cause, ", and start again.");
    }
  }

  /** Entries of a change stay queued even where they cannot be written now: what was used was used. */
  async #change<Kind extends Command["kind"]>(command: Extract<Command, { kind: Kind }>): Promise<Results[Kind]> {
    if (this.#closed) throw this.#closedError();
    return this.#durable(this.#run(command).result);
  }

  #run<Kind extends Command["kind"]>(command: Extract<Command, { kind: Kind }>) {
    const applied = apply(this.#state, command, this.#now());
    if (applied.entries.length > 0) {
      this.#encoder.add(applied.entries);
      if (this.#followers.size > 0) this.#untold.push(...applied.entries);
      // Only what calls go upstream by is waited for.
      this.#queue.schedule(command.kind === "reserve" || command.kind === "lease" ? "now" : "soon");
    }
    return applied;
  }

  #take(): Batch | undefined {
    if (this.#encoder.isEmpty) return undefined;
    this.#telling = this.#untold;
    this.#untold = [];
    return this.#encoder.take(this.#now());
  }

  #tell(): void {
    const entries = this.#telling;
    this.#telling = [];
    if (entries.length === 0) return;
    for (const follower of this.#followers) {
      try {
        follower(entries);
      } catch (error) {
        this.#onError(error);
      }
    }
  }

  #everythingDurable(): Promise<void> {
    this.#queue.schedule("now");
    return this.#durable(undefined);
  }

  /** Answers with a result when everything up to now is durable. */
  #durable<Result>(result: Result, undo: () => void = () => undefined): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#queue.wait({
        resolve: () => resolve(result),
        reject: (error) => {
          undo();
          reject(error);
        },
      });
    });
  }

  async #reading<Result>(read: () => Promise<Result>): Promise<Result> {
    try {
      return await read();
    } catch (cause) {
      throw this.#unavailable(cause);
    }
  }

  #refusal(): PurserError | undefined {
    return this.#closed ? this.#closedError() : this.#queue.failure;
  }

  #closedError(): PurserError {
    return new PurserError("store_unavailable", "The store is closed. Open it again to use it.");
  }

  #unavailable(cause: unknown, whatNext = GOES_ON): PurserError {
    const what = cause instanceof Error ? cause.message : String(cause);
    const message = `The ledger in ${this.#directory} cannot be used: ${what}. Check the free space and the rights of that directory${whatNext}`;
    return new PurserError("store_unavailable", message, { cause });
  }
}
