import type { CounterRef, Entry, EntryKind, Posting } from "../../domain/ledger.ts";
import { compact, compactSlices, type State } from "../../domain/state.ts";
import { KEEP_CLOSED_MS, KEEP_SLICES_MS, SteadyTime } from "../forgetting.ts";
import type { Batch, Snapshot } from "./batch.ts";
import type { SqlValue } from "./driver.ts";
import type { Recovered } from "./recovery.ts";
import { pushCounter, pushEntry } from "./rows.ts";

/** A snapshot is due after so much time, entries or changed counters: whatever keeps both it and the next start short. */
const SNAPSHOT_MS = 5_000;
const SNAPSHOT_ENTRIES = 50_000;
const SNAPSHOT_COUNTERS = 5_000;
const COMPACT_EVERY_MS = 3_600_000;
const COMPACT_SLICES_EVERY_MS = 60_000;

/** A counter as the tables know it. */
interface Tracked {
  readonly id: number;
  /** Whether it changed since the last snapshot. */
  isChanged: boolean;
}

export interface EncoderOptions {
  readonly snapshotMs?: number | undefined;
  /** Milliseconds from any moment on, by a clock that cannot be set. */
  readonly elapsed?: (() => number) | undefined;
}

/** Turns entries into rows, and gathers them until the next batch is taken. */
export class Encoder {
  readonly #state: State;
  readonly #snapshotMs: number;
  readonly #opened: Map<string, number>;
  readonly #tracked = new Map<string, Tracked>();
  #changed: string[] = [];
  #counterIdLast: number;
  #latest: number;
  #entries: SqlValue[] = [];
  #counters: SqlValue[] = [];
  #entriesSinceSnapshot = 0;
  #snapshotAt = performance.now();
  readonly #elapsed: (() => number) | undefined;
  /** Begins with the first snapshot where there are no entries. */
  #steady: SteadyTime | undefined;
  #compactedAt = Number.NEGATIVE_INFINITY;
  #slicesCompactedAt = Number.NEGATIVE_INFINITY;

  constructor(
    { state, counterIds, counterIdLast, opened, latest, steady, changed }: Recovered,
    { snapshotMs = SNAPSHOT_MS, elapsed }: EncoderOptions = {},
  ) {
    this.#state = state;
    this.#opened = opened;
    this.#latest = latest;
    this.#elapsed = elapsed;
    this.#steady = steady > 0 ? new SteadyTime(steady, elapsed) : undefined;
    this.#counterIdLast = counterIdLast;
    this.#snapshotMs = snapshotMs;
    for (const [key, id] of counterIds) this.#tracked.set(key, { id, isChanged: changed.has(key) });
    this.#changed = [...changed];
  }

