import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import {
  BedrockRuntimeClient,
  ConverseCommand,
  ConverseStreamCommand,
  InvokeModelCommand,
  InvokeModelWithResponseStreamCommand,
} from "@aws-sdk/client-bedrock-runtime";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { type Json, post } from "./calls.ts";
import { CONVERSE, CONVERSE_STREAM, chunk, converseUsage, FRAME_HEADERS, frame, INVOKE, INVOKE_STREAM } from "./cloud-samples.ts";
import { type Answer, type RawProvider, startRawProvider, writeJson } from "./raw-provider.ts";
import { eventually, type Stand, startStand } from "./stand.ts";

/** $3.30 and $16.50 for a million, as Bedrock sells it in one region. */
const CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
/** $0.06 and $0.24. */
const NOVA = "amazon.nova-lite-v1:0";
const USAGE = { input: 41, output: 9 };
const IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
const messages = [{ role: "user" as const, content: [{ text: "Ahoy" }] }];

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  readonly bedrock: BedrockRuntimeClient;
  converse(model: string, call?: Json, headers?: Record<string, string>): ReturnType<typeof post>;
}

/** Answers as Bedrock does, by the path of the call. */
const answer: Answer = (response, { url }) => {
  const stream = url.endsWith("/converse-stream") ? CONVERSE_STREAM : INVOKE_STREAM;
  if (url.endsWith("-stream")) return response.writeHead(200, FRAME_HEADERS).end(stream.stream?.events(USAGE));
  return writeJson(response, 200, (url.endsWith("/converse") ? CONVERSE : INVOKE).answer(USAGE));
};

async function startScene(context: TestContext, budget = "limits: [$10, 1M tokens]", more = "", rest = ""): Promise<Scene> {
  const provider = await startRawProvider(context, answer);
  const providers = `providers: { bedrock: { base_url: "${provider.url}", api_key: bedrock-secret${more} } }`;
  const stand = await startStand(context, { config: `${providers}\nbudgets: [{ name: all, ${budget} }]\n${rest}` });
  const { secret } = await stand.gateway.keys.create({ name: "crew" });
  const bedrock = new BedrockRuntimeClient({
    endpoint: stand.url,
    region: "us-east-1",
    token: { token: secret },
    authSchemePreference: ["httpBearerAuth"],
    requestHandler: new NodeHttpHandler(),
  });
  const authorization = `Bearer ${secret}`;
  return {
    stand,
    provider,
    bedrock,
    converse: (model, call = {}, headers = {}) =>
      post(`${stand.url}/model/${encodeURIComponent(model)}/converse`, { messages, ...call }, { authorization, ...headers }),
  };
}

