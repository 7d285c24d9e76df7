import type { Usage } from "@purser/core";
import type { AnswerPart, RawUsage } from "../dialect.ts";
import { readUsage as readContentUsage } from "../gemini/usage.ts";
import { isRecord, recordOf } from "../json-value.ts";

/** Not all models report usage here. */
export function readPart(part: unknown): AnswerPart {
  const { usageMetadata } = recordOf(part);
  return { ...(isRecord(usageMetadata) && { usage: usageMetadata }), isEnd: true };
}

export function readUsage(raw: RawUsage): Usage {
  const { inputTokens, audioInputTokens, imageInputTokens } = readContentUsage(raw);
  return {
    ...(inputTokens !== undefined && { inputTokens }),
    ...(audioInputTokens !== undefined && { audioInputTokens }),
    ...(imageInputTokens !== undefined && { imageInputTokens }),
    outputTokens: 0,
  };
}

/** Nothing is written. */
export function readText(): string {
  return "";
}
