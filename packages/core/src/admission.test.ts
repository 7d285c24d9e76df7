import assert from "node:assert/strict";
import { test } from "node:test";
import { Budgets } from "./budgets.ts";
import { type BudgetInput, defineBudget } from "./domain/budget.ts";
import type { Decision, Denial } from "./domain/decision.ts";
import type { Reservation } from "./domain/reservation.ts";
import { PurserError } from "./errors.ts";
import type { Call } from "./index.ts";
import { DEMO_CARD, demoBudgets, demoCall, NOON } from "./testing/demo-budgets.ts";

const allowed = (decision: Decision): Reservation => {
  assert.ok(decision.outcome === "allowed", decision.outcome === "denied" ? decision.denial.message : "");
  return decision.reservation;
};
const denial = (decision: Decision): Denial => {
  assert.ok(decision.outcome === "denied", "the call should be denied");
  return decision.denial;
};

/** Settles a call that uses all it holds. */
async function spend(budgets: Budgets, tokens: number): Promise<void> {
  const reservation = allowed(await budgets.reserve(demoCall({ input: tokens, output: 0 })));
  await budgets.settle(reservation, { inputTokens: tokens, outputTokens: 0 });
}

/** A call whose bound by size is four times its count, and the limits up to which it was counted. */
function countable(tokens: number, output = 300, extra: Partial<Call> = {}) {
  const counts: number[] = [];
  const count = async (limit: number) => {
    counts.push(limit);
    return Math.min(tokens, limit + 1);
  };
  return { call: demoCall({ input: 0, output }, { input: { most: tokens * 4, count }, ...extra }), counts };
}

// ── Why a call is refused, in words ──

const COMPANY: BudgetInput = { name: "company", limits: ["$1 / month"], timezone: "Europe/Berlin", owner: "finance@example.com" };

test("a budget with nothing left says when it resets and whom to ask, and no retry is advised", async () => {
  const { budgets } = demoBudgets([COMPANY]);
  await spend(budgets, 1_000_000);
  const { reason, retryAfterMs, message, balance } = denial(await budgets.reserve(demoCall({ input: 10, output: 10 })));
  assert.deepEqual([reason, retryAfterMs, balance?.left], ["budget_exhausted", undefined, 0]);
  assert.equal(
    message,
    'Budget "company" has nothing left of $1.00 this month ($1.00 spent). It resets 2026-12-01 00:00 Europe/Berlin. Ask finance@example.com for more.',
  );
});

test("a budget with too little left says how little, and what the call asks", async () => {
  const { budgets } = demoBudgets([{ ...COMPANY, limits: ["1000 tokens"] }]);
  await spend(budgets, 900);
  const { reason, retryAfterMs, message, asked } = denial(await budgets.reserve(demoCall({ input: 300, output: 4_000 })));
  assert.deepEqual([reason, retryAfterMs, asked], ["budget_exhausted", undefined, 556]);
  assert.equal(
    message,
    'Budget "company" has 100 tokens left of 1,000 tokens for its whole life (900 tokens spent). This call asks for at least 556 tokens. It does not reset. Send a smaller call, or ask finance@example.com for more.',
  );
});

test("a budget that calls in flight hold is busy, and worth another try", async () => {
  const { budgets } = demoBudgets([{ ...COMPANY, per: "user", limits: ["$1 / day"] }]);
  await spend(budgets, 200_000);
  allowed(await budgets.reserve(demoCall({ input: 700_000, output: 0 })));
  const { reason, retryAfterMs, message } = denial(await budgets.reserve(demoCall({ input: 200_000, output: 0 })));
  assert.deepEqual([reason, retryAfterMs], ["budget_busy", 1_000]);
  assert.equal(
    message,
    'Budget "company" (user=ann) has $0.10 left of $1.00 today ($0.20 spent, $0.70 held by calls in flight). This call asks for at least $0.20. Calls in flight return what they do not use: try again in a moment.',
  );
});

