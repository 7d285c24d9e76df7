import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { BoundLimit } from "../../domain/command.ts";
import type { Entry } from "../../domain/ledger.ts";
import { PurserError } from "../../errors.ts";
import { storeContract } from "../../testing/index.ts";
import { type SampleCall, sampleCall, sampleLimit, sampleMovingLimit, sampleSettlement } from "../../testing/sample-calls.ts";
import { VirtualTime } from "../../testing/virtual-time.ts";
import { createMemoryStore } from "../memory.ts";
import type { LeasingStore, Store } from "../store.ts";
import { createLeasedStore, type LeasedStoreOptions } from "./index.ts";

for (const { name, run } of storeContract) {
  test(`leased store: ${name}`, () =>
    run(async ({ now }) => createLeasedStore(createMemoryStore({ now }), { now, timers: { after: () => () => undefined } })));
}

const START = Date.UTC(2026, 10, 22, 12);
const REPORT_MS = 2_000;
const LEASE_MS = 30_000;

/** A shared store with gateways on it, in virtual time. */
class Scene {
  readonly time = new VirtualTime(START);
  readonly shared = createMemoryStore({ now: this.time.now });
  readonly errors: unknown[] = [];
  /** The verbs that gateways asked of the shared store. */
  asked: string[] = [];
  isReachable = true;
  /** Loses answers, not what they answer. */
  losesAnswers = false;
  #leases = 0;
  #calls = 0;

  gateway(options: LeasedStoreOptions = {}): Store {
    const { time, errors } = this;
    return createLeasedStore(this.#remote(), {
      now: time.now,
      timers: time,
      newId: () => `lease-${++this.#leases}`,
      onError: (error) => errors.push(error),
      ...options,
    });
  }

  /** Keeps a gateway busy with small calls until it has allotments, and ends them. */
  async warmUp(store: Store, limits: readonly BoundLimit[], input = 10): Promise<void> {
    for (let i = 0; i < 60; i++) {
      const id = `warm-${++this.#calls}`;
      await this.done(store.reserve(sampleCall({ id, limits, input })));
      await this.done(store.settle(sampleSettlement(id, input)));
      await this.pass(100);
    }
    this.asked = [];
  }

  pass(milliseconds: number): Promise<void> {
    return this.time.runUntil(this.time.now() + milliseconds);
  }

  /** Lets time pass until a promise is fulfilled. */
  async done<Result>(promise: Promise<Result>): Promise<Result> {
    let isDone = false;
    const done = promise.finally(() => {
      isDone = true;
    });
    done.catch(() => undefined);
    for (let i = 0; i < 10_000; i++) {
      await this.pass(i === 0 ? 0 : 50);
      await new Promise((resolve) => setImmediate(resolve));
      if (isDone) return done;
    }
    throw new Error("It is never done.");
  }

  /** Spent, held and allotted of the shared store. */
  async standing(limit: BoundLimit): Promise<readonly [number, number, number]> {
    const [standing] = await this.shared.standings([limit]);
    return [standing?.spent ?? 0, standing?.held ?? 0, standing?.allotted ?? 0];
  }

  #remote(): LeasingStore {
    const { shared } = this;
    const ask = async <Result>(verb: string, work: () => Promise<Result>): Promise<Result> => {
      this.asked.push(verb);
      if (!this.isReachable) throw new PurserError("store_unavailable", "The network is down.");
      const result = await work();
      if (this.losesAnswers) throw new PurserError("store_unavailable", "The answer is lost.");
      return result;
    };
    return {
      reserve: (command) => ask("reserve", () => shared.reserve(command)),
      extend: (command) => ask("extend", () => shared.extend(command)),
      settle: (command) => ask("settle", () => shared.settle(command)),
      release: (command) => ask("release", () => shared.release(command)),
      lease: (command) => ask("lease", () => shared.lease(command)),
      record: (entry) => ask("record", () => shared.record(entry)),
      counters: (filter) => ask("counters", () => shared.counters(filter)),
      standings: (limits) => ask("standings", () => shared.standings(limits)),
      entries: (query) => ask("entries", () => shared.entries(query)),
      expire: () => ask("expire", () => shared.expire()),
      close: async () => undefined,
    };
  }
}

