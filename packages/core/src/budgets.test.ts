import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type BudgetInput, type Call, type Decision, defineBudget, type Reservation, reportLedger, type Store } from "./index.ts";
import { DEMO_CARD, demoBudgets, demoCall, NOON } from "./testing/demo-budgets.ts";
import { allEntries } from "./testing/ledger-history.ts";

const settled = (decision: Decision): Reservation => {
  assert.ok(decision.outcome === "allowed", decision.outcome === "denied" ? decision.denial.message : "");
  return decision.reservation;
};

/** A call that is counted, so that the decisions of many take turns. */
const countedCall = (size: { input: number; output: number }, extra: Partial<Call> = {}) =>
  demoCall(size, { input: { most: size.input * 4, count: async () => nextTurn(size.input) }, ...extra });

/** Adds up the ledger entry by entry: at none of them may a counter stand beyond its limit. */
async function checkHistory(store: Store, limits: (counter: { budget: string; unit: string }) => number) {
  const counters = new Map<string, number>();
  for (const { postings } of await allEntries(store)) {
    for (const { counter, held, spent } of postings) {
      const used = (counters.get(counter.key) ?? 0) + held + spent;
      counters.set(counter.key, used);
      assert.ok(used <= limits(counter), `${counter.key} stands at ${used}`);
    }
  }
}

test("two calls cannot share the last dollar", async () => {
  const { budgets } = demoBudgets([{ name: "company", limits: ["$1 / day"] }]);
  const [first, second] = await Promise.all([
    budgets.reserve(demoCall({ input: 400_000, output: 100 })),
    budgets.reserve(demoCall({ input: 700_000, output: 100 })),
  ]);
  assert.equal(first.outcome, "allowed");
  assert.equal(second.outcome, "denied");
});

test("a denied call holds nothing on any of its budgets", async () => {
  const { budgets } = demoBudgets([
    { name: "company", limits: ["$10 / day", "1M tokens / minute"] },
    { name: "users", per: "user", limits: ["100 tokens / day"] },
  ]);
  const decision = await budgets.reserve(demoCall({ input: 400, output: 10 }));
  assert.equal(decision.outcome, "denied");
  for (const { held, spent } of await budgets.balances()) assert.deepEqual({ held, spent }, { held: 0, spent: 0 });
});

test("a pool that comes with a call holds beside the configured budgets: on all of them or on none, and it ends", async () => {
  const { budgets, store } = demoBudgets([{ name: "company", limits: ["1,000 tokens / day"] }]);
  const pool = { budget: defineBudget({ name: "agent", limits: ["300 tokens", "3 requests"] }), until: NOON + 60_000 };
  const within = { pools: [pool] };
  const first = settled(await budgets.reserve(demoCall({ input: 100, output: 50 }, within)));
  const second = await budgets.reserve(demoCall({ input: 200, output: 50 }, within));
  assert.ok(second.outcome === "denied" && second.denial.balance?.budget === "agent" && second.denial.balance.left === 150);
  assert.equal((await budgets.reserve(demoCall({ input: 800, output: 50 }))).outcome, "allowed", "who has no pool is not in it");
  const third = await budgets.reserve(demoCall({ input: 100, output: 50 }, within));
  assert.ok(third.outcome === "denied" && third.denial.balance?.budget === "company", "and its holder is in all other budgets");
  await budgets.settle(first, { inputTokens: 100, outputTokens: 10 });
  const balances = await budgets.balances({ subject: {}, pools: [pool] });
  assert.deepEqual(
    balances.map(({ budget, unit, spent, held, resetsAt }) => [budget, unit, spent, held, budget === "company" || resetsAt]),
    [
      ["company", "tokens", 110, 850, true],
      ["agent", "tokens", 110, 0, NOON + 60_000 + 86_400_000],
      ["agent", "requests", 1, 0, NOON + 60_000 + 86_400_000],
    ],
  );
  assert.deepEqual(
    (await store.counters({ budget: "agent" })).map(({ ref, held, spent }) => [ref.unit, held, spent]),
    [
      ["tokens", 0, 110],
      ["requests", 0, 1],
    ],
  );
});

