import { at, type ProviderPreset } from "../provider.ts";

/** Fireworks. */
export const fireworks: ProviderPreset = {
  name: "fireworks",
  baseUrls: at("https://api.fireworks.ai/inference/v1", ["openai-chat", "openai-responses", "openai-completions", "openai-embeddings"]),
  authHeader: "authorization",
  env: ["FIREWORKS_API_KEY"],
  models: ["accounts/fireworks/*"],
};
