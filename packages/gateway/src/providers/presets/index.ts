import type { ProviderPreset } from "../provider.ts";
import { anthropic } from "./anthropic.ts";
import { azure } from "./azure.ts";
import { bedrock } from "./bedrock.ts";
import { cerebras } from "./cerebras.ts";
import { cohere } from "./cohere.ts";
import { deepseek } from "./deepseek.ts";
import { fireworks } from "./fireworks.ts";
import { google } from "./google.ts";
import { groq } from "./groq.ts";
import { mistral } from "./mistral.ts";
import { moonshot } from "./moonshot.ts";
import { ollama } from "./ollama.ts";
import { openai } from "./openai.ts";
import { openrouter } from "./openrouter.ts";
import { perplexity } from "./perplexity.ts";
import { qwen } from "./qwen.ts";
import { together } from "./together.ts";
import { vertex } from "./vertex.ts";
import { vllm } from "./vllm.ts";
import { xai } from "./xai.ts";
import { zai } from "./zai.ts";

/**
 * The providers that need only a key, by name. Their base URLs end where the path of the dialect is appended: `/chat/completions` for
 * openai-chat, `/v1/messages` for anthropic-messages, as the clients of both makers do it.
 */
export const PRESETS: ReadonlyMap<string, ProviderPreset> = new Map(
  [
    openai,
    anthropic,
    google,
    vertex,
    azure,
    qwen,
    deepseek,
    mistral,
    xai,
    moonshot,
    zai,
    perplexity,
    cohere,
    bedrock,
    groq,
    cerebras,
    fireworks,
    together,
    openrouter,
    ollama,
    vllm,
  ].map((preset) => [preset.name, preset]),
);

/** The preset that lives at a host. */
export function presetAt(host: string): ProviderPreset | undefined {
  for (const preset of PRESETS.values()) for (const url of Object.values(preset.baseUrls)) if (new URL(url).host === host) return preset;
  return undefined;
}
