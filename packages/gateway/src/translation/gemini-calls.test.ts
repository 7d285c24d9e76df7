import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Json } from "../conformance/calls.ts";
import { typeErrors } from "../conformance/type-errors.ts";
import type { DialectName } from "../providers/provider.ts";
import { translateCall } from "./translation.ts";

const FLASH = { name: "gemini-2.5-flash", outputTokensMost: 65_536, outputTokensUsual: 65_536 };
const GEMINI_3 = { ...FLASH, name: "gemini-3-flash-preview" };
const HAIKU = { name: "claude-haiku-4-5", outputTokensMost: 64_000, outputTokensUsual: 64_000 };
const MINI = { name: "gpt-4o-mini", outputTokensMost: 16_384, outputTokensUsual: 16_384 };
const PNG = "iVBORw0KGgo=";
const LOOK = { name: "look", description: "Looks.", schema: { type: "object", properties: { at: { type: "string" } } } };
const SCHEMA = { type: "object", properties: { port: { type: "string" } }, required: ["port"], additionalProperties: false };

/** The same conversation in three formats: the first two are translated to the last, and it to the first. */
const CHAT = {
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
  top_p: 0.9,
  stop: ["END"],
  tools: [{ type: "function", function: { name: LOOK.name, description: LOOK.description, parameters: LOOK.schema } }],
  tool_choice: { type: "function", function: { name: "look" } },
};
const GEMINI = {
  systemInstruction: { parts: [{ text: "Be brief." }] },
  contents: [
    { role: "user", parts: [{ text: "What is this?" }, { inlineData: { mimeType: "image/png", data: PNG } }] },
    {
      role: "model",
      parts: [
        { text: "I look." },
        { functionCall: { id: "call_1", name: "look", args: { at: "sea" } } },
        { functionCall: { id: "call_2", name: "look", args: {} } },
      ],
    },
    {
      role: "user",
      parts: [
        { functionResponse: { id: "call_1", name: "look", response: { output: "A sail." } } },
        { functionResponse: { id: "call_2", name: "look", response: { output: "Nothing." } } },
        { text: "Whose?" },
      ],
    },
  ],
  tools: [{ functionDeclarations: [{ name: LOOK.name, description: LOOK.description, parametersJsonSchema: LOOK.schema }] }],
  toolConfig: { functionCallingConfig: { mode: "ANY", allowedFunctionNames: ["look"] } },
  generationConfig: {
    maxOutputTokens: 500,
    temperature: 0.2,
    topP: 0.9,
    stopSequences: ["END"],
    thinkingConfig: { thinkingBudget: 0 },
  },
};

function text(said: string): Json {
  return { type: "text", text: said };
}

function translated(body: Json, from: DialectName, to: DialectName, model: typeof FLASH, isStream = false): Json {
  return translateCall({ body, isStream }, { from, to }, model);
}

/** A chat completion's call to Google's models. */
function toGemini(fields: Json, model = FLASH): Json {
  return translated({ model: "gpt-4o", messages: [USER], ...fields }, "openai-chat", "gemini-content", model);
}

/** A call of Google's format to OpenAI's models, or to Anthropic's. */
function fromGemini(fields: Json, model = MINI): Json {
  const to = model.name.startsWith("claude") ? "anthropic-messages" : "openai-chat";
  return translated({ contents: [{ parts: [{ text: "Ahoy" }] }], ...fields }, "gemini-content", to, model);
}

const USER = { role: "user", content: "Ahoy" };
const TOOLS = [{ type: "function", function: { name: "look", parameters: LOOK.schema } }];
const form = (schema: Json) => ({ response_format: { type: "json_schema", json_schema: { name: "a", schema, strict: true } } });
const configured = (config: Json) => ({ generationConfig: config });
const declared = (tool: Json) => ({ tools: [{ functionDeclarations: [tool] }] });

