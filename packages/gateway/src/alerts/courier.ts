import type { AlertBook, Taken, Tried } from "./alert-book.ts";
import type { Channel } from "./channel.ts";
import { type Delivered, deliver } from "./delivery.ts";
import { digestOf } from "./digest.ts";
import type { Notice } from "./notice.ts";

export interface CourierOptions {
  readonly book: Pick<AlertBook, "take" | "tried">;
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
export const AT_ONCE = 20;
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
        await Promise.all(messagesOf(taken).map((some) => this.#deliver(channel, some).catch(this.#options.onError)));
      }
    } finally {
      this.#rounds.delete(name);
    }
  }

  /** Delivers what one message tells. */
  async #deliver(channel: Channel, some: readonly Taken[]): Promise<void> {
    // Who stood still for so long leaves it to those who have it by the time that this could be told.
    if (some.some(({ beginBy }) => performance.now() > beginBy)) return;
    const at = this.#options.now();
    const notice = messageOf(some.map((one) => one.notice));
    const mayRepeat = some.some(({ doubt }) => doubt !== undefined);
    const delivered = await deliver(channel, mayRepeat ? { ...notice, mayRepeat } : notice, at);
    // At once, and in one step: who dies before leaves it in doubt.
    await this.#options.book.tried(some.map((taken) => this.#tried(channel, taken, delivered, at)));
  }

  #tried(channel: Channel, taken: Taken, delivered: Delivered, at: number): Tried {
    const { notice, attempts, doubt } = taken;
    const pause = PAUSES_MS[attempts];
    const isLast = delivered.ok || delivered.isFinal || pause === undefined;
    const error = delivered.ok ? undefined : delivered.error;
    if (error !== undefined && isLast)
      this.#options.onError(new Error(`"${notice.title}" could not be told to ${channel.name}: ${error}. There will be no other try.`));
    const delivery = { notice: notice.id, channel: channel.name, title: notice.title, at, attempt: attempts + 1, error, isLast };
    return { taken, delivery, pauseMs: pause ?? 0, isInDoubt: !delivered.ok && (delivered.mayHaveArrived || doubt !== undefined) };
  }
}

/**
 * What waited for the same hour is one message to each owner; everything else is told by itself. What may have been told in one message before is
 * that message again, so that who got it knows it by its id.
 */
function messagesOf(taken: readonly Taken[]): readonly (readonly Taken[])[] {
  const held = new Map<string, Taken[]>();
  for (const one of taken.filter(({ notice }) => notice.isHeld)) {
    const message = JSON.stringify([one.notice.owner, one.doubt]);
    held.set(message, [...(held.get(message) ?? []), one]);
  }
  return [...taken.filter(({ notice }) => !notice.isHeld).map((one) => [one]), ...held.values()];
}

function messageOf(notices: readonly Notice[]): Notice {
  const [only, ...others] = notices as [Notice, ...Notice[]];
  return others.length === 0 ? only : digestOf([only, ...others]);
}
