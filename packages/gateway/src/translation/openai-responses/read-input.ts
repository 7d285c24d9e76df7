import { isRecord, listOf } from "../../dialects/json-value.ts";
import { imageSource } from "../image-source.ts";
import type { ImagePart, PlainMessage, TextPart, ToolCall, ToolResult } from "../plain.ts";
import { Fields, shown, textPart, Untranslatable } from "../untranslatable.ts";
import { joinedName } from "./names.ts";

/** What a call says, the instructions of its beginning apart. */
export interface ReadInput {
  readonly system: readonly string[];
  readonly messages: readonly PlainMessage[];
}

/** What Codex writes beside its items, about where they came from. */
const CODEX_NOTES = "internal_chat_message_metadata_passthrough";

const SYSTEM_ROLES: ReadonlySet<unknown> = new Set(["system", "developer"]);

/** A text, or items: what is said, calls of tools, and what came of them. */
export function readInput(input: unknown): ReadInput {
  if (typeof input === "string") return { system: [], messages: [{ from: "user", parts: [{ kind: "text", text: input }] }] };
  const items = listOf(input).filter((item) => !isThought(item));
  const first = items.findIndex((item) => !isSystem(item));
  const system = first < 0 ? items : items.slice(0, first);
  const messages: PlainMessage[] = [];
  for (const item of items.slice(system.length)) add(messages, readItem(item));
  return { system: system.flatMap(systemTexts), messages };
}

/** What a model thought only that model can read. */
function isThought(item: unknown): boolean {
  return isRecord(item) && item.type === "reasoning";
}

function isSystem(item: unknown): boolean {
  return isRecord(item) && SYSTEM_ROLES.has(item.role);
}

/** What a model said and called in one go is one message, and so are the results of that. */
function add(messages: PlainMessage[], next: PlainMessage): void {
  const last = messages.at(-1);
  if (next.from === "tools" && last?.from === "tools")
    messages[messages.length - 1] = { from: "tools", results: [...last.results, ...next.results] };
  else if (next.from === "model" && last?.from === "model")
    messages[messages.length - 1] = { from: "model", parts: [...last.parts, ...next.parts] };
  else messages.push(next);
}

function systemTexts(item: unknown): readonly string[] {
  const fields = messageFields(item, "a system message");
  fields.ignore("role");
  const texts = textsIn(fields.take("content"), "a system message");
  fields.done();
  return texts;
}

function messageFields(item: unknown, where: string): Fields {
  const fields = new Fields(item, where);
  fields.allowOnly("type", "message");
  fields.ignore("id", "status", "phase", CODEX_NOTES);
  return fields;
}

function readItem(item: unknown): PlainMessage {
  const type = isRecord(item) ? (item.type ?? "message") : undefined;
  if (type === "message") return readMessage(item);
  if (type === "function_call") return { from: "model", parts: [readToolCall(item)] };
  if (type === "function_call_output") return { from: "tools", results: [readResult(item)] };
  throw new Untranslatable(`the input has an item of type ${shown(type)}`);
}

function readMessage(item: unknown): PlainMessage {
  const fields = messageFields(item, "a message");
  const role = fields.text("role");
  const content = fields.take("content");
  fields.done();
  if (role === "user") return { from: "user", parts: typeof content === "string" ? [text(content)] : listOf(content).map(readUserPart) };
  if (role === "assistant") return { from: "model", parts: textsIn(content, "an answer").map(text) };
  if (SYSTEM_ROLES.has(role)) throw new Untranslatable("a system message stands in the middle of the conversation");
  throw new Untranslatable(`a message has the role ${shown(role)}`);
}

function text(said: string): TextPart {
  return { kind: "text", text: said };
}

function readUserPart(part: unknown): TextPart | ImagePart {
  const fields = new Fields(part, "a part of a message");
  const type = fields.text("type");
  if (type === "input_text") return text(textPart(fields));
  if (type !== "input_image") throw new Untranslatable(`a message has a part of type ${shown(type)}`);
  const source = imageSource(fields.requiredText("image_url"));
  // How closely it is looked at is a matter of price, and each maker's own.
  fields.ignore("detail", "prompt_cache_breakpoint");
  fields.done();
  return { kind: "image", source };
}

const TEXTS: ReadonlySet<unknown> = new Set(["input_text", "output_text"]);

/** A text, or a list of parts that are all texts. */
function textsIn(content: unknown, where: string): readonly string[] {
  if (typeof content === "string") return [content];
  return listOf(content).map((part) => {
    const fields = new Fields(part, where);
    const type = fields.text("type");
    if (type === "refusal") return fields.requiredText("refusal");
    if (!TEXTS.has(type)) throw new Untranslatable(`${where} has a part of type ${shown(type)}`);
    fields.ignore("logprobs");
    return textPart(fields);
  });
}

function readToolCall(item: unknown): ToolCall {
  const fields = toolFields(item, "a call of a tool");
  const read: ToolCall = {
    kind: "tool-call",
    id: fields.requiredText("call_id"),
    name: joinedName(fields.text("namespace"), fields.requiredText("name")),
    input: fields.requiredText("arguments"),
  };
  fields.done();
  return read;
}

function readResult(item: unknown): ToolResult {
  const fields = toolFields(item, "the result of a tool");
  const read: ToolResult = {
    id: fields.requiredText("call_id"),
    texts: textsIn(fields.take("output"), "the result of a tool"),
    isError: false,
  };
  fields.done();
  return read;
}

function toolFields(item: unknown, where: string): Fields {
  const fields = new Fields(item, where);
  fields.ignore("type", "id", "status", CODEX_NOTES);
  fields.allowOnly("caller", { type: "direct" });
  return fields;
}
