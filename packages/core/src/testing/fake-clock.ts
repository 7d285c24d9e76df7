/** A clock that only moves when told to. */
export interface FakeClock {
  /** Epoch milliseconds, to be passed where a clock is asked for. */
  readonly now: () => number;
  advance(milliseconds: number): void;
  set(time: number): void;
}

/** Starts at noon UTC of 22 November 2026 where no time is given. */
export function createFakeClock(start = Date.UTC(2026, 10, 22, 12)): FakeClock {
  let time = start;
  return {
    now: () => time,
    advance: (milliseconds) => {
      time += milliseconds;
    },
    set: (to) => {
      time = to;
    },
  };
}
