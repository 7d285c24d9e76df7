import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatDollars } from "../domain/money.ts";
import { costOf, type RateCard, worstRates } from "../domain/price.ts";
import { PurserError } from "../errors.ts";
import { createPriceBook, explainCard, meansModel, type PriceOverride } from "./index.ts";

const NOW = Date.parse("2026-11-22T12:00:00Z");
const book = createPriceBook();

function card(provider: string, model: string, at = NOW, prices = book): RateCard {
  const found = prices.card(provider, model, at);
  assert.ok(found, `${provider}/${model} has a price`);
  return found;
}

const invalid = (mention: RegExp) => (error: unknown) =>
  error instanceof PurserError && error.code === "price_invalid" && mention.test(error.message);

test("the sessions that blow a budget cost what GPT-4o charges, to the nano-dollar", () => {
  const gpt4o = card("openai", "gpt-4o");
  const sessions = [
    ["a simple question", 100, 150, "$0.00175"],
    ["a support ticket with its context", 2_000, 500, "$0.01"],
    ["the analysis of a document", 8_000, 2_000, "$0.04"],
    ["a pasted PDF of 50 pages", 32_000, 4_000, "$0.12"],
    ["an agent in a loop", 50_000, 10_000, "$0.225"],
  ] as const;
  for (const [what, inputTokens, outputTokens, cost] of sessions) {
    assert.equal(formatDollars(costOf(gpt4o, { inputTokens, outputTokens })), cost, what);
  }
});

test("Qwen-Flash costs five times as much from the first token above 256,000", () => {
  const flash = card("qwen", "qwen-flash");
  assert.equal(costOf(flash, { inputTokens: 1_000, outputTokens: 1_000 }), 50_000 + 400_000);
  assert.equal(costOf(flash, { inputTokens: 256_000, outputTokens: 1_000 }), 12_800_000 + 400_000);
  assert.equal(costOf(flash, { inputTokens: 256_001, outputTokens: 1_000 }), 64_000_250 + 2_000_000);
  assert.equal(costOf(flash, { inputTokens: 1_000_000, outputTokens: 10_000 }), 250_000_000 + 20_000_000);
  assert.equal(card("dashscope", "qwen-flash").provider, "dashscope");
  assert.deepEqual(card("alibaba", "qwen-flash").tiers, flash.tiers);
});

test("a Qwen answer that was reasoned is charged as one, in every tier", () => {
  const plus = card("qwen", "qwen-plus");
  assert.equal(costOf(plus, { inputTokens: 0, outputTokens: 1_000_000 }), 1_200_000_000);
  assert.equal(costOf(plus, { inputTokens: 0, outputTokens: 1_000_000, reasoningOutputTokens: 900_000 }), 4_000_000_000);
  assert.equal(costOf(plus, { inputTokens: 300_000, outputTokens: 1_000, reasoningOutputTokens: 1 }), 360_000_000 + 12_000_000);
});

test("a long context is charged at its own tier, for the whole call", () => {
  const gemini = card("google", "gemini-2.5-pro");
  assert.equal(costOf(gemini, { inputTokens: 200_000, outputTokens: 10_000 }), 250_000_000 + 100_000_000);
  assert.equal(costOf(gemini, { inputTokens: 300_000, outputTokens: 10_000 }), 750_000_000 + 150_000_000);
  const gpt = card("openai", "gpt-5.4");
  assert.equal(costOf(gpt, { inputTokens: 100_000, outputTokens: 10_000 }), 250_000_000 + 150_000_000);
  assert.equal(costOf(gpt, { inputTokens: 300_000, outputTokens: 10_000 }), 1_500_000_000 + 225_000_000);
});

