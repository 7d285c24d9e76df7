import type { Entry, EntryKind, Store } from "@purser/core";
import { type CallSummary, summariseCall } from "./call-report.ts";

/** Sends an event to a browser that listens. */
export type SendEvent = (event: string, data: unknown) => void;

/** What happened since the last time, as those who listen are told: the newest state of each call, and how many were left out. */
export interface LiveCallsJson {
  readonly calls: readonly CallSummary[];
  readonly left_out: number;
}

const LOOK_EVERY_MS = 1_000;
const KINDS: readonly EntryKind[] = ["reserved", "settled", "expired", "corrected", "released", "denied", "answered"];
/** Nobody reads more in a second. */
const ENTRIES_MOST = 500;
const CALLS_MOST = 60;

/** Tells those who listen what happens. The ledger is looked at once for all of them, and only while there is one. */
export class Live {
  readonly #store: Pick<Store, "entries">;
  readonly #onError: (error: unknown) => void;
  readonly #listeners = new Set<SendEvent>();
  #timer: NodeJS.Timeout | undefined;
  #seq: number | undefined;
  #isLooking = false;

  constructor(store: Pick<Store, "entries">, onError: (error: unknown) => void = () => undefined) {
    this.#store = store;
    this.#onError = onError;
  }

  /** Returns what ends it. */
  listen(send: SendEvent): () => void {
    this.#listeners.add(send);
    this.#timer ??= setInterval(() => void this.look().catch(this.#onError), LOOK_EVERY_MS).unref();
    void this.look().catch(this.#onError);
    return () => {
      this.#listeners.delete(send);
      if (this.#listeners.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
      this.#seq = undefined;
    };
  }

  /** Looks at what came since the last look. The first only finds out where the ledger ends. */
  async look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      if (this.#seq === undefined) {
        const [last] = await this.#store.entries({ newest: true, most: 1 });
        this.#seq = last?.seq ?? 0;
        return;
      }
      const entries = await this.#store.entries({ kinds: KINDS, after: this.#seq, most: ENTRIES_MOST });
      const last = entries.at(-1);
      if (!last) return;
      this.#seq = last.seq;
      const data = liveCalls(entries);
      for (const send of this.#listeners) send("calls", data);
      if (entries.length === ENTRIES_MOST) this.#seq = (await this.#store.entries({ newest: true, most: 1 }))[0]?.seq ?? this.#seq;
    } finally {
      this.#isLooking = false;
    }
  }
}

function liveCalls(entries: readonly Entry[]): LiveCallsJson {
  const byCall = new Map<string, Entry[]>();
  for (const entry of entries) {
    const known = byCall.get(entry.reservation);
    if (known) known.push(entry);
    else byCall.set(entry.reservation, [entry]);
  }
  const calls = [...byCall.values()].slice(-CALLS_MOST).map((one) => summariseCall(one));
  return { calls, left_out: byCall.size - calls.length };
}
