import { randomUUID } from "node:crypto";
import { PurserError } from "../../errors.ts";
import { TIMERS, type Timers } from "../../timers.ts";
import type { LeasingStore, Store } from "../store.ts";
import { AllottedStore, type LeasedStore } from "./leased-store.ts";

export type { LeasedStore } from "./leased-store.ts";

export interface LeasedStoreOptions {
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
  /** Told of reports that could not be made, once for each outage, and of what could not be counted. */
  readonly onError?: (error: unknown) => void;
  /** Those of the process where they are left out. */
  readonly timers?: Timers;
  /** Names a lease that never was; random where it is left out. */
  readonly newId?: () => string;
  /** How long what is allotted can be used while the store does not answer. Half a minute where it is left out. */
  readonly leaseMs?: number;
  /** What was done is reported to the store this often. 2 seconds where it is left out. */
  readonly reportMs?: number;
  /** By how much the clocks of this machine and of the store's may differ. A second where it is left out. */
  readonly clockAllowanceMs?: number;
}

const LEASE_MS = 30_000;
const REPORT_MS = 2_000;
const CLOCK_ALLOWANCE_MS = 1_000;

/**
 * A store for one of several processes that share another store: it takes allotments of the limits that are asked for often, decides from
 * memory inside them, and asks the shared store for everything else. Together they never exceed a limit.
 * Closing it returns what is allotted, and closes the shared store.
 */
export function createLeasedStore(store: Store, options: LeasedStoreOptions = {}): LeasedStore {
  if (!lends(store)) {
    throw new PurserError(
      "leases_unsupported",
      "This store does not lend parts of its balances: it has no `lease`. Use it without createLeasedStore, or a store that has it, such as those of memory, SQLite and Redis.",
    );
  }
  return new AllottedStore({
    store,
    now: options.now ?? Date.now,
    onError: options.onError ?? (() => undefined),
    timers: options.timers ?? TIMERS,
    newId: options.newId ?? (() => `lease_${randomUUID()}`),
    leaseMs: options.leaseMs ?? LEASE_MS,
    reportMs: options.reportMs ?? REPORT_MS,
    clockAllowanceMs: options.clockAllowanceMs ?? CLOCK_ALLOWANCE_MS,
  });
}

function lends(store: Store): store is LeasingStore {
  return typeof (store as Partial<LeasingStore>).lease === "function";
}
