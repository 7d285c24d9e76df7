import type { Countable } from "@purser/core/tokens";
import { checkedCount, checkedName, invalid, optionalObject, refuseForbidden, requiredList } from "../body-fields.ts";
import { collectUnknown } from "../content.ts";
import type { ModelCall } from "../dialect.ts";
import { HOSTED_TOOL_USES } from "../hosted-tools.ts";
import { type JsonBody, parseBody } from "../json-body.ts";
import { isRecord, listOf, recordOf } from "../json-value.ts";
import type { PathNames } from "../path.ts";
import { collectBlocks, readMedia } from "./blocks.ts";

export function readCall(body: JsonBody, names: PathNames, stream: boolean): ModelCall {
  refuseForbidden(body);
  const model = checkedName(names.model, "model");
  const config = optionalObject(body, "inferenceConfig") ?? {};
  const more = optionalObject(body, "additionalModelRequestFields") ?? {};
  refuseOtherCaps(more);
  const tools = listOf(optionalObject(body, "toolConfig")?.tools).map(recordOf);
  const thinking = thinkingOf(more);
  const media = readMedia(body);
  return {
    body,
    model,
    stream,
    outputCap: checkedCount(config.maxTokens, "inferenceConfig.maxTokens", 1),
    // The cap must be above the budget for thinking.
    outputLeast: (checkedCount(thinking?.budget_tokens, "thinking.budget_tokens", 0) ?? 0) + 1,
    copies: 1,
    messages: requiredList(body, "messages") + (body.members.has("system") ? 1 : 0),
    tools: tools.filter(({ toolSpec }) => toolSpec !== undefined).length,
    ...media,
    hidesInput: false,
    toolCalls: chargedTools(body, tools),
    user: undefined,
    tags: tagsOf(optionalObject(body, "requestMetadata") ?? {}),
    wantsUsage: true,
    // What is shown of thinking is a summary.
    hidesReasoning: thinking !== undefined,
    service: optionalObject(body, "serviceTier")?.type === "priority" ? "priority" : "standard",
    // Answers that come sooner have prices of their own.
    priceVariant: optionalObject(body, "performanceConfig")?.latency === "optimized" ? "latency-optimized" : undefined,
  };
}

/** Fields that are counted by themselves, and those that no model reads. */
const KNOWN = new Set(
  "messages system toolConfig inferenceConfig guardrailConfig requestMetadata performanceConfig serviceTier additionalModelResponseFieldPaths".split(
    " ",
  ),
);

export function countable(call: ModelCall): Countable {
  const body = parseBody(call.body);
  const texts: string[] = [];
  collectUnknown(body, KNOWN, texts);
  collectBlocks([body.messages, body.system], texts);
  const tools = listOf(recordOf(body.toolConfig).tools).map((tool) => JSON.stringify(tool));
  return { texts, messages: call.messages, tools, images: call.images, opaqueTokens: call.opaqueTokens };
}

/** Fields of single models that say how much they may write: only the one that all of them share is read, lowered and held. */
const OTHER_CAPS =
  "maxTokens max_tokens max_new_tokens max_gen_len maxTokenCount max_completion_tokens n num_generations inferenceConfig".split(" ");

function refuseOtherCaps(fields: Readonly<Record<string, unknown>>): void {
  const cap = OTHER_CAPS.find((name) => fields[name] !== undefined);
  if (cap !== undefined)
    throw invalid(`The field "additionalModelRequestFields.${cap}" is not allowed: write inferenceConfig.maxTokens in its place.`);
}

/** The names under which models are told to think. */
const THINKING = ["thinking", "reasoning_config", "reasoningConfig"];

/** How a model is told to think, where it is. */
function thinkingOf(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> | undefined {
  if (fields.reasoning_effort !== undefined) return {};
  const told = THINKING.map((name) => fields[name]).find(isRecord);
  return told?.type === "disabled" ? undefined : told;
}

/** What is charged beside tokens, and is counted by no usage: guardrails, and tools that run at the provider. */
function chargedTools(body: JsonBody, tools: readonly Readonly<Record<string, unknown>>[]): Readonly<Record<string, number>> {
  const uses = new Map<string, number>();
  if (optionalObject(body, "guardrailConfig") !== undefined) uses.set("guardrail", 1);
  for (const { systemTool } of tools)
    if (systemTool !== undefined) uses.set(String(recordOf(systemTool).name).slice(0, 64), HOSTED_TOOL_USES);
  return Object.fromEntries(uses);
}

function tagsOf(metadata: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(metadata).filter((pair): pair is [string, string] => typeof pair[1] === "string"));
}
