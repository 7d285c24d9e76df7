import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { ReadEvidence } from "./adjustments.ts";
import { Budgets } from "./budgets.ts";
import type { Evidence } from "./domain/adjusting.ts";
import { type BudgetInput, defineBudget } from "./domain/budget.ts";
import { createMemoryStore } from "./stores/memory.ts";
import { createRedisStore } from "./stores/redis/index.ts";
import { startServer } from "./stores/redis/server.test-setup.ts";
import { temporaryDirectory } from "./stores/sqlite/directory.test-setup.ts";
import { openSqliteStore } from "./stores/sqlite/index.ts";
import type { Store } from "./stores/store.ts";
import { createFakeClock } from "./testing/fake-clock.ts";

const PRICES = { card: () => undefined };
const DAY_MS = 86_400_000;
/** A Monday, at the beginning of its week. */
const MONDAY = Date.UTC(2026, 10, 23);
const SUPPORT: BudgetInput = { name: "support", limits: ["1000 tokens / day"], adjust: { within: "500 - 2000 tokens", every: "week" } };
const NOTHING: Evidence = { needed: undefined, neededAtLeast: undefined, refused: 0, refusedDays: 0, rests: "nothing" };

interface Scene {
  readonly clock: ReturnType<typeof createFakeClock>;
  readonly store: Store;
  readonly budgets: Budgets;
  /** Another process on the same store, with the same or another configuration. */
  another(input?: BudgetInput): Budgets;
  /** What is seen from now on. */
  see(evidence: Partial<Evidence> | undefined): void;
  readonly read: ReadEvidence;
  amount(of?: Budgets): Promise<number>;
  use(tokens: number): Promise<boolean>;
  /** To the last minutes of the week, and looks. */
  endOfWeek(): Promise<void>;
}

function startScene(input = SUPPORT): Scene {
  const clock = createFakeClock(MONDAY);
  const store = createMemoryStore({ now: clock.now });
  const another = (other = input) =>
    new Budgets({ store, budgets: [defineBudget(other)], prices: PRICES, now: clock.now, timers: clock.timers });
  const budgets = another();
  let seen: Evidence | undefined = NOTHING;
  let calls = 0;
  const read: ReadEvidence = async () => seen;
  return {
    clock,
    store,
    budgets,
    another,
    see: (evidence) => {
      seen = evidence && { ...NOTHING, ...evidence };
    },
    read,
    amount: async (of = budgets) => (await of.balances({ budget: "support" }))[0]?.limit ?? assert.fail(),
    use: async (tokens) => {
      const call = { id: `call-${++calls}`, subject: {}, input: { most: tokens }, output: { most: 0, least: 0 } };
      const decision = await budgets.reserve(call);
      if (decision.outcome !== "allowed") return false;
      await budgets.settle(decision.reservation, { inputTokens: tokens, outputTokens: 0 }, "confirmed");
      return true;
    },
    endOfWeek: async () => {
      const week = Math.floor((clock.now() - MONDAY) / (7 * DAY_MS));
      clock.set(MONDAY + (week + 1) * 7 * DAY_MS - 60_000);
      await budgets.adjust(read);
    },
  };
}

