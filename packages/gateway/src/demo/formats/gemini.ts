import { type Answer, type Body, capOf, type Format, type Question, textsOf } from "./format.ts";

/** Google's `generateContent`, there and on Vertex AI, and its streams of events. */
export const GEMINI: Format = {
  path: /^\/v1(?:alpha|beta1?)?\/(?:projects\/[^/]+\/locations\/[^/]+\/)?(?:publishers\/google\/)?models\/([^/:]+):(g|streamG)enerateContent$/,
  read: ({ systemInstruction, contents, generationConfig }, [, model, action]) => ({
    model: decodeURIComponent(model ?? ""),
    texts: [...textsOf(systemInstruction?.parts), ...contents.flatMap((content: Body) => textsOf(content?.parts))],
    outputTokensMost: capOf(generationConfig?.maxOutputTokens),
    stream: action === "streamG",
    wantsUsage: true,
  }),
  whole: (question, answer) => partOf(question, answer, answer.pieces.join(""), answer.outputTokens, true),
  *events(question, answer) {
    for (const [index, piece] of answer.pieces.entries()) {
      const part = partOf(question, answer, piece, index + 1, index === answer.pieces.length - 1);
      yield { text: `data: ${JSON.stringify(part)}\r\n\r\n`, isText: true };
    }
  },
  error: (status, _type, message) => ({ error: { code: status, message, status: status === 404 ? "NOT_FOUND" : "INVALID_ARGUMENT" } }),
};

function partOf({ model }: Question, { id, isCut, inputTokens }: Answer, text: string, outputTokens: number, isLast: boolean) {
  const finishReason = isLast ? { finishReason: isCut ? "MAX_TOKENS" : "STOP" } : {};
  return {
    candidates: [{ content: { role: "model", parts: [{ text }] }, ...finishReason, index: 0 }],
    usageMetadata: { promptTokenCount: inputTokens, candidatesTokenCount: outputTokens, totalTokenCount: inputTokens + outputTokens },
    modelVersion: model,
    responseId: id,
  };
}
