import { at, FAMILIES, type ProviderPreset } from "../provider.ts";

/** OpenAI. */
export const openai: ProviderPreset = {
  name: "openai",
  baseUrls: at("https://api.openai.com/v1", FAMILIES.openai),
  authHeader: "authorization",
  env: ["OPENAI_API_KEY"],
  adminEnv: ["OPENAI_ADMIN_KEY"],
  models: [
    "gpt-*",
    "o1*",
    "o3*",
    "o4*",
    "chatgpt-*",
    "dall-e-*",
    "whisper-*",
    "tts-*",
    "codex-*",
    "computer-use-*",
    "text-embedding-*",
    "omni-moderation-*",
    "text-moderation-*",
    "ft:gpt-*",
  ],
};
