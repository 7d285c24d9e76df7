import type { MessagesForm } from "../dialect.ts";
import { listOf, recordOf } from "../json-value.ts";
import { calledTool, type ToolStep, toolOutcome } from "../tool-steps.ts";

/** A turn begins with what the user says. Calls of functions and their results are steps by themselves, or stand in the content of one. */
export const messages: MessagesForm = {
  member: "input",
  beginsTurn: (step) => {
    const { type, role } = recordOf(step);
    return type === "user_input" || (role === "user" && toolSteps(step).length === 0);
  },
  toolSteps,
};

function toolSteps(step: unknown): readonly ToolStep[] {
  return [step, ...listOf(recordOf(step).content)].flatMap((one) => {
    const { type, id, name, arguments: input, call_id: of, result, is_error: isError } = recordOf(one);
    if (type === "function_call") return [calledTool(id, name, input)];
    return type === "function_result" ? [toolOutcome(of, result, isError === true)] : [];
  });
}
