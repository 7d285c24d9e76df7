import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Json } from "../conformance/calls.ts";
import { typeErrors } from "../conformance/type-errors.ts";
import { AnswerTranslation, translateCall } from "./translation.ts";

const HAIKU = { name: "claude-haiku-4-5", outputTokensMost: 64_000, outputTokensUsual: 64_000 };
const MINI = { name: "gpt-4o-mini", outputTokensMost: 16_384, outputTokensUsual: 16_384 };
const PNG = "iVBORw0KGgo=";
const SCHEMA = { type: "object", properties: { port: { type: "string" } }, required: ["port"], additionalProperties: false };
const LOOK = { name: "look", description: "Looks.", schema: { type: "object", properties: { at: { type: "string" } } } };

/** The same conversation in both formats. */
const RESPONSE = {
  model: "gpt-4o",
  instructions: "Be brief.",
  input: [
    { type: "message", role: "developer", content: [{ type: "input_text", text: "Stay calm." }] },
    {
      role: "user",
      content: [
        { type: "input_text", text: "What is this?" },
        { type: "input_image", detail: "auto", image_url: `data:image/png;base64,${PNG}` },
      ],
    },
    { type: "reasoning", id: "rs_1", summary: [], encrypted_content: "x" },
    {
      id: "msg_1",
      type: "message",
      role: "assistant",
      status: "completed",
      content: [{ type: "output_text", text: "I look.", annotations: [] }],
    },
    { id: "fc_1", type: "function_call", call_id: "call_1", name: "look", arguments: '{"at":"sea"}', status: "completed" },
    { id: "fc_2", type: "function_call", call_id: "call_2", name: "look", arguments: "{}" },
    { type: "function_call_output", call_id: "call_1", output: "A sail." },
    { type: "function_call_output", call_id: "call_2", output: [{ type: "input_text", text: "Nothing." }] },
    { role: "user", content: "Whose?" },
  ],
  stream: true,
  store: false,
  max_output_tokens: 500,
  temperature: 0.2,
  tools: [{ type: "function", name: LOOK.name, description: LOOK.description, parameters: LOOK.schema, strict: false }],
  tool_choice: "required",
  parallel_tool_calls: false,
  text: { format: { type: "json_schema", name: "answer", schema: SCHEMA, strict: true } },
};
const CHAT = {
  model: "gpt-4o-mini",
  messages: [
    {
      role: "system",
      content: [
        { type: "text", text: "Be brief." },
        { type: "text", text: "Stay calm." },
      ],
    },
    {
      role: "user",
      content: [
        { type: "text", text: "What is this?" },
        { type: "image_url", image_url: { url: `data:image/png;base64,${PNG}` } },
      ],
    },
    {
      role: "assistant",
      content: "I look.",
      tool_calls: [
        { id: "call_1", type: "function", function: { name: "look", arguments: '{"at":"sea"}' } },
        { id: "call_2", type: "function", function: { name: "look", arguments: "{}" } },
      ],
    },
    { role: "tool", tool_call_id: "call_1", content: "A sail." },
    { role: "tool", tool_call_id: "call_2", content: "Nothing." },
    { role: "user", content: "Whose?" },
  ],
  stream: true,
  max_tokens: 500,
  temperature: 0.2,
  tools: [{ type: "function", function: { name: LOOK.name, description: LOOK.description, parameters: LOOK.schema } }],
  tool_choice: "required",
  parallel_tool_calls: false,
  response_format: { type: "json_schema", json_schema: { name: "answer", schema: SCHEMA, strict: true } },
};

function toChat(body: Json, model = MINI): Json {
  return translateCall({ body, isStream: body.stream === true }, { from: "openai-responses", to: "openai-chat" }, model);
}

/** A chat completion's call to a model that is served as responses. */
function toResponse(fields: Json, model = MINI): Json {
  const body = { model: "gpt-4o", messages: [{ role: "user", content: "Ahoy" }], ...fields };
  return translateCall({ body, isStream: body.stream === true }, { from: "openai-chat", to: "openai-responses" }, model);
}

