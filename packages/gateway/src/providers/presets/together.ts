import type { ProviderPreset } from "../provider.ts";

/** Together, which names models as Hugging Face does. */
export const together: ProviderPreset = {
  name: "together",
  baseUrls: { "openai-chat": "https://api.together.xyz/v1" },
  authHeader: "authorization",
  env: ["TOGETHER_API_KEY"],
  models: ["meta-llama/*", "Qwen/*", "deepseek-ai/*", "zai-org/*", "togethercomputer/*"],
};
