import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { Budgets } from "./budgets.ts";
import { type BudgetInput, defineBudget } from "./domain/budget.ts";
import type { Subject } from "./domain/subject.ts";
import { PurserError } from "./errors.ts";
import { createMemoryStore } from "./stores/memory.ts";
import { createRedisStore } from "./stores/redis/index.ts";
import { startServer } from "./stores/redis/server.test-setup.ts";
import { temporaryDirectory } from "./stores/sqlite/directory.test-setup.ts";
import { openSqliteStore } from "./stores/sqlite/index.ts";
import type { Store } from "./stores/store.ts";
import { createFakeClock } from "./testing/fake-clock.ts";

const PRICES = { card: () => undefined };
/** A Monday, at the beginning of its week. */
const MONDAY = Date.UTC(2026, 10, 23);
const DAY_MS = 86_400_000;

const TEAMS: readonly BudgetInput[] = [
  { name: "company", limits: ["1M tokens / week"], share: { among: ["ads", "chat", "search"], every: "day" } },
  ...["ads", "chat", "search"].map((team) => ({ name: team, for: { team }, limits: ["1000 tokens / week"] })),
];

interface Scene {
  readonly clock: ReturnType<typeof createFakeClock>;
  readonly store: Store;
  readonly budgets: Budgets;
  /** Another process on the same store. */
  another(): Budgets;
  use(subject: Subject, tokens: number): Promise<boolean>;
  /** What each budget has, by its name and whom it is for. */
  amounts(): Promise<Readonly<Record<string, number>>>;
}

function startScene(inputs: readonly BudgetInput[], store?: (own: Store) => Store): Scene {
  const clock = createFakeClock(MONDAY);
  const own = createMemoryStore({ now: clock.now });
  const shared = store?.(own) ?? own;
  const another = () =>
    new Budgets({ store: shared, budgets: inputs.map(defineBudget), prices: PRICES, now: clock.now, timers: clock.timers });
  const budgets = another();
  let calls = 0;
  return {
    clock,
    store: shared,
    budgets,
    another,
    use: async (subject, tokens) => {
      const decision = await budgets.reserve({ id: `call-${++calls}`, subject, input: { most: tokens }, output: { most: 0, least: 0 } });
      if (decision.outcome !== "allowed") return false;
      await budgets.settle(decision.reservation, { inputTokens: tokens, outputTokens: 0 }, "confirmed");
      return true;
    },
    amounts: async () => {
      const balances = await budgets.balances();
      return Object.fromEntries(balances.map(({ budget, subject, limit }) => [subject === "" ? budget : subject, limit]));
    },
  };
}

