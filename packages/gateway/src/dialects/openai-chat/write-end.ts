import type { EndTerms, ModelCall, PassedStream } from "../dialect.ts";
import { recordOf } from "../json-value.ts";

/** Chunks that finish every choice with `length`, the usage where it was asked for, and `[DONE]`. */
export function writeEnd(call: ModelCall, { last, gap, outputTokens }: PassedStream, { id, inputTokens }: EndTerms): string {
  const said = recordOf(last);
  const head = {
    id: said.id ?? `chatcmpl-${id}`,
    object: "chat.completion.chunk",
    created: said.created ?? 0,
    model: said.model ?? call.model,
  };
  // Who has read nothing yet must still learn who speaks.
  const delta = last === undefined ? { role: "assistant", content: "" } : {};
  const choices = Array.from({ length: call.copies }, (_, index) => ({ index, delta, logprobs: null, finish_reason: "length" }));
  const usage = { prompt_tokens: inputTokens, completion_tokens: outputTokens, total_tokens: inputTokens + outputTokens };
  const chunks: unknown[] = [...choices.map((choice) => ({ ...head, choices: [choice] }))];
  if (call.wantsUsage) chunks.push({ ...head, choices: [], usage });
  return `${gap}${chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join("")}data: [DONE]\n\n`;
}
