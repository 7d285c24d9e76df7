import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { countTokens } from "@purser/core/tokens";

/** A provider on this machine that speaks OpenAI's and Anthropic's format, so that everything can be tried without a key. */
export interface DemoProvider {
  /** `http://127.0.0.1:PORT`, to which the paths of both formats are appended. */
  readonly url: string;
  close(): Promise<void>;
}

export interface DemoProviderOptions {
  /** The pause before each token of a stream. 20 where it is left out. */
  readonly delayMs?: number;
}

export const DEMO_MODELS = ["demo-1", "demo-mini"] as const;

/** The cap of an answer whose call names none. */
const OUTPUT_TOKENS = 400;
const BODY_MOST = 4 * 1024 * 1024;

export async function startDemoProvider({ delayMs = 20 }: DemoProviderOptions = {}): Promise<DemoProvider> {
  const server = createServer((request, response) => {
    answer(request, response, delayMs).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else end(response, 500, { error: { message: String(error), type: "server_error", param: null, code: null } });
    });
  });
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** What both formats say, in the words of neither. */
interface Question {
  readonly model: string;
  readonly texts: readonly string[];
  readonly outputTokensMost: number;
  readonly stream: boolean;
  readonly wantsUsage: boolean;
}

interface Answer {
  readonly id: string;
  readonly pieces: readonly string[];
  readonly isCut: boolean;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

async function answer(request: IncomingMessage, response: ServerResponse, delayMs: number): Promise<void> {
  const path = request.url?.split("?", 1)[0];
  if (request.method === "GET" && path === "/v1/models") {
    const data = DEMO_MODELS.map((id) => ({ id, object: "model", created: 1_767_225_600, owned_by: "demo" }));
    return end(response, 200, { object: "list", data });
  }
  const format = path === "/v1/chat/completions" ? OPENAI : path === "/v1/messages" ? ANTHROPIC : undefined;
  if (request.method !== "POST" || !format)
    return end(response, 404, OPENAI.error("invalid_request_error", `There is no ${request.method} ${path}.`));
  const question = readQuestion(await readText(request));
  if (!question)
    return end(response, 400, format.error("invalid_request_error", "The body is not a JSON object with a model and messages."));
  if (!(DEMO_MODELS as readonly string[]).includes(question.model)) {
    return end(
      response,
      404,
      format.error("not_found_error", `The model "${question.model}" does not exist. Models are ${DEMO_MODELS.join(", ")}.`),
    );
  }
  const answered = await composeAnswer(question);
  if (!question.stream) return end(response, 200, format.whole(question, answered));
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
  for (const event of format.events(question, answered)) {
    if (response.destroyed) return;
    if (event.isText) await wait(delayMs);
    response.write(event.text);
  }
  response.end();
}

/** Both formats name these fields alike, all but the output cap. */
function readQuestion(text: string): Question | undefined {
  try {
    const body = JSON.parse(text);
    if (typeof body.model !== "string" || !Array.isArray(body.messages)) return undefined;
    const cap = body.max_completion_tokens ?? body.max_tokens;
    return {
      model: body.model,
      texts: [...textsOf(body.system), ...body.messages.flatMap((message: { content?: unknown }) => textsOf(message?.content))],
      outputTokensMost: Number.isInteger(cap) && cap > 0 ? cap : OUTPUT_TOKENS,
      stream: body.stream === true,
      wantsUsage: body.stream_options?.include_usage === true,
    };
  } catch {
    return undefined;
  }
}

function textsOf(content: unknown): readonly string[] {
  if (typeof content === "string") return [content];
  if (!Array.isArray(content)) return [];
  return content.flatMap((part) => (typeof part?.text === "string" ? [part.text] : []));
}

let answers = 0;

/** One word, with the space before it, is one token of this provider: usage is exact by that definition. */
async function composeAnswer({ model, texts, outputTokensMost }: Question): Promise<Answer> {
  const question = texts.at(-1)?.trim().replace(/\s+/g, " ").slice(0, 80) ?? "";
  const text = model === "demo-mini" ? shortAnswer(question) : longAnswer(question);
  const words = text.match(/\s*\S+/g) ?? [];
  const pieces = words.slice(0, outputTokensMost);
  answers += 1;
  return {
    id: `demo${Date.now().toString(36)}${answers.toString(36)}`,
    pieces,
    isCut: pieces.length < words.length,
    inputTokens: await countTokens("gpt-4o", { texts, messages: texts.length }),
    outputTokens: pieces.length,
  };
}

function shortAnswer(question: string): string {
  return `You asked: “${question}”. I am demo-mini: I answer briefly, because brief answers are cheap.`;
}

function longAnswer(question: string): string {
  return [
    `You asked: “${question}”. I am a demonstration model: I run on your own machine, I know nothing, and I cost nothing.`,
    "Everything around me is real, though. Before this call was sent, Purser counted its tokens, worked out the most that it could cost,",
    "and held that amount on every budget that applies: the company's, your team's, this feature's, and your own.",
    "Now that I have answered, it replaces the hold by what I really used, to the token, and writes one line in its ledger.",
    "Had one of these budgets been used up, I would never have heard of you, and you would have read which budget it was,",
    "when it resets, and what to do.",
  ].join(" ");
}

interface StreamEvent {
  readonly text: string;
  readonly isText: boolean;
}

/** How a format writes an answer. */
interface Format {
  whole(question: Question, answer: Answer): unknown;
  events(question: Question, answer: Answer): Iterable<StreamEvent>;
  error(type: string, message: string): unknown;
}

const OPENAI: Format = {
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
  error: (type, message) => ({ error: { message, type, param: null, code: null } }),
};

function openaiEnd({ isCut }: Answer): string {
  return isCut ? "length" : "stop";
}

function openaiUsage({ inputTokens, outputTokens }: Answer) {
  return { prompt_tokens: inputTokens, completion_tokens: outputTokens, total_tokens: inputTokens + outputTokens };
}

const ANTHROPIC: Format = {
  whole: ({ model }, answer) => ({
    id: `msg_${answer.id}`,
    type: "message",
    role: "assistant",
    model,
    content: [{ type: "text", text: answer.pieces.join("") }],
    stop_reason: anthropicEnd(answer),
    stop_sequence: null,
    usage: { input_tokens: answer.inputTokens, output_tokens: answer.outputTokens },
  }),
  *events({ model }, answer) {
    const event = (type: string, fields: object = {}) => `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
    const usage = { input_tokens: answer.inputTokens, output_tokens: 1 };
    const message = {
      id: `msg_${answer.id}`,
      type: "message",
      role: "assistant",
      model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage,
    };
    yield { text: event("message_start", { message }), isText: false };
    yield { text: event("content_block_start", { index: 0, content_block: { type: "text", text: "" } }), isText: false };
    for (const text of answer.pieces) {
      yield { text: event("content_block_delta", { index: 0, delta: { type: "text_delta", text } }), isText: true };
    }
    yield { text: event("content_block_stop", { index: 0 }), isText: false };
    const delta = { stop_reason: anthropicEnd(answer), stop_sequence: null };
    yield { text: event("message_delta", { delta, usage: { output_tokens: answer.outputTokens } }), isText: false };
    yield { text: event("message_stop"), isText: false };
  },
  error: (type, message) => ({ type: "error", error: { type, message } }),
};

function anthropicEnd({ isCut }: Answer): string {
  return isCut ? "max_tokens" : "end_turn";
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_MOST) break;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function end(response: ServerResponse, status: number, body: unknown): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, { "content-type": "application/json", "content-length": bytes.length });
  response.end(bytes);
}
