import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { defineBudget } from "./budget.ts";
import { amountOf } from "./command.ts";
import type { CounterRef } from "./ledger.ts";
import { limitId, limitWindow } from "./limit.ts";
import { amountsOf, asksOf } from "./quote.ts";
import type { Usage } from "./usage.ts";
import { askOn, TOKEN_KINDS, type WeightsInput, weigh, weighMost, weightsFor, weightsOn, weightsPhrase } from "./weights.ts";
import { bucketNamed, isBucketText, isMovingText } from "./window.ts";

const weight = fc.integer({ min: 0, max: 9_000 }).map((thousandths) => thousandths / 1000);
const inputs: fc.Arbitrary<WeightsInput> = fc
  .dictionary(fc.constantFrom(...TOKEN_KINDS), weight, { noNullPrototype: true })
  .map((input) => input as WeightsInput);
const units = fc.constantFrom("tokens", "input_tokens", "output_tokens");
const parts = fc.nat({ max: 3_000 });
const usages: fc.Arbitrary<Usage> = fc.record(
  {
    inputTokens: parts,
    cacheReadInputTokens: parts,
    cacheWriteInputTokens: parts,
    cacheWrite1hInputTokens: parts,
    audioInputTokens: parts,
    imageInputTokens: parts,
    outputTokens: parts,
    reasoningOutputTokens: parts,
    audioOutputTokens: parts,
    imageOutputTokens: parts,
  },
  { requiredKeys: ["inputTokens", "outputTokens"] },
);

function weighed(input: WeightsInput, usage: Usage, unit: "tokens" | "input_tokens" | "output_tokens" = "tokens"): number {
  const weights = weightsFor(unit, input);
  assert.ok(weights);
  return weigh(weights, unit, { usage, certainty: "confirmed" });
}

function counter(unit: CounterRef["unit"], window: string): CounterRef {
  return { key: "k", budget: "b", subject: "", unit, window, startsAt: 0, resetsAt: undefined };
}

describe("what a usage counts", () => {
  const usage = {
    ...{ inputTokens: 1_000, cacheReadInputTokens: 600, cacheWriteInputTokens: 300, cacheWrite1hInputTokens: 100 },
    ...{ outputTokens: 50, reasoningOutputTokens: 20 },
  };

  for (const [input, counts] of [
    [{ output: 4 }, 1_200],
    [{ cache_read: 0.1, output: 4 }, 660],
    [{ cache_read: 0 }, 450],
    // What is written counts as input does, and what is written for an hour as what is written.
    [{ input: 0.5 }, 550],
    [{ cache_write: 1.25 }, 1_125],
    [{ cache_write: 1.25, cache_write_1h: 2 }, 1_200],
    [{ cache_write_1h: 2 }, 1_150],
    [{ reasoning: 0 }, 1_030],
    [{ output: 4, reasoning: 1 }, 1_140],
  ] as const) {
    test(`with ${JSON.stringify(input)} is ${counts}`, () => assert.equal(weighed(input, usage), counts));
  }

  test("is counted on limits of input and of output alone by what of it they count", () => {
    assert.equal(weighed({ cache_read: 0.1, output: 4 }, usage, "input_tokens"), 460);
    assert.equal(weighed({ cache_read: 0.1, output: 4 }, usage, "output_tokens"), 200);
  });

  test("is rounded up once for the whole call, and what was done besides it is part of that", () => {
    const third = { inputTokens: 1, outputTokens: 1 };
    assert.equal(weighed({ input: 0.333, output: 0.333 }, third), 1);
    assert.equal(weighed({ input: 0.333, output: 0.333 }, { ...third, besides: { inputTokens: 1, outputTokens: 0 } }), 1);
    assert.equal(weighed({ input: 0.333, output: 0.333 }, { ...third, besides: { inputTokens: 2, outputTokens: 0 } }), 2);
    assert.equal(weighed({ input: 0.1 }, { inputTokens: 10, outputTokens: 0 }), 1);
  });

  test("counts a token that was named twice once, by the heavier of the kinds that somebody weighs", () => {
    const audio = { inputTokens: 100, cacheReadInputTokens: 80, audioInputTokens: 60, outputTokens: 0 };
    assert.equal(weighed({ cache_read: 0.1 }, audio), 28);
    assert.equal(weighed({ cache_read: 0.1, audio_input: 3 }, audio), 184);
  });

  test("counts parts whose total is nothing as nothing, and passes over parts that no call can have", () => {
    assert.equal(weighed({ cache_read: 5 }, { cacheReadInputTokens: 10 }), 0);
    assert.equal(weighed({ cache_read: 5 }, { inputTokens: 10, cacheReadInputTokens: -4 }), 10);
    assert.equal(weighed({ cache_read: 5 }, { inputTokens: 10, cacheReadInputTokens: Number.NaN }), 10);
  });
});

