import type { ProviderPreset } from "../provider.ts";

/** vLLM, wherever it runs: it needs a base_url. */
export const vllm: ProviderPreset = {
  name: "vllm",
  baseUrls: {},
  authHeader: "authorization",
  env: ["VLLM_API_KEY"],
  models: [],
};
