import type { AlertBook } from "../alerts/alert-book.ts";
import type { CapturedState } from "../alerts/captured.ts";
import { type AlertBookPort, portOf } from "../alerts/remote-book.ts";
import type { AskBook, AskBookPort } from "../asks/ask-book.ts";
import { Batches, type BatchesOptions, type BatchesPort } from "../batches/batches.ts";
import type { HandoverBook, HandoverBookPort } from "../handovers/handover-book.ts";
import { Queue, type QueueOptions, type QueuePort } from "../queue/queue.ts";
import { SignInAttempts } from "../screen/attempts.ts";

/** What has to be known to one process. Of several on one port, the one that started the others has it, and they ask. */
export interface DoneOnce {
  readonly queue: QueuePort;
  readonly batches: BatchesPort;
  /** Who was told what. */
  readonly alertBook: AlertBookPort;
  readonly asks: AskBookPort;
  /** Conversations that people go on with. */
  readonly handovers: HandoverBookPort;
  /** What providers billed. */
  readonly bills: { found(): Promise<readonly CapturedState[]> };
  /** Wrong attempts to sign in, whichever process they come to. */
  readonly attempts: Pick<SignInAttempts, "begin" | "succeeded">;
}

interface OwnOnceOptions extends QueueOptions, BatchesOptions, Pick<DoneOnce, "bills"> {
  readonly alertBook: AlertBook;
  readonly asks: AskBook;
  readonly handovers: HandoverBook;
}

/** All of it, in this process. */
export class OwnOnce implements DoneOnce {
  readonly queue: Queue;
  readonly batches: Batches;
  readonly alertBook: AlertBookPort;
  readonly asks: AskBook;
  readonly handovers: HandoverBook;
  readonly bills: DoneOnce["bills"];
  readonly attempts = new SignInAttempts();

  static async open(options: OwnOnceOptions): Promise<OwnOnce> {
    return new OwnOnce(await Queue.open(options), await Batches.open(options), options);
  }

  private constructor(queue: Queue, batches: Batches, { alertBook, asks, handovers, bills }: OwnOnceOptions) {
    this.queue = queue;
    this.batches = batches;
    this.alertBook = portOf(alertBook);
    this.asks = asks;
    this.handovers = handovers;
    this.bills = bills;
  }

  /** Waits for what runs; the rest goes on when the gateway is started again. */
  async close(): Promise<void> {
    await Promise.all([this.queue.close(), this.batches.close()]);
  }
}
