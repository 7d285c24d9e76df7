import type { CallChanges, ModelCall } from "../dialect.ts";
import { editBody, editedMember } from "../json-body.ts";

/** Sets the model's name and the output cap, only where they differ from what stands. */
export function writeCall(call: ModelCall, { model, outputTokens }: CallChanges): Buffer {
  const changes = new Map<string, string>();
  if (model !== call.model) changes.set("model", JSON.stringify(model));
  if (outputTokens !== undefined && outputTokens !== call.outputCap)
    changes.set("generation_config", editedMember(call.body, "generation_config", new Map([["max_output_tokens", String(outputTokens)]])));
  return changes.size === 0 ? call.body.bytes : editBody(call.body, changes);
}
