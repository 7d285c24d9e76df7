import type { ReserveCommand } from "../../packages/core/dist/domain/command.js";
import type { AdjustingGrant, Grant, Store } from "../../packages/core/dist/index.js";
import type { Journal } from "../../packages/core/dist/stores/sqlite/journal.js";
import type { Recovered } from "../../packages/core/dist/stores/sqlite/recovery.js";
import type { Gateway } from "../../packages/gateway/dist/gateway.js";
import { requestOf } from "./failover-law.js";
import { isLastAnswer } from "./finishing.js";
import { ROUTES } from "./routes.js";
import type { Scenario } from "./scenario.js";
import { verbsOf } from "./watched-store.js";

/** What can be put in the place of parts of the product: something that is broken. */
export interface Breakable {
  /** The store as it decides. */
  server(store: Store): Store;
  /** The store as a gateway reaches it. */
  client(store: Store): Store;
  journal(journal: Journal): Journal;
  recovered(recovered: Recovered): Recovered;
  upstream(upstream: Gateway["upstream"]): Gateway["upstream"];
}

/** A mistake that such systems are known for, and the law that must find it. */
export interface PlantedFault extends Partial<Breakable> {
  readonly fault: string;
  readonly laws: readonly number[];
  /** Where the mistake can be made at all. */
  readonly scenario: Partial<Scenario>;
}

type Command = Omit<ReserveCommand, "kind">;

const REMOTE: Partial<Scenario> = { store: "remote", gateways: 3, skewRate: 0 };
const EMBEDDED: Partial<Scenario> = { store: "embedded", gateways: 1, skewRate: 0 };

const FAILOVER: Partial<Scenario> = { routes: ROUTES, trouble: 0.5, programShare: 0, neighbourShare: 0 };

/** Models that are called more often and less often, share a limit of requests by the minute. */
const SHARING: Partial<Scenario> = {
  plan: [
    {
      ...{ name: "each model", selects: {}, per: ["model"], timezone: "UTC", isEnforced: true, isOpen: false, minOutput: 1 },
      limits: [{ unit: "requests", window: "hour", amount: 60 }],
      share: { among: [], every: "minute", from: 30, keep: 0, most: 300 },
      ...{ maxInput: undefined, maxOutput: undefined, models: undefined },
    },
  ],
  shareEveryMs: 5_000,
  callRate: 100,
  programShare: 0,
  neighbourShare: 0,
  changeRate: 0,
  favourRate: 0,
  leapRate: 0,
  startsAt: Date.UTC(2026, 5, 1, 12, 48),
};

/** A limit by the day that follows its use, as a day ends. */
const ADJUSTING: Partial<Scenario> = {
  plan: [
    {
      ...{ name: "company", selects: {}, per: [], timezone: "UTC", isEnforced: true, isOpen: false, minOutput: 1 },
      limits: [{ unit: "requests", window: "day", amount: 300 }],
      adjust: { unit: "requests", window: "day", least: 100, most: 900, every: "day", step: 20 },
      ...{ maxInput: undefined, maxOutput: undefined, models: undefined },
    },
  ],
  adjustEveryMs: 5_000,
  callRate: 40,
  programShare: 0,
  neighbourShare: 0,
  changeRate: 0,
  favourRate: 0,
  leapRate: 0,
  startsAt: Date.UTC(2026, 5, 1, 23, 56),
};

/** Of each task half is kept for its last answer. */
const FINISHING: Partial<Scenario> = {
  ...REMOTE,
  plan: [
    {
      ...{ name: "each task", selects: {}, per: ["task"], timezone: "UTC", isEnforced: true, isOpen: false, minOutput: 1 },
      limits: [{ unit: "tokens", window: "lifetime", amount: 20_000 }],
      ...{ maxInput: undefined, maxOutput: undefined, models: undefined, finishAt: 50 },
    },
  ],
  callRate: 60,
  programShare: 0.2,
  neighbourShare: 0.2,
  changeRate: 0,
  favourRate: 0,
};

