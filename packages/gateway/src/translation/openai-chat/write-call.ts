import { isReasoningModel, usualCapField } from "../../dialects/openai-chat/write-call.ts";
import { capOf } from "../cap.ts";
import { urlOf } from "../image-source.ts";
import { promised, refuseOddTool, refuseSampling, sampling } from "../openai-models.ts";
import type { ImagePart, PlainCall, PlainMessage, PlainTool, TargetModel, TextPart, ToolChoice } from "../plain.ts";
import { refuseOddTurns } from "../turns.ts";
import { Untranslatable } from "../untranslatable.ts";

/** No answer stops at more texts. */
const STOPS_MOST = 4;

/** The body of a chat completion's call. Throws `Untranslatable` where the format, or the model, cannot do what is asked. */
export function writeCall(call: PlainCall, model: TargetModel): unknown {
  const { stops, tools, toolChoice } = call;
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
    ...sampling(call, model),
    ...(call.effort && isReasoningModel(model.name) && { reasoning_effort: call.effort }),
    ...(stops.length > 0 && { stop: stops }),
    ...(tools.length > 0 && { tools: tools.map((tool) => writeTool(tool, model)) }),
    ...(tools.length > 0 && toolChoice.kind !== "auto" && { tool_choice: writeToolChoice(toolChoice) }),
    ...(tools.length > 0 && !call.severalTools && { parallel_tool_calls: false }),
    ...(call.schema && { response_format: { type: "json_schema", json_schema: { ...promised(call.schema, model), strict: true } } }),
  };
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

function writeTool(tool: PlainTool, model: TargetModel): unknown {
  const { name, description, schema, isStrict } = tool;
  refuseOddTool(tool, model);
  return {
    type: "function",
    function: { name, ...(description !== undefined && { description }), parameters: schema, ...(isStrict && { strict: true }) },
  };
}

function writeToolChoice(choice: ToolChoice): unknown {
  if (choice.kind === "one") return { type: "function", function: { name: choice.name } };
  return choice.kind === "any" ? "required" : choice.kind;
}
