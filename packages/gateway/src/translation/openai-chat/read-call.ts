import { listOf } from "../../dialects/json-value.ts";
import { readEffort } from "../effort.ts";
import { imageSource } from "../image-source.ts";
import type { ImagePart, PlainCall, PlainMessage, PlainSchema, PlainTool, TextPart, ToolCall, ToolChoice } from "../plain.ts";
import { Fields, shown, textPart, textsOf, Untranslatable } from "../untranslatable.ts";

/** Reads a chat completion's call (https://platform.openai.com/docs/api-reference/chat/create). */
export function readCall(body: Readonly<Record<string, unknown>>, isStream: boolean): PlainCall {
  const fields = new Fields(body, "the call");
  const messages = fields.list("messages");
  const system = messages.slice(0, firstOther(messages));
  const call: PlainCall = {
    stream: isStream,
    system: system.flatMap(systemTexts),
    messages: readMessages(messages.slice(system.length)),
    tools: fields.list("tools").map(readTool),
    toolChoice: readToolChoice(fields.take("tool_choice")),
    severalTools: fields.boolean("parallel_tool_calls") ?? true,
    outputTokens: fields.number("max_completion_tokens") ?? fields.number("max_tokens"),
    temperature: fields.number("temperature"),
    topP: fields.number("top_p"),
    effort: readEffort(fields.text("reasoning_effort")),
    stops: readStops(fields.take("stop")),
    schema: readFormat(fields.record("response_format")),
  };
  // Who it is for, and what is kept of it where, changes nothing about the answer.
  fields.ignore("model", "stream", "max_tokens", "user", "safety_identifier", "metadata", "prompt_cache_key", "prompt_cache_retention");
  fields.ignore("stream_options", "prompt_cache_options");
  fields.allowOnly("n", 1);
  fields.allowOnly("store", false);
  fields.allowOnly("logprobs", false);
  fields.allowOnly("frequency_penalty", 0);
  fields.allowOnly("presence_penalty", 0);
  fields.allowOnly("logit_bias", {});
  fields.allowOnly("modalities", ["text"]);
  fields.allowOnly("service_tier", "auto", "default");
  fields.allowOnly("verbosity", "medium");
  fields.done();
  return call;
}

const SYSTEM_ROLES: ReadonlySet<unknown> = new Set(["system", "developer"]);

function roleOf(message: unknown): unknown {
  return (message as { role?: unknown } | null)?.role;
}

function firstOther(messages: readonly unknown[]): number {
  const first = messages.findIndex((message) => !SYSTEM_ROLES.has(roleOf(message)));
  return first < 0 ? messages.length : first;
}

function systemTexts(message: unknown): readonly string[] {
  const fields = new Fields(message, "a system message");
  const texts = textsOf(fields.take("content"), "a system message");
  fields.ignore("role");
  fields.done();
  return texts;
}

function readMessages(messages: readonly unknown[]): readonly PlainMessage[] {
  const read: PlainMessage[] = [];
  for (const message of messages) {
    const last = read.at(-1);
    const next = readMessage(message);
    // The results of tools that were called together belong together.
    if (next.from === "tools" && last?.from === "tools") read[read.length - 1] = { ...last, results: [...last.results, ...next.results] };
    else read.push(next);
  }
  return read;
}

function readMessage(message: unknown): PlainMessage {
  const role = roleOf(message);
  const fields = new Fields(message, `a message of the role ${shown(role)}`);
  fields.ignore("role");
  let read: PlainMessage;
  if (role === "user") read = { from: "user", parts: userParts(fields.take("content")) };
  else if (role === "assistant") read = { from: "model", parts: modelParts(fields) };
  else if (role === "tool") {
    const texts = textsOf(fields.take("content"), "the result of a tool");
    read = { from: "tools", results: [{ id: fields.requiredText("tool_call_id"), texts, isError: false }] };
  } else if (SYSTEM_ROLES.has(role)) throw new Untranslatable("a system message stands in the middle of the conversation");
  else throw new Untranslatable(`a message has the role ${shown(role)}`);
  fields.done();
  return read;
}

