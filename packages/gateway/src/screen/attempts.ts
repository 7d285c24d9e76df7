const FREE = 5;
/** Of one name: so many that nobody is kept out by whoever guesses a little, and few for whoever guesses at length. */
const FREE_OF_NAME = 20;
const FIRST_PAUSE_MS = 1_000;
const PAUSE_MOST_MS = 60_000;
const FORGOTTEN_AFTER_MS = 15 * 60_000;
/** Whoever has more addresses than this slows everybody down, and gets no further for it. */
const ADDRESSES_MOST = 10_000;

/** Slows down whoever tries one token after the other: after a few that were wrong each further one costs a pause, twice as long as the last. */
export class Attempts {
  readonly #now: () => number;
  readonly #free: number;
  /** By address: how many were wrong, and when the next may come. */
  readonly #wrong = new Map<string, { readonly count: number; readonly at: number; readonly nextAt: number }>();

  constructor(now: () => number = Date.now, free = FREE) {
    this.#now = now;
    this.#free = free;
  }

  /** How long an address has to wait before it may try again; 0 where it need not. */
  waitMs(address: string): number {
    return Math.max(0, (this.#wrong.get(address)?.nextAt ?? 0) - this.#now());
  }

  /** Notes that an attempt was wrong. */
  failed(address: string): void {
    const now = this.#now();
    if (this.#wrong.size >= ADDRESSES_MOST) this.#forget(now);
    const count = (this.#wrong.get(address)?.count ?? 0) + 1;
    const pauseMs = count < this.#free ? 0 : Math.min(PAUSE_MOST_MS, FIRST_PAUSE_MS * 2 ** Math.min(count - this.#free, 20));
    this.#wrong.delete(address);
    this.#wrong.set(address, { count, at: now, nextAt: now + pauseMs });
  }

  succeeded(address: string): void {
    this.#wrong.delete(address);
  }

  /** Lets go of addresses that tried nothing for long, and of the oldest where there are too many. */
  #forget(now: number): void {
    for (const [address, { at }] of this.#wrong) {
      if (now - at < FORGOTTEN_AFTER_MS && this.#wrong.size < ADDRESSES_MOST) break;
      this.#wrong.delete(address);
    }
  }
}

/** Wrong attempts to sign in, by address and by name: an attacker can have many addresses. */
export class SignInAttempts {
  readonly #addresses = new Attempts();
  readonly #names = new Attempts(Date.now, FREE_OF_NAME);

  /**
   * How long whoever tries has to wait; 0 where they need not. Then the attempt is noted as a wrong one before it is known, so that many at once
   * are no more than one after the other.
   */
  async begin(address: string, name: string | undefined): Promise<number> {
    const waitMs = Math.max(this.#addresses.waitMs(address), name === undefined ? 0 : this.#names.waitMs(name));
    if (waitMs > 0) return waitMs;
    this.#addresses.failed(address);
    if (name !== undefined) this.#names.failed(name);
    return 0;
  }

  /** It was a right one. */
  async succeeded(address: string, name: string | undefined): Promise<void> {
    this.#addresses.succeeded(address);
    if (name !== undefined) this.#names.succeeded(name);
  }
}
