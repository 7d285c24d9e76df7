import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import fc from "fast-check";
import { Budgets } from "./budgets.ts";
import { type Budget, type BudgetInput, defineBudget, subjectLabel } from "./domain/budget.ts";
import type { Decision } from "./domain/decision.ts";
import { type Charge, estimatedCharge } from "./domain/ledger.ts";
import type { Limit } from "./domain/limit.ts";
import { amountsOf } from "./domain/quote.ts";
import type { Reservation } from "./domain/reservation.ts";
import type { Subject } from "./domain/subject.ts";
import { weigh } from "./domain/weights.ts";
import { windowName } from "./domain/window.ts";
import { PurserError } from "./errors.ts";
import type { Store } from "./stores/store.ts";
import { DEMO_CARD, demoBudgets, demoCall, NOON } from "./testing/demo-budgets.ts";
import { allEntries } from "./testing/ledger-history.ts";

const prices = { card: () => DEMO_CARD };
const COMPANY: BudgetInput = { name: "company", limits: ["$1 / day"] };

const allowed = (decision: Decision): Reservation => {
  assert.ok(decision.outcome === "allowed", decision.outcome === "denied" ? decision.denial.message : "");
  return decision.reservation;
};
const configure = (budgets: Budgets, ...inputs: readonly BudgetInput[]) => budgets.configure({ budgets: inputs.map(defineBudget), prices });
const standings = async (budgets: Budgets) =>
  Object.fromEntries(
    (await budgets.balances()).map(({ budget, subject, unit, spent, held }) => [`${budget} ${subject} ${unit}`, [spent, held]]),
  );

/** Spends 1,000 input and 50 output tokens: 1,100,000 nano-dollars. */
async function spend(budgets: Budgets, subject: Subject = {}): Promise<void> {
  const reservation = allowed(await budgets.reserve(demoCall({ input: 1_000, output: 100 }, { subject })));
  await budgets.settle(reservation, { inputTokens: 1_000, outputTokens: 50 });
}

test("a raised limit keeps what was used, and one lowered below it refuses", async () => {
  const { budgets } = demoBudgets([COMPANY]);
  await budgets.adopt();
  await spend(budgets);
  await configure(budgets, { ...COMPANY, limits: ["$2 / day"] });
  assert.deepEqual(await standings(budgets), { "company  nanodollars": [1_100_000, 0] });
  await configure(budgets, { ...COMPANY, limits: ["$0.001 / day"] });
  const decision = await budgets.reserve(demoCall({ input: 1, output: 1 }));
  assert.ok(decision.outcome === "denied");
  assert.equal(decision.denial.reason, "budget_exhausted");
});

test("a new limit, window or per starts from what its window has used", async () => {
  let time = NOON - 3 * 24 * 3_600_000;
  const { budgets } = demoBudgets([COMPANY], { now: () => time });
  await budgets.adopt();
  await spend(budgets);
  time = NOON;
  await spend(budgets, { user: "ann" });
  await spend(budgets, { user: "bob" });
  await configure(
    budgets,
    { ...COMPANY, limits: ["$1 / day", "$9 / month", "9 requests / hour"] },
    { name: "users", per: "user", limits: ["1M / month"] },
  );
  assert.deepEqual(await standings(budgets), {
    "company  nanodollars": [3_300_000, 0],
    "company  requests": [2, 0],
    "users user=ann tokens": [2_100, 0],
    "users user=bob tokens": [1_050, 0],
  });
  const [day, month] = await budgets.balances({ budget: "company" });
  assert.deepEqual([day?.spent, month?.spent], [2_200_000, 3_300_000]);
});