describe("a limit that follows what is used", () => {
  test("changes where the next period begins and not before, and stays in force until that ends", async () => {
    const { clock, budgets, see, read, amount, use, endOfWeek } = startScene();
    see({ needed: 1_500, rests: "the days" });
    const { adjusted } = await budgets.adjust(read);
    assert.deepEqual(
      adjusted.map(({ grant, isNew }) => [grant.amount, grant.adjustment.amount, isNew]),
      [[0, 1_000, true]],
      "it begins with what is configured",
    );
    await endOfWeek();
    assert.equal(await amount(), 1_000);
    clock.advance(60_000);
    assert.equal(await amount(), 1_200);
    assert.equal(await use(1_200), true);
    assert.equal(await use(1), false, "not more than that");
    clock.advance(6 * DAY_MS);
    assert.equal(await amount(), 1_200);
    await endOfWeek();
    clock.advance(60_000);
    assert.equal(await amount(), 1_440, "the next step is one from there");
    const [grant = assert.fail()] = await budgets.grants();
    assert.deepEqual(
      [grant.giver, grant.why, grant.amount],
      ['the adjusting of "support"', "From 1,200 tokens to 1,440 tokens: the days; it changes by a step at a time.", 440],
    );
  });

  test("is decided once, by whoever is first, and read by all others, whatever they see and however often they look", async () => {
    const { clock, store, budgets, another, see, read, amount, endOfWeek } = startScene();
    see({ needed: 1_100 });
    await endOfWeek();
    see({ needed: 900 });
    for (const one of [budgets, another(), another()]) for (let i = 0; i < 3; i++) await one.adjust(read);
    assert.equal((await store.entries({ kinds: ["granted"] })).length, 2, "one for each week");
    clock.advance(60_000);
    for (const one of [budgets, another()]) {
      assert.equal((await one.adjust(read)).adjusted.filter(({ isNew }) => isNew).length, 0);
      assert.equal(await amount(one), 1_100);
    }
  });

  test("is decided later where nobody was there as the period ended, for the rest of the next one, and not below what is used", async () => {
    const { clock, another, budgets, see, read, amount, use } = startScene();
    await budgets.adjust(read);
    clock.set(MONDAY + 15.5 * DAY_MS);
    assert.equal(await use(900), true);
    see({ needed: 600 });
    await another().adjust(read);
    assert.equal(await amount(), 900);
    clock.advance(DAY_MS);
    assert.equal(await amount(), 900);
  });

  test("does what it did before where what was used is not known, and decides when it is", async () => {
    const { clock, budgets, see, read, amount, endOfWeek } = startScene();
    await budgets.adjust(read);
    see(undefined);
    await endOfWeek();
    clock.advance(DAY_MS);
    await budgets.adjust(read);
    assert.equal(await amount(), 1_000);
    see({ needed: 1_100 });
    await budgets.adjust(read);
    assert.equal(await amount(), 1_100);
  });

  test("is not adjusted again when the clock steps back, nor twice when it steps ahead and back", async () => {
    const { clock, store, budgets, see, read, amount, endOfWeek } = startScene();
    see({ needed: 2_000 });
    await endOfWeek();
    clock.advance(60_000);
    clock.set(MONDAY + 3 * DAY_MS);
    await budgets.adjust(read);
    assert.equal(await amount(), 1_000, "what is for the next week does not hold in this one");
    await endOfWeek();
    clock.advance(60_000);
    assert.equal(await amount(), 1_200);
    assert.equal((await store.entries({ kinds: ["granted"] })).length, 2);
  });

  test("has what the file says before the first call comes by it, also where the file changed while nobody ran", async () => {
    const lower = { ...SUPPORT, limits: ["800 tokens / day"] };
    const without = { name: "support", limits: ["800 tokens / day"] };
    for (const input of [lower, without]) {
      for (const isRunning of [false, true]) {
        const { clock, budgets, another, see, amount, endOfWeek } = startScene();
        see({ needed: 2_000 });
        await endOfWeek();
        clock.advance(60_000);
        const after = isRunning ? budgets : another(input);
        if (isRunning) await after.configure({ budgets: [defineBudget(input)], prices: PRICES });
        else await after.adopt();
        assert.equal(await amount(after), 800, JSON.stringify({ input, isRunning }));
      }
    }
  });

  test("has what the file says at once when that changes, and begins anew from there", async () => {
    const { clock, budgets, another, see, read, amount, endOfWeek } = startScene();
    see({ needed: 2_000 });
    await endOfWeek();
    clock.advance(60_000);
    assert.equal(await amount(), 1_200);
    const changed = another({ ...SUPPORT, limits: ["800 tokens / day"] });
    await changed.adjust(read);
    assert.equal(await amount(changed), 800);
    clock.advance(7 * DAY_MS - 60_000);
    await changed.adjust(read);
    clock.advance(60_000);
    assert.equal(await amount(changed), 960);
    for (const other of [
      { ...SUPPORT, adjust: { within: "500 - 1100 tokens", every: "week" } },
      { ...SUPPORT, adjust: { within: "500 - 2000 tokens", every: "day" } },
      { name: "support", limits: ["1000 tokens / day"] },
      { ...SUPPORT, adjust: { within: "500 - 2000 tokens", mode: "propose" as const } },
    ]) {
      const one = another(other);
      await one.adjust(read);
      assert.equal(await amount(one), 1_000, JSON.stringify(other));
    }
    await budgets.adjust(read);
  });

  test("of another configuration in another process is left alone, so that two never add up", async () => {
    const { clock, budgets, another, see, read, amount } = startScene();
    see({ needed: 2_000 });
    const other = another({ ...SUPPORT, limits: ["800 tokens / day"] });
    for (let i = 0; i < 12; i++) {
      for (const one of [budgets, other]) await one.adjust(read);
      clock.advance(3.49 * DAY_MS);
      for (const one of [budgets, other]) assert.ok((await amount(one)) <= 2_000);
    }
  });

  test("is what the file says for the rest of the period when somebody revokes it", async () => {
    const { clock, budgets, another, see, read, amount, endOfWeek } = startScene();
    see({ needed: 2_000 });
    await endOfWeek();
    clock.advance(60_000);
    const [grant = assert.fail()] = await budgets.grants();
    await budgets.revoke(grant.id, { giver: "kim", why: "no" });
    for (const one of [budgets, another()]) await one.adjust(read);
    assert.equal(await amount(), 1_000);
    await endOfWeek();
    clock.advance(60_000);
    assert.equal(await amount(), 1_200, "then its rule goes on from there");
  });

  test("is not decided again when somebody revokes what is to hold from the next period on", async () => {
    const { clock, budgets, another, see, read, amount, endOfWeek } = startScene();
    see({ needed: 2_000 });
    await endOfWeek();
    const [grant = assert.fail()] = await budgets.grants();
    await budgets.revoke(grant.id, { giver: "kim", why: "no" });
    for (const one of [budgets, another()]) await one.adjust(read);
    clock.advance(60_000);
    for (const one of [budgets, another()]) await one.adjust(read);
    assert.equal(await amount(), 1_000);
  });

  test("does not go on beside itself when its periods change", async () => {
    const { clock, another, see, read, amount, endOfWeek } = startScene();
    see({ needed: 2_000 });
    await endOfWeek();
    clock.advance(60_000);
    assert.equal(await amount(), 1_200);
    const daily = another({ ...SUPPORT, adjust: { within: "500 - 2000 tokens", every: "day" } });
    const amounts: number[] = [];
    for (let day = 0; day < 4; day++) {
      await daily.adjust(read);
      amounts.push(await amount(daily));
      clock.advance(DAY_MS - 60_000);
      await daily.adjust(read);
      clock.advance(60_000);
    }
    assert.deepEqual(amounts, [1_000, 1_200, 1_440, 1_720]);
  });

  test("stands beside what people grant, and beside what is shared", async () => {
    const { clock, budgets, see, amount, endOfWeek } = startScene();
    see({ needed: 2_000 });
    await endOfWeek();
    clock.advance(60_000);
    await budgets.grant({ id: "g", budget: "support", amount: "50 tokens", until: "2d", giver: "kim", why: "a launch" });
    assert.equal(await amount(), 1_250);
  });

  test("is only proposed where its rule says so, shortly before the period ends", async () => {
    const { clock, store, budgets, see, read, amount } = startScene({
      ...SUPPORT,
      adjust: { within: "500 - 2000 tokens", every: "week", mode: "propose" },
    });
    see({ needed: 1_100, rests: "the days" });
    assert.deepEqual((await budgets.adjust(read)).proposed, []);
    clock.set(MONDAY + 7 * DAY_MS - 60_000);
    const { adjusted, proposed } = await budgets.adjust(read);
    assert.deepEqual(
      [adjusted.length, proposed.map(({ before, amount: to, why, from }) => [before, to, why, from])],
      [0, [[1_000, 1_100, "the days.", MONDAY + 7 * DAY_MS]]],
    );
    clock.advance(60_000);
    assert.equal(await amount(), 1_000);
    assert.deepEqual(await store.entries({ kinds: ["granted"] }), []);
  });

  test("says what it would do, and changes nothing by that; and what held at any time", async () => {
    const { clock, store, budgets, see, read, endOfWeek } = startScene();
    see({ needed: 1_100, rests: "the days" });
    const [before = assert.fail()] = await budgets.adjusting(read);
    assert.deepEqual(
      [before.amount, before.decided, before.nextAt, before.next],
      [1_000, undefined, MONDAY + 7 * DAY_MS, { amount: 1_100, why: "the days." }],
    );
    assert.deepEqual(await store.entries({ kinds: ["granted"] }), []);
    await endOfWeek();
    clock.advance(60_000);
    const [after = assert.fail()] = await budgets.adjusting(read);
    assert.deepEqual([after.amount, after.decided?.adjustment], [1_100, { configured: 1_000, before: 1_000, amount: 1_100 }]);
    assert.deepEqual(
      (await budgets.adjusted(MONDAY + 8 * DAY_MS)).map(({ adjustment }) => adjustment.amount),
      [1_100],
    );
  });
});

