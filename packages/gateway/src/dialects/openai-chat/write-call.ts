import type { CallChanges, ModelCall } from "../dialect.ts";
import { editBody, memberValue } from "../json-body.ts";
import { nameModel } from "../openai/model.ts";
import { askForUsage } from "../openai/stream-options.ts";

/** Sets the model's name, the output cap and, in streams, the wish for usage: only where they differ from what stands. */
export function writeCall(call: ModelCall, { model, outputTokens }: CallChanges): Buffer {
  const changes = new Map<string, string>();
  nameModel(call, model, changes);
  if (outputTokens !== undefined) {
    const field = capField(call, model);
    const other = OTHER_NAME[field];
    const isRenamed = memberValue(call.body, other) !== undefined;
    if (isRenamed) changes.set(other, "null");
    if (isRenamed || outputTokens !== call.outputCap) changes.set(field, String(outputTokens));
  }
  askForUsage(call, changes);
  return changes.size === 0 ? call.body.bytes : editBody(call.body, changes);
}

/** OpenAI's reasoning models refuse `max_tokens`; everybody else understands it, and not everybody the newer name. */
const REASONING = /^(?:o\d|gpt-(?:[5-9]|\d\d)|codex|computer-use)/;

/** Makers whose API documents `max_tokens` only. DeepSeek's passes over the newer name, so that a cap in it would be none. */
const OLDER_NAME = /deepseek|qwen|qwq|mi[sx]tral|ministral|magistral|codestral|devstral|pixtral|glm-|sonar|command-|llama|gemma/i;
const OTHER_NAME = { max_tokens: "max_completion_tokens", max_completion_tokens: "max_tokens" } as const;

/** The field that the caller used, unless the model passes over it; else the one that the model understands. */
function capField({ body, outputCap }: ModelCall, model: string): keyof typeof OTHER_NAME {
  const hasNewName = memberValue(body, "max_completion_tokens") !== undefined;
  if (outputCap !== undefined) return hasNewName && !OLDER_NAME.test(model) ? "max_completion_tokens" : "max_tokens";
  return usualCapField(model);
}

/** The field of the cap that the model understands. */
export function usualCapField(model: string): keyof typeof OTHER_NAME {
  return isReasoningModel(model) ? "max_completion_tokens" : "max_tokens";
}

/** Whether a model is one of OpenAI's that reason. */
export function isReasoningModel(model: string): boolean {
  return REASONING.test(model.slice(model.lastIndexOf("/") + 1));
}
