import type { LeaseCommand, LeaseResult } from "../domain/lease.ts";
import type { Posting } from "../domain/ledger.ts";
import { createMemoryStore } from "../stores/memory.ts";
import type { LeasingStore } from "../stores/store.ts";
import type { OpenLeasingStore } from "./lease-contract.ts";

/** A store that lends and is broken on purpose, to show that the contract of leases sees it. */
export interface LeaseMutant {
  /** What it does wrong. */
  readonly fault: string;
  /** The name of the case of the contract that must fail. */
  readonly caughtBy: string;
  readonly open: OpenLeasingStore;
}

type Command = Omit<LeaseCommand, "kind">;

/** The mistakes that leases invite, each in an otherwise correct store. */
export const leaseMutants: readonly LeaseMutant[] = [
  mutant("allots more than is left", "a limit with nothing left allots nothing", (store) => ({
    lease: (command) =>
      store.lease({ ...command, wants: command.wants.map((want) => ({ ...want, limit: { ...want.limit, amount: 1_000_000 } })) }),
  })),

  mutant("says that more is allotted than is held", "leases get a fair part of what is left, and never all of it", (store) => ({
    lease: async (command) => withAmounts(await store.lease(command), (amount, i) => command.wants[i]?.amount ?? amount),
  })),

  mutant("lends all that is left to the first who asks", "leases get a fair part of what is left, and never all of it", (store) => ({
    lease: (command) =>
      store.lease({
        ...command,
        wants: command.wants.map((want) => ({ ...want, limit: { ...want.limit, amount: 2 * want.limit.amount } })),
      }),
  })),

  mutant("lends crumbs", "a part too small to be of use is not allotted", (store) => ({
    lease: (command) => store.lease({ ...command, wants: command.wants.map((want) => ({ ...want, least: 0 })) }),
  })),

  mutant("counts a report twice that comes twice", "a report that comes again counts once, and is answered as it stands", (store) => {
    let last = 0;
    return {
      lease: async (command) => {
        if (command.report <= last) await charge(store, command);
        last = Math.max(last, command.report);
        return store.lease(command);
      },
    };
  }),

  mutant(
    "takes back what a holder has at hand, when a report comes late",
    "a report that comes late, after others, counts nothing",
    (store) => {
      let last = 0;
      return {
        lease: (command) => {
          last = Math.max(last + 1, command.report);
          return store.lease({ ...command, report: last });
        },
      };
    },
  ),

  mutant("passes over a report that is missing", "a report after one that is missing counts nothing", (store) => {
    let next = 1;
    return { lease: (command) => store.lease({ ...command, report: next++ }) };
  }),

  mutant("never ends a lease", "what is left of a lease that has run out is charged; calls at once are only held", (store) => ({
    lease: (command) => store.lease({ ...command, leaseMs: 1e9 }),
  })),

  mutant("does not renew a lease", "a lease lives until it has run out, and is renewed by every report", (store) => ({
    lease: (command) => store.lease({ ...command, leaseMs: command.report === 1 ? command.leaseMs : 0 }),
  })),

  mutant(
    "returns what a lease that has run out may have used",
    "what is left of a lease that has run out is charged; calls at once are only held",
    (store) => ({
      expire: async () => {
        const result = await store.expire();
        for (const entry of await store.entries({ kinds: ["leased"], newest: true })) {
          if (entry.kind === "leased" && entry.end === "expired") await adjust(store, negated(entry.postings));
        }
        return result;
      },
    }),
  ),

  mutant(
    "forgets reports about a lease that has run out",
    "a report after its lease has run out corrects what was charged, and never doubles",
    (store) => ({
      lease: async (command) => {
        const result = await store.lease({ ...command, steps: [] });
        return result.outcome === "expired" ? result : store.lease({ ...command, report: command.report });
      },
    }),
  ),

  mutant(
    "charges what a lease that has run out used a second time",
    "a report after its lease has run out corrects what was charged, and never doubles",
    (store) => ({
      lease: async (command) => {
        const result = await store.lease(command);
        if (result.outcome === "expired") await charge(store, command);
        return result;
      },
    }),
  ),

  mutant("goes on lending on a lease that has run out", "a lease that has run out is allotted nothing more", (store) => ({
    lease: async (command) => {
      const result = await store.lease(command);
      return result.outcome === "expired" ? withAmounts(result, (amount, i) => command.wants[i]?.amount ?? amount) : result;
    },
  })),

  mutant("keeps what is no longer wanted", "what is no longer wanted is returned", (store) => {
    const wanted = new Map<string, Command["wants"][number]>();
    return {
      lease: (command) => {
        for (const want of command.wants) wanted.set(want.limit.counter.key, want);
        return store.lease({ ...command, wants: [...wanted.values()].sort((a, b) => command.wants.indexOf(b) - command.wants.indexOf(a)) });
      },
    };
  }),

  mutant(
    "keeps a lease that its holder ended",
    "a lease that its holder ends returns what is left, and takes no more reports",
    (store) => ({
      lease: ({ ends: _, ...command }) => store.lease(command),
    }),
  ),

  mutant("lets one bad step spoil a report", "a step that cannot be counted keeps no other from being counted", (store) => ({
    lease: async (command) => {
      const result = await store.lease(command);
      if (result.outcome !== "leased" || result.rejected.length === 0) return result;
      for (const { id } of result.rejected) await store.release({ id, why: "broken on purpose" });
      return result;
    },
  })),

  mutant(
    "hides what calls used beyond their lease",
    "calls cannot hold more than their lease has; what they use beyond is an overrun, and counted",
    (store) => ({
      settle: async (command) => {
        const [reserved] = await store.entries({ reservation: command.id, kinds: ["reserved"] });
        const capped = Object.fromEntries(reserved?.postings.map(({ counter, held }) => [counter.unit, held]) ?? []);
        return store.settle({ ...command, amounts: { ...command.amounts, ...capped } });
      },
    }),
  ),

  mutant("lends of a window that moves", "a moving window lends nothing", (store) => ({
    lease: (command) =>
      store.lease({ ...command, wants: command.wants.map(({ limit: { rule: _, ...limit }, ...want }) => ({ ...want, limit })) }),
  })),

  mutant(
    "shortens a patient call",
    "a patient call is refused, rather than shortened, where leases hold what it lacks, and nowhere else",
    (store) => ({ reserve: ({ patient: _, ...command }) => store.reserve(command) }),
  ),

  mutant("recalls nothing", "what a patient call lacks is recalled: for a while it is lent to nobody", (store) => ({
    reserve: (command) => store.reserve({ ...command, patient: false }),
  })),

  mutant("counts requests that leases could make as used up", "requests that a lease could make are not used up", (store) => ({
    reserve: async (command) => {
      const result = await store.reserve(command);
      return result.outcome === "refused" ? { ...result, until: command.limits[0]?.counter.resetsAt ?? 0 } : result;
    },
  })),

  mutant("hides that what is held is allotted", "what is allotted is held, and no call has it", (store) => ({
    counters: async (filter) => (await store.counters(filter)).map(({ ref, spent, held }) => ({ ref, spent, held })),
  })),
];

