import type { Usage } from "@purser/core";
import type { AnswerPart, ModelCall, OtherAnswer, RawUsage } from "../dialect.ts";
import { memberValue } from "../json-body.ts";
import { isRecord, recordOf, tokenCount } from "../json-value.ts";
import { soundSeconds } from "../sound/duration.ts";

/** Usage stands in the last event of a stream (https://platform.openai.com/docs/api-reference/audio/speech-audio-done-event). */
export function readPart(part: unknown): AnswerPart {
  const { type, usage } = recordOf(part);
  return { ...(isRecord(usage) && { usage }), isEnd: type === "speech.audio.done" };
}

export function readUsage(raw: RawUsage): Usage {
  const inputTokens = tokenCount(raw.input_tokens);
  const outputTokens = tokenCount(raw.output_tokens);
  return { ...(inputTokens !== undefined && { inputTokens }), ...(outputTokens !== undefined && { outputTokens }) };
}

/** What OpenAI's speech has in a minute: $0.015 at $12 for a million tokens (https://platform.openai.com/docs/pricing). */
const TOKENS_PER_SECOND = 1_250 / 60;
/** Samples of 16 bits, 24,000 a second. */
const PCM_BYTES_PER_SECOND = 48_000;

/** Speech that comes as a sound says nothing of its tokens. How long it plays does. */
export function readOther(bytes: Buffer, call: ModelCall): OtherAnswer {
  const isPcm = memberValue(call.body, "response_format") === "pcm";
  const seconds = isPcm ? bytes.length / PCM_BYTES_PER_SECOND : soundSeconds(bytes);
  return { usage: seconds === undefined ? undefined : { outputTokens: Math.ceil(seconds * TOKENS_PER_SECOND) }, text: "" };
}