describe("a call to or from Google's format", () => {
  test("says the same: system prompt, images, calls of tools and their results in pairs, choices, caps", () => {
    assert.deepEqual(translated(CHAT, "openai-chat", "gemini-content", FLASH, true), { body: GEMINI });
    assert.deepEqual(translated(GEMINI, "gemini-content", "openai-chat", MINI, true), { body: CHAT });
    assert.deepEqual(translated(GEMINI, "vertex-content", "openai-chat", MINI, true), { body: CHAT });
    const { body } = translated({ ...GEMINI, generationConfig: {} }, "gemini-content", "anthropic-messages", HAIKU);
    assert.deepEqual(body.messages[2].content.at(0), { type: "tool_result", tool_use_id: "call_1", content: [text("A sail.")] });
    assert.deepEqual([body.system, body.max_tokens], [[text("Be brief.")], 64_000]);
  });

  test("is one in the other spelling that Google takes, with calls that have no ids and an answer that came in pieces", () => {
    const { body } = fromGemini({
      system_instruction: "Be brief.",
      contents: [
        { role: "user", parts: [{ text: "Look." }] },
        { role: "model", parts: [{ text: "Hm.", thought: true }, { text: "I " }] },
        { role: "model", parts: [{ text: "look." }] },
        { role: "model", parts: [{ function_call: { name: "look", args: { at_sea: true } }, thought_signature: "c2ln" }] },
        { role: "model", parts: [{ functionCall: { name: "find" } }, { functionCall: { name: "look", args: {} } }] },
        { role: "user", parts: [{ function_response: { name: "find", response: { error: "Lost." } } }] },
        {
          role: "function",
          parts: ["A sail.", "Nothing."].map((one) => ({ functionResponse: { name: "look", response: { result: one } } })),
        },
      ],
      generation_config: { max_output_tokens: 9, stop_sequences: ["END"] },
      tools: [{ function_declarations: [{ name: "look", parameters_json_schema: LOOK.schema }, { name: "find" }] }],
    });
    assert.deepEqual(body.messages, [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Look." },
      {
        role: "assistant",
        content: "I look.",
        tool_calls: [
          { id: "call_of_place_0", type: "function", function: { name: "look", arguments: '{"at_sea":true}' } },
          { id: "call_of_place_1", type: "function", function: { name: "find", arguments: "{}" } },
          { id: "call_of_place_2", type: "function", function: { name: "look", arguments: "{}" } },
        ],
      },
      { role: "tool", tool_call_id: "call_of_place_1", content: [text("Error:"), text("Lost.")] },
      { role: "tool", tool_call_id: "call_of_place_0", content: '{"result":"A sail."}' },
      { role: "tool", tool_call_id: "call_of_place_2", content: '{"result":"Nothing."}' },
    ]);
    assert.deepEqual([body.max_tokens, body.stop, body.tools[1].function.parameters], [9, ["END"], { type: "object", properties: {} }]);
  });

  test("has schemas in the words of the other", () => {
    const own = {
      type: "OBJECT",
      properties: {
        sails: { type: "ARRAY", items: { type: "STRING", format: "enum", enum: ["jib", "gaff"] }, minItems: "1" },
        port: { type: "STRING", nullable: true, description: "Where to." },
      },
      required: ["port"],
      propertyOrdering: ["port", "sails"],
    };
    const { parameters } = fromGemini(declared({ name: "sail", parameters: own })).body.tools[0].function;
    assert.deepEqual(parameters, {
      type: "object",
      properties: {
        port: { type: ["string", "null"], description: "Where to." },
        sails: { type: "array", items: { type: "string", enum: ["jib", "gaff"] }, minItems: 1 },
      },
      required: ["port"],
      additionalProperties: false,
    });
    assert.deepEqual(Object.keys(parameters.properties), ["port", "sails"]);
    const wanted = { type: "OBJECT", properties: { port: { type: "STRING" } }, required: ["port"] };
    const answer = configured({ responseMimeType: "application/json", responseSchema: wanted });
    assert.deepEqual(fromGemini(answer).body.response_format.json_schema, { name: "answer", schema: SCHEMA, strict: true });
    const only = { ...SCHEMA, properties: { port: { const: "Brest" } } };
    const { responseMimeType, responseJsonSchema } = toGemini(form(only)).body.generationConfig;
    assert.deepEqual([responseMimeType, responseJsonSchema.properties], ["application/json", { port: { enum: ["Brest"] } }]);
    const strict = [{ type: "function", function: { name: "look", parameters: SCHEMA, strict: true } }];
    assert.deepEqual(toGemini({ tools: strict }).body.toolConfig, { functionCallingConfig: { mode: "VALIDATED" } });
    const none = [{ type: "function", function: { name: "look", parameters: { type: "object", properties: {} } } }];
    assert.deepEqual(toGemini({ tools: none }).body.tools, [{ functionDeclarations: [{ name: "look" }] }]);
  });

  test("says how hard to think as far as the cap leaves room, and asks for no thoughts that nobody asked for", () => {
    const thinking = (fields: Json, name: string) => toGemini(fields, { ...FLASH, name }).body.generationConfig?.thinkingConfig;
    assert.deepEqual(thinking({ reasoning_effort: "high" }, "gemini-2.5-pro"), { thinkingBudget: 24_576 });
    assert.deepEqual(thinking({ reasoning_effort: "high", max_tokens: 2_000 }, "gemini-2.5-pro"), { thinkingBudget: 1_000 });
    assert.equal(thinking({ reasoning_effort: "low", max_tokens: 500 }, "gemini-2.5-pro"), undefined);
    assert.equal(thinking({}, "gemini-2.5-pro"), undefined);
    assert.deepEqual(thinking({}, "gemini-2.5-flash-lite"), { thinkingBudget: 0 });
    assert.deepEqual(thinking({}, "gemini-3-flash-preview"), { thinkingLevel: "minimal" });
    assert.deepEqual(thinking({ reasoning_effort: "medium" }, "gemini-3.1-pro-preview"), { thinkingLevel: "medium" });
    assert.deepEqual(thinking({ reasoning_effort: "medium" }, "gemini-3-pro-preview"), { thinkingLevel: "high" });
    assert.equal(thinking({ reasoning_effort: "high" }, "gemini-2.0-flash"), undefined);
    const effort = (thinkingConfig: Json) =>
      fromGemini(configured({ thinkingConfig }), { ...MINI, name: "gpt-5-mini" }).body.reasoning_effort;
    assert.deepEqual(
      [0, -1, 512, 8_192, 24_576].map((thinkingBudget) => effort({ thinkingBudget })),
      [undefined, undefined, "low", "medium", "high"],
    );
    assert.equal(effort({ thinkingLevel: "HIGH", includeThoughts: true }), "high");
  });

  test("stands for a signature where a model of Google's asks for one of each call, which others do not have", () => {
    const [, { parts }] = translated({ ...CHAT, stop: [] }, "openai-chat", "gemini-content", GEMINI_3).body.contents;
    const signatures = parts.map((part: Json) => part.thoughtSignature);
    assert.deepEqual(signatures, [undefined, "skip_thought_signature_validator", undefined]);
  });

  test("leaves out what changes nothing about the answer", () => {
    const open = [{ category: "HARM_CATEGORY_HARASSMENT", threshold: "BLOCK_NONE" }];
    const usual = { candidateCount: 1, topK: 64, responseModalities: ["TEXT"], mediaResolution: "MEDIA_RESOLUTION_LOW" };
    const { body } = fromGemini({ model: "models/x", labels: { a: "b" }, safetySettings: open, generationConfig: usual });
    assert.deepEqual(body, { model: "gpt-4o-mini", messages: [USER] });
  });
});

