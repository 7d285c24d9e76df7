import type { Usage } from "@purser/core";
import type { AnswerPart, RawUsage } from "../dialect.ts";
import { listOf, recordOf, tokenCount } from "../json-value.ts";
import { servedTier } from "../openai/service-tier.ts";

interface Choice {
  readonly message?: Record<string, unknown>;
  readonly delta?: Record<string, unknown>;
  readonly finish_reason?: string | null;
}

interface Answer {
  readonly choices?: readonly Choice[];
  readonly usage?: Record<string, unknown> | null;
  readonly x_groq?: { readonly usage?: Record<string, unknown> };
  readonly service_tier?: unknown;
  readonly error?: unknown;
}

/** Failures of a stream by which a provider says that it did not even begin: OpenAI's codes, and the statuses that OpenRouter writes for them. */
const REFUSALS = new Map<unknown, number>([
  ["rate_limit_exceeded", 429],
  ["insufficient_quota", 429],
  [429, 429],
  [503, 503],
]);

export function readPart(part: unknown): AnswerPart {
  const { choices, usage, x_groq: groq, service_tier: tier, error } = (part ?? {}) as Answer;
  const raw = usage ?? groq?.usage;
  const isOnlyUsage = usage != null && Array.isArray(choices) && choices.length === 0;
  // Not all who speak this format end with [DONE], but all say why they finished.
  const isEnd = isOnlyUsage || (choices ?? []).some(({ finish_reason: reason }) => reason != null);
  const service = servedTier(tier);
  const said: Changeable<AnswerPart> = { isOnlyUsage, isEnd };
  if (raw) said.usage = raw;
  if (service) said.service = service;
  const refusedAs = error === undefined ? undefined : REFUSALS.get(recordOf(error).code);
  if (refusedAs !== undefined) said.refusedAs = refusedAs;
  return said;
}

/**
 * Usage as chat completions report it: cached tokens inside the prompt's, reasoning inside the completion's
 * (https://platform.openai.com/docs/api-reference/chat/object). Where the total says that more was left out of the completion,
 * reasoning as xAI does, thoughts that are not named as Google does, it is added.
 */
export function readUsage(raw: RawUsage): Usage {
  const prompt = recordOf(raw.prompt_tokens_details);
  const completion = recordOf(raw.completion_tokens_details);
  const inputTokens = tokenCount(raw.prompt_tokens);
  const completionTokens = tokenCount(raw.completion_tokens);
  const total = tokenCount(raw.total_tokens);
  const reasoning = tokenCount(completion.reasoning_tokens) ?? tokenCount(raw.reasoning_tokens);
  const leftOut = inputTokens === undefined || total === undefined ? 0 : total - inputTokens - (completionTokens ?? 0);
  const outputTokens = leftOut > 0 ? (completionTokens ?? 0) + leftOut : completionTokens;
  const usage: Changeable<Usage> = {};
  if (inputTokens !== undefined) usage.inputTokens = inputTokens;
  if (outputTokens !== undefined) usage.outputTokens = outputTokens;
  const cacheRead = tokenCount(prompt.cached_tokens) ?? tokenCount(raw.prompt_cache_hit_tokens) ?? tokenCount(raw.cached_tokens);
  setKind(usage, "cacheReadInputTokens", cacheRead);
  setKind(usage, "cacheWriteInputTokens", tokenCount(prompt.cache_write_tokens) ?? tokenCount(prompt.cache_creation_input_tokens));
  setKind(usage, "audioInputTokens", tokenCount(prompt.audio_tokens));
  setKind(usage, "imageInputTokens", tokenCount(prompt.image_tokens));
  setKind(usage, "reasoningOutputTokens", reasoning);
  setKind(usage, "audioOutputTokens", tokenCount(completion.audio_tokens));
  setKind(usage, "imageOutputTokens", tokenCount(completion.image_tokens));
  return usage;
}

/** What the model wrote: contents, refusals, reasoning that is shown, and the arguments of tool calls. */
export function readText(part: unknown): string {
  const texts = ((part as Answer | null)?.choices ?? []).flatMap(({ message, delta }) => {
    const said = message ?? delta ?? {};
    return [
      said.content,
      ...listOf(said.content).map((piece) => recordOf(piece).text ?? JSON.stringify(piece)),
      said.refusal,
      said.reasoning_content,
      said.reasoning,
      toolText(said.tool_calls),
      toolText([{ function: said.function_call }]),
    ];
  });
  return texts.filter((text) => typeof text === "string").join("");
}

function toolText(calls: unknown): string {
  if (!Array.isArray(calls)) return "";
  return calls.map((call) => `${call?.function?.name ?? ""}${call?.function?.arguments ?? ""}`).join("");
}

/** What is made up field by field, because most of its fields are seldom there. */
type Changeable<Value> = { -readonly [name in keyof Value]: Value[name] };

function setKind(usage: Changeable<Usage>, kind: Exclude<keyof Usage, "toolCalls" | "besides">, tokens: number | undefined): void {
  if (tokens) usage[kind] = tokens;
}
