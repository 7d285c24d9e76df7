import type { CallChanges, ModelCall } from "../dialect.ts";
import { editBody, editedMember, memberValue } from "../json-body.ts";
import { recordOf } from "../json-value.ts";
import { makersForm } from "./makers.ts";

/** Sets the output cap where the maker has it, only where it differs from what stands. The model stands in the path. */
export function writeCall({ body, model, outputCap }: ModelCall, { outputTokens }: CallChanges): Buffer {
  if (outputTokens === undefined || outputTokens === outputCap) return body.bytes;
  const form = makersForm(model, memberValue(body, "anthropic_version"));
  if (!form) return body.bytes;
  const { within, caps } = form;
  const fields = recordOf(within === undefined ? undefined : memberValue(body, within));
  const isThere = (cap: string) => (within === undefined ? body.members.has(cap) : fields[cap] !== undefined);
  const change = new Map([[caps.find(isThere) ?? caps[0], String(outputTokens)]]);
  return editBody(body, within === undefined ? change : new Map([[within, editedMember(body, within, change)]]));
}
