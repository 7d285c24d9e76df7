import assert from "node:assert/strict";
import { test } from "node:test";
import type { Usage } from "@purser/core";
import { answerOf, framingOf, NO_RECORDINGS, readRecordings, type Truth } from "../conformance/recordings.ts";
import { anthropicMessages } from "../dialects/anthropic-messages/index.ts";
import { bedrockConverse, bedrockConverseStream } from "../dialects/bedrock-converse/index.ts";
import { cohereChat } from "../dialects/cohere-chat/index.ts";
import type { Dialect } from "../dialects/dialect.ts";
import { geminiContent } from "../dialects/gemini-content/index.ts";
import { geminiInteractions } from "../dialects/gemini-interactions/index.ts";
import { openaiChat } from "../dialects/openai-chat/index.ts";
import { openaiCompletions } from "../dialects/openai-completions/index.ts";
import { openaiResponses } from "../dialects/openai-responses/index.ts";
import { AnswerMeter } from "./answer-meter.ts";
import { type Framing, streamMeter } from "./stream-meter.ts";

const DIALECTS: Readonly<Record<string, Dialect>> = {
  "openai-chat": openaiChat,
  "openai-responses": openaiResponses,
  "openai-completions": openaiCompletions,
  "anthropic-messages": anthropicMessages,
  gemini: geminiContent,
  "gemini-stream": geminiContent,
  "gemini-interactions": geminiInteractions,
  "cohere-v2": cohereChat,
  "bedrock-converse": bedrockConverse,
  "bedrock-converse-stream": bedrockConverseStream,
};
const CHUNKS = [1, 7, 1_000, Number.POSITIVE_INFINITY];

test("every recorded answer is metered to the provider's own count, however its bytes are cut", (context) => {
  const all = readRecordings();
  if (!all) return context.skip(NO_RECORDINGS);
  const agreeing = new Map<string, number>();
  for (const truth of all) {
    if (!(truth.kind in DIALECTS)) continue;
    const dialect = DIALECTS[truth.kind] as Dialect;
    const bytes = answerOf(truth);
    const usages =
      truth.framing === "json"
        ? [meterAnswer(dialect, bytes)]
        : CHUNKS.map((size) => meterStream(dialect, bytes, { size, framing: framingOf(truth) }));
    for (const usage of usages) assert.deepEqual(summary(usage), expected(truth), truth.file);
    agreeing.set(truth.kind, (agreeing.get(truth.kind) ?? 0) + 1);
  }
  for (const [kind, count] of agreeing) context.diagnostic(`${kind}: all ${count} agree`);
  const others = [...new Set(all.map(({ kind }) => kind))].filter((kind) => !(kind in DIALECTS));
  context.diagnostic(`of formats that Purser does not speak: ${others.join(", ") || "none"}`);
});

function meterStream(dialect: Dialect, bytes: Buffer, { size, framing }: { size: number; framing: Framing }): Usage | undefined {
  const meter = streamMeter(dialect, { add: () => undefined, tokens: () => 0 }, { hidesUsage: false, framing });
  const passed: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) passed.push(...meter.write(bytes.subarray(at, at + size)));
  passed.push(...meter.end());
  assert.ok(Buffer.concat(passed).equals(bytes), "the stream passes byte for byte");
  return meter.usage;
}

function meterAnswer(dialect: Dialect, bytes: Buffer): Usage | undefined {
  const meter = new AnswerMeter(dialect);
  meter.write(bytes);
  return meter.read()?.usage;
}

function summary(usage: Usage | undefined) {
  const { inputTokens, outputTokens, cacheReadInputTokens = 0, cacheWriteInputTokens = 0, reasoningOutputTokens = 0 } = usage ?? {};
  return { inputTokens, outputTokens, cacheReadInputTokens, cacheWriteInputTokens, reasoningOutputTokens };
}

function expected({ has_usage, input_total, output_total, cached, cache_write, reasoning }: Truth) {
  const none = {
    inputTokens: undefined,
    outputTokens: undefined,
    cacheReadInputTokens: 0,
    cacheWriteInputTokens: 0,
    reasoningOutputTokens: 0,
  };
  if (!has_usage) return none;
  return {
    inputTokens: input_total,
    outputTokens: output_total,
    cacheReadInputTokens: cached ?? 0,
    cacheWriteInputTokens: cache_write ?? 0,
    reasoningOutputTokens: reasoning ?? 0,
  };
}
