import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { ApiError, type Content, type GenerateContentResponse, GoogleGenAI } from "@google/genai";
import OpenAI from "openai";
import { failureOf, type Json, post } from "./calls.ts";
import { type Answer, chatEvent, messageAnswer, messageEvent, type RawProvider, STREAM_HEADERS, startRawProvider, writeJson } from "./raw-provider.ts";
import { eventually, type Stand, startStand } from "./stand.ts";
import { asAnthropic, asGoogle, asOpenai } from "./tool-answers.ts";

/** Each maker's models are served in one format only, at an address of its own; clients ask for what stands there in their format. */
interface Scene {
  readonly stand: Stand;
  readonly openai: RawProvider;
  readonly anthropic: RawProvider;
  readonly google: RawProvider;
}

/** What a call has as its tag `to` says where it goes. */
const ALL = `budgets:
  - { name: google, for: { tag.to: google }, limits: [$10 / day], ladder: { 0%: use gemini-2.5-flash } }
  - { name: openai, for: { tag.to: openai }, limits: [$10 / day], ladder: { 0%: use gpt-4o-mini } }
  - { name: anthropic, for: { tag.to: anthropic }, limits: [$10 / day], ladder: { 0%: use claude-haiku-4-5 } }`;

async function startScene(context: TestContext, answers: Partial<Record<keyof Scene, Answer>> = {}, rest = ALL): Promise<Scene> {
  const failing: Answer = (response) => writeJson(response, 500, {});
  const openai = await startRawProvider(context, answers.openai ?? failing);
  const anthropic = await startRawProvider(context, answers.anthropic ?? failing);
  const google = await startRawProvider(context, answers.google ?? failing);
  const providers = [
    `openai: { base_url: { openai-chat: "${openai.url}/v1" }, api_key: openai-secret }`,
    `anthropic: { base_url: { anthropic: "${anthropic.url}" }, api_key: anthropic-secret }`,
    `google: { base_url: { gemini: "${google.url}" }, api_key: google-secret }`,
    `responder: { base_url: { openai-responses: "${openai.url}/v1" }, api_key: other-secret, models: [gpt-4o] }`,
  ].join(", ");
  const stand = await startStand(context, { config: `providers: { ${providers} }\n${rest}` });
  return { stand, openai, anthropic, google };
}

/** What a client makes of two turns: a tool that is called, and what is said about its result. */
interface Heard {
  readonly called: readonly [name: string, input: unknown];
  readonly said: string;
  /** Tokens read, of these from a cache, written, and of these thoughts where the format says so. */
  readonly usage: readonly (number | undefined)[];
}

interface Client {
  readonly endpoint: string;
  readonly targets: readonly (keyof typeof TARGETS)[];
  talk(url: string, to: string, isStreamed: boolean): Promise<Heard>;
}

const LOOK = { type: "object", properties: { at: { type: "string" } } };

