import type { Command, Results } from "../domain/command.ts";
import { apply } from "../domain/engine.ts";
import type { Entry } from "../domain/ledger.ts";
import { standings } from "../domain/standing.ts";
import { type Counter, compactSlices, createState, type State } from "../domain/state.ts";
import { KEEP_SLICES_MS, SteadyTime } from "./forgetting.ts";
import { type CounterFilter, LEDGER_PAGE, type LeasingStore, type LedgerQuery, matchesQuery } from "./store.ts";

export interface MemoryStoreOptions {
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
  /** Milliseconds from any moment on, by a clock that cannot be set; `performance.now` where it is left out. */
  readonly elapsed?: () => number;
}

/** Slices close all the time. They are forgotten when so many have come, so that looking for them costs little. */
const COMPACT_EVERY_COUNTERS = 1_000;

/** Balances and ledger in this process only: for tests, and for programs that need no memory of yesterday. */
export function createMemoryStore({ now = Date.now, elapsed }: MemoryStoreOptions = {}): LeasingStore {
  const state: State = createState();
  const ledger: Entry[] = [];
  const steady = new SteadyTime(now(), elapsed);
  let compactAt = COMPACT_EVERY_COUNTERS;

  const run = <Kind extends Command["kind"]>(command: Extract<Command, { kind: Kind }>): Results[Kind] => {
    const { result, entries } = apply(state, command, now());
    ledger.push(...entries);
    if (state.counters.size >= compactAt) {
      compactSlices(state, steady.at(now()) - KEEP_SLICES_MS);
      compactAt = state.counters.size + COMPACT_EVERY_COUNTERS;
    }
    return result;
  };

  return {
    reserve: async (command) => run({ kind: "reserve", ...command }),
    extend: async (command) => run({ kind: "extend", ...command }),
    settle: async (command) => run({ kind: "settle", ...command }),
    release: async (command) => run({ kind: "release", ...command }),
    expire: async () => run({ kind: "expire" }),
    record: async (entry) => run({ kind: "record", entry }),
    lease: async (command) => run({ kind: "lease", ...command }),
    counters: async (filter = {}) => selectCounters(state, filter),
    standings: async (limits) => standings(state, limits, now()),
    entries: async (query) => selectEntries(ledger, query),
    close: async () => undefined,
  };
}

/** Copies of the counters that a filter asks for. */
export function selectCounters({ counters, leases }: State, { budget }: CounterFilter): readonly Counter[] {
  const selected: Counter[] = [];
  for (const counter of counters.values()) {
    if (budget !== undefined && counter.ref.budget !== budget) continue;
    const allotted = leases.allotted(counter.ref.key);
    selected.push(allotted > 0 ? { ...counter, allotted } : { ...counter });
  }
  return selected;
}

function selectEntries(ledger: readonly Entry[], query: LedgerQuery): readonly Entry[] {
  // Entries are numbered without gaps, from 1.
  const matching = ledger.slice(query.after ?? 0).filter((entry) => matchesQuery(entry, query));
  const most = query.most ?? LEDGER_PAGE;
  return query.newest ? matching.slice(-most) : matching.slice(0, most);
}
