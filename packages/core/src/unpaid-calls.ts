import type { Recordable } from "./domain/command.ts";

/** An entry about a call that holds nothing and costs nothing: one that was refused, or that got an answer which was known. */
type UnpaidEntry = Extract<Recordable, { readonly kind: "denied" | "answered" }>;

/** So many calls of one kind are written down each; the rest of their second is one entry that says how many it stands for. */
const EACH_IN_A_SECOND = 1_000;
const SECOND_MS = 1_000;

interface Kind {
  readonly since: number;
  written: number;
  /** What was not written down of it yet, as one entry. */
  waiting: UnpaidEntry | undefined;
}

/** Writes calls down that cost nothing, without letting a client in a loop fill the disk: a full disk would refuse everybody. */
export class UnpaidCalls {
  readonly #write: (entry: UnpaidEntry) => void;
  readonly #kinds = new Map<string, Kind>();

  constructor(write: (entry: UnpaidEntry) => void) {
    this.#write = write;
  }

  /** `what` tells kinds apart, beside the key of the caller. What else a call says about itself a caller may be free to choose, anew for each call. */
  add(what: readonly (string | undefined)[], entry: UnpaidEntry, now: number): void {
    const name = `${entry.kind}\0${what.join("\0")}\0${entry.detail.subject.key ?? ""}`;
    let kind = this.#kinds.get(name);
    if (!kind || now - kind.since >= SECOND_MS || now < kind.since) {
      if (kind?.waiting) this.#write(kind.waiting);
      kind = { since: now, written: 0, waiting: undefined };
      this.#kinds.set(name, kind);
    }
    if (kind.written < EACH_IN_A_SECOND) {
      kind.written++;
      this.#write(entry);
    } else kind.waiting = kind.waiting ? together(kind.waiting, entry) : entry;
  }

  /** Writes down what waits of the seconds that are over; of all, without a time. */
  flush(now = Number.POSITIVE_INFINITY): void {
    for (const [name, kind] of this.#kinds) {
      if (now - kind.since < SECOND_MS) continue;
      if (kind.waiting) this.#write(kind.waiting);
      this.#kinds.delete(name);
    }
  }
}

/** One entry for all calls that two stand for: the newer, with the number of both and what both saved. */
function together(before: UnpaidEntry, entry: UnpaidEntry): UnpaidEntry {
  const times = (before.times ?? 1) + (entry.times ?? 1);
  if (entry.kind === "denied" || before.kind === "denied") return { ...entry, times };
  const { known } = entry;
  const saved = [before.known.saved, known.saved].filter((one) => one !== undefined);
  if (saved.length === 0) return { ...entry, times };
  return { ...entry, times, known: { ...known, saved: saved.reduce((sum, one) => sum + one, 0) } };
}
