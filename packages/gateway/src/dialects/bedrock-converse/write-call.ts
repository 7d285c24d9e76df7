import type { CallChanges, ModelCall } from "../dialect.ts";
import { editBody, editedMember } from "../json-body.ts";

/** Sets the output cap, only where it differs from what stands. The model stands in the path. */
export function writeCall({ body, outputCap }: ModelCall, { outputTokens }: CallChanges): Buffer {
  if (outputTokens === undefined || outputTokens === outputCap) return body.bytes;
  const config = editedMember(body, "inferenceConfig", new Map([["maxTokens", String(outputTokens)]]));
  return editBody(body, new Map([["inferenceConfig", config]]));
}
