import { PurserError } from "@purser/core";
import { type Answer, Outbox, type Question } from "./messages.ts";

/** Asks another process, and resolves with what it answers. */
export type Ask = <Result>(verb: string, argument: unknown) => Promise<Result>;

interface Waiting {
  readonly resolve: (result: never) => void;
  readonly reject: (error: PurserError) => void;
  readonly askedAt: number;
}

/** Between processes of one machine no message is lost: who does not answer for so long does not work. */
const PATIENCE_MS = 30_000;
const LOOK_EVERY_MS = 1_000;

/** What this process asks another one, until it is answered. */
export class Questions {
  readonly #waiting = new Map<number, Waiting>();
  readonly #outbox: Outbox<Question>;
  #last = 0;

  constructor(send: (questions: readonly Question[]) => void) {
    this.#outbox = new Outbox(send);
    setInterval(() => this.#giveUp(), LOOK_EVERY_MS).unref();
  }

  readonly ask: Ask = (verb, argument) =>
    new Promise((resolve, reject) => {
      const id = ++this.#last;
      this.#waiting.set(id, { resolve, reject, askedAt: performance.now() });
      this.#outbox.add({ id, verb, argument });
    });

  /** To be called with the answers that come. */
  take(answers: readonly Answer[]): void {
    for (const answer of answers) {
      const one = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if ("error" in answer) one?.reject(new PurserError(answer.error.code, answer.error.message));
      else one?.resolve(answer.result as never);
    }
  }

  #giveUp(): void {
    const before = performance.now() - PATIENCE_MS;
    for (const [id, { reject, askedAt }] of this.#waiting) {
      if (askedAt > before) break;
      this.#waiting.delete(id);
      reject(
        new PurserError("store_unavailable", "The process that has the store does not answer. Look what keeps it busy, or start again."),
      );
    }
  }
}
