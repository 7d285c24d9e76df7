import { isReasoningModel } from "../dialects/openai-chat/write-call.ts";
import type { PlainCall, PlainSchema, PlainTool, TargetModel } from "./plain.ts";
import { isPromisable } from "./schema.ts";
import { shown, Untranslatable } from "./untranslatable.ts";

/** Names of tools, as OpenAI takes them. */
const TOOL_NAME = /^[\w-]{1,64}$/;
/** OpenAI's models that promise to keep to a schema. Of others that speak its formats nobody knows. */
const KEEPS_SCHEMAS = /^(?:gpt-4o(?!-2024-05-13)|gpt-4\.1|gpt-(?:[5-9]|\d\d)|o\d)/;
/** OpenAI's models that it serves as responses, and not as chat completions. */
const RESPONDS_ONLY = /^(?:gpt-5[\d.]*-(?:codex|pro)|codex-mini|o\d-pro|o\d(?:-mini)?-deep-research|computer-use)/;

export function respondsOnly(model: string): boolean {
  return RESPONDS_ONLY.test(model);
}

/** Reasoning models take no settings of chance but those that they have anyway, and no texts to stop at. */
export function refuseSampling({ temperature = 1, topP = 1, stops }: PlainCall, { name }: TargetModel): void {
  if (!isReasoningModel(name)) return;
  if (temperature !== 1) throw new Untranslatable(`${name} takes no temperature`);
  if (topP !== 1) throw new Untranslatable(`${name} takes no top_p`);
  if (stops.length > 0) throw new Untranslatable(`${name} takes no texts to stop at`);
}

/** The settings of chance that are sent. */
export function sampling({ temperature, topP }: PlainCall, { name }: TargetModel): Readonly<Record<string, number>> {
  if (isReasoningModel(name)) return {};
  return { ...(temperature !== undefined && { temperature }), ...(topP !== undefined && { top_p: topP }) };
}

/** A schema to which the model keeps. */
export function promised(schema: PlainSchema, { name }: TargetModel): PlainSchema {
  if (!KEEPS_SCHEMAS.test(name)) throw new Untranslatable(`nobody knows whether ${name} keeps to a schema`);
  if (!isPromisable(schema.schema)) throw new Untranslatable("the form of the answer has what not all providers promise to keep to");
  return schema;
}

export function refuseOddTool({ name, schema, isStrict }: PlainTool, model: TargetModel): void {
  if (!TOOL_NAME.test(name)) throw new Untranslatable(`a tool is called ${shown(name)}`);
  if (isStrict) promised({ name, schema }, model);
}
