import { at, type ProviderPreset } from "../provider.ts";

/** Mistral. */
export const mistral: ProviderPreset = {
  name: "mistral",
  baseUrls: at("https://api.mistral.ai/v1", ["openai-chat", "openai-responses", "openai-embeddings", "openai-moderations"]),
  authHeader: "authorization",
  env: ["MISTRAL_API_KEY"],
  models: [
    "mistral-*",
    "codestral*",
    "ministral-*",
    "magistral-*",
    "devstral-*",
    "pixtral-*",
    "voxtral-*",
    "open-mistral-*",
    "open-mixtral-*",
  ],
};
