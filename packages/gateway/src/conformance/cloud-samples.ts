import { encodeEventStreamMessage } from "@copilotkit/aimock";
import { type MockUsage, messageAnswer, messageEvent } from "./raw-provider.ts";
import type { Sample } from "./samples.ts";

export const FRAME_HEADERS = { "content-type": "application/vnd.amazon.eventstream" };

const cohereUsage = ({ input, output }: MockUsage) => {
  const counts = { input_tokens: input, output_tokens: output };
  return { billed_units: counts, tokens: counts };
};

export const COHERE: Sample = {
  call: (text) => ({ model: "m", max_tokens: 100, messages: [{ role: "user", content: text }] }),
  answer: (usage) => ({
    id: "c1",
    finish_reason: "COMPLETE",
    message: { role: "assistant", content: [{ type: "text", text: "Aye." }] },
    usage: cohereUsage(usage),
  }),
  stream: {
    asked: { stream: true },
    events: (usage) =>
      messageEvent({ type: "message-start", id: "c1", delta: { message: { role: "assistant", content: [] } } }) +
      messageEvent({ type: "content-start", index: 0, delta: { message: { content: { type: "text", text: "" } } } }) +
      messageEvent({ type: "content-delta", index: 0, delta: { message: { content: { text: "Aye." } } } }) +
      messageEvent({ type: "content-end", index: 0 }) +
      messageEvent({ type: "message-end", id: "c1", delta: { finish_reason: "COMPLETE", usage: cohereUsage(usage) } }),
  },
  capOf: (call) => call.max_tokens,
  refusal: (body) => body.message,
};

export const COHERE_EMBED: Sample = {
  call: (text) => ({ model: "m", input_type: "search_document", texts: [text] }),
  answer: ({ input }) => ({ id: "e1", embeddings: { float: [[0.25, -0.5, 1]] }, meta: { billed_units: { input_tokens: input } } }),
  refusal: COHERE.refusal,
};

export function converseUsage({ input, output }: MockUsage) {
  return { inputTokens: input, outputTokens: output, totalTokens: input + output };
}

/** One frame as AWS writes it, by an encoder that others wrote. */
export function frame(name: string, payload: object): Buffer {
  return encodeEventStreamMessage(name, payload);
}

export const CONVERSE: Sample = {
  call: (text) => ({ messages: [{ role: "user", content: [{ text }] }], inferenceConfig: { maxTokens: 100 } }),
  answer: (usage) => ({
    output: { message: { role: "assistant", content: [{ text: "Aye." }] } },
    stopReason: "end_turn",
    usage: converseUsage(usage),
    metrics: { latencyMs: 1 },
  }),
  capOf: (call) => call.inferenceConfig.maxTokens,
  refusal: (body) => (typeof body.__type === "string" ? body.message : undefined),
};

export const CONVERSE_STREAM: Sample = {
  ...CONVERSE,
  stream: {
    // A path of its own asks for the stream. The provider of the walk is told by this.
    asked: { additionalModelResponseFieldPaths: ["/stop_sequence"] },
    events: (usage) =>
      Buffer.concat([
        frame("messageStart", { role: "assistant" }),
        frame("contentBlockDelta", { contentBlockIndex: 0, delta: { text: "Aye." } }),
        frame("contentBlockStop", { contentBlockIndex: 0 }),
        frame("messageStop", { stopReason: "end_turn" }),
        frame("metadata", { usage: converseUsage(usage), metrics: { latencyMs: 1 } }),
      ]),
    headers: FRAME_HEADERS,
  },
};

export const INVOKE: Sample = {
  call: (content) => ({ anthropic_version: "bedrock-2023-05-31", max_tokens: 100, messages: [{ role: "user", content }] }),
  answer: (usage) => messageAnswer("Aye.", usage),
  capOf: (call) => call.max_tokens,
  refusal: CONVERSE.refusal,
};

/** An event as its maker would have sent it, in a frame. */
export function chunk(event: object): Buffer {
  return frame("chunk", { bytes: Buffer.from(JSON.stringify(event)).toString("base64") });
}

export const INVOKE_STREAM: Sample = {
  ...INVOKE,
  stream: {
    asked: { stop_sequences: ["\n\nHuman:"] },
    events: (usage) =>
      Buffer.concat([
        chunk({ type: "message_start", message: { ...messageAnswer("", { ...usage, output: 1 }), content: [] } }),
        chunk({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Aye." } }),
        chunk({ type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: usage.output } }),
        chunk({
          type: "message_stop",
          "amazon-bedrock-invocationMetrics": { inputTokenCount: usage.input, outputTokenCount: usage.output, invocationLatency: 1 },
        }),
      ]),
    headers: FRAME_HEADERS,
  },
};
