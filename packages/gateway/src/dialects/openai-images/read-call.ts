import type { Countable } from "@purser/core/tokens";
import { checkedCount, invalid, optionalBoolean, optionalCount, optionalText, refuseForbidden } from "../body-fields.ts";
import { collectUnknown } from "../content.ts";
import type { ModelCall } from "../dialect.ts";
import { type JsonBody, memberValue, parseBody } from "../json-body.ts";
import { readAttributes } from "../openai/attributes.ts";
import { readModel } from "../openai/model.ts";
import type { PathNames } from "../path.ts";

/** The most tokens that an image of 1536×1024 has, by its quality (https://platform.openai.com/docs/guides/image-generation). */
const TOKENS: Readonly<Record<string, number>> = { low: 408, medium: 1_584 };
const TOKENS_MOST = 6_240;
const PIXELS = 1_536 * 1_024;
/** Each image that is shown before it is ready costs so many more. */
const PARTIAL_TOKENS = 100;

export function readCall(body: JsonBody, names: PathNames): ModelCall {
  const prompt = body.members.get("prompt");
  if (prompt?.type !== "string") throw invalid('The field "prompt" must be a text.');
  return readImageCall(body, readModel(body, names));
}

/** A call for images, whatever they are made from. */
export function readImageCall(body: JsonBody, model: string): ModelCall {
  refuseForbidden(body);
  const tokens = imageTokens(body);
  return {
    body,
    model,
    stream: optionalBoolean(body, "stream"),
    // No field says how many tokens an image may have: its size and its quality do, and cannot be lowered.
    outputCap: tokens,
    outputLeast: tokens,
    copies: optionalCount(body, "n", 128) ?? 1,
    messages: 1,
    tools: 0,
    images: [],
    opaqueTokens: 0,
    hidesInput: false,
    toolCalls: {},
    ...readAttributes(body),
    wantsUsage: true,
    // Who reports no usage shows nothing from which it could be counted.
    hidesReasoning: true,
    service: "standard",
    priceVariant: undefined,
  };
}

/** Fields that are counted by themselves, and those that no model reads. */
const KNOWN = new Set(
  "prompt model n size quality background moderation output_format response_format style image mask input_fidelity user metadata".split(
    " ",
  ),
);

export function countable(call: ModelCall): Countable {
  const body = parseBody(call.body);
  const texts = body.prompt === undefined ? [] : [String(body.prompt)];
  collectUnknown(body, KNOWN, texts);
  return { texts, messages: call.messages, tools: [], opaqueTokens: call.opaqueTokens };
}

/** The most tokens that one image can have: that of the best quality, and of the largest size that has a name, where the call leaves it open. */
function imageTokens(body: JsonBody): number {
  const [, width = "", height = ""] = /^(\d{1,5})x(\d{1,5})$/.exec(optionalText(body, "size") ?? "") ?? [];
  const share = Math.max(1, (Number(width) * Number(height)) / PIXELS);
  const partial = checkedCount(memberValue(body, "partial_images"), "partial_images", 0, 16) ?? 0;
  return Math.ceil((TOKENS[optionalText(body, "quality") ?? ""] ?? TOKENS_MOST) * share) + partial * PARTIAL_TOKENS;
}
