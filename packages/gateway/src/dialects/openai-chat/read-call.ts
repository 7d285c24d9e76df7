import type { Countable, ImageInput } from "@purser/core/tokens";
import {
  invalid,
  optionalBoolean,
  optionalCount,
  optionalList,
  optionalObject,
  refuseForbidden,
  requiredList,
  requiredText,
} from "../body-fields.ts";
import { collectTexts, collectUnknown, MEDIA_TYPES } from "../content.ts";
import type { ModelCall } from "../dialect.ts";
import { hidesReasoning } from "../hidden-reasoning.ts";
import { type JsonBody, parseBody } from "../json-body.ts";
import { isRecord, listOf } from "../json-value.ts";
import { readAttributes } from "../openai/attributes.ts";
import { isOtherMedia, readImage, sizeOf } from "../openai/image.ts";
import { askedTier } from "../openai/service-tier.ts";

/** Files that are named by id are somewhere else: a PDF of 100 pages has about this many tokens. */
const UNSEEN_FILE_TOKENS = 100_000;
/** These models search the web once for every call, asked or not. */
const SEARCH_MODEL = /search-preview/;

export function readCall(body: JsonBody): ModelCall {
  refuseForbidden(body);
  const caps = [optionalCount(body, "max_completion_tokens"), optionalCount(body, "max_tokens")];
  if (caps[0] !== undefined && caps[1] !== undefined) {
    throw invalid('The fields "max_tokens" and "max_completion_tokens" are both there. Send one of them.');
  }
  const wantsUsage = optionalObject(body, "stream_options")?.include_usage ?? false;
  if (typeof wantsUsage !== "boolean") throw invalid('The field "stream_options.include_usage" must be true or false.');
  const model = requiredText(body, "model");
  const media = body.mayHoldMedia ? readMedia(parseBody(body)) : { images: [], opaqueTokens: 0 };
  return {
    body,
    model,
    stream: optionalBoolean(body, "stream"),
    outputCap: caps[0] ?? caps[1],
    outputLeast: 1,
    copies: optionalCount(body, "n", 128) ?? 1,
    messages: requiredList(body, "messages"),
    tools: optionalList(body, "tools") + optionalList(body, "functions"),
    ...media,
    hidesInput: false,
    toolCalls: searches(body),
    ...readAttributes(body),
    wantsUsage,
    hidesReasoning: hidesReasoning(model),
    service: askedTier(body),
    priceVariant: undefined,
  };
}

function searches(body: JsonBody): Record<string, number> {
  if (SEARCH_MODEL.test(requiredText(body, "model"))) return { web_search_preview: 1 };
  return optionalObject(body, "web_search_options") === undefined ? {} : { web_search: 1 };
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
      if (isOtherMedia(part.image_url)) opaqueTokens += sizeOf(part);
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