/** Each is planted by wrapping: there is nothing in the product that could be switched. */
export const PLANTED_FAULTS: readonly PlantedFault[] = [
  {
    fault: "checks first and acts later",
    laws: [1],
    scenario: { ...REMOTE, callRate: 60 },
    client: (store) => ({
      ...verbsOf(store),
      reserve: async (command) => {
        const counters = new Map((await store.counters()).map((counter) => [counter.ref.key, counter]));
        const fits = command.limits.every(({ counter, amount }) => {
          const { spent = 0, held = 0 } = counters.get(counter.key) ?? {};
          return least(command, counter.unit) <= amount - spent - held;
        });
        return store.reserve(fits ? { ...command, limits: command.limits.map((limit) => ({ ...limit, enforced: false })) } : command);
      },
    }),
  },
  {
    fault: "keeps what it held on the limits before the one that refuses",
    laws: [2],
    scenario: REMOTE,
    server: (store) => ({
      ...verbsOf(store),
      reserve: async (command) => {
        const result = await store.reserve(command);
        if (result.outcome === "refused" && result.failing > 0)
          await store.reserve({ ...command, limits: command.limits.slice(0, result.failing), share: undefined });
        return result;
      },
    }),
  },
  {
    fault: "holds more of a call without looking whether it fits",
    laws: [1],
    scenario: { ...REMOTE, programShare: 1, callRate: 60 },
    server: (store) => ({
      ...verbsOf(store),
      extend: (command) => {
        const { more } = command;
        if (!more) return store.extend(command);
        return store.extend({ ...command, more: { ...more, limits: more.limits.map((limit) => ({ ...limit, enforced: false })) } });
      },
    }),
  },
  {
    fault: "lets any call have what is kept for the last one of its task",
    laws: [1, 10],
    scenario: FINISHING,
    client: (store) => ({
      ...verbsOf(store),
      reserve: (command) => store.reserve({ ...command, limits: command.limits.map((limit) => ({ ...limit, amount: limit.amount * 2 })) }),
    }),
  },
  {
    fault: "gives a task several last answers",
    laws: [1],
    scenario: FINISHING,
    client: (store) => ({
      ...verbsOf(store),
      reserve: (command) =>
        store.reserve({ ...command, limits: command.limits.map((limit) => (isLast(limit) ? { ...limit, amount: 9 } : limit)) }),
    }),
  },
  {
    fault: "begins calls in a task that has its last answer",
    laws: [1],
    scenario: FINISHING,
    client: (store) => ({
      ...verbsOf(store),
      standings: async (limits) =>
        (await store.standings(limits)).map((standing, i) => (isLast(limits[i]) ? { ...standing, spent: 0 } : standing)),
    }),
  },
  {
    fault: "charges again when a call is settled again",
    laws: [6],
    scenario: { ...REMOTE, programShare: 1 },
    server: (store) => ({
      ...verbsOf(store),
      settle: async (command) => {
        const result = await store.settle(command);
        if (result.outcome !== "duplicate") return result;
        const [reserved] = await store.entries({ reservation: command.id, kinds: ["reserved"] });
        const postings = (reserved?.postings ?? []).map(({ counter }) => ({ counter, held: 0, spent: command.amounts[counter.unit] }));
        await store.record({ kind: "adjusted", reservation: "", postings, why: "broken on purpose" });
        return result;
      },
    }),
  },
  {
    fault: "returns a hold whose end is unknown",
    laws: [6],
    scenario: { ...REMOTE, crashChance: 0.005 },
    server: (store) => ({
      ...verbsOf(store),
      expire: async () => {
        const result = await store.expire();
        const expired =
          result.expired.length === 0 ? [] : await store.entries({ kinds: ["expired"], newest: true, most: result.expired.length });
        for (const { postings } of expired) {
          const back = postings.map(({ counter, spent }) => ({ counter, held: 0, spent: 0 - spent }));
          await store.record({ kind: "adjusted", reservation: "", postings: back, why: "broken on purpose" });
        }
        return result;
      },
    }),
  },
  {
    fault: "forgets a hold when it starts again",
    laws: [3, 6],
    scenario: { ...EMBEDDED, crashChance: 0.005 },
    recovered: (recovered) => {
      const { holds } = recovered.state;
      for (const id of [...holds.keys()].slice(0, 1)) holds.delete(id);
      return recovered;
    },
  },
  {
    fault: "says that a hold is durable before it is",
    laws: [5],
    scenario: { ...EMBEDDED, diskSlowChance: 0.5 },
    journal: (journal) => ({
      ...journal,
      write: async (batch) => {
        // Whoever is in such a hurry does not look at what became of it either.
        journal.write(batch).catch(() => undefined);
      },
    }),
  },
  {
    fault: "takes every day for one of 24 hours",
    laws: [1],
    scenario: { ...EMBEDDED, startsAt: Date.UTC(2026, 2, 29, 10), changeRate: 0 },
    client: (store) => ({
      ...verbsOf(store),
      reserve: (command) => store.reserve({ ...command, limits: command.limits.map(withEvenDays) }),
    }),
  },
  {
    fault: "forgets what was used when the configuration changes",
    laws: [6],
    scenario: { ...EMBEDDED, changeRate: 1 },
    client: (store) => ({
      ...verbsOf(store),
      entries: (query) => (query.since === undefined ? store.entries(query) : Promise.resolve([])),
    }),
  },
  {
    fault: "returns the hold of a call that was sent",
    laws: [5],
    scenario: { trouble: 0.5, programShare: 0, neighbourShare: 0 },
    upstream: ({ send }) => ({
      send: (request, listener) =>
        send(request, {
          began: (...answer) => listener.began(...answer),
          received: (chunk) => listener.received(chunk),
          ended: () => listener.ended(),
          failed: (error) => listener.failed({ ...error, wasSent: false }),
        }),
    }),
  },
  {
    fault: "holds half of the answer",
    laws: [2],
    scenario: {},
    client: (store) => ({
      ...verbsOf(store),
      reserve: (command) => {
        const halved = Object.entries(command.asks).map(([unit, ask]) => [unit, { ...ask, perOutputToken: ask.perOutputToken / 2 }]);
        return store.reserve({ ...command, asks: Object.fromEntries(halved) as Command["asks"] });
      },
    }),
  },
  {
    fault: "refuses while a tenth is left",
    laws: [1, 10],
    scenario: REMOTE,
    server: (store) => ({
      ...verbsOf(store),
      reserve: (command) =>
        store.reserve({ ...command, limits: command.limits.map((limit) => ({ ...limit, amount: Math.ceil(limit.amount * 0.9) })) }),
    }),
  },
  {
    fault: "never ends a hold whose lease has run out",
    laws: [3],
    scenario: {},
    client: (store) => ({ ...verbsOf(store), expire: async () => ({ expired: [] }) }),
  },
  {
    fault: "asks the next provider before the attempt before it has ended",
    laws: [4],
    scenario: { ...EMBEDDED, ...FAILOVER },
    client: (store) => {
      const ends = new Map<string, () => Promise<unknown>>();
      const later = (id: string, end: () => Promise<unknown>) => {
        ends.set(requestOf(id), end);
        setTimeout(() => void end().catch(() => undefined), 20_000);
        return { outcome: "duplicate" } as const;
      };
      return {
        ...verbsOf(store),
        reserve: async (command) => {
          const result = await store.reserve(command);
          await ends.get(requestOf(command.id))?.();
          return result;
        },
        settle: async (command) => later(command.id, () => store.settle(command)),
        release: async (command) => later(command.id, () => store.release(command)),
      };
    },
  },
  {
    fault: "ends every attempt as if it were the first",
    laws: [3, 4, 5],
    scenario: { ...EMBEDDED, ...FAILOVER },
    client: (store) => ({
      ...verbsOf(store),
      settle: (command) => store.settle({ ...command, id: requestOf(command.id) }),
      release: (command) => store.release({ ...command, id: requestOf(command.id) }),
    }),
  },
  {
    fault: "admits a call that goes on because it was admitted before",
    laws: [1],
    scenario: { ...EMBEDDED, ...FAILOVER },
    client: (store) => ({
      ...verbsOf(store),
      reserve: (command) => {
        if (requestOf(command.id) === command.id) return store.reserve(command);
        return store.reserve({ ...command, limits: command.limits.map((limit) => ({ ...limit, enforced: false })) });
      },
    }),
  },
  {
    fault: "takes an answer that broke off for none, and asks somebody else",
    laws: [4],
    scenario: { ...EMBEDDED, ...FAILOVER },
    upstream: ({ send }) => ({
      send: (request, listener) => {
        const answer: (() => void)[] = [];
        return send(request, {
          began: (...head) => answer.push(() => listener.began(...head)),
          received: (chunk) => answer.push(() => listener.received(chunk)),
          ended: () => {
            for (const pass of answer) pass();
            listener.ended();
          },
          failed: (error) => listener.failed(error),
        });
      },
    }),
  },
  {
    fault: "gives to others what it did not take",
    laws: [1],
    scenario: { ...EMBEDDED, ...SHARING },
    client: (store) => moving(store, (moved) => (moved.isGiven || moved.grant.amount === 0 ? [moved] : [])),
  },
  {
    fault: "gives twice, to be sure",
    laws: [1],
    scenario: { ...REMOTE, ...SHARING },
    client: (store) =>
      moving(store, (moved) => (moved.isGiven ? [moved, { ...moved, grant: { ...moved.grant, id: `${moved.grant.id}'` } }] : [moved])),
  },
  {
    fault: "moves four times as much as the rule allows",
    laws: [1],
    scenario: { ...EMBEDDED, ...SHARING },
    client: (store) => {
      const more = <Amount extends { readonly amount: number }>(one: Amount): Amount => ({ ...one, amount: one.amount * 4 });
      return moving(store, ({ grant, isGiven }) => {
        const { moves } = grant;
        return [
          { isGiven, grant: { ...more(grant), ...(moves && { moves: { takes: moves.takes.map(more), gives: moves.gives.map(more) } }) } },
        ];
      });
    },
  },
  {
    fault: "takes its time, and gives what was used meanwhile",
    laws: [1],
    scenario: { ...EMBEDDED, ...SHARING, callRate: 200, crashChance: 0, startsAt: Date.UTC(2026, 5, 1, 12, 50) },
    client: (store) =>
      moving(store, async ({ grant, isGiven }) => {
        if (grant.moves) await new Promise((resolve) => setTimeout(resolve, 30_000));
        const [decided] = await store.entries({ reservation: `${grant.id.split(":", 4).join(":")}:moves`, kinds: ["granted"] });
        const gives = decided?.kind === "granted" ? decided.grant.moves?.gives : undefined;
        const { amount } = (isGiven && gives?.find(({ subject }) => subject === grant.subject)) || grant;
        return [{ isGiven, grant: { ...grant, amount } }];
      }),
  },
  {
    fault: "lets others keep what it gave when the window is over",
    laws: [6],
    scenario: { ...EMBEDDED, ...SHARING },
    client: (store) => moving(store, ({ grant, isGiven }) => [{ isGiven, grant: { ...grant, until: grant.until + DAY_MS } }]),
  },
  {
    fault: "lets a limit follow its use beyond its bounds",
    laws: [1],
    scenario: { ...EMBEDDED, ...ADJUSTING },
    client: (store) =>
      deciding(store, (grant, { configured }) => ({
        ...grant,
        amount: 5 * configured,
        adjustment: { ...grant.adjustment, amount: 6 * configured },
      })),
  },
  {
    fault: "lets a limit follow its use at once",
    laws: [1],
    scenario: { ...EMBEDDED, ...ADJUSTING },
    client: (store) =>
      deciding(store, (grant, { configured, before, amount }) =>
        amount === before ? grant : { ...grant, amount: configured, adjustment: { ...grant.adjustment, amount: 2 * configured } },
      ),
  },
  {
    fault: "adds what another one decided to what it decided itself",
    laws: [1],
    scenario: { ...REMOTE, ...ADJUSTING },
    client: (store) => {
      const name = String(Math.floor(1e6 * Math.random()));
      return deciding(store, (grant) => ({ ...grant, id: `${grant.id}:${name}` }));
    },
  },
  {
    fault: "lets what a rule decided go on after it",
    laws: [1],
    scenario: { ...EMBEDDED, ...ADJUSTING, changeRate: 4, minutes: 30 },
    client: (store) => ({
      ...verbsOf(store),
      record: async (entry) => (entry.kind === "revoked" && entry.grant.adjustment ? { outcome: "recorded" } : store.record(entry)),
    }),
  },
];

