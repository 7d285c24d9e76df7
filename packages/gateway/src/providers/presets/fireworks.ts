import type { ProviderPreset } from "../provider.ts";

/** Fireworks. */
export const fireworks: ProviderPreset = {
  name: "fireworks",
  baseUrls: { "openai-chat": "https://api.fireworks.ai/inference/v1" },
  authHeader: "authorization",
  env: ["FIREWORKS_API_KEY"],
  models: ["accounts/fireworks/*"],
};