const DAY = { resetsAt: START + 86_400_000 };
const LIMITS = [sampleLimit({ amount: 100_000, ...DAY }), sampleLimit({ budget: "team", unit: "requests", amount: 10_000, ...DAY })];
const [TOKENS] = LIMITS as [BoundLimit];

test("a call is admitted from an allotment by what its tokens can count, and settled by what they do", async () => {
  const scene = new Scene();
  const limit = sampleLimit({ amount: 10_000, ...DAY, weights: { cache_read: 0.1, output: 4 } });
  const store = scene.gateway();
  await scene.warmUp(store, [limit]);
  const reserve = (id: string) => scene.done(store.reserve(sampleCall({ id, limits: [limit], input: 10, output: 5 })));
  for (const id of ["a", "b"]) assert.equal((await reserve(id)).outcome, "reserved");
  assert.deepEqual(scene.asked, [], "it asked nobody");
  for (const id of ["a", "b"]) await scene.done(store.settle(sampleSettlement(id, 10, 5, { cacheReadInputTokens: 10 })));
  await scene.done(store.close());
  assert.deepEqual(await scene.standing(limit), [60 * 10 + 2 * 21, 0, 0]);
  assert.deepEqual(await scene.shared.entries({ kinds: ["overrun"] }), []);
});

function calling(id: string, more: Partial<SampleCall> = {}) {
  return sampleCall({ id, limits: LIMITS, input: 10, ...more });
}

test("a call inside the allotments of all its limits is decided and settled without asking the store", async () => {
  const scene = new Scene();
  const store = scene.gateway();
  await scene.warmUp(store, LIMITS);
  const result = await store.reserve(calling("a"));
  assert.ok(result.outcome === "reserved" && result.outputTokens === 0 && result.standings.length === 2);
  assert.deepEqual(await store.settle(sampleSettlement("a", 7)), { outcome: "settled" });
  assert.deepEqual(scene.asked, []);
  const entries = await store.entries({ reservation: "a" });
  assert.deepEqual(
    entries.map(({ kind }) => kind),
    ["reserved", "settled"],
  );
  assert.deepEqual(
    entries[1]?.postings.map(({ held, spent }) => [held, spent]),
    [
      [-10, 7],
      [-1, 1],
    ],
  );
});

test("a call with a limit that is not allotted is decided by the store, with all its limits", async () => {
  const scene = new Scene();
  const store = scene.gateway();
  await scene.warmUp(store, LIMITS);
  const [, held] = await scene.standing(TOKENS);
  const mine = sampleLimit({ budget: "ann", amount: 100, ...DAY });
  const refused = await store.reserve(calling("a", { limits: [...LIMITS, mine], input: 101 }));
  assert.ok(refused.outcome === "refused" && refused.failing === 2);
  assert.deepEqual((await scene.standing(TOKENS))[1], held, "nothing is held, here or there");
  assert.equal((await store.reserve(calling("b", { limits: [...LIMITS, mine] }))).outcome, "reserved");
  assert.deepEqual(scene.asked, ["reserve", "reserve"]);
  const [reserved] = await scene.shared.entries({ reservation: "b" });
  assert.equal(reserved?.postings.length, 3);
});

test("repeating a reservation gives the same answer, and one that ended cannot hold again", async () => {
  const scene = new Scene();
  const store = scene.gateway();
  await scene.warmUp(store, LIMITS);
  const [first, again] = [await store.reserve(calling("a")), await store.reserve(calling("a", { input: 9_999 }))];
  assert.deepEqual(again, first);
  await store.settle(sampleSettlement("a", 4));
  assert.deepEqual(await store.settle(sampleSettlement("a", 4)), { outcome: "duplicate" });
  assert.deepEqual(await store.release({ id: "a", why: "late" }), { outcome: "duplicate" });
  assert.deepEqual(await store.reserve(calling("a")), { outcome: "ended" });
  await scene.pass(60_000);
  assert.deepEqual(await store.reserve(calling("a")), { outcome: "ended" });
  assert.equal((await scene.shared.entries({ reservation: "a" })).length, 2);
});

test("a call that the store admitted is repeated there, though there is room here now", async () => {
  const scene = new Scene();
  const store = scene.gateway();
  await store.reserve(calling("a", { input: 20 }));
  await scene.warmUp(store, LIMITS);
  const result = await store.reserve(calling("a"));
  assert.ok(result.outcome === "reserved" && result.detail.inputTokens === 20);
  assert.deepEqual(scene.asked, ["reserve"]);
});