function userParts(content: unknown): readonly (TextPart | ImagePart)[] {
  if (typeof content === "string") return [{ kind: "text", text: content }];
  return listOf(content).map((part) => {
    const fields = new Fields(part, "a part of a message");
    const type = fields.text("type");
    if (type === "text") return { kind: "text", text: textPart(fields) };
    if (type !== "image_url") throw new Untranslatable(`a message has a part of type ${shown(type)}`);
    const image = new Fields(fields.take("image_url"), "an image");
    const url = image.requiredText("url");
    // How closely it is looked at is a matter of price, and each maker's own.
    image.ignore("detail");
    image.done();
    fields.ignore("cache_control");
    fields.done();
    return { kind: "image", source: imageSource(url) };
  });
}

/** What a model said. Its thoughts, where its provider showed them, are left out: no other model can read them. */
function modelParts(fields: Fields): readonly (TextPart | ToolCall)[] {
  const content = fields.take("content");
  const refusal = fields.text("refusal");
  const texts = typeof content === "string" ? [content] : listOf(content).map(modelText);
  const calls = fields.list("tool_calls").map(readToolCall);
  fields.ignore("reasoning", "reasoning_content", "reasoning_details");
  fields.allowOnly("annotations", []);
  const said = [...texts, ...(refusal === undefined ? [] : [refusal])].map((text): TextPart => ({ kind: "text", text }));
  return [...said, ...calls];
}

function modelText(part: unknown): string {
  const fields = new Fields(part, "a part of an answer");
  const type = fields.text("type");
  if (type === "text") return textPart(fields);
  if (type !== "refusal") throw new Untranslatable(`an answer has a part of type ${shown(type)}`);
  return fields.requiredText("refusal");
}

function readToolCall(call: unknown): ToolCall {
  const fields = new Fields(call, "a call of a tool");
  fields.ignore("index");
  fields.allowOnly("type", "function");
  const called = new Fields(fields.take("function"), "a call of a tool");
  const read: ToolCall = {
    kind: "tool-call",
    id: fields.requiredText("id"),
    name: called.requiredText("name"),
    input: called.requiredText("arguments"),
  };
  called.done();
  fields.done();
  return read;
}

function readTool(tool: unknown): PlainTool {
  const fields = new Fields(tool, "a tool");
  const type = fields.text("type");
  if (type !== "function") throw new Untranslatable(`a tool is of type ${shown(type)}`);
  const own = new Fields(fields.take("function"), "a tool");
  const read: PlainTool = {
    name: own.requiredText("name"),
    description: own.text("description"),
    schema: own.record("parameters") ?? { type: "object", properties: {} },
    isStrict: own.boolean("strict") ?? false,
  };
  own.done();
  fields.ignore("cache_control");
  fields.done();
  return read;
}

function readToolChoice(choice: unknown): ToolChoice {
  if (choice === undefined || choice === "auto") return { kind: "auto" };
  if (choice === "none") return { kind: "none" };
  if (choice === "required") return { kind: "any" };
  const fields = new Fields(choice, "the choice of a tool");
  fields.allowOnly("type", "function");
  const name = new Fields(fields.take("function"), "the choice of a tool").requiredText("name");
  fields.done();
  return { kind: "one", name };
}

function readStops(stop: unknown): readonly string[] {
  const stops = typeof stop === "string" ? [stop] : listOf(stop);
  return stops.filter((one) => typeof one === "string");
}

function readFormat(format: Readonly<Record<string, unknown>> | undefined): PlainSchema | undefined {
  if (format === undefined || format.type === "text") return undefined;
  if (format.type !== "json_schema") throw new Untranslatable(`the answer is to have the form ${shown(format.type)}`);
  const fields = new Fields(format.json_schema, "the form of the answer");
  fields.ignore("description", "strict");
  const read: PlainSchema = { name: fields.requiredText("name"), schema: fields.record("schema") ?? {} };
  fields.done();
  return read;
}
