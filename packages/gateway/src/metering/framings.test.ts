import assert from "node:assert/strict";
import { test } from "node:test";
import type { Dialect } from "../dialects/dialect.ts";
import { geminiStream } from "../dialects/gemini-content/index.ts";
import { ollamaChat } from "../dialects/ollama-chat/index.ts";
import { openaiResponses } from "../dialects/openai-responses/index.ts";
import { AnswerMeter } from "./answer-meter.ts";
import { type Framing, framingOf, streamMeter } from "./stream-meter.ts";

const NO_COUNTER = { add: () => undefined, tokens: () => 0 };

/** Meters the bytes in pieces of each size, and returns the usage that all of them agree on. */
function metered(dialect: Dialect, text: string, framing: Framing) {
  const bytes = Buffer.from(text);
  const usages = [1, 7, 1_000, Number.POSITIVE_INFINITY].map((size) => {
    const meter = streamMeter(dialect, NO_COUNTER, { hidesUsage: false, framing });
    const passed: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += size) passed.push(...meter.write(bytes.subarray(at, at + size)));
    passed.push(...meter.end());
    assert.ok(Buffer.concat(passed).equals(bytes), "the stream passes byte for byte");
    return { ...meter.usage, isComplete: meter.isComplete };
  });
  for (const usage of usages) assert.deepEqual(usage, usages[0]);
  return usages[0];
}

test("a stream of lines is metered however its bytes are cut, with and without a last line break", () => {
  const text = [" word", ' "eval_count":7 ', "\\n"].map((content) => JSON.stringify({ message: { content }, done: false })).join("\n");
  const last = JSON.stringify({ message: { content: "" }, done: true, prompt_eval_count: 26, eval_count: 298 });
  const expected = { inputTokens: 26, outputTokens: 298, isComplete: true };
  for (const end of ["\n", "\r\n", ""]) assert.deepEqual(metered(ollamaChat, `${text}\n${last}${end}`, "lines"), expected);
  assert.deepEqual(metered(ollamaChat, `${text}\n`, "lines"), { isComplete: false });
});

test("a stream whose parts each say more is metered by the last, also where lines end as on Windows", () => {
  const part = (thoughts: number, candidates: number, more: object) =>
    `data: ${JSON.stringify({
      candidates: [{ content: { parts: [{ text: "Aye" }] }, ...more }],
      usageMetadata: { promptTokenCount: 9, thoughtsTokenCount: thoughts, ...(candidates > 0 && { candidatesTokenCount: candidates }) },
    })}\r\n\r\n`;
  const text = part(100, 0, {}) + part(302, 4, {}) + part(302, 23, { finishReason: "STOP" });
  const expected = { inputTokens: 9, outputTokens: 325, reasoningOutputTokens: 302, isComplete: true };
  assert.deepEqual(metered(geminiStream, text, "events"), expected);
  assert.equal(metered(geminiStream, part(100, 0, {}), "events")?.isComplete, false);
});

test("a list that comes bit by bit is metered when it is whole", () => {
  const meter = new AnswerMeter(geminiStream);
  const parts = [
    { candidates: [{ content: { parts: [{ text: "A" }] } }], usageMetadata: { promptTokenCount: 9, thoughtsTokenCount: 5 } },
    { candidates: [{ finishReason: "STOP" }], usageMetadata: { promptTokenCount: 9, candidatesTokenCount: 3, thoughtsTokenCount: 5 } },
  ];
  for (const byte of Buffer.from(JSON.stringify(parts, undefined, 2))) meter.write(Buffer.from([byte]));
  assert.deepEqual(meter.read()?.usage, { inputTokens: 9, outputTokens: 8, reasoningOutputTokens: 5 });
});

test("words that look like usage inside of a text are no usage", () => {
  const delta = { type: "response.output_text.delta", delta: '"usage":{"input_tokens":1,"output_tokens":1}' };
  const usage = { input_tokens: 31, output_tokens: 282, total_tokens: 313 };
  const text = [delta, { type: "response.completed", response: { object: "response", output: [], usage } }]
    .map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
    .join("");
  assert.deepEqual(metered(openaiResponses, text, "events"), { inputTokens: 31, outputTokens: 282, isComplete: true });
});

test("how a stream is framed is known by its content type", () => {
  assert.equal(framingOf("text/event-stream; charset=utf-8"), "events");
  assert.equal(framingOf("application/x-ndjson"), "lines");
  assert.equal(framingOf("application/vnd.amazon.eventstream"), "frames");
  for (const whole of ["application/json", "application/json; charset=utf-8", null, undefined]) assert.equal(framingOf(whole), undefined);
});
