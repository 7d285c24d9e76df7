import { isRecord } from "../../dialects/json-value.ts";
import { readEffort } from "../effort.ts";
import type { Effort, PlainCall, PlainSchema, PlainTool, ToolChoice } from "../plain.ts";
import { type Fields, shown, Untranslatable } from "../untranslatable.ts";
import { fieldsOf } from "./fields.ts";
import { readContents } from "./read-contents.ts";
import { jsonSchemaOf } from "./schema.ts";

/** Reads a call of `generateContent` (https://ai.google.dev/api/generate-content). */
export function readCall(body: Readonly<Record<string, unknown>>, isStream: boolean): PlainCall {
  const fields = fieldsOf(body, "the call");
  const config = fieldsOf(fields.take("generationConfig") ?? {}, "the call");
  const { toolChoice, isChecked } = readToolConfig(fields.record("toolConfig"));
  const declared = fields.list("tools").flatMap(readTools);
  const call: PlainCall = {
    stream: isStream,
    system: readSystem(fields.take("systemInstruction")),
    messages: readContents(fields.list("contents")),
    tools: isChecked ? declared.map((tool) => ({ ...tool, isStrict: true })) : declared,
    toolChoice,
    severalTools: true,
    outputTokens: config.number("maxOutputTokens"),
    temperature: config.number("temperature"),
    topP: config.number("topP"),
    effort: readThinking(config.record("thinkingConfig")),
    stops: config.list("stopSequences").filter((text) => typeof text === "string"),
    schema: readForm(config),
  };
  allowUsual(config);
  // Who it is for changes nothing about the answer.
  fields.ignore("model", "labels");
  fields.allowOnly("store", false);
  fields.allowOnly("serviceTier", "standard", "SERVICE_TIER_STANDARD", "unspecified");
  // Others have filters of their own, which nobody can make stricter from here.
  if (fields.list("safetySettings").every(isOpen)) fields.ignore("safetySettings");
  else throw new Untranslatable('the call has "safetySettings"');
  fields.done();
  return call;
}

/** How many tokens Google's models choose from, where a call does not say it. */
const TOP_K_USUAL = 64;

function allowUsual(config: Fields): void {
  // How closely an image is looked at is a matter of price, and each maker's own.
  config.ignore("mediaResolution");
  config.allowOnly("candidateCount", 1);
  config.allowOnly("topK", TOP_K_USUAL);
  config.allowOnly("presencePenalty", 0);
  config.allowOnly("frequencyPenalty", 0);
  config.allowOnly("responseLogprobs", false);
  config.allowOnly("responseModalities", [], ["TEXT"], ["text"]);
  config.done();
}

const OPEN: ReadonlySet<unknown> = new Set(["BLOCK_NONE", "OFF", "HARM_BLOCK_THRESHOLD_UNSPECIFIED"]);

function isOpen(setting: unknown): boolean {
  return isRecord(setting) && OPEN.has(setting.threshold);
}

/** A text, as clients write it, or parts that are all texts. */
function readSystem(instruction: unknown): readonly string[] {
  if (instruction === undefined) return [];
  if (typeof instruction === "string") return [instruction];
  const fields = fieldsOf(instruction, "the system prompt");
  fields.ignore("role");
  const texts = fields.list("parts").map((part) => {
    const own = fieldsOf(part, "the system prompt");
    const text = own.requiredText("text");
    own.done();
    return text;
  });
  fields.done();
  return texts;
}

function readTools(tool: unknown): readonly PlainTool[] {
  const fields = fieldsOf(tool, "a tool");
  const tools = fields.list("functionDeclarations").map(readTool);
  fields.done();
  return tools;
}

function readTool(declared: unknown): PlainTool {
  const fields = fieldsOf(declared, "a tool");
  const parameters = fields.take("parameters");
  const schema = fields.record("parametersJsonSchema") ?? (parameters === undefined ? undefined : jsonSchemaOf(parameters));
  const read: PlainTool = {
    name: fields.requiredText("name"),
    description: fields.text("description"),
    schema: schema ?? { type: "object", properties: {} },
    isStrict: false,
  };
  fields.allowOnly("behavior", "UNSPECIFIED", "BLOCKING");
  fields.done();
  return read;
}

/** `isChecked`: whether what tools are called with is promised to have the form that they say. */
function readToolConfig(config: unknown): { readonly toolChoice: ToolChoice; readonly isChecked: boolean } {
  const fields = fieldsOf(config ?? {}, "the choice of a tool");
  const own = fieldsOf(fields.take("functionCallingConfig") ?? {}, "the choice of a tool");
  const mode = own.text("mode") ?? "AUTO";
  const [only, ...others] = own.list("allowedFunctionNames");
  own.done();
  fields.done();
  if (others.length > 0 || (only !== undefined && mode !== "ANY")) throw new Untranslatable("only some of the tools may be called");
  const toolChoice = typeof only === "string" ? ({ kind: "one", name: only } as const) : { kind: choiceOf(mode) };
  return { toolChoice, isChecked: mode === "VALIDATED" };
}

function choiceOf(mode: string): "auto" | "none" | "any" {
  if (mode === "ANY") return "any";
  if (mode === "NONE") return "none";
  if (mode === "AUTO" || mode === "VALIDATED" || mode === "MODE_UNSPECIFIED") return "auto";
  throw new Untranslatable(`the choice of a tool is ${shown(mode)}`);
}

/** The most tokens of thoughts that are a low effort, or one in the middle. */
const LOW_MOST = 1_024;
const MEDIUM_MOST = 8_192;

/** A model that may think as much as it sees fit may also not think. Thoughts are not shown, whether they are asked for or not. */
function readThinking(config: Readonly<Record<string, unknown>> | undefined): Effort | undefined {
  const fields = fieldsOf(config ?? {}, "the call");
  const level = fields.text("thinkingLevel")?.toLowerCase();
  const budget = fields.number("thinkingBudget");
  fields.ignore("includeThoughts");
  fields.done();
  if (level !== undefined && level !== "thinking_level_unspecified") return readEffort(level);
  if (budget === undefined || budget <= 0) return undefined;
  if (budget <= LOW_MOST) return "low";
  return budget <= MEDIUM_MOST ? "medium" : "high";
}

/** Schemas have no name in this format, and need one in others. */
const SCHEMA_NAME = "answer";

function readForm(config: Fields): PlainSchema | undefined {
  const type = config.text("responseMimeType") ?? "text/plain";
  const own = config.take("responseSchema");
  const schema = config.record("responseJsonSchema") ?? (own === undefined ? undefined : jsonSchemaOf(own));
  if (schema && type === "application/json") return { name: SCHEMA_NAME, schema };
  if (schema || type !== "text/plain") throw new Untranslatable(`the answer is to have the form ${shown(type)}`);
  return undefined;
}
