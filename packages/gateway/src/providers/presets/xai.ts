import type { ProviderPreset } from "../provider.ts";

/** xAI. */
export const xai: ProviderPreset = {
  name: "xai",
  baseUrls: { "openai-chat": "https://api.x.ai/v1" },
  authHeader: "authorization",
  env: ["XAI_API_KEY"],
  models: ["grok-*"],
};
