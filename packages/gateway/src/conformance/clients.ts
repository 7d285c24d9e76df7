import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import Anthropic from "@anthropic-ai/sdk";
import { LLMock } from "@copilotkit/aimock";
import { generateText, jsonSchema, streamText, type ToolSet } from "ai";
import OpenAI from "openai";

/**
 * What the makers' price lists say, in nano-dollars for a token: $0.15 and $0.60, $3 and $15, $0.30 and $2.50, $0.15 and $0.60, $0.06 and
 * $0.24 for a million.
 */
export const MODELS = {
  openai: { name: "gpt-4o-mini", input: 150, output: 600 },
  anthropic: { name: "claude-sonnet-4-6", input: 3_000, output: 15_000 },
  google: { name: "gemini-2.5-flash", input: 300, output: 2_500 },
  cohere: { name: "command-r-08-2024", input: 150, output: 600 },
  bedrock: { name: "amazon.nova-lite-v1:0", input: 60, output: 240 },
} as const;

/** What the mock is told to report, for each prompt. The numbers have nothing in common, so that no two can be mistaken. */
export const REPORTED = {
  "What is a purser?": { input: 41, output: 89 },
  "What is the weather in Bremen?": { input: 53, output: 37 },
} as const;
export type Prompt = keyof typeof REPORTED;

/** What a client says that a call used. */
export interface Told {
  readonly input: number | undefined;
  readonly output: number | undefined;
}

export interface Client {
  readonly name: string;
  readonly model: (typeof MODELS)[keyof typeof MODELS];
  readonly plain: (prompt: Prompt) => Promise<Told>;
  readonly streamed: (prompt: Prompt) => Promise<Told>;
}

export const WEATHER = {
  name: "weather",
  description: "The weather somewhere",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false },
} as const;

/** How the clients of the two makers send. */
export interface Fetches {
  readonly openai: typeof globalThis.fetch;
  readonly anthropic: typeof globalThis.fetch;
}

