import type { ProviderPreset } from "../provider.ts";

/** Z.ai, the makers of GLM. */
export const zai: ProviderPreset = {
  name: "zai",
  baseUrls: { "openai-chat": "https://api.z.ai/api/paas/v4", "anthropic-messages": "https://api.z.ai/api/anthropic" },
  authHeader: "authorization",
  env: ["ZAI_API_KEY"],
  models: ["glm-*"],
};
