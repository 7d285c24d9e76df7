import { Batches, type BatchesOptions, type BatchesPort } from "../batches/batches.ts";
import { Queue, type QueueOptions, type QueuePort } from "../queue/queue.ts";
import { SignInAttempts } from "../screen/attempts.ts";

/** What has to be known to one process. Of several on one port, the one that started the others has it, and they ask. */
export interface DoneOnce {
  readonly queue: QueuePort;
  readonly batches: BatchesPort;
  /** Wrong attempts to sign in, whichever process they come to. */
  readonly attempts: Pick<SignInAttempts, "begin" | "succeeded">;
}

/** All of it, in this process. */
export class OwnOnce implements DoneOnce {
  readonly queue: Queue;
  readonly batches: Batches;
  readonly attempts = new SignInAttempts();

  static async open(options: QueueOptions & BatchesOptions): Promise<OwnOnce> {
    return new OwnOnce(await Queue.open(options), await Batches.open(options));
  }

  private constructor(queue: Queue, batches: Batches) {
    this.queue = queue;
    this.batches = batches;
  }

  /** Waits for what runs; the rest goes on when the gateway is started again. */
  async close(): Promise<void> {
    await Promise.all([this.queue.close(), this.batches.close()]);
  }
}
