import { at, type ProviderPreset } from "../provider.ts";

/** Groq. Some of its own model names begin with groq/. */
export const groq: ProviderPreset = {
  name: "groq",
  baseUrls: at("https://api.groq.com/openai/v1", ["openai-chat", "openai-responses", "openai-speech", "openai-transcriptions"]),
  authHeader: "authorization",
  env: ["GROQ_API_KEY"],
  models: ["groq/compound*", "llama-3*", "llama3-*", "gemma2-*", "whisper-large-*"],
};
