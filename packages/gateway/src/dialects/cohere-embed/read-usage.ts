import type { Usage } from "@purser/core";
import type { AnswerPart, RawUsage } from "../dialect.ts";
import { isRecord, recordOf, tokenCount } from "../json-value.ts";

export function readPart(part: unknown): AnswerPart {
  const usage = recordOf(recordOf(part).meta).billed_units;
  return { ...(isRecord(usage) && { usage }), isEnd: true };
}

/** What is read is billed (https://docs.cohere.com/v2/reference/embed). */
export function readUsage(raw: RawUsage): Usage {
  const inputTokens = tokenCount(raw.input_tokens);
  return { ...(inputTokens !== undefined && { inputTokens }), outputTokens: 0 };
}