test("usage that cannot be counted is refused at once, and its call can still be settled", async () => {
  const scene = new Scene();
  const store = scene.gateway();
  await scene.warmUp(store, LIMITS);
  await store.reserve(calling("a"));
  await assert.rejects(store.settle(sampleSettlement("a", 0.5)), { code: "amount_invalid" });
  await assert.rejects(store.settle(sampleSettlement("a", Number.MAX_SAFE_INTEGER - 5)), { code: "amount_invalid" });
  assert.deepEqual(await store.settle(sampleSettlement("a", 10)), { outcome: "settled" });
});

test("what a gateway has at hand refuses and shortens no call of another", async () => {
  const scene = new Scene();
  const limits = [sampleLimit({ amount: 10_000, ...DAY })];
  const [limit] = limits as [BoundLimit];
  const [busy, other] = [scene.gateway(), scene.gateway()];
  await scene.warmUp(busy, limits);
  const [spent, , allotted] = await scene.standing(limit);
  assert.ok(allotted > 0);
  const left = 10_000 - spent;
  const result = await scene.done(other.reserve(sampleCall({ id: "a", limits, input: 100, output: left - 100, least: 10 })));
  assert.ok(result.outcome === "reserved");
  assert.equal(result.outputTokens, left - 100);
  assert.deepEqual(await scene.standing(limit), [spent, left, 0]);
});

test("what a gateway has at hand itself is returned for a call that needs it", async () => {
  const scene = new Scene();
  const store = scene.gateway();
  await scene.warmUp(store, LIMITS);
  const [spent] = await scene.standing(TOKENS);
  const result = await scene.done(store.reserve(calling("a", { input: 100_000 - spent })));
  assert.equal(result.outcome, "reserved");
  assert.deepEqual(await scene.standing(TOKENS), [spent, 100_000 - spent, 0]);
});

test("a call that can never fit is refused at once, whatever others have at hand", async () => {
  const scene = new Scene();
  const [busy, other] = [scene.gateway(), scene.gateway()];
  await scene.warmUp(busy, LIMITS);
  const result = await other.reserve(calling("a", { input: 100_001 }));
  assert.ok(result.outcome === "refused" && result.until === Number.POSITIVE_INFINITY);
  assert.deepEqual(scene.asked, ["reserve"]);
});

test("what died with a gateway keeps others waiting no longer than their patience, and is charged when its lease runs out", async () => {
  const scene = new Scene();
  let isAlive = true;
  const dying = scene.gateway({ timers: { after: (delayMs, work) => scene.time.after(delayMs, () => isAlive && work()) } });
  const other = scene.gateway();
  await scene.warmUp(dying, LIMITS);
  isAlive = false;
  const [spent, held] = await scene.standing(TOKENS);
  const before = scene.time.now();
  const result = await scene.done(other.reserve(calling("a", { input: 100_000 - spent })));
  assert.ok(result.outcome === "refused" && result.until === 0, "it may be tried again");
  assert.ok(scene.time.now() - before <= 2 * REPORT_MS);
  await scene.pass(LEASE_MS);
  await scene.shared.expire();
  assert.deepEqual(await scene.standing(TOKENS), [spent + held, 0, 0]);
});

test("while the store is out of reach a gateway goes on inside what it has, until its lease ends, and reports it once", async () => {
  const scene = new Scene();
  const store = scene.gateway();
  await scene.warmUp(store, LIMITS);
  const [spent] = await scene.standing(TOKENS);
  scene.isReachable = false;
  let admitted = 0;
  for (let i = 0; i < 5; i++) {
    await store.reserve(calling(`out-${i}`));
    await store.settle(sampleSettlement(`out-${i}`, 6));
    admitted++;
    await scene.pass(4_000);
  }
  await assert.rejects(store.reserve(calling("large", { input: 50_000 })), { code: "store_unavailable" });
  assert.equal(scene.errors.length, 1, "an outage is told once");
  scene.isReachable = true;
  await scene.pass(2 * REPORT_MS);
  assert.deepEqual((await scene.standing(TOKENS))[0], spent + 6 * admitted);
});

