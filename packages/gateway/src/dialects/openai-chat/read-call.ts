import { type Countable, type ImageInput, imageSize } from "@purser/core/tokens";
import {
  invalid,
  optionalBoolean,
  optionalCount,
  optionalList,
  optionalObject,
  optionalText,
  refuseForbidden,
  requiredList,
  requiredText,
} from "../body-fields.ts";
import { collectTexts, collectUnknown, MEDIA_TYPES } from "../content.ts";
import type { ModelCall } from "../dialect.ts";
import { type JsonBody, parseBody } from "../json-body.ts";
import { isRecord, listOf, recordOf } from "../json-value.ts";
import { chargedTools } from "./tool-fees.ts";

/** Files that are named by id are somewhere else: a PDF of 100 pages has about this many tokens. */
const UNSEEN_FILE_TOKENS = 100_000;
/** Models whose reasoning is charged and not shown, or shown as a summary. */
const HIDES_REASONING = /^(?:o\d|gpt-(?:[5-9]|\d\d)|codex|gemini-(?:2\.5|[3-9])|grok-(?:3-mini|[4-9]))/;

export function readCall(body: JsonBody): ModelCall {
  refuseForbidden(body);
  const caps = [optionalCount(body, "max_completion_tokens"), optionalCount(body, "max_tokens")];
  if (caps[0] !== undefined && caps[1] !== undefined) {
    throw invalid('The fields "max_tokens" and "max_completion_tokens" are both there. Send one of them.');
  }
  const wantsUsage = optionalObject(body, "stream_options")?.include_usage ?? false;
  if (typeof wantsUsage !== "boolean") throw invalid('The field "stream_options.include_usage" must be true or false.');
  const metadata = optionalObject(body, "metadata") ?? {};
  const model = requiredText(body, "model");
  const media = body.mayHoldMedia ? readMedia(parseBody(body)) : { images: [], opaqueTokens: 0 };
  return {
    body,
    model,
    stream: optionalBoolean(body, "stream"),
    outputCap: caps[0] ?? caps[1],
    outputLeast: 1,
    // vLLM writes the best of so many answers, and shows `n` of them.
    copies: Math.max(optionalCount(body, "n", 128) ?? 1, optionalCount(body, "best_of", 128) ?? 1),
    messages: requiredList(body, "messages"),
    tools: optionalList(body, "tools") + optionalList(body, "functions"),
    ...media,
    toolCalls: chargedTools(body),
    user: optionalText(body, "safety_identifier") ?? optionalText(body, "user"),
    tags: textsOf(metadata),
    wantsUsage,
    hidesReasoning: HIDES_REASONING.test(model.slice(model.lastIndexOf("/") + 1)),
    // Flex costs less, but a call may be served at the standard tier; priority costs more.
    service: optionalText(body, "service_tier") === "priority" ? "priority" : "standard",
    priceVariant: undefined,
  };
}

/** Fields that are counted by themselves, and those that no model reads. */
const KNOWN = new Set(
  "messages tools functions response_format prediction model metadata user safety_identifier stream_options logit_bias stop tool_choice".split(
    " ",
  ),
);

export function countable(call: ModelCall): Countable {
  const body = parseBody(call.body);
  const texts: string[] = [];
  collectUnknown(body, KNOWN, texts);
  collectTexts(body.messages, texts);
  if (body.response_format !== undefined) texts.push(JSON.stringify(body.response_format));
  if (body.prediction !== undefined) collectTexts(body.prediction, texts);
  const tools = [...listOf(body.tools), ...listOf(body.functions)].map((tool) => JSON.stringify(tool));
  const names = listOf(body.messages).filter((message) => isRecord(message) && message.name !== undefined).length;
  return { texts, messages: call.messages, names, tools, images: call.images, opaqueTokens: call.opaqueTokens };
}

function readMedia(body: Record<string, unknown>): { readonly images: readonly ImageInput[]; readonly opaqueTokens: number } {
  const images: ImageInput[] = [];
  let opaqueTokens = 0;
  for (const part of listOf(body.messages).flatMap((message) => (isRecord(message) ? listOf(message.content) : []))) {
    if (!isRecord(part)) continue;
    const isKnown = ["image_url", "input_audio", "file", "video_url"].some((kind) => part.type === kind || part[kind] !== undefined);
    if (part.type === "image_url" || part.image_url !== undefined) {
      // Google takes documents and sound in the place of an image too.
      if (OTHER_DATA.test(String(urlOf(part.image_url)))) opaqueTokens += sizeOf(part);
      else images.push(readImage(part.image_url));
    }
    if (part.type === "input_audio" || part.input_audio !== undefined) opaqueTokens += sizeOf(part);
    if (part.type === "file" || part.file !== undefined)
      opaqueTokens += isRecord(part.file) && part.file.file_id !== undefined ? UNSEEN_FILE_TOKENS : sizeOf(part);
    if (part.type === "video_url" || part.video_url !== undefined) opaqueTokens += UNSEEN_FILE_TOKENS;
    // Other kinds of media, in the words of other formats: never more tokens than bytes.
    if (!isKnown && MEDIA_TYPES.has(part.type)) opaqueTokens += sizeOf(part);
  }
  return { images, opaqueTokens };
}

const OTHER_DATA = /^\s*data:(?!image\/)/i;

function urlOf(image: unknown): unknown {
  return isRecord(image) ? image.url : image;
}

function readImage(image: unknown): ImageInput {
  const url = urlOf(image);
  const { detail } = recordOf(image);
  const known = detail === "low" || detail === "high" || detail === "original" ? { detail } : {};
  const data = typeof url === "string" ? /^data:[^,]*;base64,/.exec(url) : null;
  const size = data && typeof url === "string" ? imageSize(url.slice(data[0].length)) : undefined;
  return { ...known, ...size } as ImageInput;
}

/** Media inside the body has fewer tokens than the body has bytes of it. */
function sizeOf(part: unknown): number {
  return JSON.stringify(part ?? "").length;
}

function textsOf(metadata: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(Object.entries(metadata).filter((pair): pair is [string, string] => typeof pair[1] === "string"));
}
