import { type ConversationForm, type ModelCall, NOTED, type ReadyTerms, type WrittenAnswer } from "../dialect.ts";
import { memberValue } from "../json-body.ts";
import { listOf, recordOf } from "../json-value.ts";
import { chatSteps } from "../tool-steps.ts";

/** A turn begins with what the user says. Calls of tools and their answers follow it, and stay with it. */
export const turns: ConversationForm = {
  member: "messages",
  beginsTurn: (message) => recordOf(message).role === "user",
  toolSteps: chatSteps,
  note: (text) => [
    { role: "user", content: text },
    { role: "assistant", content: NOTED },
  ],
  question: ({ model, task, text }) => ({
    model,
    messages: [
      { role: "system", content: task },
      { role: "user", content: text },
    ],
  }),
  said: (answer) => {
    const { content } = recordOf(recordOf(listOf(recordOf(answer).choices)[0]).message);
    return typeof content === "string" ? content : "";
  },
};

/** What is said stands behind all else, so that the beginning is still the one that the provider has cached. Tools stay listed, since the messages speak of them. */
export function finish({ messages, tools, functions }: Readonly<Record<string, unknown>>, text: string): ReadonlyMap<string, string> {
  const changes = new Map([["messages", JSON.stringify([...listOf(messages), { role: "user", content: text }])]]);
  if (listOf(tools).length > 0) changes.set("tool_choice", '"none"');
  if (listOf(functions).length > 0) changes.set("function_call", '"none"');
  return changes;
}

/** OpenAI caches by itself; whoever names a key for it relies on that (https://platform.openai.com/docs/guides/prompt-caching). */
export function usesCache({ body }: ModelCall): boolean {
  return memberValue(body, "prompt_cache_key") !== undefined || body.bytes.includes('"cache_control"');
}

/** A completion that cost nothing, whole or as a stream. */
export function writeAnswer(call: ModelCall, text: string, { id, createdAt }: ReadyTerms): WrittenAnswer {
  const usage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
  const head = { id: `chatcmpl-${id}`, created: createdAt, model: call.model };
  if (!call.stream) {
    const choices = [{ index: 0, message: { role: "assistant", content: text, refusal: null }, logprobs: null, finish_reason: "stop" }];
    return { contentType: "application/json", body: JSON.stringify({ ...head, object: "chat.completion", choices, usage }) };
  }
  const chunk = (delta: unknown, reason: string | null) => ({
    ...head,
    object: "chat.completion.chunk",
    choices: [{ index: 0, delta, logprobs: null, finish_reason: reason }],
  });
  const events: unknown[] = [chunk({ role: "assistant", content: text }, null), chunk({}, "stop")];
  if (call.wantsUsage) events.push({ ...head, object: "chat.completion.chunk", choices: [], usage });
  const body = events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("");
  return { contentType: "text/event-stream", body: `${body}data: [DONE]\n\n` };
}