test("Claude's cache is charged by what was read, and by how long what was written lives", () => {
  const haiku = card("anthropic", "claude-haiku-4-5");
  assert.equal(costOf(haiku, { inputTokens: 1_000_000, cacheReadInputTokens: 1_000_000 }), 100_000_000);
  assert.equal(costOf(haiku, { inputTokens: 1_000_000, cacheWriteInputTokens: 1_000_000 }), 1_250_000_000);
  assert.equal(
    costOf(haiku, { inputTokens: 1_000_000, cacheWriteInputTokens: 1_000_000, cacheWrite1hInputTokens: 1_000_000 }),
    2_000_000_000,
  );
  // The catalogue of the clouds lacks the hour, so it is double the input there too.
  const bedrock = card("bedrock", "global.anthropic.claude-haiku-4-5-20251001-v1:0").tiers[0]?.rates;
  assert.equal(bedrock?.cacheWrite1h, 2 * (bedrock?.input ?? 0));
});

test("batches of the large providers cost half", () => {
  for (const [provider, model] of [
    ["openai", "gpt-4o-mini"],
    ["anthropic", "claude-sonnet-4-5"],
    ["google", "gemini-2.5-flash"],
  ] as const) {
    const usage = { inputTokens: 10_000, outputTokens: 1_000 };
    assert.equal(costOf(card(provider, model), usage, "batch"), costOf(card(provider, model), usage) / 2);
  }
});

test("a call that jumps the queue is held and charged at what that costs", () => {
  const usage = { inputTokens: 1_000_000, outputTokens: 0 };
  assert.equal(costOf(card("openai", "gpt-4o"), usage, "priority"), 4_250_000_000);
  assert.equal(costOf(card("openai", "gpt-5.5"), { ...usage, inputTokens: 100_000 }, "priority"), 1_250_000_000);
  assert.equal(costOf(card("openai", "gpt-5"), usage, "priority"), 2_500_000_000);
});

test("a context beyond 128,000 tokens costs double at xAI", () => {
  for (const model of ["grok-4", "grok-4-fast-reasoning", "grok-4-1-fast-non-reasoning-latest"]) {
    const cost = (inputTokens: number) => costOf(card("xai", model), { inputTokens, outputTokens: 1_000 });
    const at = card("xai", model).tiers.map(({ aboveInputTokens }) => aboveInputTokens);
    assert.deepEqual(at, [0, 128_000], model);
    assert.ok(cost(128_001) > 1.99 * cost(128_000), model);
  }
});

test("a provider's own tools are charged by the use", () => {
  const fees = (provider: string, model: string) => card(provider, model).toolFees;
  assert.equal(fees("openai", "gpt-5")?.web_search, 10_000_000);
  assert.equal(fees("openai", "gpt-5")?.file_search, 2_500_000);
  assert.equal(fees("openai", "gpt-4o")?.web_search_preview, 25_000_000);
  assert.equal(fees("anthropic", "claude-sonnet-4-5")?.web_search, 10_000_000);
  assert.equal(fees("google", "gemini-2.5-flash")?.web_search, 35_000_000);
  assert.equal(costOf(card("perplexity", "sonar"), { inputTokens: 0, outputTokens: 0 }), 12_000_000);
});

test("a price change holds from its day on, and not before", () => {
  const usage = { inputTokens: 1_000_000, outputTokens: 1_000_000 };
  const o3 = (time: string) => costOf(card("openai", "o3", Date.parse(time)), usage);
  assert.equal(o3("2025-06-09T23:59:59.999Z"), 50_000_000_000);
  assert.equal(o3("2025-06-10T00:00:00.000Z"), 10_000_000_000);
  assert.equal(card("openai", "o3").since, "2025-06-10");
});

test("where prices change with the hour, the dearest hour of the day counts", () => {
  const rates = card("deepseek", "deepseek-v4-pro").tiers[0]?.rates;
  assert.equal(rates?.input, 1_320_000);
  assert.equal(rates?.output, 3_960_000);
});

