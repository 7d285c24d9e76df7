import type { AlertBook, Taken } from "./alert-book.ts";
import type { Channel } from "./channel.ts";
import { deliver } from "./delivery.ts";

export interface CourierOptions {
  readonly book: AlertBook;
  /** The channel of a name as it is configured now. */
  readonly channel: (name: string) => Channel | undefined;
  readonly now: () => number;
  readonly onError: (error: unknown) => void;
}

/** A channel whose notices are being delivered. */
interface Round {
  /** Whether something may have become due since it was looked. */
  isAsked: boolean;
  readonly ended: Promise<void>;
}

/** The pauses after tries that failed: half a day in all. */
const PAUSES_MS = [5_000, 30_000, 120_000, 600_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000, 14_400_000];
/** A channel gets so many notices at once, from one gateway. */
const AT_ONCE = 20;
/** Who wants to stop does not wait longer; what is left is delivered by others, or after the next start. */
const CLOSING_MOST_MS = 5_000;

/** Delivers what waits in the book, each channel apart, so that one which is slow or away delays no other. */
export class Courier {
  readonly #options: CourierOptions;
  readonly #rounds = new Map<string, Round>();
  #closesAt = Number.POSITIVE_INFINITY;

  constructor(options: CourierOptions) {
    this.#options = options;
  }

  /** Delivers what is due to a channel. Resolves when nothing is. */
  wake(name: string): Promise<void> {
    const running = this.#rounds.get(name);
    if (running) {
      running.isAsked = true;
      return running.ended;
    }
    // Begins in the next turn, when it can be found.
    const round: Round = { isAsked: true, ended: Promise.resolve().then(() => this.#go(name, round)) };
    this.#rounds.set(name, round);
    return round.ended;
  }

  /** Waits for what is being delivered, and soon takes nothing any more. */
  async close(): Promise<void> {
    this.#closesAt = Math.min(this.#closesAt, performance.now() + CLOSING_MOST_MS);
    await Promise.allSettled([...this.#rounds.values()].map(({ ended }) => ended));
  }

  async #go(name: string, round: Round): Promise<void> {
    try {
      while (round.isAsked && performance.now() < this.#closesAt) {
        round.isAsked = false;
        const channel = this.#options.channel(name);
        if (!channel) return;
        const taken = await this.#options.book.take(name, AT_ONCE);
        // Where there was something there may be more.
        if (taken.length > 0) round.isAsked = true;
        await Promise.all(taken.map((one) => this.#deliver(channel, one).catch(this.#options.onError)));
      }
    } finally {
      this.#rounds.delete(name);
    }
  }

  async #deliver(channel: Channel, taken: Taken): Promise<void> {
    const { book, now, onError } = this.#options;
    const { notice, attempts } = taken;
    const at = now();
    const delivered = await deliver(channel, notice, at);
    const pause = PAUSES_MS[attempts];
    const isLast = delivered.ok || delivered.isFinal || pause === undefined;
    const error = delivered.ok ? undefined : delivered.error;
    if (error !== undefined && isLast)
      onError(new Error(`"${notice.title}" could not be told to ${channel.name}: ${error}. There will be no other try.`));
    const delivery = { notice: notice.id, channel: channel.name, title: notice.title, at, attempt: attempts + 1, error, isLast };
    await book.tried(taken, delivery, pause ?? 0);
  }
}
