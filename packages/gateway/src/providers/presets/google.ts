import { at, FAMILIES, type ProviderPreset } from "../provider.ts";

/** Google Gemini, in its own format and through its OpenAI-compatible address. Each wants the key in another header. */
export const google: ProviderPreset = {
  name: "google",
  baseUrls: {
    ...at("https://generativelanguage.googleapis.com", FAMILIES.gemini),
    ...at("https://generativelanguage.googleapis.com/v1beta/openai", ["openai-chat", "openai-embeddings"]),
  },
  authHeader: undefined,
  env: ["GEMINI_API_KEY", "GOOGLE_API_KEY"],
  models: ["gemini-*", "gemma-*", "models/gemini-*"],
};
