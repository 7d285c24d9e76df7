import type { ProviderPreset } from "../provider.ts";

/** Mistral. */
export const mistral: ProviderPreset = {
  name: "mistral",
  baseUrls: { "openai-chat": "https://api.mistral.ai/v1" },
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
