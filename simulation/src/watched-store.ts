import type { BoundLimit } from "../../packages/core/dist/domain/command.js";
import { LEDGER_PAGE, type Store } from "../../packages/core/dist/stores/store.js";
import type { Asked, Laws } from "./laws.js";
import type { Configuration } from "./plan.js";

export interface WatchOptions {
  readonly laws: Laws;
  /** By the clock of the store. */
  readonly now: () => number;
  /** Whether its ledger is to be read after each verb. Where entries become durable later, whoever keeps them tells. */
  readonly readsLedger: boolean;
  /** Holds what a law says against the simulation. */
  readonly check: (law: () => void) => void;
}

const COMPARED_EVERY = 16;

/** A store whose every answer is held against the laws. */
export function watchStore(store: Store, { laws, now, readsLedger, check }: WatchOptions): Store {
  const readOn = async () => {
    if (!readsLedger) return;
    const before = laws.books.seq;
    for (;;) {
      const entries = await store.entries({ after: laws.books.seq });
      for (const entry of entries) {
        check(() => laws.entered(entry));
        // A violation leaves the books behind; there is no sense in reading on.
        if (laws.books.seq !== entry.seq) return;
      }
      if (entries.length < LEDGER_PAGE) break;
    }
    // All balances are looked at now and then, and at the end: there can be many.
    if (Math.floor(before / COMPARED_EVERY) === Math.floor(laws.books.seq / COMPARED_EVERY)) return;
    const counters = await store.counters();
    check(() => laws.balances(counters));
  };
  const watched = async <Result>(verb: Promise<Result>): Promise<Result> => {
    const result = await verb;
    await readOn();
    return result;
  };
  return {
    ...verbsOf(store),
    reserve: async (command) => {
      const asked = laws.attempts.get(command.id)?.asked;
      const own = asked?.findLast((one) => one.command === command) ?? asked?.at(-1);
      if (own) own.at = now();
      // Read at the same moment: another call may be decided before either is answered.
      const before = store.standings(command.limits);
      const result = await watched(store.reserve(command));
      if (result.outcome === "reserved") check(() => laws.reserved(command, result));
      if (result.outcome !== "refused") return result;
      const standings = await before;
      if (own) check(() => laws.refused(own, result, standings));
      return result;
    },
    extend: (command) => watched(store.extend(command)),
    settle: (command) => watched(store.settle(command)),
    release: (command) => watched(store.release(command)),
    expire: async () => {
      const [at, upTo] = [now(), laws.books.seq];
      const result = await watched(store.expire());
      check(() => laws.expired(at, upTo));
      return result;
    },
    record: (entry) => watched(store.record(entry)),
  };
}

/** The verbs of a store as values, to put others in the place of some of them. */
export function verbsOf(store: Store): Store {
  return {
    reserve: (command) => store.reserve(command),
    extend: (command) => store.extend(command),
    settle: (command) => store.settle(command),
    release: (command) => store.release(command),
    expire: () => store.expire(),
    record: (entry) => store.record(entry),
    standings: (limits) => store.standings(limits),
    counters: (filter) => store.counters(filter),
    entries: (query) => store.entries(query),
    close: () => store.close(),
    ...(store.time && { time: () => store.time?.() as Promise<number> }),
    ...(store.alone && { alone: (work) => store.alone?.(work) as ReturnType<typeof work> }),
  };
}

function isOpenAt({ counter: { startsAt, resetsAt = Number.POSITIVE_INFINITY } }: BoundLimit, at: number): boolean {
  return startsAt <= at && at < resetsAt;
}

export interface NoteOptions {
  readonly laws: Laws;
  /** The configuration that the gateway goes by at the moment. */
  judgedBy(): Configuration;
  /** By the gateway's clock. */
  now(): number;
  /** Told of the call that the store failed; of none where that is one of those that are being decided. */
  onFailure(id?: string): void;
}

/** What a gateway asks of its store is noted before it is asked, with the configuration that the gateway went by. */
export function notedStore(store: Store, { laws, judgedBy, now, onFailure }: NoteOptions): Store {
  const known = new WeakMap<object, Pick<Asked, "configuration" | "askedAt">>();
  /** The time of the store when it sent a call back. */
  const movedTo = new Map<string, number>();
  /** A call keeps its limits while it is decided, whatever is configured meanwhile. */
  const termsOf = (limits: object) => {
    const own = known.get(limits) ?? { configuration: judgedBy(), askedAt: now() };
    known.set(limits, own);
    return own;
  };
  const told = <Result>(answer: Promise<Result>, id?: string): Promise<Result> => {
    return answer.catch((error) => {
      onFailure(id);
      throw error;
    });
  };
  return {
    ...verbsOf(store),
    reserve: async (command) => {
      const own = termsOf(command.limits);
      const attempt = laws.attempts.get(command.id);
      attempt?.asked.push({ command, ...own, at: undefined });
      laws.lastAnswers.asks(
        command.id,
        command.limits.map(({ counter }) => counter),
      );
      try {
        const result = await store.reserve(command);
        if (result.outcome === "moved") {
          const before = movedTo.get(command.id);
          // Bound to the windows of its last answer, the call was asked again, and they had ended too: the store is too slow for them.
          if (attempt && before !== undefined && command.limits.every((limit) => isOpenAt(limit, before))) attempt.sawFailure = true;
          movedTo.set(command.id, result.now);
        }
        return result;
      } catch (error) {
        if (attempt) attempt.sawFailure = true;
        onFailure(command.id);
        throw error;
      }
    },
    extend: (command) => {
      const attempt = command.more && laws.attempts.get(command.id);
      if (attempt) attempt.raisedBy = judgedBy();
      return store.extend(command);
    },
    // What could not be said may still be said later, by this process alone.
    settle: (command) => told(store.settle(command), command.id),
    release: (command) => told(store.release(command), command.id),
    standings: (limits) => {
      termsOf(limits);
      return told(store.standings(limits));
    },
  };
}