test("tokens of a call whose end is unknown count the most that they can, but for those of which the kind is known", () => {
  const weights = weightsFor("tokens", { cache_read: 0.1, cache_write: 1.25, reasoning: 3 });
  assert.ok(weights);
  const unconfirmed = (usage: Usage) => weigh(weights, "tokens", { usage, certainty: "unconfirmed" });
  assert.equal(unconfirmed({ inputTokens: 100, outputTokens: 10 }), 155);
  assert.equal(unconfirmed({ inputTokens: 100, cacheReadInputTokens: 80, outputTokens: 10 }), 63);
  assert.equal(weighMost(weights, "tokens", { inputTokens: 100, outputTokens: 10 }), 155);
});

test("no call within its size can count more than was asked for it, whatever the kinds of its tokens turn out to be", () => {
  fc.assert(
    fc.property(inputs, units, usages, fc.integer({ min: 1, max: 9 }), fc.boolean(), (input, unit, usage, copies, isSure) => {
      const weights = weightsFor(unit, input);
      const cap = Math.ceil((usage.outputTokens ?? 0) / copies);
      const size = { inputTokens: usage.inputTokens ?? 0, outputTokensMost: cap, copies };
      const asks = asksOf(size, undefined, "standard");
      const asked = amountOf(askOn(asks, counter(unit, weights ? `(${weights.text}) day@UTC` : "day@UTC")), cap);
      const certainty = isSure ? "confirmed" : "unconfirmed";
      const used = weights ? weigh(weights, unit, { usage, certainty }) : amountsOf(usage, 0)[unit];
      assert.ok(used <= asked, `${used} of ${asked}`);
    }),
  );
});

test("weights of 1 change nothing, and what is said twice is said once", () => {
  assert.equal(weightsFor("tokens", { input: 1, cache_read: 1, output: 1 }), undefined);
  assert.equal(weightsFor("tokens", {}), undefined);
  assert.equal(weightsFor("requests", { output: 4 }), undefined);
  assert.equal(weightsFor("input_tokens", { output: 4 }), undefined);
  assert.equal(weightsFor("tokens", { output: 4, reasoning: 4, audio_output: 1 })?.text, "output 4, audio_output 1");
  assert.equal(weightsFor("tokens", { input: 0.5, cache_read: 1 })?.text, "input 0.5, cache_read 1");
});

test("a counter counts by what its window says, whatever it is read from", () => {
  fc.assert(
    fc.property(inputs, units, usages, (input, unit, usage) => {
      const weights = weightsFor(unit, input);
      if (!weights) return;
      const read = weightsOn(counter(unit, `(${weights.text}) month@Europe/Berlin rollover`));
      assert.ok(read);
      assert.deepEqual(read.said, weights.said);
      const charge = { usage, certainty: "confirmed" } as const;
      assert.equal(weigh(read, unit, charge), weigh(weights, unit, charge));
    }),
  );
  assert.equal(weightsOn(counter("tokens", "month@Europe/Berlin")), undefined);
});

