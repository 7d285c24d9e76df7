import { type Answer, type Body, capOf, type Format, textsOf } from "./format.ts";

/** Anthropic's messages. */
export const ANTHROPIC_MESSAGES: Format = {
  path: /^\/v1\/messages$/,
  read: ({ model, system, messages, max_tokens: cap, stream }) => ({
    model,
    texts: [...textsOf(system), ...messages.flatMap((message: Body) => textsOf(message?.content))],
    outputTokensMost: capOf(cap),
    stream: stream === true,
    wantsUsage: true,
  }),
  whole: ({ model }, answer) => ({
    id: `msg_${answer.id}`,
    type: "message",
    role: "assistant",
    model,
    content: [{ type: "text", text: answer.pieces.join("") }],
    stop_reason: anthropicEnd(answer),
    stop_sequence: null,
    usage: { input_tokens: answer.inputTokens, output_tokens: answer.outputTokens },
  }),
  *events({ model }, answer) {
    const event = (type: string, fields: object = {}) => `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
    const usage = { input_tokens: answer.inputTokens, output_tokens: 1 };
    const message = {
      id: `msg_${answer.id}`,
      type: "message",
      role: "assistant",
      model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage,
    };
    yield { text: event("message_start", { message }), isText: false };
    yield { text: event("content_block_start", { index: 0, content_block: { type: "text", text: "" } }), isText: false };
    for (const text of answer.pieces) {
      yield { text: event("content_block_delta", { index: 0, delta: { type: "text_delta", text } }), isText: true };
    }
    yield { text: event("content_block_stop", { index: 0 }), isText: false };
    const delta = { stop_reason: anthropicEnd(answer), stop_sequence: null };
    yield { text: event("message_delta", { delta, usage: { output_tokens: answer.outputTokens } }), isText: false };
    yield { text: event("message_stop"), isText: false };
  },
  error: (_status, type, message) => ({ type: "error", error: { type, message } }),
};

/** How many tokens such a call would have, without an answer to it. */
export const ANTHROPIC_COUNT: Format = {
  ...ANTHROPIC_MESSAGES,
  path: /^\/v1\/messages\/count_tokens$/,
  read(body, path) {
    const question = ANTHROPIC_MESSAGES.read(body, path);
    return question && { ...question, stream: false };
  },
  whole: (_question, { inputTokens }) => ({ input_tokens: inputTokens }),
};

function anthropicEnd({ isCut }: Answer): string {
  return isCut ? "max_tokens" : "end_turn";
}
