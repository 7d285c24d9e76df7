import { at, type ProviderPreset } from "../provider.ts";

/** Qwen on Alibaba Cloud, the international edition in Singapore. Keys belong to one region: others need a base_url. */
export const qwen: ProviderPreset = {
  name: "qwen",
  baseUrls: {
    ...at("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", ["openai-chat", "openai-embeddings"]),
    "anthropic-messages": "https://dashscope-intl.aliyuncs.com/apps/anthropic",
  },
  authHeader: "authorization",
  env: ["DASHSCOPE_API_KEY"],
  models: ["qwen*", "qwq*", "qvq*", "text-embedding-v*"],
};