test("a limit whose weights change starts from what its window has used, weighed anew, while charges stay as they were", async () => {
  const TOKENS: BudgetInput = { name: "tokens", limits: ["9k tokens / day"] };
  const WEIGHED: BudgetInput = { ...TOKENS, weights: { cache_read: 0.1, output: 4 } };
  const HEAVIER: BudgetInput = { ...TOKENS, weights: { cache_read: 0.5, output: 4, cache_write: 1.5 } };
  const { budgets, store } = demoBudgets([TOKENS]);
  await budgets.adopt();
  const [cached, open] = [
    allowed(await budgets.reserve(demoCall({ input: 1_000, output: 100 }))),
    allowed(await budgets.reserve(demoCall({ input: 500, output: 20 }))),
  ];
  await budgets.settle(cached, { inputTokens: 1_000, cacheReadInputTokens: 800, outputTokens: 50 });
  await configure(budgets, WEIGHED);
  assert.deepEqual(await standings(budgets), { "tokens  tokens": [480, 580] });
  await configure(budgets, HEAVIER);
  // In flight, its input may be what weighs the most.
  assert.deepEqual(await standings(budgets), { "tokens  tokens": [800, 830] });
  await budgets.settle(open, { inputTokens: 500, cacheReadInputTokens: 500, outputTokens: 10 });
  assert.deepEqual(await standings(budgets), { "tokens  tokens": [1_090, 0] });
  await configure(budgets, WEIGHED);
  assert.deepEqual(await standings(budgets), { "tokens  tokens": [570, 0] });
  await configure(budgets, TOKENS);
  assert.deepEqual(await standings(budgets), { "tokens  tokens": [1_560, 0] });
  const charges = (await allEntries(store)).flatMap((entry) => (entry.kind === "settled" ? entry.charge.cost : []));
  assert.deepEqual(charges, [1_100_000, 520_000]);
});

test("a limit that gets weights charges a call whose lease ran out the most that it can count, until its end is known", async () => {
  let time = NOON;
  const { budgets } = demoBudgets([], { now: () => time });
  await budgets.adopt();
  const late = allowed(await budgets.reserve(demoCall({ input: 100, output: 10 }, { leaseMs: 1_000 })));
  time += 5_000;
  await budgets.expire();
  await configure(budgets, { name: "tokens", limits: ["9k tokens / day"], weights: { cache_write: 1.25, output: 4 } });
  assert.deepEqual(await standings(budgets), { "tokens  tokens": [165, 0] });
  await budgets.settle(late, { inputTokens: 100, cacheWriteInputTokens: 20, outputTokens: 3 });
  assert.deepEqual(await standings(budgets), { "tokens  tokens": [117, 0] });
});

test("a new limit with a window that moves, or that carries over, takes each call over where it belongs", async () => {
  let time = NOON - 31 * 24 * 3_600_000;
  const { budgets } = demoBudgets([COMPANY], { now: () => time });
  await budgets.adopt();
  await spend(budgets);
  for (const minutesAgo of [26 * 60, 23 * 60, 2 * 60, 1]) {
    time = NOON - minutesAgo * 60_000;
    await spend(budgets);
  }
  time = NOON;
  const inFlight = allowed(await budgets.reserve(demoCall({ input: 100, output: 0 })));
  const limits = ["1M / rolling 24h", "1M / rolling 1h", "6000 / minute bucket", "5k / month rollover 2k"];
  await configure(budgets, { ...COMPANY, limits: [...(COMPANY.limits ?? []), ...limits] });
  const shown = async () => (await budgets.balances()).slice(1).map(({ limit, spent, held }) => [limit, spent, held]);
  // The call of a minute ago was in a second that ended 59 seconds ago, and 6,000 drain in a minute.
  assert.deepEqual(await shown(), [
    [1_000_000, 3_150, 100],
    [1_000_000, 1_050, 100],
    [6_000, 0, 100],
    [7_000, 4_200, 100],
  ]);
  await budgets.settle(inFlight, { inputTokens: 40, outputTokens: 0 });
  time += 75 * 60_000;
  assert.deepEqual(await shown(), [
    [1_000_000, 2_140, 0],
    [1_000_000, 0, 0],
    [6_000, 0, 0],
    [7_000, 4_240, 0],
  ]);
});

