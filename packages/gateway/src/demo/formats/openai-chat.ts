import { type Answer, type Body, capOf, type Format, textsOf } from "./format.ts";

/** OpenAI's chat completions. */
export const OPENAI_CHAT: Format = {
  path: /^\/v1\/chat\/completions$/,
  read: ({ model, messages, max_completion_tokens: cap, max_tokens: older, stream, stream_options: options }) => ({
    model,
    texts: messages.flatMap((message: Body) => textsOf(message?.content)),
    outputTokensMost: capOf(cap ?? older),
    stream: stream === true,
    wantsUsage: options?.include_usage === true,
  }),
  whole: ({ model }, answer) => ({
    id: `chatcmpl-${answer.id}`,
    object: "chat.completion",
    created: Math.floor(Date.now() / 1000),
    model,
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: answer.pieces.join(""), refusal: null },
        logprobs: null,
        finish_reason: openaiEnd(answer),
      },
    ],
    usage: openaiUsage(answer),
  }),
  *events({ model, wantsUsage }, answer) {
    const created = Math.floor(Date.now() / 1000);
    const chunk = (fields: object) =>
      `data: ${JSON.stringify({ id: `chatcmpl-${answer.id}`, object: "chat.completion.chunk", created, model, ...(wantsUsage && { usage: null }), ...fields })}\n\n`;
    const choice = (delta: object, finish_reason: string | null = null) => ({
      choices: [{ index: 0, delta, logprobs: null, finish_reason }],
    });
    yield { text: chunk(choice({ role: "assistant", content: "" })), isText: false };
    for (const content of answer.pieces) yield { text: chunk(choice({ content })), isText: true };
    yield { text: chunk(choice({}, openaiEnd(answer))), isText: false };
    if (wantsUsage) yield { text: chunk({ choices: [], usage: openaiUsage(answer) }), isText: false };
    yield { text: "data: [DONE]\n\n", isText: false };
  },
  error: (_status, type, message) => ({ error: { message, type, param: null, code: null } }),
};

function openaiEnd({ isCut }: Answer): string {
  return isCut ? "length" : "stop";
}

function openaiUsage({ inputTokens, outputTokens }: Answer) {
  return { prompt_tokens: inputTokens, completion_tokens: outputTokens, total_tokens: inputTokens + outputTokens };
}
