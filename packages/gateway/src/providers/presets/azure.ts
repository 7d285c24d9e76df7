import type { ProviderPreset } from "../provider.ts";

/** OpenAI's models on Azure. It needs the base_url of a resource, https://NAME.openai.azure.com/openai/v1, and its deployments. */
export const azure: ProviderPreset = {
  name: "azure",
  baseUrls: {},
  authHeader: "api-key",
  env: ["AZURE_OPENAI_API_KEY"],
  models: [],
};