describe("what is unused", () => {
  test("goes to who needs it until the window ends, and all together have what they had", async () => {
    const { clock, budgets, use, amounts } = startScene(TEAMS);
    await use({ team: "chat" }, 900);
    await use({ team: "ads" }, 100);
    clock.advance(3.5 * DAY_MS);
    const [shared = assert.fail(), ...others] = await budgets.share();
    assert.deepEqual(others, []);
    assert.deepEqual([shared.budget, shared.limit], ["company", "tokens/week@UTC"]);
    assert.deepEqual(shared.moves, {
      takes: [
        { budget: "ads", subject: "", amount: 250 },
        { budget: "search", subject: "", amount: 250 },
      ],
      gives: [{ budget: "chat", subject: "", amount: 500 }],
    });
    assert.deepEqual(await amounts(), { company: 1_000_000, ads: 750, chat: 1_500, search: 750 });
    assert.equal(await use({ team: "chat" }, 600), true);
    assert.equal(await use({ team: "chat" }, 1), false, "not more than it was given");
    const [first = assert.fail()] = await budgets.grants({ budget: "chat" });
    assert.deepEqual([first.giver, first.why, first.until], ['the sharing of "company"', "Unused by others.", MONDAY + 7 * DAY_MS]);
    clock.set(MONDAY + 7 * DAY_MS);
    assert.deepEqual(await amounts(), { company: 1_000_000, ads: 1_000, chat: 1_000, search: 1_000 });
  });

  test("is moved once in each period, whoever asks and however often, also after a restart", async () => {
    const { clock, store, budgets, another, use, amounts } = startScene(TEAMS);
    await use({ team: "chat" }, 900);
    clock.advance(3.5 * DAY_MS);
    const decided = await Promise.all([budgets, another(), another()].map((one) => one.share()));
    assert.equal(decided.flat().length, 1, "one of them decides");
    for (const one of [budgets, another()]) assert.deepEqual(await one.share(), []);
    assert.equal((await store.entries({ kinds: ["granted"] })).length, 4, "what was decided, and three that move it");
    assert.equal((await amounts()).chat, 1_500);
    // It has all it may get, so that the next day brings no more.
    await use({ team: "chat" }, 600);
    clock.advance(DAY_MS);
    assert.deepEqual(await another().share(), []);
    assert.equal((await store.entries({ kinds: ["granted"] })).length, 4);
  });

  test("is given as far as it is still unused when it was taken: what is admitted meanwhile counts", async () => {
    let meanwhile: (() => Promise<unknown>) | undefined;
    const { clock, budgets, use, amounts } = startScene(TEAMS, (own) => ({
      ...own,
      record: async (entry) => {
        const during = meanwhile;
        meanwhile = undefined;
        if (entry.kind === "granted") await during?.();
        return own.record(entry);
      },
    }));
    await use({ team: "chat" }, 900);
    await use({ team: "ads" }, 100);
    clock.advance(3.5 * DAY_MS);
    meanwhile = () => use({ team: "ads" }, 800);
    await budgets.share();
    // ads was to keep 750 and has used 900: 150 of what was taken is not there to be given.
    assert.deepEqual(await amounts(), { company: 1_000_000, ads: 750, chat: 1_350, search: 750 });
    assert.equal(await use({ team: "chat" }, 450), true);
    assert.equal(await use({ team: "search" }, 750), true);
    for (const team of ["ads", "chat", "search"]) assert.equal(await use({ team }, 1), false);
    const spent = (await budgets.balances()).filter(({ budget }) => budget !== "company").reduce((sum, { spent }) => sum + spent, 0);
    assert.equal(spent, 3_000, "all of what they have together, and nothing more");
  });

  test("is moved once also where two look at different moments, and would take it from others", async () => {
    let meanwhile: (() => Promise<unknown>) | undefined;
    const { clock, budgets, another, use, amounts } = startScene(TEAMS, (own) => ({
      ...own,
      record: async (entry) => {
        const during = meanwhile;
        meanwhile = undefined;
        if (entry.kind === "granted") await during?.();
        return own.record(entry);
      },
    }));
    await use({ team: "chat" }, 900);
    clock.advance(3.5 * DAY_MS);
    // One would take 250 from ads and from search each. Before it says so, ads has nothing left to spare, and another one decides.
    const decided: unknown[] = [];
    meanwhile = async () => {
      await use({ team: "ads" }, 600);
      decided.push(...(await another().share()));
    };
    decided.push(...(await budgets.share()));
    assert.equal(decided.length, 1, "one of them decides");
    const { company: _, ...teams } = await amounts();
    assert.deepEqual(teams, { ads: 1_000, chat: 1_500, search: 500 });
  });

  test("is taken and not given where a process dies between the two, and the next one goes on", async () => {
    let isDead = false;
    const { clock, budgets, another, use, amounts } = startScene(TEAMS, (own) => ({
      ...own,
      record: async (entry) => {
        if (isDead && entry.kind === "granted" && entry.grant.amount > 0) throw new Error("killed");
        return own.record(entry);
      },
    }));
    await use({ team: "chat" }, 900);
    clock.advance(3.5 * DAY_MS);
    isDead = true;
    await assert.rejects(budgets.share(), /killed/);
    assert.deepEqual(await amounts(), { company: 1_000_000, ads: 750, chat: 1_000, search: 750 });
    isDead = false;
    assert.deepEqual(await another().share(), [], "it was decided before");
    assert.deepEqual(await amounts(), { company: 1_000_000, ads: 750, chat: 1_500, search: 750 });
  });

  test("is not given again when it was revoked", async () => {
    const { clock, budgets, another, use, amounts } = startScene(TEAMS);
    await use({ team: "chat" }, 900);
    clock.advance(3.5 * DAY_MS);
    await budgets.share();
    for (const { id } of await budgets.grants()) await budgets.revoke(id, { giver: "kim", why: "no" });
    await another().share();
    assert.deepEqual(await amounts(), { company: 1_000_000, ads: 1_000, chat: 1_000, search: 1_000 });
  });

  test("goes from user to user where a budget has a balance for each, within the bounds that its owner set", async () => {
    const share = { every: "week", from: "90%", keep: "80%", most: "10%" };
    const { clock, budgets, use, amounts } = startScene([
      { name: "users", per: "user", limits: ["1000 tokens / week", "5 requests / hour"], share },
    ]);
    await use({ user: "ann" }, 950);
    await use({ user: "bob" }, 10);
    await use({ user: "cy" }, 700);
    clock.advance(2 * DAY_MS);
    await budgets.share();
    const { "user=ann": ann, "user=bob": bob, "user=cy": cy } = await amounts();
    assert.deepEqual([ann, bob, cy], [1_100, 900, 1_000]);
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
  test(`three processes on ${kind} move the same amounts once, whoever is first`, async (context) => {
    const clock = createFakeClock(MONDAY);
    const stores = await start(context, clock.now);
    if (typeof stores === "string") return context.skip(`not run: ${stores}`);
    const terms = { budgets: TEAMS.map(defineBudget), prices: PRICES, now: clock.now, timers: clock.timers };
    const all = stores.map((store) => new Budgets({ store, ...terms }));
    const [one = assert.fail()] = all;
    const decision = await one.reserve({ id: "call", subject: { team: "chat" }, input: { most: 900 }, output: { most: 0, least: 0 } });
    assert.ok(decision.outcome === "allowed");
    await one.settle(decision.reservation, { inputTokens: 900, outputTokens: 0 }, "confirmed");
    clock.advance(3.5 * DAY_MS);
    const decided = await Promise.all(all.map((budgets) => budgets.share()));
    assert.equal(decided.flat().length, 1);
    for (const budgets of all) {
      const balances = await budgets.balances();
      assert.deepEqual(balances.map(({ limit }) => limit).toSorted(), [1_000_000, 1_500, 750, 750].toSorted());
    }
    assert.equal((await one.grants()).length, 3);
  });

test("budgets that cannot share are refused with what to do", () => {
  const company = (among: readonly string[]) => ({ name: "company", share: { among, every: "week" } });
  const monthly = { name: "monthly", limits: ["10 tokens / month"] };
  for (const [inputs, mention] of [
    [[company(["ads", "chta"]), ...TEAMS.slice(1)], /shares among "chta", which is no budget/],
    [[company(["ads", "monthly"]), monthly, ...TEAMS.slice(1)], /no limit of the same unit and window/],
    [
      [company(["ads", "users"]), { name: "users", per: "user", limits: ["1 tokens / week"] }, ...TEAMS.slice(1)],
      /"users", which has many balances/,
    ],
    [[{ name: "alone", limits: ["10 tokens / week"], share: { every: "week" } }], /has one balance, and shares with nobody/],
    [[{ name: "users", per: "user", limits: ["10 tokens"], share: { every: "week" } }], /has no limit that can be shared/],
  ] as const)
    assert.throws(
      () => startScene(inputs as readonly BudgetInput[]),
      (error) => error instanceof PurserError && error.code === "config_invalid" && mention.test(error.message),
    );
});
