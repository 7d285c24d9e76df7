import assert from "node:assert/strict";
import { test } from "node:test";
import type { BudgetInput } from "./domain/budget.ts";
import type { Decision } from "./domain/decision.ts";
import type { Reservation } from "./domain/reservation.ts";
import { createMemoryStore } from "./stores/memory.ts";
import { temporaryDirectory } from "./stores/sqlite/directory.test-setup.ts";
import { openSqliteStore } from "./stores/sqlite/index.ts";
import { demoBudgets, demoCall } from "./testing/demo-budgets.ts";
import { createFakeClock } from "./testing/fake-clock.ts";

const DAY = 86_400_000;

const allowed = (decision: Decision): Reservation => {
  assert.ok(decision.outcome === "allowed", decision.outcome === "denied" ? decision.denial.message : "");
  return decision.reservation;
};

function scene(inputs: readonly BudgetInput[], start?: number) {
  const clock = createFakeClock(start);
  const { budgets, store } = demoBudgets(inputs, { now: clock.now, store: createMemoryStore(clock) });
  const ask = (input: number, user = "ann") => budgets.reserve(demoCall({ input, output: 0 }, { subject: { user } }));
  /** Spends so many tokens, all that was held. */
  const spend = async (input: number, user = "ann") => {
    const reservation = allowed(await ask(input, user));
    await budgets.settle(reservation, { inputTokens: input, outputTokens: 0 });
  };
  const outcome = async (input: number, user = "ann") => {
    const decision = await ask(input, user);
    if (decision.outcome === "allowed") await budgets.release(decision.reservation, "only asked");
    return decision.outcome === "denied" ? decision.denial.reason : decision.outcome;
  };
  return { clock, budgets, store, ask, spend, outcome };
}

test("a rolling limit frees itself as time goes by, whatever the calendar says, and its refusal says when", async () => {
  const { clock, budgets, ask, spend, outcome } = scene([
    { name: "users", per: "user", limits: ["1,000 tokens / rolling 24h"], minOutput: 0 },
  ]);
  await spend(600);
  clock.advance(DAY / 2 + 1);
  await spend(400);
  const refused = await ask(500);
  assert.ok(refused.outcome === "denied");
  // A slice is 24 minutes long, and the one at noon is over at 12:24.
  assert.match(
    refused.denial.message,
    /has nothing left of 1,000 tokens in any day \(1,000 tokens spent\)\. It has room for it again 2026-11-23 12:24 UTC/,
  );
  assert.equal(refused.denial.reason, "budget_exhausted");
  assert.equal(await outcome(500, "bob"), "allowed");
  clock.set(Date.UTC(2026, 10, 23, 12, 24));
  assert.equal(await outcome(600), "allowed");
  assert.equal(await outcome(601), "budget_exhausted");
  const [balance] = await budgets.balances({ subject: { user: "ann" } });
  assert.deepEqual([balance?.window, balance?.limit, balance?.spent, balance?.left], ["rolling 1d", 1_000, 400, 600]);
});

test("a bucket tells clients to wait for as long as it takes to drain", async () => {
  const { clock, budgets, ask, spend, outcome } = scene([{ name: "rate", limits: ["60 tokens / minute bucket burst 100"], minOutput: 0 }]);
  await spend(100);
  const refused = await ask(10);
  assert.ok(refused.outcome === "denied");
  assert.deepEqual([refused.denial.reason, refused.denial.retryAfterMs], ["rate_limited", 11_000]);
  clock.advance(11_000);
  assert.equal(await outcome(10), "allowed");
  assert.equal(await outcome(101), "request_too_large");
  const [balance] = await budgets.balances();
  assert.deepEqual([balance?.limit, balance?.spent, balance?.left, balance?.resetsAt], [100, 90, 10, clock.now() + 90_000]);
});

