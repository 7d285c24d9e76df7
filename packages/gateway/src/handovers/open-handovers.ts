/** A conversation whose calls are answered by what people write, as every process of a port has to know it. */
export interface OpenHandover {
  readonly id: string;
  /** What all calls of it have in common. */
  readonly name: string;
  readonly budget: string;
  /** As its calls read it: `hand over (chatbot)`. */
  readonly rung: string;
  /** Whether what was said in it is kept. */
  readonly isKept: boolean;
  /** Whether it was given back, and only what was written before waits for its next call. */
  readonly isReturned: boolean;
}

/** What changed about a conversation: it is open now, or with nobody any more. */
export interface OpenHandoverEvent {
  readonly name: string;
  readonly open: OpenHandover | undefined;
}

/** Which conversations people go on with. A call cannot wait for a question: so whoever has the book tells all processes, and each looks here. */
export class OpenHandovers {
  readonly #tell: (event: OpenHandoverEvent) => void;
  readonly #byName = new Map<string, OpenHandover>();
  /** How many there are of each budget. */
  readonly #ofBudget = new Map<string, number>();

  /** `tell`: has the others told. */
  constructor(tell: (event: OpenHandoverEvent) => void = () => undefined) {
    this.#tell = tell;
  }

  get size(): number {
    return this.#byName.size;
  }

  find(name: string): OpenHandover | undefined {
    return this.#byName.get(name);
  }

  hasOf(budget: string): boolean {
    return this.#ofBudget.has(budget);
  }

  put(open: OpenHandover): void {
    const known = this.#byName.get(open.name);
    if (known && known.id === open.id && known.isKept === open.isKept && known.isReturned === open.isReturned) return;
    this.hear({ name: open.name, open });
    this.#tell({ name: open.name, open });
  }

  remove({ id, name }: Pick<OpenHandover, "id" | "name">): void {
    if (this.#byName.get(name)?.id !== id) return;
    this.hear({ name, open: undefined });
    this.#tell({ name, open: undefined });
  }

  /** Takes over what another process told. */
  hear({ name, open }: OpenHandoverEvent): void {
    const known = this.#byName.get(name);
    if (known) this.#count(known.budget, -1);
    if (open) this.#count(open.budget, 1);
    if (open) this.#byName.set(name, open);
    else this.#byName.delete(name);
  }

  /** All that has to be told to a process that starts. */
  all(): readonly OpenHandoverEvent[] {
    return [...this.#byName].map(([name, open]) => ({ name, open }));
  }

  #count(budget: string, by: 1 | -1): void {
    const count = (this.#ofBudget.get(budget) ?? 0) + by;
    if (count > 0) this.#ofBudget.set(budget, count);
    else this.#ofBudget.delete(budget);
  }
}
