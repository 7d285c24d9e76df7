import type { Usage } from "@purser/core";
import type { RawUsage } from "../dialect.ts";
import { isRecord, listOf, recordOf, tokenCount } from "../json-value.ts";

/**
 * Usage as Google reports it (https://ai.google.dev/api/generate-content#UsageMetadata): cached tokens inside the prompt's, what tools gave the
 * model to read beside the prompt's, and thoughts beside the candidates'. Where the total says that more was left out, it is added.
 */
export function readUsage(raw: RawUsage): Usage {
  const prompt = tokenCount(raw.promptTokenCount);
  const tools = tokenCount(raw.toolUsePromptTokenCount) ?? 0;
  const candidates = tokenCount(raw.candidatesTokenCount);
  const thoughts = tokenCount(raw.thoughtsTokenCount) ?? 0;
  const total = tokenCount(raw.totalTokenCount);
  const inputTokens = prompt === undefined ? undefined : prompt + tools;
  const known = candidates === undefined && thoughts === 0 ? undefined : (candidates ?? 0) + thoughts;
  const leftOut = inputTokens === undefined || total === undefined ? 0 : Math.max(0, total - inputTokens - (known ?? 0));
  const outputTokens = leftOut > 0 ? (known ?? 0) + leftOut : known;
  const kinds = {
    cacheReadInputTokens: tokenCount(raw.cachedContentTokenCount),
    audioInputTokens: ofModality(raw.promptTokensDetails, "AUDIO"),
    imageInputTokens: ofModality(raw.promptTokensDetails, "IMAGE"),
    reasoningOutputTokens: thoughts,
    audioOutputTokens: ofModality(raw.candidatesTokensDetails, "AUDIO"),
    imageOutputTokens: ofModality(raw.candidatesTokensDetails, "IMAGE"),
  };
  return {
    ...(inputTokens !== undefined && { inputTokens }),
    ...(outputTokens !== undefined && { outputTokens }),
    ...Object.fromEntries(Object.entries(kinds).filter(([, tokens]) => tokens)),
    ...(isRecord(raw.toolUses) && { toolCalls: raw.toolUses as Readonly<Record<string, number>> }),
  };
}

function ofModality(details: unknown, modality: string): number {
  return listOf(details)
    .map(recordOf)
    .filter((detail) => detail.modality === modality)
    .reduce((sum, { tokenCount: tokens }) => sum + (tokenCount(tokens) ?? 0), 0);
}