test("a lease is not used after its end, and what was done under it until then corrects what it was charged", async () => {
  const scene = new Scene();
  const store = scene.gateway();
  await scene.warmUp(store, LIMITS);
  const [spent, held] = await scene.standing(TOKENS);
  scene.isReachable = false;
  await store.reserve(calling("settled"));
  await store.settle(sampleSettlement("settled", 6));
  await store.reserve(calling("in flight"));
  await scene.pass(LEASE_MS);
  await scene.shared.expire();
  assert.deepEqual(await scene.standing(TOKENS), [spent + held, 0, 0]);
  await assert.rejects(store.reserve(calling("late")), { code: "store_unavailable" });
  scene.isReachable = true;
  await scene.pass(2 * REPORT_MS);
  assert.deepEqual(await scene.standing(TOKENS), [spent + 6, 10, 0]);
  await store.settle(sampleSettlement("in flight", 5));
  await scene.done(store.close());
  assert.deepEqual(await scene.standing(TOKENS), [spent + 11, 0, 0]);
});

test("a report whose answer is lost is counted once", async () => {
  const scene = new Scene();
  const store = scene.gateway();
  await scene.warmUp(store, LIMITS);
  const [spent] = await scene.standing(TOKENS);
  scene.losesAnswers = true;
  await store.reserve(calling("a"));
  await store.settle(sampleSettlement("a", 6));
  await scene.pass(4 * REPORT_MS);
  await store.reserve(calling("b"));
  scene.losesAnswers = false;
  await scene.pass(2 * REPORT_MS);
  const [spentAfter, held, allotted] = await scene.standing(TOKENS);
  assert.deepEqual([spentAfter, held - allotted], [spent + 6, 10]);
  await store.release({ id: "b", why: "never sent" });
  await scene.done(store.close());
  assert.deepEqual(await scene.standing(TOKENS), [spent + 6, 0, 0]);
});

test("a gateway that closes reports everything and returns what it has at hand", async () => {
  const scene = new Scene();
  const store = scene.gateway();
  await scene.warmUp(store, LIMITS);
  const [spent] = await scene.standing(TOKENS);
  await store.reserve(calling("a"));
  await scene.done(store.close());
  assert.deepEqual(await scene.standing(TOKENS), [spent, 10, 0]);
  await assert.rejects(store.reserve(calling("b")), { code: "store_unavailable" });
  await assert.rejects(store.settle(sampleSettlement("a", 6)), { code: "store_unavailable" });
  assert.deepEqual(await scene.shared.settle(sampleSettlement("a", 6)), { outcome: "settled" });
});

test("a gateway with nothing to do returns what it has at hand", async () => {
  const scene = new Scene();
  const store = scene.gateway();
  await scene.warmUp(store, LIMITS);
  await scene.pass(30_000);
  const [, held] = await scene.standing(TOKENS);
  assert.equal(held, 0);
  scene.asked = [];
  await scene.pass(600_000);
  assert.deepEqual(scene.asked, [], "and asks nothing any more");
});

test("a call that goes on is extended, and one that outlives its lease is corrected by the store", async () => {
  const scene = new Scene();
  const store = scene.gateway();
  await scene.warmUp(store, LIMITS);
  const [spent] = await scene.standing(TOKENS);
  await store.reserve(calling("a", { leaseMs: 20_000 }));
  await store.reserve(calling("b", { leaseMs: 20_000 }));
  await scene.pass(10_000);
  assert.deepEqual(await store.extend({ id: "a", leaseMs: 60_000 }), { outcome: "extended", expiresAt: scene.time.now() + 60_000 });
  await scene.pass(10_000);
  await store.expire();
  assert.deepEqual(await store.settle(sampleSettlement("b", 3)), { outcome: "corrected" });
  assert.deepEqual(await store.settle(sampleSettlement("a", 4)), { outcome: "settled" });
  await scene.done(store.close());
  assert.deepEqual(await scene.standing(TOKENS), [spent + 7, 0, 0]);
});

test("what was allotted under an amount is not used under another", async () => {
  const scene = new Scene();
  const store = scene.gateway();
  await scene.warmUp(store, LIMITS);
  const smaller = LIMITS.map((limit) => ({ ...limit, amount: 100 }));
  assert.equal((await scene.done(store.reserve(calling("a", { limits: smaller })))).outcome, "refused");
  assert.ok(scene.asked.includes("reserve"));
});

