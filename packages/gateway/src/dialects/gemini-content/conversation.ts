import { type ConversationForm, NOTED } from "../dialect.ts";
import { fieldOf } from "../gemini/fields.ts";
import { listOf, recordOf, textOfParts } from "../json-value.ts";
import { calledTool, type ToolStep, toolOutcome, withSaid } from "../tool-steps.ts";

/** A turn begins with what the user says. What functions answered comes from the user too, and stays with the call that asked for it. */
export const turns: ConversationForm = {
  member: "contents",
  beginsTurn: (content) => {
    const { role = "user", parts } = recordOf(content);
    return role === "user" && !listOf(parts).some((part) => fieldOf(recordOf(part), "functionResponse") !== undefined);
  },
  toolSteps: (content) => {
    const parts = listOf(recordOf(content).parts);
    return withSaid(parts.flatMap(partSteps), parts);
  },
  note: (text) => [
    { role: "user", parts: [{ text }] },
    { role: "model", parts: [{ text: NOTED }] },
  ],
  question: ({ task, text }) => ({ systemInstruction: { parts: [{ text: task }] }, contents: [{ role: "user", parts: [{ text }] }] }),
  said: (answer) => {
    const { content } = recordOf(listOf(recordOf(answer).candidates)[0]);
    return textOfParts(listOf(recordOf(content).parts).filter((part) => recordOf(part).thought !== true));
  },
};

/** Ids are rare here: without them, what functions answered stands in the order in which they were called. */
function partSteps(part: unknown): readonly ToolStep[] {
  const call = fieldOf(recordOf(part), "functionCall");
  if (call !== undefined) return [calledTool(recordOf(call).id, recordOf(call).name, recordOf(call).args)];
  const response = fieldOf(recordOf(part), "functionResponse");
  if (response === undefined) return [];
  return [toolOutcome(recordOf(response).id, recordOf(response).response)];
}
