import { at, type ProviderPreset } from "../provider.ts";

/** xAI. */
export const xai: ProviderPreset = {
  name: "xai",
  baseUrls: at("https://api.x.ai/v1", ["openai-chat", "openai-responses"]),
  authHeader: "authorization",
  env: ["XAI_API_KEY"],
  models: ["grok-*"],
};
