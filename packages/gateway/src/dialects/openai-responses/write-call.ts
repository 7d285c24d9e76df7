import type { CallChanges, ModelCall } from "../dialect.ts";
import { editBody } from "../json-body.ts";
import { nameModel } from "../openai/model.ts";

/** Sets the model's name and the output cap, only where they differ from what stands. */
export function writeCall(call: ModelCall, { model, outputTokens }: CallChanges): Buffer {
  const changes = new Map<string, string>();
  nameModel(call, model, changes);
  if (outputTokens !== undefined && outputTokens !== call.outputCap) changes.set("max_output_tokens", String(outputTokens));
  return changes.size === 0 ? call.body.bytes : editBody(call.body, changes);
}