/** `what`: what becomes of a grant that a rule decided. */
function deciding(store: Store, what: (grant: AdjustingGrant, adjustment: AdjustingGrant["adjustment"]) => Grant): Store {
  return {
    ...verbsOf(store),
    record: async (entry) => {
      if (entry.kind !== "granted" || !entry.grant.adjustment) return store.record(entry);
      const grant = what(entry.grant as AdjustingGrant, entry.grant.adjustment);
      return store.record({ ...entry, reservation: grant.id, grant });
    },
  };
}

/** `what`: what becomes of a grant that moves something. */
function moving(store: Store, what: (moved: Moved) => readonly Moved[] | Promise<readonly Moved[]>): Store {
  return {
    ...verbsOf(store),
    record: async (entry) => {
      if (entry.kind !== "granted" || !entry.grant.id.startsWith("grant_share:")) return store.record(entry);
      const { grant } = entry;
      let result: Awaited<ReturnType<Store["record"]>> = { outcome: "recorded" };
      for (const moved of await what({ grant, isGiven: grant.amount > 0 }))
        result = await store.record({ ...entry, reservation: moved.grant.id, grant: moved.grant });
      return result;
    },
  };
}

type Limit = Command["limits"][number];

function isLast(limit: Pick<Limit, "counter"> | undefined): boolean {
  return limit !== undefined && isLastAnswer(limit.counter);
}

interface Moved {
  readonly grant: Grant;
  readonly isGiven: boolean;
}

function least({ asks, output }: Command, unit: keyof Command["asks"]): number {
  const { base, perOutputToken, scale } = asks[unit];
  return Math.ceil((base + perOutputToken * output.least) / scale);
}

const DAY_MS = 86_400_000;

function withEvenDays(limit: Command["limits"][number]): Command["limits"][number] {
  const { counter } = limit;
  if (!counter.window.startsWith("day@") || counter.resetsAt === undefined || counter.resetsAt - counter.startsAt === DAY_MS) return limit;
  return { ...limit, counter: { ...counter, resetsAt: counter.startsAt + DAY_MS } };
}
