import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { FunctionCallingConfigMode, GoogleGenAI } from "@google/genai";
import OpenAI from "openai";
import { fillPath } from "../dialects/path.ts";
import { CALLS } from "../routes.ts";
import { type Json, post } from "./calls.ts";
import {
  type Answer,
  chatAnswer,
  geminiAnswer,
  messageAnswer,
  type RawProvider,
  responseAnswer,
  startRawProvider,
  writeJson,
} from "./raw-provider.ts";
import { startReceiver } from "./receivers.ts";
import { SAMPLES } from "./samples.ts";
import { eventually, PRICES, providersAt, type Stand, startStand } from "./stand.ts";
import { type Called, CONVERSATIONS, type Said } from "./tool-conversations.ts";

const USAGE = { input: 12, output: 5 };
const HEADERS = { "x-purser-session": "s1" };
const PARAMETERS = { type: "object" as const, properties: { path: { type: "string" } } };
const READ: Called = { tool: "read_file", input: { path: "a.txt" }, result: "Error: no such file" };
const REFUSED =
  /The tool "read_file" was called 3 times in a row with the same arguments and the same result, which looks like a loop\. Budget "agents" \(session=s1\) guards against that until .* UTC\. Do not call it that way again: go on with what is known, or do something else, or ask kim@example\.com\./;

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
}

