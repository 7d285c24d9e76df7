import { isRecord, listOf } from "../../dialects/json-value.ts";
import type { ImagePart, PlainMessage, TextPart, ToolCall, ToolResult } from "../plain.ts";
import { type Fields, shown, Untranslatable } from "../untranslatable.ts";
import { fieldsOf } from "./fields.ts";

/** A part of a conversation as it stands there: results know the name of what was called, and not always by what the call is known. */
type Part = TextPart | ImagePart | ToolCall | NamedResult;

interface NamedResult {
  readonly kind: "tool-result";
  readonly id: string | undefined;
  readonly name: string;
  readonly texts: readonly string[];
  readonly isError: boolean;
}

/** The messages of a conversation. An answer that came as a stream may stand there in the pieces in which it came. */
export function readContents(contents: readonly unknown[]): readonly PlainMessage[] {
  const reader = new PartReader();
  const messages: PlainMessage[] = [];
  for (const content of contents) {
    const fields = fieldsOf(content, "a message");
    const role = fields.text("role") ?? "user";
    const parts = fields.list("parts").flatMap((part) => reader.read(part));
    fields.done();
    if (role === "model") addSaid(messages, parts);
    else if (role === "user" || role === "function") addHeard(messages, parts);
    else throw new Untranslatable(`a message has the role ${shown(role)}`);
  }
  return messages;
}

function addSaid(messages: PlainMessage[], said: readonly Part[]): void {
  const last = messages.at(-1);
  const parts = [...(last?.from === "model" ? last.parts : [])];
  for (const part of said) {
    if (part.kind !== "text" && part.kind !== "tool-call") throw new Untranslatable("a model is said to have sent what only users send");
    const before = parts.at(-1);
    if (part.kind === "text" && before?.kind === "text") parts[parts.length - 1] = { kind: "text", text: before.text + part.text };
    else parts.push(part);
  }
  if (last?.from === "model") messages[messages.length - 1] = { from: "model", parts };
  else messages.push({ from: "model", parts });
}

/** Results of tools stand before all else that the user says, as they have to. */
function addHeard(messages: PlainMessage[], heard: readonly Part[]): void {
  const results = heard.filter((part) => part.kind === "tool-result");
  const others = heard.filter((part) => part.kind !== "tool-result");
  if (results.length > 0) addResults(messages, results);
  if (others.some(({ kind }) => kind === "tool-call")) throw new Untranslatable("a user is said to have called a tool");
  if (others.length > 0 || results.length === 0) messages.push({ from: "user", parts: others as readonly (TextPart | ImagePart)[] });
}

function addResults(messages: PlainMessage[], named: readonly NamedResult[]): void {
  const last = messages.at(-1);
  const before = last?.from === "tools" ? last.results : [];
  const asked = last?.from === "tools" ? messages.at(-2) : last;
  const open = (asked?.from === "model" ? asked.parts : [])
    .filter((part) => part.kind === "tool-call")
    .filter(({ id }) => before.every((result) => result.id !== id));
  const results = named.map(({ id, name, texts, isError }): ToolResult => {
    const known = open.findIndex((call) => call.id === id);
    const at = known >= 0 ? known : open.findIndex((call) => call.name === name);
    const [call] = at < 0 ? [] : open.splice(at, 1);
    if (!call) throw new Untranslatable("results of tools do not belong to the calls before them");
    return { id: call.id, texts, isError };
  });
  if (last?.from === "tools") messages[messages.length - 1] = { from: "tools", results: [...before, ...results] };
  else messages.push({ from: "tools", results });
}

/** Reads the parts of one conversation. A call of a tool that nothing else is known by is known by its place. */
class PartReader {
  #calls = 0;

  read(part: unknown): readonly Part[] {
    const fields = fieldsOf(part, "a part of a message");
    // Signed thoughts can be read by the model that had them, and by no other.
    fields.ignore("thoughtSignature", "partMetadata");
    const isThought = fields.boolean("thought") ?? false;
    const read = this.#readData(fields);
    if (!isThought) fields.done();
    return isThought || read === undefined ? [] : [read];
  }

  #readData(fields: Fields): Part | undefined {
    const text = fields.text("text");
    if (text !== undefined) return text === "" ? undefined : { kind: "text", text };
    const data = fields.record("inlineData");
    if (data) return readImage(data);
    const called = fields.record("functionCall");
    if (called) return this.#readToolCall(called);
    const response = fields.record("functionResponse");
    return response && readResult(response);
  }

  #readToolCall(called: unknown): ToolCall {
    const fields = fieldsOf(called, "a call of a tool");
    const read: ToolCall = {
      kind: "tool-call",
      id: fields.text("id") ?? `call_of_place_${this.#calls}`,
      name: fields.requiredText("name"),
      input: JSON.stringify(fields.record("args") ?? {}),
    };
    this.#calls++;
    fields.done();
    return read;
  }
}

function readImage(data: unknown): ImagePart {
  const fields = fieldsOf(data, "an image");
  const mediaType = fields.requiredText("mimeType");
  if (!mediaType.startsWith("image/")) throw new Untranslatable(`a message has a part of type ${shown(mediaType)}`);
  const read: ImagePart = { kind: "image", source: { mediaType, base64: fields.requiredText("data") } };
  fields.ignore("displayName");
  fields.done();
  return read;
}

function readResult(response: unknown): NamedResult {
  const fields = fieldsOf(response, "the result of a tool");
  const named = { kind: "tool-result", id: fields.text("id"), name: fields.requiredText("name") } as const;
  const result = fields.record("response") ?? {};
  fields.allowOnly("parts", []);
  fields.done();
  return { ...named, ...readResponse(result) };
}

/** What a function gave is under `output`, and what went wrong under `error`; without them it is all of it. */
function readResponse(response: Readonly<Record<string, unknown>>): Pick<NamedResult, "texts" | "isError"> {
  const names = Object.keys(response);
  const [name = ""] = names;
  const isNamed = names.length === 1 && (name === "output" || name === "error");
  const said = isNamed ? response[name] : response;
  const isTexts = Array.isArray(said) && said.length > 0 && said.every((one) => typeof one === "string");
  return { texts: isTexts ? listOf(said).map(String) : [textOf(said)], isError: isNamed && name === "error" };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(isRecord(value) || value !== undefined ? value : {});
}
