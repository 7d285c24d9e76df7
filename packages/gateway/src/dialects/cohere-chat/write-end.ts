import type { EndTerms, ModelCall, PassedStream } from "../dialect.ts";
import { recordOf } from "../json-value.ts";
import { type CohereEvent, writeEvents } from "./write-events.ts";

/** Ends of what has begun, by the event that was last. */
const ENDS: Readonly<Record<string, string>> = {
  "content-start": "content-end",
  "content-delta": "content-end",
  "tool-call-start": "tool-call-end",
  "tool-call-delta": "tool-call-end",
};

/** Closes what is open, and ends the message as if its cap had been reached. */
export function writeEnd(_: ModelCall, { last, gap, outputTokens }: PassedStream, { id, inputTokens }: EndTerms): string {
  const { type, index } = recordOf(last);
  const events: CohereEvent[] = [];
  if (type === undefined) events.push({ type: "message-start", id, delta: { message: { role: "assistant", content: [] } } });
  const end = ENDS[String(type)];
  if (end !== undefined) events.push({ type: end, index });
  const used = { input_tokens: inputTokens, output_tokens: outputTokens };
  events.push({ type: "message-end", id, delta: { finish_reason: "MAX_TOKENS", usage: { billed_units: used, tokens: used } } });
  return gap + writeEvents(events);
}