test("an unknown model has no price, however much its name begins like a known one", () => {
  for (const [provider, model] of [
    ["openai", "gpt-99"],
    ["openai", "gpt-4o-ultra"],
    ["openai", "gpt-4o-2027-01-01"],
    ["openai", ""],
    ["anthropic", "claude-opus-4-6-fast"],
    ["anthropic", "claude-opus-9"],
    ["anthropic", "claude"],
    ["google", "gemini-2.5-pro-max"],
    ["groq", "gpt-4o"],
    ["openrouter", "openai/gpt-4o:online"],
    ["qwen", "qwen-flash-turbo"],
    ["fireworks", "qwen3-max"],
    ["constructor", "toString"],
    ["openai", "__proto__"],
    ["acme", "llama-4"],
    ["acme", "gpt-oss-120b"],
    ["acme", "deepseek-r1"],
    ["acme", "groq/gpt-4o"],
  ] as const) {
    assert.equal(book.card(provider, model, NOW), undefined, `${provider}/${model}`);
  }
});

test("a model is found under the names that its providers give it", () => {
  const same = (provider: string, model: string, otherProvider: string, other: string) =>
    assert.deepEqual(card(provider, model).tiers, card(otherProvider, other).tiers, `${provider}/${model}`);
  same("openai", "gpt-4o-2024-08-06", "openai", "gpt-4o");
  same("openai", "openai/gpt-4o", "openai", "gpt-4o");
  same("openai", "GPT-4o", "openai", "gpt-4o");
  same("azure", "gpt-4o", "openai", "gpt-4o");
  same("anthropic", "claude-sonnet-4-5-20250929", "anthropic", "claude-sonnet-4-5");
  same("google", "models/gemini-2.5-pro", "google", "gemini-2.5-pro");
  same("vertex", "publishers/google/models/gemini-2.5-pro", "google", "gemini-2.5-pro");
  same("vertex", "claude-sonnet-4-5@20250929", "vertex", "claude-sonnet-4-5");
  same("gemini", "gemini-2.5-flash", "google", "gemini-2.5-flash");
  same("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "bedrock", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0");
  same(
    "bedrock",
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "bedrock",
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
  );
  assert.notDeepEqual(card("openai", "gpt-4o-2024-05-13").tiers, card("openai", "gpt-4o").tiers);
});

test("a server of one's own is priced as the maker of the model does, and says so", () => {
  const proxy = card("acme", "gpt-4o");
  assert.deepEqual(proxy.tiers, card("openai", "gpt-4o").tiers);
  assert.match(proxy.source, /as openai\/gpt-4o/);
  assert.equal(proxy.provider, "acme");
  assert.deepEqual(card("acme", "anthropic/claude-sonnet-4-5").tiers, card("anthropic", "claude-sonnet-4-5").tiers);
});

test("a model costs nothing only where somebody says so", () => {
  const own = createPriceBook({ ownMachine: ["ollama"] });
  assert.deepEqual(own.card("ollama", "llama3.1:8b", NOW)?.tiers[0]?.rates, { input: 0, output: 0 });
  for (const provider of ["ollama", "vllm", "local"]) assert.equal(book.card(provider, "llama3.1:8b", NOW), undefined, provider);
  assert.equal(costOf(card("openai", "omni-moderation-latest"), { inputTokens: 5_000 }), 0);
  for (const provider of ["openai", "anthropic", "google", "qwen", "deepseek", "mistral", "groq", "xai", "together", "bedrock", "azure"]) {
    for (const model of book.models(provider)) {
      const found = book.card(provider, model, NOW);
      if (!found || found.source.includes("Moderation")) continue;
      const { audio_second: heard = 0, character: spoken = 0 } = found.toolFees ?? {};
      for (const { rates } of found.tiers) assert.ok(rates.input > 0 || heard > 0 || spoken > 0, `${provider}/${model}`);
    }
  }
});

test("every rate of every card is a whole number, and every tier is above the last", () => {
  for (const provider of [
    "openai",
    "anthropic",
    "google",
    "qwen",
    "openrouter",
    "bedrock",
    "vertex",
    "azure",
    "xai",
    "moonshot",
    "zai",
    "cohere",
  ]) {
    const models = book.models(provider);
    assert.ok(models.length > 0, provider);
    for (const model of models) {
      const found = card(provider, model);
      found.tiers.forEach(({ aboveInputTokens, rates }, index) => {
        assert.ok(index === 0 ? aboveInputTokens === 0 : aboveInputTokens > (found.tiers[index - 1]?.aboveInputTokens ?? 0), model);
        for (const rate of Object.values(rates)) assert.ok(Number.isSafeInteger(rate) && rate >= 0, `${provider}/${model}`);
      });
    }
  }
});

