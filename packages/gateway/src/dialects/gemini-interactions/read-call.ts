import { type Countable, type ImageInput, imageSize } from "@purser/core/tokens";
import { checkedCount, invalid, optionalBoolean, optionalList, optionalObject, refuseForbidden, requiredText } from "../body-fields.ts";
import { collectTexts, collectUnknown, isFunctionData, MEDIA_TYPES } from "../content.ts";
import type { ModelCall } from "../dialect.ts";
import { NO_MEDIA } from "../gemini/media.ts";
import { chargesEachSearch } from "../gemini/searches.ts";
import { hidesReasoning } from "../hidden-reasoning.ts";
import { HOSTED_RESULT_TOKENS, HOSTED_TOOL_USES } from "../hosted-tools.ts";
import { type JsonBody, memberValue, parseBody } from "../json-body.ts";
import { isRecord, listOf, recordOf } from "../json-value.ts";
import { askedTier } from "../openai/service-tier.ts";

export function readCall(body: JsonBody): ModelCall {
  refuseForbidden(body);
  if (body.members.has("agent"))
    throw invalid('The field "agent" is not allowed: what an agent of the provider does is not bounded. Name a model.');
  if (optionalBoolean(body, "background"))
    throw invalid(
      'The field "background" is true, and what an answer used that is fetched later cannot be charged when it is made. Leave it out.',
    );
  if (memberValue(body, "input") === undefined) throw invalid('The field "input" is required.');
  const model = requiredText(body, "model");
  const config = optionalObject(body, "generation_config") ?? {};
  const { images, opaqueTokens, namesFile } = body.mayHoldMedia ? readMedia(parseBody(body).input) : NO_MEDIA;
  const { functions, toolCalls, resultTokens } = toolsOf(body, model);
  const { type, elements } = body.members.get("input") ?? { type: "string", elements: 1 };
  return {
    body,
    model,
    stream: optionalBoolean(body, "stream"),
    outputCap: checkedCount(config.max_output_tokens, "generation_config.max_output_tokens", 1),
    outputLeast: 1,
    copies: 1,
    messages: (type === "array" ? elements : 1) + (body.members.has("system_instruction") ? 1 : 0),
    tools: functions,
    images,
    opaqueTokens: opaqueTokens + resultTokens,
    hidesInput: namesFile || ["previous_interaction_id", "cached_content"].some((name) => memberValue(body, name) !== undefined),
    toolCalls,
    user: undefined,
    tags: {},
    wantsUsage: true,
    hidesReasoning: hidesReasoning(model),
    service: askedTier(body),
    priceVariant: undefined,
  };
}

/** Fields that are counted by themselves, and those that no model reads. */
const KNOWN = new Set(
  "input system_instruction tools response_format model generation_config labels previous_interaction_id cached_content".split(" "),
);

export function countable(call: ModelCall): Countable {
  const body = parseBody(call.body);
  const texts: string[] = [];
  collectUnknown(body, KNOWN, texts);
  collectTexts(body.system_instruction, texts);
  collectTexts(body.input, texts);
  if (body.response_format !== undefined) texts.push(JSON.stringify(body.response_format));
  const tools = listOf(body.tools).map((tool) => JSON.stringify(tool));
  return { texts, messages: call.messages, tools, images: call.images, opaqueTokens: call.opaqueTokens };
}

/** The parts of an input that are no text; but what a function is called with, or returns, is text. */
function readMedia(input: unknown) {
  const images: ImageInput[] = [];
  let opaqueTokens = 0;
  let namesFile = false;
  const pending: unknown[] = [input];
  for (let value = pending.pop(); value !== undefined || pending.length > 0; value = pending.pop()) {
    if (!isRecord(value) && !Array.isArray(value)) continue;
    if (isRecord(value) && value.type === "image") images.push((typeof value.data === "string" && imageSize(value.data)) || {});
    else if (isRecord(value) && MEDIA_TYPES.has(value.type)) {
      if (typeof value.data === "string") opaqueTokens += value.data.length;
      else namesFile = true;
    } else for (const [name, inner] of Object.entries(value)) if (Array.isArray(value) || !isFunctionData(name, value)) pending.push(inner);
  }
  return { images, opaqueTokens, namesFile };
}

/** Tools that run at the provider, with their names in the rate card where they cost something by the use. */
const HOSTED: Readonly<Record<string, string | undefined>> = {
  google_search: "web_search",
  google_maps: "maps",
  url_context: undefined,
  code_execution: undefined,
  file_search: undefined,
  mcp_server: undefined,
};

function toolsOf(body: JsonBody, model: string) {
  const toolCalls: Record<string, number> = {};
  if (optionalList(body, "tools") === 0) return { functions: 0, toolCalls, resultTokens: 0 };
  const types = listOf(memberValue(body, "tools")).map((tool) => String(recordOf(tool).type));
  const hosted = types.filter((type) => Object.hasOwn(HOSTED, type));
  for (const type of hosted) {
    const fee = HOSTED[type];
    if (fee !== undefined) toolCalls[fee] = fee === "web_search" && chargesEachSearch(model) ? HOSTED_TOOL_USES : 1;
  }
  return {
    functions: types.length - hosted.length,
    toolCalls,
    resultTokens: hosted.length > 0 ? HOSTED_TOOL_USES * HOSTED_RESULT_TOKENS : 0,
  };
}