/** A provider whose model always wants to read a file: the same one, or another each time. */
async function startScene(context: TestContext, guard: string, more = "", pathOf = (_call: number) => "a.txt"): Promise<Scene> {
  let calls = 0;
  const answer: Answer = (response, { url }) => writeJson(response, 200, callingAnswer(url, `id_${calls}`, { path: pathOf(calls++) }));
  const provider = await startRawProvider(context, answer);
  const budget = `{ name: agents, per: session, owner: kim@example.com, limits: [$10 / day], guard: ${guard} }`;
  const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\n${more}\nbudgets:\n  - ${budget}` });
  return { stand, provider };
}

/** An answer that calls a tool, in the format of a path. */
function callingAnswer(url: string, id: string, input: Json): Json {
  const name = "read_file";
  const text = JSON.stringify(input);
  if (url.startsWith("/v1/messages"))
    return { ...messageAnswer("", USAGE), content: [{ type: "tool_use", id, name, input }], stop_reason: "tool_use" };
  if (url.startsWith("/v1/responses"))
    return {
      ...responseAnswer("", USAGE),
      output: [{ type: "function_call", id: `fc_${id}`, call_id: id, name, arguments: text, status: "completed" }],
    };
  if (url.includes("generateContent")) {
    const answer = geminiAnswer("", USAGE);
    return {
      ...answer,
      candidates: [{ index: 0, content: { role: "model", parts: [{ functionCall: { name, args: input } }] }, finishReason: "STOP" }],
    };
  }
  const message = { role: "assistant", content: null, tool_calls: [{ id, type: "function", function: { name, arguments: text } }] };
  return { ...chatAnswer("", USAGE), choices: [{ index: 0, message, finish_reason: "tool_calls" }] };
}

/** The tool that they call. */
function readFile({ path }: Json): string {
  return path === "a.txt" ? "Error: no such file" : `This is ${path}.`;
}

/** An agent of each SDK: it asks, does what it is told, and asks again with all that was said; for so many turns, or until it is refused. */
type AgentOf = (url: string, turns: number) => Promise<{ readonly turns: number; readonly error?: unknown }>;

async function untilRefused(turns: number, turn: () => Promise<void>): ReturnType<AgentOf> {
  for (let i = 0; i < turns; i++) {
    try {
      await turn();
    } catch (error) {
      return { turns: i, error };
    }
  }
  return { turns };
}

const openaiChats: AgentOf = (url, turns) => {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", defaultHeaders: HEADERS });
  const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "What is in a.txt?" }];
  const tools: OpenAI.ChatCompletionTool[] = [{ type: "function", function: { name: "read_file", parameters: PARAMETERS } }];
  return untilRefused(turns, async () => {
    const { choices } = await client.chat.completions.create({ model: "m", messages, tools });
    const message = choices[0]?.message ?? assert.fail();
    messages.push(message);
    for (const call of message.tool_calls ?? [])
      if (call.type === "function")
        messages.push({ role: "tool", tool_call_id: call.id, content: readFile(JSON.parse(call.function.arguments)) });
  });
};

const openaiResponses: AgentOf = (url, turns) => {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", defaultHeaders: HEADERS });
  const input: OpenAI.Responses.ResponseInput = [{ role: "user", content: "What is in a.txt?" }];
  const tools: OpenAI.Responses.Tool[] = [{ type: "function", name: "read_file", parameters: PARAMETERS, strict: false }];
  return untilRefused(turns, async () => {
    const { output } = await client.responses.create({ model: "m", input, tools, store: false });
    input.push(...(output as OpenAI.Responses.ResponseInput));
    for (const item of output)
      if (item.type === "function_call")
        input.push({ type: "function_call_output", call_id: item.call_id, output: readFile(JSON.parse(item.arguments)) });
  });
};

const anthropicMessages: AgentOf = (url, turns) => {
  const client = new Anthropic({ baseURL: url, apiKey: "none", defaultHeaders: HEADERS });
  const messages: Anthropic.MessageParam[] = [{ role: "user", content: "What is in a.txt?" }];
  const tools: Anthropic.Tool[] = [{ name: "read_file", input_schema: PARAMETERS }];
  return untilRefused(turns, async () => {
    const { content } = await client.messages.create({ model: "m", max_tokens: 100, messages, tools });
    messages.push({ role: "assistant", content });
    const cache_control = { type: "ephemeral" as const };
    const results = content.flatMap((block) =>
      block.type === "tool_use"
        ? [{ type: "tool_result" as const, tool_use_id: block.id, content: readFile(block.input), cache_control }]
        : [],
    );
    messages.push({ role: "user", content: results });
  });
};

const googleContents: AgentOf = (url, turns) => {
  const client = new GoogleGenAI({ apiKey: "none", httpOptions: { baseUrl: url, headers: HEADERS } });
  const contents: Json[] = [{ role: "user", parts: [{ text: "What is in a.txt?" }] }];
  const config = {
    tools: [{ functionDeclarations: [{ name: "read_file", parametersJsonSchema: PARAMETERS }] }],
    toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.AUTO } },
  };
  return untilRefused(turns, async () => {
    const { candidates, functionCalls = [] } = await client.models.generateContent({ model: "m", contents, config });
    contents.push(candidates?.[0]?.content);
    const parts = functionCalls.map(({ name, args }) => ({ functionResponse: { name, response: { output: readFile(args) } } }));
    contents.push({ role: "user", parts });
  });
};

const AGENTS = { openaiChats, openaiResponses, anthropicMessages, googleContents };

describe("an agent that calls a tool again and again", () => {
  for (const [name, agent] of Object.entries(AGENTS)) {
    test(`${name}: is stopped at the third time, is told why, and does not try again`, async (context) => {
      const { stand, provider } = await startScene(context, "{ same_tool: 3 }");
      const { turns, error } = await agent(stand.url, 10);
      assert.equal(turns, 3);
      const { status, message } = error as { status: number; message: string };
      assert.equal(status, 402);
      assert.match(message.replaceAll('\\"', '"'), REFUSED);
      assert.equal(provider.received.length, 3, "nothing more was sent");
      const [denied] = await stand.entries(1, "denied");
      assert.equal(denied?.reason, "guard_tripped");
      await stand.checkBooks();
    });

    test(`${name}: goes on where its arguments are other ones each time`, async (context) => {
      const { stand, provider } = await startScene(context, "{ same_tool: 3 }", "", (call) => `${call}.txt`);
      const { turns, error } = await agent(stand.url, 10);
      assert.deepEqual([turns, error, provider.received.length], [10, undefined, 10]);
    });
  }

  test("is stopped by a gateway that has just started, since the conversation has all of it; and goes on when a person says how", async (context) => {
    const { stand, provider } = await startScene(context, "{ same_tool: 3 }");
    const chat = (said: readonly Said[]) =>
      post(`${stand.url}/v1/chat/completions`, { model: "m", ...CONVERSATIONS["openai-chat"]?.(said) }, HEADERS);
    const loop: readonly Said[] = ["What is in a.txt?", ...Array.from({ length: 3 }, () => [READ])];
    assert.equal((await chat(loop)).status, 402);
    assert.equal((await chat([...loop, "It is called b.txt"])).status, 200);
    assert.equal((await chat(loop.slice(0, 3))).status, 200);
    assert.equal(
      (await chat([...loop, [{ ...READ, input: { path: "b.txt" }, result: "This is b.txt." }]])).status,
      200,
      "it did something else",
    );
    assert.equal(provider.received.length, 3);
  });

  test("is slowed and shortened where that is what its budget says, told of once, and nothing that was said is told", async (context) => {
    const receiver = await startReceiver(context);
    const channels = `channels: { hook: { kind: webhook, url: "${receiver.url}" } }`;
    const { stand, provider } = await startScene(context, "{ same_tool: 3, do: [slow 20ms, shorten 10, tell hook] }", channels);
    const said = { ...READ, input: { path: "secret-path" }, result: "secret-result" };
    for (let times = 3; times < 6; times++) {
      const body = {
        model: "m",
        max_tokens: 100,
        ...CONVERSATIONS["openai-chat"]?.(["Go", ...Array.from({ length: times }, () => [said])]),
      };
      const { status, headers } = await post(`${stand.url}/v1/chat/completions`, body, HEADERS);
      assert.deepEqual([status, headers.get("x-purser-rung")], [200, "slow 20ms (agents same_tool), shorten 10 (agents same_tool)"]);
      assert.equal(JSON.parse(provider.received.at(-1)?.body ?? "").max_tokens, 10);
    }
    await eventually("a notice", () => receiver.posted.length > 0 || undefined);
    await stand.gateway.close();
    assert.deepEqual(
      receiver.posted.map(({ body }) => [body.type, body.data.guard, body.data.measured, body.data.subject]),
      [["guard.tripped", "same_tool", 3, "session=s1"]],
    );
    const [{ body } = assert.fail()] = receiver.posted;
    assert.match(JSON.stringify(body), /The tool \\"read_file\\" was called 3 times in a row/);
    assert.doesNotMatch(JSON.stringify([receiver.posted, await stand.ledger()]), /secret-/);
  });
});

/** Every route that takes conversations with tools. */
const ROUTES = [...CALLS].filter(([, { turns, messages, isFree }]) => !isFree && (turns ?? messages));

describe("a loop of calls of tools", () => {
  for (const [template, { name }] of ROUTES) {
    const path = fillPath(template, { version: "v1beta", model: "m", deployment: "m", project: "p", location: "eu" });
    test(`${template}: is refused at the third time, in the words of the format`, async (context) => {
      const sample = SAMPLES[template] ?? assert.fail();
      const { stand, provider } = await startScene(context, "{ same_tool: 3 }");
      const call = (times: number) => {
        const said = ["Go", ...Array.from({ length: times }, () => [READ])];
        return post(stand.url + path, { ...sample.call("Go"), ...CONVERSATIONS[name]?.(said) }, HEADERS);
      };
      assert.notEqual((await call(2)).status, 402);
      assert.equal(provider.received.length, 1);
      const { json } = await call(3);
      assert.match(String(sample.refusal(json)), REFUSED);
      assert.equal(provider.received.length, 1);
    });
  }
});