test("limits of windows that move are asked for at the store", async () => {
  const scene = new Scene();
  const store = scene.gateway();
  const moving = () =>
    sampleMovingLimit({ amount: 100_000, rule: { kind: "rolling", lengthMs: 3_600_000, sliceMs: 60_000 }, at: scene.time.now() });
  await scene.warmUp(store, [...LIMITS, moving()]);
  await store.reserve(calling("a", { limits: [...LIMITS, moving()] }));
  assert.deepEqual(scene.asked, ["reserve"]);
});

test("an estimate too rough for what the limit has left is refused, however much is at hand", async () => {
  const scene = new Scene();
  const store = scene.gateway();
  await scene.warmUp(store, LIMITS);
  assert.equal((await store.reserve(calling("a", { share: 256 }))).outcome, "reserved");
  assert.deepEqual(scene.asked, []);
  assert.equal((await store.reserve(calling("b", { share: 20_000 }))).outcome, "refused");
});

test("what was admitted under a lease that the store has lost is counted all the same", async () => {
  const scene = new Scene();
  const store = scene.gateway();
  await scene.warmUp(store, LIMITS);
  await store.reserve(calling("a"));
  await store.settle(sampleSettlement("a", 6));
  const empty = createMemoryStore({ now: scene.time.now });
  Object.assign(scene.shared, empty);
  await scene.pass(3 * REPORT_MS);
  assert.equal((await scene.standing(TOKENS))[0], 6);
  assert.match(String(scene.errors[0]), /lost the lease/);
});

test("a store that does not lend is refused with what to do", () => {
  const { lease: _, ...store } = createMemoryStore();
  assert.throws(() => createLeasedStore(store), { code: "leases_unsupported", message: /without createLeasedStore/ });
});

/** One thing that happens to one of two gateways, or to the network between them and the store. */
type Happening =
  | { readonly kind: "reserve"; readonly gateway: 0 | 1; readonly size: number; readonly output: number; readonly limits: number }
  | { readonly kind: "settle" | "release" | "extend"; readonly gateway: 0 | 1; readonly which: number; readonly part: number }
  | { readonly kind: "wait"; readonly milliseconds: number }
  | { readonly kind: "network"; readonly isReachable: boolean; readonly losesAnswers: boolean };

const gateway = fc.constantFrom<0 | 1>(0, 1);
const happenings = fc.array(
  fc.oneof(
    {
      weight: 10,
      arbitrary: fc
        .record({ gateway, size: fc.nat(60), output: fc.nat(40), limits: fc.integer({ min: 1, max: 7 }) })
        .map((one): Happening => ({ kind: "reserve", ...one })),
    },
    {
      weight: 8,
      arbitrary: fc
        .record({ kind: fc.constantFrom("settle", "settle", "release", "extend"), gateway, which: fc.nat(), part: fc.nat(100) })
        .map((one) => one as Happening),
    },
    { weight: 8, arbitrary: fc.nat(900).map((milliseconds): Happening => ({ kind: "wait", milliseconds })) },
    { weight: 1, arbitrary: fc.nat(40_000).map((milliseconds): Happening => ({ kind: "wait", milliseconds })) },
    {
      weight: 1,
      arbitrary: fc
        .record({ isReachable: fc.boolean(), losesAnswers: fc.boolean() })
        .map((one): Happening => ({ kind: "network", ...one })),
    },
  ),
  { minLength: 20, maxLength: 150 },
);

const TIGHT = [
  sampleLimit({ amount: 3_000, ...DAY }),
  sampleLimit({ budget: "team", unit: "requests", amount: 90, ...DAY }),
  sampleLimit({ budget: "at once", unit: "concurrent", amount: 12 }),
];

/** How many sequences are tried. Set PURSER_RUNS for more. */
const RUNS = Number(process.env.PURSER_RUNS ?? 60);