/** A small call with these fields. */
function small(fields: Json, model = MINI): Json {
  return toChat({ model: "gpt-4o", input: "Ahoy", store: false, ...fields }, model);
}

describe("a call for a response", () => {
  test("says the same: instructions, images, calls of tools and their results in pairs, choices, form", () => {
    assert.deepEqual(toChat(RESPONSE), { body: CHAT });
    const pair = { from: "openai-responses", to: "anthropic-messages" } as const;
    const { body }: Json = translateCall({ body: RESPONSE, isStream: true }, pair, HAIKU);
    assert.deepEqual(body.messages[2].content[1], {
      type: "tool_result",
      tool_use_id: "call_2",
      content: [{ type: "text", text: "Nothing." }],
    });
    assert.deepEqual(body.tool_choice, { type: "any", disable_parallel_tool_use: true });
  });

  test("is made of one in another format, which says the same when it is read again", () => {
    const { body } = toResponse(CHAT);
    assert.deepEqual([body.store, body.stream, body.max_output_tokens, body.instructions], [false, true, 500, "Be brief.\n\nStay calm."]);
    assert.deepEqual(body.input.slice(1, 5), [
      { role: "assistant", content: "I look." },
      { type: "function_call", call_id: "call_1", name: "look", arguments: '{"at":"sea"}' },
      { type: "function_call", call_id: "call_2", name: "look", arguments: "{}" },
      { type: "function_call_output", call_id: "call_1", output: "A sail." },
    ]);
    const [{ content: system }, ...rest] = toChat(body).body.messages;
    assert.deepEqual([system, rest], ["Be brief.\n\nStay calm.", CHAT.messages.slice(1)]);
    const { messages: _, ...others } = toChat(body).body;
    const { messages: _m, ...expected } = CHAT;
    assert.deepEqual(others, expected);
    const codex = { ...MINI, name: "gpt-5.1-codex-mini" };
    assert.deepEqual(toResponse({ reasoning_effort: "low" }, codex).body.reasoning, { effort: "low" });
    assert.deepEqual(toResponse({ temperature: 0.5 }, codex), { because: "gpt-5.1-codex-mini takes no temperature" });
    assert.deepEqual(toResponse({ stop: ["x"] }), { because: "a response stops at no texts" });
    assert.deepEqual(toResponse({ max_tokens: 10 }), { because: "its cap is below 16 tokens" });
  });

  test("leaves out what changes nothing about the answer, and what only OpenAI can read", () => {
    const { body } = small({
      ...{ user: "ann", metadata: { a: "b" }, prompt_cache_key: "k", service_tier: "auto", truncation: "disabled", background: false },
      ...{ include: ["reasoning.encrypted_content"], reasoning: { effort: "high", summary: "auto" }, text: { verbosity: "medium" } },
      ...{ client_metadata: {}, previous_response_id: null, stream_options: { include_obfuscation: false } },
    });
    assert.deepEqual(body, { model: "gpt-4o-mini", messages: [{ role: "user", content: "Ahoy" }] });
    assert.equal(small({ reasoning: { effort: "high" } }, { ...MINI, name: "gpt-5-mini" }).body.reasoning_effort, "high");
  });

  test("has the tools of a namespace as tools whose names say it, in the call and in the answer", () => {
    const own = { type: "function", name: "spawn", description: "Spawns.", parameters: LOOK.schema, strict: false };
    const { body } = small({
      tools: [{ type: "namespace", name: "agents", description: "Helpers.", tools: [own] }],
      input: [
        { role: "user", content: "Go.", internal_chat_message_metadata_passthrough: { turn_id: "t" } },
        { type: "function_call", call_id: "c", namespace: "agents", name: "spawn", arguments: "{}" },
        { type: "function_call_output", call_id: "c", output: "Done." },
      ],
    });
    assert.deepEqual(body.tools[0].function, { name: "agents__dot__spawn", description: "Helpers.\n\nSpawns.", parameters: LOOK.schema });
    const [called] = body.messages[1].tool_calls;
    assert.equal(called.function.name, "agents__dot__spawn");
    const terms = { wantsUsage: true, createdAt: 1, askedModel: "m", asList: false };
    const choices = [{ index: 0, message: { role: "assistant", content: null, tool_calls: [called] }, finish_reason: "tool_calls" }];
    const answer = Buffer.from(JSON.stringify({ id: "c1", model: "m", choices }));
    const written = new AnswerTranslation({ from: "openai-chat", to: "openai-responses" }, terms).whole(200, answer, undefined);
    const [item] = JSON.parse(written.bytes.toString()).output;
    assert.deepEqual([item.namespace, item.name, item.call_id], ["agents", "spawn", "c"]);
    const odd = { type: "function", name: "a__dot__b", parameters: LOOK.schema };
    assert.deepEqual(small({ tools: [odd] }), { because: 'a tool is called "a__dot__b"' });
  });

  test("is one by the types that OpenAI publishes, so that what is read here is what it sends", async (context) => {
    const lines = [
      'import type OpenAI from "openai";',
      `export const call: OpenAI.Responses.ResponseCreateParams = ${JSON.stringify(RESPONSE)};`,
      `export const written: OpenAI.Responses.ResponseCreateParams = ${JSON.stringify(toResponse(CHAT).body)};`,
      `export const chat: OpenAI.ChatCompletionCreateParams = ${JSON.stringify(toChat(RESPONSE).body)};`,
    ];
    assert.deepEqual(await typeErrors(context, lines), []);
  });
});

