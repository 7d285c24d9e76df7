import type { Countable } from "@purser/core/tokens";
import { checkedCount, checkedName, optionalList, optionalObject, refuseForbidden, requiredList } from "../body-fields.ts";
import { collectTexts, collectUnknown } from "../content.ts";
import type { ModelCall } from "../dialect.ts";
import { bothSpellings, fieldOf, spelled } from "../gemini/fields.ts";
import { NO_MEDIA, readMedia } from "../gemini/media.ts";
import { chargesEachSearch } from "../gemini/searches.ts";
import { hidesReasoning } from "../hidden-reasoning.ts";
import { HOSTED_RESULT_TOKENS, HOSTED_TOOL_USES } from "../hosted-tools.ts";
import { type JsonBody, memberValue, parseBody } from "../json-body.ts";
import { listOf, recordOf } from "../json-value.ts";
import type { PathNames } from "../path.ts";

export function readCall(body: JsonBody, names: PathNames, stream: boolean): ModelCall {
  requiredList(body, "contents");
  return readQuestion(body, names, stream);
}

/** The same of a call that may carry its question in another place. */
export function readQuestion(body: JsonBody, names: PathNames, stream: boolean): ModelCall {
  refuseForbidden(body);
  const model = checkedName(names.model, "model");
  const config = optionalObject(body, spelled(body, "generationConfig")) ?? {};
  const thinking = recordOf(fieldOf(config, "thinkingConfig"));
  const budget = checkedCount(fieldOf(thinking, "thinkingBudget"), "thinkingConfig.thinkingBudget", -1);
  const { images, opaqueTokens, namesFile } = body.mayHoldMedia ? mediaOf(parseBody(body)) : NO_MEDIA;
  const { functions, toolCalls, resultTokens } = toolsOf(body, model);
  return {
    body,
    model,
    stream,
    outputCap: checkedCount(fieldOf(config, "maxOutputTokens"), "generationConfig.maxOutputTokens", 1),
    // Thoughts count towards the cap: below their budget no answer would be left.
    outputLeast: Math.max(0, budget ?? 0) + 1,
    copies: checkedCount(fieldOf(config, "candidateCount"), "generationConfig.candidateCount", 1, 128) ?? 1,
    messages: optionalList(body, "contents") + (body.members.has(spelled(body, "systemInstruction")) ? 1 : 0),
    tools: functions,
    images,
    opaqueTokens: opaqueTokens + resultTokens,
    hidesInput: namesFile || memberValue(body, spelled(body, "cachedContent")) !== undefined,
    toolCalls,
    user: undefined,
    tags: {},
    wantsUsage: true,
    hidesReasoning: budget !== 0 && hidesReasoning(model),
    service: String(memberValue(body, spelled(body, "serviceTier"))).toLowerCase() === "priority" ? "priority" : "standard",
    priceVariant: undefined,
  };
}

/** Fields that are counted by themselves, and those that no model reads. */
const KNOWN = new Set([
  "contents",
  "tools",
  "labels",
  "model",
  ...bothSpellings(["systemInstruction", "generationConfig", "toolConfig", "safetySettings", "cachedContent"]),
]);

export function countable(call: ModelCall): Countable {
  const body = parseBody(call.body);
  const texts: string[] = [];
  collectUnknown(body, KNOWN, texts);
  collectTexts(fieldOf(body, "systemInstruction"), texts);
  collectTexts(body.contents, texts);
  const config = recordOf(fieldOf(body, "generationConfig"));
  for (const schema of ["responseSchema", "responseJsonSchema"].map((name) => fieldOf(config, name)))
    if (schema !== undefined) texts.push(JSON.stringify(schema));
  const tools = listOf(body.tools).map((tool) => JSON.stringify(tool));
  return { texts, messages: call.messages, tools, images: call.images, opaqueTokens: call.opaqueTokens };
}

function mediaOf(body: Readonly<Record<string, unknown>>) {
  return readMedia([body.contents, fieldOf(body, "systemInstruction")]);
}

interface Tools {
  /** How many functions of the caller's own are declared. */
  readonly functions: number;
  readonly toolCalls: Readonly<Record<string, number>>;
  /** What tools that run at the provider may give the model to read. */
  readonly resultTokens: number;
}

/** Tools that run at the provider, with their names in the rate card where they cost something by the use. */
const HOSTED: Readonly<Record<string, string | undefined>> = {
  googleSearch: "web_search",
  googleSearchRetrieval: "web_search",
  enterpriseWebSearch: "web_search",
  googleMaps: "maps",
  urlContext: undefined,
  codeExecution: undefined,
  fileSearch: undefined,
};

function toolsOf(body: JsonBody, model: string): Tools {
  if (optionalList(body, "tools") === 0) return { functions: 0, toolCalls: {}, resultTokens: 0 };
  const toolCalls: Record<string, number> = {};
  let functions = 0;
  let isHosted = false;
  for (const tool of listOf(memberValue(body, "tools")).map(recordOf)) {
    functions += listOf(fieldOf(tool, "functionDeclarations")).length;
    for (const [name, fee] of Object.entries(HOSTED)) {
      if (fieldOf(tool, name) === undefined) continue;
      isHosted = true;
      if (fee !== undefined) toolCalls[fee] = fee === "web_search" && chargesEachSearch(model) ? HOSTED_TOOL_USES : 1;
    }
  }
  return { functions, toolCalls, resultTokens: isHosted ? HOSTED_TOOL_USES * HOSTED_RESULT_TOKENS : 0 };
}
