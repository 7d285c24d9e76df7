/** Something that is due at a time. */
export interface Due {
  readonly at: number;
  /** Of two at the same time, the lower comes first. */
  readonly order: number;
}

/** What is due, in a binary heap: what is due first lies first, and of two at the same time that which was planned first. */
export class Agenda<One extends Due> {
  readonly #heap: One[] = [];

  push(due: One): void {
    const heap = this.#heap;
    let at = heap.push(due) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as One;
      if (isBefore(above, due)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = due;
  }

  pop(): One | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (!last || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as One, heap[child] as One)) child++;
      const below = heap[child] as One;
      if (isBefore(last, below)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Due, b: Due): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
