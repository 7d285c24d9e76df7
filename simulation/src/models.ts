import type { PriceSource, RateCard, Usage } from "../../packages/core/dist/index.js";
import { anthropicMessages } from "../../packages/gateway/dist/dialects/anthropic-messages/index.js";
import type { Dialect } from "../../packages/gateway/dist/dialects/dialect.js";
import { openaiChat } from "../../packages/gateway/dist/dialects/openai-chat/index.js";
import type { Provider } from "../../packages/gateway/dist/providers/provider.js";

/** A model as its provider sells it. Rates that do not come out even show what rounding does. */
export interface Model {
  readonly name: string;
  readonly provider: string;
  readonly dialect: Dialect;
  /** None: nobody knows what it costs, but its provider does. */
  readonly card: RateCard | undefined;
  /** Whether it thinks where nobody sees it. */
  readonly thinks: boolean;
}

function openai(name: string, card: Omit<RateCard, "provider" | "model" | "source"> | undefined, thinks = false): Model {
  return {
    name,
    provider: "openai",
    dialect: openaiChat,
    card: card && { provider: "openai", model: name, source: "test", ...card },
    thinks,
  };
}

export const MODELS: readonly Model[] = [
  openai("gpt-4o-mini", {
    tiers: [{ aboveInputTokens: 0, rates: { input: 150_001, cacheRead: 75_001, output: 600_007 } }],
    toolFees: { web_search: 10_000_000 },
    maxOutputTokens: 1_000,
  }),
  openai(
    "gpt-5",
    {
      tiers: [
        { aboveInputTokens: 0, rates: { input: 1_250_003, cacheRead: 125_000, output: 10_000_019 } },
        { aboveInputTokens: 600, rates: { input: 2_500_003, cacheRead: 250_000, output: 15_000_019 } },
      ],
      maxOutputTokens: 2_000,
    },
    true,
  ),
  {
    name: "claude-sonnet-4-5",
    provider: "anthropic",
    dialect: anthropicMessages,
    card: {
      provider: "anthropic",
      model: "claude-sonnet-4-5",
      source: "test",
      tiers: [{ aboveInputTokens: 0, rates: { input: 3_000_001, cacheRead: 300_001, cacheWrite: 3_750_001, output: 15_000_013 } }],
      requestFee: 1_001,
    },
    thinks: false,
  },
  openai("gpt-4o-nobody-knows", undefined),
];

export const PRICES: PriceSource = {
  card: (provider, model) => MODELS.find((one) => one.provider === provider && one.name === model)?.card,
};

/** Longer than this no provider may be silent. */
export const SILENCE_MOST_MS = 600_000;

export const PROVIDERS: readonly Provider[] = [
  provider("openai", { "openai-chat": "https://openai.invalid/v1" }, ["gpt-*"]),
  provider("anthropic", { "anthropic-messages": "https://anthropic.invalid/v1" }, ["claude-*"]),
];

function provider(name: string, baseUrls: Provider["baseUrls"], models: readonly string[]): Provider {
  return {
    name,
    baseUrls,
    authHeader: "authorization",
    apiKey: "secret",
    models,
    deployments: {},
    headers: {},
    timeoutMs: SILENCE_MOST_MS,
  };
}

/** What a provider charges for a usage, in nano-dollars: reckoned here once more, and not by the product. */
export function billOf({ card }: Model, usage: Usage): number {
  if (!card) return 0;
  const { inputTokens = 0, cacheReadInputTokens: cached = 0, outputTokens = 0, toolCalls = {} } = usage;
  const tier = card.tiers.findLast(({ aboveInputTokens }) => aboveInputTokens === 0 || inputTokens > aboveInputTokens);
  const { input = 0, output = 0, cacheRead = input } = tier?.rates ?? {};
  const picodollars = (inputTokens - cached) * input + cached * cacheRead + outputTokens * output;
  const fees = Object.entries(toolCalls).reduce((sum, [tool, calls]) => sum + calls * (card.toolFees?.[tool] ?? 0), card.requestFee ?? 0);
  return Math.ceil(picodollars / 1000) + fees;
}
