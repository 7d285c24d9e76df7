import type { CallChanges, ModelCall } from "./dialect.ts";
import { editBody } from "./json-body.ts";

/** Sets the model's name and the output cap in `max_tokens`, only where they differ from what stands. */
export function writeMaxTokens(call: ModelCall, { model, outputTokens }: CallChanges): Buffer {
  const changes = new Map<string, string>();
  if (model !== call.model) changes.set("model", JSON.stringify(model));
  if (outputTokens !== undefined && outputTokens !== call.outputCap) changes.set("max_tokens", String(outputTokens));
  return changes.size === 0 ? call.body.bytes : editBody(call.body, changes);
}