describe("a budget with weights", () => {
  const WEIGHTS = { cache_read: 0.1, output: 4 };

  test("counts by them on its limits in tokens, those of exceptions too, and on no others", () => {
    const { limits, exceptions } = defineBudget({
      name: "team",
      per: "user",
      limits: ["1M tokens / day", "200k input tokens / hour", "$5 / day", "9 requests"],
      weights: WEIGHTS,
      exceptions: [{ for: { user: "ann" }, limits: ["2M / day"] }],
    });
    assert.deepEqual(limits.map(limitId), [
      "tokens/(cache_read 0.1, output 4) day@UTC",
      "input_tokens/(cache_read 0.1) hour@UTC",
      "nanodollars/day@UTC",
      "requests/lifetime",
    ]);
    assert.deepEqual(
      [...(exceptions[0]?.limits ?? [])].map(([id, { amount, weights }]) => [id, amount, weights?.text]),
      [["tokens/(cache_read 0.1, output 4) day@UTC", 2_000_000, "cache_read 0.1, output 4"]],
    );
  });

  test("keeps the windows that move and those that are passed on what they are", () => {
    const { limits } = defineBudget({
      name: "b",
      limits: ["1k / minute bucket", "9k / rolling 1h", "5k / day rollover 1k"],
      weights: { output: 2 },
    });
    const [bucket = "", rolling = "", day = ""] = limits.map(limitWindow);
    assert.equal(bucket, "(output 2) minute bucket");
    assert.ok(isBucketText(bucket) && isMovingText(bucket) && isMovingText(rolling) && !isMovingText(day));
    assert.deepEqual(bucketNamed(bucket), { kind: "bucket", period: "minute", excess: "refused" });
  });

  for (const [weights, limits, message] of [
    [
      { cached_input: 0.1 },
      ["1k / day"],
      /"cached_input" is no kind of tokens that can weigh\. Kinds are input, cache_read, .*image_output\./,
    ],
    [
      { output: -1 },
      ["1k / day"],
      /the weight of output is -1\. Write a number from 0 to 1000 with at most three decimals, such as 0\.1\./,
    ],
    [{ output: 0.1234 }, ["1k / day"], /the weight of output is 0\.1234\./],
    [{ output: 1_001 }, ["1k / day"], /the weight of output is 1001\./],
    [{ output: Number.NaN }, ["1k / day"], /the weight of output is null\./],
    [{ output: "4" }, ["1k / day"], /the weight of output is "4"\./],
    [[4], ["1k / day"], /weights are a number for each kind of tokens/],
    [{ output: 4 }, ["$5 / day"], /output has a weight, and no limit of the budget counts output tokens\. Give it one, such as 1M tokens/],
    [{ output: 4 }, ["5k input tokens"], /no limit of the budget counts output tokens/],
    [{ input: 0, output: 0 }, ["1k / day"], /its limit in tokens limits nothing: all that it counts weighs 0/],
    [{ input: 0, output: 4 }, ["1k / day", "5k input tokens"], /its limit in input tokens limits nothing/],
    [{ output: 4 }, [], /no limit of the budget counts output tokens/],
  ] as const) {
    test(`${JSON.stringify(weights)} on ${JSON.stringify(limits)} is refused with what to do`, () => {
      assert.throws(() => defineBudget({ name: "b", limits, weights: weights as WeightsInput }), { code: "config_invalid", message });
    });
  }
});

test("weights are said as people say them", () => {
  assert.equal(weightsPhrase({ output: 4, cache_read: 0.1 }), "cache reads a tenth and output 4 times");
  assert.equal(
    weightsPhrase({ input: 0.5, cache_read: 0, cache_write_1h: 1.25, reasoning: 1, output: 2 }),
    "input half, cache reads not at all, cache writes for an hour 1.25 times, output twice and reasoning once",
  );
});
