import { type ConversationForm, type ModelCall, NOTED, type ReadyTerms, type WrittenAnswer } from "../dialect.ts";
import { memberValue } from "../json-body.ts";
import { listOf, recordOf, textOfParts } from "../json-value.ts";
import { calledTool, type ToolStep, toolOutcome } from "../tool-steps.ts";

/** A turn begins with what the user says. Calls of tools and what came of them follow it, and stay with it. */
export const turns: ConversationForm = {
  member: "input",
  beginsTurn: (item) => {
    const { role, type = "message" } = recordOf(item);
    return type === "message" && role === "user";
  },
  toolSteps: itemSteps,
  note: (text) => [
    { role: "user", content: text },
    { role: "assistant", content: NOTED },
  ],
  // Nobody asked the provider to keep it.
  question: ({ model, task, text }) => ({ model, instructions: task, input: text, store: false }),
  said: (answer) => {
    const messages = listOf(recordOf(answer).output).filter((item) => recordOf(item).type === "message");
    return textOfParts(messages.flatMap((message) => listOf(recordOf(message).content)));
  },
};

/** Calls and what came of them are items, of functions and of tools that the client has: shells, patches, screens. What runs at the provider has no `call_id`. */
function itemSteps(item: unknown): readonly ToolStep[] {
  const { type, call_id: id, name = type, arguments: asked, input = asked, action = input, operation = action, output } = recordOf(item);
  if (typeof type !== "string" || typeof id !== "string") return [];
  if (type.endsWith("_call_output")) return [toolOutcome(id, output)];
  return type.endsWith("_call") ? [calledTool(id, name, operation)] : [];
}

/** The input can be a text by itself, which is what the user says. */
export function finish({ input, tools }: Readonly<Record<string, unknown>>, text: string): ReadonlyMap<string, string> {
  const items = typeof input === "string" ? [{ role: "user", content: input }] : listOf(input);
  const changes = new Map([["input", JSON.stringify([...items, { role: "user", content: text }])]]);
  if (listOf(tools).length > 0) changes.set("tool_choice", '"none"');
  return changes;
}

/** OpenAI caches by itself; whoever names a key for it relies on that (https://platform.openai.com/docs/guides/prompt-caching). */
export function usesCache({ body }: ModelCall): boolean {
  return memberValue(body, "prompt_cache_key") !== undefined;
}

/** A response that cost nothing, whole or as a stream. */
export function writeAnswer({ stream, model }: ModelCall, text: string, { id, createdAt }: ReadyTerms): WrittenAnswer {
  const part = { type: "output_text", text, annotations: [], logprobs: [] };
  const item = { id: `msg_${id}`, type: "message", status: "completed", role: "assistant", content: [part] };
  const response = { ...responseHead(id, model, createdAt), status: "completed", output: [item], usage: NO_USAGE };
  if (!stream) return { contentType: "application/json", body: JSON.stringify(response) };
  const begun = { ...responseHead(id, model, createdAt), status: "in_progress", output: [], usage: null };
  const at = { item_id: item.id, output_index: 0, content_index: 0 };
  const events = [
    { type: "response.created", response: begun },
    { type: "response.in_progress", response: begun },
    { type: "response.output_item.added", output_index: 0, item: { ...item, status: "in_progress", content: [] } },
    { type: "response.content_part.added", ...at, part: { ...part, text: "" } },
    { type: "response.output_text.delta", ...at, delta: text, logprobs: [] },
    { type: "response.output_text.done", ...at, text, logprobs: [] },
    { type: "response.content_part.done", ...at, part },
    { type: "response.output_item.done", output_index: 0, item },
    { type: "response.completed", response },
  ];
  const lines = events.map((event, i) => `event: ${event.type}\ndata: ${JSON.stringify({ ...event, sequence_number: i })}\n\n`);
  return { contentType: "text/event-stream", body: lines.join("") };
}

const NO_USAGE = {
  input_tokens: 0,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: 0,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: 0,
};

/** What clients look for in every response, whatever it says. */
export function responseHead(id: string, model: string, createdAt: number) {
  return {
    id: `resp_${id}`,
    object: "response",
    created_at: createdAt,
    error: null,
    incomplete_details: null,
    instructions: null,
    metadata: {},
    model,
    parallel_tool_calls: true,
    temperature: null,
    tool_choice: "auto",
    tools: [],
    top_p: null,
  };
}
