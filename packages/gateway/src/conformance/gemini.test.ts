import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { GoogleGenAI } from "@google/genai";
import { type Json, post, readAnswer } from "./calls.ts";
import {
  geminiAnswer,
  geminiEvent,
  messageAnswer,
  messageEvent,
  type RawProvider,
  STREAM_HEADERS,
  startRawProvider,
  writeJson,
} from "./raw-provider.ts";
import { eventually, type Stand, startStand } from "./stand.ts";

/** $0.30 and $2.50 for a million tokens, $0.03 from the cache, a context of 1,048,576; $0.035 for a call that searches. */
const MODEL = "gemini-2.5-flash";
const USAGE = { input: 2_000, output: 30 };

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  readonly call: (more: object, model?: string, action?: string) => ReturnType<typeof post>;
}

async function startScene(context: TestContext, budget = "limits: [$10, 10M tokens]", config = ""): Promise<Scene> {
  const provider = await startRawProvider(context, (response) => writeJson(response, 200, geminiAnswer("Aye.", USAGE)));
  const google = `providers: { google: { base_url: { gemini: "${provider.url}" }, api_key: provider-secret } }`;
  const stand = await startStand(context, { config: `${google}\nbudgets: [{ name: all, ${budget} }]\n${config}` });
  const contents = [{ role: "user", parts: [{ text: "Ahoy" }] }];
  return {
    stand,
    provider,
    call: (more, model = MODEL, action = "generateContent") =>
      post(`${stand.url}/v1beta/models/${model}:${action}`, { contents, generationConfig: { maxOutputTokens: 100 }, ...more }),
  };
}

/** The last call: what was held for its input, and what was charged. */
async function lastCall({ stand }: Scene, calls = 1) {
  const [{ detail } = assert.fail()] = (await stand.entries(calls, "reserved")).slice(-1);
  const [{ charge } = assert.fail()] = (await stand.entries(calls, "settled")).slice(-1);
  return { held: detail.inputTokens, heldOutput: detail.outputTokens, heldCost: detail.cost ?? 0, ...charge };
}

function reporting(usageMetadata: Json, more: Json = {}): Json {
  return { ...geminiAnswer("Aye.", USAGE), ...more, usageMetadata };
}

test("Vertex AI: Claude is charged by its own usage, with the model that the path names and the token of the gateway", async (context) => {
  const usage = { input: 41, output: 9 };
  const provider = await startRawProvider(context, (response, { url }) => {
    if (!url.includes(":streamRawPredict")) return writeJson(response, 200, messageAnswer("Aye.", usage));
    const begun = messageEvent({ type: "message_start", message: { ...messageAnswer("", { ...usage, output: 1 }), content: [] } });
    const delta = messageEvent({ type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 9 } });
    response.writeHead(200, STREAM_HEADERS).end(begun + delta + messageEvent({ type: "message_stop" }));
  });
  const base = "/v1/projects/crew/locations/europe-west1";
  const vertex = `providers: { vertex: { base_url: "${provider.url}${base}", api_key: token, auth_header: authorization } }`;
  const stand = await startStand(context, { config: `${vertex}\nbudgets: [{ name: all, limits: [$1], min_output: 1 }]` });
  const model = "claude-sonnet-4-5@20250929";
  const path = `/v1/projects/mine/locations/us-east5/publishers/anthropic/models/${model}`;
  const call = { anthropic_version: "vertex-2023-10-16", max_tokens: 100, messages: [{ role: "user", content: "Ahoy" }] };
  assert.equal((await post(`${stand.url}${path}:rawPredict`, call)).json.content[0].text, "Aye.");
  assert.match((await post(`${stand.url}${path}:streamRawPredict`, { ...call, stream: true })).text, /message_stop/);
  for (const { charge, detail } of await stand.entries(2, "settled")) {
    assert.deepEqual([charge.cost, charge.certainty, detail.subject.model], [41 * 3_000 + 9 * 15_000, "confirmed", model]);
  }
  const [first, second] = provider.received;
  const sentTo = `${base}/publishers/anthropic/models/${encodeURIComponent(model)}`;
  assert.deepEqual([first?.url, second?.url], [`${sentTo}:rawPredict`, `${sentTo}:streamRawPredict`]);
  assert.deepEqual([JSON.parse(first?.body ?? ""), first?.headers.authorization], [call, "Bearer token"]);
  const refused = await post(`${stand.url}${path}:rawPredict`, { ...call, model: "claude-opus-4-1" });
  assert.deepEqual([refused.status, refused.json.type], [400, "error"]);
  await stand.checkBooks();
});

