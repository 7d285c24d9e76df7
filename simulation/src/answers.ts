import type { Usage } from "../../packages/core/dist/index.js";
import type { Model } from "./models.js";

/** What a provider writes of an answer, and how. */
export interface Answer {
  readonly model: Model;
  /** Tokens of text that can be seen. */
  readonly visibleTokens: number;
  /** What it says of its usage; nothing where it is silent about it. */
  readonly told: Usage | undefined;
  /** How often it says so. */
  readonly tellings: number;
}

/** Every one of these is a token of its own. */
const WORD = " the";

/** A whole answer as JSON. */
export function wholeAnswer({ model, visibleTokens, told }: Answer): string {
  const text = WORD.repeat(visibleTokens);
  if (isAnthropic(model)) {
    return JSON.stringify({
      type: "message",
      content: [{ type: "text", text }],
      stop_reason: "end_turn",
      usage: told && anthropicUsage(told),
    });
  }
  return JSON.stringify({ choices: [{ message: { content: text }, finish_reason: "stop" }], usage: told && openaiUsage(told) });
}

/** One event of a stream, and how many tokens of text are in it. */
export interface StreamEvent {
  readonly bytes: Buffer;
  readonly tokens: number;
}

/** The same as a stream, in so many pieces of text. */
export function streamedAnswer(answer: Answer, pieces: number): readonly StreamEvent[] {
  return isAnthropic(answer.model) ? anthropicStream(answer, pieces) : openaiStream(answer, pieces);
}

/** A stream that begins with an error, under a status that says nothing of it. */
export function refusedStream(model: Model): Buffer {
  const error = { type: "overloaded_error", message: "overloaded" };
  if (isAnthropic(model)) return event(`event: error\ndata: ${JSON.stringify({ type: "error", error })}\n\n`).bytes;
  return event(`data: ${JSON.stringify({ error: { ...error, code: 503 } })}\n\n`).bytes;
}

function openaiStream({ visibleTokens, told, tellings }: Answer, pieces: number): readonly StreamEvent[] {
  const usage = told && `data: ${JSON.stringify({ choices: [], usage: openaiUsage(told) })}\n\n`;
  return [
    ...pieceSizes(visibleTokens, pieces).map((tokens) =>
      event(
        `data: {"id":"1","object":"chat.completion.chunk","choices":[{"delta":{"content":"${WORD.repeat(tokens)}"},"finish_reason":null}]}\n\n`,
        tokens,
      ),
    ),
    event('data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'),
    ...(usage === undefined ? [] : Array.from({ length: tellings }, () => event(usage))),
    event("data: [DONE]\n\n"),
  ];
}

function anthropicStream({ visibleTokens, told, tellings }: Answer, pieces: number): readonly StreamEvent[] {
  const line = (data: object) => `event: x\ndata: ${JSON.stringify(data)}\n\n`;
  const usage = told && anthropicUsage(told);
  return [
    event(line({ type: "message_start", message: { role: "assistant", ...(usage && { usage: { ...usage, output_tokens: 1 } }) } })),
    ...pieceSizes(visibleTokens, pieces).map((tokens) =>
      event(line({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: WORD.repeat(tokens) } }), tokens),
    ),
    ...Array.from({ length: usage ? tellings : 1 }, () =>
      event(
        line({
          type: "message_delta",
          delta: { stop_reason: "end_turn" },
          ...(usage && { usage: { output_tokens: usage.output_tokens } }),
        }),
      ),
    ),
    event(line({ type: "message_stop" })),
  ];
}

function isAnthropic({ dialect }: Model): boolean {
  return dialect.name === "anthropic-messages";
}

function event(text: string, tokens = 0): StreamEvent {
  return { bytes: Buffer.from(text), tokens };
}

function pieceSizes(tokens: number, pieces: number): readonly number[] {
  const size = Math.ceil(tokens / pieces);
  return Array.from({ length: pieces }, (_, i) => Math.max(0, Math.min(size, tokens - i * size))).filter((one) => one > 0);
}

function openaiUsage({ inputTokens = 0, cacheReadInputTokens, outputTokens = 0, reasoningOutputTokens }: Usage) {
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
    ...(cacheReadInputTokens !== undefined && { prompt_tokens_details: { cached_tokens: cacheReadInputTokens } }),
    ...(reasoningOutputTokens !== undefined && { completion_tokens_details: { reasoning_tokens: reasoningOutputTokens } }),
  };
}

function anthropicUsage({ inputTokens = 0, cacheReadInputTokens = 0, outputTokens = 0 }: Usage) {
  return {
    input_tokens: inputTokens - cacheReadInputTokens,
    cache_read_input_tokens: cacheReadInputTokens,
    output_tokens: outputTokens,
  };
}
