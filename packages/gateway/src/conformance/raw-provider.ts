import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { TestContext } from "node:test";

/** One call as it reached the provider. */
export interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

/** Answers a call, or does what providers do on bad days. */
export type Answer = (response: ServerResponse, received: Received) => unknown;

/** A provider that does what a test tells it to. */
export interface RawProvider {
  readonly url: string;
  /** Every call that came, in its order. */
  readonly received: readonly Received[];
  /** How calls are answered from now on. */
  answer: Answer;
  /** Connections that are open now. */
  readonly sockets: ReadonlySet<Socket>;
  /** Stops listening and cuts every connection. */
  close(): Promise<void>;
}

export async function startRawProvider(context: TestContext, answer: Answer = answerChat()): Promise<RawProvider> {
  const received: Received[] = [];
  const sockets = new Set<Socket>();
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      // The gateway gave up while it was sending.
      return;
    }
    const { method = "", url = "", headers, rawHeaders } = request;
    const one: Received = { method, url, headers, rawHeaders, body: Buffer.concat(chunks).toString("utf8") };
    received.push(one);
    await provider.answer(response, one);
  });
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const provider: RawProvider = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    answer,
    sockets,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  context.after(() => provider.close());
  return provider;
}

/** Usage as the two formats report it. */
export interface MockUsage {
  readonly input: number;
  readonly output: number;
}

/** A whole answer in the format that was spoken. */
export function answerChat(usage: MockUsage = { input: 12, output: 5 }, text = "Aye."): Answer {
  return (response, { url }) => {
    const answerOf = url.startsWith("/v1/messages") ? messageAnswer : url.startsWith("/v1/responses") ? responseAnswer : chatAnswer;
    writeJson(response, 200, answerOf(text, usage));
  };
}

export function writeJson(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, { "content-type": "application/json", "content-length": bytes.length, ...headers }).end(bytes);
}

export function chatAnswer(content: string, { input, output }: MockUsage) {
  return {
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1,
    model: "m",
    choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }],
    usage: { prompt_tokens: input, completion_tokens: output, total_tokens: input + output },
  };
}

export function messageAnswer(text: string, { input, output }: MockUsage) {
  return {
    id: "msg_1",
    type: "message",
    role: "assistant",
    model: "m",
    content: [{ type: "text", text }],
    stop_reason: "end_turn",
    stop_sequence: null,
    usage: { input_tokens: input, output_tokens: output },
  };
}

export function responseAnswer(text: string, { input, output }: MockUsage) {
  return {
    id: "resp_1",
    object: "response",
    created_at: 1,
    status: "completed",
    error: null,
    incomplete_details: null,
    model: "m",
    output: [
      {
        id: "msg_1",
        type: "message",
        status: "completed",
        role: "assistant",
        content: [{ type: "output_text", text, annotations: [], logprobs: [] }],
      },
    ],
    parallel_tool_calls: true,
    tool_choice: "auto",
    tools: [],
    usage: {
      input_tokens: input,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: output,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: input + output,
    },
  };
}

export function completionAnswer(text: string, { input, output }: MockUsage) {
  return {
    id: "cmpl-1",
    object: "text_completion",
    created: 1,
    model: "m",
    choices: [{ index: 0, text, logprobs: null, finish_reason: "stop" }],
    usage: { prompt_tokens: input, completion_tokens: output, total_tokens: input + output },
  };
}

export function embeddingAnswer({ input }: Pick<MockUsage, "input">) {
  return {
    object: "list",
    data: [{ object: "embedding", index: 0, embedding: [0.25, -0.5, 1] }],
    model: "m",
    usage: { prompt_tokens: input, total_tokens: input },
  };
}

/** As Mistral answers; OpenAI reports no usage. */
export function moderationAnswer({ input }: Pick<MockUsage, "input">) {
  return {
    id: "modr-1",
    model: "m",
    results: [{ flagged: false, categories: {}, category_scores: {} }],
    usage: { prompt_tokens: input, completion_tokens: 0, total_tokens: input },
  };
}

/** `finish`: why it ended; null in the middle of a stream. */
export function geminiAnswer(text: string, { input, output }: MockUsage, finish: string | null = "STOP") {
  return {
    candidates: [{ index: 0, content: { role: "model", parts: [{ text }] }, ...(finish !== null && { finishReason: finish }) }],
    usageMetadata: { promptTokenCount: input, candidatesTokenCount: output, totalTokenCount: input + output },
    modelVersion: "m",
    responseId: "r1",
  };
}

export function geminiEvent(text: string, usage: MockUsage, finish?: string | null): string {
  return `data: ${JSON.stringify(geminiAnswer(text, usage, finish))}\r\n\r\n`;
}

export function ollamaAnswer(content: string, { input, output }: MockUsage) {
  return { ...ollamaPart(content), done: true, done_reason: "stop", total_duration: 1, prompt_eval_count: input, eval_count: output };
}

/** A line in the middle of a stream. */
export function ollamaPart(content: string) {
  return { model: "m", created_at: "2026-11-22T11:12:35.000000Z", message: { role: "assistant", content }, done: false };
}

export const LINES_HEADERS = { "content-type": "application/x-ndjson" };
export const STREAM_HEADERS = { "content-type": "text/event-stream" };

/** One event of a chat stream. */
export function chatEvent(content: string): string {
  return `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta: { content } }] })}\n\n`;
}

export function chatUsageEvent({ input, output }: MockUsage): string {
  const usage = { prompt_tokens: input, completion_tokens: output, total_tokens: input + output };
  return `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [], usage })}\n\n`;
}

export const CHAT_DONE = "data: [DONE]\n\n";

/** One event of a stream of messages, or of a response. */
export function messageEvent(event: { readonly type: string; readonly [field: string]: unknown }): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}