test("an exception holds for its subjects alone, and ends when its last day is over in the budget's zone", async () => {
  const { clock, budgets, outcome } = scene(
    [
      {
        name: "users",
        per: "user",
        limits: ["100 tokens / day", "9 requests / minute"],
        timezone: "America/New_York",
        minOutput: 0,
        exceptions: [{ for: { user: "ann" }, limits: ["500 tokens / day"], until: "2026-12-31" }],
      },
    ],
    Date.UTC(2027, 0, 1, 4, 59, 59, 999),
  );
  assert.deepEqual(
    [await outcome(500), await outcome(501), await outcome(101, "bob")],
    ["allowed", "request_too_large", "request_too_large"],
  );
  const limits = async () => (await budgets.balances({ subject: { user: "ann" } })).map(({ limit }) => limit);
  assert.deepEqual(await limits(), [500, 9]);
  clock.advance(1);
  assert.deepEqual([await outcome(101), await outcome(100)], ["request_too_large", "allowed"]);
  assert.deepEqual(await limits(), [100, 9]);
  clock.advance(-1);
  assert.deepEqual(await limits(), [500, 9]);
});

test("an exception that ends in the middle of a window keeps what was used in it", async () => {
  const exceptions = [{ for: { user: "ann" }, limits: ["500 tokens / month"], until: "2026-11-22" }];
  const { clock, budgets, spend, outcome } = scene([
    { name: "users", per: "user", limits: ["100 tokens / month"], minOutput: 0, exceptions },
  ]);
  await spend(400);
  clock.advance(DAY);
  assert.equal(await outcome(1), "budget_exhausted");
  const [balance] = await budgets.balances({ subject: { user: "ann" } });
  assert.deepEqual([balance?.limit, balance?.spent, balance?.left], [100, 400, 0]);
});

test("a grant raises a daily limit on each day until it ends by itself, and can be revoked", async () => {
  const { clock, budgets, store, spend, outcome } = scene([{ name: "users", per: "user", limits: ["100 tokens / day"], minOutput: 0 }]);
  const input = { budget: "users", for: { user: "ann" }, giver: "the owner", why: "the demonstration" };
  await budgets.grant({ ...input, id: "grant-1", amount: "50 tokens", until: "2d" });
  await budgets.grant({ ...input, id: "grant-1", amount: "50 tokens", until: "2d" });
  assert.deepEqual(
    [await outcome(150), await outcome(151), await outcome(101, "bob")],
    ["allowed", "request_too_large", "request_too_large"],
  );
  await spend(150);
  clock.advance(DAY);
  await spend(150);
  const [balance] = await budgets.balances({ subject: { user: "ann" } });
  assert.deepEqual([balance?.limit, balance?.spent, balance?.left], [150, 150, 0]);
  clock.advance(DAY - 1);
  assert.equal(await outcome(150), "allowed");
  clock.advance(1);
  assert.deepEqual(await budgets.grants(), []);
  assert.equal(await outcome(101), "request_too_large");

  const later = await budgets.grant({ ...input, id: "grant-2", amount: "7 / day", from: "1h", until: "2026-11-30" });
  assert.deepEqual([await outcome(101), (await budgets.grants()).map(({ id }) => id)], ["request_too_large", ["grant-2"]]);
  clock.advance(3_600_000);
  assert.equal(await outcome(107), "allowed");
  assert.deepEqual(await budgets.revoke("grant-2", { giver: "the owner", why: "it was a mistake" }), later);
  assert.equal(await outcome(101), "request_too_large");
  assert.equal(await budgets.revoke("grant-2", { giver: "the owner", why: "again" }), undefined);
  const kinds = (await store.entries({ kinds: ["granted", "revoked"] })).map(({ kind, reservation }) => `${kind} ${reservation}`);
  assert.deepEqual(kinds, ["granted grant-1", "granted grant-2", "revoked grant-2"]);
  await assert.rejects(budgets.grant({ ...input, budget: "nobody's", id: "x", amount: "1", until: "1d" }), { code: "budget_unknown" });
});