const CLIENTS: readonly Client[] = [
  {
    endpoint: "openai-chat",
    targets: ["google"],
    async talk(url, to, isStreamed) {
      const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0, defaultHeaders: tagged(to) });
      const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "What is there?" }];
      const tools: OpenAI.ChatCompletionTool[] = [{ type: "function", function: { name: "look", parameters: LOOK } }];
      const call = { model: "gpt-4o", messages, tools };
      const turn = () =>
        isStreamed
          ? client.chat.completions.stream({ ...call, stream_options: { include_usage: true } }).finalChatCompletion()
          : client.chat.completions.create(call);
      const first = await turn();
      const message = first.choices[0]?.message ?? assert.fail();
      const [tool] = message.tool_calls ?? [];
      assert.ok(tool?.type === "function" && first.choices[0]?.finish_reason === "tool_calls");
      messages.push(message, { role: "tool", tool_call_id: tool.id, content: "a sail" });
      const { choices, usage } = await turn();
      const { prompt_tokens, completion_tokens, prompt_tokens_details: read, completion_tokens_details: written } = usage ?? assert.fail();
      return {
        called: [tool.function.name, JSON.parse(tool.function.arguments)],
        said: choices[0]?.message.content ?? "",
        usage: [prompt_tokens, read?.cached_tokens, completion_tokens, written?.reasoning_tokens],
      };
    },
  },
  {
    endpoint: "anthropic-messages",
    targets: ["google"],
    async talk(url, to, isStreamed) {
      const client = new Anthropic({ baseURL: url, apiKey: "none", maxRetries: 0, defaultHeaders: tagged(to) });
      const messages: Anthropic.MessageParam[] = [{ role: "user", content: "What is there?" }];
      const tools: Anthropic.Tool[] = [{ name: "look", input_schema: { ...LOOK, type: "object" } }];
      const call = { model: "claude-sonnet-4-5", max_tokens: 500, messages, tools };
      const turn = () => (isStreamed ? client.messages.stream(call).finalMessage() : client.messages.create(call));
      const { content, stop_reason } = await turn();
      const [tool] = content;
      assert.ok(tool?.type === "tool_use" && stop_reason === "tool_use");
      messages.push({ role: "assistant", content });
      messages.push({ role: "user", content: [{ type: "tool_result", tool_use_id: tool.id, content: "a sail" }] });
      const { content: said, usage } = await turn();
      const { input_tokens, cache_read_input_tokens: cached, output_tokens, output_tokens_details: details } = usage;
      return {
        called: [tool.name, tool.input],
        said: said.map((block) => (block.type === "text" ? block.text : "")).join(""),
        usage: [input_tokens + (cached ?? 0), cached ?? 0, output_tokens, details?.thinking_tokens ?? 0],
      };
    },
  },
  {
    endpoint: "openai-responses",
    targets: ["openai", "anthropic", "google"],
    async talk(url, to, isStreamed) {
      const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0, defaultHeaders: tagged(to) });
      const input: OpenAI.Responses.ResponseInputItem[] = [{ role: "user", content: "What is there?" }];
      const tools: OpenAI.Responses.Tool[] = [{ type: "function", name: "look", parameters: LOOK, strict: false }];
      const call = { model: "gpt-4o", input, tools, store: false, instructions: "Be brief." };
      const turn = () => (isStreamed ? client.responses.stream(call).finalResponse() : client.responses.create(call));
      const first = await turn();
      const [tool] = first.output;
      assert.ok(tool?.type === "function_call" && first.status === "completed");
      input.push(tool, { type: "function_call_output", call_id: tool.call_id, output: "a sail" });
      const { output_text, usage } = await turn();
      const { input_tokens, input_tokens_details: read, output_tokens, output_tokens_details: written } = usage ?? assert.fail();
      return {
        called: [tool.name, JSON.parse(tool.arguments)],
        said: output_text,
        usage: [input_tokens, read.cached_tokens, output_tokens, written.reasoning_tokens],
      };
    },
  },
  {
    endpoint: "gemini-content",
    targets: ["openai", "anthropic"],
    async talk(url, to, isStreamed) {
      const client = new GoogleGenAI({ apiKey: "none", httpOptions: { baseUrl: url, headers: tagged(to) } });
      const contents: Content[] = [{ role: "user", parts: [{ text: "What is there?" }] }];
      const tools = [{ functionDeclarations: [{ name: "look", parametersJsonSchema: LOOK }] }];
      const call = { model: "gemini-2.5-pro", contents, config: { systemInstruction: "Be brief.", tools } };
      const turn = async () => {
        if (!isStreamed) return [await client.models.generateContent(call)];
        const answers: GenerateContentResponse[] = [];
        for await (const answer of await client.models.generateContentStream(call)) answers.push(answer);
        return answers;
      };
      const first = await turn();
      const tool = first.find(({ functionCalls }) => functionCalls)?.functionCalls?.[0] ?? assert.fail();
      // As the chats of the SDK keep what came: each piece of a stream as a content of its own.
      contents.push(...first.flatMap(({ candidates }) => candidates?.[0]?.content ?? []));
      const { id = "", name = "" } = tool;
      contents.push({ role: "user", parts: [{ functionResponse: { id, name, response: { output: "a sail" } } }] });
      const second = await turn();
      const usage = second.at(-1)?.usageMetadata;
      return {
        called: [name, tool.args],
        said: second.map(({ text = "" }) => text).join(""),
        usage: [
          usage?.promptTokenCount,
          usage?.cachedContentTokenCount,
          (usage?.candidatesTokenCount ?? 0) + (usage?.thoughtsTokenCount ?? 0),
          usage?.thoughtsTokenCount ?? 0,
        ],
      };
    },
  },
];

const TARGETS = {
  openai: { answer: asOpenai, model: "gpt-4o-mini", cost: 20 * 150 + 100 * 75 + 30 * 600, thoughts: 0, path: /^\/v1\/chat\/completions$/ },
  anthropic: { answer: asAnthropic, model: "claude-haiku-4-5", cost: 20 * 1_000 + 100 * 100 + 30 * 5_000, thoughts: 0, path: /^\/v1\/messages$/ },
  google: {
    answer: asGoogle,
    model: "gemini-2.5-flash",
    cost: 20 * 300 + 100 * 30 + 30 * 2_500,
    thoughts: 10,
    path: /^\/v1beta\/models\/gemini-2\.5-flash:(generateContent|streamGenerateContent\?alt=sse)$/,
  },
} as const;

function tagged(to: string): Record<string, string> {
  return { "x-purser-tags": `to=${to}` };
}

test("an SDK of each format uses a tool with a model of each other one", async (context) => {
  const scene = await startScene(context, { openai: asOpenai, anthropic: asAnthropic, google: asGoogle });
  const { stand } = scene;
  let settled = 0;
  for (const { endpoint, targets, talk } of CLIENTS)
    for (const to of targets)
      for (const isStreamed of [false, true])
        await context.test(`${endpoint} with ${TARGETS[to].model}, ${isStreamed ? "streamed" : "whole"}`, async () => {
          const { model, cost, thoughts, path } = TARGETS[to];
          const heard = await talk(stand.url, to, isStreamed);
          assert.deepEqual(heard, { called: ["look", { at: "sea" }], said: "It is a sail", usage: [120, 100, 30, thoughts] });
          const { url, headers } = scene[to].received.at(-1) ?? assert.fail();
          assert.match(url, path);
          const key = headers["x-goog-api-key"] ?? headers["x-api-key"] ?? headers.authorization;
          assert.match(String(key), new RegExp(`${to}-secret$`));
          settled += 2;
          for (const { charge, detail } of (await stand.entries(settled, "settled")).slice(-2)) {
            assert.deepEqual([charge.cost, charge.certainty], [cost, "confirmed"]);
            assert.deepEqual([detail.subject.endpoint, detail.subject.provider, detail.subject.model], [endpoint, to, model]);
            assert.deepEqual(detail.rungs, [`use ${model} (${to} 0%)`]);
          }
        });
  await stand.checkBooks();
});
