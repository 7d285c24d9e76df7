import type { Countable } from "@purser/core/tokens";
import { checkedName, invalid, refuseForbidden } from "../body-fields.ts";
import { collectTexts, collectUnknown } from "../content.ts";
import type { ModelCall } from "../dialect.ts";
import { NO_MEDIA, readMedia } from "../gemini/media.ts";
import { type JsonBody, memberValue, parseBody } from "../json-body.ts";
import type { PathNames } from "../path.ts";

export function readCall(body: JsonBody, names: PathNames): ModelCall {
  refuseForbidden(body);
  if (memberValue(body, "content") === undefined && memberValue(body, "requests") === undefined)
    throw invalid('The field "content" is required, or "requests" for several.');
  const { images, opaqueTokens, namesFile } = body.mayHoldMedia ? mediaOf(parseBody(body)) : NO_MEDIA;
  return {
    body,
    model: checkedName(names.model, "model"),
    stream: false,
    outputCap: 0,
    outputLeast: 0,
    copies: 1,
    // Texts alone have no frame around them.
    messages: 0,
    tools: 0,
    images,
    opaqueTokens,
    hidesInput: namesFile,
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
const KNOWN = new Set(["content", "requests", "model"]);

export function countable(call: ModelCall): Countable {
  const body = parseBody(call.body);
  const texts: string[] = [];
  collectUnknown(body, KNOWN, texts);
  collectTexts(body.content, texts);
  collectTexts(body.requests, texts);
  return { texts, messages: call.messages, images: call.images, opaqueTokens: call.opaqueTokens };
}

function mediaOf(body: Readonly<Record<string, unknown>>) {
  return readMedia([body.content, body.requests]);
}
