import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { amountOf } from "./command.ts";
import { costOf, type RateCard, type Rates } from "./price.ts";
import { amountsOf, asksOf } from "./quote.ts";

const rate = fc.integer({ min: 0, max: 600_000_000 });
const rates: fc.Arbitrary<Rates> = fc.record(
  { input: rate, output: rate, cacheRead: rate, cacheWrite: rate, cacheWrite1h: rate, reasoning: rate, outputAfterReasoning: rate },
  { requiredKeys: ["input", "output"] },
);
const card: fc.Arbitrary<RateCard> = fc
  .record({
    first: rates,
    second: rates,
    above: fc.integer({ min: 1, max: 200_000 }),
    batchPermille: fc.integer({ min: 0, max: 2_000 }),
    fee: fc.nat({ max: 99_999 }),
  })
  .map(({ first, second, above, batchPermille, fee }) => ({
    provider: "p",
    model: "m",
    tiers: [
      { aboveInputTokens: 0, rates: first },
      { aboveInputTokens: above, rates: second },
    ],
    batchPermille,
    toolFees: { search: fee },
    source: "test",
  }));

test("no call within its size can cost or use more than was asked for it, to the nano-dollar, up to the largest calls", () => {
  const tokens = fc.oneof(fc.nat({ max: 300_000 }), fc.nat({ max: 20_000_000 }));
  fc.assert(
    fc.property(
      card,
      tokens,
      tokens,
      fc.integer({ min: 1, max: 128 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.nat({ max: 9 }),
      (card, inputTokens, cap, copies, part, uses) => {
        const asks = asksOf({ inputTokens, outputTokensMost: cap, copies, toolCalls: { search: uses } }, card, "batch");
        const used = { inputTokens: Math.floor(inputTokens * part), outputTokens: cap * copies };
        const usage = {
          ...used,
          cacheReadInputTokens: Math.floor(used.inputTokens * part),
          cacheWrite1hInputTokens: Math.floor(used.inputTokens * (1 - part)),
          reasoningOutputTokens: Math.floor(used.outputTokens * part),
          toolCalls: { search: uses },
        };
        let cost: number;
        try {
          cost = costOf(card, usage, "batch");
        } catch {
          return; // Beyond what one settlement can price.
        }
        const amounts = amountsOf(usage, cost);
        for (const unit of ["nanodollars", "tokens", "input_tokens", "output_tokens", "requests"] as const) {
          assert.ok(amounts[unit] <= amountOf(asks[unit], cap), `${unit}: used ${amounts[unit]}, asked ${amountOf(asks[unit], cap)}`);
        }
      },
    ),
    { numRuns: 2_000 },
  );
});

test("a call above 9,007 dollars is asked for in full", () => {
  const dear: RateCard = {
    provider: "p",
    model: "m",
    tiers: [{ aboveInputTokens: 0, rates: { input: 600_000_001, output: 600_000_001 } }],
    source: "test",
  };
  const asks = asksOf({ inputTokens: 1_000_000, outputTokensMost: 100_000, copies: 200 }, dear, "standard");
  assert.equal(amountOf(asks.nanodollars, 100_000), 21_000_000 * 600_001);
});

test("a call of a batch asks for nothing of what is limited at once, and for all else at its price", () => {
  const tiers = [{ aboveInputTokens: 0, rates: { input: 3_000_000, output: 15_000_000 } }];
  const card: RateCard = { provider: "p", model: "m", source: "test", batchPermille: 500, tiers };
  const size = { inputTokens: 10, outputTokensMost: 5, copies: 1 };
  const [alone, batched] = [asksOf(size, card, "standard"), asksOf(size, card, "batch")];
  assert.deepEqual([amountOf(batched.concurrent, 5), amountOf(batched.requests, 5), amountOf(batched.tokens, 5)], [0, 1, 15]);
  assert.equal(amountOf(batched.nanodollars, 5), Math.ceil(amountOf(alone.nanodollars, 5) / 2));
});

test("a call without a card, or for free, asks for no money, and for all else", () => {
  const asks = asksOf({ inputTokens: 10, outputTokensMost: 5, copies: 2 }, undefined, "standard");
  const amounts = Object.entries(asks).map(([unit, ask]) => [unit, amountOf(ask, 5)]);
  assert.deepEqual(Object.fromEntries(amounts), {
    nanodollars: 0,
    tokens: 20,
    input_tokens: 10,
    output_tokens: 10,
    requests: 1,
    concurrent: 1,
  });
});