test("the models that people use say how much they can answer", () => {
  const most = (provider: string, model: string) => card(provider, model).maxOutputTokens;
  assert.equal(most("openai", "gpt-4o"), 16_384);
  assert.equal(most("openai", "gpt-4o-mini"), 16_384);
  assert.equal(most("openai", "gpt-4.1"), 32_768);
  assert.equal(most("openai", "gpt-5"), 128_000);
  assert.equal(most("openai", "gpt-5-chat-latest"), 16_384);
  assert.equal(most("openai", "o3"), 100_000);
  assert.equal(most("openai", "o4-mini"), 100_000);
  assert.equal(most("anthropic", "claude-sonnet-4-5"), 64_000);
  assert.equal(most("anthropic", "claude-3-5-haiku-20241022"), 8_192);
  assert.equal(most("google", "gemini-2.5-pro"), 65_536);
  assert.equal(most("qwen", "qwen-flash"), 32_768);
  assert.equal(most("deepseek", "deepseek-chat"), 8_192);
});

test("a price of one's own wins, and leaves the rest to the catalogue", () => {
  const own = createPriceBook({ overrides: [{ provider: "openai", model: "gpt-4o", input: 2 }], source: "purser.yaml" });
  const gpt4o = card("openai", "gpt-4o", NOW, own);
  assert.deepEqual(gpt4o.tiers, [{ aboveInputTokens: 0, rates: { input: 2_000_000, cacheRead: 1_250_000, output: 10_000_000 } }]);
  assert.match(gpt4o.source, /^purser\.yaml, over genai-prices/);
  assert.equal(gpt4o.maxOutputTokens, 16_384);
  assert.deepEqual(card("openai", "gpt-4o-mini", NOW, own).tiers, card("openai", "gpt-4o-mini").tiers);
});

test("a flat price of one's own holds in every tier, and tiers of one's own replace the catalogue's", () => {
  const flat = createPriceBook({ overrides: [{ model: "gemini-2.5-pro", input: "1.00" }] });
  assert.equal(costOf(card("google", "gemini-2.5-pro", NOW, flat), { inputTokens: 300_000 }), 300_000_000);
  const tiered = createPriceBook({ overrides: [{ model: "gemini-2.5-pro", tiers: [{ above: 100_000, output: 30 }] }] });
  const rates = card("google", "gemini-2.5-pro", NOW, tiered).tiers;
  assert.deepEqual(
    rates.map(({ aboveInputTokens, rates: { input, output } }) => [aboveInputTokens, input, output]),
    [
      [0, 1_250_000, 10_000_000],
      [100_000, 1_250_000, 30_000_000],
    ],
  );
});

test("a new price for output is the price of reasoning too", () => {
  const own = createPriceBook({ overrides: [{ provider: "qwen", model: "qwen-plus", output: 20 }] });
  assert.equal(
    costOf(card("qwen", "qwen-plus", NOW, own), { inputTokens: 0, outputTokens: 1_000, reasoningOutputTokens: 500 }),
    20_000_000,
  );
});

test("the more exact price wins: a name over a pattern, a provider over none, and the other fields still add up", () => {
  const overrides: readonly PriceOverride[] = [
    { provider: "openai", model: "gpt-4o", input: 3 },
    { model: "gpt-*", input: 9, tools: { web_search: "0.02" } },
    { model: "gpt-4o*", input: 5 },
    { model: "gpt-4o", input: 4 },
  ];
  for (const shuffled of [overrides, overrides.toReversed()]) {
    const own = createPriceBook({ overrides: shuffled });
    assert.equal(card("openai", "gpt-4o", NOW, own).tiers[0]?.rates.input, 3_000_000);
    assert.equal(card("azure", "gpt-4o", NOW, own).tiers[0]?.rates.input, 4_000_000);
    assert.equal(card("openai", "gpt-4o-mini", NOW, own).tiers[0]?.rates.input, 5_000_000);
    assert.equal(card("openai", "gpt-5", NOW, own).tiers[0]?.rates.input, 9_000_000);
    assert.equal(card("openai", "gpt-4o", NOW, own).toolFees?.web_search, 20_000_000);
  }
});

