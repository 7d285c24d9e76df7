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

/** Said in the turn of the user that is the last one, behind what functions answered there. */
export function finish(body: Readonly<Record<string, unknown>>, text: string): ReadonlyMap<string, string> {
  const all = typeof body.contents === "string" ? [{ role: "user", parts: [{ text: body.contents }] }] : [body.contents ?? []].flat();
  const last = recordOf(all.at(-1));
  const isUser = (last.role ?? "user") === "user" && Array.isArray(last.parts);
  const turn = isUser ? { ...last, parts: [...listOf(last.parts), { text }] } : { role: "user", parts: [{ text }] };
  const changes = new Map([["contents", JSON.stringify([...(isUser ? all.slice(0, -1) : all), turn])]]);
  if (!listOf(body.tools).some((tool) => fieldOf(recordOf(tool), "functionDeclarations") !== undefined)) return changes;
  const config = recordOf(fieldOf(body, "toolConfig"));
  const { functionCallingConfig: _, function_calling_config: _snake, ...others } = config;
  const name = body.tool_config === undefined ? "toolConfig" : "tool_config";
  return changes.set(name, JSON.stringify({ ...others, functionCallingConfig: { mode: "NONE" } }));
}

/** Ids are rare here: without them, what functions answered stands in the order in which they were called. */
function partSteps(part: unknown): readonly ToolStep[] {
  const call = fieldOf(recordOf(part), "functionCall");
  if (call !== undefined) return [calledTool(recordOf(call).id, recordOf(call).name, recordOf(call).args)];
  const response = fieldOf(recordOf(part), "functionResponse");
  if (response === undefined) return [];
  return [toolOutcome(recordOf(response).id, recordOf(response).response)];
}
