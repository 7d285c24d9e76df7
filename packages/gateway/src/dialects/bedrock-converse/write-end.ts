import { type FrameEvent, writeFrames } from "../bedrock/write-frames.ts";
import type { EndTerms, ModelCall, PassedStream } from "../dialect.ts";
import { isRecord, recordOf } from "../json-value.ts";

/** Stops the block that is open, and the message with `max_tokens`, and says what was used. */
export function writeEnd(_: ModelCall, { last, outputTokens }: PassedStream, { inputTokens }: EndTerms): Buffer {
  const said = recordOf(last);
  const open = said.contentBlockDelta ?? said.contentBlockStart;
  const events: FrameEvent[] = [];
  if (last === undefined) events.push({ name: "messageStart", payload: { role: "assistant" } });
  if (isRecord(open)) events.push({ name: "contentBlockStop", payload: { contentBlockIndex: open.contentBlockIndex } });
  if (said.messageStop === undefined) events.push({ name: "messageStop", payload: { stopReason: "max_tokens" } });
  const usage = { inputTokens, outputTokens, totalTokens: inputTokens + outputTokens };
  events.push({ name: "metadata", payload: { usage, metrics: { latencyMs: 0 } } });
  return writeFrames(events);
}
