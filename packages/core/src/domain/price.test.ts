import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PurserError } from "../errors.ts";
import { costOf, discounted, type PriceTier, type RateCard, type Rates, ratesFor, worstRates } from "./price.ts";
import { addUsage, type Usage } from "./usage.ts";

const FLAT: RateCard = card([{ aboveInputTokens: 0, rates: { input: 2_500_000, output: 10_000_000 } }]);
const CLAUDE: RateCard = card([
  {
    aboveInputTokens: 0,
    rates: { input: 3_000_000, cacheRead: 300_000, cacheWrite: 3_750_000, cacheWrite1h: 6_000_000, output: 15_000_000 },
  },
]);

function card(tiers: readonly PriceTier[], more: Partial<RateCard> = {}): RateCard {
  return { provider: "test", model: "model", source: "test", tiers, ...more };
}

test("every kind of input is charged at its own rate, and the rest of the total as text", () => {
  const usage = {
    inputTokens: 10_000,
    cacheReadInputTokens: 4_000,
    cacheWriteInputTokens: 3_000,
    cacheWrite1hInputTokens: 1_000,
    outputTokens: 100,
  };
  // 3,000 text at $3, 4,000 read at $0.30, 2,000 written at $3.75, 1,000 written for an hour at $6, 100 out at $15: $0.0252.
  assert.equal(costOf(CLAUDE, usage), 9_000_000 + 1_200_000 + 7_500_000 + 6_000_000 + 1_500_000);
});

test("a kind without a rate of its own costs what its parent costs", () => {
  const plain = costOf(FLAT, { inputTokens: 1_000, outputTokens: 1_000 });
  const kinds: Usage = {
    inputTokens: 1_000,
    cacheReadInputTokens: 300,
    cacheWriteInputTokens: 200,
    cacheWrite1hInputTokens: 100,
    audioInputTokens: 100,
    imageInputTokens: 100,
    outputTokens: 1_000,
    reasoningOutputTokens: 400,
    audioOutputTokens: 100,
    imageOutputTokens: 100,
  };
  assert.equal(costOf(FLAT, kinds), plain);
  const withoutHour = card([{ aboveInputTokens: 0, rates: { input: 1_000_000, cacheWrite: 1_250_000, output: 1_000_000 } }]);
  assert.equal(costOf(withoutHour, { inputTokens: 8, cacheWriteInputTokens: 8, cacheWrite1hInputTokens: 8 }), 10_000);
});

test("cache written for an hour is charged even where the sum of writes is not reported", () => {
  assert.equal(costOf(CLAUDE, { inputTokens: 1_000, cacheWrite1hInputTokens: 1_000 }), 6_000_000);
});

test("kinds are charged even where the total is not reported", () => {
  assert.equal(costOf(CLAUDE, { cacheReadInputTokens: 1_000 }), 300_000);
  assert.equal(costOf(FLAT, { reasoningOutputTokens: 1_000 }), 10_000_000);
});

test("a token reported under two kinds is charged once, at the dearer of them", () => {
  const audio = card([
    { aboveInputTokens: 0, rates: { input: 2_500_000, cacheRead: 1_250_000, audioInput: 40_000_000, output: 10_000_000 } },
  ]);
  assert.equal(costOf(audio, { inputTokens: 100, cacheReadInputTokens: 80, audioInputTokens: 60 }), 60 * 40_000 + 40 * 1_250);
});

test("what a provider does not bill costs nothing, also where it was read from a cache", () => {
  const usage: Usage = { inputTokens: 507, cacheReadInputTokens: 448, unbilledInputTokens: 495, outputTokens: 10, unbilledOutputTokens: 3 };
  assert.equal(costOf(FLAT, usage), 12 * 2_500 + 7 * 10_000);
  assert.equal(costOf(FLAT, { inputTokens: 507, unbilledInputTokens: 495, outputTokens: 0 }), 12 * 2_500);
});