  /** The number of a counter in the tables. A counter without one has no entry there. */
  numberOf(key: string): number {
    return this.#tracked.get(key)?.id ?? 0;
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** Adds the entries of one command, after they became part of the state. */
  add(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const { reservation, seq, at } = entry;
      const isOpening = OPENING.has(entry.kind);
      pushEntry(this.#entries, entry, isOpening ? undefined : this.#opened.get(reservation), this.#postings(entry.postings));
      if (entry.kind === "reserved" || entry.kind === "leased") this.#opened.set(reservation, seq);
      if (at > this.#latest) this.#latest = at;
    }
    for (const { reservation } of entries) {
      if (!isKnown(this.#state, reservation)) this.#opened.delete(reservation);
    }
    this.#entriesSinceSnapshot += entries.length;
  }

  /** All that was gathered, with a snapshot where one is due. */
  take(now: number, { snapshot = this.#isSnapshotDue() } = {}): Batch {
    const batch: Batch = { counters: this.#counters, entries: this.#entries, snapshot: snapshot ? this.#snapshot(now) : undefined };
    this.#counters = [];
    this.#entries = [];
    return batch;
  }

  #postings(postings: readonly Posting[]): string {
    let text = "";
    for (const { counter, held, spent } of postings) {
      const tracked = this.#tracked.get(counter.key) ?? this.#define(counter);
      if (!tracked.isChanged) {
        tracked.isChanged = true;
        this.#changed.push(counter.key);
      }
      text += text === "" ? `${tracked.id},${held},${spent}` : `,${tracked.id},${held},${spent}`;
    }
    return text;
  }

  #define(counter: CounterRef): Tracked {
    const tracked = { id: ++this.#counterIdLast, isChanged: false };
    this.#tracked.set(counter.key, tracked);
    pushCounter(this.#counters, tracked.id, counter);
    return tracked;
  }

  #isSnapshotDue(): boolean {
    return (
      this.#entriesSinceSnapshot >= SNAPSHOT_ENTRIES ||
      this.#changed.length >= SNAPSHOT_COUNTERS ||
      performance.now() - this.#snapshotAt >= this.#snapshotMs
    );
  }

  #snapshot(now: number): Snapshot {
    const { seq, holds, expired, leases } = this.#state;
    const forgotten = this.#compact(now);
    if (this.#opened.size > holds.size + expired.size + leases.size) this.#forgetOpened();
    const balances = this.#balances(forgotten);
    const steady = this.#steady?.reached ?? 0;
    const snapshot = { seq, latest: this.#latest, steady, balances, forgotten: this.#untrack(forgotten), holds: this.#holds() };
    this.#changed = [];
    this.#entriesSinceSnapshot = 0;
    this.#snapshotAt = performance.now();
    return snapshot;
  }

  /** Balances of the counters that changed. Slices on which nothing stands any more are no counters: they are to be forgotten. */
  #balances(forgotten: string[]): readonly number[] {
    const balances: number[] = [];
    for (const key of this.#changed) {
      const tracked = this.#tracked.get(key);
      const counter = this.#state.counters.get(key);
      if (!tracked) continue;
      tracked.isChanged = false;
      if (counter) balances.push(tracked.id, counter.held, counter.spent);
      else forgotten.push(key);
    }
    return balances;
  }

  #holds(): string {
    const { holds, leases } = this.#state;
    const ids = [...holds.keys(), ...Array.from(leases.values(), ({ id }) => id)];
    return JSON.stringify(ids.map((id) => this.#opened.get(id)));
  }

  #compact(now: number): string[] {
    this.#steady ??= new SteadyTime(now, this.#elapsed);
    const steady = this.#steady.at(now);
    const forgotten: string[] = [];
    if (Math.abs(steady - this.#compactedAt) >= COMPACT_EVERY_MS) {
      this.#compactedAt = steady;
      forgotten.push(...compact(this.#state, steady - KEEP_CLOSED_MS));
    }
    if (Math.abs(steady - this.#slicesCompactedAt) >= COMPACT_SLICES_EVERY_MS) {
      this.#slicesCompactedAt = steady;
      forgotten.push(...compactSlices(this.#state, steady - KEEP_SLICES_MS));
    }
    return forgotten;
  }

  /** The numbers of counters that are kept no more. */
  #untrack(keys: readonly string[]): readonly number[] {
    const ids: number[] = [];
    for (const key of keys) {
      const tracked = this.#tracked.get(key);
      if (tracked) ids.push(tracked.id);
      this.#tracked.delete(key);
    }
    return ids;
  }

  /** The state drops its oldest expired reservations when it has too many. */
  #forgetOpened(): void {
    for (const id of this.#opened.keys()) if (!isKnown(this.#state, id)) this.#opened.delete(id);
  }
}

/** Entries of which nothing stands in another one before them. */
const OPENING: ReadonlySet<EntryKind> = new Set(["reserved", "denied", "answered", "leased"]);

/** Whether an id is one of a reservation or lease that can still be changed. */
export function isKnown({ holds, expired, leases }: State, id: string): boolean {
  return holds.has(id) || expired.has(id) || leases.get(id) !== undefined;
}
