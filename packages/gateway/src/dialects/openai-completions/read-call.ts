import type { Countable } from "@purser/core/tokens";
import { optionalBoolean, optionalCount, refuseForbidden } from "../body-fields.ts";
import { collectTexts, collectUnknown } from "../content.ts";
import type { ModelCall } from "../dialect.ts";
import { type JsonBody, parseBody } from "../json-body.ts";
import { readAttributes } from "../openai/attributes.ts";
import { NO_MEDIA } from "../openai/media.ts";
import { readModel } from "../openai/model.ts";
import { askedTier } from "../openai/service-tier.ts";
import { wantsUsage } from "../openai/stream-options.ts";
import { countTexts, readTexts } from "../openai/token-lists.ts";
import type { PathNames } from "../path.ts";

/** The cap of a completion that names none (https://platform.openai.com/docs/api-reference/completions/create). */
const OUTPUT_TOKENS = 16;

export function readCall(body: JsonBody, names: PathNames): ModelCall {
  refuseForbidden(body);
  const prompts = countTexts(body, "prompt");
  // Every answer of which the best are returned is written, and charged.
  const answers = Math.max(optionalCount(body, "n", 128) ?? 1, optionalCount(body, "best_of", 128) ?? 1);
  return {
    body,
    model: readModel(body, names),
    stream: optionalBoolean(body, "stream"),
    outputCap: optionalCount(body, "max_tokens") ?? OUTPUT_TOKENS,
    outputLeast: 1,
    copies: prompts * answers,
    // Texts alone have no frame around them.
    messages: 0,
    tools: 0,
    ...NO_MEDIA,
    hidesInput: false,
    toolCalls: {},
    ...readAttributes(body),
    wantsUsage: wantsUsage(body),
    hidesReasoning: false,
    service: askedTier(body),
    priceVariant: undefined,
  };
}

/** Fields that are counted by themselves, and those that no model reads. */
const KNOWN = new Set("prompt suffix model metadata user safety_identifier stream_options logit_bias stop".split(" "));

export function countable(call: ModelCall): Countable {
  const body = parseBody(call.body);
  const unknown: string[] = [];
  collectUnknown(body, KNOWN, unknown);
  collectTexts(body.suffix, unknown);
  const { texts, tokens } = readTexts(body.prompt);
  return { texts: [...texts, ...unknown], messages: call.messages, opaqueTokens: call.opaqueTokens + tokens };
}
