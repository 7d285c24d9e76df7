import assert from "node:assert/strict";
import { test } from "node:test";
import type { Charge, Entry } from "./ledger.ts";
import type { RateCard } from "./price.ts";
import { bookedAmounts } from "./report.ts";
import { bookedSavings, type RungEffect, savedNet, savingsOf } from "./saving.ts";
import type { Usage } from "./usage.ts";

/** So many nano-dollars a token of input, ten times that for one of output, a tenth of it from the cache, a quarter more to write there. */
function cardOf(model: string, input: number): RateCard {
  const rates = { input: input * 1_000, output: input * 10_000, cacheRead: input * 100, cacheWrite: input * 1_250 };
  return { provider: "p", model, tiers: [{ aboveInputTokens: 0, rates }], source: "test" };
}

const DEAR = cardOf("dear", 1_000);
const PLAIN = cardOf("plain", 400);
const CHEAP = cardOf("cheap", 100);
const CARDS = new Map([DEAR, PLAIN].map((card) => [card.model, card]));
const TERMS = {
  card: CHEAP,
  service: "standard",
  isFree: false,
  priceOf: ({ pricedAs }: { pricedAs: string }) => CARDS.get(pricedAs),
} as const;

const USAGE: Usage = { inputTokens: 1_000, outputTokens: 100 };
/** What it cost at the cheap model. */
const COST = 1_000 * 100 + 100 * 1_000;
const CHARGE: Charge = { usage: USAGE, cost: COST, certainty: "confirmed" };

const use = (model: string, cachedShare = 0): RungEffect => ({
  kind: "use",
  budget: "chat",
  rung: `use less than ${model}`,
  insteadOf: { provider: "p", pricedAs: model },
  cachedShare,
});
const cut = (leftOutTokens: number, cachedShare = 0): RungEffect => ({
  kind: "cut",
  budget: "chat",
  rung: "trim 1000",
  leftOutTokens,
  cachedShare,
});
const savedBy = (effects: readonly RungEffect[], charge: Charge = CHARGE, terms: Parameters<typeof savingsOf>[2] = TERMS) =>
  savingsOf(effects, charge, terms).map(({ saved }) => saved);

test("another model saved what the same tokens cost at the one that was asked for, less what was charged", () => {
  assert.deepEqual(savedBy([use("dear")]), [1_000 * 1_000 + 100 * 10_000 - COST]);
});

test("where one model led to the next, each rung has its step, and together they have all of it", () => {
  const [first = 0, second = 0] = savedBy([use("dear"), use("plain")]);
  assert.equal(second, 1_000 * 400 + 100 * 4_000 - COST);
  assert.equal(first + second, savedBy([use("dear")])[0]);
});

test("what was left out saved its price at the model that was used, and what two rungs saved only together is not counted", () => {
  assert.deepEqual(savedBy([cut(500)]), [500 * 100]);
  assert.deepEqual(savedBy([use("dear"), cut(500)]), [...savedBy([use("dear")]), ...savedBy([cut(500)])]);
  const summarised: RungEffect = { ...cut(20), rung: "summarise 900 with cheap" };
  assert.deepEqual(savedBy([summarised, cut(500)]), [20 * 100, 500 * 100]);
});

test("a rung that touches a call twice, because it went on at another provider, has touched one call", () => {
  assert.deepEqual(savingsOf([cut(500), cut(20)], CHARGE, TERMS), [
    { budget: "chat", rung: "trim 1000", leftOutTokens: 520, saved: 520 * 100 },
  ]);
  const shorten: RungEffect = { kind: "shorten", budget: "chat", rung: "shorten 40" };
  assert.deepEqual(savingsOf([shorten, shorten], CHARGE, TERMS), [{ budget: "chat", rung: "shorten 40" }]);
  assert.deepEqual(savingsOf([{ ...cut(5), budget: "all" }, cut(5)], CHARGE, TERMS).length, 2);
});

test("what would have been read from the cache saved no more than that costs, and a cut that lost the cache made the call dearer", () => {
  assert.deepEqual(savedBy([cut(9_000, 0.5)]), [5_000 * 10 + 5_000 * 100 - 1_000 * 100]);
  assert.deepEqual(savedBy([cut(1_000, 1)]), [2_000 * 10 - 1_000 * 100]);
  const written = { ...USAGE, cacheWriteInputTokens: 1_000, cacheWrite1hInputTokens: 10 };
  assert.deepEqual(savedBy([cut(1_000, 1)], { ...CHARGE, usage: written, cost: 1_000 * 125 + 100 * 1_000 }), [2_000 * 10 - 1_000 * 125]);
  assert.deepEqual(savedBy([use("dear", 1)]), [1_000 * 100 + 100 * 10_000 - COST]);
  const read = { ...USAGE, cacheReadInputTokens: 800 };
  assert.deepEqual(savedBy([use("dear", 0.5)], { ...CHARGE, usage: read, cost: 0 }), [800 * 100 + 200 * 1_000 + 100 * 10_000]);
});

