import type { Countable } from "@purser/core/tokens";
import { invalid, optionalBoolean, optionalCount, optionalList, optionalObject, refuseForbidden, requiredList } from "../body-fields.ts";
import { collectTexts, collectUnknown } from "../content.ts";
import type { ModelCall } from "../dialect.ts";
import { hidesReasoning } from "../hidden-reasoning.ts";
import { type JsonBody, parseBody } from "../json-body.ts";
import { isRecord, listOf, recordOf } from "../json-value.ts";
import { readAttributes } from "../openai/attributes.ts";
import { NO_MEDIA, readMedia, sizeOf } from "../openai/media.ts";
import { readModel } from "../openai/model.ts";
import { askedTier } from "../openai/service-tier.ts";
import { wantsUsage } from "../openai/stream-options.ts";
import type { PathNames } from "../path.ts";
import { chargedTools, readByTools } from "./tool-fees.ts";

export function readCall(body: JsonBody, names: PathNames): ModelCall {
  refuseForbidden(body);
  const caps = [optionalCount(body, "max_completion_tokens"), optionalCount(body, "max_tokens")];
  if (caps[0] !== undefined && caps[1] !== undefined) {
    throw invalid('The fields "max_tokens" and "max_completion_tokens" are both there. Send one of them.');
  }
  const model = readModel(body, names);
  const toolCalls = chargedTools(body, model);
  const { images, opaqueTokens } = body.mayHoldMedia ? readMedia(partsOf(parseBody(body).messages)) : NO_MEDIA;
  const { user, tags } = readAttributes(body);
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
    images,
    opaqueTokens: opaqueTokens + readByTools(toolCalls, model),
    hidesInput: namesCache(body),
    toolCalls,
    user,
    tags,
    wantsUsage: wantsUsage(body),
    hidesReasoning: hidesReasoning(model),
    service: askedTier(body),
    priceVariant: undefined,
    beyondCapBytes: body.members.has("prediction") ? sizeOf(optionalObject(body, "prediction")) : 0,
  };
}

/** Whether a call of Google's names contents that are cached there: then they are input, and stand nowhere in it. */
function namesCache(body: JsonBody): boolean {
  const { google = recordOf(optionalObject(body, "extra_body")).google } = { google: optionalObject(body, "google") };
  return recordOf(google).cached_content !== undefined;
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

function partsOf(messages: unknown): readonly unknown[] {
  return listOf(messages).flatMap((message) => (isRecord(message) ? listOf(message.content) : []));
}
