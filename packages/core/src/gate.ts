/** Lets calls in while nothing changes, and keeps them waiting while it does. */
export class Gate {
  #inside = 0;
  #closed: Promise<void> | undefined;
  #open: () => void = () => undefined;
  #isEmpty: () => void = () => undefined;
  #changes: Promise<unknown> = Promise.resolve();

  /** Resolves when the gate opens; nothing where it is open. It may close again before whoever waits goes on: ask again. */
  get closed(): Promise<void> | undefined {
    return this.#closed;
  }

  enter(): void {
    this.#inside++;
  }

  leave(): void {
    this.#inside--;
    if (this.#inside === 0) this.#isEmpty();
  }

  /** Makes a change, one after another. `close` keeps new calls out until the change is made, and waits for those inside to leave. */
  change(make: (close: () => Promise<void>) => Promise<void>): Promise<void> {
    const made = this.#changes.then(() => make(() => this.#close())).finally(() => this.#reopen());
    this.#changes = made.catch(() => undefined);
    return made;
  }

  #close(): Promise<void> {
    this.#closed = new Promise((resolve) => {
      this.#open = resolve;
    });
    return new Promise((resolve) => {
      this.#isEmpty = resolve;
      if (this.#inside === 0) resolve();
    });
  }

  #reopen(): void {
    this.#closed = undefined;
    this.#isEmpty = () => undefined;
    this.#open();
  }
}