test("a cut can keep a call out of a dearer tier, and a service has its price", () => {
  const tiers = [...CHEAP.tiers, { aboveInputTokens: 1_200, rates: { input: 200_000, output: 1_000_000 } }];
  assert.deepEqual(savedBy([cut(500)], CHARGE, { ...TERMS, card: { ...CHEAP, tiers } }), [1_500 * 200 + 100 * 1_000 - COST]);
  const half = { ...CHEAP, batchPermille: 500 };
  assert.deepEqual(savedBy([cut(500)], { ...CHARGE, cost: COST / 2 }, { ...TERMS, card: half, service: "batch" }), [500 * 50]);
});

test("money that nobody can know is not claimed: of shorter answers, unknown ends, unknown prices and calls that an allowance paid for", () => {
  const shorten: RungEffect = { kind: "shorten", budget: "chat", rung: "shorten 40" };
  assert.deepEqual(savedBy([shorten]), [undefined]);
  assert.deepEqual(savedBy([use("dear"), cut(5)], { ...CHARGE, certainty: "unconfirmed" }), [undefined, undefined]);
  assert.deepEqual(savedBy([use("dear"), cut(5)], { ...CHARGE, cost: 0 }, { ...TERMS, isFree: true }), [undefined, undefined]);
  assert.deepEqual(savedBy([use("unpriced"), use("plain")]), [undefined, 1_000 * 400 + 100 * 4_000 - COST]);
  assert.deepEqual(savedBy([cut(5)], { ...CHARGE, cost: undefined }, { ...TERMS, card: undefined }), [undefined]);
  assert.deepEqual(savedBy([use("dear")], { ...CHARGE, usage: { outputTokens: 100 } }), [undefined]);
});

test("what is more than can be counted is not known, and keeps no call from being charged", () => {
  const absurd = cardOf("absurd", 2 ** 40);
  assert.deepEqual(savedBy([use("absurd"), cut(5)], CHARGE, { ...TERMS, priceOf: () => absurd }), [undefined, 5 * 100]);
  assert.deepEqual(savedBy([cut(2 ** 50)]), [undefined]);
});

test("a summary spends what its call cost, whoever counted it, and touches no call of its own", () => {
  const summary: RungEffect = { kind: "summary", budget: "chat", rung: "summarise 1000 with cheap" };
  const charge: Charge = { ...CHARGE, certainty: "unconfirmed" };
  const savings = savingsOf([summary], charge, TERMS);
  assert.deepEqual(savings, [{ budget: "chat", rung: "summarise 1000 with cheap", spent: COST }]);
  const [row] = bookedSavings(settled({ ...charge, savings }));
  assert.deepEqual([row?.calls, row?.unknownCalls, row?.saved, row?.spent], [0, 0, 0, COST]);
});

const DETAIL = { subject: {}, inputTokens: 1, outputTokens: 1, cost: 1, counted: true, price: "test" };
const BASE = { seq: 1, at: 0, reservation: "call", postings: [], detail: DETAIL };
const settled = (charge: Charge): Entry => ({ ...BASE, kind: "settled", charge });

test("what an entry says rungs saved is what a report says was saved, and a correction takes nothing back that was never there", () => {
  const savings = savingsOf([use("dear"), cut(500), { kind: "shorten", budget: "chat", rung: "shorten 40" }], CHARGE, TERMS);
  for (const kind of ["settled", "corrected"] as const) {
    const entry: Entry = { ...BASE, kind, charge: { ...CHARGE, savings } };
    const rows = bookedSavings(entry);
    assert.deepEqual(
      rows.map(({ calls, unknownCalls }) => [calls, unknownCalls]),
      [
        [1, 0],
        [1, 0],
        [1, 1],
      ],
    );
    assert.equal(bookedAmounts(entry)?.savedCost, savedNet(rows));
  }
});

test("known answers and refusals are those of the budget and rung that gave them, as often as their entry says", () => {
  const known = { rung: "cache 10m (chat (a) 30%)", budget: "chat (a)", from: "req_1", saved: 70 };
  const [answered] = bookedSavings({ ...BASE, kind: "answered", known, times: 3 });
  assert.deepEqual(answered, { budget: "chat (a)", rung: "cache 10m", calls: 3, unknownCalls: 0, leftOutTokens: 0, saved: 70, spent: 0 });
  const refusedBy = { budget: "chat", unit: "tokens", window: "day" } as const;
  const denied = (more: object, reason: "budget_exhausted" | "rate_limited" = "budget_exhausted") =>
    bookedSavings({ ...BASE, kind: "denied", reason, message: "", times: 2, detail: { ...DETAIL, refusedBy, ...more } });
  assert.deepEqual(
    denied({}).map(({ rung, calls, saved }) => [rung, calls, saved]),
    [["refused", 2, 0]],
  );
  assert.deepEqual(
    denied({ readyText: "answer (chat)" }).map(({ rung }) => rung),
    ["answer"],
  );
  assert.deepEqual(denied({}, "rate_limited"), []);
  assert.deepEqual(denied({ refusedBy: undefined }), []);
});
