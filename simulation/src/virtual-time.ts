import { syncBuiltinESMExports } from "node:module";
import timers from "node:timers/promises";
import { Agenda } from "../../packages/gateway/dist/replay/agenda.js";
import type { Dice } from "./dice.js";

/** Something that runs until it dies: a gateway, the machine of a store, a provider. What is due for a dead one never happens. */
export class Process {
  readonly name: string;
  isAlive = true;
  /** What is due for it before then waits: it was stopped, as by a debugger or a busy machine. */
  pausedUntil = 0;
  /** By how much its clock is wrong. */
  skewMs = 0;

  constructor(name: string) {
    this.name = name;
  }
}

/** Something that is due. */
export interface Due {
  at: number;
  readonly order: number;
  readonly process: Process;
  readonly run: () => void;
  isCancelled: boolean;
}

/**
 * Time that passes from event to event. One event runs at a time, with all the promises that it resolves, before the next begins: so
 * the order of everything is decided by the dice alone.
 */
export class VirtualTime {
  /** Epoch milliseconds. */
  now: number;
  /** Whose event is running. */
  current: Process;
  /** Told of a process before each of its events: it may die just then. */
  beforeEach: (process: Process) => void = () => undefined;
  /** How many events there were. */
  events = 0;
  readonly #agenda = new Agenda<Due>();
  #order = 0;

  constructor(start: number, outside: Process) {
    this.now = start;
    this.current = outside;
  }

  /** Lets something happen to a process after a while. */
  after(process: Process, ms: number, run: () => void): Due {
    const due: Due = { at: this.now + Math.max(0, Math.round(ms)), order: this.#order++, process, run, isCancelled: false };
    this.#agenda.push(due);
    return due;
  }

  /** Lets something happen to a process again and again, until it dies. */
  every(process: Process, ms: number, run: () => void): void {
    this.after(process, ms, () => {
      run();
      this.every(process, ms, run);
    });
  }

  /** Time goes on with nobody running, as when a machine sleeps: all that is due by then happens late. */
  leap(ms: number): void {
    this.now += ms;
  }

  /** Runs the next event and everything that follows from it at once. Returns whether there was one. */
  async step(): Promise<boolean> {
    const due = this.#take();
    if (!due) return false;
    this.now = Math.max(this.now, due.at);
    this.current = due.process;
    this.events++;
    this.beforeEach(due.process);
    if (due.process.isAlive) due.run();
    await settled();
    return true;
  }

  #take(): Due | undefined {
    for (;;) {
      const due = this.#agenda.pop();
      if (!due) return undefined;
      if (due.isCancelled || !due.process.isAlive) continue;
      if (due.process.pausedUntil <= Math.max(this.now, due.at)) return due;
      due.at = due.process.pausedUntil;
      this.#agenda.push(due);
    }
  }
}

/** Resolves when no promise has anything left to do: what is due in the next tick comes after all of them. */
function settled(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

/**
 * Lets the product's own timers, clocks and dice run on virtual time and by the seed, as long as a simulation runs: nothing in the product
 * knows of it. What is planned belongs to whose event is running. Returns what gives the real ones back.
 */
export function installVirtualTime(time: VirtualTime, dice: Dice): () => void {
  const { setTimeout, clearTimeout, setImmediate } = globalThis;
  const wait = timers.setTimeout;
  const random = Math.random;
  const dateNow = Date.now;
  const performanceNow = performance.now;
  const plan = (run: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) =>
    new Timer(time.after(time.current, ms, () => run(...args)));
  Object.assign(globalThis, {
    setTimeout: plan,
    setImmediate: (run: (...args: unknown[]) => void, ...args: unknown[]) => plan(run, 0, ...args),
    clearTimeout: (timer: unknown) => {
      if (timer instanceof Timer) timer.due.isCancelled = true;
    },
  });
  timers.setTimeout = (ms, value, { signal } = {}) => waited(time, ms, value as never, signal);
  syncBuiltinESMExports();
  Math.random = () => dice.roll();
  Date.now = () => time.now;
  performance.now = () => time.now;
  return () => {
    Object.assign(globalThis, { setTimeout, clearTimeout, setImmediate });
    timers.setTimeout = wait;
    syncBuiltinESMExports();
    Math.random = random;
    Date.now = dateNow;
    performance.now = performanceNow;
  };
}

/** A promise that is kept after a while, unless whoever waits gives up. */
function waited<Value>(time: VirtualTime, ms = 0, value: Value, signal?: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(new Error("The wait was given up.", { cause: signal?.reason }));
    if (signal?.aborted) return giveUp();
    const due = time.after(time.current, ms, () => resolve(value));
    signal?.addEventListener("abort", () => {
      due.isCancelled = true;
      giveUp();
    });
  });
}

/** What stands in the place of Node's timers. */
class Timer {
  readonly due: Due;

  constructor(due: Due) {
    this.due = due;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}