test("calls in flight are held by a new limit too, and settle on it to the unit", async () => {
  const { budgets } = demoBudgets([COMPANY]);
  await budgets.adopt();
  const inFlight = [];
  for (let i = 0; i < 4; i++) inFlight.push(allowed(await budgets.reserve(demoCall({ input: 1_000, output: 100 }))));
  await configure(budgets, COMPANY, { name: "users", per: "user", limits: ["1M / day", "3 concurrent"] });
  assert.deepEqual((await standings(budgets))["users user=ann tokens"], [0, 4_400]);
  assert.equal(
    (await budgets.reserve(demoCall({ input: 1, output: 1 }))).outcome,
    "denied",
    "there are more calls at once than are allowed now",
  );
  const [settled, released, late, expired] = inFlight as [Reservation, Reservation, Reservation, Reservation];
  await budgets.settle(settled, { inputTokens: 10, outputTokens: 5 });
  await budgets.release(released, "not sent");
  await configure(
    budgets,
    COMPANY,
    { name: "teams", per: "team", limits: ["1M / day"] },
    { name: "users", per: "user", limits: ["1M / day", "3 concurrent"] },
  );
  await budgets.settle(late, { inputTokens: 7, outputTokens: 0 });
  await budgets.settle(expired, { inputTokens: 1, outputTokens: 0 });
  assert.deepEqual(await standings(budgets), {
    "company  nanodollars": [28_000, 0],
    "teams team=a tokens": [23, 0],
    "users user=ann tokens": [23, 0],
    "users user=ann concurrent": [0, 0],
  });
});

test("a call that asked for nothing of a new limit is counted on it all the same, should it use more", async () => {
  const { budgets } = demoBudgets([COMPANY]);
  await budgets.adopt();
  const reservation = allowed(await budgets.reserve(demoCall({ input: 0, output: 0 })));
  await configure(budgets, COMPANY, { name: "users", per: "user", limits: ["1M / day"] });
  await budgets.settle(reservation, { inputTokens: 0, outputTokens: 3 });
  assert.deepEqual((await standings(budgets))["users user=ann tokens"], [3, 0]);
});

test("a call that ends while it is being taken over is taken over as it ended", async () => {
  const { budgets, store } = demoBudgets([COMPANY]);
  await budgets.adopt();
  const inFlight = allowed(await budgets.reserve(demoCall({ input: 1_000, output: 100 })));
  const record: Store["record"] = async (entry) => {
    if (entry.reservation === inFlight.id) await budgets.settle(inFlight, { inputTokens: 20, outputTokens: 3 });
    return store.record(entry);
  };
  const next = [COMPANY, { name: "users", per: "user", limits: ["1M / day"] } as const].map(defineBudget);
  const restarted = new Budgets({ store: { ...store, record }, budgets: next, prices, now: () => NOON });
  await restarted.adopt();
  assert.deepEqual((await standings(restarted))["users user=ann tokens"], [23, 0]);
});

test("a call of which more is held while it is being taken over is taken over with all of it", async () => {
  let time = NOON;
  const { budgets, store } = demoBudgets([COMPANY], { now: () => time });
  await budgets.adopt();
  const { output, ...call } = demoCall({ input: 1_000, output: 100 });
  const inFlight = allowed(await budgets.reserve({ ...call, output: { ...output, first: 10 } }));
  let raises = 0;
  const record: Store["record"] = async (entry) => {
    if (entry.reservation === inFlight.id && raises < 2) await budgets.raise(inFlight, { least: 40 * ++raises, most: 40 * raises });
    return store.record(entry);
  };
  const next = [COMPANY, { name: "users", per: "user", limits: ["1M / day"] } as const].map(defineBudget);
  const restarted = new Budgets({ store: { ...store, record }, budgets: next, prices, now: () => time });
  await restarted.adopt();
  assert.deepEqual((await standings(restarted))["users user=ann tokens"], [0, 1_080]);
  time += 3_600_000;
  await restarted.expire();
  assert.deepEqual((await standings(restarted))["users user=ann tokens"], [1_080, 0]);
});

