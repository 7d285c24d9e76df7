/** Counters of windows that closed this long ago are kept no more; calls that began in them have ended. */
export const KEEP_CLOSED_MS = 48 * 3_600_000;
/** Slices close all the time, so they are kept only for as long as a clock may be set back. The scripts for Redis have the same figure. */
export const KEEP_SLICES_MS = 10 * 60_000;

/** Time in which nothing ran is caught up with at this speed. */
const SPEED_MOST = 4;

/**
 * A time that follows a clock and does not believe it at once. Windows are forgotten by it: a clock that is set ahead, and back again, must
 * not make the window that is open one which closed long ago. It runs at most four times as fast as time really passes, so a clock has to be
 * wrong for twelve hours before it takes a day for two days later; and where it lags behind, windows are only kept for longer.
 */
export class SteadyTime {
  #time: number;
  #elapsedBefore: number;
  readonly #elapsed: () => number;

  /** `from` is a time that has certainly come: epoch milliseconds. `elapsed` counts milliseconds from any moment on. */
  constructor(from: number, elapsed: () => number = () => performance.now()) {
    this.#time = from;
    this.#elapsed = elapsed;
    this.#elapsedBefore = elapsed();
  }

  /** Where a time of before goes on from. */
  get reached(): number {
    return this.#time;
  }

  at(now: number): number {
    const elapsed = this.#elapsed();
    const passed = elapsed - this.#elapsedBefore;
    this.#elapsedBefore = elapsed;
    this.#time += Math.floor(Math.max(0, Math.min(SPEED_MOST * passed, now - this.#time)));
    return Math.min(now, this.#time);
  }
}
