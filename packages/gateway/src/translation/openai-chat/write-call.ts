import { isReasoningModel, usualCapField } from "../../dialects/openai-chat/write-call.ts";
import { capOf } from "../cap.ts";
import type { ImagePart, PlainCall, PlainMessage, PlainSchema, PlainTool, TargetModel, TextPart, ToolChoice } from "../plain.ts";
import { isPromisable } from "../schema.ts";
import { refuseOddTurns } from "../turns.ts";
import { shown, Untranslatable } from "../untranslatable.ts";

/** Names of tools, as OpenAI takes them. */
const TOOL_NAME = /^[\w-]{1,64}$/;
/** OpenAI's models that promise to keep to a schema. Of others that speak this format nobody knows. */
const KEEPS_SCHEMAS = /^(?:gpt-4o(?!-2024-05-13)|gpt-4\.1|gpt-(?:[5-9]|\d\d)|o\d)/;
/** No answer stops at more texts. */
const STOPS_MOST = 4;

/** The body of a chat completion's call. Throws `Untranslatable` where the format, or the model, cannot do what is asked. */
export function writeCall(call: PlainCall, model: TargetModel): unknown {
  const { temperature, topP, stops, tools, toolChoice } = call;
  refuseOddTurns(call.messages);
  refuseSampling(call, model);
  if (stops.length > STOPS_MOST) throw new Untranslatable(`it has more than ${STOPS_MOST} texts to stop at`);
  const outputTokens = capOf(call, model);
  const system = call.system.length === 0 ? [] : [{ role: "system", content: textContent(call.system) }];
  return {
    model: model.name,
    messages: [...system, ...call.messages.flatMap(writeMessage)],
    ...(call.stream && { stream: true }),
    ...(outputTokens !== undefined && { [usualCapField(model.name)]: outputTokens }),
    ...(temperature !== undefined && !isReasoningModel(model.name) && { temperature }),
    ...(topP !== undefined && !isReasoningModel(model.name) && { top_p: topP }),
    ...(call.effort && isReasoningModel(model.name) && { reasoning_effort: call.effort }),
    ...(stops.length > 0 && { stop: stops }),
    ...(tools.length > 0 && { tools: tools.map((tool) => writeTool(tool, model)) }),
    ...(tools.length > 0 && toolChoice.kind !== "auto" && { tool_choice: writeToolChoice(toolChoice) }),
    ...(tools.length > 0 && !call.severalTools && { parallel_tool_calls: false }),
    ...(call.schema && { response_format: { type: "json_schema", json_schema: { ...promised(call.schema, model), strict: true } } }),
  };
}

/** Reasoning models take no settings of chance but those that they have anyway, and no texts to stop at. */
function refuseSampling({ temperature = 1, topP = 1, stops }: PlainCall, { name }: TargetModel): void {
  if (!isReasoningModel(name)) return;
  if (temperature !== 1) throw new Untranslatable(`${name} takes no temperature`);
  if (topP !== 1) throw new Untranslatable(`${name} takes no top_p`);
  if (stops.length > 0) throw new Untranslatable(`${name} takes no texts to stop at`);
}

function promised(schema: PlainSchema, { name }: TargetModel): PlainSchema {
  if (!KEEPS_SCHEMAS.test(name)) throw new Untranslatable(`nobody knows whether ${name} keeps to a schema`);
  if (!isPromisable(schema.schema)) throw new Untranslatable("the form of the answer has what not all providers promise to keep to");
  return schema;
}

function writeMessage(message: PlainMessage): readonly unknown[] {
  if (message.from === "user") return [{ role: "user", content: userContent(message.parts) }];
  if (message.from === "tools")
    return message.results.map(({ id, texts, isError }) => ({
      role: "tool",
      tool_call_id: id,
      // This format cannot say that a tool failed, so the text does.
      content: textContent(isError ? ["Error:", ...texts] : texts),
    }));
  const texts = message.parts.flatMap((part) => (part.kind === "text" ? [part.text] : []));
  const calls = message.parts.flatMap((part) => (part.kind === "tool-call" ? [part] : []));
  return [
    {
      role: "assistant",
      content: texts.length === 0 ? null : textContent(texts),
      ...(calls.length > 0 && {
        tool_calls: calls.map(({ id, name, input }) => ({ id, type: "function", function: { name, arguments: input } })),
      }),
    },
  ];
}

/** A text stands alone wherever it can: not all who speak this format read parts. */
function textContent(texts: readonly string[]): unknown {
  return texts.length <= 1 ? (texts[0] ?? "") : texts.map((text) => ({ type: "text", text }));
}

function userContent(parts: readonly (TextPart | ImagePart)[]): unknown {
  const texts = parts.flatMap((part) => (part.kind === "text" ? [part.text] : []));
  if (texts.length === parts.length) return textContent(texts);
  return parts.map((part) =>
    part.kind === "text" ? { type: "text", text: part.text } : { type: "image_url", image_url: { url: urlOf(part.source) } },
  );
}

function urlOf(source: ImagePart["source"]): string {
  return "url" in source ? source.url : `data:${source.mediaType};base64,${source.base64}`;
}

function writeTool({ name, description, schema, isStrict }: PlainTool, model: TargetModel): unknown {
  if (!TOOL_NAME.test(name)) throw new Untranslatable(`a tool is called ${shown(name)}`);
  if (isStrict) promised({ name, schema }, model);
  return {
    type: "function",
    function: { name, ...(description !== undefined && { description }), parameters: schema, ...(isStrict && { strict: true }) },
  };
}

function writeToolChoice(choice: ToolChoice): unknown {
  if (choice.kind === "one") return { type: "function", function: { name: choice.name } };
  return choice.kind === "any" ? "required" : choice.kind;
}