test("what expired is taken over as it was charged, and as it was corrected", async () => {
  let time = NOON;
  const { budgets } = demoBudgets([COMPANY], { now: () => time });
  await budgets.adopt();
  const [first] = [
    allowed(await budgets.reserve(demoCall({ input: 1_000, output: 100 }))),
    allowed(await budgets.reserve(demoCall({ input: 10, output: 1, copies: 3 }))),
  ];
  time += 3_600_000;
  await budgets.expire();
  await budgets.settle(first, { inputTokens: 5, outputTokens: 5 });
  await configure(budgets, COMPANY, { name: "tokens", limits: ["1M / day", "5 concurrent"] });
  assert.deepEqual((await standings(budgets))["tokens  tokens"], [10 + 13, 0]);
  assert.deepEqual((await standings(budgets))["tokens  concurrent"], [0, 0]);
});

test("late truth also corrects the limits that took a call over after its lease had run out", async () => {
  let time = NOON;
  const { budgets } = demoBudgets([COMPANY], { now: () => time });
  await budgets.adopt();
  const reserve = async () => allowed(await budgets.reserve(demoCall({ input: 1_000, output: 100 })));
  const [late, returned, lost] = [await reserve(), await reserve(), await reserve()];
  time += 3_600_000;
  await budgets.expire();
  const users: BudgetInput = { name: "users", per: "user", limits: ["1M / day", "9 requests / day"] };
  await configure(budgets, COMPANY, users);
  assert.deepEqual((await standings(budgets))["users user=ann tokens"], [3_300, 0]);
  await budgets.settle(late, { inputTokens: 5, outputTokens: 5 });
  await budgets.release(returned, "not sent");
  const { "users user=ann tokens": tokens, "users user=ann requests": requests } = await standings(budgets);
  assert.deepEqual({ tokens, requests }, { tokens: [10 + 1_100, 0], requests: [2, 0] });
  await configure(budgets, COMPANY, users, { name: "teams", per: "team", limits: ["1M / day", "9 requests / day"] });
  const { "teams team=a tokens": ofTeam, "teams team=a requests": requestsOfTeam } = await standings(budgets);
  assert.deepEqual({ ofTeam, requestsOfTeam }, { ofTeam: [10 + 1_100, 0], requestsOfTeam: [2, 0] });
  await budgets.settle(lost, { inputTokens: 1, outputTokens: 1 });
  assert.deepEqual((await standings(budgets))["teams team=a tokens"], [10 + 2, 0]);
});

test("a call whose lease ran out, and that is corrected while it is being taken over, is taken over as it ended", async () => {
  let time = NOON;
  const { budgets, store } = demoBudgets([COMPANY], { now: () => time });
  await budgets.adopt();
  const late = allowed(await budgets.reserve(demoCall({ input: 1_000, output: 100 })));
  time += 3_600_000;
  await budgets.expire();
  const record: Store["record"] = async (entry) => {
    if (entry.reservation === late.id) await budgets.settle(late, { inputTokens: 20, outputTokens: 3 });
    return store.record(entry);
  };
  const next = [COMPANY, { name: "users", per: "user", limits: ["1M / day"] } as const].map(defineBudget);
  const restarted = new Budgets({ store: { ...store, record }, budgets: next, prices, now: () => time });
  await restarted.adopt();
  assert.deepEqual((await standings(restarted))["users user=ann tokens"], [23, 0]);
});

