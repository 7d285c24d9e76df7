export interface EndsOptions {
  /** Whether an error says that asking again makes sense. */
  readonly isAway: (error: unknown) => boolean;
  /** Whether it says that nobody is there at all, so that nothing else has to be tried now. */
  readonly isUnreachable: (error: unknown) => boolean;
  readonly onError: (error: unknown) => void;
}

const AGAIN_EVERY_MS = 1_000;
/** What was used is worth telling long after it was charged by its estimate. */
const TOLD_MOST_MS = 24 * 3_600_000;

interface Untold {
  readonly end: () => Promise<unknown>;
  readonly until: number;
}

/** Settlements and releases that a gateway could not be told yet. They are told again until it has heard them: each can be repeated. */
export class Ends {
  readonly #options: EndsOptions;
  readonly #untold = new Map<string, Untold>();
  #timer: NodeJS.Timeout | undefined;
  #telling: Promise<void> | undefined;

  constructor(options: EndsOptions) {
    this.#options = options;
  }

  /** Tells how a call ended; and where nobody hears it, again later. */
  async tell<Answer>(id: string, end: () => Promise<Answer>): Promise<Answer> {
    try {
      return await end();
    } catch (error) {
      if (this.#options.isAway(error)) this.tellLater(id, end);
      throw error;
    }
  }

  tellLater(id: string, end: () => Promise<unknown>, withinMs = TOLD_MOST_MS): void {
    this.#untold.set(id, { end, until: Date.now() + withinMs });
    this.#timer ??= setInterval(() => void this.tellAgain(), AGAIN_EVERY_MS).unref();
  }

  /** Tells what nobody has heard yet, the oldest first, until nobody hears again. */
  tellAgain(): Promise<void> {
    this.#telling ??= this.#tellAll().finally(() => {
      this.#telling = undefined;
    });
    return this.#telling;
  }

  /** Tries once more. Returns how many calls nobody has heard of: they are charged at their estimate when their leases run out. */
  async close(): Promise<number> {
    await this.tellAgain();
    clearInterval(this.#timer);
    return this.#untold.size;
  }

  async #tellAll(): Promise<void> {
    const { isAway, isUnreachable, onError } = this.#options;
    const now = Date.now();
    for (const [id, { until }] of this.#untold) if (until < now) this.#untold.delete(id);
    for (const [id, { end }] of this.#untold) {
      try {
        await end();
        this.#untold.delete(id);
      } catch (error) {
        if (isUnreachable(error)) return;
        if (isAway(error)) continue;
        this.#untold.delete(id);
        onError(error);
      }
    }
    if (this.#untold.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
