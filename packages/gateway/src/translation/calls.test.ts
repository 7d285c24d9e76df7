import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Json } from "../conformance/calls.ts";
import { typeErrors } from "../conformance/type-errors.ts";
import type { TargetModel } from "./plain.ts";
import { type FormPair, translateCall } from "./translation.ts";

const TO_ANTHROPIC = { from: "openai-chat", to: "anthropic-messages" } as const;
const TO_OPENAI = { from: "anthropic-messages", to: "openai-chat" } as const;
const HAIKU = { name: "claude-haiku-4-5", outputTokensMost: 64_000, outputTokensUsual: 64_000 };
const MINI = { name: "gpt-4o-mini", outputTokensMost: 16_384, outputTokensUsual: 16_384 };
const PNG = "iVBORw0KGgo=";
const SCHEMA = { type: "object", properties: { port: { type: "string" } }, required: ["port"], additionalProperties: false };
const LOOK = { name: "look", description: "Looks.", schema: { type: "object", properties: { at: { type: "string" } } } };

/** The same conversation in both formats: each is what the other is translated to. */
const OPENAI = {
  model: "gpt-4o-mini",
  messages: [
    { role: "system", content: "Be brief." },
    { role: "user", content: [text("What is this?"), { type: "image_url", image_url: { url: `data:image/png;base64,${PNG}` } }] },
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
const ANTHROPIC = {
  model: "claude-haiku-4-5",
  max_tokens: 500,
  system: [text("Be brief.")],
  messages: [
    {
      role: "user",
      content: [text("What is this?"), { type: "image", source: { type: "base64", media_type: "image/png", data: PNG } }],
    },
    {
      role: "assistant",
      content: [
        text("I look."),
        { type: "tool_use", id: "call_1", name: "look", input: { at: "sea" } },
        { type: "tool_use", id: "call_2", name: "look", input: {} },
      ],
    },
    {
      role: "user",
      content: [
        { type: "tool_result", tool_use_id: "call_1", content: [text("A sail.")] },
        { type: "tool_result", tool_use_id: "call_2", content: [text("Nothing.")] },
        text("Whose?"),
      ],
    },
  ],
  stream: true,
  temperature: 0.2,
  tools: [{ name: LOOK.name, description: LOOK.description, input_schema: LOOK.schema }],
  tool_choice: { type: "any", disable_parallel_tool_use: true },
  output_config: { format: { type: "json_schema", schema: SCHEMA } },
};

function text(said: string): Json {
  return { type: "text", text: said };
}

function translate(body: Json, pair: FormPair, model: TargetModel, isStream = body.stream === true): Json {
  return translateCall({ body, isStream }, pair, model);
}

function toAnthropic(fields: Json, model = HAIKU): Json {
  return translate({ model: "gpt-4o", messages: [{ role: "user", content: "Ahoy" }], ...fields }, TO_ANTHROPIC, model);
}

function toOpenai(fields: Json, model = MINI): Json {
  return translate({ model: "claude", max_tokens: 100, messages: [{ role: "user", content: "Ahoy" }], ...fields }, TO_OPENAI, model);
}

describe("a call in another format", () => {
  test("says the same: system prompt, images, calls of tools and their results in pairs, choices, form", () => {
    assert.deepEqual(translate(OPENAI, TO_ANTHROPIC, HAIKU), { body: ANTHROPIC });
    assert.deepEqual(translate(ANTHROPIC, TO_OPENAI, MINI), { body: OPENAI });
  });

  test("has a cap that the model can keep to: the caller's, the model's, or what is usual where the format asks for one", () => {
    assert.equal(toAnthropic({}).body.max_tokens, 64_000);
    assert.equal(toAnthropic({ max_completion_tokens: 90_000 }).body.max_tokens, 64_000);
    assert.equal(toOpenai({ max_tokens: 32_000 }).body.max_tokens, 16_384);
    assert.equal(toOpenai({ max_tokens: 500 }, { ...MINI, name: "gpt-5-mini" }).body.max_completion_tokens, 500);
  });

  test("leaves out what changes nothing about the answer, and what only its own maker can read", () => {
    const { body } = toAnthropic({
      ...{ user: "ann", metadata: { a: "b" }, safety_identifier: "x", prompt_cache_key: "k", store: false, n: 1, logprobs: false },
      ...{ temperature: 1, top_p: 1, frequency_penalty: 0, stream_options: { include_usage: true }, service_tier: "auto", seed: null },
    });
    assert.deepEqual(Object.keys(body), ["model", "max_tokens", "messages"]);
    const thought = { type: "thinking", thinking: "Hm.", signature: "s" };
    const marked = { ...text("Ahoy"), cache_control: { type: "ephemeral" } };
    const { body: other } = toOpenai({
      ...{ metadata: { user_id: "ann" }, thinking: { type: "adaptive" }, service_tier: "auto", tools: [] },
      ...{ context_management: { edits: [{ type: "clear_thinking_20251015", keep: "all" }] } },
      messages: [
        { role: "user", content: [marked] },
        { role: "assistant", content: [thought, { ...text("Aye."), citations: null }] },
        { role: "user", content: "Well?" },
      ],
    });
    assert.deepEqual(other, {
      model: "gpt-4o-mini",
      messages: [
        { role: "user", content: "Ahoy" },
        { role: "assistant", content: "Aye." },
        { role: "user", content: "Well?" },
      ],
      max_tokens: 100,
    });
  });

  test("says how hard to think to models that do", () => {
    assert.deepEqual(toAnthropic({ reasoning_effort: "xhigh" }, { ...HAIKU, name: "claude-sonnet-4-6" }).body.output_config, {
      effort: "high",
    });
    assert.equal("output_config" in toAnthropic({ reasoning_effort: "high" }).body, false);
    const effort = { output_config: { effort: "max" } };
    assert.equal(toOpenai(effort, { ...MINI, name: "gpt-5-mini" }).body.reasoning_effort, "high");
    assert.equal("reasoning_effort" in toOpenai(effort).body, false);
  });

  test("has all tools from the beginning, also those that were to be looked up", () => {
    const found = { type: "tool_result", tool_use_id: "c", content: [{ type: "tool_reference", tool_name: "look" }] };
    const messages = [
      { role: "user", content: "Look." },
      { role: "assistant", content: [{ type: "tool_use", id: "c", name: "find", input: {} }] },
      { role: "user", content: [found] },
    ];
    const tools = ["find", "look"].map((name) => ({
      name,
      input_schema: { type: "object" },
      ...(name === "look" && { defer_loading: true }),
    }));
    const { body } = toOpenai({ messages, tools });
    assert.deepEqual(
      body.tools.map((tool: Json) => tool.function.name),
      ["find", "look"],
    );
    assert.equal(body.messages.at(-1).content, "The tool look can be called.");
  });

  test("says in words that a tool failed, where the format has no field for it", () => {
    const messages = [
      { role: "user", content: "Look." },
      { role: "assistant", content: [{ type: "tool_use", id: "c", name: "look", input: {} }] },
      { role: "user", content: [{ type: "tool_result", tool_use_id: "c", content: "No such file.", is_error: true }] },
    ];
    const { body } = toOpenai({ messages, tools: [{ name: "look", input_schema: { type: "object" } }] });
    assert.deepEqual(body.messages.at(-1), { role: "tool", tool_call_id: "c", content: [text("Error:"), text("No such file.")] });
  });
});

test("a translated call is one by the types that its maker publishes", async (context) => {
  const imports = ['import type OpenAI from "openai";', 'import type Anthropic from "@anthropic-ai/sdk";'];
  // Anthropic's types have no temperature any more, its older models still take one.
  const { temperature: _, ...call } = OPENAI;
  const message: Json = translate(call, TO_ANTHROPIC, HAIKU);
  const chat: Json = translate(ANTHROPIC, TO_OPENAI, MINI);
  const lines = [
    `export const message: Anthropic.MessageCreateParams = ${JSON.stringify(message.body)};`,
    `export const chat: OpenAI.ChatCompletionCreateParams = ${JSON.stringify(chat.body)};`,
  ];
  assert.deepEqual(await typeErrors(context, [...imports, ...lines]), []);
  const wrong = `export const wrong: Anthropic.MessageCreateParams = ${JSON.stringify(OPENAI)};`;
  assert.notDeepEqual(await typeErrors(context, [...imports, wrong]), []);
});

const USER = { role: "user", content: "Ahoy" };
const CALLS = { role: "assistant", tool_calls: [{ id: "c", type: "function", function: { name: "look", arguments: "{}" } }] };
const TOOLS = [{ type: "function", function: { name: "look" } }];
const OPEN_SCHEMA = { type: "object", properties: { port: { type: "string" } } };
const ROUND = { ...SCHEMA, properties: { port: { $ref: "#/$defs/port" } }, $defs: { port: { anyOf: [{ $ref: "#/$defs/port" }] } } };
const form = (schema: Json) => ({ response_format: { type: "json_schema", json_schema: { name: "a", schema, strict: true } } });

const NOT_TO_ANTHROPIC: readonly (readonly [fields: Json, because: string])[] = [
  [{ seed: 7 }, 'the call has "seed"'],
  [{ n: 2 }, 'the call has "n"'],
  [{ logprobs: true }, 'the call has "logprobs"'],
  [{ frequency_penalty: 0.5 }, 'the call has "frequency_penalty"'],
  [{ reasoning_effort: "extreme" }, 'the call has the effort "extreme"'],
  [{ web_search_options: {} }, 'the call has "web_search_options"'],
  [{ functions: [{ name: "f" }] }, 'the call has "functions"'],
  [{ tools: [{ type: "custom", custom: { name: "f" } }] }, 'a tool is of type "custom"'],
  [{ temperature: 1.5 }, "the temperature is above 1"],
  [{ temperature: 0.5, top_p: 0.5 }, "it takes either a temperature or top_p"],
  [{ response_format: { type: "json_object" } }, 'the answer is to have the form "json_object"'],
  [form(OPEN_SCHEMA), "the form of the answer has what not all providers promise to keep to"],
  [form(ROUND), "the form of the answer has what not all providers promise to keep to"],
  [{ messages: [USER, { role: "system", content: "x" }, USER] }, "a system message stands in the middle of the conversation"],
  [{ messages: [{ role: "assistant", content: "x" }, USER] }, "it does not begin with the user"],
  [{ messages: [USER, { role: "assistant", content: "Aye" }] }, "the model is to go on with what it said"],
  [{ messages: [USER, CALLS, USER], tools: TOOLS }, "a tool was called whose result is missing"],
  [{ messages: [USER, { role: "tool", tool_call_id: "c", content: "x" }] }, "results of tools do not belong to the calls before them"],
  [{ messages: [USER, CALLS, { role: "tool", tool_call_id: "c", content: "x" }] }, "it has results of tools, and names no tools"],
  [{ messages: [{ role: "user", content: "x", name: "ann" }] }, 'a message of the role "user" has "name"'],
  [{ messages: [{ role: "user", content: [{ type: "input_audio" }] }] }, 'a message has a part of type "input_audio"'],
  [{ messages: [{ role: "user", content: " " }] }, "a message is empty"],
  [{ stop: [" "] }, "it is to stop at a text of blanks"],
];
const NOT_TO_OPENAI: readonly (readonly [fields: Json, because: string])[] = [
  [{ top_k: 5 }, 'the call has "top_k"'],
  [{ stop_sequences: ["x"] }, 'the call has "stop_sequences"'],
  [{ thinking: { type: "enabled", budget_tokens: 1024 } }, 'the call has "thinking"'],
  [{ output_config: { task_budget: 5 } }, 'the call has "task_budget"'],
  [{ inference_geo: "us" }, 'the call has "inference_geo"'],
  [{ mcp_servers: [{ name: "x" }] }, 'the call has "mcp_servers"'],
  [{ context_management: { edits: [{ type: "clear_tool_uses_20250919" }] } }, 'the call has "context_management"'],
  [{ tools: [{ type: "web_search_20250305", name: "web_search" }] }, 'a tool is of type "web_search_20250305"'],
  [{ tools: [{ name: "x".repeat(65), input_schema: {} }] }, `a tool is called "${"x".repeat(64)}"`],
  [{ messages: [{ role: "user", content: [{ type: "document", source: {} }] }] }, 'a message has a part of type "document"'],
  [{ messages: [USER, { role: "assistant", content: "{" }] }, "the model is to go on with what it said"],
];

describe("a call that another format cannot say is not translated, and it is said why:", () => {
  for (const [fields, because] of NOT_TO_ANTHROPIC)
    test(`to Anthropic: ${because}`, () => assert.deepEqual(toAnthropic(fields), { because }));
  for (const [fields, because] of NOT_TO_OPENAI) test(`to OpenAI: ${because}`, () => assert.deepEqual(toOpenai(fields), { because }));

  test("what a model takes is known by its name", () => {
    const opus = { ...HAIKU, name: "claude-opus-4-8" };
    assert.deepEqual(toAnthropic({ temperature: 0.5 }, opus), { because: "claude-opus-4-8 takes no temperature and no top_p" });
    assert.equal(toAnthropic({ temperature: 0.5 }, { ...HAIKU, name: "claude-sonnet-4-20250514" }).body.temperature, 0.5);
    assert.match(toAnthropic(form(SCHEMA), { ...HAIKU, name: "claude-3-haiku" }).because, /^nobody knows whether claude-3-haiku keeps/);
    const reasoning = { ...MINI, name: "gpt-5-mini" };
    assert.deepEqual(toOpenai({ temperature: 0.5 }, reasoning), { because: "gpt-5-mini takes no temperature" });
    assert.equal("temperature" in toOpenai({ temperature: 1 }, reasoning).body, false);
    const format = { output_config: { format: { type: "json_schema", schema: SCHEMA } } };
    assert.match(toOpenai(format, { ...MINI, name: "deepseek-chat" }).because, /^nobody knows whether deepseek-chat keeps to a schema/);
  });
});