test("a limit that was out of force for a while misses nothing, and counts nothing twice", async () => {
  const { budgets, store } = demoBudgets([COMPANY]);
  await budgets.adopt();
  await spend(budgets);
  const users: BudgetInput = { name: "users", per: "user", limits: ["1M / day"] };
  const total = async () => (await standings(budgets))["users user=ann tokens"];
  await configure(budgets, COMPANY, users);
  await spend(budgets);
  assert.deepEqual(await total(), [2_100, 0]);
  await configure(budgets, COMPANY);
  await spend(budgets);
  await configure(budgets, COMPANY, users);
  assert.deepEqual(await total(), [3_150, 0]);
  for (let i = 0; i < 3; i++) {
    await configure(budgets, COMPANY, users);
    await new Budgets({ store, budgets: [COMPANY, users].map(defineBudget), prices, now: () => NOON }).adopt();
  }
  assert.deepEqual(await total(), [3_150, 0]);
});

test("a budget that is widened takes over what the others used, once", async () => {
  const { budgets } = demoBudgets([]);
  await budgets.adopt();
  for (const team of ["a", "a", "b"]) await spend(budgets, { team });
  const some = (...team: string[]): BudgetInput => ({ name: "some", for: { team }, limits: ["1M / day"] });
  for (const [teams, tokens] of [
    [["a"], 2_100],
    [["a", "b"], 3_150],
    [["a", "b", "c"], 3_150],
    [["b"], 3_150],
  ] as const) {
    await configure(budgets, some(...teams));
    assert.deepEqual(await standings(budgets), { "some  tokens": [tokens, 0] }, "what was used stays used");
  }
});

test("a process that was taken for dead while it put limits in force counts nothing twice when it goes on", async () => {
  const USERS: BudgetInput = { name: "users", per: "user", limits: ["1M / month"] };
  const { budgets: first, store } = demoBudgets([COMPANY]);
  await first.adopt();
  await spend(first, { user: "ann" });
  const open = allowed(await first.reserve(demoCall({ input: 300, output: 0 }, { subject: { user: "ann" } })));
  let isFirst = true;
  const slow: Store = {
    ...store,
    record: async (entry) => {
      if (isFirst) {
        isFirst = false;
        await configure(first, COMPANY, USERS);
      }
      return store.record(entry);
    },
  };
  const second = new Budgets({ store: slow, budgets: [COMPANY, USERS].map(defineBudget), prices, now: () => NOON });
  await second.adopt();
  assert.deepEqual((await standings(second))["users user=ann tokens"], [1_050, 300]);
  await second.settle(open, { inputTokens: 200, outputTokens: 0 });
  assert.deepEqual((await standings(second))["users user=ann tokens"], [1_250, 0]);
});

test("nothing is read again while the limits have been the same for long", async () => {
  let time = NOON - 31 * 60_000;
  const { budgets, store } = demoBudgets([COMPANY], { now: () => time });
  await budgets.adopt();
  time = NOON;
  await spend(budgets);
  const queried: unknown[] = [];
  const entries: Store["entries"] = (query) => {
    queried.push(query.kinds);
    return store.entries(query);
  };
  const watched: Store = { ...store, entries };
  await new Budgets({ store: watched, budgets: [defineBudget({ ...COMPANY, limits: ["$5 / day"] })], prices, now: () => NOON }).adopt();
  assert.deepEqual(queried, [["adjusted"], ["granted", "revoked"]], "which limits were in force, what rules had decided, and no call");
});

test("what one process admits by the old limits, while another has the new ones, is counted on these once both have them", async () => {
  const USERS: BudgetInput = { name: "users", per: "user", limits: ["1M / month"] };
  const { budgets: first, store } = demoBudgets([COMPANY]);
  const { budgets: second } = demoBudgets([COMPANY], { store });
  await Promise.all([first.adopt(), second.adopt()]);
  await spend(second, { user: "ann" });
  await configure(first, COMPANY, USERS);
  await spend(second, { user: "ann" });
  const open = allowed(await second.reserve(demoCall({ input: 300, output: 0 }, { subject: { user: "ann" } })));
  await spend(first, { user: "ann" });
  await configure(second, COMPANY, USERS);
  assert.deepEqual((await standings(first))["users user=ann tokens"], [3_150, 300]);
  await second.settle(open, { inputTokens: 200, outputTokens: 0 });
  await configure(first, COMPANY, USERS);
  assert.deepEqual((await standings(first))["users user=ann tokens"], [3_350, 0]);
});

