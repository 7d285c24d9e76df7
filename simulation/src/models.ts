import type { PriceSource, RateCard, Usage } from "../../packages/core/dist/index.js";
import { anthropicMessages } from "../../packages/gateway/dist/dialects/anthropic-messages/index.js";
import type { Dialect } from "../../packages/gateway/dist/dialects/dialect.js";
import { openaiChat } from "../../packages/gateway/dist/dialects/openai-chat/index.js";
import type { Provider } from "../../packages/gateway/dist/providers/provider.js";

/** A model as its provider sells it. Rates that do not come out even show what rounding does. */
export interface Model {
  /** As budgets know it. */
  readonly name: string;
  /** As its provider and its prices know it, where that is another name. */
  readonly ownName?: string;
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

/** What other providers sell of the same, at prices of their own. Calls come to them only where routes name them. */
const ELSEWHERE: readonly Model[] = [
  ...MODELS.filter(({ provider }) => provider === "openai").map((model) => soldBy("mirror", `openai/${model.name}`, model, 1.3)),
  ...MODELS.filter(({ provider }) => provider === "anthropic").map((model) => soldBy("backup", model.name, model, 0.9)),
  soldBy("backup", "gpt-4o-mini", MODELS[0] as Model, 2.1),
  // Nobody knows what this one costs there.
  { ...(MODELS[1] as Model), provider: "backup", card: undefined },
  { ...(MODELS[3] as Model), provider: "backup" },
];

const ALL = [...MODELS, ...ELSEWHERE];

/** A model at a provider, by the name that budgets know, or by the one that its provider knows. */
export function modelAt(provider: string, name: string): Model | undefined {
  return ALL.find((one) => one.provider === provider && (one.name === name || one.ownName === name));
}

export const PRICES: PriceSource = {
  card: (provider, model) => ALL.find((one) => one.provider === provider && (one.ownName ?? one.name) === model)?.card,
};

/** The same model at another provider, so much dearer. */
function soldBy(provider: string, ownName: string, model: Model, times: number): Model {
  const { card } = model;
  const named = ownName === model.name ? { ...model, provider } : { ...model, provider, ownName };
  if (!card) return named;
  const dearer = (rate: number) => Math.ceil(rate * times);
  const tiers = card.tiers.map(({ aboveInputTokens, rates: { input, output, cacheRead, cacheWrite } }) => ({
    aboveInputTokens,
    rates: {
      input: dearer(input),
      output: dearer(output),
      ...(cacheRead !== undefined && { cacheRead: dearer(cacheRead) }),
      ...(cacheWrite !== undefined && { cacheWrite: dearer(cacheWrite) }),
    },
  }));
  return { ...named, card: { ...card, provider, model: ownName, tiers } };
}

/** Longer than this no provider may be silent. */
export const SILENCE_MOST_MS = 600_000;

export const PROVIDERS: readonly Provider[] = [
  provider("openai", { "openai-chat": "https://openai.invalid/v1" }, ["gpt-*"]),
  provider("anthropic", { "anthropic-messages": "https://anthropic.invalid/v1" }, ["claude-*"]),
];

/** Those that only routes lead to. The last one speaks both formats. */
export const OTHER_PROVIDERS: readonly Provider[] = [
  provider("mirror", { "openai-chat": "https://mirror.invalid/v1" }, []),
  provider("backup", { "openai-chat": "https://backup.invalid/v1", "anthropic-messages": "https://backup.invalid/v1" }, []),
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
