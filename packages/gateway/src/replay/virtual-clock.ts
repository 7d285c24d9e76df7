import type { Timers } from "@purser/core";
import { Agenda, type Due } from "./agenda.ts";

interface Planned extends Due {
  readonly run: () => Promise<void> | void;
  isCalledOff: boolean;
}

/** Time that passes from event to event, and not at all between them: a day takes as long as its work does, and is the same each time. */
export class VirtualClock implements Timers {
  /** Epoch milliseconds. */
  now: number;
  readonly #agenda = new Agenda<Planned>();
  #order = 0;

  constructor(start: number) {
    this.now = start;
  }

  after(milliseconds: number, run: Planned["run"]): () => void {
    const planned: Planned = { at: this.now + Math.max(0, Math.round(milliseconds)), order: this.#order++, run, isCalledOff: false };
    this.#agenda.push(planned);
    return () => {
      planned.isCalledOff = true;
    };
  }

  /** Lets everything happen that is planned, and what that plans, one after the other. */
  async run(): Promise<void> {
    for (let next = this.#agenda.pop(); next; next = this.#agenda.pop()) {
      if (next.isCalledOff) continue;
      this.now = Math.max(this.now, next.at);
      await next.run();
      await settled();
    }
  }
}

/** Resolves when no promise has anything left to do: what waits for a timer of the clock waits for its event. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