test("a price with a first day holds from that day on", () => {
  const overrides: readonly PriceOverride[] = [
    { model: "gpt-4o", input: 1, from: "2026-12-01" },
    { model: "gpt-4o", input: 2 },
  ];
  const own = createPriceBook({ overrides });
  assert.equal(card("openai", "gpt-4o", Date.parse("2026-11-30T23:59:59Z"), own).tiers[0]?.rates.input, 2_000_000);
  assert.equal(card("openai", "gpt-4o", Date.parse("2026-12-01T00:00:00Z"), own).tiers[0]?.rates.input, 1_000_000);
});

test("a model that the catalogue does not know needs both prices, or the word free", () => {
  for (const incomplete of [{ input: 1 }, { output: 1 }, { tiers: [{ above: 1_000, input: 1, output: 1 }] }]) {
    assert.throws(
      () => createPriceBook({ overrides: [{ provider: "acme", model: "own-model", ...incomplete }] }),
      invalid(/own-model.*input and output/),
    );
    assert.throws(() => createPriceBook({ overrides: [{ model: "own-model", ...incomplete }] }), invalid(/own-model/));
  }
  const own = createPriceBook({
    overrides: [
      { provider: "acme", model: "own-model", input: 1, output: 0 },
      { provider: "acme", model: "free-*", free: true },
      { provider: "acme", model: "half-*", input: 1 },
    ],
  });
  assert.deepEqual(card("acme", "own-model", NOW, own).tiers[0]?.rates, { input: 1_000_000, output: 0 });
  assert.deepEqual(card("acme", "free-model", NOW, own).tiers[0]?.rates, { input: 0, output: 0 });
  assert.equal(own.card("acme", "half-model", NOW), undefined);
});

test("a model that is said to be free costs nothing at all", () => {
  const own = createPriceBook({ overrides: [{ model: "sonar", free: true }] });
  const usage = { inputTokens: 1_000, outputTokens: 1_000, toolCalls: { web_search: 3 } };
  assert.equal(costOf(card("perplexity", "sonar", NOW, own), usage), 0);
});

test("the price for models without one is used for them alone", () => {
  const own = createPriceBook({ fallback: { model: "*", input: 10, output: 30 }, source: "purser.yaml" });
  assert.deepEqual(card("acme", "anything", NOW, own).tiers[0]?.rates, { input: 10_000_000, output: 30_000_000 });
  assert.match(card("acme", "anything", NOW, own).source, /without a price/);
  assert.deepEqual(card("openai", "gpt-4o", NOW, own).tiers, card("openai", "gpt-4o").tiers);
  assert.throws(() => createPriceBook({ fallback: { model: "*", input: 10 } }), invalid(/both input and output/));
});

test("a price that cannot be kept exactly, or contradicts itself, is refused by its name", () => {
  const wrong: readonly (readonly [PriceOverride, RegExp])[] = [
    [{ model: "gpt-4o", input: "0.0000001" }, /gpt-4o: input.*6 decimal places/],
    [{ model: "gpt-4o", input: -1 }, /gpt-4o: input/],
    [{ model: "gpt-4o", cache_read: "cheap" }, /gpt-4o: cache_read/],
    [{ model: "gpt-4o", tools: { web_search: "0.0000000001" } }, /web_search/],
    [{ model: "gpt-4o", free: true, input: 1 }, /free and has a price/],
    [{ model: "gpt-4o", batch: -0.5 }, /batch/],
    [{ model: "gpt-4o", batch: 0.33333 }, /batch/],
    [{ model: "gpt-4o", from: "2026-02-30" }, /from/],
    [{ model: "gpt-4o", from: "tomorrow" }, /from/],
    [{ model: "gpt-4o", tiers: [{ above: 1.5, input: 1 }] }, /above/],
    [{ model: "gpt-4o", max_output: -1 }, /max_output/],
    [{ model: "" }, /no model/],
  ];
  for (const [override, mention] of wrong) assert.throws(() => createPriceBook({ overrides: [override] }), invalid(mention));
});

