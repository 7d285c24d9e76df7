import type { SqlValue } from "./driver.ts";

/** The balances and holds at one moment. Balances that did not change since the last snapshot are left out. */
export interface Snapshot {
  readonly seq: number;
  /** No entry so far is later than this. */
  readonly latest: number;
  /** The time by which windows are forgotten. */
  readonly steady: number;
  /** `counter, held, spent` repeated. */
  readonly balances: readonly number[];
  /** Counters that are not kept any more. */
  readonly forgotten: readonly number[];
  /** The entries that opened the reservations in flight, as JSON. */
  readonly holds: string;
}

/** What one transaction writes: entries, the counters that they are the first to name, and now and then a snapshot after them. */
export interface Batch {
  readonly counters: readonly SqlValue[];
  readonly entries: readonly SqlValue[];
  readonly snapshot: Snapshot | undefined;
}
