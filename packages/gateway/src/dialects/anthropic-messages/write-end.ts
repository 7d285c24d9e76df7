import type { EndTerms, ModelCall, PassedStream } from "../dialect.ts";
import { recordOf } from "../json-value.ts";

/** Stops the block that is open, the message with `max_tokens`, and the stream. */
export function writeEnd(call: ModelCall, { last, gap, outputTokens }: PassedStream, { id, inputTokens }: EndTerms): string {
  const { type, index } = recordOf(last);
  const events: { readonly type: string; readonly [field: string]: unknown }[] = [];
  if (type === undefined) {
    const message = { id: `msg_${id}`, type: "message", role: "assistant", model: call.model, content: [], stop_reason: null };
    events.push({
      type: "message_start",
      message: { ...message, stop_sequence: null, usage: { input_tokens: inputTokens, output_tokens: 0 } },
    });
  }
  if (type === "content_block_start" || type === "content_block_delta") events.push({ type: "content_block_stop", index });
  if (type !== "message_delta")
    events.push({
      type: "message_delta",
      delta: { stop_reason: "max_tokens", stop_sequence: null },
      usage: { output_tokens: outputTokens },
    });
  events.push({ type: "message_stop" });
  return gap + events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("");
}