test("a call that was translated to Google's format is one by the types that Google publishes", async (context) => {
  const line = (body: Json) => {
    const { contents, tools, toolConfig, systemInstruction, generationConfig } = body;
    const config = { systemInstruction, tools, toolConfig, ...generationConfig };
    return `{ model: "m", contents: ${JSON.stringify(contents)}, config: ${JSON.stringify(config)} }`;
  };
  const named = (json: string) =>
    json
      .replace(/"mode":"(\w+)"/g, '"mode":FunctionCallingConfigMode.$1')
      .replace(/"thinkingLevel":"(\w+)"/g, (_, level: string) => `"thinkingLevel":ThinkingLevel.${level.toUpperCase()}`);
  const whole = translated(CHAT, "openai-chat", "gemini-content", GEMINI_3).body;
  const formed = toGemini(form(SCHEMA)).body;
  const lines = [
    'import { FunctionCallingConfigMode, ThinkingLevel, type GenerateContentParameters } from "@google/genai";',
    `export const whole: GenerateContentParameters = ${named(line(whole))};`,
    `export const formed: GenerateContentParameters = ${named(line(formed))};`,
  ];
  assert.deepEqual(await typeErrors(context, lines), []);
});

const NOT_TO_GEMINI: readonly (readonly [fields: Json, because: string])[] = [
  [{ tools: TOOLS, parallel_tool_calls: false }, "it takes one call of a tool at a time only"],
  [{ tools: [{ type: "function", function: { name: "1st" } }] }, 'a tool is called "1st"'],
  [{ tools: TOOLS, ...form(SCHEMA) }, "gemini-2.5-flash takes no tools where its answer is to have a form"],
  [form({ ...SCHEMA, properties: { port: { const: true } } }), "the form of the answer has what Google's schemas cannot say"],
  [form({ type: "object" }), "the form of the answer has what not all providers promise to keep to"],
  [
    { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "https://x.example/a.png" } }] }] },
    "an image is an address",
  ],
  [
    { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:image/gif;base64,R0lG" } }] }] },
    'an image is of type "image/gif"',
  ],
  [{ messages: [{ role: "assistant", content: "x" }, USER] }, "it does not begin with the user"],
  [{ messages: [{ role: "user", content: " " }] }, "a message is empty"],
  [{ seed: 7 }, 'the call has "seed"'],
];
const ROUND = { type: "object", properties: { at: { $ref: "#/$defs/at" } }, $defs: { at: { anyOf: [{ $ref: "#/$defs/at" }] } } };
const NOT_FROM_GEMINI: readonly (readonly [fields: Json, because: string])[] = [
  [configured({ topK: 5 }), 'the call has "topK"'],
  [configured({ seed: 7 }), 'the call has "seed"'],
  [configured({ candidateCount: 2 }), 'the call has "candidateCount"'],
  [configured({ responseModalities: ["IMAGE"] }), 'the call has "responseModalities"'],
  [configured({ responseMimeType: "application/json" }), 'the answer is to have the form "application/json"'],
  [
    configured({ responseMimeType: "text/x.enum", responseSchema: { type: "STRING", enum: ["a"] } }),
    'the answer is to have the form "text/x.enum"',
  ],
  [{ contents: [{ parts: [{ inlineData: {}, inline_data: {} }] }] }, 'a part of a message has "inline_data" twice'],
  [configured({ speechConfig: {} }), 'the call has "speechConfig"'],
  [{ cachedContent: "cachedContents/1" }, 'the call has "cachedContent"'],
  [{ safetySettings: [{ category: "x", threshold: "BLOCK_LOW_AND_ABOVE" }] }, 'the call has "safetySettings"'],
  [{ tools: [{ googleSearch: {} }] }, 'a tool has "googleSearch"'],
  [{ tools: [{ functionDeclarations: [{ name: "x", parameters: { $ref: "#" } }] }] }, 'a schema has "$ref"'],
  [{ tools: [{ functionDeclarations: [{ name: "a.b" }] }] }, 'a tool is called "a.b"'],
  [{ contents: [{ parts: [{ inlineData: { mimeType: "audio/wav", data: "" } }] }] }, 'a message has a part of type "audio/wav"'],
  [{ contents: [{ parts: [{ fileData: { fileUri: "https://x" } }] }] }, 'a part of a message has "fileData"'],
  [{ contents: [{ parts: [{ functionResponse: { name: "f" } }] }] }, "results of tools do not belong to the calls before them"],
  [{ contents: [{ role: "model", parts: [{ text: "x" }] }] }, "the model is to go on with what it said"],
];

describe("a call that another format than Google's cannot say is not translated, and it is said why:", () => {
  for (const [fields, because] of NOT_TO_GEMINI) test(`to Google: ${because}`, () => assert.deepEqual(toGemini(fields), { because }));
  for (const [fields, because] of NOT_FROM_GEMINI) test(`from Google: ${because}`, () => assert.deepEqual(fromGemini(fields), { because }));

  test("what a model takes is known by its name", () => {
    const because = "nobody knows whether gemini-2.0-flash keeps to a schema";
    assert.deepEqual(toGemini(form(SCHEMA), { ...FLASH, name: "gemini-2.0-flash" }), { because });
    assert.ok(toGemini({ tools: TOOLS, ...form(SCHEMA) }, GEMINI_3).body);
    assert.deepEqual(toGemini({}, HAIKU), { because: "claude-haiku-4-5 is not served in Google's format" });
    const round = [{ type: "function", function: { name: "look", parameters: ROUND } }];
    assert.deepEqual(toGemini({ tools: round }), { because: 'the input of the tool "look" contains itself' });
  });
});
