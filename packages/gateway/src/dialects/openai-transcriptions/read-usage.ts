import type { Usage } from "@purser/core";
import type { AnswerPart, OtherAnswer, RawUsage } from "../dialect.ts";
import { isRecord, recordOf, tokenCount } from "../json-value.ts";
import { AUDIO_SECOND } from "./read-call.ts";

/** Usage stands in a whole answer, and in the last event of a stream. */
export function readPart(part: unknown): AnswerPart {
  const { type, usage } = recordOf(part);
  return { ...(isRecord(usage) && { usage }), isEnd: type === "transcript.text.done" };
}

/** By tokens or by seconds (https://platform.openai.com/docs/api-reference/audio/json-object). Mistral says both, and charges the seconds. */
export function readUsage(raw: RawUsage): Usage {
  const seconds = tokenCount(raw.type === "duration" ? raw.seconds : raw.prompt_audio_seconds);
  const inputTokens = tokenCount(raw.input_tokens) ?? tokenCount(raw.prompt_tokens);
  const outputTokens = tokenCount(raw.output_tokens) ?? tokenCount(raw.completion_tokens);
  const heard = tokenCount(recordOf(raw.input_token_details).audio_tokens);
  if (seconds !== undefined)
    return { inputTokens: inputTokens ?? 0, outputTokens: outputTokens ?? 0, toolCalls: { [AUDIO_SECOND]: seconds } };
  return {
    ...(inputTokens !== undefined && { inputTokens }),
    ...(outputTokens !== undefined && { outputTokens }),
    ...(heard && { audioInputTokens: heard }),
  };
}

/** What was understood, in a whole answer or in one event. */
export function readText(part: unknown): string {
  const { type, text, delta } = recordOf(part);
  if (type === "transcript.text.delta") return typeof delta === "string" ? delta : "";
  return typeof text === "string" && type !== "transcript.text.done" ? text : "";
}

/** As a plain text, or as subtitles. */
export function readOther(bytes: Buffer): OtherAnswer {
  return { usage: undefined, text: bytes.toString("utf8") };
}
