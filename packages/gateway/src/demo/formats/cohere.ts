import { type Answer, type Body, capOf, type Format, textsOf } from "./format.ts";

/** Cohere's chat, version 2. */
export const COHERE: Format = {
  path: /^\/v2\/chat$/,
  read: ({ model, messages, max_tokens: cap, stream }) => ({
    model,
    texts: messages.flatMap((message: Body) => textsOf(message?.content)),
    outputTokensMost: capOf(cap),
    stream: stream === true,
    wantsUsage: true,
  }),
  whole: (_, answer) => ({
    id: answer.id,
    message: { role: "assistant", content: [{ type: "text", text: answer.pieces.join("") }] },
    ...endOf(answer),
  }),
  *events(_, answer) {
    const event = (type: string, fields: object = {}) => `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
    yield { text: event("message-start", { id: answer.id, delta: { message: { role: "assistant", content: [] } } }), isText: false };
    yield { text: event("content-start", { index: 0, delta: { message: { content: { type: "text", text: "" } } } }), isText: false };
    for (const text of answer.pieces)
      yield { text: event("content-delta", { index: 0, delta: { message: { content: { text } } } }), isText: true };
    yield { text: event("content-end", { index: 0 }), isText: false };
    yield { text: event("message-end", { id: answer.id, delta: endOf(answer) }), isText: false };
  },
  error: (_status, _type, message) => ({ message }),
};

function endOf({ isCut, inputTokens, outputTokens }: Answer): object {
  const tokens = { input_tokens: inputTokens, output_tokens: outputTokens };
  return { finish_reason: isCut ? "MAX_TOKENS" : "COMPLETE", usage: { billed_units: tokens, tokens } };
}
