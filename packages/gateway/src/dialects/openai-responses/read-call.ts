import type { Countable, ImageInput } from "@purser/core/tokens";
import { checkedCount, invalid, optionalBoolean, optionalCount, optionalList, optionalObject, refuseForbidden } from "../body-fields.ts";
import { collectTexts, collectUnknown, MEDIA_TYPES } from "../content.ts";
import type { ModelCall } from "../dialect.ts";
import { hidesReasoning } from "../hidden-reasoning.ts";
import { HOSTED_RESULT_TOKENS, HOSTED_TOOL_USES } from "../hosted-tools.ts";
import { type JsonBody, memberValue, parseBody } from "../json-body.ts";
import { isRecord, listOf } from "../json-value.ts";
import { readAttributes } from "../openai/attributes.ts";
import { isOtherMedia, type Media, NO_MEDIA, readImage, sizeOf, UNSEEN_FILE_TOKENS } from "../openai/media.ts";
import { readModel } from "../openai/model.ts";
import { askedTier } from "../openai/service-tier.ts";
import type { PathNames } from "../path.ts";
import { feeOf } from "./tool-fees.ts";

/** The provider refuses a cap below this. */
const CAP_LEAST = 16;

export function readCall(body: JsonBody, names: PathNames): ModelCall {
  refuseForbidden(body);
  if (optionalBoolean(body, "background"))
    throw invalid(
      'The field "background" is true, and what an answer used that is fetched later cannot be charged when it is made. Leave it out, and stream the answer.',
    );
  const model = readModel(body, names);
  const { toolCalls, resultTokens } = hostedTools(body);
  const { opaqueTokens, ...input } = readInput(body);
  return {
    body,
    model,
    stream: optionalBoolean(body, "stream"),
    outputCap: optionalCount(body, "max_output_tokens"),
    outputLeast: CAP_LEAST,
    copies: 1,
    messages: inputItems(body) + (body.members.has("instructions") ? 1 : 0),
    tools: optionalList(body, "tools"),
    ...input,
    opaqueTokens: opaqueTokens + resultTokens,
    toolCalls,
    ...readAttributes(body),
    wantsUsage: true,
    hidesReasoning: hidesReasoning(model) || optionalObject(body, "reasoning")?.effort !== undefined,
    service: askedTier(body),
    priceVariant: undefined,
  };
}

/** Fields that are counted by themselves, and those that no model reads. */
const KNOWN = new Set(
  (
    "input instructions tools text model metadata user safety_identifier stream_options include prompt_cache_key prompt_cache_options " +
    "reasoning tool_choice context_management previous_response_id conversation"
  ).split(" "),
);

export function countable(call: ModelCall): Countable {
  const body = parseBody(call.body);
  const texts: string[] = [];
  collectUnknown(body, KNOWN, texts);
  collectTexts(body.instructions, texts);
  collectTexts(body.input, texts);
  if (body.text !== undefined) texts.push(JSON.stringify(body.text));
  const tools = listOf(body.tools).map((tool) => JSON.stringify(tool));
  return { texts, messages: call.messages, tools, images: call.images, opaqueTokens: call.opaqueTokens };
}

/** How many items the input has. A text is one; none is needed where a conversation or a stored prompt is named. */
function inputItems(body: JsonBody): number {
  const member = body.members.get("input");
  if (member?.type === "array") return member.elements;
  if (member?.type === "string") return 1;
  if (memberValue(body, "input") !== undefined) throw invalid('The field "input" must be a text or a list.');
  if (member === undefined && !namesOtherInput(body)) throw invalid('The field "input" is required.');
  return 0;
}

interface ReadInput extends Media {
  readonly hidesInput: boolean;
}

/** An item of the input that stands for one of an earlier answer: `{"type":"item_reference","id":"…"}`, where the type may be left out. */
const REFERENCES = [Buffer.from('"item_reference"'), Buffer.from('{"id"')];

function readInput(body: JsonBody): ReadInput {
  const hidesInput = namesOtherInput(body);
  const mayRefer = REFERENCES.some((bytes) => body.bytes.includes(bytes));
  if (!body.mayHoldMedia && !mayRefer) return { ...NO_MEDIA, hidesInput };
  const { input } = parseBody(body);
  return { ...readMedia(input), hidesInput: hidesInput || listOf(input).some(isReference) };
}

/** Whether the call names what the provider keeps: an earlier answer, a conversation, a prompt. */
function namesOtherInput(body: JsonBody): boolean {
  return ["previous_response_id", "conversation", "prompt"].some((name) => memberValue(body, name) !== undefined);
}

function isReference(item: unknown): boolean {
  return isRecord(item) && (item.type === "item_reference" || (item.type == null && item.content === undefined && item.id !== undefined));
}

function readMedia(input: unknown): Media {
  const images: ImageInput[] = [];
  let opaqueTokens = 0;
  const pending: unknown[] = [input];
  for (let value = pending.pop(); value !== undefined || pending.length > 0; value = pending.pop()) {
    if (!isRecord(value) && !Array.isArray(value)) continue;
    if (Array.isArray(value) || !MEDIA_TYPES.has(value.type)) for (const inner of Object.values(value)) pending.push(inner);
    else if (value.type === "image_generation_call") images.push({});
    else if (value.type !== "input_image" && value.type !== "computer_screenshot") opaqueTokens += mediaTokens(value);
    else if (isOtherMedia(value.image_url)) opaqueTokens += sizeOf(value);
    else images.push(readImage(value.image_url, value.detail));
  }
  return { images, opaqueTokens };
}

/** Media inside the body has fewer tokens than the body has bytes of it; a file that is named by id or address is somewhere else. */
function mediaTokens(part: Readonly<Record<string, unknown>>): number {
  const isElsewhere = part.type === "input_file" && typeof part.file_data !== "string";
  return isElsewhere ? UNSEEN_FILE_TOKENS : sizeOf(part);
}

/** Tools that run at the provider: what they may cost by the use, and what they may give the model to read. */
function hostedTools(body: JsonBody): { readonly toolCalls: Readonly<Record<string, number>>; readonly resultTokens: number } {
  const toolCalls: Record<string, number> = {};
  if (optionalList(body, "tools") === 0) return { toolCalls, resultTokens: 0 };
  const most = checkedCount(memberValue(body, "max_tool_calls"), "max_tool_calls", 0, 1_000) ?? HOSTED_TOOL_USES;
  let reading = 0;
  for (const tool of listOf(memberValue(body, "tools"))) {
    const fee = feeOf(tool);
    if (fee === undefined) continue;
    if (fee.bringsText) reading = most;
    if (fee.name !== undefined) toolCalls[fee.name] = Math.min(most, fee.usesMost ?? most);
  }
  return { toolCalls, resultTokens: reading * HOSTED_RESULT_TOKENS };
}
