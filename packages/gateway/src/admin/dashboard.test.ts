import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Budgets, createMemoryStore, defineBudget, type RateCard } from "@purser/core";
import { createPriceBook } from "@purser/core/prices";
import { openRollups, type Rollups } from "@purser/core/stores/sqlite";
import { Alerts } from "../alerts/alerts.ts";
import { openFileBook } from "../alerts/file-book.ts";
import { openKeys } from "../callers/keys.ts";
import { type BudgetChange, fixedBudgets } from "../config/change-budgets.ts";
import { readConfig } from "../config/read-config.ts";
import { NO_HANDOVERS } from "../handovers/handover-book.ts";
import { People } from "../people/people.ts";
import { NO_QUEUE } from "../queue/queue.ts";
import { openSwitches } from "../switches/switches.ts";
import type { Admin } from "./admin.ts";
import { createFigures } from "./figures.ts";
import { Live, type LiveCallsJson } from "./live.ts";
import { Minutes } from "./minutes.ts";
import { readOverview } from "./overview.ts";
import { createAdmin } from "./routes.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Noon of a Friday, the 20th of a month of 30 days. */
const NOW = Date.UTC(2026, 10, 20, 12);
/** $1 for a million tokens of either kind: a thousand nano-dollars each. */
const CARD: RateCard = {
  provider: "p",
  model: "m",
  source: "test card",
  tiers: [{ aboveInputTokens: 0, rates: { input: 1_000_000, output: 1_000_000 } }],
};
const DOLLAR = 1_000_000_000;

const BUDGETS = [
  defineBudget({ name: "company", limits: ["$100 / month"], ladder: { "80%": "tell" } }),
  defineBudget({ name: "search", for: { team: "search" }, limits: ["$25 / month"] }),
  defineBudget({ name: "ranking", for: { team: "search", feature: "ranking" }, limits: ["$20 / week"] }),
  defineBudget({ name: "models", for: { model: ["m", "n*"] }, limits: ["$500 / month"] }),
  defineBudget({ name: "model m", for: { model: "m" }, limits: ["$400 / month"] }),
  defineBudget({ name: "each user", per: "user", limits: ["$4 / day", "2 concurrent"] }),
];

// biome-ignore lint/suspicious/noExplicitAny: JSON from outside has no type.
type Json = any;

