import type { CallChanges, ModelCall } from "../dialect.ts";
import { editBody, memberValue } from "../json-body.ts";
import { nameModel } from "../openai/model.ts";
import { askForUsage } from "../openai/stream-options.ts";

/** Sets the model's name, the output cap and, in streams, the wish for usage: only where they differ from what stands. */
export function writeCall(call: ModelCall, { model, outputTokens }: CallChanges): Buffer {
  const changes = new Map<string, string>();
  nameModel(call, model, changes);
  // A cap that is not there is another one at every provider, so it is written.
  if (outputTokens !== undefined && outputTokens !== memberValue(call.body, "max_tokens")) changes.set("max_tokens", String(outputTokens));
  askForUsage(call, changes);
  return changes.size === 0 ? call.body.bytes : editBody(call.body, changes);
}
