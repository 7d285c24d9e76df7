import type { Timers } from "../timers.ts";

/** A clock that only moves when told to. What is to run after a time runs when the clock gets there. */
export interface FakeClock {
  /** Epoch milliseconds, to be passed where a clock is asked for. */
  readonly now: () => number;
  /** To be passed where timers are asked for. */
  readonly timers: Timers;
  advance(milliseconds: number): void;
  set(time: number): void;
  /** Puts the clock forwards or back while no time passes. */
  jump(milliseconds: number): void;
  /** Milliseconds that have passed, whatever the clock was set to. */
  readonly elapsed: () => number;
}

interface Alarm {
  readonly at: number;
  readonly run: () => void;
}

/** Starts at noon UTC of 22 November 2026 where no time is given. */
export function createFakeClock(start = Date.UTC(2026, 10, 22, 12)): FakeClock {
  let time = start;
  let jumped = 0;
  const alarms = new Set<Alarm>();
  const set = (to: number) => {
    time = to;
    for (const alarm of [...alarms].sort((a, b) => a.at - b.at)) {
      if (alarm.at <= time && alarms.delete(alarm)) alarm.run();
    }
  };
  return {
    now: () => time,
    timers: {
      after: (milliseconds, run) => {
        const alarm: Alarm = { at: time + milliseconds, run };
        alarms.add(alarm);
        return () => void alarms.delete(alarm);
      },
    },
    advance: (milliseconds) => set(time + milliseconds),
    set,
    jump: (milliseconds) => {
      jumped += milliseconds;
      set(time + milliseconds);
    },
    elapsed: () => time - start - jumped,
  };
}
