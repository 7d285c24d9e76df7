import { type Countable, type ImageInput, imageSize } from "@purser/core/tokens";
import {
  checkedCount,
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
import { collectTexts, collectUnknown, isToolUse, MEDIA_TYPES } from "../content.ts";
import type { ModelCall } from "../dialect.ts";
import { HOSTED_RESULT_TOKENS, HOSTED_TOOL_USES } from "../hosted-tools.ts";
import { type JsonBody, memberValue, parseBody } from "../json-body.ts";
import { isRecord, listOf } from "../json-value.ts";
import type { PathNames } from "../path.ts";

/** A document that is named by id or address is somewhere else: a PDF of 100 pages has about this many tokens. */
const UNSEEN_DOCUMENT_TOKENS = 250_000;

export function readCall(body: JsonBody, names: PathNames): ModelCall {
  const call = readQuestion(body, names);
  if (call.outputCap === undefined) throw invalid('The field "max_tokens" is required.');
  return call;
}

/** The same without a cap: a question that is only counted has no answer. */
export function readQuestion(body: JsonBody, names: PathNames): ModelCall {
  refuseForbidden(body);
  // Bedrock has the model in its path.
  const model = names.model ?? requiredText(body, "model");
  const toolCalls = serverTools(body, model);
  const thinking = optionalObject(body, "thinking");
  const metadata = optionalObject(body, "metadata") ?? {};
  const media = body.mayHoldMedia ? readMedia(parseBody(body)) : { images: [], opaqueTokens: 0 };
  return {
    body,
    model,
    stream: optionalBoolean(body, "stream"),
    outputCap: optionalCount(body, "max_tokens"),
    // The provider refuses a cap that is not above the thinking budget.
    outputLeast: (checkedCount(thinking?.budget_tokens, "thinking.budget_tokens", 0) ?? 0) + 1,
    copies: 1,
    messages: requiredList(body, "messages") + (body.members.has("system") ? 1 : 0),
    tools: optionalList(body, "tools"),
    images: media.images,
    opaqueTokens: media.opaqueTokens + readByTools(body, toolCalls),
    hidesInput: false,
    toolCalls,
    user: typeof metadata.user_id === "string" ? metadata.user_id : undefined,
    tags: {},
    wantsUsage: true,
    // What is shown of thinking is a summary.
    hidesReasoning: thinking !== undefined && thinking.type !== "disabled",
    service: "standard",
    priceVariant: priceVariant(body),
  };
}

/** Fast mode has prices of its own, and so has inference in one country only (1.1 times those of anywhere). */
function priceVariant(body: JsonBody): string | undefined {
  const geo = optionalText(body, "inference_geo");
  const parts = [optionalText(body, "speed") === "fast" ? "fast" : undefined, geo === "global" ? undefined : geo];
  return parts.filter((part) => part !== undefined).join("-") || undefined;
}

/** Fields that are counted by themselves, and those that no model reads. */
const KNOWN = new Set("messages system tools model metadata thinking stop_sequences tool_choice".split(" "));

export function countable(call: ModelCall): Countable {
  const body = parseBody(call.body);
  const texts: string[] = [];
  collectUnknown(body, KNOWN, texts);
  collectTexts(body.system, texts);
  collectTexts(body.messages, texts);
  const tools = listOf(body.tools).map((tool) => JSON.stringify(tool));
  return { texts, messages: call.messages, tools, images: call.images, opaqueTokens: call.opaqueTokens };
}

/** Tools that run at the provider and are charged by use, such as `web_search_20250305`. */
function serverTools(body: JsonBody, model: string): Record<string, number> {
  if (optionalList(body, "tools") === 0) return {};
  const uses: Record<string, number> = {};
  for (const tool of listOf(memberValue(body, "tools"))) {
    if (!isRecord(tool) || typeof tool.type !== "string") continue;
    if (tool.model !== undefined && tool.model !== model)
      throw invalid(
        `The tool "${tool.type}" names another model, and a call is charged as the one in "model". Remove it, or name that one.`,
      );
    const kind = /^(web_search|web_fetch|code_execution)_\d+$/.exec(tool.type)?.[1];
    if (kind) uses[kind] = (uses[kind] ?? 0) + (checkedCount(tool.max_uses, `tools[].max_uses (${kind})`, 0, 1_000) ?? HOSTED_TOOL_USES);
  }
  return uses;
}

/** How much what tools at the provider find, servers of others answer, and skills say may give the model to read. */
function readByTools(body: JsonBody, uses: Readonly<Record<string, number>>): number {
  const bringsText = optionalList(body, "mcp_servers") > 0 || memberValue(body, "container") !== undefined;
  return Math.max(bringsText ? HOSTED_TOOL_USES : 0, ...Object.values(uses)) * HOSTED_RESULT_TOKENS;
}

function readMedia(body: Record<string, unknown>): { readonly images: readonly ImageInput[]; readonly opaqueTokens: number } {
  const images: ImageInput[] = [];
  let opaqueTokens = 0;
  const pending: unknown[] = [body.messages, body.system];
  for (let value = pending.pop(); value !== undefined || pending.length > 0; value = pending.pop()) {
    if (!isRecord(value) && !Array.isArray(value)) continue;
    if (isRecord(value) && value.type === "image") images.push(readImage(value.source));
    else if (isRecord(value) && (value.type === "document" || value.type === "container_upload"))
      opaqueTokens += documentTokens(value.source);
    else if (isRecord(value) && MEDIA_TYPES.has(value.type)) opaqueTokens += JSON.stringify(value).length;
    // What a tool is called with is text to the model, whatever it looks like.
    else if (Array.isArray(value) || !isToolUse(value)) for (const inner of Object.values(value)) pending.push(inner);
  }
  return { images, opaqueTokens };
}

function readImage(source: unknown): ImageInput {
  const data = isRecord(source) && typeof source.data === "string" ? source.data : undefined;
  return (data && imageSize(data)) || {};
}

/** A document inside the body has fewer tokens than the body has bytes of it. */
function documentTokens(source: unknown): number {
  const inside = isRecord(source) && (typeof source.data === "string" || source.content !== undefined);
  return inside ? JSON.stringify(source).length : UNSEEN_DOCUMENT_TOKENS;
}