test("a settled call is charged what it used, to the nano-dollar, and holds nothing", async () => {
  const { budgets } = demoBudgets([{ name: "company", limits: ["$10 / day", "1M / day", "2 concurrent", "10 requests / hour"] }]);
  const reservation = settled(await budgets.reserve(demoCall({ input: 1_000, output: 500 })));
  await budgets.settle(reservation, { inputTokens: 900, outputTokens: 33 });
  const balances = Object.fromEntries((await budgets.balances()).map(({ unit, spent, held }) => [unit, [spent, held]]));
  assert.deepEqual(balances, { nanodollars: [966_000, 0], tokens: [933, 0], concurrent: [0, 0], requests: [1, 0] });
});

test("of 1,000 calls at once, a budget with room for 137 allows exactly 137", async () => {
  const asked = 1_000 * 1_000 + 300 * 2_000;
  const limit = 138 * asked - 1;
  const { budgets, store } = demoBudgets([{ name: "company", limits: [`$${limit / 1e9} / day`], minOutput: 300 }]);
  const decisions = await Promise.all(Array.from({ length: 1_000 }, () => budgets.reserve(countedCall({ input: 1_000, output: 300 }))));
  assert.equal(decisions.filter(({ outcome }) => outcome === "allowed").length, 137);
  assert.equal(decisions.filter(({ outcome }) => outcome === "denied").length, 863);
  const [balance] = await budgets.balances();
  assert.deepEqual([balance?.held, balance?.spent], [137 * asked, 0]);
  assert.ok((balance?.left ?? Infinity) < asked, "what is left could not pay one more");
  await checkHistory(store, () => limit);
});

const LEVELS: readonly BudgetInput[] = [
  { name: "company", limits: ["$0.3 / month", "400 requests / day"] },
  { name: "teams", per: "team", limits: ["90k tokens / day"] },
  { name: "chat", for: { feature: "chat" }, limits: ["$0.1 / day", "40k output tokens / hour"] },
  { name: "users", per: "user", limits: ["25 requests / hour"] },
  { name: "free", for: { tier: "free" }, limits: ["30k input tokens / day", "37 concurrent"] },
];
const LEVEL_LIMITS: Record<string, number> = {
  "company nanodollars": 300_000_000,
  "company requests": 400,
  "teams tokens": 90_000,
  "chat nanodollars": 100_000_000,
  "chat output_tokens": 40_000,
  "users requests": 25,
  "free input_tokens": 30_000,
  "free concurrent": 37,
};
const levelLimit = ({ budget, unit }: { budget: string; unit: string }) => LEVEL_LIMITS[`${budget} ${unit}`] as number;

function levelCall(i: number): Call {
  const subject = {
    team: `team-${i % 3}`,
    user: `user-${i % 40}`,
    tier: i % 4 === 0 ? "free" : "pro",
    ...(i % 5 < 2 && { feature: "chat" }),
  };
  return countedCall({ input: 300 + ((i * 37) % 700), output: 260 + ((i * 13) % 200) }, { subject });
}

test("1,000 calls at once over five levels take none of them beyond its limit, and none is refused that would fit", async () => {
  const { budgets, store } = demoBudgets(LEVELS.map((level) => ({ ...level, minOutput: 1_000 })));
  const calls = Array.from({ length: 1_000 }, (_, i) => levelCall(i));
  const decisions = await Promise.all(calls.map((call) => budgets.reserve(call)));
  const denied = calls.filter((_, i) => decisions[i]?.outcome === "denied");
  assert.ok(denied.length > 500 && denied.length < 1_000);
  for (const call of denied) assert.equal((await budgets.reserve(call)).outcome, "denied");
  await checkHistory(store, levelLimit);
});

