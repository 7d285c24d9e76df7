import { checkedName, requiredText } from "../body-fields.ts";
import type { CallChanges, ModelCall } from "../dialect.ts";
import { formNaming } from "../form-body.ts";
import { editBody, type JsonBody, memberValue } from "../json-body.ts";
import type { PathNames } from "../path.ts";

/** The model of a call: a deployment that its path names, as Azure's do, or what the body says. */
export function readModel(body: JsonBody, { deployment }: PathNames): string {
  return deployment === undefined ? requiredText(body, "model") : checkedName(deployment, "deployment");
}

/** Names the model in the body, where it is not named there already. */
export function nameModel({ body }: ModelCall, model: string, changes: Map<string, string>): void {
  if (memberValue(body, "model") !== model) changes.set("model", JSON.stringify(model));
}

/** The bytes to send of a call in which nothing but the model's name can change. */
export function writeModel(call: ModelCall, { model }: CallChanges): Buffer {
  if (call.body.form) return formNaming(call.body.form, model);
  const changes = new Map<string, string>();
  nameModel(call, model, changes);
  return changes.size === 0 ? call.body.bytes : editBody(call.body, changes);
}
