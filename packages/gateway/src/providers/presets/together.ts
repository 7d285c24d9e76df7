import { at, type ProviderPreset } from "../provider.ts";

/** Together, which names models as Hugging Face does. */
export const together: ProviderPreset = {
  name: "together",
  baseUrls: at("https://api.together.xyz/v1", ["openai-chat", "openai-completions", "openai-embeddings"]),
  authHeader: "authorization",
  env: ["TOGETHER_API_KEY"],
  models: ["meta-llama/*", "Qwen/*", "deepseek-ai/*", "zai-org/*", "togethercomputer/*"],
};