/** The clients as their makers ship them, told another base URL and another key. */
export function clientsOf(url: string, key: string, by: Fetches = { openai: fetch, anthropic: fetch }): readonly Client[] {
  const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, fetch: by.openai });
  const anthropic = new Anthropic({ baseURL: url, apiKey: key, fetch: by.anthropic });
  const aiOpenai = createOpenAI({ baseURL: `${url}/v1`, apiKey: key, fetch: by.openai }).chat(MODELS.openai.name);
  const aiAnthropic = createAnthropic({ baseURL: `${url}/v1`, apiKey: key, fetch: by.anthropic })(MODELS.anthropic.name);
  const aiResponses = createOpenAI({ baseURL: `${url}/v1`, apiKey: key, fetch: by.openai })(MODELS.openai.name);
  const response = (prompt: Prompt) => ({
    model: MODELS.openai.name,
    input: prompt,
    tools: [{ type: "function" as const, strict: false, ...WEATHER, parameters: { ...WEATHER.parameters, required: ["city"] } }],
  });
  const chat = (prompt: Prompt) => ({
    model: MODELS.openai.name,
    messages: [{ role: "user" as const, content: prompt }],
    tools: [{ type: "function" as const, function: WEATHER }],
  });
  const message = (prompt: Prompt) => ({
    model: MODELS.anthropic.name,
    max_tokens: 1_000,
    messages: [{ role: "user" as const, content: prompt }],
    tools: [{ name: WEATHER.name, description: WEATHER.description, input_schema: { ...WEATHER.parameters, required: ["city"] } }],
  });
  const tools = {
    weather: { description: WEATHER.description, inputSchema: jsonSchema({ ...WEATHER.parameters, required: ["city"] }) },
  } as ToolSet;
  const viaAi = (model: typeof aiOpenai | typeof aiAnthropic | typeof aiResponses) => ({
    plain: async (prompt: Prompt) => {
      const { usage, text, toolCalls } = await generateText({ model, prompt, tools, maxOutputTokens: 1_000 });
      checkAnswer(prompt, text, toolCalls[0]?.input);
      return { input: usage.inputTokens, output: usage.outputTokens };
    },
    streamed: async (prompt: Prompt) => {
      const stream = streamText({ model, prompt, tools, maxOutputTokens: 1_000 });
      checkAnswer(prompt, await stream.text, (await stream.toolCalls)[0]?.input);
      const { inputTokens, outputTokens } = await stream.usage;
      return { input: inputTokens, output: outputTokens };
    },
  });
  return [
    {
      name: "openai",
      model: MODELS.openai,
      async plain(prompt) {
        const { choices, usage } = await openai.chat.completions.create(chat(prompt));
        const call = choices[0]?.message.tool_calls?.[0];
        checkAnswer(prompt, choices[0]?.message.content, call?.type === "function" ? JSON.parse(call.function.arguments) : undefined);
        return { input: usage?.prompt_tokens, output: usage?.completion_tokens };
      },
      async streamed(prompt) {
        const stream = openai.chat.completions.stream({ ...chat(prompt), stream_options: { include_usage: true } });
        const { choices, usage } = await stream.finalChatCompletion();
        const call = choices[0]?.message.tool_calls?.[0];
        checkAnswer(prompt, choices[0]?.message.content, call ? JSON.parse(call.function.arguments) : undefined);
        return { input: usage?.prompt_tokens, output: usage?.completion_tokens };
      },
    },
    {
      name: "openai, responses",
      model: MODELS.openai,
      async plain(prompt) {
        const { output, output_text: text, usage } = await openai.responses.create(response(prompt));
        checkItems(prompt, text, output);
        return { input: usage?.input_tokens, output: usage?.output_tokens };
      },
      async streamed(prompt) {
        const { output, output_text: text, usage } = await openai.responses.stream(response(prompt)).finalResponse();
        checkItems(prompt, text, output);
        return { input: usage?.input_tokens, output: usage?.output_tokens };
      },
    },
    {
      name: "@anthropic-ai/sdk",
      model: MODELS.anthropic,
      async plain(prompt) {
        const { content, usage } = await anthropic.messages.create(message(prompt));
        checkBlocks(prompt, content);
        return { input: usage.input_tokens, output: usage.output_tokens };
      },
      async streamed(prompt) {
        const { content, usage } = await anthropic.messages.stream(message(prompt)).finalMessage();
        checkBlocks(prompt, content);
        return { input: usage.input_tokens, output: usage.output_tokens };
      },
    },
    { name: "ai with @ai-sdk/openai", model: MODELS.openai, ...viaAi(aiResponses) },
    { name: "ai with @ai-sdk/openai, chat", model: MODELS.openai, ...viaAi(aiOpenai) },
    { name: "ai with @ai-sdk/anthropic", model: MODELS.anthropic, ...viaAi(aiAnthropic) },
  ];
}

function checkBlocks(prompt: Prompt, content: readonly Anthropic.ContentBlock[]): void {
  const text = content.find((block) => block.type === "text");
  const use = content.find((block) => block.type === "tool_use");
  checkAnswer(prompt, text?.text, use?.input);
}

function checkItems(prompt: Prompt, text: string, output: readonly OpenAI.Responses.ResponseOutputItem[]): void {
  const call = output.find((item) => item.type === "function_call");
  checkAnswer(prompt, text, call ? JSON.parse(call.arguments) : undefined);
}

/** One prompt is answered in words, the other by asking for a tool. */
export function checkAnswer(prompt: Prompt, text: string | null | undefined, toolInput: unknown): void {
  if (prompt === "What is a purser?") assert.equal(text, "The officer who keeps a ship's accounts.");
  else assert.deepEqual(toolInput, { city: "Bremen" });
}

export async function startMock(context: TestContext): Promise<LLMock> {
  const mock = new LLMock({ port: 0, host: "127.0.0.1", chunkSize: 7, journalMaxEntries: 0 });
  const usageOf = (prompt: Prompt) => ({ prompt_tokens: REPORTED[prompt].input, completion_tokens: REPORTED[prompt].output });
  mock.on(
    { userMessage: "What is a purser?" },
    { content: "The officer who keeps a ship's accounts.", usage: usageOf("What is a purser?") },
  );
  mock.on(
    { userMessage: "What is the weather in Bremen?", hasToolResult: true },
    { content: "It rains.", usage: { prompt_tokens: 67, completion_tokens: 11 } },
  );
  mock.on(
    { userMessage: "What is the weather in Bremen?", hasToolResult: false },
    { toolCalls: [{ name: "weather", arguments: '{"city":"Bremen"}' }], usage: usageOf("What is the weather in Bremen?") },
  );
  await mock.start();
  context.after(() => mock.stop());
  return mock;
}