test("a rate that resets within a minute says in how many seconds", async () => {
  const { budgets } = demoBudgets([{ name: "rate", limits: ["1 request / minute"] }], { now: () => NOON + 22_500 });
  allowed(await budgets.reserve(demoCall({ input: 1, output: 1 })));
  const { reason, retryAfterMs, message } = denial(await budgets.reserve(demoCall({ input: 1, output: 1 })));
  assert.deepEqual([reason, retryAfterMs], ["rate_limited", 37_500]);
  assert.equal(
    message,
    'Budget "rate" has 0 requests left of 1 request this minute (0 requests spent, 1 request held by calls in flight). This call asks for at least 1 request. Try again in 38 seconds.',
  );
});

test("a rate that resets later than within a minute is exhausted: no client should wait for it", async () => {
  const { budgets } = demoBudgets([{ name: "rate", limits: ["1 request / hour"] }]);
  allowed(await budgets.reserve(demoCall({ input: 1, output: 1 })));
  const { reason, retryAfterMs } = denial(await budgets.reserve(demoCall({ input: 1, output: 1 })));
  assert.deepEqual([reason, retryAfterMs], ["budget_exhausted", undefined]);
});

test("a limit on calls at once frees itself", async () => {
  const { budgets } = demoBudgets([{ name: "agents", per: "user", limits: ["1 concurrent"] }]);
  const first = allowed(await budgets.reserve(demoCall({ input: 1, output: 1 })));
  const { reason, retryAfterMs, message } = denial(await budgets.reserve(demoCall({ input: 1, output: 1 })));
  assert.deepEqual([reason, retryAfterMs], ["rate_limited", 1_000]);
  assert.equal(message, 'Budget "agents" (user=ann) allows 1 call at once, and 1 is in flight. Try again in a moment.');
  await budgets.release(first, "not sent");
  allowed(await budgets.reserve(demoCall({ input: 1, output: 1 })));
});

test("a call that is larger than the whole budget is told so, with its size", async () => {
  const { budgets } = demoBudgets([{ name: "small", limits: ["1000 tokens / day"] }]);
  const { call } = countable(900);
  const { reason, retryAfterMs, message } = denial(await budgets.reserve(call));
  assert.deepEqual([reason, retryAfterMs], ["request_too_large", undefined]);
  assert.equal(
    message,
    'The input has 900 tokens. Budget "small" allows 1,000 tokens today in all, too little for this call even when nothing is spent. This call asks for at least 1,156 tokens. Send less input or a smaller output cap.',
  );
  const novel = denial(await budgets.reserve(countable(200_000).call));
  assert.equal(
    novel.message,
    'The input has more than 1,000 tokens (by its size about 200,000). Budget "small" allows 1,000 tokens today in all, too little for this call even when nothing is spent. Send less input or a smaller output cap.',
  );
  assert.equal(novel.asked, undefined, "what was not counted is not said");
});

test("a limit of 0 allows nothing and says so", async () => {
  const { budgets } = demoBudgets([{ name: "off", limits: ["$0 / month"], owner: "ops" }]);
  const { reason, retryAfterMs, message } = denial(await budgets.reserve(demoCall({ input: 1, output: 1 })));
  assert.deepEqual([reason, retryAfterMs], ["budget_exhausted", undefined]);
  assert.equal(message, 'Budget "off" allows nothing: its limit is $0.00 this month. Ask ops for more.');
});

test("a model that a budget does not allow is refused with those it allows", async () => {
  const { budgets } = demoBudgets([{ name: "chatbot", request: { models: ["gpt-4o", "claude-*"] } }]);
  const { reason, message } = denial(await budgets.reserve(demoCall({ input: 1, output: 1 })));
  assert.equal(reason, "model_not_allowed");
  assert.equal(message, 'Budget "chatbot" does not allow the model "demo-1". Use one that it allows: gpt-4o, claude-*.');
});

