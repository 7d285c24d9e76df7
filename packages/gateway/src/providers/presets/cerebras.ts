import { at, type ProviderPreset } from "../provider.ts";

/** Cerebras. */
export const cerebras: ProviderPreset = {
  name: "cerebras",
  baseUrls: at("https://api.cerebras.ai/v1", ["openai-chat", "openai-completions"]),
  authHeader: "authorization",
  env: ["CEREBRAS_API_KEY"],
  models: ["llama3.1-*", "llama-3.3-70b", "qwen-3-*", "gpt-oss-*", "zai-glm-*"],
};
