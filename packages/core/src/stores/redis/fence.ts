/** What every answer of a script begins with. */
export interface Position {
  /** Changes when a loss was accepted or repaired; 0 while the store is empty. */
  readonly epoch: number;
  /** The last entry of the ledger. */
  readonly seq: number;
  /** The last entry that this instance wrote. */
  readonly own: number;
}

/**
 * What this instance has seen acknowledged, so that a Redis which forgot some of it is noticed at the next command: one that failed over to
 * a replica that was behind, or restarted without its file. That the others went on writing does not hide it: each knows its own entries.
 */
export class Fence {
  readonly instance: string;
  #seen: Position = { epoch: 0, seq: 0, own: 0 };

  constructor(instance: string, seq = 0) {
    this.instance = instance;
    this.#seen = { epoch: 0, seq, own: 0 };
  }

  get seq(): number {
    return this.#seen.seq;
  }

  /** As every script takes it. */
  get args(): readonly [epoch: string, seq: string, instance: string, own: string] {
    const { epoch, seq, own } = this.#seen;
    return [String(epoch), String(seq), this.instance, String(own)];
  }

  /** Answers may come in another order than they were given. */
  see(position: Position): void {
    const seen = this.#seen;
    if (position.epoch > seen.epoch) this.#seen = position;
    else if (position.epoch === seen.epoch) {
      this.#seen = { ...seen, seq: Math.max(seen.seq, position.seq), own: Math.max(seen.own, position.own) };
    }
  }
}
