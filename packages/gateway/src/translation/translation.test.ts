import assert from "node:assert/strict";
import { describe, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { type GenerateContentResponse, GoogleGenAI } from "@google/genai";
import type { Usage } from "@purser/core";
import OpenAI from "openai";
import type { Json } from "../conformance/calls.ts";
import { answerOf, NO_RECORDINGS, readRecordings, type Truth } from "../conformance/recordings.ts";
import { typeErrors } from "../conformance/type-errors.ts";
import { anthropicMessages } from "../dialects/anthropic-messages/index.ts";
import type { Dialect } from "../dialects/dialect.ts";
import { geminiContent } from "../dialects/gemini-content/index.ts";
import { openaiChat } from "../dialects/openai-chat/index.ts";
import { openaiResponses } from "../dialects/openai-responses/index.ts";
import { AnswerMeter } from "../metering/answer-meter.ts";
import { streamMeter } from "../metering/stream-meter.ts";
import type { DialectName } from "../providers/provider.ts";
import { AnswerTranslation } from "./translation.ts";

const TERMS = { wantsUsage: true, createdAt: 1, askedModel: "m", asList: false };
const NO_COUNTER = { add: () => undefined, tokens: () => 0 };
const WHOLE = [Number.POSITIVE_INFINITY];
const CHUNKS = [7, ...WHOLE];

/** What an answer says, whatever its format. */
interface Said {
  readonly text: string;
  readonly tools: readonly { readonly name: string; readonly input: unknown }[];
  readonly stop: string;
}

/** How each format is read without our help, and into which it is translated here: `compared` recordings, or the first so many of them. */
const PAIRS: readonly Pair[] = [
  { dialect: openaiResponses, to: "openai-chat", said: saidInResponse, read: readCompletion, compared: 60, sizes: WHOLE },
  { dialect: openaiResponses, to: "anthropic-messages", said: saidInResponse, read: readMessage, compared: 60, sizes: WHOLE },
  { dialect: openaiChat, to: "anthropic-messages", said: saidInChunks, read: readMessage, compared: 40 },
  { dialect: anthropicMessages, to: "openai-chat", said: saidInEvents, read: readCompletion, compared: 40 },
  { dialect: geminiContent, to: "openai-chat", said: saidInContents, read: readCompletion, compared: 10 },
  { dialect: geminiContent, to: "anthropic-messages", said: saidInContents, read: readMessage, compared: 10 },
  {
    dialect: openaiChat,
    to: "gemini-content",
    said: (parts) => untold(saidInChunks(parts)),
    read: readContents,
    compared: 40,
    sizes: WHOLE,
  },
  {
    dialect: openaiChat,
    to: "openai-responses",
    said: (parts) => untold(saidInChunks(parts)),
    read: readResponse,
    compared: 40,
    sizes: WHOLE,
  },
  {
    dialect: anthropicMessages,
    to: "openai-responses",
    said: (parts) => untold(saidInEvents(parts)),
    read: readResponse,
    compared: 40,
    sizes: WHOLE,
  },
  { dialect: geminiContent, to: "openai-responses", said: (parts) => untold(saidInContents(parts)), read: readResponse, compared: 10 },
  {
    dialect: anthropicMessages,
    to: "gemini-content",
    said: (parts) => untold(saidInEvents(parts)),
    read: readContents,
    compared: 40,
    sizes: WHOLE,
  },
];

interface Pair {
  readonly dialect: Dialect;
  readonly to: DialectName;
  readonly said: (parts: readonly Json[]) => Said;
  readonly read: Reader;
  /** The pieces into which bytes are cut, where they are not cut in as many for another pair. */
  readonly sizes?: readonly number[];
  /** At least so many recordings are there. */
  readonly compared: number;
}

/** Answers in which functions are called bit by bit, which nobody asks for here, and one whose lines were broken when it was recorded. */
const ODD = /google-.*stream-(?:no-args-)?tool-call|parallel-tool-call-wrapper/;

function recordingsOf({ name }: Dialect, all = readRecordings()): readonly Truth[] | undefined {
  const kind = name.replace("-content", "");
  return all?.filter((truth) => truth.kind.replace("-stream", "") === kind && !ODD.test(truth.file));
}

type Reader = (body: Buffer, isStream: boolean) => Promise<Said & { readonly usage: Usage }>;

describe("a recorded answer, read by the other vendor's SDK after its translation,", () => {
  for (const { dialect, to, said, read, compared: least, sizes = CHUNKS } of PAIRS) {
    test(`${dialect.name} as ${to}: says the same, whole and streamed, however its bytes are cut, and has the provider's own count`, async (context) => {
      const recordings = recordingsOf(dialect);
      if (!recordings) return context.skip(NO_RECORDINGS);
      let compared = 0;
      for (const truth of recordings) {
        const bytes = answerOf(truth);
        const parts = partsOf(bytes, truth);
        // Errors are looked at below. Some files have several answers.
        if (parts.some(({ type, error }) => type === "error" || error)) continue;
        if (new Set(parts.flatMap(({ message, response }) => (message ?? response)?.id ?? [])).size > 1) continue;
        const translation = new AnswerTranslation({ from: dialect.name, to }, TERMS);
        const isStream = truth.framing !== "json";
        const written = isStream ? sizes.map((size) => streamed(dialect, translation, bytes, size)) : [whole(dialect, translation, bytes)];
        for (const one of written) {
          const { usage, ...rest } = await read(one, isStream);
          assert.deepEqual(rest, said(parts), truth.file);
          if (truth.has_usage) assert.deepEqual(usage, expected(truth), truth.file);
        }
        compared++;
      }
      context.diagnostic(`${compared} of ${recordings.length}`);
      assert.ok(compared >= least, `${compared} were compared`);
    });
  }
});

test("a stream is the same, however its bytes are cut", (context) => {
  const streams = readRecordings()?.filter(({ framing, file }) => framing !== "json" && /tool/.test(file));
  if (!streams) return context.skip(NO_RECORDINGS);
  // A message says in its beginning what of its usage is known by then.
  for (const { dialect, to } of PAIRS.filter((pair) => pair.to !== "anthropic-messages")) {
    const truth: Truth = recordingsOf(dialect, streams)?.[0] ?? assert.fail();
    const written = [1, 7, 1_000, Number.POSITIVE_INFINITY].map((size) => {
      const translation = new AnswerTranslation({ from: dialect.name, to }, TERMS);
      return streamed(dialect, translation, answerOf(truth), size).toString();
    });
    assert.ok((written[0]?.length ?? 0) > 200, truth.file);
    assert.equal(new Set(written).size, 1, `${truth.file} as ${to}`);
  }
});

/** Each a whole answer, the events of a stream, or an error, with the type that the client's maker publishes for it. */
const TYPES = {
  "openai-chat": { whole: "OpenAI.ChatCompletion", event: "OpenAI.ChatCompletionChunk" },
  "anthropic-messages": { whole: "Anthropic.Message", event: "Anthropic.RawMessageStreamEvent" },
  "gemini-content": { whole: "Content", event: "Content" },
  "openai-responses": { whole: "Answer", event: "AnswerEvent" },
} as const;

test("a translated answer is one by the types that the client's maker publishes, and so are the events of a stream", async (context) => {
  const recordings = readRecordings();
  if (!recordings) return context.skip(NO_RECORDINGS);
  const lines = [
    'import type OpenAI from "openai";',
    'import type Anthropic from "@anthropic-ai/sdk";',
    'import { FinishReason, type GenerateContentResponse } from "@google/genai";',
    // The fields, without what the SDKs compute of them.
    "type Answer = Omit<OpenAI.Responses.Response, 'output_text'>;",
    "type Told<One> = One extends { response: unknown } ? Omit<One, 'response'> & { response: Answer } : One;",
    "type AnswerEvent = Told<OpenAI.Responses.ResponseStreamEvent>;",
    "type Content = Pick<GenerateContentResponse, 'candidates' | 'usageMetadata' | 'modelVersion' | 'responseId'>;",
  ];
  for (const { dialect, to } of PAIRS) {
    const { whole: wholeType, event: eventType } = TYPES[to as keyof typeof TYPES];
    // With texts and with tools, of each the first few.
    const some = (recordingsOf(dialect, recordings) ?? []).filter(({ file }) => /text|tool/.test(file));
    for (const [i, truth] of [...some.filter(isWhole).slice(0, 6), ...some.filter((one) => !isWhole(one)).slice(0, 6)].entries()) {
      const translation = new AnswerTranslation({ from: dialect.name, to }, TERMS);
      const name = `${dialect.name}_as_${to}_${i}`.replaceAll("-", "_");
      const bytes = answerOf(truth);
      if (isWhole(truth)) lines.push(`export const ${name}: ${wholeType} = ${typed(whole(dialect, translation, bytes).toString())};`);
      else
        for (const [n, event] of partsOf(streamed(dialect, translation, bytes, Number.POSITIVE_INFINITY), truth)
          .slice(-40)
          .entries())
          lines.push(`export const ${name}_${n}: ${eventType} = ${typed(JSON.stringify(event))};`);
    }
  }
  assert.ok(lines.length > 100, `${lines.length} lines`);
  assert.deepEqual(await typeErrors(context, lines), []);
});

/** Google's types have no words for why an answer ended but those of its enumeration. */
function typed(json: string): string {
  return json.replace(/"finishReason":"(\w+)"/g, '"finishReason":FinishReason.$1');
}

function isWhole({ framing }: Truth): boolean {
  return framing === "json";
}

function streamed(dialect: Dialect, translation: AnswerTranslation, bytes: Buffer, size: number): Buffer {
  const meter = streamMeter(dialect, NO_COUNTER, { hidesUsage: false, framing: "events" });
  const stream = translation.stream(() => meter.usage);
  const written: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) written.push(stream.write(meter.write(bytes.subarray(at, at + size))));
  return Buffer.concat([...written, stream.write(meter.end()), stream.end()]);
}

