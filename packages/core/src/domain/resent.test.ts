import assert from "node:assert/strict";
import { test } from "node:test";
import { costOf, type RateCard } from "./price.ts";
import { resentOf } from "./resent.ts";

/** $3 for a million tokens of input, a tenth of that from the cache, a quarter more to write there, twice as much for an hour. */
const RATES = { input: 3_000_000, output: 15_000_000, cacheRead: 300_000, cacheWrite: 3_750_000, cacheWrite1h: 6_000_000 };
const CARD: RateCard = { provider: "p", model: "m", tiers: [{ aboveInputTokens: 0, rates: RATES }], batchPermille: 500, source: "test" };
const TERMS = { card: CARD, service: "standard", isFree: false } as const;
const HALF = { weight: 200, resent: 100, unchanged: 50 };

test("what is sent again is shared out by weight, rounded down, and costs what it was charged as", () => {
  const plain = resentOf(HALF, { inputTokens: 1_001, outputTokens: 9 }, TERMS);
  assert.deepEqual(plain, { inputTokens: 500, cacheReadInputTokens: 0, cost: 500 * 3_000, unchangedInputTokens: 250 });
  const cached = resentOf(HALF, { inputTokens: 1_000, cacheReadInputTokens: 400, cacheWriteInputTokens: 600, outputTokens: 9 }, TERMS);
  assert.deepEqual([cached?.cacheReadInputTokens, cached?.cost], [400, 400 * 300 + 100 * 3_750]);
  const hour = { cacheReadInputTokens: 400, cacheWriteInputTokens: 600, cacheWrite1hInputTokens: 40 };
  assert.equal(resentOf(HALF, { inputTokens: 1_000, ...hour }, TERMS)?.cost, 400 * 300 + 40 * 6_000 + 60 * 3_750);
});

test("more is read from the cache than was sent again where others sent it, and that is not counted", () => {
  const read = resentOf(HALF, { inputTokens: 1_000, cacheReadInputTokens: 900 }, TERMS);
  assert.deepEqual([read?.inputTokens, read?.cacheReadInputTokens, read?.cost], [500, 500, 500 * 300]);
});

test("the tier is that of the whole call, and so is the price of its service", () => {
  const tiers = [...CARD.tiers, { aboveInputTokens: 800, rates: { ...RATES, input: 6_000_000 } }];
  const card = { ...CARD, tiers };
  assert.equal(resentOf(HALF, { inputTokens: 1_000 }, { ...TERMS, card })?.cost, 500 * 6_000);
  assert.equal(resentOf(HALF, { inputTokens: 1_000 }, { ...TERMS, service: "batch" })?.cost, 500 * 1_500);
});

test("it never costs more than the call, is nothing where the call is free, and unknown without a price", () => {
  const usage = { inputTokens: 3, unbilledInputTokens: 3, outputTokens: 0 };
  const all = { weight: 1, resent: 1, unchanged: 1 };
  assert.equal(resentOf(all, usage, TERMS)?.cost, costOf(CARD, usage));
  assert.equal(resentOf(all, usage, { ...TERMS, isFree: true })?.cost, 0);
  assert.equal(resentOf(all, usage, { ...TERMS, card: undefined })?.cost, undefined);
  assert.equal(resentOf(all, { outputTokens: 4 }, TERMS), undefined);
});
