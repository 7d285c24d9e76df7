import { isReasoningModel } from "../../dialects/openai-chat/write-call.ts";
import { capOf } from "../cap.ts";
import { urlOf } from "../image-source.ts";
import { promised, refuseOddTool, refuseSampling, sampling } from "../openai-models.ts";
import type { ImagePart, PlainCall, PlainMessage, PlainTool, TargetModel, TextPart, ToolCall, ToolChoice } from "../plain.ts";
import { refuseOddTurns } from "../turns.ts";
import { Untranslatable } from "../untranslatable.ts";

/** OpenAI takes no smaller cap. */
const CAP_LEAST = 16;

/** The body of a call for a response. Throws `Untranslatable` where the format, or the model, cannot do what is asked. */
export function writeCall(call: PlainCall, model: TargetModel): unknown {
  const { stops, system, tools, toolChoice } = call;
  refuseOddTurns(call.messages);
  refuseSampling(call, model);
  if (stops.length > 0) throw new Untranslatable("a response stops at no texts");
  const outputTokens = capOf(call, model) ?? CAP_LEAST;
  if (outputTokens < CAP_LEAST) throw new Untranslatable(`its cap is below ${CAP_LEAST} tokens`);
  return {
    model: model.name,
    ...(system.length > 0 && { instructions: system.join("\n\n") }),
    input: call.messages.flatMap(writeMessage),
    // The client sends all of the conversation again.
    store: false,
    ...(call.stream && { stream: true }),
    ...(call.outputTokens !== undefined && { max_output_tokens: outputTokens }),
    ...sampling(call, model),
    ...(call.effort && isReasoningModel(model.name) && { reasoning: { effort: call.effort } }),
    ...(tools.length > 0 && { tools: tools.map((tool) => writeTool(tool, model)) }),
    ...(tools.length > 0 && toolChoice.kind !== "auto" && { tool_choice: writeToolChoice(toolChoice) }),
    ...(tools.length > 0 && !call.severalTools && { parallel_tool_calls: false }),
    ...(call.schema && { text: { format: { type: "json_schema", ...promised(call.schema, model), strict: true } } }),
  };
}

/** What is said, and each call of a tool and each result, are items of their own. */
function writeMessage(message: PlainMessage): readonly unknown[] {
  if (message.from === "user") return [{ role: "user", content: message.parts.map(writePart) }];
  if (message.from === "tools")
    return message.results.map(({ id, texts, isError }) => ({
      type: "function_call_output",
      call_id: id,
      // This format cannot say that a tool failed, so the text does.
      output: (isError ? ["Error:", ...texts] : texts).join("\n"),
    }));
  return message.parts.map(writeSaid);
}

function writePart(part: TextPart | ImagePart): unknown {
  if (part.kind === "text") return { type: "input_text", text: part.text };
  return { type: "input_image", detail: "auto", image_url: urlOf(part.source) };
}

function writeSaid(part: TextPart | ToolCall): unknown {
  if (part.kind === "text") return { role: "assistant", content: part.text };
  return { type: "function_call", call_id: part.id, name: part.name, arguments: part.input === "" ? "{}" : part.input };
}

function writeTool(tool: PlainTool, model: TargetModel): unknown {
  refuseOddTool(tool, model);
  const { name, description, schema, isStrict } = tool;
  return { type: "function", name, ...(description !== undefined && { description }), parameters: schema, strict: isStrict };
}

function writeToolChoice(choice: ToolChoice): unknown {
  if (choice.kind === "one") return { type: "function", name: choice.name };
  return choice.kind === "any" ? "required" : choice.kind;
}