test("names that callers make up do not fill the memory with cards, and the same card comes back", () => {
  const own = createPriceBook();
  const first = own.card("openai", "gpt-4o", NOW);
  assert.equal(own.card("openai", "gpt-4o", NOW + 1_000), first);
  assert.equal(own.card("openai", "-".repeat(1_000_000), NOW), undefined);
  for (let index = 0; index < 5_000; index++) own.card("openai", `made-up-${index}`, NOW);
  assert.deepEqual(own.card("openai", "gpt-4o", NOW), first);
});

test("a card is explained kind by kind, with tiers, discounts and fees", () => {
  const rows = explainCard(card("qwen", "qwen-flash"));
  assert.deepEqual(rows[0], { what: "input", price: "$0.05 per million tokens" });
  assert.ok(rows.some((row) => row.what === "output" && row.aboveInputTokens === 256_000 && row.price === "$2.00 per million tokens"));
  assert.ok(rows.some((row) => row.what === "batch" && row.price === "50 % of the price"));
  assert.ok(explainCard(card("openai", "gpt-4o")).some((row) => row.what === "file search" && row.price === "$0.0025 per use"));
});

test("no call to a listed model costs more than what is held for it", () => {
  const listed = ["openai", "anthropic", "google", "qwen", "deepseek", "xai"].flatMap((provider) =>
    book.models(provider).map((model) => card(provider, model)),
  );
  const part = fc.integer({ min: 0, max: 200_000 });
  fc.assert(
    fc.property(fc.constantFrom(...listed), part, part, part, part, part, (price, text, read, written, answer, reasoned) => {
      const usage = {
        inputTokens: text + read + written,
        cacheReadInputTokens: read,
        cacheWriteInputTokens: written,
        cacheWrite1hInputTokens: Math.floor(written / 2),
        outputTokens: answer + reasoned,
        reasoningOutputTokens: reasoned,
      };
      const worst = worstRates(price, usage.inputTokens);
      const held = Math.ceil((usage.inputTokens * worst.input + usage.outputTokens * worst.output) / 1_000) + (price.requestFee ?? 0);
      assert.ok(costOf(price, usage) <= held);
    }),
  );
});

test("says what a model is known not to take, as far as the sources or the configuration do", () => {
  assert.deepEqual(card("openai", "gpt-3.5-turbo").lacks, ["images"]);
  assert.equal(card("openai", "gpt-4o-mini").lacks, undefined);
  const overrides: readonly PriceOverride[] = [
    { model: "gpt-3.5-turbo", lacks: [] },
    { model: "own-*", free: true, lacks: ["tools"] },
  ];
  const own = createPriceBook({ overrides });
  assert.deepEqual([card("openai", "gpt-3.5-turbo", NOW, own).lacks, card("local", "own-model", NOW, own).lacks], [[], ["tools"]]);
});

test("a provider's own name is the same model with a maker, a region, an edition or other punctuation, and no other one", () => {
  const same: readonly (readonly [provider: string, ownName: string, model: string])[] = [
    ["openrouter", "openai/gpt-4o", "gpt-4o"],
    ["openrouter", "anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"],
    ["bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"],
    ["vertex", "publishers/anthropic/models/claude-sonnet-4-5@20250929", "claude-sonnet-4-5"],
    ["anywhere", "GPT-4o-2024-08-06", "gpt-4o"],
  ];
  for (const [provider, ownName, model] of same) assert.equal(meansModel(provider, ownName, model), true, ownName);
  for (const other of ["openai/gpt-4o-mini", "openai/gpt-4", "anthropic/gpt-4o-fast", "claude-sonnet-4-5", ""])
    assert.equal(meansModel("openrouter", other, "gpt-4o"), false, other);
});
