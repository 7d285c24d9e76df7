import type { ProviderPreset } from "../provider.ts";

/** OpenRouter. It names every model as maker/model, and a few of its own openrouter/…. */
export const openrouter: ProviderPreset = {
  name: "openrouter",
  baseUrls: { "openai-chat": "https://openrouter.ai/api/v1", "anthropic-messages": "https://openrouter.ai/api" },
  authHeader: "authorization",
  env: ["OPENROUTER_API_KEY"],
  models: ["openrouter/auto", "*/*"],
};
