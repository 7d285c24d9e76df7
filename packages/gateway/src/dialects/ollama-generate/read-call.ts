import type { Countable } from "@purser/core/tokens";
import { optionalText, refuseForbidden, requiredText } from "../body-fields.ts";
import { collectTexts, collectUnknown } from "../content.ts";
import type { ModelCall } from "../dialect.ts";
import { type JsonBody, memberValue, parseBody } from "../json-body.ts";
import { readCap } from "../ollama/options.ts";
import { imagesOf } from "../ollama-chat/read-call.ts";
import { readTexts } from "../openai/token-lists.ts";

export function readCall(body: JsonBody): ModelCall {
  refuseForbidden(body);
  return {
    body,
    model: requiredText(body, "model"),
    // A call that does not say so is streamed.
    stream: memberValue(body, "stream") !== false,
    outputCap: readCap(body),
    outputLeast: 1,
    copies: 1,
    messages: (optionalText(body, "prompt") === undefined ? 0 : 1) + (optionalText(body, "system") === undefined ? 0 : 1),
    tools: 0,
    images: body.members.has("images") ? imagesOf(parseBody(body)) : [],
    opaqueTokens: 0,
    hidesInput: false,
    toolCalls: {},
    user: undefined,
    tags: {},
    wantsUsage: true,
    hidesReasoning: false,
    service: "standard",
    priceVariant: undefined,
  };
}

/** Fields that are counted by themselves, and those that no model reads. */
const KNOWN = new Set(["prompt", "system", "suffix", "template", "context", "images", "format", "model", "options", "keep_alive"]);

export function countable(call: ModelCall): Countable {
  const body = parseBody(call.body);
  const texts: string[] = [];
  collectUnknown(body, KNOWN, texts);
  collectTexts([body.system, body.prompt, body.suffix, body.template], texts);
  if (body.format !== undefined) texts.push(JSON.stringify(body.format));
  // What came before is sent as the tokens that it was.
  const before = readTexts(body.context ?? []);
  return { texts: [...texts, ...before.texts], messages: call.messages, images: call.images, opaqueTokens: before.tokens };
}
