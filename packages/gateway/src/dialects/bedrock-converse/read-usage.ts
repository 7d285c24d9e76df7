import type { Usage } from "@purser/core";
import { refusedAs } from "../bedrock/refusals.ts";
import type { AnswerPart, RawUsage } from "../dialect.ts";
import { isRecord, listOf, recordOf, tokenCount } from "../json-value.ts";
import { servedTier } from "../openai/service-tier.ts";

/** The usage of a stream stands in its last event, behind the one that says why it stopped. */
export function readPart(part: unknown): AnswerPart {
  const event = recordOf(part);
  const { usage, serviceTier } = event.metadata === undefined ? event : recordOf(event.metadata);
  const service = servedTier(recordOf(serviceTier).type);
  const status = refusedAs(event);
  return {
    ...(isRecord(usage) && { usage }),
    ...(service && { service }),
    ...(status !== undefined && { refusedAs: status }),
    isEnd: event.messageStop !== undefined || event.metadata !== undefined,
  };
}

/**
 * Usage as Converse reports it (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html): what was read from a
 * cache or written to one stands beside `inputTokens`, not inside.
 */
export function readUsage(raw: RawUsage): Usage {
  const plain = tokenCount(raw.inputTokens);
  const read = tokenCount(raw.cacheReadInputTokens) ?? 0;
  const written = tokenCount(raw.cacheWriteInputTokens) ?? 0;
  const hour = listOf(raw.cacheDetails)
    .map(recordOf)
    .reduce((sum, { ttl, inputTokens }) => sum + (ttl === "1h" ? (tokenCount(inputTokens) ?? 0) : 0), 0);
  const outputTokens = tokenCount(raw.outputTokens);
  return {
    ...(plain !== undefined && { inputTokens: plain + read + written }),
    ...(read > 0 && { cacheReadInputTokens: read }),
    ...(written > 0 && { cacheWriteInputTokens: written }),
    ...(hour > 0 && { cacheWrite1hInputTokens: hour }),
    ...(outputTokens !== undefined && { outputTokens }),
  };
}

/** What the model wrote: texts, reasoning that is shown, and what it calls tools with. */
export function readText(part: unknown): string {
  const { output, contentBlockStart, contentBlockDelta } = recordOf(part);
  const { start } = recordOf(contentBlockStart);
  const { delta } = recordOf(contentBlockDelta);
  const blocks = [...listOf(recordOf(recordOf(output).message).content), start, delta];
  return blocks
    .map(recordOf)
    .flatMap(({ text, reasoningContent, toolUse }) => {
      const reasoning = recordOf(reasoningContent);
      const { name, input } = recordOf(toolUse);
      return [text, reasoning.text, recordOf(reasoning.reasoningText).text, name, isRecord(input) ? JSON.stringify(input) : input];
    })
    .filter((text) => typeof text === "string")
    .join("");
}
