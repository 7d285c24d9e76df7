import { at, type ProviderPreset } from "../provider.ts";

/** OpenRouter. It names every model as maker/model, and a few of its own openrouter/…. */
export const openrouter: ProviderPreset = {
  name: "openrouter",
  baseUrls: {
    ...at("https://openrouter.ai/api/v1", ["openai-chat", "openai-responses", "openai-completions", "openai-embeddings"]),
    "anthropic-messages": "https://openrouter.ai/api",
  },
  authHeader: "authorization",
  env: ["OPENROUTER_API_KEY"],
  models: ["openrouter/auto", "*/*"],
};
