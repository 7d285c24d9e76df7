import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type BudgetInput, createLeasedStore, createMemoryStore, type Decision, defineBudget, type Store } from "./index.ts";
import { createRedisStore } from "./stores/redis/index.ts";
import { startServer } from "./stores/redis/server.test-setup.ts";
import { temporaryDirectory } from "./stores/sqlite/directory.test-setup.ts";
import { openSqliteStore } from "./stores/sqlite/index.ts";
import { demoBudgets, demoCall, NOON } from "./testing/demo-budgets.ts";
import { allEntries } from "./testing/ledger-history.ts";

const now = () => NOON;
const TASK: BudgetInput = { name: "task", per: "task", limits: ["1,000 tokens"], minOutput: 1, ladder: { "80%": "finish" } };
const OF_TASK = { subject: { task: "t" } };
const LAST = { ...OF_TASK, finishes: ["task"] };

const tokens = (input: number, extra = {}) => demoCall({ input, output: 1 }, { ...OF_TASK, ...extra });

function refused(decision: Decision) {
  assert.ok(decision.outcome === "denied", "it was allowed");
  return decision.denial;
}

type Open = (context: TestContext) => Promise<{ store: Store; again: () => Promise<Store> } | string>;

const STORES: Readonly<Record<string, Open>> = {
  memory: async () => {
    const store = createMemoryStore({ now });
    return { store, again: async () => store };
  },
  SQLite: async (context) => {
    const directory = temporaryDirectory(context);
    const store = await openSqliteStore({ directory, now });
    const again = async () => {
      await store.close();
      return openSqliteStore({ directory, now });
    };
    return { store, again };
  },
  Redis: async (context) => {
    const server = await startServer(context);
    if (typeof server === "string") return server;
    const open = () => createRedisStore({ redis: server.connect(), namespace: "last", now });
    return { store: open(), again: async () => open() };
  },
  leases: async () => {
    const shared = createMemoryStore({ now });
    const open = () => createLeasedStore(shared, { now, timers: { after: () => () => undefined } });
    return { store: open(), again: async () => open() };
  },
};

for (const [name, open] of Object.entries(STORES)) {
  describe(`the last answer of a task, kept in ${name}`, () => {
    test("has all the room that is kept for it, is one, and ends the task over a restart", async (context) => {
      const opened = await open(context);
      if (typeof opened === "string") return context.skip(`not run: ${opened}`);
      const { budgets } = demoBudgets([TASK], { store: opened.store, now });
      const first = await budgets.reserve(tokens(799));
      assert.ok(first.outcome === "allowed");
      const early = refused(await budgets.reserve(tokens(1)));
      assert.deepEqual([early.lastOf, early.balance?.limit, early.balance?.left], [undefined, 1_000, 0], "calls in flight may return it");
      await budgets.settle(first.reservation, { inputTokens: 799, outputTokens: 1 });
      assert.equal(refused(await budgets.reserve(tokens(1))).lastOf, "task");
      const lasts = await Promise.all([1, 2, 3].map(() => budgets.reserve(tokens(199, LAST))));
      const [last, ...others] = lasts.toSorted((a) => (a.outcome === "allowed" ? -1 : 1));
      assert.ok(last?.outcome === "allowed");
      for (const other of others) assert.deepEqual([refused(other).reason, refused(other).retryAfterMs], ["budget_busy", 1_000]);
      await budgets.settle(last.reservation, { inputTokens: 100, outputTokens: 1 });
      await budgets.close();
      const later = demoBudgets([TASK], { store: await opened.again(), now }).budgets;
      for (const call of [tokens(1), tokens(1, LAST)]) {
        const ended = refused(await later.reserve(call));
        assert.equal(ended.reason, "budget_exhausted");
        assert.match(ended.message, /^Task t has ended: .* Begin a new task, or ask the owner of the budget for more\.$/);
      }
      assert.equal((await later.reserve(demoCall({ input: 700, output: 1 }, { subject: { task: "other" } }))).outcome, "allowed");
      await later.close();
    });
  });
}

test("of many calls at once none takes what is kept, at any entry of the ledger", async () => {
  const { budgets, store } = demoBudgets([{ ...TASK, limits: ["1,000 tokens", "$0.001", "9 requests"] }]);
  const run = async (input: number) => {
    const decision = await budgets.reserve(tokens(input));
    await nextTurn();
    if (decision.outcome === "allowed") await budgets.settle(decision.reservation, { inputTokens: input, outputTokens: 1 });
  };
  await Promise.all(Array.from({ length: 60 }, (_, i) => run(5 + ((i * 37) % 200))));
  const standing = new Map<string, number>();
  const most = { tokens: 800, nanodollars: 800_000, requests: 7 } as Record<string, number>;
  for (const { postings } of await allEntries(store))
    for (const { counter, held, spent } of postings) {
      const used = (standing.get(counter.unit) ?? 0) + held + spent;
      standing.set(counter.unit, used);
      assert.ok(used <= (most[counter.unit] as number), `${counter.unit} stands at ${used}`);
    }
  assert.equal((await budgets.reserve(tokens(150, LAST))).outcome, "allowed");
});

test("a last call that is returned was none", async () => {
  const { budgets } = demoBudgets([TASK]);
  const decision = await budgets.reserve(tokens(900, LAST));
  assert.ok(decision.outcome === "allowed");
  await budgets.release(decision.reservation, "not sent");
  assert.equal((await budgets.reserve(tokens(100))).outcome, "allowed");
  assert.equal((await budgets.reserve(tokens(850, LAST))).outcome, "allowed");
});

test("only limits that the step is a share of keep something; a ladder that could end nothing is refused", async () => {
  const { budgets } = demoBudgets([{ ...TASK, limits: ["1,000 tokens", "10 requests"], ladder: { "80% of requests": "finish" } }]);
  assert.equal((await budgets.reserve(tokens(950))).outcome, "allowed");
  const wrong = (limits: string[], step: string) => () => defineBudget({ name: "task", per: "task", limits, ladder: { [step]: "finish" } });
  assert.throws(wrong(["$2 / day"], "90%"), /ends a task for good, and a limit by the day begins again/);
  assert.throws(wrong(["$2", "$1 / day"], "90%"), /name a unit of which all are: `90% of \$: finish`/);
  assert.throws(wrong(["$2"], "100%"), /keeps nothing for the last answer/);
  assert.throws(wrong(["$2"], "0%"), /keeps all for the last answer/);
});

test("a budget that only observes keeps nothing and ends nothing", async () => {
  const { budgets } = demoBudgets([{ ...TASK, mode: "observe" }]);
  for (const input of [950, 950]) assert.equal((await budgets.reserve(tokens(input))).outcome, "allowed");
});