test("budgets fill to within one call of their limit by calls that use less than they hold", async () => {
  const { budgets, store } = demoBudgets([
    { name: "company", limits: ["$0.05 / day"], minOutput: 300 },
    { name: "teams", per: "team", limits: ["22k tokens / day"], minOutput: 300 },
  ]);
  const asked = { nanodollars: 1_100_000, tokens: 800 };
  const finish = async (team: string) => {
    for (;;) {
      const decision = await budgets.reserve(countedCall({ input: 500, output: 300 }, { subject: { team } }));
      if (decision.outcome === "allowed") {
        await nextTurn();
        await budgets.settle(decision.reservation, { inputTokens: 450, outputTokens: 40 });
      } else {
        assert.ok(decision.outcome === "denied");
        if (decision.denial.reason === "budget_exhausted") return;
        assert.equal(decision.denial.reason, "budget_busy", decision.denial.message);
        await nextTurn();
      }
    }
  };
  await Promise.all(Array.from({ length: 100 }, (_, i) => finish(`team-${i % 4}`)));
  const balances = await budgets.balances();
  for (const { held } of balances) assert.equal(held, 0);
  const [company, ...teams] = balances.map(({ unit, left }) => left < asked[unit as keyof typeof asked]);
  assert.ok(company || teams.every(Boolean), "of what refuses the last calls, less than one call is left");
  await checkHistory(store, ({ unit }) => (unit === "tokens" ? 22_000 : 50_000_000));
});

test("a call whose owner died is charged at its estimate, unconfirmed, until it is settled after all", async () => {
  let time = NOON;
  const { budgets, store } = demoBudgets([{ name: "company", limits: ["$1 / day", "1 concurrent"] }], { now: () => time });
  const call = demoCall({ input: 1_000, output: 500 }, { leaseMs: 60_000 });
  const reservation = settled(await budgets.reserve(call));
  const standing = async () => (await budgets.balances()).map(({ spent, held }) => [spent, held]);
  time += 59_999;
  assert.deepEqual(await budgets.expire(), { expired: [] });
  assert.deepEqual(await standing(), [
    [0, 2_000_000],
    [0, 1],
  ]);
  time += 1;
  assert.deepEqual(await budgets.expire(), { expired: [reservation.id] });
  assert.deepEqual(await standing(), [
    [2_000_000, 0],
    [0, 0],
  ]);
  const [expired] = await store.entries({ kinds: ["expired"] });
  assert.ok(expired?.kind === "expired" && expired.charge.certainty === "unconfirmed");

  assert.equal((await budgets.settle(reservation, { inputTokens: 800, outputTokens: 20 })).outcome, "corrected");
  assert.deepEqual(await standing(), [
    [840_000, 0],
    [0, 0],
  ]);
  assert.equal((await budgets.settle(reservation, { inputTokens: 800, outputTokens: 20 })).outcome, "duplicate");
  assert.deepEqual(await standing(), [
    [840_000, 0],
    [0, 0],
  ]);
});

test("who counts along is told every charge and every estimate that is taken back: together they are the ledger", async () => {
  let time = NOON;
  const told: { cost: number; certainty: string; takenBack: number }[] = [];
  const refused: string[] = [];
  const { budgets } = demoBudgets([{ name: "company", limits: ["$1 / day"] }], {
    now: () => time,
    onCharge: (_, { user }, { cost = 0, certainty }, takenBack) => {
      assert.equal(user, "ann");
      told.push({ cost, certainty, takenBack: takenBack?.cost ?? 0 });
    },
    onDenial: (_, { reason }) => refused.push(reason),
  });
  const [kept, late, unsent] = [
    settled(await budgets.reserve(demoCall({ input: 1_000, output: 500 }))),
    settled(await budgets.reserve(demoCall({ input: 1_000, output: 500 }))),
    settled(await budgets.reserve(demoCall({ input: 1_000, output: 500 }))),
  ];
  await budgets.settle(kept, { inputTokens: 1_000, outputTokens: 100 });
  time += 24 * 3_600_000 - 1;
  await budgets.expire();
  await budgets.settle(late, { inputTokens: 1_000, outputTokens: 100 });
  await budgets.release(unsent, "never sent");
  assert.equal((await budgets.reserve(demoCall({ input: 2_000_000, output: 1 }))).outcome, "denied");
  await budgets.close();
  assert.deepEqual(told, [
    { cost: 1_200_000, certainty: "confirmed", takenBack: 0 },
    { cost: 2_000_000, certainty: "unconfirmed", takenBack: 0 },
    { cost: 2_000_000, certainty: "unconfirmed", takenBack: 0 },
    { cost: 1_200_000, certainty: "confirmed", takenBack: 2_000_000 },
    { cost: 0, certainty: "confirmed", takenBack: 2_000_000 },
  ]);
  assert.deepEqual(refused, ["request_too_large"]);
});