test("a long call that only a grant makes room for is counted as far as that, and admitted", async () => {
  const { budgets } = scene([{ name: "company", limits: ["100 tokens / day"], minOutput: 0 }]);
  await budgets.grant({ budget: "company", id: "grant-1", amount: "900 / day", until: "1d", giver: "o", why: "w" });
  const call = demoCall({ input: 5_000, output: 0 }, { input: { most: 5_000, count: async (limit) => (limit >= 700 ? 700 : limit + 1) } });
  assert.equal((await budgets.reserve(call)).outcome, "allowed");
});

test("over a year, each month begins with what the one before left of its own amount, up to the most", async () => {
  const { clock, budgets, spend, outcome } = scene(
    [{ name: "company", limits: ["50 tokens / month rollover 20"], timezone: "Europe/Berlin", minOutput: 0 }],
    Date.UTC(2027, 11, 31, 23),
  );
  // What January to December of a leap year use, and what is in force in each of them by hand.
  const used = [0, 70, 50, 45, 30, 60, 10, 70, 0, 0, 33, 50];
  const inForce = [70, 70, 50, 50, 55, 70, 50, 70, 50, 70, 70, 67];
  for (const [month, amount] of used.entries()) {
    const [balance] = await budgets.balances();
    assert.equal(balance?.limit, inForce[month], `month ${month + 1}`);
    assert.equal(await outcome((inForce[month] as number) + 1), "request_too_large");
    if (amount > 0) await spend(amount);
    clock.set(balance?.resetsAt as number);
  }
  assert.equal(clock.now(), Date.UTC(2028, 11, 31, 23));
});

test("what calls in flight hold over the end of a window is not carried over, until they return it", async () => {
  const { clock, budgets, ask } = scene([{ name: "company", limits: ["50 tokens / day rollover 20"], minOutput: 0 }]);
  const inFlight = allowed(await ask(45));
  clock.advance(DAY);
  const limit = async () => (await budgets.balances())[0]?.limit;
  assert.equal(await limit(), 55);
  await budgets.settle(inFlight, { inputTokens: 10, outputTokens: 0 });
  assert.equal(await limit(), 70);
});

test("what a window left is still known after the store has forgotten other closed windows, and after a restart", async (t) => {
  const directory = temporaryDirectory(t);
  const clock = createFakeClock(Date.UTC(2026, 9, 10));
  const inputs: readonly BudgetInput[] = [{ name: "company", limits: ["50 tokens / month rollover 20", "9k / rolling 7d"], minOutput: 0 }];
  const spend = async (input: number) => {
    const store = await openSqliteStore({ directory, now: clock.now });
    const { budgets } = demoBudgets(inputs, { now: clock.now, store });
    const reservation = allowed(await budgets.reserve(demoCall({ input, output: 0 })));
    await budgets.settle(reservation, { inputTokens: input, outputTokens: 0 });
    const balances = await budgets.balances();
    assert.deepEqual(await store.audit(), []);
    await store.close();
    return balances.map(({ limit, spent }) => [limit, spent]);
  };
  assert.deepEqual(await spend(44), [
    [70, 44],
    [9_000, 44],
  ]);
  clock.set(Date.UTC(2026, 10, 1, 1));
  assert.deepEqual(await spend(1), [
    [56, 1],
    [9_000, 1],
  ]);
  clock.set(Date.UTC(2026, 10, 29));
  assert.deepEqual(await spend(2), [
    [56, 3],
    [9_000, 2],
  ]);
  clock.set(Date.UTC(2026, 11, 2));
  assert.deepEqual(await spend(3), [
    [70, 3],
    [9_000, 5],
  ]);
});

