import type { Recordable } from "./domain/command.ts";
import type { Denial } from "./domain/decision.ts";

type DeniedEntry = Extract<Recordable, { readonly kind: "denied" }>;

/** So many refusals of one kind are written down each; the rest of their second is one entry that says how many it stands for. */
const EACH_IN_A_SECOND = 1_000;
const SECOND_MS = 1_000;

interface Kind {
  readonly since: number;
  written: number;
  /** The last refusal that was not written down, and how many there are. */
  waiting: DeniedEntry | undefined;
  times: number;
}

/** Writes refusals down without letting a client in a loop fill the disk: a full disk would refuse everybody. */
export class Denials {
  readonly #write: (entry: DeniedEntry) => void;
  readonly #kinds = new Map<string, Kind>();

  constructor(write: (entry: DeniedEntry) => void) {
    this.#write = write;
  }

  add({ reason, balance }: Denial, entry: DeniedEntry, now: number): void {
    // By the key alone: what else a call says about itself a caller may be free to choose, anew for each call.
    const name = JSON.stringify([reason, balance?.budget, entry.detail.subject.key]);
    let kind = this.#kinds.get(name);
    if (!kind || now - kind.since >= SECOND_MS || now < kind.since) {
      if (kind) this.#writeWaiting(kind);
      kind = { since: now, written: 0, waiting: undefined, times: 0 };
      this.#kinds.set(name, kind);
    }
    if (kind.written < EACH_IN_A_SECOND) {
      kind.written++;
      this.#write(entry);
    } else {
      kind.waiting = entry;
      kind.times++;
    }
  }

  /** Writes down what waits of the seconds that are over; of all, without a time. */
  flush(now = Number.POSITIVE_INFINITY): void {
    for (const [name, kind] of this.#kinds) {
      if (now - kind.since < SECOND_MS) continue;
      this.#writeWaiting(kind);
      this.#kinds.delete(name);
    }
  }

  #writeWaiting({ waiting, times }: Kind): void {
    if (waiting) this.#write(times > 1 ? { ...waiting, times } : waiting);
  }
}