test("a call that was never sent costs nothing, even where that is known only after its hold expired", async () => {
  let time = NOON;
  const { budgets } = demoBudgets([{ name: "company", limits: ["$1 / day", "9 requests / day"] }], { now: () => time });
  const [first, second] = [
    settled(await budgets.reserve(demoCall({ input: 9, output: 9 }))),
    settled(await budgets.reserve(demoCall({ input: 9, output: 9 }))),
  ];
  assert.deepEqual(await budgets.release(first, "refused by the provider"), { outcome: "released" });
  time += 24 * 3_600_000;
  await budgets.expire();
  assert.deepEqual(await budgets.release(second, "never sent"), { outcome: "corrected" });
  time = NOON;
  assert.deepEqual(
    (await budgets.balances()).map(({ spent, held }) => [spent, held]),
    [
      [0, 0],
      [0, 0],
    ],
  );
});

test("a lease that is renewed does not run out", async () => {
  let time = NOON;
  const { budgets } = demoBudgets([{ name: "company", limits: ["$1 / day"] }], { now: () => time });
  const reservation = settled(await budgets.reserve(demoCall({ input: 9, output: 9 }, { leaseMs: 1_000 })));
  time += 900;
  assert.deepEqual(await budgets.extend(reservation, 1_000), { outcome: "extended", expiresAt: time + 1_000 });
  time += 900;
  assert.deepEqual(await budgets.expire(), { expired: [] });
});

test("a total that nobody knows is charged as it was held, and not as nothing", async () => {
  const { budgets } = demoBudgets([{ name: "company", limits: ["1M tokens / day"] }]);
  const reservation = settled(await budgets.reserve(demoCall({ input: 1_000, output: 50, copies: 3 })));
  const { charge } = await budgets.settle(reservation, { inputTokens: 700 });
  assert.deepEqual(charge, { usage: { inputTokens: 700, outputTokens: 150 }, cost: 1_000_000, certainty: "unconfirmed" });
  assert.deepEqual(
    (await budgets.balances()).map(({ spent, held }) => [spent, held]),
    [[850, 0]],
  );
});

test("usage that is no number of tokens is not accepted, and the hold stays", async () => {
  const { budgets } = demoBudgets([{ name: "company", limits: ["1M tokens / day"] }], { card: undefined });
  const reservation = settled(await budgets.reserve(demoCall({ input: 1_000, output: 50 })));
  for (const outputTokens of [-1, 0.5, Number.NaN, 1e300]) {
    await assert.rejects(budgets.settle(reservation, { inputTokens: 700, outputTokens }), { code: "amount_invalid" });
  }
  assert.deepEqual(
    (await budgets.balances()).map(({ spent, held }) => [spent, held]),
    [[0, 1_050]],
  );
});

test("repeating a call is answered as before and holds once", async () => {
  const { budgets } = demoBudgets([{ name: "company", limits: ["2000 tokens / day"] }]);
  const call = demoCall({ input: 1_000, output: 600 });
  const [first, again] = [settled(await budgets.reserve(call)), settled(await budgets.reserve(call))];
  assert.deepEqual(again, first);
  assert.deepEqual(
    (await budgets.balances()).map(({ held }) => held),
    [1_600],
  );
  await budgets.settle(first, { inputTokens: 1, outputTokens: 1 });
  await assert.rejects(budgets.reserve(call), { code: "internal", message: /was used before/ });
});