test("whatever happens: limits hold at every entry, each call is reserved and ended once, and what is charged is what was used", async () => {
  let ownReservations = 0;
  await fc.assert(
    fc.asyncProperty(happenings, async (sequence) => {
      const scene = new Scene();
      const stores = [scene.gateway({ reportMs: 500 }), scene.gateway({ reportMs: 500 })] as const;
      const open: [{ id: string; held: number }[], { id: string; held: number }[]] = [[], []];
      const used = new Map<string, number>();
      const pending: Promise<unknown>[] = [];
      for (const [i, happening] of sequence.entries()) {
        if (happening.kind === "wait") await scene.pass(happening.milliseconds);
        else if (happening.kind === "network") Object.assign(scene, happening);
        else if (happening.kind === "reserve") {
          const { gateway, size, output, limits } = happening;
          const chosen = TIGHT.filter((_, bit) => (limits >> bit) & 1);
          const call = sampleCall({ id: `call-${i}`, limits: chosen, input: size, output, least: Math.floor(output / 2), leaseMs: 1e9 });
          const reserving = stores[gateway].reserve(call).then((result) => {
            if (result.outcome === "reserved") open[gateway].push({ id: call.id, held: size + result.outputTokens });
          });
          pending.push(reserving.catch(() => undefined));
        } else {
          const { kind, gateway, which, part } = happening;
          const calls = open[gateway];
          const call = calls[which % Math.max(1, calls.length)];
          if (!call) continue;
          if (kind === "extend") {
            pending.push(stores[gateway].extend({ id: call.id, leaseMs: 1e9 }).catch(() => undefined));
            continue;
          }
          calls.splice(calls.indexOf(call), 1);
          const amount = kind === "release" ? 0 : Math.floor((call.held * part) / 100);
          used.set(call.id, amount);
          const end = () =>
            kind === "release"
              ? stores[gateway].release({ id: call.id, why: "?" })
              : stores[gateway].settle(sampleSettlement(call.id, amount));
          pending.push(repeated(scene, end));
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
      Object.assign(scene, { isReachable: true, losesAnswers: false });
      await scene.done(Promise.all(pending));
      for (const [i, calls] of open.entries()) {
        for (const { id, held } of calls) {
          used.set(id, held);
          await scene.done((stores[i] as Store).settle(sampleSettlement(id, held)));
        }
      }
      await scene.done(Promise.all(stores.map((store) => store.close())));
      await scene.pass(LEASE_MS);
      await scene.shared.expire();
      const entries = await scene.shared.entries({ most: 100_000 });
      checkLimits(entries);
      ownReservations += checkCalls(entries, used);
    }),
    { numRuns: RUNS },
  );
  assert.ok(ownReservations > RUNS, "calls are admitted from allotments");
});

/** Tries again until the network lets it through: what was used was used. */
async function repeated(scene: Scene, end: () => Promise<{ readonly outcome: string }>): Promise<void> {
  for (;;) {
    try {
      await end();
      return;
    } catch {
      await scene.time.sleep(1_000);
    }
  }
}

function checkLimits(entries: readonly Entry[]): void {
  const counted = new Map<string, { spent: number; held: number }>();
  for (const { seq, kind, postings } of entries) {
    assert.notEqual(kind, "overrun", "no call used more than it held");
    for (const { counter, spent, held } of postings) {
      const before = counted.get(counter.key) ?? { spent: 0, held: 0 };
      const after = { spent: before.spent + spent, held: before.held + held };
      counted.set(counter.key, after);
      const limit = TIGHT.find((one) => one.counter.key === counter.key);
      assert.ok(
        after.spent + after.held <= (limit?.amount ?? 0),
        `entry ${seq} (${kind}) takes ${counter.key} to ${JSON.stringify(after)}`,
      );
      assert.ok(after.held >= 0);
    }
  }
}

/** Every call that was admitted is charged what it used; those whose answer was lost, their estimate, when their lease runs out. */
function checkCalls(entries: readonly Entry[], used: ReadonlyMap<string, number>): number {
  let own = 0;
  let lastLeased = 0;
  const begun = new Map<string, Entry>();
  const spent = new Map<string, number>();
  for (const entry of entries) {
    if (entry.kind === "leased") lastLeased = entry.seq;
    const { reservation, kind, postings } = entry;
    if (kind === "reserved") {
      assert.ok(!begun.has(reservation), `${reservation} is reserved once`);
      begun.set(reservation, entry);
      if (lastLeased === entry.seq - 1) own++;
    } else if (kind === "settled" || kind === "released") {
      assert.ok(begun.has(reservation) && !spent.has(reservation), `${reservation} ends once`);
      const tokens = postings.find(({ counter }) => counter.unit === "tokens");
      spent.set(reservation, tokens?.spent ?? 0);
      if (tokens) assert.equal(tokens.spent, used.get(reservation), `${reservation} is charged what it used`);
    }
  }
  for (const id of used.keys()) assert.ok(spent.has(id), `${id} is charged`);
  return own;
}
