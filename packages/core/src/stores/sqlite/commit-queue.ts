import type { PurserError } from "../../errors.ts";
import type { Batch } from "./batch.ts";

/** A caller that waits until what it did is durable. */
export interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: PurserError) => void;
}

export interface CommitQueueOptions {
  write(batch: Batch): Promise<void>;
  /** What was gathered since the last call; nothing where nothing was. */
  take(): Batch | undefined;
  /** The error that callers get when writing fails. */
  describe(cause: unknown): PurserError;
  /** Told of each failure once, before its callers are. */
  readonly onFailure: (error: PurserError) => void;
  readonly retryMs: number;
}

/**
 * Commits batches one after the other: while one is being written, the next one gathers. A batch that fails stays first
 * in the queue and is tried again until it succeeds, so that entries keep their order and none is lost.
 */
export class CommitQueue {
  readonly #options: CommitQueueOptions;
  #gathering: Waiting[] = [];
  #writing: Waiting[] | undefined;
  #failed: Batch | undefined;
  #failure: PurserError | undefined;
  #isScheduled = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(options: CommitQueueOptions) {
    this.#options = options;
  }

  /** Why nothing can be written at the moment. */
  get failure(): PurserError | undefined {
    return this.#failure;
  }

  /** To be called after something was gathered: it is taken at the end of this turn of the event loop, with all that follows in it. */
  schedule(): void {
    if (this.#isScheduled || this.#writing || this.#failure) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#flush();
    });
  }

  /** Waits until all that was gathered so far is durable. */
  wait(waiting: Waiting): void {
    if (this.#failure) waiting.reject(this.#failure);
    else if (this.#isScheduled || this.#writing) this.#gathering.push(waiting);
    else waiting.resolve();
  }

  /** Tries again at once what failed before; resolves when that has ended, either way. */
  async retry(): Promise<void> {
    clearTimeout(this.#retry);
    if (this.#failed && !this.#writing) await this.#write(this.#failed, []);
  }

  #flush(): void {
    if (this.#writing || this.#failed) return;
    const batch = this.#options.take();
    const waiting = this.#gathering;
    this.#gathering = [];
    if (batch) void this.#write(batch, waiting);
    else for (const { resolve } of waiting) resolve();
  }

  #write(batch: Batch, waiting: Waiting[]): Promise<void> {
    this.#writing = waiting;
    return this.#options.write(batch).then(
      () => this.#written(),
      (cause) => this.#didFail(batch, cause),
    );
  }

  #written(): void {
    const waiting = this.#writing ?? [];
    this.#writing = undefined;
    this.#failed = undefined;
    this.#failure = undefined;
    for (const { resolve } of waiting) resolve();
    this.#flush();
  }

  #didFail(batch: Batch, cause: unknown): void {
    const waiting = [...(this.#writing ?? []), ...this.#gathering];
    this.#writing = undefined;
    this.#gathering = [];
    this.#failed = batch;
    const isNew = this.#failure === undefined;
    const failure = this.#options.describe(cause);
    this.#failure = failure;
    this.#retry = setTimeout(() => void this.retry(), this.#options.retryMs).unref();
    if (isNew) this.#options.onFailure(failure);
    for (const { reject } of waiting) reject(failure);
  }
}
