import { at, FAMILIES, type ProviderPreset } from "../provider.ts";

/** Amazon Bedrock in Northern Virginia, by a Bedrock API key. Keys belong to one region: others need a base_url. */
export const bedrock: ProviderPreset = {
  name: "bedrock",
  baseUrls: at("https://bedrock-runtime.us-east-1.amazonaws.com", FAMILIES.bedrock),
  authHeader: "authorization",
  env: ["AWS_BEARER_TOKEN_BEDROCK"],
  models: [
    ...["amazon", "anthropic", "meta", "mistral", "cohere", "ai21", "deepseek", "openai", "qwen"].map((maker) => `${maker}.*`),
    ...["us", "us-gov", "eu", "apac", "jp", "au", "ca", "global"].map((region) => `${region}.*`),
    "arn:aws*",
  ],
};