test("a model without a price is refused where money is limited, and only there", async () => {
  const { budgets } = demoBudgets([COMPANY], { card: undefined });
  const { reason, message } = denial(await budgets.reserve(demoCall({ input: 1, output: 1 })));
  assert.equal(reason, "model_unpriced");
  assert.match(message, /model "demo-1" of provider "demo" has no price, and budget "company" limits money\. Add it under prices:/);
  const { budgets: tokens } = demoBudgets(
    [
      { name: "tokens", limits: ["9 tokens"], minOutput: 1 },
      { ...COMPANY, mode: "observe" },
    ],
    { card: undefined },
  );
  const reservation = allowed(await tokens.reserve(demoCall({ input: 1, output: 1 })));
  assert.equal((await tokens.settle(reservation, { inputTokens: 1, outputTokens: 1 })).charge.cost, undefined);
});

test("every refusal is written down, with its reason and what was asked", async () => {
  const { budgets, store } = demoBudgets([{ name: "off", limits: ["0 requests"] }]);
  const call = demoCall({ input: 7, output: 5, copies: 2 });
  await budgets.reserve(call);
  await budgets.close();
  const [entry] = await store.entries({ reservation: call.id });
  assert.ok(entry?.kind === "denied");
  assert.deepEqual([entry.reason, entry.detail.inputTokens, entry.detail.outputTokens, entry.postings], ["budget_exhausted", 7, 10, []]);
});

// ── While the store is down ──

function withoutStore(...inputs: readonly BudgetInput[]) {
  const errors: unknown[] = [];
  const unavailable = () => Promise.reject(new PurserError("store_unavailable", "the disk is full"));
  const { store } = demoBudgets([]);
  const budgets = new Budgets({
    store: { ...store, reserve: unavailable, record: unavailable },
    budgets: inputs.map(defineBudget),
    prices: { card: () => DEMO_CARD },
    onError: (error) => errors.push(error),
    now: () => NOON,
  });
  return { budgets, errors };
}

test("while the store is down, hard limits fail closed, and it is told", async () => {
  const { budgets, errors } = withoutStore({ ...COMPANY, onStoreFailure: "open" }, { name: "hard", limits: ["$1"] });
  const { reason, retryAfterMs, message } = denial(await budgets.reserve(demoCall({ input: 1, output: 1 })));
  assert.deepEqual([reason, retryAfterMs], ["store_unavailable", 5_000]);
  assert.match(message, /Try again in a few seconds/);
  assert.match(String(errors[0]), /the disk is full/);
});

test("a call whose tokens weigh little is counted as far as it could fit by weight, and is not refused before", async () => {
  const { budgets, store } = demoBudgets([{ name: "light", limits: ["1000 tokens"], weights: { input: 0.1 } }]);
  const { call, counts } = countable(5_000);
  const reservation = allowed(await budgets.reserve(call));
  assert.deepEqual([reservation.inputTokens, reservation.outputTokens, counts], [5_000, 300, [10_000]]);
  const [entry] = await store.entries({ kinds: ["reserved"] });
  assert.deepEqual(
    entry?.postings.map(({ held }) => held),
    [800],
  );
});

test("an answer that weighs little is no reason to refuse before its input is counted", async () => {
  const { budgets } = demoBudgets([{ name: "light", limits: ["1000 tokens"], weights: { output: 0.1 } }]);
  const { call } = countable(300);
  const { outputTokens } = allowed(await budgets.reserve({ ...call, output: { most: 6_000, least: 6_000 } }));
  assert.equal(outputTokens, 6_000);
});

test("a refusal says what a call asks by weight, and how its tokens weigh", async () => {
  const { budgets } = demoBudgets([{ ...COMPANY, limits: ["2000 tokens"], weights: { cache_read: 0, output: 4 } }]);
  await spend(budgets, 900);
  const { asked, message, balance } = denial(await budgets.reserve(demoCall({ input: 100, output: 4_000 })));
  assert.deepEqual([asked, balance?.weights], [1_124, { cache_read: 0, output: 4 }]);
  assert.equal(
    message,
    'Budget "company" has 1,100 weighted tokens left of 2,000 weighted tokens for its whole life (900 weighted tokens spent). This call asks for at least 1,124 weighted tokens, counting cache reads not at all and output 4 times. It does not reset. Send a smaller call, or ask finance@example.com for more.',
  );
});

