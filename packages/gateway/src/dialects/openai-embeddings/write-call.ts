import type { CallChanges, ModelCall } from "../dialect.ts";
import { editBody } from "../json-body.ts";

/** Sets the model's name, only where it differs from what stands. */
export function writeCall(call: ModelCall, { model }: CallChanges): Buffer {
  return model === call.model ? call.body.bytes : editBody(call.body, new Map([["model", JSON.stringify(model)]]));
}
