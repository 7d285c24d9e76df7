import { type Countable, type ImageInput, imageSize } from "@purser/core/tokens";
import { optionalList, refuseForbidden, requiredList, requiredText } from "../body-fields.ts";
import { collectTexts, collectUnknown } from "../content.ts";
import type { ModelCall } from "../dialect.ts";
import { type JsonBody, memberValue, parseBody } from "../json-body.ts";
import { listOf, recordOf } from "../json-value.ts";
import { readCap } from "../ollama/options.ts";

const IMAGES = Buffer.from('"images"');

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
    messages: requiredList(body, "messages"),
    tools: optionalList(body, "tools"),
    images: body.bytes.includes(IMAGES) ? listOf(parseBody(body).messages).flatMap(imagesOf) : [],
    opaqueTokens: 0,
    hidesInput: false,
    toolCalls: {},
    user: undefined,
    tags: {},
    wantsUsage: true,
    // What a model thinks is shown, or is not thought.
    hidesReasoning: false,
    service: "standard",
    priceVariant: undefined,
  };
}

/** Images stand beside a text, as base64. */
export function imagesOf(fields: unknown): readonly ImageInput[] {
  return listOf(recordOf(fields).images).map((image) => (typeof image === "string" && imageSize(image)) || {});
}

/** Fields that are counted by themselves, and those that no model reads. */
const KNOWN = new Set(["messages", "tools", "format", "model", "options", "keep_alive"]);

export function countable(call: ModelCall): Countable {
  const body = parseBody(call.body);
  const texts: string[] = [];
  collectUnknown(body, KNOWN, texts);
  for (const message of listOf(body.messages)) {
    const { images, ...rest } = recordOf(message);
    collectTexts(call.images.length > 0 ? rest : message, texts);
  }
  if (body.format !== undefined) texts.push(JSON.stringify(body.format));
  const tools = listOf(body.tools).map((tool) => JSON.stringify(tool));
  return { texts, messages: call.messages, tools, images: call.images };
}
