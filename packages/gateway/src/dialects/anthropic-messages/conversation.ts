import { type ConversationForm, type ModelCall, NOTED, type ReadyTerms, type WrittenAnswer } from "../dialect.ts";
import { listOf, recordOf, textOfParts } from "../json-value.ts";
import { blockSteps } from "../tool-steps.ts";

/** A turn begins with what the user says. Results of tools come from the user too, and stay with the call that asked for them. */
export const turns: ConversationForm = {
  member: "messages",
  beginsTurn: (message) => {
    const { role, content } = recordOf(message);
    return role === "user" && !listOf(content).some((part) => recordOf(part).type === "tool_result");
  },
  toolSteps: blockSteps,
  note: (text) => [
    { role: "user", content: text },
    { role: "assistant", content: NOTED },
  ],
  question: ({ model, task, text, outputTokensMost }) => ({
    model,
    max_tokens: outputTokensMost,
    system: task,
    messages: [{ role: "user", content: text }],
  }),
  said: (answer) => textOfParts(listOf(recordOf(answer).content).filter((part) => recordOf(part).type === "text")),
};

/** Said in the turn of the user that is the last one, behind what tools answered there: turns alternate, and that has to stand first. */
export function finish({ messages, tools }: Readonly<Record<string, unknown>>, text: string): ReadonlyMap<string, string> {
  const all = listOf(messages);
  const last = recordOf(all.at(-1));
  const said = { type: "text", text };
  const content = typeof last.content === "string" ? [{ type: "text", text: last.content }] : listOf(last.content);
  const kept = last.role === "user" ? all.slice(0, -1) : all;
  const turn = last.role === "user" ? { ...last, content: [...content, said] } : { role: "user", content: [said] };
  const changes = new Map([["messages", JSON.stringify([...kept, turn])]]);
  if (listOf(tools).length > 0) changes.set("tool_choice", '{"type":"none"}');
  return changes;
}

/** Anthropic caches what is marked (https://platform.claude.com/docs/en/build-with-claude/prompt-caching). */
export function usesCache({ body }: ModelCall): boolean {
  return body.bytes.includes('"cache_control"');
}

/** A message that cost nothing, whole or as a stream. */
export function writeAnswer({ stream, model }: ModelCall, text: string, { id }: ReadyTerms): WrittenAnswer {
  const message = { id: `msg_${id}`, type: "message", role: "assistant", model, content: [], stop_sequence: null };
  const usage = { input_tokens: 0, output_tokens: 0 };
  if (!stream) {
    const whole = { ...message, content: [{ type: "text", text }], stop_reason: "end_turn", usage };
    return { contentType: "application/json", body: JSON.stringify(whole) };
  }
  const events = [
    { type: "message_start", message: { ...message, stop_reason: null, usage } },
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
    { type: "content_block_delta", index: 0, delta: { type: "text_delta", text } },
    { type: "content_block_stop", index: 0 },
    { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 0 } },
    { type: "message_stop" },
  ];
  const body = events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("");
  return { contentType: "text/event-stream", body };
}
