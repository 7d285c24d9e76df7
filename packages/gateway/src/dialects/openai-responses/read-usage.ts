import type { Usage } from "@purser/core";
import type { AnswerPart, RawUsage } from "../dialect.ts";
import { isRecord, listOf, recordOf, tokenCount } from "../json-value.ts";
import { servedTier } from "../openai/service-tier.ts";
import { toolUses } from "./tool-fees.ts";

/** How a stream ends. */
const ENDS = new Set<unknown>(["response.completed", "response.incomplete", "response.failed"]);

/** Failures of a stream by which the provider says that it did not even begin. */
const REFUSALS = new Set<unknown>(["insufficient_quota", "rate_limit_exceeded"]);

/** Usage stands in the response, which is a whole answer or comes with the last event of a stream. */
export function readPart(part: unknown): AnswerPart {
  const event = recordOf(part);
  const response = isRecord(event.response) ? event.response : event;
  const { usage, service_tier: tier } = response;
  const service = servedTier(tier);
  const isEnd = ENDS.has(event.type);
  if (!isRecord(usage)) return { isEnd, ...(REFUSALS.has(recordOf(response.error).code) && { refusedAs: 429 }) };
  const uses = toolUses(response);
  return { usage: { ...usage, ...(uses && { tool_uses: uses }) }, ...(service && { service }), isEnd };
}

/**
 * Usage as responses report it: cached tokens inside the input's, reasoning inside the output's
 * (https://platform.openai.com/docs/api-reference/responses/object).
 */
export function readUsage(raw: RawUsage): Usage {
  const input = recordOf(raw.input_tokens_details);
  const output = recordOf(raw.output_tokens_details);
  const inputTokens = tokenCount(raw.input_tokens);
  const outputTokens = tokenCount(raw.output_tokens);
  const kinds = {
    cacheReadInputTokens: tokenCount(input.cached_tokens),
    cacheWriteInputTokens: tokenCount(input.cache_write_tokens),
    audioInputTokens: tokenCount(input.audio_tokens),
    imageInputTokens: tokenCount(input.image_tokens),
    reasoningOutputTokens: tokenCount(output.reasoning_tokens),
    audioOutputTokens: tokenCount(output.audio_tokens),
    imageOutputTokens: tokenCount(output.image_tokens),
  };
  return {
    ...(inputTokens !== undefined && { inputTokens }),
    ...(outputTokens !== undefined && { outputTokens }),
    ...Object.fromEntries(Object.entries(kinds).filter(([, tokens]) => tokens)),
    ...(isRecord(raw.tool_uses) && { toolCalls: raw.tool_uses as Readonly<Record<string, number>> }),
  };
}

/** What the model wrote. In a stream that is what comes bit by bit: later events repeat it whole. */
export function readText(part: unknown): string {
  const { type, delta, output } = recordOf(part);
  if (typeof type === "string" && type.endsWith(".delta")) return typeof delta === "string" ? delta : "";
  return listOf(output).flatMap(textsOf).join("");
}

/** The texts of an item: what it says, what it summarises of its reasoning, and what it calls tools with. */
function textsOf(item: unknown): readonly string[] {
  const { content, summary, name, arguments: called, input, code } = recordOf(item);
  const parts = [...listOf(content), ...listOf(summary)].map(recordOf);
  return [...parts.flatMap(({ text, refusal }) => [text, refusal]), name, called, input, code].filter((text) => typeof text === "string");
}