describe("what the dashboard is made of", () => {
  let now = NOW;
  let admin: Admin;
  let rollups: Rollups;
  let changed: BudgetChange | undefined;
  let answered: readonly [string, boolean, string] | undefined;
  const directory = mkdtempSync(join(tmpdir(), "purser-dashboard-api-"));
  const store = createMemoryStore({ now: () => now });
  const budgets = new Budgets({ store, prices: { card: () => CARD }, now: () => now, budgets: BUDGETS });
  const live = new Live(store);
  const minutes = new Minutes({ ledger: store, now: () => now, onError: (error) => assert.fail(String(error)) });
  const people = new People(directory);

  async function call(at: number, dollars: number, subject: Record<string, string>) {
    now = at;
    const id = `req_${at}_${subject.user}`;
    const inputTokens = dollars * 1_000_000;
    const decision = await budgets.reserve({
      id,
      subject: { provider: "p", model: "m", ...subject },
      input: { most: inputTokens },
      output: { most: 1 },
    });
    if (decision.outcome === "allowed") await budgets.settle(decision.reservation, { inputTokens, outputTokens: 0 });
    return decision.outcome;
  }

  async function get(target: string): Promise<Json> {
    const url = new URL(target, "http://localhost");
    const { status, body } = await admin({ method: "GET", path: url.pathname, query: url.searchParams, body: undefined });
    return status === 200 ? body : { status, ...(body as object) };
  }

  before(async () => {
    await call(Date.UTC(2026, 9, 10, 9), 3, { team: "search", user: "ann" });
    await call(Date.UTC(2026, 9, 25, 9), 2, { team: "search", user: "ann" });
    // $2 a day by ann since the 14th, and $1 by bob, and both today.
    for (let day = 14; day <= 20; day++) {
      await call(Date.UTC(2026, 10, day, 9), 2, { team: "search", feature: "ranking", user: "ann" });
      await call(Date.UTC(2026, 10, day, 10), 1, { team: "chat", user: "bob" });
    }
    assert.equal(await call(NOW - 1_000, 3, { team: "chat", user: "ann" }), "denied");
    now = NOW;
    await budgets.close();
    rollups = await openRollups({ ledger: store, timeZone: "UTC" });
    const config = { ...readConfig({ text: "budgets: []", environment: {} }), budgets: BUDGETS };
    const ask = {
      id: "ask_1",
      budget: "search",
      label: "",
      subject: {},
      amount: "$5 / month",
      more: "$5.00",
      until: NOW + DAY_MS,
      expiresAt: NOW + HOUR_MS,
    };
    admin = createAdmin({
      budgets,
      store,
      prices: { card: () => CARD },
      keys: await openKeys(directory),
      switches: openSwitches(directory),
      alerts: new Alerts({ book: await openFileBook(directory), channels: [], budgets: [] }),
      now: () => now,
      running: {
        config: () => config,
        priceBook: () => createPriceBook(),
        rollups: () => rollups,
        readEvidence: async () => undefined,
        live,
        minutes,
        people,
        budgetFile: {
          ...fixedBudgets("not here"),
          change: async (change) => {
            changed = change;
            return { name: "", before: undefined, after: undefined, sentence: undefined, warnings: [] };
          },
        },
        asks: {
          list: async () => [ask],
          async answerById(id, isGiven, giver) {
            answered = [id, isGiven, giver];
            return id === ask.id ? { kind: isGiven ? "given" : "declined", ask } : undefined;
          },
        },
        guards: { takeOver: async () => undefined, standing: () => [], end: async () => undefined },
        queue: NO_QUEUE,
        handovers: NO_HANDOVERS,
        onError: (error) => assert.fail(String(error)),
      },
    });
  });
  after(async () => {
    await rollups.close();
    rmSync(directory, { recursive: true, force: true });
  });

  test("the overview adds up to the report, and goes on as the last seven days did", async () => {
    const overview = await get("/api/overview");
    const { data } = await get("/api/report?since=2026-11-01");
    assert.equal(overview.is_complete, true);
    assert.equal(overview.month.cost_nanodollars, data[0].cost_nanodollars);
    assert.equal(overview.month.cost_nanodollars, 21 * DOLLAR);
    assert.equal(overview.month.before.cost_nanodollars, 3 * DOLLAR, "the month before, up to the same time of it");
    assert.equal(overview.month.before_whole.cost_nanodollars, 5 * DOLLAR);
    assert.deepEqual([overview.today.cost_nanodollars, overview.today.calls, overview.today.refusals], [3 * DOLLAR, 2, 1]);
    assert.equal(overview.today.before.cost_nanodollars, 3 * DOLLAR);
    const rest = Date.UTC(2026, 11, 1) - NOW;
    assert.equal(overview.month_expected_nanodollars, 21 * DOLLAR + Math.round(((21 * DOLLAR) / (7 * DAY_MS)) * rest));
    assert.equal(overview.days.length, 9);
    assert.equal(overview.hours.length, 5, "two of the day before yesterday's calls are more than 48 hours ago");
  });

  test("the overview says nothing of a month of which it saw some minutes", async () => {
    const young = createMemoryStore({ now: () => now });
    const first = new Budgets({ store: young, prices: { card: () => CARD }, now: () => now, budgets: BUDGETS });
    const sums = await openRollups({ ledger: young, timeZone: "UTC" });
    const expectedAfter = async (ms: number) => {
      const overview = await readOverview(createFigures({ store: young, rollups: () => sums }), { now: NOW + ms, timeZone: "UTC" });
      return [overview.month.cost_nanodollars, overview.month_expected_nanodollars === null];
    };
    try {
      const call = { id: "req_first", subject: {}, input: { most: 1_000_000 }, output: { most: 1 } };
      const decision = await first.reserve(call);
      assert.ok(decision.outcome === "allowed");
      await first.settle(decision.reservation, { inputTokens: 1_000_000, outputTokens: 0 });
      await first.close();
      assert.deepEqual(await expectedAfter(4 * 60_000), [DOLLAR, true]);
      assert.deepEqual(await expectedAfter(25 * HOUR_MS), [DOLLAR, false]);
    } finally {
      await sums.close();
    }
  });

  test("who spends most is named, with how few make half of it", async () => {
    const { top } = await get("/api/overview");
    const users = top.find(({ by }: Json) => by === "user");
    assert.deepEqual(
      users.rows.map(({ value, cost_nanodollars }: Json) => [value, cost_nanodollars / DOLLAR]),
      [
        ["ann", 14],
        ["bob", 7],
      ],
    );
    assert.deepEqual([users.values, users.half, users.rows[0].share], [2, 1, 14 / 21]);
  });

  test("every budget stands under the narrowest one that has all its calls", async () => {
    const { data } = await get("/api/budget-tree");
    assert.deepEqual(Object.fromEntries(data.map(({ name, parent }: Json) => [name, parent])), {
      company: null,
      search: "company",
      ranking: "search",
      models: "company",
      "model m": "models",
      "each user": "company",
    });
    const measured = { of: null, measures: [{ unit: "nanodollars", window: "month" }], rungs: ["tell"] };
    assert.deepEqual(data[0].ladder, [{ text: "80%", at: 0.8, spent: null, left: null, ...measured }]);
    assert.match(data[1].sentence, /^Calls with team search may use \$25\.00 a month/);
  });

  test("a budget says when it will be gone, and one that lasts says what it will come to", async () => {
    const { data } = await get("/api/budget-tree");
    const balance = (name: string, i = 0) => data.find((one: Json) => one.name === name).balances[i];
    // $11 are left of search at $2 a day: five days and a half, in whole and parts of the last seven days.
    const rate = (14 * DOLLAR) / (7 * DAY_MS);
    assert.equal(Date.parse(balance("search").gone_at), Math.round(NOW + (11 * DOLLAR) / rate));
    assert.equal(balance("company").gone_at, null);
    assert.equal(balance("company").expected, Math.round(21 * DOLLAR + ((21 * DOLLAR) / (7 * DAY_MS)) * (Date.UTC(2026, 11, 1) - NOW)));
    const ann = data.find((one: Json) => one.name === "each user").balances.find(({ subject }: Json) => subject === "user=ann");
    assert.equal(ann.expected, 4 * DOLLAR, "$2 in half a day");
  });

  test("the history of a budget is what its balance has", async () => {
    const { data } = await get("/api/budgets/search/history?days=20");
    const [balance] = await budgets.balances({ budget: "search" });
    assert.equal(
      data[0].hours.reduce((sum: number, { spent }: Json) => sum + spent, 0),
      balance?.spent,
    );
    assert.equal((await get("/api/budgets/serch/history")).code, "budget_unknown");
  });

  test("another limit is played back against the calls that were", async () => {
    const whatIf = (limit: string, days = 7) => get(`/api/budgets/search/what-if?limit=${encodeURIComponent(limit)}&days=${days}`);
    const same = await whatIf("$25 / month");
    assert.deepEqual([same.calls, same.used, same.refused_calls], [7, 14 * DOLLAR, 0]);
    const less = await whatIf("$6 / month");
    assert.deepEqual([less.refused_calls, less.refused, less.first_refused_at], [4, 8 * DOLLAR, "2026-11-17T09:00:00.000Z"]);
    const two = await whatIf("$6 / month", 2);
    assert.deepEqual([two.calls, two.refused_calls], [2, 2], "what came before filled the window");
    const each = await get(`/api/budgets/each%20user/what-if?limit=${encodeURIComponent("$1.50 / day")}`);
    assert.deepEqual([each.calls, each.refused_calls, each.subjects, each.subjects_refused], [14, 7, 2, 1]);
    assert.equal((await whatIf("$6 / hour")).code, "limit_invalid");
    assert.equal((await get("/api/budgets/search/what-if")).code, "body_invalid");
  });

  test("calls are found by what they are charged to, page after page", async () => {
    const found: string[] = [];
    for (let after = ""; ; ) {
      const page = await get(`/api/requests?limit=3&filter=user=b*${after}`);
      found.push(...page.data.map(({ at }: Json) => at.slice(0, 10)));
      if (!page.has_more) break;
      after = `&after_id=${page.last_id}`;
    }
    assert.deepEqual(
      found,
      ["20", "19", "18", "17", "16", "15", "14"].map((day) => `2026-11-${day}`),
    );
    assert.deepEqual(
      (await get("/api/requests?outcome=denied")).data.map(({ outcome }: Json) => outcome),
      ["denied"],
    );
    assert.equal((await get("/api/requests?outcome=lost")).code, "body_invalid");
  });

  test("whoever listens is told each call once, with its end", async () => {
    const told: LiveCallsJson[] = [];
    const stop = live.listen((_event, data) => told.push(data as LiveCallsJson));
    await live.look();
    assert.equal(told.length, 0, "what was before is not told");
    await call(NOW, 1, { team: "live", user: "eve" });
    await live.look();
    await live.look();
    stop();
    assert.equal(told.length, 1);
    assert.deepEqual(
      told[0]?.calls.map(({ subject, outcome, cost_nanodollars }) => [subject.user, outcome, cost_nanodollars]),
      [["eve", "settled", DOLLAR]],
    );
  });

  test("a limit is changed by its text, and a body that says something else is refused", async () => {
    const name = "company";
    const post = (path: string, body: unknown) => admin({ method: "POST", path, query: new URLSearchParams(), body });
    const path = `/api/budgets/${encodeURIComponent(name)}/limit`;
    for (const body of [
      undefined,
      {},
      { limit: "$5 / day" },
      { limit: 5, to: "$6 / day" },
      { limit: "$5 / day", to: "$6 / day", by: "kim" },
    ])
      assert.equal((await post(path, body)).status, 400, JSON.stringify(body));
    assert.equal((await post("/api/budgets/nobody/limit", { limit: "$5 / day", to: "$6 / day" })).status, 404);
    assert.equal(changed, undefined);
    assert.equal((await post(path, { limit: "$5 / day", to: "$6 / day", why: "the launch" })).status, 200);
    assert.deepEqual(changed, { kind: "limit", budget: name, limit: "$5 / day", to: "$6 / day" });
  });

  test("what is asked for is given or declined by its id", async () => {
    assert.deepEqual(
      (await get("/api/asks")).data.map(({ id, more }: Json) => [id, more]),
      [["ask_1", "$5.00"]],
    );
    const answer = (id: string, body: unknown) => admin({ method: "POST", path: `/api/asks/${id}`, query: new URLSearchParams(), body });
    assert.equal((await answer("ask_1", { answer: "perhaps" })).status, 400);
    assert.equal((await answer("ask_2", { answer: "give" })).status, 404);
    assert.equal((await answer("ask_1", { answer: "give", giver: "kim" })).status, 200);
    assert.deepEqual(answered, ["ask_1", true, "kim"]);
  });
});
