import { setTimeout } from "node:timers/promises";
import { PurserError } from "../errors.ts";
import type { LedgerArchive } from "./archive.ts";
import type { Store } from "./store.ts";

export interface DrainOptions {
  /** Where entries are until they are archived: a store that keeps them all, or what a store still has of them. */
  readonly journal: Pick<Store, "entries">;
  readonly archive: LedgerArchive;
  /** Told how far the archive goes, when it has gone on: what comes before that entry may be trimmed from the journal. */
  readonly onArchived?: (lastSeq: number) => Promise<void>;
  /** Asked to put back what the journal has lost and the archive has, before the archive goes on with another history. */
  readonly onBehind?: () => Promise<void>;
  /** Told once of each time that nothing can be archived; it is tried again until it can. */
  readonly onError?: (error: unknown) => void;
  /** Told once when it can be archived again. */
  readonly onRecovery?: () => void;
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
  /** Waits so many milliseconds, or until the signal comes. */
  readonly pause?: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

/** How far the archive is behind the journal. */
export interface Lag {
  /** The last entry that is known to be archived; undefined until the archive was reached for the first time. */
  readonly lastSeq: number | undefined;
  /** How many entries are not archived yet. */
  readonly entries: number;
  /** How long ago the oldest of them was written, in milliseconds; 0 where there is none. */
  readonly milliseconds: number;
  /** Why nothing can be archived at the moment. */
  readonly failure: Error | undefined;
}

const BATCH = 5_000;
const EVERY_MS = 200;
/** The archive is asked again after this long, and after twice as long each time that it fails, up to the second. */
const RETRY_MS = 200;
const RETRY_MOST_MS = 5_000;
/** How long closing may take to archive what is left. The rest is still in the journal at the next start. */
const CLOSE_MS = 5_000;

/** Brings the entries of a journal to the archive: each exactly once and in order, whatever fails or is killed on the way. */
export class Drain {
  readonly #options: DrainOptions;
  readonly #closing = new AbortController();
  /** The last entry in the archive, once it is known that the archive and the journal belong together. */
  #archived: number | undefined;
  #lastSeq: number | undefined;
  #failure: Error | undefined;
  #running: Promise<void> | undefined;

  constructor(options: DrainOptions) {
    this.#options = options;
  }

  /** Begins to drain, and goes on until it is closed. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Archives the next batch of entries. Whether there may be more of them. */
  async step(): Promise<boolean> {
    const { journal, archive, onArchived } = this.#options;
    try {
      this.#archived ??= await this.#resume();
      this.#lastSeq = this.#archived;
      // The last entry that is archived goes along, and shows that the others follow it.
      const entries = await journal.entries({ after: Math.max(0, this.#archived - 1), most: BATCH });
      // A journal that does not have it was put back, and where it goes on from has to be found again.
      if (entries.length === 0 && this.#archived > 0) return await this.#resumeAgain(this.#archived);
      if ((entries.at(-1)?.seq ?? 0) <= this.#archived) return false;
      const { lastSeq } = await archive.append(entries);
      this.#archived = lastSeq;
      this.#lastSeq = lastSeq;
      await onArchived?.(lastSeq);
      return entries.length === BATCH;
    } catch (error) {
      if (error instanceof PurserError && error.code === "ledger_diverged") this.#archived = undefined;
      throw error;
    }
  }

  async #resumeAgain(before: number): Promise<boolean> {
    this.#archived = await this.#resume();
    this.#lastSeq = this.#archived;
    return this.#archived !== before;
  }

  async #resume(): Promise<number> {
    const { journal, archive, onBehind } = this.#options;
    await onBehind?.();
    return archive.resume(journal);
  }

  async lag(): Promise<Lag> {
    const { journal, now = Date.now } = this.#options;
    const lastSeq = this.#lastSeq;
    const [newest] = await journal.entries({ newest: true, most: 1 });
    const [oldest] = await journal.entries({ after: lastSeq ?? 0, most: 1 });
    const entries = Math.max(0, (newest?.seq ?? 0) - (lastSeq ?? 0));
    const milliseconds = entries > 0 && oldest ? Math.max(0, now() - oldest.at) : 0;
    return { lastSeq, entries, milliseconds, failure: this.#failure };
  }

  /** Archives what is left, as far as that can be done in a few seconds. The journal must still be open. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
    const until = performance.now() + CLOSE_MS;
    try {
      while ((await this.step()) && performance.now() < until);
    } catch (error) {
      this.#fail(error);
    }
  }

  async #run(): Promise<void> {
    const { pause = pauseFor } = this.#options;
    const { signal } = this.#closing;
    let retryMs = RETRY_MS;
    while (!signal.aborted) {
      try {
        const isBehind = await this.step();
        if (this.#failure) this.#options.onRecovery?.();
        this.#failure = undefined;
        retryMs = RETRY_MS;
        if (!isBehind) await pause(EVERY_MS, signal);
      } catch (error) {
        this.#fail(error);
        await pause(retryMs, signal);
        retryMs = Math.min(2 * retryMs, RETRY_MOST_MS);
      }
    }
  }

  #fail(error: unknown): void {
    const isNew = this.#failure === undefined;
    this.#failure = error instanceof Error ? error : new Error(String(error));
    if (isNew) this.#options.onError?.(error);
  }
}

async function pauseFor(milliseconds: number, signal: AbortSignal): Promise<void> {
  await setTimeout(milliseconds, undefined, { signal }).catch(() => undefined);
}
