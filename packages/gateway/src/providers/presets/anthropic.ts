import type { ProviderPreset } from "../provider.ts";

/** Anthropic. */
export const anthropic: ProviderPreset = {
  name: "anthropic",
  baseUrls: { "anthropic-messages": "https://api.anthropic.com" },
  authHeader: "x-api-key",
  env: ["ANTHROPIC_API_KEY"],
  adminEnv: ["ANTHROPIC_ADMIN_KEY", "ANTHROPIC_ADMIN_API_KEY"],
  models: ["claude-*"],
};
