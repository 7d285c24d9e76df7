import { checkedCount, optionalObject } from "../body-fields.ts";
import type { CallChanges, ModelCall } from "../dialect.ts";
import { editBody, editedMember, type JsonBody } from "../json-body.ts";

/** The caller's own cap. -1 and -2 stand for none. */
export function readCap(body: JsonBody): number | undefined {
  const cap = optionalObject(body, "options")?.num_predict;
  return cap === -1 || cap === -2 ? undefined : checkedCount(cap, "options.num_predict", 1);
}

/** Sets the model's name and the output cap, only where they differ from what stands. */
export function writeCall(call: ModelCall, { model, outputTokens }: CallChanges): Buffer {
  const changes = new Map<string, string>();
  if (model !== call.model) changes.set("model", JSON.stringify(model));
  if (outputTokens !== undefined && outputTokens !== call.outputCap)
    changes.set("options", editedMember(call.body, "options", new Map([["num_predict", String(outputTokens)]])));
  return changes.size === 0 ? call.body.bytes : editBody(call.body, changes);
}
