import type { ProviderPreset } from "../provider.ts";

/** Google Gemini, through its OpenAI-compatible address. */
export const google: ProviderPreset = {
  name: "google",
  baseUrls: { "openai-chat": "https://generativelanguage.googleapis.com/v1beta/openai" },
  authHeader: "authorization",
  env: ["GEMINI_API_KEY", "GOOGLE_API_KEY"],
  models: ["gemini-*", "gemma-*", "models/gemini-*"],
};
