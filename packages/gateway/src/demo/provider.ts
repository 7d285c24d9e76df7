import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { countTokens } from "@purser/core/tokens";
import { DemoBatches } from "./batches.ts";
import { ANTHROPIC_COUNT, ANTHROPIC_MESSAGES } from "./formats/anthropic-messages.ts";
import { BEDROCK_CONVERSE } from "./formats/bedrock-converse.ts";
import { COHERE } from "./formats/cohere.ts";
import type { Answer, Format, Question } from "./formats/format.ts";
import { GEMINI } from "./formats/gemini.ts";
import { OPENAI_CHAT } from "./formats/openai-chat.ts";
import { OPENAI_RESPONSES } from "./formats/openai-responses.ts";
import { DEMO_MODELS } from "./models.ts";

/** A provider on this machine that speaks the formats of OpenAI, Anthropic, Google, Cohere and Bedrock, so that everything can be tried without a key. */
export interface DemoProvider {
  /** `http://127.0.0.1:PORT`, to which the paths of all formats are appended. */
  readonly url: string;
  close(): Promise<void>;
}

export interface DemoProviderOptions {
  /** The pause before each token of a stream. 20 where it is left out. */
  readonly delayMs?: number;
}

/** The cap of an answer whose call names none. */
const OUTPUT_TOKENS = 400;
const FORMATS: readonly Format[] = [OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC_MESSAGES, ANTHROPIC_COUNT, GEMINI, COHERE, BEDROCK_CONVERSE];
const BODY_MOST = 4 * 1024 * 1024;

export async function startDemoProvider({ delayMs = 20 }: DemoProviderOptions = {}): Promise<DemoProvider> {
  const batches = new DemoBatches(answerWhole);
  const server = createServer((request, response) => {
    answer(request, response, delayMs, batches).catch((error: unknown) => {
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

async function answer(request: IncomingMessage, response: ServerResponse, delayMs: number, batches: DemoBatches): Promise<void> {
  const path = request.url?.split("?", 1)[0] ?? "/";
  if (request.method === "GET" && path === "/v1/models") {
    const data = DEMO_MODELS.map((id) => ({ id, object: "model", created: 1_767_225_600, owned_by: "demo" }));
    return end(response, 200, { object: "list", data });
  }
  const { method = "GET", headers } = request;
  if (batches.serves(path)) {
    const bytes = method === "POST" ? await readBytes(request) : Buffer.alloc(0);
    const { status, type = "application/json", text } = await batches.answer(method, path, bytes, headers["content-type"] ?? "");
    return void response.writeHead(status, { "content-type": type }).end(text);
  }
  const format = method === "POST" ? FORMATS.find((one) => one.path.test(path)) : undefined;
  const refuse = (status: number, type: string, message: string) =>
    end(response, status, (format ?? OPENAI_CHAT).error(status, type, message));
  if (!format) return refuse(404, "invalid_request_error", `There is no ${method} ${path}.`);
  const question = readQuestion(format, path, await readText(request));
  if (!question) return refuse(400, "invalid_request_error", "The body is not a JSON object with a model and messages.");
  if (!DEMO_MODELS.includes(question.model)) {
    return refuse(404, "not_found_error", `The model "${question.model}" does not exist. Models are ${DEMO_MODELS.join(", ")}.`);
  }
  const answered = await composeAnswer(question);
  if (!question.stream) return end(response, 200, format.whole(question, answered));
  response.writeHead(200, { "content-type": format.streamType ?? "text/event-stream", "cache-control": "no-cache" });
  for (const event of format.events(question, answered)) {
    if (response.destroyed) return;
    if (event.isText) await wait(delayMs);
    response.write(event.text);
  }
  response.end();
}

/** A call of a batch, answered as it would be by itself; nothing where it is none. */
async function answerWhole(path: string, body: unknown): Promise<unknown> {
  const format = FORMATS.find((one) => one.path.test(path));
  const question = format && readQuestion(format, path, JSON.stringify(body));
  return format && question && format.whole(question, await composeAnswer(question));
}

function readQuestion(format: Format, path: string, text: string): Question | undefined {
  try {
    const question = format.read(JSON.parse(text), format.path.exec(path) as RegExpExecArray);
    return typeof question?.model === "string" ? question : undefined;
  } catch {
    return undefined;
  }
}

let answers = 0;

/** One word, with the space before it, is one token of this provider: usage is exact by that definition. */
async function composeAnswer({ model, texts, outputTokensMost }: Question): Promise<Answer> {
  const question = texts.at(-1)?.trim().replace(/\s+/g, " ").slice(0, 80) ?? "";
  const text = model === "demo-mini" ? shortAnswer(question) : longAnswer(question);
  const words = text.match(/\s*\S+/g) ?? [];
  const pieces = words.slice(0, outputTokensMost ?? OUTPUT_TOKENS);
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

async function readText(request: IncomingMessage): Promise<string> {
  return (await readBytes(request)).toString("utf8");
}

async function readBytes(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_MOST) break;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function end(response: ServerResponse, status: number, body: unknown): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, { "content-type": "application/json", "content-length": bytes.length });
  response.end(bytes);
}