test("while the store is down, calls go on uncounted where no budget forbids it, within their request limits, and it is told", async () => {
  const open: BudgetInput = { ...COMPANY, onStoreFailure: "open", request: { maxInput: 100, maxOutput: 50 } };
  const { budgets, errors } = withoutStore(open, { name: "trial", mode: "observe", limits: ["$1"] });
  const decision = await budgets.reserve(countable(90).call);
  assert.ok(decision.outcome === "uncounted");
  assert.equal(decision.outputTokens, 50);
  assert.match(decision.message, /the disk is full/);
  assert.equal(errors.length, 1);
  assert.equal(denial(await budgets.reserve(countable(101).call)).reason, "request_too_large");
});

test("a store that answers after a window has ended, again and again, is one that is down: it is told, and nothing is held", async () => {
  const { store } = demoBudgets([]);
  const errors: unknown[] = [];
  let asked = 0;
  // A shared store goes by its own clock: every answer comes two seconds later.
  const slow = async () => ({ outcome: "moved", now: NOON + 2_000 * ++asked }) as const;
  const budgets = new Budgets({
    store: { ...store, reserve: slow },
    budgets: [defineBudget({ ...COMPANY, limits: ["1000 tokens / minute bucket"] })],
    prices: { card: () => DEMO_CARD },
    onError: (error) => errors.push(error),
    now: () => NOON,
  });
  const { reason, retryAfterMs } = denial(await budgets.reserve(demoCall({ input: 1, output: 1 })));
  assert.deepEqual([reason, retryAfterMs, asked], ["store_unavailable", 5_000, 4]);
  assert.match(String(errors[0]), /takes longer to answer than a window/);
  assert.deepEqual(await store.entries({ kinds: ["reserved"] }), []);
});

test("other faults of a store are not taken for an outage", async () => {
  const { store } = demoBudgets([]);
  const broken = { ...store, reserve: () => Promise.reject(new PurserError("internal", "broken")) };
  const budgets = new Budgets({ store: broken, budgets: [], prices: { card: () => DEMO_CARD } });
  await assert.rejects(budgets.reserve(demoCall({ input: 1, output: 1 })), { code: "internal" });
});

// ── Counting only where it matters ──

test("a call that is small against what is left is admitted by its size and not counted", async () => {
  const { budgets, store } = demoBudgets([{ name: "company", limits: ["1M tokens / day", "$9 / day"] }]);
  const { call, counts } = countable(800);
  const reservation = allowed(await budgets.reserve(call));
  assert.deepEqual([counts, reservation.inputTokens, reservation.outputTokens], [[], 3_200, 300]);
  const [entry] = await store.entries({ reservation: call.id });
  assert.ok(entry?.kind === "reserved" && !entry.detail.counted);
});

test("a call near a limit is counted, once, and held as counted", async () => {
  const { budgets, store } = demoBudgets([{ name: "company", limits: ["100k tokens / day"] }]);
  const { call, counts } = countable(800);
  const reservation = allowed(await budgets.reserve(call));
  assert.deepEqual([counts, reservation.inputTokens], [[100_000], 800]);
  const [entry] = await store.entries({ reservation: call.id });
  assert.ok(entry?.kind === "reserved" && entry.detail.counted);
});

test("counting stops at what could fit the tightest limit, were nothing spent", async () => {
  const limits = async (inputs: readonly BudgetInput[], card = DEMO_CARD) => {
    const { call, counts } = countable(900_000);
    await demoBudgets(inputs, { card }).budgets.reserve(call);
    return counts;
  };
  assert.deepEqual(
    await limits([
      { name: "a", limits: ["5000 tokens"] },
      { name: "b", limits: ["3000 input tokens", "9 requests"] },
    ]),
    [3_000],
  );
  assert.deepEqual(await limits([{ name: "a", limits: ["$0.002"] }]), [2_000]);
  assert.deepEqual(
    await limits([{ name: "a", limits: ["9 output tokens"] }]),
    [],
    "no output of at least 256 tokens fits, whatever the input",
  );
  assert.deepEqual(await limits([{ name: "a", limits: ["9k output tokens"] }]), [Number.POSITIVE_INFINITY]);
  assert.deepEqual(await limits([{ name: "a", limits: ["5M tokens"], request: { maxInput: 4_000 } }]), [4_000]);
  assert.deepEqual(
    await limits([{ name: "a", limits: ["$0.002"] }], { ...DEMO_CARD, requestFee: 1_000_000 }),
    [2_000],
    "a fee does not make tokens dearer",
  );
});

