import { readPart as readAnthropicPart, readText as readAnthropicText, readUsage } from "../anthropic-messages/read-usage.ts";
import { refusedAs } from "../bedrock/refusals.ts";
import { collectTexts } from "../content.ts";
import type { AnswerPart, RawUsage } from "../dialect.ts";
import { isRecord, recordOf, tokenCount } from "../json-value.ts";

/** Usage is read under Anthropic's names; what Bedrock and the other makers call their counts is translated to them. */
export { readUsage };

const METRICS = "amazon-bedrock-invocationMetrics";

/** What one event says, or a whole answer. In streams every event is what the model's maker would have sent, as base64. */
export function readPart(part: unknown): AnswerPart {
  const event = recordOf(part);
  const status = refusedAs(event);
  if (status !== undefined) return { refusedAs: status };
  const said = recordOf(nativeOf(event));
  const metrics = recordOf(said[METRICS]);
  // Titan's embeddings say it by themselves, and in the headers.
  const embedded = tokenCount(said.inputTextTokenCount);
  if (embedded !== undefined) return { usage: { input_tokens: embedded }, isEnd: true };
  const { usage, isEnd, isSilent } = isRecord(said.usage) && said.type === undefined ? makersPart(said.usage) : readAnthropicPart(said);
  const counted = isRecord(said[METRICS]) ? usageOf((name) => metrics[METRIC_NAMES[name]]) : undefined;
  return {
    ...((usage ?? counted) && { usage: { ...usage, ...counted } }),
    // Bedrock's own count stands in the last event of every model.
    isEnd: isEnd === true || counted !== undefined,
    ...(isSilent && { isSilent }),
  };
}

/** Usage in the headers of a whole answer, of whichever maker. */
export function readHeaders(headers: readonly string[]): RawUsage | undefined {
  const counts = new Map<string, number>();
  for (let i = 0; i + 1 < headers.length; i += 2) counts.set((headers[i] as string).toLowerCase(), Number(headers[i + 1]));
  const usage = usageOf((name) => counts.get(HEADER_NAMES[name]));
  return Object.keys(usage).length > 0 ? usage : undefined;
}

const METRIC_NAMES = {
  input_tokens: "inputTokenCount",
  output_tokens: "outputTokenCount",
  cache_read_input_tokens: "cacheReadInputTokenCount",
  cache_creation_input_tokens: "cacheWriteInputTokenCount",
} as const;
const HEADER_NAMES = {
  input_tokens: "x-amzn-bedrock-input-token-count",
  output_tokens: "x-amzn-bedrock-output-token-count",
  cache_read_input_tokens: "x-amzn-bedrock-cache-read-input-token-count",
  cache_creation_input_tokens: "x-amzn-bedrock-cache-write-input-token-count",
} as const;
const NAMES = Object.keys(METRIC_NAMES) as readonly (keyof typeof METRIC_NAMES)[];

function usageOf(read: (name: keyof typeof METRIC_NAMES) => unknown): RawUsage {
  const counts = NAMES.map((name) => [name, tokenCount(read(name))] as const);
  return Object.fromEntries(counts.filter(([, tokens]) => tokens !== undefined));
}

/** What whole answers of other makers say of their usage: OpenAI's and Mistral's names, and Amazon's. */
function makersPart(usage: Readonly<Record<string, unknown>>): AnswerPart {
  const names = {
    input_tokens: ["input_tokens", "prompt_tokens", "inputTokens"],
    output_tokens: ["output_tokens", "completion_tokens", "outputTokens"],
    cache_read_input_tokens: ["cache_read_input_tokens", "cacheReadInputTokens", "cacheReadInputTokenCount"],
    cache_creation_input_tokens: ["cache_creation_input_tokens", "cacheWriteInputTokens", "cacheWriteInputTokenCount"],
  } as const;
  return { usage: usageOf((name) => names[name].map((one) => usage[one]).find((value) => value !== undefined)) };
}

/** What the model wrote: in a form that is not known here everything that is text, which is more than it wrote, and never less. */
export function readText(part: unknown): string {
  const { usage: _, [METRICS]: _metrics, ...said } = recordOf(nativeOf(recordOf(part)));
  if (typeof said.type === "string") return readAnthropicText(said);
  const texts: string[] = [];
  collectTexts(Object.values(said), texts);
  return texts.join("");
}

function nativeOf(event: Readonly<Record<string, unknown>>): unknown {
  const { bytes } = recordOf(event.chunk);
  return typeof bytes === "string" ? JSON.parse(Buffer.from(bytes, "base64").toString("utf8")) : event;
}
