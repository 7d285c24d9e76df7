import { at, type ProviderPreset } from "../provider.ts";

/** Google Gemini, through its OpenAI-compatible address. */
export const google: ProviderPreset = {
  name: "google",
  baseUrls: at("https://generativelanguage.googleapis.com/v1beta/openai", ["openai-chat", "openai-embeddings"]),
  authHeader: "authorization",
  env: ["GEMINI_API_KEY", "GOOGLE_API_KEY"],
  models: ["gemini-*", "gemma-*", "models/gemini-*"],
};