test("Vertex AI: the project that pays and the location are those of the configuration, whatever a call says", async (context) => {
  const provider = await startRawProvider(context, (response) => writeJson(response, 200, geminiAnswer("Aye.", USAGE)));
  const budgets = "budgets: [{ name: all, limits: [$10] }]";
  for (const [base, sent] of [
    ["/v1/projects/ours/locations/eu", "/v1/projects/ours/locations/eu"],
    ["/v1", "/v1"],
  ] as const) {
    const vertex = `providers: { vertex: { base_url: "${provider.url}${base}", api_key: provider-secret } }`;
    const stand = await startStand(context, { config: `${vertex}\n${budgets}` });
    const google = new GoogleGenAI({ vertexai: true, apiKey: "none", httpOptions: { baseUrl: stand.url } });
    await google.models.generateContent({ model: MODEL, contents: "Ahoy" });
    const call = { contents: [{ role: "user", parts: [{ text: "Ahoy" }] }] };
    const theirs = `/v1beta1/projects/theirs/locations/us/publishers/google/models/${MODEL}:generateContent`;
    assert.equal((await post(stand.url + theirs, call)).status, 200);
    for (const { url, headers } of provider.received.slice(-2)) {
      assert.equal(url, `${sent}/publishers/google/models/${MODEL}:generateContent`);
      assert.equal(headers["x-goog-api-key"], "provider-secret");
    }
    for (const { charge } of await stand.entries(2, "settled")) assert.equal(charge.cost, 2_000 * 300 + 30 * 2_500);
  }
});