test("a budget that refuses a call of any size refuses without counting", async () => {
  const counted = async (input: BudgetInput, before: (budgets: Budgets) => Promise<unknown>) => {
    const { budgets } = demoBudgets([input]);
    await before(budgets);
    const { call, counts } = countable(800);
    return { ...denial(await budgets.reserve(call)), counts };
  };
  const spent = await counted({ name: "company", limits: ["1000 tokens / day"] }, (budgets) => spend(budgets, 900));
  assert.deepEqual([spent.counts, spent.reason, spent.asked], [[], "budget_exhausted", 257]);
  const rate = await counted({ name: "rate", limits: ["1 request / minute"] }, (budgets) => spend(budgets, 9));
  assert.deepEqual([rate.counts, rate.reason], [[], "rate_limited"]);
  const busy = await counted({ name: "agents", limits: ["1 concurrent"] }, (budgets) => budgets.reserve(demoCall({ input: 1, output: 1 })));
  assert.deepEqual([busy.counts, busy.reason], [[], "rate_limited"]);
  const held = await counted({ name: "company", limits: ["3000 tokens / day"] }, (budgets) =>
    budgets.reserve(demoCall({ input: 2_900, output: 0 })),
  );
  assert.deepEqual([held.counts, held.reason], [[3_000], "budget_busy"], "what calls in flight may return is counted for");
});

test("where counting stopped at a limit, another budget does not refuse by the bound that was not counted", async () => {
  const inputs: BudgetInput[] = [
    { name: "tight", limits: ["320 tokens / day"] },
    { name: "chat", limits: ["10M tokens / day"], request: { maxInput: 1_180 } },
    { name: "summary", limits: ["10M tokens / day"], request: { maxTotal: 1_500 } },
  ];
  const { budgets } = demoBudgets(inputs);
  const { call, counts } = countable(620);
  const { balance, message } = denial(await budgets.reserve(call));
  assert.deepEqual([balance?.budget, counts], ["tight", [320]], message);
});

test("where counting stopped at a limit, no other one is named because the bound reaches a dearer tier", async () => {
  const tiers = [
    { aboveInputTokens: 0, rates: { input: 1_000_000, output: 1_000_000 } },
    { aboveInputTokens: 1_000, rates: { input: 9_000_000, output: 9_000_000 } },
  ] as const;
  for (const window of ["day", "rolling 24h"]) {
    const inputs: BudgetInput[] = [
      { name: "money", limits: ["$0.001 / day"] },
      { name: "tight", limits: [`320 tokens / ${window}`] },
    ];
    const { budgets } = demoBudgets(inputs, { card: { ...DEMO_CARD, tiers } });
    const { call, counts } = countable(620);
    const { balance, message } = denial(await budgets.reserve(call));
    assert.deepEqual([balance?.budget, counts], ["tight", [320]], message);
  }
});

test("of a call that was counted whole, the limit is named that refuses for longest, whatever its window", async () => {
  const { budgets } = demoBudgets([{ name: "company", limits: ["1000 tokens / day", "1001 tokens / rolling 48h"] }]);
  await spend(budgets, 900);
  const { call, counts } = countable(200, 0);
  const { balance } = denial(await budgets.reserve(call));
  assert.deepEqual([balance?.window, counts.length], ["rolling 2d", 1]);
});