test("a whole answer costs more once the model has reasoned, where the provider says so", () => {
  const thinking = card([{ aboveInputTokens: 0, rates: { input: 400_000, output: 1_200_000, outputAfterReasoning: 4_000_000 } }]);
  assert.equal(costOf(thinking, { inputTokens: 0, outputTokens: 1_000 }), 1_200_000);
  assert.equal(costOf(thinking, { inputTokens: 0, outputTokens: 1_000, reasoningOutputTokens: 1 }), 4_000_000);
  assert.equal(worstRates(thinking, 0).output, 4_000_000);
});

test("the tier begins with the first token above its bound and holds for the whole call", () => {
  const tiered = card([
    { aboveInputTokens: 0, rates: { input: 50_000, output: 400_000 } },
    { aboveInputTokens: 256_000, rates: { input: 250_000, output: 2_000_000 } },
  ]);
  assert.equal(costOf(tiered, { inputTokens: 256_000, outputTokens: 1_000 }), 12_800_000 + 400_000);
  assert.equal(costOf(tiered, { inputTokens: 256_001, outputTokens: 1_000 }), 64_000_250 + 2_000_000);
  assert.equal(worstRates(tiered, 256_000).output, 400_000);
  assert.equal(worstRates(tiered, 256_001).output, 2_000_000);
  assert.equal(ratesFor(tiered, 0).input, 50_000);
});

test("fees by the call come on top, without the discount of a batch", () => {
  const fees = card(FLAT.tiers, { batchPermille: 500, requestFee: 12_000_000, toolFees: { web_search: 10_000_000 } });
  const usage = { inputTokens: 1_000, outputTokens: 0, toolCalls: { web_search: 3, unknown_tool: 5 } };
  assert.equal(costOf(fees, usage), 2_500_000 + 12_000_000 + 30_000_000);
  assert.equal(costOf(fees, usage, "batch"), 1_250_000 + 12_000_000 + 30_000_000);
});

test("a service tier costs its share of the price, and the full price where its share is not known", () => {
  const served = card(FLAT.tiers, { batchPermille: 500, priorityPermille: 1_700 });
  const usage = { inputTokens: 1_000, outputTokens: 100 };
  assert.equal(costOf(served, usage), 3_500_000);
  assert.equal(costOf(served, usage, "batch"), 1_750_000);
  assert.equal(costOf(served, usage, "priority"), 5_950_000);
  assert.equal(costOf(served, usage, "flex"), 3_500_000);
});

test("a discount is exact for every amount, rounded up", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), fc.integer({ min: 0, max: 1_000 }), (amount, batchPermille) => {
      const exact = (BigInt(amount) * BigInt(batchPermille) + 999n) / 1000n;
      assert.equal(BigInt(discounted(card([], { batchPermille }), amount, "batch")), exact);
    }),
  );
});

test("a card without a tier is refused, never free", () => {
  const empty = card([]);
  const refused = (error: unknown) => error instanceof PurserError && error.code === "price_invalid";
  assert.throws(() => costOf(empty, { inputTokens: 1 }), refused);
  assert.throws(() => worstRates(empty, 1), refused);
});

test("a cost too large to be exact is refused", () => {
  assert.throws(
    () => costOf(FLAT, { inputTokens: 10_000_000_000 }),
    (error: unknown) => error instanceof PurserError && error.code === "amount_too_large",
  );
});

const rate = fc.integer({ min: 0, max: 600_000_000 });
const optionalRate = fc.option(rate, { nil: undefined });
const ratesArbitrary: fc.Arbitrary<Rates> = fc
  .record({
    input: rate,
    cacheRead: optionalRate,
    cacheWrite: optionalRate,
    cacheWrite1h: optionalRate,
    audioInput: optionalRate,
    imageInput: optionalRate,
    output: rate,
    reasoning: optionalRate,
    outputAfterReasoning: optionalRate,
    audioOutput: optionalRate,
    imageOutput: optionalRate,
  })
  .map((rates) => Object.fromEntries(Object.entries(rates).filter(([, value]) => value !== undefined)) as unknown as Rates);

