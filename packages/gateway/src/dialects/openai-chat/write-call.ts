import type { CallChanges, ModelCall } from "../dialect.ts";
import { editBody, memberValue } from "../json-body.ts";

/** Sets the model's name, the output cap and, in streams, the wish for usage: only where they differ from what stands. */
export function writeCall(call: ModelCall, { model, outputTokens, outputCapField }: CallChanges): Buffer {
  const changes = new Map<string, string>();
  if (model !== call.model) changes.set("model", JSON.stringify(model));
  if (outputTokens !== undefined && outputTokens !== call.outputCap) changes.set(capField(call, outputCapField), String(outputTokens));
  if (call.stream && !call.wantsUsage) {
    const options = memberValue(call.body, "stream_options") as Record<string, unknown> | undefined;
    changes.set("stream_options", JSON.stringify({ ...options, include_usage: true }));
  }
  return changes.size === 0 ? call.body.bytes : editBody(call.body, changes);
}

/** The field that the caller used, or the one that the provider understands. */
function capField({ body, outputCap }: ModelCall, preferred: string): string {
  if (outputCap === undefined) return preferred;
  return memberValue(body, "max_completion_tokens") === undefined ? "max_tokens" : "max_completion_tokens";
}
