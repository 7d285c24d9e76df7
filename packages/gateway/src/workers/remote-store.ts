import type { LeasingStore } from "@purser/core";
import type { Ask } from "./asking.ts";

/** The store of another process. */
export function createRemoteStore(ask: Ask): LeasingStore {
  return {
    reserve: (command) => ask("reserve", { ...command, limits: command.limits.map(plain) }),
    extend: (command) => ask("extend", command),
    settle: (command) => ask("settle", command),
    release: (command) => ask("release", command),
    expire: () => ask("expire", undefined),
    record: (entry) => ask("record", entry),
    lease: (command) => ask("lease", { ...command, wants: command.wants.map((want) => ({ ...want, limit: plain(want.limit) })) }),
    counters: (filter) => ask("counters", filter),
    standings: (limits) => ask("standings", limits.map(plain)),
    entries: (query) => ask("entries", query),
    // The store is closed by the process that has it.
    close: async () => undefined,
  };
}

type Limit = Parameters<LeasingStore["standings"]>[0][number];

/** A limit without what belongs to this process only. */
function plain({ counter, amount, enforced, observedUntil, rule, rollover }: Limit): Limit {
  return {
    counter,
    amount,
    enforced,
    ...(observedUntil !== undefined && { observedUntil }),
    ...(rule && { rule }),
    ...(rollover && { rollover }),
  };
}
