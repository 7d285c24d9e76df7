import type { ProviderPreset } from "../provider.ts";

/** Perplexity. */
export const perplexity: ProviderPreset = {
  name: "perplexity",
  baseUrls: { "openai-chat": "https://api.perplexity.ai" },
  authHeader: "authorization",
  env: ["PERPLEXITY_API_KEY"],
  models: ["sonar*"],
};