test("what is granted while a call is counted is there for it, as far as its count goes", async () => {
  const { budgets } = demoBudgets([{ name: "company", limits: ["320 tokens / day"] }]);
  await budgets.adopt();
  const { call, counts } = countable(800);
  const { count } = call.input;
  const granting = async (limit: number) => {
    if (counts.length === 0) {
      await budgets.grant({ budget: "company", giver: "ann", why: "more work", id: "grant-1", amount: "2000 tokens", until: "1d" });
    }
    return (await count?.(limit)) ?? 0;
  };
  const reservation = allowed(await budgets.reserve({ ...call, input: { ...call.input, count: granting } }));
  assert.deepEqual([reservation.inputTokens, counts], [800, [320, 2_320]]);
});

test("while the store is down, calls are counted as far as their request limits go, and not their budgets", async () => {
  const { budgets } = withoutStore({
    name: "company",
    limits: ["320 tokens / day"],
    onStoreFailure: "open",
    request: { maxInput: 1_000, maxTotal: 1_200 },
  });
  const decision = await budgets.reserve(countable(900).call);
  assert.deepEqual([decision.outcome, decision.outcome === "uncounted" && decision.outputTokens], ["uncounted", 300]);
  assert.equal(denial(await budgets.reserve(countable(1_001).call)).reason, "request_too_large");
});

test("a bound by size is no reason to refuse a call or to shorten its answer", async () => {
  const { budgets } = demoBudgets([{ name: "company", limits: ["10M tokens / day"], request: { maxInput: 1_000, maxTotal: 1_500 } }]);
  const { call, counts } = countable(240, 1_000);
  assert.deepEqual([allowed(await budgets.reserve(call)).outputTokens, counts], [1_000, [1_000]]);
  const { call: small, counts: none } = countable(100, 1_000);
  assert.deepEqual([allowed(await budgets.reserve(small)).outputTokens, none], [1_000, []]);
});

// ── What one call may be ──

test("the output cap is lowered to what request limits leave, for all answers together", async () => {
  const cap = async (request: BudgetInput["request"], size: Parameters<typeof demoCall>[0], minOutput = 100) => {
    const { budgets } = demoBudgets([
      { name: "chat", request: request ?? {}, minOutput },
      { name: "trial", mode: "observe", request: { maxOutput: 1 } },
    ]);
    const decision = await budgets.reserve(demoCall(size));
    return decision.outcome === "allowed" ? decision.reservation.outputTokens : denial(decision).message;
  };
  assert.equal(await cap({ maxOutput: 500 }, { input: 10, output: 4_000 }), 500);
  assert.equal(await cap({ maxOutput: 500 }, { input: 10, output: 4_000, copies: 3 }), 166);
  assert.equal(await cap({ maxOutput: 50 }, { input: 10, output: 4_000 }), 50, "short answers are allowed where they are asked for");
  assert.equal(await cap({ maxTotal: 1_000 }, { input: 700, output: 4_000 }), 300);
  assert.equal(await cap({ maxTotal: 1_000 }, { input: 900, output: 4_000 }), 100);
  assert.equal(await cap({ maxTotal: 1_000 }, { input: 990, output: 5 }), 5);
  assert.equal(await cap({ maxTotal: 1_000 }, { input: 1_000, output: 0 }), 0, "embeddings have no output");
  assert.equal(
    await cap({ maxTotal: 1_000 }, { input: 901, output: 4_000 }),
    'The input has 901 tokens, and budget "chat" allows 1,000 for input and output of one call together: too few for an answer that needs 100. Shorten the input.',
  );
  assert.equal(
    await cap({ maxTotal: 1_000 }, { input: 1_001, output: 0 }),
    'The input has 1,001 tokens, and budget "chat" allows 1,000 in one call. Shorten the conversation or the pasted text.',
  );
  assert.equal(
    await cap({ maxOutput: 500 }, { input: 10, output: 4_000, least: 1_024 }),
    'The input has 10 tokens, and budget "chat" allows 500 output tokens in one call: too few for an answer that needs 1,024. Ask for fewer or shorter answers.',
  );
  assert.match(String(await cap({ maxOutput: 2 }, { input: 10, output: 9, copies: 3 })), /too few for an answer that needs 3/);
});

