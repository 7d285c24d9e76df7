import type { CallChanges, ModelCall } from "../dialect.ts";
import { editBody } from "../json-body.ts";
import { nameModel } from "../openai/model.ts";

/** Sets the model's name, only where it differs from what stands. */
export function writeCall(call: ModelCall, { model }: CallChanges): Buffer {
  const changes = new Map<string, string>();
  nameModel(call, model, changes);
  return changes.size === 0 ? call.body.bytes : editBody(call.body, changes);
}