describe("gemini: what is peculiar to it", () => {
  test("thoughts, what tools gave to read, and cached tokens are counted once each", async (context) => {
    const scene = await startScene(context);
    const usage = {
      promptTokenCount: 1_000,
      cachedContentTokenCount: 400,
      toolUsePromptTokenCount: 150,
      candidatesTokenCount: 20,
      thoughtsTokenCount: 80,
      totalTokenCount: 1_250,
      promptTokensDetails: [
        { modality: "TEXT", tokenCount: 900 },
        { modality: "AUDIO", tokenCount: 100 },
      ],
    };
    scene.provider.answer = (response) => writeJson(response, 200, reporting(usage));
    await scene.call({});
    const { usage: charged, cost } = await lastCall(scene);
    assert.deepEqual(charged, {
      inputTokens: 1_150,
      cacheReadInputTokens: 400,
      audioInputTokens: 100,
      outputTokens: 100,
      reasoningOutputTokens: 80,
    });
    // $1 for a million tokens of sound.
    assert.equal(cost, 650 * 300 + 400 * 30 + 100 * 1_000 + 100 * 2_500);
    await scene.stand.checkBooks();
  });

  test("usage stands in every part of a stream, and only the last counts, also where it is a list", async (context) => {
    const scene = await startScene(context);
    const parts = [
      reporting(
        { promptTokenCount: 9, totalTokenCount: 109, thoughtsTokenCount: 100 },
        { candidates: [{ content: { parts: [{ text: "A" }] } }] },
      ),
      reporting({ promptTokenCount: 9, candidatesTokenCount: 3, totalTokenCount: 312, thoughtsTokenCount: 300 }),
    ];
    scene.provider.answer = (response, { url }) => {
      if (url.endsWith("alt=sse"))
        return response.writeHead(200, STREAM_HEADERS).end(parts.map((part) => `data: ${JSON.stringify(part)}\r\n\r\n`).join(""));
      // As Google writes it: a list whose elements come when they are there.
      response.writeHead(200, { "content-type": "application/json" });
      for (const [index, part] of parts.entries()) response.write(`${index === 0 ? "[" : ",\r\n"}${JSON.stringify(part, undefined, 2)}`);
      return response.end("\n]\n");
    };
    const list = await scene.call({}, MODEL, "streamGenerateContent");
    assert.deepEqual(list.json, parts);
    await readAnswer(
      await fetch(`${scene.stand.url}/v1beta/models/${MODEL}:streamGenerateContent?alt=sse`, {
        method: "POST",
        body: JSON.stringify({ contents: [{ parts: [{ text: "Ahoy" }] }] }),
      }),
    );
    for (const { charge } of await scene.stand.entries(2, "settled"))
      assert.deepEqual([charge.usage.inputTokens, charge.usage.outputTokens, charge.certainty], [9, 303, "confirmed"]);
    assert.equal(scene.provider.received[1]?.url, `/v1beta/models/${MODEL}:streamGenerateContent?alt=sse`);
  });

  test("the model stands in the path, for routing, budgets and prices, and goes to the provider by its own name", async (context) => {
    const scene = await startScene(context, "limits: [$10], request: { models: [gemini-2.5-*] }");
    assert.equal((await scene.call({}, "google%2Fgemini-2.5-pro")).status, 200);
    assert.equal(scene.provider.received[0]?.url, "/v1beta/models/gemini-2.5-pro:generateContent");
    assert.equal((await scene.stand.entries(1, "settled"))[0]?.detail.subject.model, "gemini-2.5-pro");
    const { status, json } = await scene.call({}, "gemini-3-pro-preview");
    assert.deepEqual([status, json.error.status], [400, "INVALID_ARGUMENT"]);
    assert.match(json.error.message, /does not allow the model "gemini-3-pro-preview"/);
    for (const name of ["", "%20", "a".repeat(300), "%ff", "%20gemini"])
      assert.ok([400, 404].includes((await scene.call({}, name)).status), name);
    assert.equal(scene.provider.received.length, 1);
    assert.equal(scene.provider.received[0]?.headers["x-goog-api-key"], "provider-secret");
    assert.equal(scene.provider.received[0]?.headers.authorization, undefined);
  });

  test("the cap is written into the configuration, and nothing else of it changes by a byte", async (context) => {
    const scene = await startScene(context, "limits: [70 output tokens], min_output: 1");
    const contents = '"contents":[{"parts":[{"text":"Ahoy"}]}]';
    const sent = async (body: string) => {
      assert.equal((await post(`${scene.stand.url}/v1beta/models/${MODEL}:generateContent`, body)).status, 200);
      await scene.stand.checkBooks();
      return scene.provider.received.at(-1)?.body;
    };
    scene.provider.answer = (response) => writeJson(response, 200, geminiAnswer("Aye.", { input: 1, output: 1 }));
    const schema = '"responseSchema": { "minimum": 9007199254740993, "maximum":1.0 }';
    assert.equal(
      await sent(`{${contents},"generationConfig":{ ${schema}, "maxOutputTokens": 500 }}`),
      `{${contents},"generationConfig":{ ${schema}, "maxOutputTokens": 70 }}`,
    );
    assert.equal(
      await sent(`{${contents},"generation_config":{"max_output_tokens":500}}`),
      `{${contents},"generation_config":{"max_output_tokens":69}}`,
    );
    assert.equal(await sent(`{${contents}}`), `{"generationConfig":{"maxOutputTokens":68},${contents}}`);
    assert.equal(await sent(`{${contents},"generationConfig":{}}`), `{${contents},"generationConfig":{"maxOutputTokens":67}}`);
    for (const body of [
      `{${contents},"generationConfig":{},"generation_config":{"max_output_tokens":5}}`,
      `{${contents},"generationConfig":{"maxOutputTokens":5,"max_output_tokens":5000}}`,
      `{${contents},"generationConfig":{"maxOutputTokens":-1}}`,
      `{${contents},"generationConfig":7}`,
      `{${contents},"generationConfig":{"candidateCount":1000}}`,
      `{"contents":{"parts":[]}}`,
    ])
      assert.equal((await post(`${scene.stand.url}/v1beta/models/${MODEL}:generateContent`, body)).status, 400, body);
  });

  test("every candidate is held, and a cap is not lowered below what the model is to think", async (context) => {
    const scene = await startScene(context);
    await scene.call({ generationConfig: { maxOutputTokens: 100, candidateCount: 3 } });
    assert.equal((await lastCall(scene)).heldOutput, 300);
    const tight = await startScene(context, "limits: [1000 output tokens], min_output: 1");
    const thinking = { generationConfig: { maxOutputTokens: 4_000, thinkingConfig: { thinkingBudget: 2_000 } } };
    assert.equal((await tight.call(thinking)).status, 413);
    thinking.generationConfig.thinkingConfig.thinkingBudget = 500;
    assert.equal((await tight.call(thinking)).status, 200);
    assert.equal(JSON.parse(tight.provider.received[0]?.body ?? "").generationConfig.maxOutputTokens, 1_000);
  });

  test("cached content and files that are elsewhere are held at what the model can read; what is inside by its size", async (context) => {
    const scene = await startScene(context);
    const parts = (...more: object[]) => ({ contents: [{ parts: [{ text: "Ahoy" }, ...more] }] });
    const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
    const data = Buffer.alloc(30_000, "sound").toString("base64");
    const cases: readonly (readonly [object, least: number, most: number])[] = [
      [{ cachedContent: "cachedContents/1" }, 1_048_576, 1_049_000],
      [parts({ fileData: { mimeType: "video/mp4", fileUri: "https://example.com/v" } }), 1_048_576, 1_049_000],
      [parts({ file_data: { file_uri: "https://example.com/v" } }), 1_048_576, 1_049_000],
      [parts({ inlineData: { mimeType: "image/png", data: png } }), 258, 1_000],
      [parts({ inline_data: { mime_type: "audio/wav", data } }), data.length, 3 * data.length],
    ];
    for (const [index, [asked, least, most]] of cases.entries()) {
      const { status, json } = await scene.call(asked);
      assert.equal(status, 200, json?.error?.message);
      const { held } = await lastCall(scene, index + 1);
      assert.ok(held >= least && held <= most, `${JSON.stringify(asked).slice(0, 80)}: ${held}`);
    }
    const known = await startScene(context, "limits: [$10]", "unseen_input: 30k");
    await known.call({ cachedContent: "cachedContents/1" });
    assert.ok((await lastCall(known)).held < 31_000);
  });

  test("what a function is called with, and returns, is text, even where it looks like an image", async (context) => {
    const scene = await startScene(context, "limits: [$10], request: { max_input: 8000 }");
    const data = Buffer.alloc(100_000, "picture").toString("base64");
    for (const part of [
      { functionCall: { name: "look", args: { inlineData: { mimeType: "image/png", data } } } },
      { functionCall: { name: "look", args: { [data]: true } } },
      { functionResponse: { name: "look", response: { inlineData: { mimeType: "image/png", data } } } },
    ])
      assert.equal((await scene.call({ contents: [{ parts: [part] }] })).status, 413, Object.keys(part)[0]);
    assert.equal(scene.provider.received.length, 0);
  });

  test("searches are held, and charged as the model's price list has it: once a call, or each", async (context) => {
    const scene = await startScene(context);
    const searched = (modelVersion: string) =>
      reporting(geminiAnswer("", USAGE).usageMetadata, {
        modelVersion,
        candidates: [{ content: { parts: [{ text: "Aye." }] }, finishReason: "STOP", groundingMetadata: { webSearchQueries: ["a", "b"] } }],
      });
    scene.provider.answer = (response, { url }) => writeJson(response, 200, searched(String(/models\/([^:]+)/.exec(url)?.[1])));
    await scene.call({ tools: [{ googleSearch: {} }] });
    const older = await lastCall(scene);
    assert.deepEqual(older.usage.toolCalls, { web_search: 1 });
    assert.equal(older.cost, USAGE.input * 300 + USAGE.output * 2_500 + 35_000_000);
    assert.ok(older.heldCost >= 35_000_000);
    await scene.call({ tools: [{ google_search: {} }] }, "gemini-3-flash-preview");
    const newer = await lastCall(scene, 2);
    assert.deepEqual(newer.usage.toolCalls, { web_search: 2 });
    assert.ok(newer.heldCost >= 5 * 14_000_000);
    scene.provider.answer = (response) => writeJson(response, 200, geminiAnswer("Aye.", USAGE));
    await scene.call({ tools: [{ googleSearch: {} }] });
    assert.equal((await lastCall(scene, 3)).cost, USAGE.input * 300 + USAGE.output * 2_500, "who did not search pays for none");
  });

  test("a stream that is left in the middle is charged what came, with the thoughts that were reported", async (context) => {
    const scene = await startScene(context);
    scene.provider.answer = (response) => {
      response.writeHead(200, STREAM_HEADERS).write(geminiEvent("Ay", { input: 50, output: 2 }, null));
    };
    const abort = new AbortController();
    const response = await fetch(`${scene.stand.url}/v1beta/models/gemini-2.0-flash:streamGenerateContent?alt=sse`, {
      method: "POST",
      body: JSON.stringify({ contents: [{ parts: [{ text: "Ahoy" }] }], generationConfig: { maxOutputTokens: 100 } }),
      signal: abort.signal,
    });
    await response.body?.getReader().read();
    abort.abort();
    await eventually("the provider to be given up", () => scene.provider.sockets.size === 0 || undefined);
    const { usage, certainty } = await lastCall(scene);
    assert.deepEqual([usage.inputTokens, usage.outputTokens, certainty], [50, 2, "estimated"]);
    await scene.stand.checkBooks();
  });

  test("a refusal is in Google's words, and its client throws it once, with the budget in the details", async (context) => {
    const { stand, provider } = await startScene(context, "limits: [$0 / day]");
    const google = new GoogleGenAI({ apiKey: "none", httpOptions: { baseUrl: stand.url } });
    await assert.rejects(google.models.generateContent({ model: MODEL, contents: "Ahoy" }), (error: Error & { status: number }) => {
      assert.equal(error.status, 402);
      const { code, status, message, details } = JSON.parse(error.message).error;
      assert.deepEqual([code, status], [402, "RESOURCE_EXHAUSTED"]);
      assert.match(message, /^Budget "all" allows nothing/);
      const [quota, info] = details;
      assert.deepEqual([quota["@type"], quota.violations[0].subject], ["type.googleapis.com/google.rpc.QuotaFailure", "budget:all"]);
      assert.deepEqual([info.reason, info.metadata.name, info.metadata.unit], ["BUDGET_EXCEEDED", "all", "nanodollars"]);
      return true;
    });
    assert.equal(provider.received.length, 0);
    assert.equal((await stand.ledger("denied")).length, 1);
  });

  test("counting and embedding work through Google's client, the one free and the other charged", async (context) => {
    const { stand, provider } = await startScene(context);
    const google = new GoogleGenAI({ apiKey: "none", httpOptions: { baseUrl: stand.url } });
    provider.answer = (response, { url }) =>
      writeJson(
        response,
        200,
        url.endsWith(":countTokens") ? { totalTokens: 7 } : { embeddings: [{ values: [1, 2] }], embedding: { values: [1, 2] } },
      );
    assert.equal((await google.models.countTokens({ model: MODEL, contents: "Ahoy" })).totalTokens, 7);
    assert.deepEqual(await stand.ledger("settled"), []);
    const { embeddings } = await google.models.embedContent({ model: "gemini-embedding-001", contents: ["Ahoy", "Aye"] });
    assert.deepEqual(embeddings?.[0]?.values, [1, 2]);
    const [{ charge, detail } = assert.fail()] = await stand.entries(1, "settled");
    assert.deepEqual(
      [charge.certainty, detail.subject.endpoint, detail.subject.model],
      ["estimated", "gemini-embeddings", "gemini-embedding-001"],
    );
    assert.ok((charge.usage.inputTokens ?? 0) > 0 && (charge.cost ?? 0) > 0);
    await stand.checkBooks();
  });

  test("interactions are charged with their searches; what nobody can bound is refused", async (context) => {
    const { stand, provider } = await startScene(context);
    const usage = {
      total_input_tokens: 22,
      total_tool_use_tokens: 129,
      total_output_tokens: 30,
      total_thought_tokens: 70,
      total_cached_tokens: 0,
    };
    const steps = [
      { type: "google_search_call", arguments: { queries: ["a", "b"] } },
      { type: "model_output", content: [{ type: "text", text: "Aye." }] },
    ];
    provider.answer = (response) => writeJson(response, 200, { object: "interaction", status: "completed", model: MODEL, usage, steps });
    const call = (more: object) =>
      post(`${stand.url}/v1beta/interactions`, { model: MODEL, input: "Ahoy", generation_config: { max_output_tokens: 100 }, ...more });
    assert.equal((await call({ tools: [{ type: "google_search" }] })).status, 200);
    const [{ charge } = assert.fail()] = await stand.entries(1, "settled");
    assert.deepEqual(charge.usage, { inputTokens: 151, outputTokens: 100, reasoningOutputTokens: 70, toolCalls: { web_search: 1 } });
    assert.equal(charge.cost, 151 * 300 + 100 * 2_500 + 35_000_000);
    assert.equal((await call({ previous_interaction_id: "v1_0" })).status, 200);
    assert.ok(((await stand.entries(2, "reserved"))[1]?.detail.inputTokens ?? 0) >= 1_048_576);
    for (const wrong of [{ background: true }, { agent: "deep-research" }, { input: null }, { model: undefined }])
      assert.equal((await call(wrong)).status, 400, JSON.stringify(wrong));
    const { status, json } = await readAnswer(await fetch(`${stand.url}/v1beta/interactions/v1_1`));
    assert.equal(status, 404);
    assert.match(json.error.message, /stored/);
    assert.equal(provider.received.length, 2);
    await stand.checkBooks();
  });
});
