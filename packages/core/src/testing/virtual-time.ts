import type { Timers } from "../timers.ts";

/** Time that passes only when nothing is left to do at the moment: hours of traffic in seconds, and the same every time. */
export class VirtualTime implements Timers {
  #now: number;
  #heap: Event[] = [];
  #order = 0;

  constructor(start: number) {
    this.#now = start;
  }

  readonly now = (): number => this.#now;

  /** Does work after a time; returns what calls it off. */
  readonly after = (delayMs: number, work: () => void): (() => void) => {
    const event: Event = { at: this.#now + Math.max(0, delayMs), order: this.#order++, work };
    push(this.#heap, event);
    return () => {
      event.work = undefined;
    };
  };

  readonly sleep = (delayMs: number): Promise<void> => new Promise((resolve) => void this.after(delayMs, resolve));

  /** Lets everything happen that is due until then. `check` is called after each event, when all that follows from it is done. */
  async runUntil(end: number, check: () => void = () => undefined): Promise<void> {
    for (let event = this.#heap[0]; event && event.at <= end; event = this.#heap[0]) {
      pop(this.#heap);
      this.#now = event.at;
      if (!event.work) continue;
      event.work();
      await settled();
      check();
    }
    this.#now = Math.max(this.#now, end);
  }
}

interface Event {
  readonly at: number;
  readonly order: number;
  work: (() => void) | undefined;
}

/** Every promise that can go on without time has gone on by then. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

function push(heap: Event[], event: Event): void {
  let i = heap.push(event) - 1;
  while (i > 0) {
    const parent = (i - 1) >> 1;
    const above = heap[parent] as Event;
    if (isBefore(above, event)) break;
    heap[i] = above;
    i = parent;
  }
  heap[i] = event;
}

function pop(heap: Event[]): void {
  const last = heap.pop();
  if (!last || heap.length === 0) return;
  let i = 0;
  for (;;) {
    let child = 2 * i + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1] as Event, heap[child] as Event)) child++;
    if (isBefore(last, heap[child] as Event)) break;
    heap[i] = heap[child] as Event;
    i = child;
  }
  heap[i] = last;
}
