import type { ProviderPreset } from "../provider.ts";

/** OpenAI. */
export const openai: ProviderPreset = {
  name: "openai",
  baseUrls: { "openai-chat": "https://api.openai.com/v1" },
  authHeader: "authorization",
  env: ["OPENAI_API_KEY"],
  models: ["gpt-*", "o1*", "o3*", "o4*", "chatgpt-*", "codex-*", "computer-use-*", "text-embedding-*", "omni-moderation-*", "ft:gpt-*"],
};
