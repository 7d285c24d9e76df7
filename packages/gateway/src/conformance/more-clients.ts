import { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand, type Tool } from "@aws-sdk/client-bedrock-runtime";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { CohereClientV2 } from "cohere-ai";
import Groq from "groq-sdk";
import { AzureOpenAI } from "openai";
import { type Client, checkAnswer, MODELS, type Prompt, WEATHER } from "./clients.ts";

/** More clients as their makers ship them, each in a format of its own or with paths of its own. */
export function moreClientsOf(url: string, key: string): readonly Client[] {
  return [groqClient(url, key), azureClient(url, key), cohereClient(url, key), bedrockClient(url, key)];
}

const functions = [{ type: "function" as const, function: WEATHER }];
const messages = (content: Prompt) => [{ role: "user" as const, content }];

function groqClient(url: string, key: string): Client {
  const groq = new Groq({ baseURL: url, apiKey: key });
  const call = (prompt: Prompt) => ({ model: MODELS.openai.name, messages: messages(prompt), tools: functions });
  return {
    name: "groq-sdk",
    model: MODELS.openai,
    async plain(prompt) {
      const { choices, usage } = await groq.chat.completions.create(call(prompt));
      const [{ message } = {}] = choices;
      checkAnswer(prompt, message?.content, parsed(message?.tool_calls?.[0]?.function.arguments));
      return { input: usage?.prompt_tokens, output: usage?.completion_tokens };
    },
    async streamed(prompt) {
      const seen = new Seen();
      // Groq's API has the option, and its client's types do not.
      const asked = { stream_options: { include_usage: true } };
      for await (const chunk of await groq.chat.completions.create({ ...call(prompt), stream: true, ...asked })) {
        const { content, tool_calls: calls } = chunk.choices[0]?.delta ?? {};
        seen.add(content, calls?.[0]?.function?.arguments);
        const { usage } = chunk as { usage?: { prompt_tokens: number; completion_tokens: number } };
        if (usage) seen.told = { input: usage.prompt_tokens, output: usage.completion_tokens };
      }
      return seen.checked(prompt);
    },
  };
}

function azureClient(url: string, key: string): Client {
  const azure = new AzureOpenAI({ endpoint: url, apiKey: key, apiVersion: "2024-10-21" });
  const call = (prompt: Prompt) => ({ model: MODELS.openai.name, messages: messages(prompt), tools: functions });
  return {
    name: "openai, Azure",
    model: MODELS.openai,
    async plain(prompt) {
      const { choices, usage } = await azure.chat.completions.create(call(prompt));
      const called = choices[0]?.message.tool_calls?.[0];
      checkAnswer(prompt, choices[0]?.message.content, called?.type === "function" ? parsed(called.function.arguments) : undefined);
      return { input: usage?.prompt_tokens, output: usage?.completion_tokens };
    },
    async streamed(prompt) {
      const stream = azure.chat.completions.stream({ ...call(prompt), stream_options: { include_usage: true } });
      const { choices, usage } = await stream.finalChatCompletion();
      checkAnswer(prompt, choices[0]?.message.content, parsed(choices[0]?.message.tool_calls?.[0]?.function.arguments));
      return { input: usage?.prompt_tokens, output: usage?.completion_tokens };
    },
  };
}

function cohereClient(url: string, key: string): Client {
  const cohere = new CohereClientV2({ token: key, environment: url });
  const call = (prompt: Prompt) => ({
    model: MODELS.cohere.name,
    messages: messages(prompt),
    tools: [{ ...functions[0], type: "function" as const, function: { ...WEATHER } }],
  });
  return {
    name: "cohere-ai",
    model: MODELS.cohere,
    async plain(prompt) {
      const { message, usage } = await cohere.chat(call(prompt));
      const text = message.content?.map((block) => (block.type === "text" ? block.text : "")).join("");
      checkAnswer(prompt, text, parsed(message.toolCalls?.[0]?.function?.arguments));
      return { input: usage?.tokens?.inputTokens, output: usage?.tokens?.outputTokens };
    },
    async streamed(prompt) {
      const seen = new Seen();
      for await (const event of await cohere.chatStream(call(prompt))) {
        if (event.type === "content-delta") seen.add(event.delta?.message?.content?.text, undefined);
        if (event.type === "tool-call-start" || event.type === "tool-call-delta")
          seen.add(undefined, event.delta?.message?.toolCalls?.function?.arguments);
        if (event.type !== "message-end") continue;
        const { inputTokens: input, outputTokens: output } = event.delta?.usage?.tokens ?? {};
        seen.told = { input, output };
      }
      return seen.checked(prompt);
    },
  };
}

/** The gateway's key stands in the place of a Bedrock API key. */
function bedrockClient(url: string, key: string): Client {
  const bedrock = new BedrockRuntimeClient({
    endpoint: url,
    region: "us-east-1",
    token: { token: key },
    authSchemePreference: ["httpBearerAuth"],
    // By itself it speaks HTTP/2 only.
    requestHandler: new NodeHttpHandler(),
  });
  const { name, description, parameters } = WEATHER;
  const schema = { json: { ...parameters, required: ["city"] } };
  const call = (text: Prompt) => ({
    modelId: MODELS.bedrock.name,
    messages: [{ role: "user" as const, content: [{ text }] }],
    toolConfig: { tools: [{ toolSpec: { name, description, inputSchema: schema } } as unknown as Tool] },
  });
  return {
    name: "@aws-sdk/client-bedrock-runtime",
    model: MODELS.bedrock,
    async plain(prompt) {
      const { output, usage } = await bedrock.send(new ConverseCommand(call(prompt)));
      const blocks = output?.message?.content ?? [];
      const text = blocks.map((block) => block.text ?? "").join("");
      checkAnswer(prompt, text, blocks.find((block) => block.toolUse)?.toolUse?.input);
      return { input: usage?.inputTokens, output: usage?.outputTokens };
    },
    async streamed(prompt) {
      const seen = new Seen();
      const { stream } = await bedrock.send(new ConverseStreamCommand(call(prompt)));
      for await (const { contentBlockDelta, metadata } of stream ?? []) {
        const { delta } = contentBlockDelta ?? {};
        seen.add(delta?.text, delta?.toolUse?.input);
        if (metadata) seen.told = { input: metadata.usage?.inputTokens, output: metadata.usage?.outputTokens };
      }
      return seen.checked(prompt);
    },
  };
}

/** What a stream brought, put together as a program would do it. */
class Seen {
  #text = "";
  #called = "";
  told: { readonly input: number | undefined; readonly output: number | undefined } = { input: undefined, output: undefined };

  add(text: string | null | undefined, called: string | null | undefined): void {
    this.#text += text ?? "";
    this.#called += called ?? "";
  }

  checked(prompt: Prompt) {
    checkAnswer(prompt, this.#text, this.#called === "" ? undefined : parsed(this.#called));
    return this.told;
  }
}

function parsed(json: string | undefined): unknown {
  return json === undefined ? undefined : JSON.parse(json);
}
