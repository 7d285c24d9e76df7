/** Runs something after a time, and returns what calls it off. */
export interface Timers {
  after(milliseconds: number, run: () => void): () => void;
}

/** The timers of the process. */
export const TIMERS: Timers = {
  after: (milliseconds, run) => {
    const timer = setTimeout(run, milliseconds);
    return () => clearTimeout(timer);
  },
};
