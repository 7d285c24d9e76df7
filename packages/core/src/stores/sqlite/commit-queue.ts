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
  /** Told once when what failed is written, before its callers are. */
  readonly onRecovery: () => void;
  readonly retryMs: number;
  /** How long what is not urgent waits for a commit to ride along with. */
  readonly lingerMs: number;
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
  /** Whether somebody waits for what is gathered, or it can linger. */
  #due: "now" | "soon" | undefined;
  #linger: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;

  constructor(options: CommitQueueOptions) {
    this.#options = options;
  }

  /** Why nothing can be written at the moment. */
  get failure(): PurserError | undefined {
    return this.#failure;
  }

  /**
   * To be called after something was gathered. What is due now is taken at the end of this turn of the event loop, with all that follows in
   * it. What is due soon goes with the next commit that somebody waits for: a commit costs as much as many entries.
   */
  schedule(due: "now" | "soon"): void {
    if (this.#due === "now" || this.#due === due) return;
    this.#due = due;
    if (!this.#writing && !this.#failure) this.#start();
  }

  /** Waits until all that was gathered so far is durable. */
  wait(waiting: Waiting): void {
    if (this.#failure) waiting.reject(this.#failure);
    else if (this.#due || this.#writing) this.#gathering.push(waiting);
    else waiting.resolve();
  }

  /** Tries again at once what failed before; resolves when that has ended, either way. */
  async retry(): Promise<void> {
    clearTimeout(this.#retry);
    if (this.#failed && !this.#writing) await this.#write(this.#failed, []);
  }

  #start(): void {
    if (this.#due === "now") setImmediate(() => this.#flush());
    else this.#linger ??= setTimeout(() => this.#flush(), this.#options.lingerMs);
  }

  #flush(): void {
    clearTimeout(this.#linger);
    this.#linger = undefined;
    if (this.#writing || this.#failed) return;
    this.#due = undefined;
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
    const hadFailed = this.#failure !== undefined;
    this.#writing = undefined;
    this.#failed = undefined;
    this.#failure = undefined;
    if (hadFailed) this.#options.onRecovery();
    for (const { resolve } of waiting) resolve();
    if (this.#due === "soon") this.#start();
    else this.#flush();
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
