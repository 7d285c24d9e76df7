import type { Countable } from "@purser/core/tokens";
import { optionalBoolean, optionalCount, optionalList, refuseForbidden, requiredList, requiredText } from "../body-fields.ts";
import { collectTexts, collectUnknown } from "../content.ts";
import type { ModelCall } from "../dialect.ts";
import { type JsonBody, parseBody } from "../json-body.ts";
import { listOf, recordOf } from "../json-value.ts";
import { NO_MEDIA, readMedia } from "../openai/media.ts";

/** What Cohere puts before every prompt by itself: 494 tokens to 1,644 in recorded answers. It counts them as input and does not bill them. */
const PREAMBLE_TOKENS = 2_000;

export function readCall(body: JsonBody): ModelCall {
  refuseForbidden(body);
  const { images, opaqueTokens } = body.mayHoldMedia ? readMedia(partsOf(parseBody(body).messages)) : NO_MEDIA;
  return {
    body,
    model: requiredText(body, "model"),
    stream: optionalBoolean(body, "stream"),
    outputCap: optionalCount(body, "max_tokens"),
    outputLeast: 1,
    copies: 1,
    messages: requiredList(body, "messages"),
    tools: optionalList(body, "tools"),
    images,
    opaqueTokens: opaqueTokens + PREAMBLE_TOKENS,
    hidesInput: false,
    toolCalls: {},
    user: undefined,
    tags: {},
    wantsUsage: true,
    // What a model thinks is shown.
    hidesReasoning: false,
    service: "standard",
    priceVariant: undefined,
  };
}

/** Fields that are counted by themselves, and those that no model reads. */
const KNOWN = new Set("messages tools documents response_format model stop_sequences tool_choice safety_mode thinking".split(" "));

export function countable(call: ModelCall): Countable {
  const body = parseBody(call.body);
  const texts: string[] = [];
  collectUnknown(body, KNOWN, texts);
  for (const message of listOf(body.messages)) {
    const { content, ...rest } = recordOf(message);
    const parts = listOf(content);
    collectTexts([rest, Array.isArray(content) ? parts.filter((part) => !isDocument(part)) : content], texts);
    for (const part of parts) if (isDocument(part)) texts.push(JSON.stringify(part));
  }
  // The names of a document's fields are read too.
  for (const value of [body.documents, body.response_format]) if (value !== undefined) texts.push(JSON.stringify(value));
  const tools = listOf(body.tools).map((tool) => JSON.stringify(tool));
  return { texts, messages: call.messages, tools, images: call.images, opaqueTokens: call.opaqueTokens };
}

/** The parts of messages that may be images. */
function partsOf(messages: unknown): readonly unknown[] {
  return listOf(messages)
    .flatMap((message) => listOf(recordOf(message).content))
    .filter((part) => !isDocument(part));
}

/** A document is text here, whatever it is in other formats. */
function isDocument(part: unknown): boolean {
  return recordOf(part).type === "document";
}
