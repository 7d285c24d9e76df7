import type { CallChanges, ModelCall } from "../dialect.ts";
import { spelled } from "../gemini/fields.ts";
import { editBody, editedMember, type JsonBody, memberValue } from "../json-body.ts";
import { recordOf } from "../json-value.ts";

/** Sets the output cap, only where it differs from what stands. The model stands in the path; where the body names it too, it is the same. */
export function writeCall(call: ModelCall, { model, outputTokens }: CallChanges): Buffer {
  const { body } = call;
  const changes = new Map<string, string>();
  if (model !== call.model && body.members.has("model")) changes.set("model", JSON.stringify(`models/${model}`));
  if (outputTokens !== undefined && outputTokens !== call.outputCap) {
    const name = spelled(body, "generationConfig");
    changes.set(name, editedMember(body, name, new Map([[capField(body, name), String(outputTokens)]])));
  }
  return changes.size === 0 ? body.bytes : editBody(body, changes);
}

/** The field of the cap, as the call spells it. */
function capField(body: JsonBody, config: string): string {
  const fields = recordOf(memberValue(body, config));
  return fields.max_output_tokens === undefined ? "maxOutputTokens" : "max_output_tokens";
}