test("callers with hostile names have a balance each", async () => {
  const { budgets } = demoBudgets([{ name: "users", per: "user", limits: ["1000 tokens / day"], minOutput: 1 }]);
  const users = ["a", "a,model=x", "%", "%25", "(none)", "__proto__", "constructor", "", "a|tokens/day@UTC|0", "x".repeat(10_000), "😀"];
  for (const user of users) settled(await budgets.reserve(demoCall({ input: 900, output: 100 }, { subject: { user } })));
  for (const user of users) {
    const decision = await budgets.reserve(demoCall({ input: 900, output: 100 }, { subject: { user } }));
    assert.equal(decision.outcome, "denied");
    assert.deepEqual(
      (await budgets.balances({ subject: { user } })).map(({ held }) => held),
      [1_000],
    );
  }
  assert.equal((await budgets.balances()).length, users.length);
  assert.deepEqual(Object.keys(Object.prototype), []);
});

test("two budgets of one name are refused, because they would share their counters", () => {
  assert.throws(() => demoBudgets([{ name: "team" }, { name: "team" }]), {
    code: "config_invalid",
    message: /two budgets have the name "team"/i,
  });
});

test("a size that is no whole number is refused, because less than nothing would make room for others", async () => {
  const { budgets } = demoBudgets([{ name: "company", limits: ["2000 tokens / day"] }]);
  for (const size of [
    { input: -1, output: 1 },
    { input: 1, output: -1 },
    { input: Number.NaN, output: 1 },
    { input: 1, output: 1, copies: 0 },
  ]) {
    await assert.rejects(budgets.reserve(demoCall(size)), { code: "amount_invalid" });
  }
  await assert.rejects(budgets.reserve(demoCall({ input: 1, output: 1 }, { toolCalls: { search: -5 } })), { code: "amount_invalid" });
});

test("a call that fits a free allowance is free, the next that does not fit it whole is priced in full", async () => {
  const allowance = { name: "demo", limit: { unit: "tokens", amount: 1_000, window: { kind: "lifetime" } }, applies: () => true } as const;
  const { budgets } = demoBudgets([{ name: "company", limits: ["$1 / day", "1M tokens / day"] }], { allowances: [allowance] });
  const first = settled(await budgets.reserve(demoCall({ input: 500, output: 100 })));
  const second = settled(await budgets.reserve(demoCall({ input: 400, output: 1 })));
  assert.deepEqual([first.free, second.free], [true, false], "what the first holds is not free for the second");
  await budgets.settle(first, { inputTokens: 500, outputTokens: 50 });
  await budgets.settle(second, { inputTokens: 400, outputTokens: 1 });
  assert.deepEqual(
    (await budgets.balances()).map(({ unit, spent, held }) => [unit, spent, held]),
    [
      ["nanodollars", 402_000, 0],
      ["tokens", 951, 0],
    ],
  );
  const third = settled(await budgets.reserve(demoCall({ input: 440, output: 10 })));
  assert.ok(third.free, "450 tokens of the allowance are left, exactly enough");
  assert.ok(!settled(await budgets.reserve(demoCall({ input: 1, output: 0 }))).free);
});

test("a repeated call that was not free stays priced, and one that was free stays free", async () => {
  const allowance = { name: "demo", limit: { unit: "tokens", amount: 100, window: { kind: "lifetime" } }, applies: () => true } as const;
  const { budgets } = demoBudgets([{ name: "company", limits: ["$1 / day"] }], { allowances: [allowance] });
  const large = demoCall({ input: 500, output: 100 });
  const small = demoCall({ input: 50, output: 50 });
  for (const _ of [1, 2]) assert.ok(!settled(await budgets.reserve(large)).free);
  for (const _ of [1, 2]) assert.ok(settled(await budgets.reserve(small)).free);
});

test("a call is counted before it is paid for, as long as enough of an allowance is left that it could be free", async () => {
  const allowance = { name: "demo", limit: { unit: "tokens", amount: 1_000, window: { kind: "lifetime" } }, applies: () => true } as const;
  const { budgets } = demoBudgets([{ name: "company", limits: ["$5 / day"] }], { allowances: [allowance] });
  let counts = 0;
  const count = async () => {
    counts++;
    return 300;
  };
  const reserve = async () => settled(await budgets.reserve(demoCall({ input: 0, output: 200 }, { input: { most: 1_200, count } })));
  const first = await reserve();
  assert.deepEqual([first.free, first.inputTokens, counts], [true, 300, 1], "1,200 bytes do not fit, and 300 tokens do");
  assert.ok((await reserve()).free);
  const third = await reserve();
  assert.deepEqual([third.free, counts], [false, 2], "nothing is left, so its size decides");
});

