import type { BoundLimit } from "../domain/command.ts";
import type { Posting } from "../domain/ledger.ts";
import { createMemoryStore } from "../stores/memory.ts";
import type { Store } from "../stores/store.ts";
import type { OpenStore } from "./store-contract.ts";

/** A store that is broken on purpose, to show that the contract sees it. */
export interface MutantStore {
  /** What it does wrong. */
  readonly fault: string;
  /** The name of the case of the contract that must fail. */
  readonly caughtBy: string;
  readonly open: OpenStore;
}

/** The mistakes that stores of balances are known for, each in an otherwise correct store. */
export const mutantStores: readonly MutantStore[] = [
  mutant("checks first and acts later", "calls at the same time cannot share what is left", (store) => ({
    reserve: async (command) => {
      const counters = new Map((await store.counters()).map((counter) => [counter.ref.key, counter]));
      const fits = command.limits.every(({ counter, amount }) => {
        const { spent = 0, held = 0 } = counters.get(counter.key) ?? {};
        const ask = command.asks[counter.unit];
        return Math.ceil((ask.base + ask.perOutputToken * command.output.least) / ask.scale) <= amount - spent - held;
      });
      return store.reserve(fits ? { ...command, limits: command.limits.map((limit) => ({ ...limit, enforced: false })) } : command);
    },
  })),

  mutant(
    "keeps what it held on the limits before the one that refuses",
    "a call that one limit refuses holds nothing on the others",
    (store) => ({
      reserve: async (command) => {
        const result = await store.reserve(command);
        if (result.outcome === "refused") await store.reserve({ ...command, limits: command.limits.slice(0, result.failing) });
        return result;
      },
    }),
  ),

  mutant(
    "holds more without looking whether it fits",
    "calls that ask for more at the same time never hold more than there is",
    (store) => ({
      extend: (command) => {
        const { more } = command;
        return store.extend(
          more ? { ...command, more: { ...more, limits: more.limits.map((limit) => ({ ...limit, enforced: false })) } } : command,
        );
      },
    }),
  ),

  mutant(
    "enforces a limit that is on trial",
    "a limit on trial refuses nothing before its end, and from then on by what was used meanwhile",
    (store) => ({
      reserve: (command) => store.reserve({ ...command, limits: command.limits.map(({ observedUntil: _, ...limit }) => limit) }),
    }),
  ),

  mutant("forgets what is held when a call is released", "a release returns all that was held", () => ({
    release: async () => ({ outcome: "released" }),
  })),

  mutant("charges again when a call is settled again", "settling twice charges once", (store) => ({
    settle: async (command) => {
      const result = await store.settle(command);
      if (result.outcome === "duplicate") {
        const postings = await postingsOf(store, command.id);
        await adjust(
          store,
          postings.map(({ counter }) => ({ counter, held: 0, spent: command.amounts[counter.unit] })),
        );
      }
      return result;
    },
  })),

  mutant("loses what is below ten units", "settling replaces the hold by what was used, to the unit", (store) => ({
    settle: (command) => {
      const rounded = Object.entries(command.amounts).map(([unit, amount]) => [unit, amount > 10 ? amount - (amount % 10) : amount]);
      return store.settle({ ...command, amounts: Object.fromEntries(rounded) });
    },
  })),

  mutant("never ends a hold whose lease has run out", "a hold whose lease has run out ends", () => ({
    expire: async () => ({ expired: [] }),
  })),

  mutant(
    "returns a hold whose end is unknown",
    "a hold that expires is charged at its estimate, unconfirmed; calls at once are only held",
    (store) => ({
      expire: async () => {
        const result = await store.expire();
        for (const { postings } of (await store.entries({ kinds: ["expired"], newest: true })).slice(-result.expired.length || Infinity)) {
          await adjust(
            store,
            postings.map(({ counter, spent }) => ({ counter, held: 0, spent: -spent })),
          );
        }
        return result;
      },
    }),
  ),

  mutant("counts a hold as spent", "a reservation holds what it asks on every limit, apart from what is spent", (store) => ({
    counters: async (filter) => (await store.counters(filter)).map(({ ref, spent, held }) => ({ ref, spent: spent + held, held: 0 })),
  })),

  mutant("holds again when a reservation is repeated", "repeating a reservation gives the same answer and holds once", (store) => ({
    reserve: async (command) => {
      const before = await postingsOf(store, command.id);
      if (before.length > 0) await store.reserve({ ...command, id: `${command.id} again` });
      return store.reserve(command);
    },
  })),

  mutant("forgets that a reservation has ended", "a reservation that ended cannot hold again, however late it is repeated", (store) => {
    let repeats = 0;
    return {
      reserve: async (command) => {
        const result = await store.reserve(command);
        return result.outcome === "ended" ? store.reserve({ ...command, id: `${command.id} again ${++repeats}` }) : result;
      },
    };
  }),

  mutant("hides what exceeds a hold", "what exceeds a hold is counted, by an entry of its own", (store) => ({
    settle: async (command) => {
      const held = new Map((await postingsOf(store, command.id)).map((posting) => [posting.counter.unit as string, posting.held]));
      const capped = Object.entries(command.amounts).map(([unit, amount]) => [unit, Math.min(amount, held.get(unit) ?? amount)]);
      return store.settle({ ...command, amounts: Object.fromEntries(capped) });
    },
  })),

  mutant(
    "counts a moving window from one slice alone",
    "a rolling limit is not passed in any span of its length, and frees itself slice by slice",
    (store) => withLimits(store, ({ rule: _, ...limit }) => limit),
  ),

  mutant(
    "forgets the oldest slice of a rolling window",
    "a rolling limit is not passed in any span of its length, and frees itself slice by slice",
    (store) =>
      withLimits(store, (limit) =>
        limit.rule?.kind === "rolling" ? { ...limit, rule: { ...limit.rule, lengthMs: limit.rule.lengthMs - limit.rule.sliceMs } } : limit,
      ),
  ),

  mutant("posts a call to the slice in which it ends", "a call stays in the slice in which it was reserved, whenever it ends", (store) => {
    return {
      settle: async (command) => {
        const result = await store.settle(command);
        for (const { counter } of await postingsOf(store, command.id)) {
          const spent = command.amounts[counter.unit];
          const startsAt = counter.startsAt + 50_000;
          const later = { ...counter, key: `${counter.series}|${startsAt}`, startsAt };
          await adjust(store, [
            { counter, held: 0, spent: -spent },
            { counter: later, held: 0, spent },
          ]);
        }
        return result;
      },
    };
  }),

  mutant("drains a bucket a little too fast", "a bucket takes its amount at once and drains at its rate, in whole units", (store) =>
    withLimits(store, (limit) =>
      limit.rule?.kind === "bucket" ? { ...limit, rule: { ...limit.rule, periodMs: limit.rule.periodMs - 60 } } : limit,
    ),
  ),

  mutant("keeps a call in a bucket at what it held", "what a call in a bucket did not use was never in it", (store) => ({
    settle: async (command) => {
      const held = new Map((await postingsOf(store, command.id)).map((posting) => [posting.counter.unit as string, posting.held]));
      const amounts = Object.entries(command.amounts).map(([unit, amount]) => [unit, held.get(unit) ?? amount]);
      return store.settle({ ...command, amounts: Object.fromEntries(amounts) });
    },
  })),

  mutant("lets a request in flight keep its place in a bucket", "requests that a bucket lets through drain at once", (store) =>
    withLimits(store, (limit) => (limit.rule?.kind === "bucket" ? { ...limit, rule: { ...limit.rule, drains: 0 } } : limit)),
  ),

  mutant(
    "rounds what drains down in every slice",
    "a bucket that is never empty neither grows nor forgets: in no span passes more than its amount and what drains",
    (store) =>
      withLimits(store, (limit) =>
        limit.rule?.kind === "bucket" ? { ...limit, rule: { ...limit.rule, drains: limit.rule.drains - (limit.rule.drains % 7) } } : limit,
      ),
  ),

  mutant(
    "keeps a grant after its end",
    "a grant adds to its limit from its beginning to its end, or until it is revoked, for its subject alone",
    (store) => ({
      record: (entry) => store.record(entry.kind === "granted" ? { ...entry, grant: { ...entry.grant, until: 2 ** 52 } } : entry),
    }),
  ),

  mutant(
    "adds a grant that is given again",
    "a grant adds to its limit from its beginning to its end, or until it is revoked, for its subject alone",
    (store) => {
      let times = 0;
      return {
        record: (entry) =>
          store.record(entry.kind === "granted" ? { ...entry, grant: { ...entry.grant, id: `${entry.grant.id} ${++times}` } } : entry),
      };
    },
  ),

  mutant("carries over all that was left", "what a window left unused is added to the next one, up to a most", (store) =>
    withLimits(store, (limit) => (limit.rollover ? { ...limit, rollover: { ...limit.rollover, most: limit.rollover.amount } } : limit)),
  ),

  mutant("carries over what is held", "what a window left unused is added to the next one, up to a most", (store) => {
    let held = 0;
    return {
      standings: async (limits) => {
        const standings = await store.standings(limits);
        held = (await store.counters()).reduce((sum, counter) => sum + counter.held, 0);
        return standings.map((standing) => ({ ...standing, amount: Math.min(130, standing.amount + held) }));
      },
    };
  }),

  mutant(
    "resets to below nothing when asked twice",
    "a reset takes back what is spent when it is made, and nothing that is held",
    (store) => ({
      record: async (entry) => {
        if (entry.kind !== "adjusted" || !entry.reset) return store.record(entry);
        const spent = new Map((await store.counters()).map((counter) => [counter.ref.key, counter.spent]));
        const postings = entry.postings.map(({ counter }) => ({ counter, held: 0, spent: -(spent.get(counter.key) ?? 0) }));
        const { reset: _, ...adjusted } = entry;
        return store.record({ ...adjusted, postings });
      },
    }),
  ),

  {
    fault: "ends holds before their lease has run out",
    caughtBy: "a hold lives until its lease has run out",
    open: async ({ now }) => {
      let early = 0;
      const store = createMemoryStore({ now: () => now() + early });
      const expire = () => {
        early = 1;
        const expired = store.expire();
        early = 0;
        return expired;
      };
      return { ...store, expire };
    },
  },
];

function mutant(fault: string, caughtBy: string, break_: (store: Store) => Partial<Store>): MutantStore {
  return {
    fault,
    caughtBy,
    open: async (options) => {
      const store = createMemoryStore(options);
      return { ...store, ...break_(store) };
    },
  };
}

/** A store that is told other limits than it is asked about. */
function withLimits(store: Store, change: (limit: BoundLimit) => BoundLimit): Partial<Store> {
  return {
    reserve: (command) => store.reserve({ ...command, limits: command.limits.map(change) }),
    standings: (limits) => store.standings(limits.map(change)),
  };
}

async function adjust(store: Store, postings: readonly Posting[]): Promise<void> {
  await store.record({ kind: "adjusted", reservation: "", postings, why: "broken on purpose" });
}

/** What a reservation held when it was opened. */
async function postingsOf(store: Store, id: string): Promise<readonly Posting[]> {
  const [reserved] = await store.entries({ reservation: id, kinds: ["reserved"] });
  return reserved?.postings ?? [];
}