test("input beyond what one call may have is refused after counting just that far", async () => {
  const { budgets } = demoBudgets([{ name: "chat", request: { maxInput: 4_000 } }]);
  const { call, counts } = countable(300_000);
  const { reason, message } = denial(await budgets.reserve(call));
  assert.deepEqual([reason, counts], ["request_too_large", [4_000]]);
  assert.equal(
    message,
    'The input has more than 4,000 tokens (by its size about 300,000), and budget "chat" allows 4,000 in one call. Shorten the conversation or the pasted text.',
  );
});

test("the output cap is lowered to what fits all limits, and no further than min_output and what the call needs", async () => {
  const { budgets } = demoBudgets([{ name: "company", limits: ["1000 tokens / day"], minOutput: 300 }]);
  const reservation = allowed(await budgets.reserve(demoCall({ input: 500, output: 4_000 })));
  assert.equal(reservation.outputTokens, 500);
  await budgets.settle(reservation, { inputTokens: 500, outputTokens: 100 });
  assert.equal(denial(await budgets.reserve(demoCall({ input: 101, output: 4_000 }))).asked, 401);
  assert.equal(denial(await budgets.reserve(demoCall({ input: 50, output: 4_000, least: 351 }))).asked, 401);
  assert.equal(allowed(await budgets.reserve(demoCall({ input: 100, output: 4_000 }))).outputTokens, 300);
});

test("a budget that says nothing of min_output does not take from another one what it says", async () => {
  const least = async (...minOutputs: readonly (number | undefined)[]) => {
    const { budgets } = demoBudgets(
      minOutputs.map((minOutput, i) => ({ name: `${i}`, limits: ["1000 tokens / day"], ...(minOutput !== undefined && { minOutput }) })),
    );
    return denial(await budgets.reserve(demoCall({ input: 1_000, output: 4_000 }))).asked;
  };
  assert.equal(await least(20, undefined), 1_020);
  assert.equal(await least(undefined, 20, 30), 1_030);
  assert.equal(await least(undefined, undefined), 1_256);
});

test("money with tier prices holds at the dearest rates that the input can reach", async () => {
  const tiers = [...DEMO_CARD.tiers, { aboveInputTokens: 1_000, rates: { input: 3_000_000, output: 5_000_000 } }];
  const { budgets } = demoBudgets([{ name: "company", limits: ["$0.01 / day"], minOutput: 10 }], { card: { ...DEMO_CARD, tiers } });
  const small = allowed(await budgets.reserve(demoCall({ input: 1_000, output: 9_000, copies: 2 })));
  assert.equal(small.outputTokens, (10_000 - 1_000) / 4);
  await budgets.release(small, "not sent");
  const large = allowed(await budgets.reserve(demoCall({ input: 1_001, output: 9_000, copies: 2 })));
  assert.equal(large.outputTokens, Math.floor((10_000 - 3_003) / 10));
});

// ── Observing ──

test("a budget that observes refuses nothing, counts everything, and tells exactly what it would have refused", async () => {
  const trial: BudgetInput = {
    name: "trial",
    mode: "observe",
    limits: ["1000 tokens / day"],
    request: { maxInput: 900, models: ["other"] },
  };
  const { budgets, store } = demoBudgets([trial, { name: "off", mode: "observe", limits: ["0 requests"] }]);
  const wouldRefuse = async (tokens: number) => {
    const decision = await budgets.reserve(countable(tokens, 0).call);
    assert.ok(decision.outcome === "allowed");
    return [decision.wouldRefuse, decision.reservation.inputTokens];
  };
  assert.deepEqual(await wouldRefuse(950), [["trial", "off"], 950]);
  assert.deepEqual(
    (await budgets.balances({ budget: "trial" })).map(({ held, left }) => [held, left]),
    [[950, 50]],
  );
  assert.deepEqual(
    (await store.entries({ kinds: ["reserved"] })).map((entry) => entry.kind === "reserved" && entry.detail.wouldRefuse),
    [["trial", "off"]],
  );

  const { budgets: fine } = demoBudgets([{ ...trial, request: { maxInput: 900 } }]);
  const decision = await fine.reserve(countable(800, 0).call);
  assert.ok(decision.outcome === "allowed");
  assert.deepEqual(decision.wouldRefuse, [], "a bound by size of 3,200 would have been refused, the count is not");
});