function whole(dialect: Dialect, translation: AnswerTranslation, bytes: Buffer): Buffer {
  const meter = new AnswerMeter(dialect);
  meter.write(bytes);
  const { status, bytes: written } = translation.whole(200, bytes, meter.read()?.usage);
  assert.equal(status, 200, written.toString());
  return written;
}

function expected({ input_total, output_total, cached }: Truth): Usage {
  return { inputTokens: input_total, outputTokens: output_total, cacheReadInputTokens: cached ?? 0 };
}

function partsOf(bytes: Buffer, { framing }: Truth): readonly Json[] {
  if (framing === "json") return [JSON.parse(bytes.toString())];
  const lines = bytes.toString().split("\n");
  return lines.filter((line) => /^data: *\{/.test(line)).map((line) => JSON.parse(line.slice(5)));
}

const SAME_STOP: Readonly<Record<string, string>> = {
  end_turn: "end",
  stop_sequence: "end",
  pause_turn: "end",
  stop: "end",
  tool_use: "tools",
  tool_calls: "tools",
  max_tokens: "cap",
  length: "cap",
  refusal: "refusal",
  content_filter: "refusal",
  STOP: "end",
  MAX_TOKENS: "cap",
  SAFETY: "refusal",
};

function saidInResponse(parts: readonly Json[]): Said {
  const response = parts.at(-1).response ?? parts.at(-1);
  const items: Json[] = response.output;
  const said = items.flatMap(({ type, content }) => (type === "message" ? content : []));
  const tools = items
    .filter(({ type }) => type === "function_call")
    .map(({ name, arguments: json }) => ({ name, input: JSON.parse(json || "{}") }));
  const reason = response.incomplete_details?.reason;
  const stop = tools.length > 0 ? "tools" : said.some(({ type }) => type === "refusal") ? "refusal" : "end";
  // Some recordings leave out pieces of a text, and then have all of it at their end.
  const pieces = parts.filter(({ type }) => /(?:output_text|refusal)\.delta$/.test(type)).map(({ delta }) => delta);
  return {
    text: parts.length > 1 ? pieces.join("") : said.map(({ text = "", refusal = "" }) => text + refusal).join(""),
    tools,
    stop: reason === "max_output_tokens" ? "cap" : reason === "content_filter" ? "refusal" : stop,
  };
}

function saidInContents(parts: readonly Json[]): Said {
  const candidates = parts.flatMap((part) => part.candidates ?? []);
  const said = candidates.flatMap(({ content }) => content?.parts ?? []).filter(({ thought }) => !thought);
  const tools = said.flatMap(({ functionCall: call }) => (call ? [{ name: call.name, input: call.args ?? {} }] : []));
  const reason = candidates.findLast(({ finishReason }) => finishReason)?.finishReason;
  return { text: said.map(({ text = "" }) => text).join(""), tools, stop: tools.length > 0 ? "tools" : (SAME_STOP[reason] ?? reason) };
}

function saidInChunks(parts: readonly Json[]): Said {
  const text: string[] = [];
  const tools: { name: string; json: string }[] = [];
  let stop = "";
  for (const { choices = [] } of parts) {
    const { delta, message, finish_reason: reason } = choices[0] ?? {};
    const { content, tool_calls: calls } = delta ?? message ?? {};
    if (typeof content === "string") text.push(content);
    else text.push(...(content ?? []).flatMap((part: Json) => (part.type === "text" ? [part.text] : [])));
    for (const [i, { index = i, function: called }] of (calls ?? []).entries()) {
      tools[index] ??= { name: called.name, json: "" };
      (tools[index] as { json: string }).json += called.arguments ?? "";
    }
    if (reason) stop = SAME_STOP[reason] ?? reason;
  }
  return { text: text.join(""), tools: tools.filter(Boolean).map(({ name, json }) => ({ name, input: JSON.parse(json || "{}") })), stop };
}

function saidInEvents(parts: readonly Json[]): Said {
  const [first] = parts;
  const blocks: { type: string; text: string; name: string; input: unknown; json: string }[] = [];
  if (first.content) blocks.push(...first.content.map((block: Json) => ({ text: "", json: "", ...block })));
  let stop = first.stop_reason ?? "";
  for (const { type, index, content_block: block, delta } of parts) {
    if (type === "content_block_start") blocks[index] = { text: "", json: "", ...block };
    const open = blocks[index];
    if (open && delta) open.text += delta.text ?? "";
    if (open && delta) open.json += delta.partial_json ?? "";
    if (type === "message_delta") stop = delta.stop_reason ?? stop;
  }
  return {
    text: blocks.map(({ type, text }) => (type === "text" ? text : "")).join(""),
    tools: blocks
      .filter(({ type }) => type === "tool_use")
      .map(({ name, input, json }) => ({ name, input: json === "" ? input : JSON.parse(json) })),
    stop: SAME_STOP[stop] ?? stop,
  };
}

function answering(body: Buffer, isStream: boolean) {
  const headers = { "content-type": isStream ? "text/event-stream" : "application/json" };
  return { apiKey: "none", maxRetries: 0, fetch: async () => new Response(new Uint8Array(body), { headers }) };
}

async function readMessage(body: Buffer, isStream: boolean): Promise<Said & { usage: Usage }> {
  const client = new Anthropic(answering(body, isStream));
  const call = { model: "m", max_tokens: 1, messages: [{ role: "user" as const, content: "x" }] };
  const { content, stop_reason, usage } = isStream ? await client.messages.stream(call).finalMessage() : await client.messages.create(call);
  const { input_tokens, output_tokens, cache_read_input_tokens, cache_creation_input_tokens } = usage;
  const cached = (cache_read_input_tokens ?? 0) + (cache_creation_input_tokens ?? 0);
  return {
    text: content.map((block) => (block.type === "text" ? block.text : "")).join(""),
    tools: content.flatMap((block) => (block.type === "tool_use" ? [{ name: block.name, input: block.input }] : [])),
    stop: SAME_STOP[stop_reason ?? ""] ?? "",
    usage: { inputTokens: input_tokens + cached, outputTokens: output_tokens, cacheReadInputTokens: cache_read_input_tokens ?? 0 },
  };
}

async function readCompletion(body: Buffer, isStream: boolean): Promise<Said & { usage: Usage }> {
  const client = new OpenAI(answering(body, isStream));
  const call = { model: "m", messages: [{ role: "user" as const, content: "x" }] };
  const { choices, usage } = isStream
    ? await client.chat.completions.stream({ ...call, stream_options: { include_usage: true } }).finalChatCompletion()
    : await client.chat.completions.create(call);
  const [choice] = choices;
  return {
    text: choice?.message.content ?? "",
    tools: (choice?.message.tool_calls ?? []).flatMap((tool) =>
      tool.type === "function" ? [{ name: tool.function.name, input: JSON.parse(tool.function.arguments) }] : [],
    ),
    stop: SAME_STOP[choice?.finish_reason ?? ""] ?? "",
    usage: {
      inputTokens: usage?.prompt_tokens ?? 0,
      outputTokens: usage?.completion_tokens ?? 0,
      cacheReadInputTokens: usage?.prompt_tokens_details?.cached_tokens ?? 0,
    },
  };
}

async function readResponse(body: Buffer, isStream: boolean): Promise<Said & { usage: Usage }> {
  const client = new OpenAI(answering(body, isStream));
  const call = { model: "m", input: "x" };
  const { output, output_text, incomplete_details, usage } = isStream
    ? await client.responses.stream(call).finalResponse()
    : await client.responses.create(call);
  const tools = output.flatMap((item) =>
    item.type === "function_call" ? [{ name: item.name, input: JSON.parse(item.arguments || "{}") }] : [],
  );
  const reason = incomplete_details?.reason;
  return {
    text: output_text,
    tools,
    stop: reason === undefined ? "end" : reason === "content_filter" ? "refusal" : "cap",
    usage: {
      inputTokens: usage?.input_tokens ?? 0,
      outputTokens: usage?.output_tokens ?? 0,
      cacheReadInputTokens: usage?.input_tokens_details.cached_tokens ?? 0,
    },
  };
}

async function readContents(body: Buffer, isStream: boolean): Promise<Said & { usage: Usage }> {
  const client = new GoogleGenAI({ apiKey: "none", httpOptions: { fetch: answering(body, isStream).fetch } });
  const call = { model: "m", contents: "x" };
  const answers: GenerateContentResponse[] = [];
  if (isStream) for await (const answer of await client.models.generateContentStream(call)) answers.push(answer);
  else answers.push(await client.models.generateContent(call));
  const {
    promptTokenCount = 0,
    cachedContentTokenCount = 0,
    candidatesTokenCount = 0,
    thoughtsTokenCount = 0,
  } = answers.at(-1)?.usageMetadata ?? {};
  const usage = {
    inputTokens: promptTokenCount,
    outputTokens: candidatesTokenCount + thoughtsTokenCount,
    cacheReadInputTokens: cachedContentTokenCount,
  };
  return { ...untold(saidInContents(answers)), usage };
}

/** Some formats do not tell an answer that calls tools from one that is at its end. */
function untold(said: Said): Said {
  return said.stop === "tools" ? { ...said, stop: "end" } : said;
}

test("a response tells of each of its items from its beginning to its end, all events numbered", () => {
  const calls = (name: string, index: number) => [
    { index, id: `call_${index}`, type: "function", function: { name, arguments: "" } },
    { index, function: { arguments: '{"at":"sea"}' } },
  ];
  const deltas = [
    { content: "I " },
    { content: "look." },
    ...[...calls("look", 0), ...calls("find", 1)].map((call) => ({ tool_calls: [call] })),
  ];
  const chunks = [...deltas.map((delta) => ({ delta, finish_reason: null })), { delta: {}, finish_reason: "tool_calls" }];
  const lines = chunks.map((choice) => `data: ${JSON.stringify({ id: "c1", model: "m", choices: [{ index: 0, ...choice }] })}\n\n`);
  const translation = new AnswerTranslation({ from: "openai-chat", to: "openai-responses" }, TERMS);
  const written = streamed(openaiChat, translation, Buffer.from(`${lines.join("")}data: [DONE]\n\n`), Number.POSITIVE_INFINITY).toString();
  const events: Json[] = written
    .split("\n")
    .filter((line) => line.startsWith("data: "))
    .map((line) => JSON.parse(line.slice(6)));
  assert.deepEqual(
    events.map(({ type, sequence_number, output_index, item_id, item }) => [
      sequence_number,
      type.replace("response.", ""),
      ...(output_index === undefined ? [] : [output_index, item_id ?? item.id]),
    ]),
    [
      [0, "created"],
      [1, "in_progress"],
      [2, "output_item.added", 0, "msg_c1_0"],
      [3, "content_part.added", 0, "msg_c1_0"],
      [4, "output_text.delta", 0, "msg_c1_0"],
      [5, "output_text.delta", 0, "msg_c1_0"],
      [6, "output_text.done", 0, "msg_c1_0"],
      [7, "content_part.done", 0, "msg_c1_0"],
      [8, "output_item.done", 0, "msg_c1_0"],
      [9, "output_item.added", 1, "fc_c1_1"],
      [10, "function_call_arguments.delta", 1, "fc_c1_1"],
      [11, "function_call_arguments.done", 1, "fc_c1_1"],
      [12, "output_item.done", 1, "fc_c1_1"],
      [13, "output_item.added", 2, "fc_c1_2"],
      [14, "function_call_arguments.delta", 2, "fc_c1_2"],
      [15, "function_call_arguments.done", 2, "fc_c1_2"],
      [16, "output_item.done", 2, "fc_c1_2"],
      [17, "completed"],
    ],
  );
  const { output } = events.at(-1).response;
  assert.deepEqual(
    output.map((item: Json) => [item.status, item.content?.[0].text ?? item.arguments]),
    [
      ["completed", "I look."],
      ["completed", '{"at":"sea"}'],
      ["completed", '{"at":"sea"}'],
    ],
  );
});