test("no answer is shortened so that it is free: what does not fit an allowance whole is paid", async () => {
  const allowance = { name: "demo", limit: { unit: "tokens", amount: 1_000, window: { kind: "lifetime" } }, applies: () => true } as const;
  const { budgets } = demoBudgets([{ name: "company", limits: ["$5 / day"], minOutput: 10 }], { allowances: [allowance] });
  const long = settled(await budgets.reserve(demoCall({ input: 500, output: 800 })));
  assert.deepEqual([long.free, long.outputTokens], [false, 800]);
  const short = settled(await budgets.reserve(demoCall({ input: 500, output: 500 })));
  assert.deepEqual([short.free, short.outputTokens], [true, 500]);
});

test("an allowance is never counted by a size that was cut short", async () => {
  const allowance = { name: "demo", limit: { unit: "tokens", amount: 5_000, window: { kind: "lifetime" } }, applies: () => true } as const;
  const { budgets, store } = demoBudgets([{ name: "company", limits: ["$0.001 / day"] }], { allowances: [allowance] });
  const count = async (limit: number) => Math.min(4_000, limit + 1);
  const reservation = settled(await budgets.reserve(demoCall({ input: 0, output: 300 }, { input: { most: 90_000, count } })));
  assert.deepEqual([reservation.free, reservation.inputTokens], [true, 4_000]);
  const held = (await store.counters()).find(({ ref }) => ref.budget === "allowance demo")?.held;
  assert.equal(held, 4_300);
});

test("the tier that a provider served is the tier that is charged", async () => {
  const { budgets } = demoBudgets([{ name: "company", limits: ["$1 / day"] }], { card: { ...DEMO_CARD, flexPermille: 500 } });
  const reservation = settled(await budgets.reserve(demoCall({ input: 1_000, output: 100 })));
  const { charge } = await budgets.settle(reservation, { inputTokens: 1_000, outputTokens: 100 }, "confirmed", "flex");
  assert.equal(charge.cost, 600_000);
});

test("a client in a loop cannot fill the ledger with answers that were known, and nothing of what they saved is forgotten", async () => {
  let now = NOON;
  const { budgets, store } = demoBudgets([{ name: "company", limits: ["$1 / day"] }], { now: () => now });
  for (let i = 0; i < 2_500; i++)
    budgets.recordAnswer(demoCall({ input: 10, output: 10 }), {
      rung: "cache 60m (company 0%)",
      from: `before-${i}`,
      ...(i % 2 === 0 && { saved: 3 }),
    });
  now += 1_000;
  await budgets.expire();
  await budgets.close();
  assert.equal((await store.entries({ kinds: ["answered"], most: 10_000 })).length, 1_001);
  const [sums] = await reportLedger(store, { since: NOON, until: now + 1 });
  assert.deepEqual([sums?.knownAnswers, sums?.savedCost, sums?.calls, sums?.cost], [2_500, 3_750, 0, 0]);
  assert.deepEqual(
    (await budgets.balances()).map(({ spent, held }) => [spent, held]),
    [[0, 0]],
  );
});

test("a client in a loop cannot fill the ledger with refusals, by whatever names it calls, and none of them is forgotten", async () => {
  let now = NOON;
  const { budgets, store } = demoBudgets([{ name: "company", per: "user", limits: ["$0 / day"] }], { now: () => now });
  for (let i = 0; i < 5_000; i++) {
    const call = demoCall({ input: 10, output: 10 });
    await budgets.reserve({ ...call, subject: { ...call.subject, user: `user-${i}` } });
  }
  now += 1_000;
  await budgets.expire();
  await budgets.close();
  const denied = (await store.entries({ kinds: ["denied"], most: 10_000 })).flatMap((entry) => (entry.kind === "denied" ? [entry] : []));
  assert.equal(denied.length, 1_001);
  assert.equal(
    denied.reduce((sum, { times = 1 }) => sum + times, 0),
    5_000,
  );
});