test("a trial with an end refuses from that instant on, without being configured anew, and counts what was used before", async () => {
  const trial: BudgetInput = {
    name: "trial",
    mode: "observe until 2026-12-15",
    timezone: "Europe/Berlin",
    limits: ["1000 tokens / week"],
    request: { maxInput: 900, maxOutput: 40, models: ["demo*"] },
  };
  const end = Date.UTC(2026, 11, 15, 23);
  let now = end - 1;
  const { budgets } = demoBudgets([trial], { now: () => now });
  const [balance] = await budgets.balances({});
  assert.equal(balance?.observedUntil, end);
  const before = await budgets.reserve(demoCall({ input: 950, output: 100 }));
  assert.ok(before.outcome === "allowed");
  assert.deepEqual([before.wouldRefuse, before.reservation.outputTokens], [["trial"], 100]);
  await budgets.settle(before.reservation, { inputTokens: 950, outputTokens: 60 });
  now = end;
  const after = await budgets.reserve(demoCall({ input: 1, output: 1 }));
  assert.ok(after.outcome === "denied");
  assert.deepEqual(
    [after.denial.reason, after.denial.balance?.spent, after.denial.balance?.observedUntil],
    ["budget_exhausted", 1_010, undefined],
  );
  const large = await budgets.reserve(demoCall({ input: 901, output: 1 }));
  assert.ok(large.outcome === "denied");
  assert.match(large.denial.message, /allows 900 in one call/);
});

test("what a trial keeps, lets wait, or does to calls by its ladder begins with its end", async () => {
  const until = "observe until 2026-12-15T12:00Z";
  const end = Date.UTC(2026, 11, 15, 12);
  let now = end - 1;
  const limited: BudgetInput = { name: "a", mode: until, limits: ["1000 tokens"], per: "task" };
  const { budgets } = demoBudgets([{ ...limited, ladder: { "0%": "use small", "50%": "finish" } }], { now: () => now });
  const { subject } = demoCall({ input: 501, output: 1 }, { subject: { task: "t" } });
  assert.equal(await budgets.ladder(subject), undefined);
  now = end;
  assert.deepEqual(
    (await budgets.ladder(subject))?.rungs.map(({ rung }) => rung.kind),
    ["use"],
  );
  const decision = await budgets.reserve({ ...demoCall({ input: 501, output: 1 }), subject, mayFinish: true });
  assert.ok(decision.outcome === "denied");
  assert.equal(decision.denial.lastOf, "a");
});

test("every balance of a call is told, the tightest first", async () => {
  const { budgets } = demoBudgets([COMPANY, { name: "users", per: "user", limits: ["2000 tokens / day", "50 requests / day"] }]);
  const decision = await budgets.reserve(demoCall({ input: 500, output: 500 }));
  assert.ok(decision.outcome === "allowed");
  assert.deepEqual(
    decision.balances.map(({ budget, subject, unit, left }) => [budget, subject, unit, left]),
    [
      ["users", "user=ann", "tokens", 1_000],
      ["users", "user=ann", "requests", 49],
      ["company", "", "nanodollars", 998_500_000],
    ],
  );
});

test("the tightest limit is one that is used up; calls at once only where there is no other", async () => {
  const tightest = async (...limits: readonly string[]) => {
    const { budgets } = demoBudgets([{ name: "users", per: "user", limits }]);
    const decision = await budgets.reserve(demoCall({ input: 500, output: 500 }));
    assert.ok(decision.outcome === "allowed");
    return [decision.tightest?.unit, decision.tightest?.left];
  };
  assert.deepEqual(await tightest("4 concurrent", "$1 / day", "2000 tokens / day"), ["tokens", 1_000]);
  assert.deepEqual(await tightest("2000 tokens / day", "2 concurrent", "50 requests / day"), ["tokens", 1_000]);
  assert.deepEqual(await tightest("4 concurrent"), ["concurrent", 3]);
});
