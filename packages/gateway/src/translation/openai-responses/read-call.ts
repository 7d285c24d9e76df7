import { isRecord } from "../../dialects/json-value.ts";
import { readEffort } from "../effort.ts";
import type { Effort, PlainCall, PlainSchema, PlainTool, ToolChoice } from "../plain.ts";
import { Fields, isBlank, shown, Untranslatable } from "../untranslatable.ts";
import { joinedName } from "./names.ts";
import { readInput } from "./read-input.ts";

/** Reads a call for a response (https://platform.openai.com/docs/api-reference/responses/create). */
export function readCall(body: Readonly<Record<string, unknown>>, isStream: boolean): PlainCall {
  const fields = new Fields(body, "the call");
  const instructions = fields.text("instructions");
  const { system, messages } = readInput(fields.take("input"));
  const call: PlainCall = {
    stream: isStream,
    system: [...(instructions === undefined ? [] : [instructions]), ...system],
    messages,
    tools: fields.list("tools").flatMap((tool) => readTools(tool)),
    toolChoice: readToolChoice(fields.take("tool_choice")),
    severalTools: fields.boolean("parallel_tool_calls") ?? true,
    outputTokens: fields.number("max_output_tokens"),
    temperature: fields.number("temperature"),
    topP: fields.number("top_p"),
    effort: readReasoning(fields.record("reasoning") ?? {}),
    stops: [],
    schema: readText(fields.record("text") ?? {}),
  };
  refuseState(fields);
  // Who it is for, and what is kept of it where, changes nothing about the answer; nor how often tools that nobody has may be called.
  fields.ignore("model", "stream", "user", "safety_identifier", "metadata", "client_metadata", "stream_options", "max_tool_calls");
  fields.ignore("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options");
  fields.allowOnly("background", false);
  fields.allowOnly("truncation", "disabled");
  fields.allowOnly("top_logprobs", 0);
  fields.allowOnly("service_tier", "auto", "default");
  // Thoughts of others cannot be handed out; who asks for OpenAI's is answered without any.
  fields.allowOnly("include", [], ["reasoning.encrypted_content"]);
  fields.done();
  return call;
}

/** What OpenAI keeps, and what was kept before, is there alone: the next call that names it would find nothing. */
function refuseState(fields: Fields): void {
  for (const name of ["previous_response_id", "conversation", "prompt"])
    if (fields.take(name) !== undefined) throw new Untranslatable(`the call has ${shown(name)}`);
  if (fields.boolean("store") !== false) throw new Untranslatable('the answer is to be kept at OpenAI: "store" is not false');
}

function readReasoning(reasoning: Readonly<Record<string, unknown>>): Effort | undefined {
  const fields = new Fields(reasoning, "the call");
  const effort = readEffort(fields.text("effort"));
  // Thoughts of others are not shown, nor is a summary of them.
  fields.ignore("summary", "generate_summary");
  fields.allowOnly("context", "auto");
  fields.allowOnly("mode", "standard");
  fields.done();
  return effort;
}

function readText(text: Readonly<Record<string, unknown>>): PlainSchema | undefined {
  const fields = new Fields(text, "the call");
  const format = fields.record("format");
  fields.allowOnly("verbosity", "medium");
  fields.done();
  if (format === undefined || format.type === "text") return undefined;
  if (format.type !== "json_schema") throw new Untranslatable(`the answer is to have the form ${shown(format.type)}`);
  const own = new Fields(format, "the form of the answer");
  own.ignore("type", "description", "strict");
  const read: PlainSchema = { name: own.requiredText("name"), schema: own.record("schema") ?? {} };
  own.done();
  return read;
}

/** A tool, or those of a namespace: what is said about that is said about each of them. */
function readTools(tool: unknown): readonly PlainTool[] {
  if (!isRecord(tool) || tool.type !== "namespace") return [readTool(tool)];
  const fields = new Fields(tool, "a tool");
  const namespace = fields.requiredText("name");
  const about = fields.text("description") ?? "";
  const tools = fields.list("tools").map((one) => readTool(one, namespace));
  fields.ignore("type");
  fields.done();
  if (isBlank(about)) return tools;
  return tools.map((one) => ({ ...one, description: [about, ...(one.description === undefined ? [] : [one.description])].join("\n\n") }));
}

function readTool(tool: unknown, namespace?: string): PlainTool {
  const fields = new Fields(tool, "a tool");
  const type = fields.text("type");
  if (type !== "function") throw new Untranslatable(`a tool is of type ${shown(type)}`);
  const read: PlainTool = {
    name: joinedName(namespace, fields.requiredText("name")),
    description: fields.text("description"),
    schema: fields.record("parameters") ?? { type: "object", properties: {} },
    isStrict: fields.boolean("strict") ?? false,
  };
  // One that is to be looked up when it is needed is there from the beginning elsewhere.
  fields.ignore("defer_loading");
  fields.allowOnly("allowed_callers", ["direct"]);
  fields.done();
  return read;
}

function readToolChoice(choice: unknown): ToolChoice {
  if (choice === undefined || choice === "auto") return { kind: "auto" };
  if (choice === "none") return { kind: "none" };
  if (choice === "required") return { kind: "any" };
  const fields = new Fields(choice, "the choice of a tool");
  const type = fields.text("type");
  if (type !== "function") throw new Untranslatable(`the choice of a tool is ${shown(type)}`);
  const name = fields.requiredText("name");
  fields.done();
  return { kind: "one", name };
}
