import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { type GenerateContentResponse, GoogleGenAI, type Schema, Type } from "@google/genai";
import { ChatAnthropic } from "@langchain/anthropic";
import type { AIMessageChunk } from "@langchain/core/messages";
import { ChatOpenAI } from "@langchain/openai";
import { generateText, jsonSchema, streamText, type ToolSet } from "ai";
import { GoogleGenAI as GoogleGenAI3 } from "google-genai-3";
import { type Client, checkAnswer, MODELS, type Prompt, WEATHER } from "./clients.ts";

/** LangChain's models, which all answer in the same shape. */
interface ChatModel {
  invoke(prompt: string): Promise<AIMessageChunk>;
  stream(prompt: string): Promise<AsyncIterable<AIMessageChunk>>;
}

/** More clients as their makers ship them, told another base URL and another key. */
export function otherClientsOf(url: string, key: string): readonly Client[] {
  const openai = { apiKey: key, maxRetries: 0, configuration: { baseURL: `${url}/v1` }, model: MODELS.openai.name };
  const functions = [{ type: "function" as const, function: WEATHER }];
  const anthropic = new ChatAnthropic({
    apiKey: key,
    anthropicApiUrl: url,
    model: MODELS.anthropic.name,
    maxTokens: 1_000,
    maxRetries: 0,
  }).bindTools([{ name: WEATHER.name, description: WEATHER.description, input_schema: WEATHER.parameters }]);
  return [
    { name: "@langchain/openai", model: MODELS.openai, ...viaLangchain(new ChatOpenAI(openai).bindTools(functions) as ChatModel) },
    {
      name: "@langchain/openai, responses",
      model: MODELS.openai,
      ...viaLangchain(new ChatOpenAI({ ...openai, useResponsesApi: true }).bindTools(functions) as ChatModel),
    },
    { name: "@langchain/anthropic", model: MODELS.anthropic, ...viaLangchain(anthropic as ChatModel) },
    googleClient("@google/genai 2", GoogleGenAI, url, key),
    googleClient("@google/genai 3", GoogleGenAI3 as unknown as typeof GoogleGenAI, url, key),
    viaGoogle("@google/genai 2, Vertex AI", new GoogleGenAI({ vertexai: true, apiKey: key, httpOptions: { baseUrl: url } })),
    aiGoogleClient(url, key),
  ];
}

function viaLangchain(model: ChatModel): Pick<Client, "plain" | "streamed"> {
  const usageOf = ({ usage_metadata: usage }: AIMessageChunk) =>
    (usage ?? {}) as { readonly input_tokens?: number; readonly output_tokens?: number };
  return {
    async plain(prompt) {
      const message = await model.invoke(prompt);
      checkAnswer(prompt, message.text, message.tool_calls?.[0]?.args);
      return { input: usageOf(message).input_tokens, output: usageOf(message).output_tokens };
    },
    async streamed(prompt) {
      const chunks: AIMessageChunk[] = [];
      for await (const chunk of await model.stream(prompt)) chunks.push(chunk);
      const whole = chunks.reduce((before, after) => before.concat(after));
      checkAnswer(prompt, whole.text, whole.tool_calls?.[0]?.args);
      // Of Anthropic's streams it adds what the beginning says to what the end says; each chunk by itself says what the provider said.
      const most = (counts: readonly (number | undefined)[]) => Math.max(...counts.map((count) => count ?? 0));
      const usages = chunks.map(usageOf);
      return { input: most(usages.map((one) => one.input_tokens)), output: most(usages.map((one) => one.output_tokens)) };
    },
  };
}

function googleClient(name: string, make: typeof GoogleGenAI, url: string, key: string): Client {
  // Version 3 calls /v1 by itself, which the mock does not have.
  return viaGoogle(name, new make({ apiKey: key, apiVersion: "v1beta", httpOptions: { baseUrl: url } }));
}

function viaGoogle(name: string, google: GoogleGenAI): Client {
  const parameters: Schema = { type: Type.OBJECT, properties: { city: { type: Type.STRING } }, required: ["city"] };
  const call = (contents: Prompt) => ({
    model: MODELS.google.name,
    contents,
    config: {
      maxOutputTokens: 1_000,
      tools: [{ functionDeclarations: [{ name: WEATHER.name, description: WEATHER.description, parameters }] }],
    },
  });
  return {
    name,
    model: MODELS.google,
    async plain(prompt) {
      const answer = await google.models.generateContent(call(prompt));
      const { functionCalls, usageMetadata } = answer;
      checkAnswer(prompt, textOf(answer), functionCalls?.[0]?.args);
      return { input: usageMetadata?.promptTokenCount, output: usageMetadata?.candidatesTokenCount };
    },
    async streamed(prompt) {
      let text = "";
      let args: unknown;
      let usage: { readonly promptTokenCount?: number; readonly candidatesTokenCount?: number } | undefined;
      for await (const part of await google.models.generateContentStream(call(prompt))) {
        text += textOf(part);
        args ??= part.functionCalls?.[0]?.args;
        usage = part.usageMetadata ?? usage;
      }
      checkAnswer(prompt, text, args);
      return { input: usage?.promptTokenCount, output: usage?.candidatesTokenCount };
    },
  };
}

/** Its own `text` warns of parts that are none. */
function textOf({ candidates }: GenerateContentResponse): string {
  return (candidates?.[0]?.content?.parts ?? []).map(({ text }) => text ?? "").join("");
}

function aiGoogleClient(url: string, key: string): Client {
  const model = createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey: key })(MODELS.google.name);
  const tools = {
    weather: { description: WEATHER.description, inputSchema: jsonSchema({ ...WEATHER.parameters, required: ["city"] }) },
  } as ToolSet;
  return {
    name: "ai with @ai-sdk/google",
    model: MODELS.google,
    async plain(prompt) {
      const { usage, text, toolCalls } = await generateText({ model, prompt, tools, maxOutputTokens: 1_000 });
      checkAnswer(prompt, text, toolCalls[0]?.input);
      return { input: usage.inputTokens, output: usage.outputTokens };
    },
    async streamed(prompt) {
      const stream = streamText({ model, prompt, tools, maxOutputTokens: 1_000 });
      checkAnswer(prompt, await stream.text, (await stream.toolCalls)[0]?.input);
      const { inputTokens, outputTokens } = await stream.usage;
      return { input: inputTokens, output: outputTokens };
    },
  };
}
