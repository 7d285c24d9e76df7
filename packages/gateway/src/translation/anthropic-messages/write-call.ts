import type { ImagePart, PlainCall, PlainMessage, PlainTool, TargetModel, TextPart, ToolCall } from "../plain.ts";
import { isPromisable } from "../schema.ts";
import { inputOf } from "../tool-input.ts";
import { refuseOddTurns } from "../turns.ts";
import { isBlank, shown, Untranslatable } from "../untranslatable.ts";

/** Names of tools and ids of their calls, as Anthropic takes them. */
const TOOL_NAME = /^[\w-]{1,128}$/;
const CALL_ID = /^[\w-]+$/;
const IMAGES: ReadonlySet<string> = new Set(["image/jpeg", "image/png", "image/gif", "image/webp"]);

/** The body of a message's call. Throws `Untranslatable` where the format, or the model, cannot do what is asked. */
export function writeCall(call: PlainCall, model: TargetModel): unknown {
  const { outputTokens = model.outputTokensUsual, stops, tools } = call;
  const messages = writeMessages(call.messages);
  const system = call.system.filter((text) => !isBlank(text)).map(textBlock);
  if (tools.length === 0 && call.messages.some(({ from }) => from === "tools"))
    throw new Untranslatable("it has results of tools, and names no tools");
  if (stops.some(isBlank)) throw new Untranslatable("it is to stop at a text of blanks");
  return {
    model: model.name,
    max_tokens: Math.min(outputTokens, model.outputTokensMost ?? outputTokens),
    ...(system.length > 0 && { system }),
    messages,
    ...(call.stream && { stream: true }),
    ...sampling(call, model),
    ...(stops.length > 0 && { stop_sequences: stops }),
    ...(tools.length > 0 && { tools: tools.map((tool) => writeTool(tool, model)), ...toolChoice(call) }),
    ...outputConfig(call, model),
  };
}

/** The version of one of Anthropic's own models: 4.5 of `claude-haiku-4-5-20251001`. Nothing for models of others that speak this format. */
function versionOf(model: string): number | undefined {
  const named = /claude-(?:[a-z]+-)?(\d)(?:[-.](\d)(?!\d))?/.exec(model);
  return named ? Number(named[1]) + Number(named[2] ?? 0) / 10 : undefined;
}

/** Models after 4.6 take no settings of chance, and those before it only one of the two. */
const SAMPLING_UNTIL = 4.6;

function sampling({ temperature = 1, topP = 1 }: PlainCall, { name }: TargetModel): Readonly<Record<string, number>> {
  const version = versionOf(name);
  const isSet = temperature !== 1 || topP !== 1;
  if (isSet && version !== undefined && version > SAMPLING_UNTIL) throw new Untranslatable(`${name} takes no temperature and no top_p`);
  if (temperature > 1) throw new Untranslatable("the temperature is above 1");
  if (temperature !== 1 && topP !== 1) throw new Untranslatable("it takes either a temperature or top_p");
  return { ...(temperature !== 1 && { temperature }), ...(topP !== 1 && { top_p: topP }) };
}

/** Models from here on know an effort, but for the smallest of them. */
const EFFORT_FROM = 4.6;

function outputConfig({ schema, effort }: PlainCall, model: TargetModel): { readonly output_config?: unknown } {
  const format = schema && { type: "json_schema", schema: promised(schema.schema, model) };
  const isKnown = effort !== undefined && (versionOf(model.name) ?? 0) >= EFFORT_FROM && !model.name.includes("haiku");
  return format || isKnown ? { output_config: { ...(format && { format }), ...(isKnown && { effort }) } } : {};
}

/** Models from here on promise to keep to a schema. */
const SCHEMAS_FROM = 4.5;

function promised(schema: Readonly<Record<string, unknown>>, { name }: TargetModel): unknown {
  if ((versionOf(name) ?? 0) < SCHEMAS_FROM) throw new Untranslatable(`nobody knows whether ${name} keeps to a schema`);
  if (!isPromisable(schema)) throw new Untranslatable("the form of the answer has what not all providers promise to keep to");
  return schema;
}

/** Turns alternate, and begin with the user. */
function writeMessages(messages: readonly PlainMessage[]): readonly unknown[] {
  refuseOddTurns(messages);
  const turns: { readonly role: "user" | "assistant"; readonly content: unknown[] }[] = [];
  for (const message of messages) {
    const role = message.from === "model" ? "assistant" : "user";
    const last = turns.at(-1);
    if (last?.role === role) last.content.push(...blocksOf(message));
    else turns.push({ role, content: [...blocksOf(message)] });
  }
  if (turns[0]?.role !== "user") throw new Untranslatable("it does not begin with the user");
  if (turns.some(({ content }) => content.length === 0)) throw new Untranslatable("a message is empty");
  return turns;
}

function blocksOf(message: PlainMessage): readonly unknown[] {
  if (message.from === "tools")
    return message.results.map(({ id, texts, isError }) => {
      const content = texts.filter((text) => !isBlank(text)).map(textBlock);
      return { type: "tool_result", tool_use_id: id, ...(content.length > 0 && { content }), ...(isError && { is_error: true }) };
    });
  const parts: readonly (TextPart | ImagePart | ToolCall)[] = message.parts;
  // Anthropic refuses texts of nothing but blanks, which say nothing.
  return parts.filter((part) => part.kind !== "text" || !isBlank(part.text)).map(writePart);
}

function writePart(part: TextPart | ImagePart | ToolCall): unknown {
  if (part.kind === "text") return textBlock(part.text);
  if (part.kind === "image") return { type: "image", source: imageSource(part.source) };
  if (!CALL_ID.test(part.id)) throw new Untranslatable(`a call of a tool has the id ${shown(part.id)}`);
  return { type: "tool_use", id: part.id, name: part.name, input: inputOf(part) };
}

function textBlock(text: string): unknown {
  return { type: "text", text };
}

function imageSource(source: ImagePart["source"]): unknown {
  if ("url" in source) return { type: "url", url: source.url };
  if (!IMAGES.has(source.mediaType)) throw new Untranslatable(`an image is of type ${shown(source.mediaType)}`);
  return { type: "base64", media_type: source.mediaType, data: source.base64 };
}

function writeTool({ name, description, schema, isStrict }: PlainTool, model: TargetModel): unknown {
  if (!TOOL_NAME.test(name)) throw new Untranslatable(`a tool is called ${shown(name)}`);
  if (schema.type !== "object") throw new Untranslatable(`the input of the tool ${shown(name)} is no object`);
  if (isStrict) promised(schema, model);
  return { name, ...(description !== undefined && { description }), input_schema: schema, ...(isStrict && { strict: true }) };
}

/** Nothing where the model chooses as it sees fit. */
function toolChoice({ toolChoice: choice, severalTools }: PlainCall): { readonly tool_choice?: unknown } {
  if (choice.kind === "none") return { tool_choice: { type: "none" } };
  if (choice.kind === "auto" && severalTools) return {};
  const which = choice.kind === "one" ? { type: "tool", name: choice.name } : { type: choice.kind };
  return { tool_choice: { ...which, ...(!severalTools && { disable_parallel_tool_use: true }) } };
}
