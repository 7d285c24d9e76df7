import { type ConversationForm, NOTED } from "../dialect.ts";
import { fieldOf } from "../gemini/fields.ts";
import { listOf, recordOf, textOfParts } from "../json-value.ts";

/** A turn begins with what the user says. What functions answered comes from the user too, and stays with the call that asked for it. */
export const turns: ConversationForm = {
  member: "contents",
  beginsTurn: (content) => {
    const { role = "user", parts } = recordOf(content);
    return role === "user" && !listOf(parts).some((part) => fieldOf(recordOf(part), "functionResponse") !== undefined);
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