describe("Amazon Bedrock", () => {
  test("AWS' own client works for each of the four calls, and each is charged by Bedrock's price list", async (context) => {
    const { stand, provider, bedrock } = await startScene(context);
    const { usage } = await bedrock.send(new ConverseCommand({ modelId: NOVA, messages }));
    assert.deepEqual([usage?.inputTokens, usage?.outputTokens], [41, 9]);
    const { stream } = await bedrock.send(new ConverseStreamCommand({ modelId: NOVA, messages }));
    const events = [];
    for await (const event of stream ?? []) events.push(event);
    assert.equal(events.at(-1)?.metadata?.usage?.outputTokens, 9);
    const body = JSON.stringify(INVOKE.call("Ahoy"));
    const whole = await bedrock.send(new InvokeModelCommand({ modelId: CLAUDE, body }));
    assert.equal(JSON.parse(whole.body.transformToString()).content[0].text, "Aye.");
    const pieces = await bedrock.send(new InvokeModelWithResponseStreamCommand({ modelId: CLAUDE, body }));
    const types = [];
    for await (const piece of pieces.body ?? []) types.push(JSON.parse(Buffer.from(piece.chunk?.bytes ?? "").toString()).type);
    assert.deepEqual(types, ["message_start", "content_block_delta", "message_delta", "message_stop"]);
    for (const { url, headers } of provider.received) {
      assert.match(url, /^\/model\/[\w.%-]+\/(converse|invoke)/);
      assert.equal(headers.authorization, "Bearer bedrock-secret");
    }
    const settled = await stand.entries(4, "settled");
    assert.deepEqual(
      settled.map(({ detail, charge }) => [detail.subject.model, charge.certainty, charge.cost]),
      [
        [NOVA, "confirmed", 41 * 60 + 9 * 240],
        [NOVA, "confirmed", 41 * 60 + 9 * 240],
        [CLAUDE, "confirmed", 41 * 3_300 + 9 * 16_500],
        [CLAUDE, "confirmed", 41 * 3_300 + 9 * 16_500],
      ],
    );
    await stand.checkBooks();
  });

  test("what was read from a cache or written to one stands beside the input, and is charged at its own price", async (context) => {
    const { stand, provider, converse } = await startScene(context);
    const usage = {
      inputTokens: 7,
      outputTokens: 5,
      totalTokens: 45,
      cacheReadInputTokens: 20,
      cacheWriteInputTokens: 13,
      cacheDetails: [
        { ttl: "5m", inputTokens: 9 },
        { ttl: "1h", inputTokens: 4 },
      ],
    };
    provider.answer = (response) => writeJson(response, 200, { ...(CONVERSE.answer(USAGE) as object), usage });
    await converse(CLAUDE);
    const [{ charge } = assert.fail()] = await stand.entries(1, "settled");
    assert.equal(charge.usage.inputTokens, 40);
    assert.equal(charge.cost, 7 * 3_300 + 20 * 330 + 9 * 4_125 + 4 * 6_600 + 5 * 16_500);
  });

  test("a budget that is used up stops AWS' client after one request, with our message", async (context) => {
    const { stand, provider, bedrock } = await startScene(context, "limits: [$0 / day]");
    const body = JSON.stringify(INVOKE.call("Ahoy"));
    for (const command of [
      () => bedrock.send(new ConverseCommand({ modelId: NOVA, messages })),
      () => bedrock.send(new ConverseStreamCommand({ modelId: NOVA, messages })),
      () => bedrock.send(new InvokeModelCommand({ modelId: CLAUDE, body })),
    ])
      await assert.rejects(command, { name: "ServiceQuotaExceededException", message: /^Budget "all" allows nothing/ });
    assert.equal((await stand.entries(3, "denied")).length, 3);
    assert.equal(provider.received.length, 0);
  });

  test("a stream that is switched off ends as if its cap had been reached, and AWS' client takes the end", async (context) => {
    const { stand, provider, bedrock } = await startScene(context);
    const { secret } = await stand.gateway.keys.create({ name: "boss", role: "admin" });
    provider.answer = (response) => {
      response.writeHead(200, FRAME_HEADERS).write(frame("messageStart", { role: "assistant" }));
      response.write(frame("contentBlockDelta", { contentBlockIndex: 0, delta: { text: "The officer who keeps a ship's accounts" } }));
    };
    const { stream } = await bedrock.send(new ConverseStreamCommand({ modelId: NOVA, messages }));
    const names = [];
    let reason: string | undefined;
    for await (const event of stream ?? []) {
      names.push(...Object.keys(event));
      reason ??= event.messageStop?.stopReason;
      const off = { for: { model: NOVA }, why: "bug", by: "ann" };
      if (event.contentBlockDelta) await post(`${stand.url}/api/switches`, off, { authorization: `Bearer ${secret}` });
    }
    assert.deepEqual(names, ["messageStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"]);
    assert.equal(reason, "max_tokens");
    const [{ charge } = assert.fail()] = await stand.entries(1, "settled");
    assert.ok((charge.usage.outputTokens ?? 0) > 5 && charge.certainty === "estimated");
  });

  test("a stream that breaks off, has a wrong sum, or says no usage is charged by our own count, and passes as it came", async (context) => {
    const { stand, provider, converse: _, bedrock } = await startScene(context);
    const said = frame("contentBlockDelta", { contentBlockIndex: 0, delta: { text: " word".repeat(50) } });
    const broken = Buffer.from(said);
    broken.writeUInt8((broken.at(-1) ?? 0) ^ 1, broken.length - 1);
    const endings: readonly (readonly [string, Answer])[] = [
      ["cut", (response) => response.writeHead(200, FRAME_HEADERS).write(said, () => response.destroy())],
      ["wrong sum", (response) => response.writeHead(200, FRAME_HEADERS).end(Buffer.concat([said, broken]))],
      ["no usage", (response) => response.writeHead(200, FRAME_HEADERS).end(Buffer.concat([said, frame("messageStop", {})]))],
    ];
    for (const [index, [name, ending]] of endings.entries()) {
      provider.answer = ending;
      const read = async () => {
        const { stream } = await bedrock.send(new ConverseStreamCommand({ modelId: NOVA, messages }));
        for await (const event of stream ?? []) assert.ok(event);
      };
      if (name === "no usage") await read();
      else await assert.rejects(read, name);
      const [{ charge } = assert.fail()] = (await stand.entries(index + 1, "settled")).slice(-1);
      assert.equal(charge.certainty, "estimated", name);
      const { outputTokens = 0 } = charge.usage;
      assert.ok(outputTokens >= 50 && outputTokens < 80, `${name}: ${outputTokens}`);
    }
    await stand.checkBooks();
  });

  test("a refusal that comes as a stream costs nothing", async (context) => {
    const { stand, provider, bedrock } = await startScene(context);
    provider.answer = (response) => response.writeHead(200, FRAME_HEADERS).end(frame("throttlingException", { message: "later" }));
    const { stream } = await bedrock.send(new ConverseStreamCommand({ modelId: NOVA, messages }));
    for await (const event of stream ?? []) assert.ok(event);
    await stand.entries(1, "released");
    await stand.checkBooks();
  });

  test("what other makers' models used is read from Bedrock's own count, in headers and in the last event", async (context) => {
    const { stand, provider, bedrock } = await startScene(context);
    const body = JSON.stringify({ prompt: "Ahoy", max_gen_len: 50 });
    const modelId = "meta.llama3-8b-instruct-v1:0";
    const counts = { "x-amzn-bedrock-input-token-count": "41", "x-amzn-bedrock-output-token-count": "9" };
    provider.answer = (response) => writeJson(response, 200, { generation: "Aye." }, counts);
    await bedrock.send(new InvokeModelCommand({ modelId, body }));
    const metrics = { inputTokenCount: 41, outputTokenCount: 9, cacheReadInputTokenCount: 3 };
    provider.answer = (response) =>
      response
        .writeHead(200, FRAME_HEADERS)
        .end(Buffer.concat([chunk({ generation: "Aye." }), chunk({ generation: "", "amazon-bedrock-invocationMetrics": metrics })]));
    for await (const _ of (await bedrock.send(new InvokeModelWithResponseStreamCommand({ modelId, body }))).body ?? []);
    const [whole, streamed] = await stand.entries(2, "settled");
    assert.deepEqual(whole?.charge.usage, { inputTokens: 41, outputTokens: 9 });
    assert.deepEqual(streamed?.charge.usage, { inputTokens: 44, cacheReadInputTokens: 3, outputTokens: 9 });
    assert.deepEqual([whole?.charge.certainty, streamed?.charge.certainty], ["confirmed", "confirmed"]);
  });

  test("the cap goes where each maker has it, and what is not known is refused", async (context) => {
    const { stand, provider } = await startScene(context, "limits: [60 output tokens], min_output: 1");
    const { secret } = await stand.gateway.keys.create({ name: "mate" });
    const invoke = (model: string, call: Json) => post(`${stand.url}/model/${model}/invoke`, call, { authorization: `Bearer ${secret}` });
    const nova = [{ role: "user", content: [{ text: "Ahoy" }] }];
    const cases: readonly (readonly [string, Json, (sent: Json) => unknown])[] = [
      [CLAUDE, INVOKE.call("Ahoy"), (sent) => sent.max_tokens],
      [NOVA, { messages: nova }, (sent) => sent.inferenceConfig.maxTokens],
      [NOVA, { messages: nova, inferenceConfig: { max_new_tokens: 900 } }, (sent) => sent.inferenceConfig.max_new_tokens],
      ["amazon.titan-text-lite-v1", { inputText: "Ahoy" }, (sent) => sent.textGenerationConfig.maxTokenCount],
      ["meta.llama3-8b-instruct-v1:0", { prompt: "Ahoy" }, (sent) => sent.max_gen_len],
      ["mistral.mistral-large-2407-v1:0", { prompt: "Ahoy", max_tokens: 900 }, (sent) => sent.max_tokens],
      ["openai.gpt-oss-20b-1:0", { messages: [{ role: "user", content: "Ahoy" }], max_tokens: 900 }, (sent) => sent.max_tokens],
    ];
    for (const [model, call, capOf] of cases) {
      const stand60 = provider.received.length;
      provider.answer = (response) => writeJson(response, 429, { message: "not now" });
      assert.equal((await invoke(model, call)).status, 429, model);
      assert.equal(capOf(JSON.parse(provider.received[stand60]?.body ?? "")), 60, model);
    }
    const { length } = provider.received;
    for (const [model, call] of [
      ["stability.sd3-large-v1:0", { prompt: "Ahoy" }],
      ["amazon.titan-embed-image-v1", { inputText: "Ahoy", inputImage: IMAGE }],
      ["cohere.embed-english-v3", { texts: ["Ahoy"], images: [IMAGE] }],
      [NOVA, { messages: nova, inferenceConfig: { max_new_tokens: 9, maxTokens: 9 } }],
      // A cap that is not the model's own may be one all the same, and one maker's format no way round another's.
      ["mistral.mistral-large-2407-v1:0", { prompt: "Ahoy", max_tokens: 9, max_gen_len: 9_999 }],
      [CLAUDE, { ...INVOKE.call("Ahoy"), max_completion_tokens: 9_999 }],
      ["arn:aws:bedrock:us-east-1:1:imported-model%2Fm", { ...INVOKE.call("Ahoy"), max_gen_len: 9_999 }],
      ["meta.llama3-8b-instruct-v1:0", { ...INVOKE.call("Ahoy"), prompt: "Ahoy" }],
    ] as const)
      assert.equal((await invoke(model, call)).status, 400, model);
    assert.equal(provider.received.length, length);
  });

  test("embeddings are charged for what they read, by Bedrock's own count", async (context) => {
    const { stand, provider, bedrock } = await startScene(context);
    provider.answer = (response) => writeJson(response, 200, { embedding: [0.5], inputTextTokenCount: 7 });
    const modelId = "amazon.titan-embed-text-v2:0";
    const { body } = await bedrock.send(new InvokeModelCommand({ modelId, body: JSON.stringify({ inputText: "Ahoy", dimensions: 256 }) }));
    assert.deepEqual(JSON.parse(body.transformToString()).embedding, [0.5]);
    const headers = { "x-amzn-bedrock-input-token-count": "9" };
    provider.answer = (response) => writeJson(response, 200, { id: "e", embeddings: [[0.5]], texts: ["ahoy"] }, headers);
    const cohere = JSON.stringify({ texts: ["Ahoy"], input_type: "search_query" });
    await assert.rejects(bedrock.send(new InvokeModelCommand({ modelId: "cohere.embed-english-v3", body: cohere })), /has no price/);
    await bedrock.send(new InvokeModelCommand({ modelId, body: cohere }));
    const [first, second] = await stand.entries(2, "settled");
    assert.deepEqual([first?.charge.cost, first?.charge.certainty, first?.charge.usage.inputTokens], [7 * 100, "confirmed", 7]);
    assert.deepEqual([second?.charge.cost, second?.charge.certainty], [9 * 100, "confirmed"]);
    assert.equal(first?.detail.outputTokens, 0);
    await stand.checkBooks();
  });

  test("nothing goes round the cap, and what costs beside tokens has a price or is refused", async (context) => {
    const { provider, converse } = await startScene(context);
    for (const more of [
      { additionalModelRequestFields: { max_tokens: 9_999 } },
      { additionalModelRequestFields: { inferenceConfig: { maxTokens: 9_999 } } },
      { guardrailConfig: { guardrailIdentifier: "g", guardrailVersion: "1" } },
      { toolConfig: { tools: [{ systemTool: { name: "nova_grounding" } }] } },
      { performanceConfig: { latency: "optimized" } },
    ])
      assert.equal((await converse(NOVA, more)).status, 400, JSON.stringify(more));
    assert.equal(provider.received.length, 0);
    const { stand, provider: other } = await startScene(context);
    const { secret } = await stand.gateway.keys.create({ name: "mate" });
    for (const name of ["x-amzn-bedrock-guardrailidentifier", "x-amzn-bedrock-service-tier", "X-Amzn-Bedrock-PerformanceConfig-Latency"]) {
      const headers = { authorization: `Bearer ${secret}`, [name]: "x" };
      const { status, json } = await post(`${stand.url}/model/${CLAUDE}/invoke`, INVOKE.call("Ahoy"), headers);
      assert.equal(status, 400, name);
      assert.match(json.message, /changes what a call costs/);
    }
    assert.equal(other.received.length, 0);
  });

  test("images are counted by their size, documents by theirs, and what a tool is called with as text", async (context) => {
    const { stand, converse } = await startScene(context, "limits: [$10], request: { max_input: 4000 }");
    const user = (...content: readonly Json[]) => ({ messages: [{ role: "user", content: [{ text: "Look" }, ...content] }] });
    assert.equal((await converse(CLAUDE, user({ image: { format: "png", source: { bytes: IMAGE } } }))).status, 200);
    const [{ detail } = assert.fail()] = await stand.entries(1, "reserved");
    assert.ok(detail.inputTokens < 4_000, String(detail.inputTokens));
    const bytes = Buffer.alloc(30_000, "picture").toString("base64");
    const s3 = { s3Location: { uri: "s3://bucket/film" } };
    for (const block of [
      { document: { format: "pdf", name: "log", source: { bytes } } },
      { video: { format: "mp4", source: s3 } },
      { toolResult: { toolUseId: "t", content: [{ json: { ["word ".repeat(9_000)]: 1 } }] } },
      { toolUse: { toolUseId: "t", name: "t", input: { image: { source: { bytes: "word ".repeat(9_000) } } } } },
      { image: "word ".repeat(9_000) },
    ])
      assert.equal((await converse(CLAUDE, user(block))).status, 413, Object.keys(block).join());
  });

  test("a profile is charged as the model behind it, once the configuration says which", async (context) => {
    const arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3";
    const { stand, provider, converse } = await startScene(context, "limits: [$10]", `, deployments: { "${arn}": "${CLAUDE}" }`);
    assert.equal((await converse(arn)).status, 200);
    assert.equal(provider.received[0]?.url, `/model/${encodeURIComponent(arn)}/converse`);
    const [{ charge, detail } = assert.fail()] = await stand.entries(1, "settled");
    assert.deepEqual([detail.subject.model, charge.cost], [CLAUDE, 41 * 3_300 + 9 * 16_500]);
    assert.equal((await converse("arn:aws:bedrock:us-east-1:1:application-inference-profile/other")).status, 400, "unpriced");
  });

  test("a call that is signed shows no key, and credentials of AWS stay here", async (context) => {
    const { provider, converse } = await startScene(context);
    const signed = { authorization: "AWS4-HMAC-SHA256 Credential=AKIA/20261122/us-east-1/bedrock/aws4_request, Signature=0" };
    assert.equal((await converse(NOVA, {}, signed)).status, 401);
    assert.equal((await converse(NOVA, {}, { "x-amz-security-token": "session-secret", "x-amz-date": "20261122T000000Z" })).status, 200);
    assert.doesNotMatch(String(provider.received[0]?.rawHeaders), /session-secret|x-amz-/i);
    await eventually("one call", () => provider.received[0]);
  });

  test("thinking is hidden, and the cap stays above its budget", async (context) => {
    const { stand, provider, converse } = await startScene(context, "limits: [3000 output tokens], min_output: 1");
    const additionalModelRequestFields = { thinking: { type: "enabled", budget_tokens: 2_000 } };
    assert.equal((await converse(CLAUDE, { inferenceConfig: { maxTokens: 9_000 }, additionalModelRequestFields })).status, 200);
    assert.equal(JSON.parse(provider.received[0]?.body ?? "").inferenceConfig.maxTokens, 3_000);
    provider.answer = (response) =>
      writeJson(response, 200, { ...(CONVERSE.answer(USAGE) as object), usage: converseUsage({ input: 41, output: 1_500 }) });
    assert.equal((await converse(CLAUDE, { inferenceConfig: { maxTokens: 2_900 }, additionalModelRequestFields })).status, 200);
    assert.equal((await converse(CLAUDE, { additionalModelRequestFields })).status, 402, "too little is left for the thinking alone");
    await stand.checkBooks();
  });
});
