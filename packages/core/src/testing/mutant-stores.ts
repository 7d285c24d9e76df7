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
    expire: async () => ({ expired: 0 }),
  })),

  mutant(
    "returns a hold whose end is unknown",
    "a hold that expires is charged at its estimate, unconfirmed; calls at once are only held",
    (store) => ({
      expire: async () => {
        const result = await store.expire();
        for (const { postings } of (await store.entries({ kinds: ["expired"], newest: true })).slice(-result.expired || Infinity)) {
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

function adjust(store: Store, postings: readonly Posting[]): Promise<void> {
  return store.record({ kind: "adjusted", reservation: "", postings, why: "broken on purpose" });
}

/** What a reservation held when it was opened. */
async function postingsOf(store: Store, id: string): Promise<readonly Posting[]> {
  const [reserved] = await store.entries({ reservation: id, kinds: ["reserved"] });
  return reserved?.postings ?? [];
}
