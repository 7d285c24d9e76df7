import { at, FAMILIES, type ProviderPreset } from "../provider.ts";

/** Ollama on this machine, which needs no key. It serves whatever was pulled: ask for ollama/NAME, or write models. */
export const ollama: ProviderPreset = {
  name: "ollama",
  baseUrls: {
    ...at("http://127.0.0.1:11434/v1", ["openai-chat", "openai-responses", "openai-completions", "openai-embeddings"]),
    "anthropic-messages": "http://127.0.0.1:11434",
    ...at("http://127.0.0.1:11434", FAMILIES.ollama),
  },
  authHeader: "authorization",
  env: [],
  models: [],
};
