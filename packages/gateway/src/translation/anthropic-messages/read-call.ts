import { isRecord, listOf } from "../../dialects/json-value.ts";
import { readEffort } from "../effort.ts";
import type { ImagePart, PlainCall, PlainMessage, PlainSchema, PlainTool, TextPart, ToolCall, ToolChoice, ToolResult } from "../plain.ts";
import { Fields, shown, textPart, textsOf, Untranslatable } from "../untranslatable.ts";

/** Reads a message's call (https://platform.claude.com/docs/en/api/messages). */
export function readCall(body: Readonly<Record<string, unknown>>, isStream: boolean): PlainCall {
  const fields = new Fields(body, "the call");
  const choice = fields.record("tool_choice");
  // Which of them an answer stopped at is told to nobody in other formats.
  if (fields.list("stop_sequences").length > 0) throw new Untranslatable('the call has "stop_sequences"');
  const call: PlainCall = {
    stream: isStream,
    system: textsOf(fields.take("system"), "the system prompt"),
    messages: fields.list("messages").flatMap(readMessage),
    tools: fields.list("tools").map(readTool),
    toolChoice: readToolChoice(choice),
    severalTools: choice?.disable_parallel_tool_use !== true,
    outputTokens: fields.number("max_tokens"),
    temperature: fields.number("temperature"),
    topP: fields.number("top_p"),
    stops: [],
    ...readOutput(fields.record("output_config") ?? {}),
  };
  refuseThinking(fields.record("thinking"));
  allowContext(fields);
  // Who it is for, and what is kept of it where, changes nothing about the answer.
  fields.ignore("model", "stream", "metadata", "cache_control");
  fields.allowOnly("service_tier", "auto", "standard_only");
  fields.allowOnly("speed", "standard");
  fields.allowOnly("inference_geo", "global");
  fields.allowOnly("mcp_servers", []);
  fields.done();
  return call;
}

/**
 * A model that may think as it sees fit may also not think. Where thoughts are asked for, they have to stand in the next call too, signed by
 * their own model: without them that would be refused when it goes there again.
 */
function refuseThinking(thinking: Readonly<Record<string, unknown>> | undefined): void {
  if (thinking !== undefined && thinking.type !== "disabled" && thinking.type !== "adaptive")
    throw new Untranslatable('the call has "thinking"');
}

/** Thoughts are left out of what is sent elsewhere anyway. Any other change of the context is the provider's own. */
function allowContext(fields: Fields): void {
  const { edits } = fields.record("context_management") ?? {};
  for (const edit of listOf(edits))
    if (!isRecord(edit) || !String(edit.type).startsWith("clear_thinking")) throw new Untranslatable('the call has "context_management"');
}

/** Messages of a turn: results of tools stand before all else that the user says, as they have to. */
function readMessage(message: unknown): readonly PlainMessage[] {
  const fields = new Fields(message, "a message");
  const role = fields.text("role");
  const content = fields.take("content");
  fields.done();
  const blocks = typeof content === "string" ? [{ type: "text", text: content }] : listOf(content);
  if (role === "assistant") return [{ from: "model", parts: blocks.flatMap(readModelBlock) }];
  if (role !== "user") throw new Untranslatable(`a message has the role ${shown(role)}`);
  const results = blocks.filter(isResult).map(readResult);
  const parts = blocks.filter((block) => !isResult(block)).map(readUserBlock);
  return [
    ...(results.length > 0 ? [{ from: "tools", results } as const] : []),
    ...(parts.length > 0 ? [{ from: "user", parts } as const] : []),
  ];
}

function isResult(block: unknown): boolean {
  return isRecord(block) && block.type === "tool_result";
}

function readUserBlock(block: unknown): TextPart | ImagePart {
  const fields = new Fields(block, "a part of a message");
  const type = fields.text("type");
  if (type === "text") return { kind: "text", text: textPart(fields) };
  if (type !== "image") throw new Untranslatable(`a message has a part of type ${shown(type)}`);
  const source = new Fields(fields.take("source"), "an image");
  const from = source.text("type");
  let image: ImagePart["source"];
  if (from === "url") image = { url: source.requiredText("url") };
  else if (from === "base64") image = { mediaType: source.requiredText("media_type"), base64: source.requiredText("data") };
  else throw new Untranslatable(`an image is a ${shown(from)}`);
  source.done();
  fields.ignore("cache_control");
  fields.done();
  return { kind: "image", source: image };
}

