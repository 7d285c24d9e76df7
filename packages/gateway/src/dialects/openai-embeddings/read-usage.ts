import type { Usage } from "@purser/core";
import type { AnswerPart, RawUsage } from "../dialect.ts";
import { isRecord, recordOf, tokenCount } from "../json-value.ts";

export function readPart(part: unknown): AnswerPart {
  const { usage } = recordOf(part);
  return { ...(isRecord(usage) && { usage }), isEnd: true };
}

/** Usage of what is only read (https://platform.openai.com/docs/api-reference/embeddings). Not all who speak it say both numbers. */
export function readUsage(raw: RawUsage): Usage {
  const inputTokens = tokenCount(raw.prompt_tokens) ?? tokenCount(raw.input_tokens) ?? tokenCount(raw.total_tokens);
  const imageInputTokens = tokenCount(recordOf(raw.prompt_tokens_details).image_tokens);
  return { ...(inputTokens !== undefined && { inputTokens }), ...(imageInputTokens && { imageInputTokens }), outputTokens: 0 };
}

/** Nothing is written. */
export function readText(): string {
  return "";
}
