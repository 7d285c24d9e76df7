import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { encodeEventStreamMessage } from "@copilotkit/aimock";
import type { Usage } from "@purser/core";
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

/** Recorded answers of real providers, with what each was truly charged. */
const DATA = process.env.PURSER_TEST_DATA ?? fileURLToPath(new URL("../../../../../shared/data", import.meta.url));
const TRUTH = join(DATA, "fixtures/truth.jsonl");
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

interface Truth {
  readonly file: string;
  readonly kind: string;
  readonly framing: "json" | "jsonl-chunks" | "sse";
  readonly has_usage: boolean;
  readonly input_total: number;
  readonly cached: number | null;
  readonly cache_write: number | null;
  readonly output_total: number;
  readonly reasoning: number | null;
}

test("every recorded answer is metered to the provider's own count, however its bytes are cut", (context) => {
  if (!existsSync(TRUTH)) return context.skip("not run: the recordings are not here (PURSER_TEST_DATA)");
  const all = readFileSync(TRUTH, "utf8")
    .trim()
    .split("\n")
    .map((line): Truth => JSON.parse(line));
  const agreeing = new Map<string, number>();
  for (const truth of all) {
    if (!(truth.kind in DIALECTS)) continue;
    const dialect = DIALECTS[truth.kind] as Dialect;
    const bytes = readFileSync(join(DATA, "fixtures", truth.file));
    const usages =
      truth.framing === "json"
        ? [meterAnswer(dialect, bytes)]
        : CHUNKS.map((size) => meterStream(dialect, framed(bytes, truth), { size, framing: framingOf(truth) }));
    for (const usage of usages) assert.deepEqual(summary(usage), expected(truth), truth.file);
    agreeing.set(truth.kind, (agreeing.get(truth.kind) ?? 0) + 1);
  }
  for (const [kind, count] of agreeing) context.diagnostic(`${kind}: all ${count} agree`);
  const others = [...new Set(all.map(({ kind }) => kind))].filter((kind) => !(kind in DIALECTS));
  context.diagnostic(`of formats that Purser does not speak: ${others.join(", ") || "none"}`);
});

function framingOf({ kind }: Truth): Framing {
  return kind.startsWith("bedrock-") ? "frames" : "events";
}

/** Recordings keep the data of each event on a line of its own. */
function framed(bytes: Buffer, truth: Truth): Buffer {
  if (truth.framing === "sse") return bytes;
  const events = bytes
    .toString("utf8")
    .split("\n")
    .filter((line) => line !== "");
  if (framingOf(truth) === "frames")
    return Buffer.concat(
      events
        .flatMap((event) => Object.entries<object>(JSON.parse(event)))
        .map(([name, payload]) => encodeEventStreamMessage(name, payload)),
    );
  return Buffer.from(`${events.map((event) => `data: ${event}\n\n`).join("")}data: [DONE]\n\n`);
}

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