/** Stores as several processes have them: one that they share, or one each on the same Redis. */
const STORES: Readonly<Record<string, (context: TestContext, now: () => number) => Promise<readonly Store[] | string>>> = {
  SQLite: async (context, now) => {
    const store = await openSqliteStore({ directory: temporaryDirectory(context), now });
    context.after(() => store.close());
    return [store, store, store];
  },
  Redis: async (context, now) => {
    const server = await startServer(context);
    if (typeof server === "string") return server;
    return Promise.all([1, 2, 3].map(async () => createRedisStore({ redis: server.connect(), namespace: "acme", now })));
  },
};

for (const [kind, start] of Object.entries(STORES))
  test(`three processes on ${kind} that see different things adjust a limit once, all the same`, async (context) => {
    const clock = createFakeClock(MONDAY);
    const stores = await start(context, clock.now);
    if (typeof stores === "string") return context.skip(`not run: ${stores}`);
    const all = stores.map(
      (store) => new Budgets({ store, budgets: [defineBudget(SUPPORT)], prices: PRICES, now: clock.now, timers: clock.timers }),
    );
    const look = () =>
      Promise.all(all.map((budgets, i) => budgets.adjust(async () => ({ ...NOTHING, needed: 1_100 + 40 * i, rests: `seen by ${i}` }))));
    await look();
    clock.set(MONDAY + 7 * DAY_MS - 60_000);
    const decided = (await look()).flatMap(({ adjusted }) => adjusted.filter(({ isNew }) => isNew));
    assert.equal(decided.length, 1);
    clock.advance(60_000);
    assert.deepEqual(
      (await look()).flatMap(({ adjusted }) => adjusted.filter(({ isNew }) => isNew)),
      [],
    );
    const amounts = await Promise.all(all.map(async (budgets) => (await budgets.balances())[0]?.limit));
    assert.deepEqual(new Set(amounts), new Set([decided[0]?.grant.adjustment.amount]));
  });