function readResult(block: unknown): ToolResult {
  const fields = new Fields(block, "the result of a tool");
  fields.ignore("type", "cache_control");
  const read: ToolResult = {
    id: fields.requiredText("tool_use_id"),
    texts: resultTexts(fields.take("content")),
    isError: fields.boolean("is_error") ?? false,
  };
  fields.done();
  return read;
}

/** A tool that was looked up is named: elsewhere the model has it already. */
function resultTexts(content: unknown): readonly string[] {
  const parts = Array.isArray(content) ? content : [];
  if (!parts.some(isReference)) return textsOf(content, "the result of a tool");
  return parts.flatMap((part) =>
    isReference(part) ? [`The tool ${part.tool_name} can be called.`] : textsOf([part], "the result of a tool"),
  );
}

function isReference(part: unknown): part is { readonly tool_name: unknown } {
  return isRecord(part) && part.type === "tool_reference";
}

/** What a model said. Its thoughts are left out: they are signed, and no other model can read them. */
function readModelBlock(block: unknown): readonly (TextPart | ToolCall)[] {
  const fields = new Fields(block, "a part of an answer");
  const type = fields.text("type");
  if (type === "thinking" || type === "redacted_thinking") return [];
  if (type === "text") return [{ kind: "text", text: textPart(fields) }];
  if (type !== "tool_use") throw new Untranslatable(`an answer has a part of type ${shown(type)}`);
  fields.ignore("cache_control");
  fields.allowOnly("caller", { type: "direct" });
  const call: ToolCall = {
    kind: "tool-call",
    id: fields.requiredText("id"),
    name: fields.requiredText("name"),
    input: JSON.stringify(fields.record("input") ?? {}),
  };
  fields.done();
  return [call];
}

function readTool(tool: unknown): PlainTool {
  const fields = new Fields(tool, "a tool");
  const type = fields.text("type");
  if (type !== undefined && type !== "custom") throw new Untranslatable(`a tool is of type ${shown(type)}`);
  const read: PlainTool = {
    name: fields.requiredText("name"),
    description: fields.text("description"),
    schema: fields.record("input_schema") ?? {},
    isStrict: fields.boolean("strict") ?? false,
  };
  // One that is to be looked up when it is needed is there from the beginning elsewhere.
  fields.ignore("cache_control", "eager_input_streaming", "defer_loading");
  fields.allowOnly("allowed_callers", ["direct"]);
  fields.allowOnly("input_examples", []);
  fields.done();
  return read;
}

function readToolChoice(choice: Readonly<Record<string, unknown>> | undefined): ToolChoice {
  if (choice === undefined) return { kind: "auto" };
  const { type } = choice;
  if (type === "auto" || type === "none" || type === "any") return { kind: type };
  if (type !== "tool" || typeof choice.name !== "string") throw new Untranslatable(`the choice of a tool is ${shown(type)}`);
  return { kind: "one", name: choice.name };
}

/** Schemas have no name in this format, and need one in others. */
const SCHEMA_NAME = "answer";

function readOutput(config: Readonly<Record<string, unknown>>): Pick<PlainCall, "effort" | "schema"> {
  const fields = new Fields(config, "the call");
  const effort = readEffort(fields.text("effort"));
  const schema = readFormat(fields.record("format"));
  fields.done();
  return { effort, schema };
}

function readFormat(format: Readonly<Record<string, unknown>> | undefined): PlainSchema | undefined {
  if (format === undefined) return undefined;
  if (format.type !== "json_schema" || !isRecord(format.schema))
    throw new Untranslatable(`the answer is to have the form ${shown(format.type)}`);
  return { name: SCHEMA_NAME, schema: format.schema };
}
