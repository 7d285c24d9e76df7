import { type FrameEvent, writeFrames } from "../../dialects/bedrock/write-frames.ts";
import { type Answer, type Body, capOf, type Format, textsOf } from "./format.ts";

/** Amazon Bedrock's Converse, and its streams of frames. */
export const BEDROCK_CONVERSE: Format = {
  path: /^\/model\/([^/]+)\/converse(-stream)?$/,
  streamType: "application/vnd.amazon.eventstream",
  read: ({ system, messages, inferenceConfig }, [, model, stream]) => ({
    model: decodeURIComponent(model ?? ""),
    texts: [...textsOf(system), ...messages.flatMap((message: Body) => textsOf(message?.content))],
    outputTokensMost: capOf(inferenceConfig?.maxTokens),
    stream: stream !== undefined,
    wantsUsage: true,
  }),
  whole: (_, answer) => ({
    output: { message: { role: "assistant", content: [{ text: answer.pieces.join("") }] } },
    stopReason: reasonOf(answer),
    ...metadataOf(answer),
  }),
  *events(_, answer) {
    const event = (name: string, payload: object): FrameEvent => ({ name, payload });
    const written = (one: FrameEvent, isText = false) => ({ text: writeFrames([one]), isText });
    yield written(event("messageStart", { role: "assistant" }));
    for (const text of answer.pieces) yield written(event("contentBlockDelta", { contentBlockIndex: 0, delta: { text } }), true);
    yield written(event("contentBlockStop", { contentBlockIndex: 0 }));
    yield written(event("messageStop", { stopReason: reasonOf(answer) }));
    yield written(event("metadata", metadataOf(answer)));
  },
  error: (_status, _type, message) => ({ __type: "ValidationException", message }),
};

function reasonOf({ isCut }: Answer): string {
  return isCut ? "max_tokens" : "end_turn";
}

function metadataOf({ inputTokens, outputTokens }: Answer): object {
  return { usage: { inputTokens, outputTokens, totalTokens: inputTokens + outputTokens }, metrics: { latencyMs: 1 } };
}
