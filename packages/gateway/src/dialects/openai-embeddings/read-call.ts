import type { Countable } from "@purser/core/tokens";
import { refuseForbidden } from "../body-fields.ts";
import { collectUnknown } from "../content.ts";
import type { ModelCall } from "../dialect.ts";
import { type JsonBody, parseBody } from "../json-body.ts";
import { isRecord, listOf } from "../json-value.ts";
import { readAttributes } from "../openai/attributes.ts";
import { type Media, NO_MEDIA, readMedia } from "../openai/media.ts";
import { readModel } from "../openai/model.ts";
import { countTexts, readTexts } from "../openai/token-lists.ts";
import type { PathNames } from "../path.ts";

export function readCall(body: JsonBody, names: PathNames): ModelCall {
  return readInputCall(body, readModel(body, names));
}

/** A call that has an input and no answer of tokens. */
export function readInputCall(body: JsonBody, model: string): ModelCall {
  refuseForbidden(body);
  countTexts(body, "input");
  return {
    body,
    model,
    stream: false,
    outputCap: 0,
    outputLeast: 0,
    copies: 1,
    // Texts alone have no frame around them.
    messages: 0,
    tools: 0,
    ...mediaOf(body),
    hidesInput: false,
    toolCalls: {},
    ...readAttributes(body),
    wantsUsage: true,
    hidesReasoning: false,
    service: "standard",
    priceVariant: undefined,
  };
}

/** Some models read images too, as parts of the input or of its elements. */
function mediaOf(body: JsonBody): Media {
  if (!body.mayHoldMedia) return NO_MEDIA;
  const elements = listOf(parseBody(body).input);
  return readMedia([...elements, ...elements.flatMap((one) => (isRecord(one) ? listOf(one.content) : []))]);
}

/** Fields that are counted by themselves, and those that no model reads. */
const KNOWN = new Set("input model metadata user safety_identifier".split(" "));

export function countable(call: ModelCall): Countable {
  const body = parseBody(call.body);
  const unknown: string[] = [];
  collectUnknown(body, KNOWN, unknown);
  const { texts, tokens } = readTexts(body.input);
  return { texts: [...texts, ...unknown], messages: call.messages, images: call.images, opaqueTokens: call.opaqueTokens + tokens };
}
