import { at, FAMILIES, type ProviderPreset } from "../provider.ts";

/** Cohere, in its own format and through its OpenAI-compatible address. */
export const cohere: ProviderPreset = {
  name: "cohere",
  baseUrls: {
    ...at("https://api.cohere.com", FAMILIES.cohere),
    ...at("https://api.cohere.ai/compatibility/v1", ["openai-chat", "openai-embeddings"]),
  },
  authHeader: "authorization",
  env: ["COHERE_API_KEY", "CO_API_KEY"],
  models: ["command-*", "c4ai-*", "embed-english-*", "embed-multilingual-*", "embed-v4*"],
};
