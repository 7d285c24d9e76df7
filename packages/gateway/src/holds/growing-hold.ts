import type { Budgets, Reservation } from "@purser/core";

/** What is asked for at once: half of what is held, and at least this many tokens. */
const STEP_LEAST = 64;
/** More is asked for when no more than this is left. Providers count a few tokens that are no text. */
const AHEAD_LEAST = 32;

/** What is held for an answer that streams: as much as is usual at first, and more ahead of what passes. */
export class GrowingHold {
  readonly #budgets: Pick<Budgets, "raise">;
  #reservation: Reservation;
  #asking: Promise<void> | undefined;
  #isRefused = false;

  constructor(budgets: Pick<Budgets, "raise">, reservation: Reservation) {
    this.#budgets = budgets;
    this.#reservation = reservation;
  }

  /** As it stands now. */
  get reservation(): Reservation {
    return this.#reservation;
  }

  get #isWhole(): boolean {
    return this.#reservation.outputTokens >= (this.#reservation.outputTokensMost ?? 0);
  }

  /** Whether so many tokens have to be counted at all: what passed is surely less than what is held. */
  isFarFrom(tokensMost: number): boolean {
    return this.#isWhole || tokensMost + this.#ahead() <= this.#reservation.outputTokens;
  }

  /** Whether an answer may go on, of which so many tokens have passed and which is then so long. Asks for more ahead of that, and waits for nothing. */
  passed(tokens: number, next: number): boolean {
    if (this.#isWhole) return true;
    if (tokens + this.#ahead() > this.#reservation.outputTokens && !this.#isRefused) this.#ask(next);
    return this.#covers(next);
  }

  #covers(tokens: number): boolean {
    return this.#isWhole || tokens <= this.#reservation.outputTokens;
  }

  /** Waits until so many tokens are held. Whether they are. */
  async cover(tokens: number): Promise<boolean> {
    while (!this.#covers(tokens)) {
      if (this.#isRefused && !this.#asking) return false;
      if (!this.#asking) this.#ask(tokens);
      await this.#asking;
    }
    return true;
  }

  #ahead(): number {
    return Math.max(AHEAD_LEAST, Math.ceil(this.#reservation.outputTokens / 8));
  }

  #ask(tokens: number): void {
    if (this.#asking) return;
    const { outputTokens, outputTokensMost = outputTokens } = this.#reservation;
    const step = Math.max(STEP_LEAST, Math.ceil(outputTokens / 2));
    const most = Math.min(outputTokensMost, Math.max(outputTokens + step, tokens + AHEAD_LEAST));
    const least = Math.min(most, Math.max(outputTokens + 1, tokens));
    this.#asking = this.#budgets
      .raise(this.#reservation, { least, most })
      .then((raised) => {
        if (raised) this.#reservation = raised;
        else this.#isRefused = true;
      })
      .finally(() => {
        this.#asking = undefined;
      });
  }
}