test("a reset lets a balance begin again at nothing, and neither calls in flight nor the ledger lose anything", async () => {
  const { clock, budgets, store, ask, spend, outcome } = scene([
    { name: "users", per: "user", limits: ["100 tokens / day", "100 tokens / rolling 1h", "90 tokens / minute bucket"], minOutput: 0 },
  ]);
  await spend(60);
  await spend(30, "bob");
  const inFlight = allowed(await ask(20));
  const by = { budget: "users", for: { user: "ann" }, giver: "the owner", why: "paid by another team" };
  const [day, rolling, bucket] = await budgets.reset(by);
  assert.deepEqual(
    [day, rolling, bucket].map((one) => [one?.spent, one?.held]),
    [
      [0, 20],
      [0, 20],
      [0, 20],
    ],
  );
  await budgets.settle(inFlight, { inputTokens: 15, outputTokens: 0 });
  const spent = async (user: string) => (await budgets.balances({ subject: { user } })).map((balance) => balance.spent);
  assert.deepEqual(
    [await spent("ann"), await spent("bob")],
    [
      [15, 15, 15],
      [30, 30, 30],
    ],
  );
  await Promise.all([budgets.reset({ ...by, limit: "100 / day" }), budgets.reset({ ...by, limit: "100 / day" })]);
  assert.deepEqual(await spent("ann"), [0, 15, 15]);
  clock.advance(DAY);
  assert.equal(await outcome(90), "allowed");
  const entries = await store.entries({ kinds: ["adjusted", "settled"] });
  assert.deepEqual(
    entries.map((entry) => (entry.kind === "adjusted" ? [entry.reset?.giver, entry.why] : entry.kind)),
    [
      "settled",
      "settled",
      ["the owner", "paid by another team"],
      "settled",
      ["the owner", "paid by another team"],
      ["the owner", "paid by another team"],
    ],
  );
  await assert.rejects(budgets.reset({ ...by, for: {} }), { code: "body_invalid", message: /a balance for each user: name one/ });
});

test("a busy bucket for each of many users leaves few counters behind", async () => {
  const { clock, spend, store } = scene([{ name: "users", per: "user", limits: ["600 tokens / minute bucket"], minOutput: 0 }]);
  for (let second = 0; second < 3_600; second += 2) {
    await spend(5, `user ${second % 5}`);
    clock.advance(2_000);
  }
  assert.ok((await store.counters()).length <= 5 * 60, `${(await store.counters()).length} counters`);
  for (let round = 0; round < 3_000; round++) {
    await spend(5, `visitor ${round}`);
    clock.advance(2_000);
  }
  assert.ok((await store.counters()).length <= 2_000, `${(await store.counters()).length} counters`);
});

test("of two rungs of a kind the one holds that is higher on the limit in force, which need not be the one of the budget", async () => {
  const { budgets, spend } = scene([
    {
      name: "users",
      per: "user",
      limits: ["500 tokens / day"],
      minOutput: 0,
      ladder: { "85%": "use low", "20 tokens left": "use least" },
      exceptions: [{ for: { user: "ann" }, limits: ["50 tokens / day"] }],
    },
  ]);
  const models = async (user: string) => {
    const { rungs = [] } = (await budgets.ladder({ user })) ?? {};
    return rungs.map(({ rung }) => (rung.kind === "use" ? rung.model : rung.kind));
  };
  await spend(29);
  assert.deepEqual(await models("ann"), []);
  await spend(6);
  assert.deepEqual(await models("ann"), ["least"], "15 of 50 are left at 70 %");
  await spend(10);
  assert.deepEqual(await models("ann"), ["low"], "85 % of 50 is beyond 20 left");
  await spend(430, "bob");
  assert.deepEqual(await models("bob"), ["low"]);
  await spend(55, "bob");
  assert.deepEqual(await models("bob"), ["least"]);
});

test("a budget may have a step beyond its limit where an exception, or what is carried over, comes so far", async () => {
  const withStep = (more: Partial<BudgetInput>) => () =>
    scene([{ name: "users", per: "user", limits: ["500 tokens / day"], ladder: { "600 tokens": "slow" }, ...more }]);
  assert.throws(withStep({}), { code: "ladder_invalid", message: /"600 tokens" is never reached/ });
  assert.doesNotThrow(withStep({ exceptions: [{ for: { user: "ann" }, limits: ["700 tokens / day"] }] }));
  assert.doesNotThrow(withStep({ limits: ["500 tokens / day rollover 100"] }));
  assert.doesNotThrow(withStep({ share: { every: "day" } }));
  assert.doesNotThrow(withStep({ mode: "observe" }));
  assert.throws(withStep({ limits: ["500 tokens / day rollover 99"] }), { code: "ladder_invalid" });
});
