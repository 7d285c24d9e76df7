import type { Timers } from "./timers.ts";

/** So many calls wait for one limit at most: more would not be served before they give up. */
export const WAITING_MOST = 1_000;

/** The place of a call in the lines of the limits that it waits for. */
export interface Place {
  readonly lines: readonly string[];
  /** Ends the wait of the call, because it may be its turn. */
  wake: () => void;
}

/**
 * Calls that wait for room in a leaky bucket, in the order in which they came: one line for each bucket of each subject. A call stands in the
 * lines of all its leaky buckets and is first when it is first in all of them, so none is overtaken and no two wait for each other.
 */
export class WaitingCalls {
  readonly #timers: Timers;
  readonly #lines = new Map<string, Place[]>();

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /** Takes the last place in each line; none where one is full. */
  enter(lines: readonly string[]): Place | undefined {
    if (lines.some((line) => this.length(line) > WAITING_MOST)) return undefined;
    const place: Place = { lines, wake: () => undefined };
    for (const line of lines) {
      const places = this.#lines.get(line);
      if (places) places.push(place);
      else this.#lines.set(line, [place]);
    }
    return place;
  }

  /** Gives the place up, and lets those go on whose turn it is. */
  leave(place: Place): void {
    for (const line of place.lines) {
      const left = (this.#lines.get(line) ?? []).filter((other) => other !== place);
      if (left.length > 0) this.#lines.set(line, left);
      else this.#lines.delete(line);
    }
    for (const line of place.lines) {
      const next = this.#lines.get(line)?.[0];
      if (next && this.isFirst(next)) next.wake();
    }
  }

  isFirst(place: Place): boolean {
    return place.lines.every((line) => this.#lines.get(line)?.[0] === place);
  }

  /** How many calls stand in a line. */
  length(line: string): number {
    return this.#lines.get(line)?.length ?? 0;
  }

  /** Waits so long, or until the place is woken. Rejects with the signal's reason when the caller goes away. */
  wait(place: Place, milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => {
        callOff();
        place.wake = () => undefined;
        signal?.removeEventListener("abort", onAbort);
        settle();
      };
      const onAbort = () => end(() => reject(signal?.reason));
      const callOff = this.#timers.after(milliseconds, () => end(resolve));
      place.wake = () => end(resolve);
      if (signal?.aborted) onAbort();
      else signal?.addEventListener("abort", onAbort);
    });
  }
}
