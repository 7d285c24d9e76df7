import { at, type ProviderPreset } from "../provider.ts";

/** Mistral. It answers 422 to `stream_options.include_usage`, and says what a stream used all the same. */
export const mistral: ProviderPreset = {
  name: "mistral",
  baseUrls: at("https://api.mistral.ai/v1", [
    "openai-chat",
    "openai-responses",
    "openai-embeddings",
    "openai-moderations",
    "openai-transcriptions",
  ]),
  authHeader: "authorization",
  env: ["MISTRAL_API_KEY"],
  refusesToBeAskedForUsage: true,
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