const NOT_TRANSLATED: readonly (readonly [fields: Json, because: string])[] = [
  [{ store: undefined }, 'the answer is to be kept at OpenAI: "store" is not false'],
  [{ store: true }, 'the answer is to be kept at OpenAI: "store" is not false'],
  [{ previous_response_id: "resp_1" }, 'the call has "previous_response_id"'],
  [{ conversation: "conv_1" }, 'the call has "conversation"'],
  [{ prompt: { id: "pmpt_1" } }, 'the call has "prompt"'],
  [{ background: true }, 'the call has "background"'],
  [{ context_management: [{ type: "compaction" }] }, 'the call has "context_management"'],
  [{ truncation: "auto" }, 'the call has "truncation"'],
  [{ include: ["message.output_text.logprobs"] }, 'the call has "include"'],
  [{ text: { verbosity: "low" } }, 'the call has "verbosity"'],
  [{ text: { format: { type: "json_object" } } }, 'the answer is to have the form "json_object"'],
  [{ tools: [{ type: "web_search" }] }, 'a tool is of type "web_search"'],
  [{ tools: [{ type: "custom", name: "apply_patch" }] }, 'a tool is of type "custom"'],
  [{ tool_choice: { type: "allowed_tools", mode: "auto", tools: [] } }, 'the choice of a tool is "allowed_tools"'],
  [{ input: [{ type: "item_reference", id: "msg_1" }] }, 'the input has an item of type "item_reference"'],
  [{ input: [{ type: "local_shell_call" }] }, 'the input has an item of type "local_shell_call"'],
  [{ input: [{ role: "user", content: [{ type: "input_file", file_id: "f" }] }] }, 'a message has a part of type "input_file"'],
  [{ input: [{ role: "user", content: [{ type: "input_image", file_id: "f" }] }] }, 'a part of a message has "image_url"'],
  [
    {
      input: [
        { role: "user", content: "x" },
        { role: "developer", content: "y" },
      ],
    },
    "a system message stands in the middle of the conversation",
  ],
  [{ input: [{ type: "function_call_output", call_id: "c", output: "x" }] }, "results of tools do not belong to the calls before them"],
];

describe("a call for a response that another format cannot say is not translated, and it is said why:", () => {
  for (const [fields, because] of NOT_TRANSLATED) test(because, () => assert.deepEqual(small(fields), { because }));
});
