import type { ProviderPreset } from "../provider.ts";

/** DeepSeek. */
export const deepseek: ProviderPreset = {
  name: "deepseek",
  baseUrls: {
    "openai-chat": "https://api.deepseek.com",
    "openai-completions": "https://api.deepseek.com/beta",
    "anthropic-messages": "https://api.deepseek.com/anthropic",
  },
  authHeader: "authorization",
  env: ["DEEPSEEK_API_KEY"],
  models: ["deepseek-*"],
};
