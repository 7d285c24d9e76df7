import { type ConversationForm, NOTED } from "../dialect.ts";
import { listOf, recordOf, textOfParts } from "../json-value.ts";
import { namedBlockSteps } from "../tool-steps.ts";

/** A turn begins with what the user says. What tools answered comes from the user too, and stays with the call that asked for it. */
export const turns: ConversationForm = {
  member: "messages",
  beginsTurn: (message) => {
    const { role, content } = recordOf(message);
    return role === "user" && !listOf(content).some((block) => recordOf(block).toolResult !== undefined);
  },
  toolSteps: namedBlockSteps,
  note: (text) => [
    { role: "user", content: [{ text }] },
    { role: "assistant", content: [{ text: NOTED }] },
  ],
  // The model is in the path.
  question: ({ task, text, outputTokensMost }) => ({
    system: [{ text: task }],
    messages: [{ role: "user", content: [{ text }] }],
    inferenceConfig: { maxTokens: outputTokensMost },
  }),
  said: (answer) => textOfParts(listOf(recordOf(recordOf(recordOf(answer).output).message).content)),
};
