import type { CallChanges, ModelCall } from "../dialect.ts";
import { spelled } from "../gemini/fields.ts";
import { editBody, type JsonBody, readJsonBody } from "../json-body.ts";

/** Sets the output cap, only where it differs from what stands. The model stands in the path; where the body names it too, it is the same. */
export function writeCall(call: ModelCall, { model, outputTokens }: CallChanges): Buffer {
  const { body } = call;
  const changes = new Map<string, string>();
  if (model !== call.model && body.members.has("model")) changes.set("model", JSON.stringify(`models/${model}`));
  if (outputTokens !== undefined && outputTokens !== call.outputCap) {
    const name = spelled(body, "generationConfig");
    changes.set(name, withCap(body, name, outputTokens));
  }
  return changes.size === 0 ? body.bytes : editBody(body, changes);
}

/** The configuration with another cap, and else byte for byte as it is: a schema in it may hold numbers that JavaScript would round. */
function withCap({ bytes, members }: JsonBody, name: string, outputTokens: number): string {
  const member = members.get(name);
  if (member?.type !== "object") return `{"maxOutputTokens":${outputTokens}}`;
  const config = readJsonBody(bytes.subarray(member.start, member.end));
  return editBody(config, new Map([[spelled(config, "maxOutputTokens"), String(outputTokens)]])).toString("utf8");
}