test("limits that came into force although their process was told otherwise miss nothing that it admitted then", async () => {
  let time = NOON;
  const { store } = demoBudgets([], { now: () => time });
  let isLost = true;
  const failing: Store = {
    ...store,
    record: async (entry) => {
      const result = await store.record(entry);
      if (isLost) throw new PurserError("store_unavailable", "the answer was lost");
      return result;
    },
  };
  const budgets = new Budgets({ store: failing, budgets: [], prices, now: () => time });
  await assert.rejects(configure(budgets, COMPANY), { code: "store_unavailable" });
  await spend(budgets);
  isLost = false;
  time += 3_600_000;
  await configure(budgets, COMPANY);
  assert.deepEqual(await standings(budgets), { "company  nanodollars": [1_100_000, 0] });
});

test("a configuration that cannot be adopted leaves the old one in force", async () => {
  const { budgets, store } = demoBudgets([COMPANY]);
  const down = { ...store, entries: () => Promise.reject(new PurserError("store_unavailable", "the disk is full")) };
  const other = new Budgets({ store: down, budgets: [defineBudget(COMPANY)], prices, now: () => NOON });
  await assert.rejects(configure(other, { name: "none", limits: ["0 requests"] }), { code: "store_unavailable" });
  allowed(await other.reserve(demoCall({ input: 1, output: 1 })));
  await assert.rejects(async () => configure(budgets, COMPANY, COMPANY), { code: "config_invalid" });
});

const CHOICE: readonly BudgetInput[] = [
  { name: "company", limits: ["$1k / day", "9M requests / month", "9M concurrent"] },
  { name: "teams", per: "team", limits: ["900M tokens / day", "$1k / hour"] },
  { name: "users", per: ["user", "team"], limits: ["900M input tokens / week"] },
  { name: "chat", for: { feature: "chat" }, limits: ["900M output tokens / day"] },
  {
    name: "weighed",
    per: "user",
    limits: ["900M tokens / day", "900M input tokens"],
    weights: { cache_read: 0.1, cache_write: 1.5, output: 4 },
  },
  { name: "reweighed", limits: ["900M tokens / day"] },
  { name: "reweighed", limits: ["900M tokens / day"], weights: { input: 0.5, output: 2.5 } },
  { name: "trial", mode: "observe", per: "feature", limits: ["1 token / day", "1 request"] },
];

function oneOfEachName(budgets: readonly BudgetInput[]): readonly BudgetInput[] {
  return [...new Map(budgets.map((budget) => [budget.name, budget])).values()];
}

type Step =
  | { readonly do: "call"; readonly subject: Subject; readonly input: number; readonly output: number }
  | { readonly do: "settle" | "release"; readonly which: number; readonly input: number }
  | { readonly do: "configure"; readonly budgets: readonly BudgetInput[] }
  | { readonly do: "restart" | "expire" | "wait" };

const subject = fc.record({ team: fc.constantFrom("a", "b"), user: fc.constantFrom("x", "y"), feature: fc.constantFrom("chat", "code") });
const some = fc.nat({ max: 500 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("call"), subject, input: some, output: some }) as fc.Arbitrary<Step> },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom("settle", "settle", "release"), which: fc.nat(), input: some }) as fc.Arbitrary<Step>,
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("configure"), budgets: fc.subarray([...CHOICE]).map(oneOfEachName) }) as fc.Arbitrary<Step>,
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("restart", "expire", "wait") }) as fc.Arbitrary<Step> },
);