const cardArbitrary: fc.Arbitrary<RateCard> = fc
  .record({
    rates: fc.array(ratesArbitrary, { minLength: 1, maxLength: 3 }),
    bounds: fc.array(fc.integer({ min: 1, max: 400_000 }), { minLength: 2, maxLength: 2 }),
  })
  .map(({ rates, bounds }) => {
    const above = [0, ...bounds.toSorted((a, b) => a - b)];
    return card(
      rates.map((tier, index) => ({ aboveInputTokens: above[index] ?? 0, rates: tier })),
      { toolFees: { web_search: 10_000_000 } },
    );
  });

const tokens = fc.integer({ min: 0, max: 300_000 });
const anyUsage: fc.Arbitrary<Usage> = fc.record({
  inputTokens: tokens,
  cacheReadInputTokens: tokens,
  cacheWriteInputTokens: tokens,
  cacheWrite1hInputTokens: tokens,
  audioInputTokens: tokens,
  imageInputTokens: tokens,
  outputTokens: tokens,
  reasoningOutputTokens: tokens,
  audioOutputTokens: tokens,
  imageOutputTokens: tokens,
  toolCalls: fc.record({ web_search: fc.integer({ min: 0, max: 20 }) }),
});

/** A usage whose kinds are parts of its totals, as the types say. */
const properUsage: fc.Arbitrary<Usage> = fc.tuple(anyUsage, tokens, tokens).map(([usage, text, answer]) => ({
  ...usage,
  cacheWriteInputTokens: (usage.cacheWriteInputTokens ?? 0) + (usage.cacheWrite1hInputTokens ?? 0),
  inputTokens:
    text +
    (usage.cacheReadInputTokens ?? 0) +
    (usage.cacheWriteInputTokens ?? 0) +
    (usage.cacheWrite1hInputTokens ?? 0) +
    (usage.audioInputTokens ?? 0) +
    (usage.imageInputTokens ?? 0),
  outputTokens: answer + (usage.reasoningOutputTokens ?? 0) + (usage.audioOutputTokens ?? 0) + (usage.imageOutputTokens ?? 0),
}));

test("no usage, however its kinds are reported, costs more than the worst rates of its totals and its fees", () => {
  fc.assert(
    fc.property(cardArbitrary, fc.oneof(anyUsage, properUsage), (price, usage) => {
      const worst = worstRates(price, usage.inputTokens ?? 0);
      const most = BigInt(usage.inputTokens ?? 0) * BigInt(worst.input) + BigInt(usage.outputTokens ?? 0) * BigInt(worst.output);
      const fees = BigInt(usage.toolCalls?.web_search ?? 0) * 10_000_000n;
      assert.ok(BigInt(costOf(price, usage)) <= (most + 999n) / 1000n + fees);
    }),
  );
});

test("one more token of any kind never lowers the cost within a tier", () => {
  const parts = [
    ["inputTokens", "inputTokens"],
    ["cacheReadInputTokens", "inputTokens"],
    ["cacheWriteInputTokens", "inputTokens"],
    ["audioInputTokens", "inputTokens"],
    ["imageInputTokens", "inputTokens"],
    ["outputTokens", "outputTokens"],
    ["audioOutputTokens", "outputTokens"],
    ["imageOutputTokens", "outputTokens"],
  ] as const;
  fc.assert(
    fc.property(ratesArbitrary, properUsage, fc.constantFrom(...parts), tokens, (rates, usage, [kind, total], more) => {
      const price = card([{ aboveInputTokens: 0, rates }]);
      const grown = { ...usage, [kind]: (usage[kind] ?? 0) + more };
      if (kind !== total) Object.assign(grown, { [total]: (usage[total] ?? 0) + more });
      assert.ok(costOf(price, grown) >= costOf(price, usage));
    }),
  );
});

test("splitting a call never makes it cheaper through rounding", () => {
  fc.assert(
    fc.property(ratesArbitrary, properUsage, properUsage, (rates, one, other) => {
      // A price that depends on whether a call reasoned is not a matter of rounding.
      const { outputAfterReasoning: _, ...linear } = rates;
      const price = card([{ aboveInputTokens: 0, rates: linear }], { toolFees: { web_search: 10_000_000 } });
      const together = costOf(price, addUsage(one, other));
      const apart = costOf(price, one) + costOf(price, other);
      assert.ok(apart >= together && apart <= together + 1);
    }),
  );
});
