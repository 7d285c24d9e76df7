import type { ProviderPreset } from "../provider.ts";

/** Moonshot, the makers of Kimi. Keys of the Chinese site need base_url: https://api.moonshot.cn/v1. */
export const moonshot: ProviderPreset = {
  name: "moonshot",
  baseUrls: { "openai-chat": "https://api.moonshot.ai/v1", "anthropic-messages": "https://api.moonshot.ai/anthropic" },
  authHeader: "authorization",
  env: ["MOONSHOT_API_KEY"],
  models: ["kimi-*", "moonshot-*"],
};