function mutant(fault: string, caughtBy: string, break_: (store: LeasingStore) => Partial<LeasingStore>): LeaseMutant {
  return {
    fault,
    caughtBy,
    open: async (options) => {
      const store = createMemoryStore(options);
      return { ...store, ...break_(store) };
    },
  };
}

function withAmounts(result: LeaseResult, amountOf: (amount: number, i: number) => number): LeaseResult {
  if (result.outcome !== "leased" && result.outcome !== "expired") return result;
  return { ...result, portions: result.portions.map((portion, i) => ({ ...portion, amount: amountOf(portion.amount, i) })) };
}

/** Charges what the settlements of a report say, on the counters that it wants. */
async function charge(store: LeasingStore, { steps, wants }: Command): Promise<void> {
  for (const step of steps) {
    if (step.kind !== "settle") continue;
    await adjust(
      store,
      wants.map(({ limit: { counter } }) => ({ counter, held: 0, spent: step.amounts[counter.unit] })),
    );
  }
}

function negated(postings: readonly Posting[]): readonly Posting[] {
  return postings.map(({ counter, spent }) => ({ counter, held: 0, spent: 0 - spent }));
}

async function adjust(store: LeasingStore, postings: readonly Posting[]): Promise<void> {
  await store.record({ kind: "adjusted", reservation: "", postings, why: "broken on purpose" });
}
