import type { Countable } from "@purser/core/tokens";
import { invalid, optionalList, refuseForbidden, requiredText } from "../body-fields.ts";
import { collectTexts, collectUnknown } from "../content.ts";
import type { ModelCall } from "../dialect.ts";
import { type JsonBody, parseBody } from "../json-body.ts";

export function readCall(body: JsonBody): ModelCall {
  refuseForbidden(body);
  if (optionalList(body, "images") > 0 || body.mayHoldMedia)
    throw invalid("Images have a price of their own, which no rate here has. Embed texts through here.");
  if (optionalList(body, "texts") + optionalList(body, "inputs") === 0)
    throw invalid('The field "texts" must be a list with at least one text.');
  return {
    body,
    model: requiredText(body, "model"),
    stream: false,
    outputCap: 0,
    outputLeast: 0,
    copies: 1,
    messages: 0,
    tools: 0,
    images: [],
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
const KNOWN = new Set("texts inputs model input_type embedding_types truncate".split(" "));

export function countable(call: ModelCall): Countable {
  const body = parseBody(call.body);
  const texts: string[] = [];
  collectUnknown(body, KNOWN, texts);
  collectTexts([body.texts, body.inputs], texts);
  return { texts, messages: call.messages, tools: [] };
}
