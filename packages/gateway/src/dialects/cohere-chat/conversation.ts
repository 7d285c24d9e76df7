import { type ConversationForm, type ModelCall, NOTED, type ReadyTerms, type WrittenAnswer } from "../dialect.ts";
import { listOf, recordOf, textOfParts } from "../json-value.ts";
import { chatSteps } from "../tool-steps.ts";
import { writeEvents } from "./write-events.ts";

/** A turn begins with what the user says. Calls of tools and their answers follow it, and stay with it. */
export const turns: ConversationForm = {
  member: "messages",
  beginsTurn: (message) => recordOf(message).role === "user",
  toolSteps: chatSteps,
  note: (text) => [
    { role: "user", content: text },
    { role: "assistant", content: NOTED },
  ],
  question: ({ model, task, text, outputTokensMost }) => ({
    model,
    max_tokens: outputTokensMost,
    messages: [
      { role: "system", content: task },
      { role: "user", content: text },
    ],
  }),
  said: (answer) => textOfParts(listOf(recordOf(recordOf(answer).message).content)),
};

export function finish({ messages, tools }: Readonly<Record<string, unknown>>, text: string): ReadonlyMap<string, string> {
  const changes = new Map([["messages", JSON.stringify([...listOf(messages), { role: "user", content: text }])]]);
  if (listOf(tools).length > 0) changes.set("tool_choice", '"NONE"');
  return changes;
}

/** A message that cost nothing, whole or as a stream. */
export function writeAnswer({ stream }: ModelCall, text: string, { id }: ReadyTerms): WrittenAnswer {
  const none = { input_tokens: 0, output_tokens: 0 };
  const end = { finish_reason: "COMPLETE", usage: { billed_units: none, tokens: none } };
  if (!stream) {
    const message = { role: "assistant", content: [{ type: "text", text }] };
    return { contentType: "application/json", body: JSON.stringify({ id, message, ...end }) };
  }
  const body = writeEvents([
    { type: "message-start", id, delta: { message: { role: "assistant", content: [] } } },
    { type: "content-start", index: 0, delta: { message: { content: { type: "text", text: "" } } } },
    { type: "content-delta", index: 0, delta: { message: { content: { text } } } },
    { type: "content-end", index: 0 },
    { type: "message-end", id, delta: end },
  ]);
  return { contentType: "text/event-stream", body };
}