/** What every call used or holds, from the ledger alone, for the limits in force and the windows of now. */
async function expectedStandings(store: Store, budgets: readonly Budget[], now: number): Promise<Map<string, readonly [number, number]>> {
  type AmountOf = (limit: Limit) => number;
  const calls = new Map<string, { at: number; subject: Subject; spent: AmountOf; held: AmountOf }>();
  const none = () => 0;
  const chargedOn =
    (charge: Charge) =>
    ({ unit, weights }: Limit) =>
      weights ? weigh(weights, unit, charge) : amountsOf(charge.usage, charge.cost)[unit];
  for (const entry of await allEntries(store)) {
    const call = calls.get(entry.reservation);
    if (entry.kind === "reserved") {
      const { subject } = entry.detail;
      const estimate = chargedOn(estimatedCharge(entry.detail));
      const held = (limit: Limit) => (limit.unit === "concurrent" ? 1 : estimate(limit));
      calls.set(entry.reservation, { at: entry.at, subject, spent: none, held });
    } else if (call && entry.kind === "released") calls.delete(entry.reservation);
    else if (call && "charge" in entry) calls.set(entry.reservation, { ...call, spent: chargedOn(entry.charge), held: none });
  }
  const totals = new Map<string, readonly [number, number]>();
  const starts = {
    hour: now - (now % 3_600_000),
    day: NOON - 12 * 3_600_000,
    week: NOON - 156 * 3_600_000,
    month: Date.UTC(2026, 10, 1),
    lifetime: 0,
  };
  for (const { at, subject, spent, held } of calls.values()) {
    for (const budget of budgets.filter((one) => one.selects(subject))) {
      for (const limit of budget.limits) {
        const { unit, window } = limit;
        if (at < starts[windowName(window) as keyof typeof starts]) continue;
        const key = `${budget.name} ${subjectLabel(budget, subject)} ${unit} ${windowName(window)}`;
        const [before = 0, beforeHeld = 0] = totals.get(key) ?? [];
        totals.set(key, [before + spent(limit), beforeHeld + held(limit)]);
      }
    }
  }
  return totals;
}

test("whatever calls are under way, and however often the limits change or the process restarts, every limit in force stands at what its window has used", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      let now = NOON + 50 * 60_000;
      const { store, budgets: first } = demoBudgets([], { now: () => now });
      let budgets = first;
      let inForce: readonly Budget[] = [];
      await budgets.adopt();
      const open: Reservation[] = [];
      const pending: Promise<unknown>[] = [];
      const call = async ({ subject, input, output }: Step & { do: "call" }) => {
        const counted = { most: input * 2, count: async () => nextTurn(input) };
        open.push(allowed(await budgets.reserve(demoCall({ input, output }, { subject, input: counted, leaseMs: 600_000 }))));
      };
      for (const one of steps) {
        if (one.do === "call") pending.push(call(one));
        else if (one.do === "settle" || one.do === "release") {
          const [reservation] = open.splice(one.which % Math.max(1, open.length), 1);
          if (!reservation) await nextTurn();
          else if (one.do === "release") pending.push(budgets.release(reservation, "not sent"));
          else
            pending.push(budgets.settle(reservation, { inputTokens: one.input, cacheReadInputTokens: one.which % 200, outputTokens: 3 }));
        } else if (one.do === "configure") {
          inForce = one.budgets.map(defineBudget);
          pending.push(budgets.configure({ budgets: inForce, prices }));
        } else if (one.do === "wait") {
          // A call belongs to the window in which it was decided, so the clock does not move while one is.
          await Promise.all(pending);
          now += 7 * 60_000;
        } else {
          await Promise.all(pending);
          if (one.do === "expire") await budgets.expire();
          budgets = new Budgets({ store, budgets: inForce, prices, now: () => now });
          await budgets.adopt();
        }
      }
      await Promise.all(pending);
      const expected = await expectedStandings(store, inForce, now);
      for (const { budget, subject, unit, window, spent, held } of await budgets.balances()) {
        const key = `${budget} ${subject} ${unit} ${window}`;
        assert.deepEqual([spent, held], expected.get(key) ?? [0, 0], key);
        expected.delete(key);
      }
      for (const [key, amounts] of expected) assert.deepEqual(amounts, [0, 0], `${key} has no balance`);
    }),
    { numRuns: 150 },
  );
});
