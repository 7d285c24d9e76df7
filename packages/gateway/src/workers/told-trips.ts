import type { CountBook } from "../guards/count-book.ts";
import type { GuardEvent, TripBook } from "../guards/trip-book.ts";

/** Tells the other workers of a port by way of the process that started them, which counts for all. */
export class ToldTrips implements TripBook {
  readonly #send: (event: GuardEvent) => void;
  readonly counts: CountBook;
  #told: GuardEvent[] = [];

  constructor(send: (event: GuardEvent) => void, counts: CountBook) {
    this.#send = send;
    this.counts = counts;
  }

  tell(event: GuardEvent): void {
    this.#send(event);
  }

  /** To be called with what comes from others. */
  take(events: readonly GuardEvent[]): void {
    this.#told.push(...events);
  }

  async look(): Promise<readonly GuardEvent[]> {
    const told = this.#told;
    this.#told = [];
    return told;
  }

  close(): void {
    this.#told = [];
  }
}

/** So many events are kept for workers that start later. */
const KEPT_MOST = 10_000;

/** What the workers of a port told each other and may still matter, for one that takes the place of another. */
export class KeptTrips {
  #events: GuardEvent[] = [];

  add(event: GuardEvent, now: number): void {
    if (this.#events.length >= KEPT_MOST) this.#events = this.standing(now).slice(-KEPT_MOST / 2);
    this.#events.push(event);
  }

  standing(now: number): GuardEvent[] {
    return this.#events.filter(({ trip }) => now < trip.until);
  }
}
