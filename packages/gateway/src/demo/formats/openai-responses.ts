import { type Answer, type Body, capOf, type Format, type Question, textsOf } from "./format.ts";
import { OPENAI_CHAT } from "./openai-chat.ts";

/** OpenAI's responses. */
export const OPENAI_RESPONSES: Format = {
  path: /^\/v1\/responses$/,
  read: ({ model, instructions, input, max_output_tokens: cap, stream }) => ({
    model,
    texts: [...textsOf(instructions), ...(typeof input === "string" ? [input] : input.flatMap((item: Body) => textsOf(item?.content)))],
    outputTokensMost: capOf(cap),
    stream: stream === true,
    wantsUsage: true,
  }),
  whole: responseOf,
  *events(question, answer) {
    let number = 0;
    const event = (type: string, fields: object) =>
      `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: number++, ...fields })}\n\n`;
    const begun = { ...responseOf(question, answer), status: "in_progress", incomplete_details: null, output: [], usage: null };
    const place = { item_id: itemId(answer), output_index: 0 };
    const part = { ...place, content_index: 0 };
    const text = answer.pieces.join("");
    yield { text: event("response.created", { response: begun }), isText: false };
    yield { text: event("response.in_progress", { response: begun }), isText: false };
    const item = { ...messageOf(answer), status: "in_progress", content: [] };
    yield { text: event("response.output_item.added", { output_index: 0, item }), isText: false };
    yield { text: event("response.content_part.added", { ...part, part: contentOf("") }), isText: false };
    for (const delta of answer.pieces) yield { text: event("response.output_text.delta", { ...part, delta, logprobs: [] }), isText: true };
    yield { text: event("response.output_text.done", { ...part, text, logprobs: [] }), isText: false };
    yield { text: event("response.content_part.done", { ...part, part: contentOf(text) }), isText: false };
    yield { text: event("response.output_item.done", { output_index: 0, item: messageOf(answer) }), isText: false };
    const end = answer.isCut ? "response.incomplete" : "response.completed";
    yield { text: event(end, { response: responseOf(question, answer) }), isText: false };
  },
  error: OPENAI_CHAT.error,
};

function responseOf({ model }: Question, answer: Answer) {
  const { id, isCut, inputTokens, outputTokens } = answer;
  return {
    id: `resp_${id}`,
    object: "response",
    created_at: Math.floor(Date.now() / 1000),
    status: isCut ? "incomplete" : "completed",
    error: null,
    incomplete_details: isCut ? { reason: "max_output_tokens" } : null,
    model,
    output: [messageOf(answer)],
    parallel_tool_calls: true,
    tool_choice: "auto",
    tools: [],
    usage: {
      input_tokens: inputTokens,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: outputTokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: inputTokens + outputTokens,
    },
  };
}

function messageOf(answer: Answer) {
  const { isCut, pieces } = answer;
  const status = isCut ? "incomplete" : "completed";
  return { id: itemId(answer), type: "message", status, role: "assistant", content: [contentOf(pieces.join(""))] };
}

function contentOf(text: string) {
  return { type: "output_text", text, annotations: [], logprobs: [] };
}

function itemId({ id }: Answer): string {
  return `msg_${id}`;
}
