import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { CohereClientV2, CohereError } from "cohere-ai";
import { post } from "./calls.ts";
import { messageEvent, type RawProvider, STREAM_HEADERS, startRawProvider, writeJson } from "./raw-provider.ts";
import { type Stand, startStand } from "./stand.ts";

/** $0.15 and $0.60 for a million. */
const MODEL = "command-r-08-2024";
/** As Cohere reports a short question: a preamble of its own is most of what the model read, and is not billed. */
const USAGE = {
  billed_units: { input_tokens: 12, output_tokens: 7 },
  tokens: { input_tokens: 507, output_tokens: 10 },
  cached_tokens: 448,
};
const messages = [{ role: "user" as const, content: "Ahoy" }];
const answer = { id: "c1", finish_reason: "COMPLETE", message: { role: "assistant", content: [{ type: "text", text: "Aye." }] } };
const BEGINNING = [
  { type: "message-start", id: "c1", delta: { message: { role: "assistant", content: [] } } },
  { type: "content-start", index: 0, delta: { message: { content: { type: "text", text: "" } } } },
  { type: "content-delta", index: 0, delta: { message: { content: { text: "The officer who keeps a ship's accounts" } } } },
]
  .map(messageEvent)
  .join("");

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  readonly cohere: CohereClientV2;
}

async function startScene(context: TestContext, budget = "limits: [$1, 1M tokens]"): Promise<Scene> {
  const provider = await startRawProvider(context, (response) => writeJson(response, 200, { ...answer, usage: USAGE }));
  const config = `providers: { cohere: { base_url: { cohere: "${provider.url}" }, api_key: k } }\nbudgets: [{ name: all, ${budget} }]`;
  const stand = await startStand(context, { config });
  return { stand, provider, cohere: new CohereClientV2({ token: "none", environment: stand.url }) };
}

describe("Cohere", () => {
  test("tokens are those that the model read and wrote, and money is for those that are billed", async (context) => {
    const { stand, cohere } = await startScene(context);
    const { usage } = await cohere.chat({ model: MODEL, messages });
    assert.deepEqual([usage?.tokens?.inputTokens, usage?.billedUnits?.inputTokens], [507, 12]);
    const [{ charge } = assert.fail()] = await stand.entries(1, "settled");
    assert.deepEqual(charge, {
      usage: {
        inputTokens: 507,
        cacheReadInputTokens: 448,
        unbilledInputTokens: 495,
        outputTokens: 10,
        unbilledOutputTokens: 3,
      },
      cost: 12 * 150 + 7 * 600,
      certainty: "confirmed",
    });
    const [money, tokens] = await stand.gateway.budgets.balances();
    assert.deepEqual([money?.spent, tokens?.spent], [12 * 150 + 7 * 600, 517]);
    await stand.checkBooks();
  });

  test("embeddings are charged for the tokens that are billed, and those of images refused", async (context) => {
    const { stand, provider, cohere } = await startScene(context);
    const meta = { api_version: { version: "2" }, billed_units: { input_tokens: 4 } };
    provider.answer = (response) => writeJson(response, 200, { id: "e1", embeddings: { float: [[0.5, 1]] }, texts: ["Ahoy"], meta });
    const { embeddings } = await cohere.embed({
      model: "embed-v4.0",
      inputType: "search_document",
      embeddingTypes: ["float"],
      texts: ["Ahoy"],
    });
    assert.deepEqual(embeddings.float, [[0.5, 1]]);
    const [{ charge, detail } = assert.fail()] = await stand.entries(1, "settled");
    assert.deepEqual(charge, { usage: { inputTokens: 4, outputTokens: 0 }, cost: 4 * 120, certainty: "confirmed" });
    assert.equal(detail.subject.endpoint, "cohere-embed");
    const data = "data:image/png;base64,iVBORw0KGgo=";
    for (const more of [{ images: [data] }, { inputs: [{ content: [{ type: "image_url", image_url: { url: data } }] }] }, { texts: [] }])
      assert.equal((await post(`${stand.url}/v2/embed`, { model: "embed-v4.0", input_type: "image", ...more })).status, 400);
    assert.equal(provider.received.length, 1);
    await stand.checkBooks();
  });

  test("what Cohere puts before a prompt is held too, so that no token limit is passed", async (context) => {
    const { stand, cohere } = await startScene(context);
    await cohere.chat({ model: MODEL, messages });
    const [{ detail } = assert.fail()] = await stand.entries(1, "reserved");
    assert.ok(detail.inputTokens >= 2_000, String(detail.inputTokens));
  });

  test("a document is text, wherever it stands, and counts", async (context) => {
    const { stand, provider } = await startScene(context, "limits: [$1], request: { max_input: 8000 }");
    const text = "a1b2c3".repeat(10_000);
    const inside = [{ role: "user", content: [{ type: "document", document: { data: text } }] }];
    for (const call of [{ messages: inside }, { messages, documents: [text] }, { messages, documents: [{ data: { text } }] }])
      assert.equal((await post(`${stand.url}/v2/chat`, { model: MODEL, ...call })).status, 413);
    assert.equal(provider.received.length, 0);
  });

  test("a budget that is used up stops its client after one request, with our message", async (context) => {
    const { stand, provider, cohere } = await startScene(context, "limits: [$0 / day]");
    await assert.rejects(cohere.chat({ model: MODEL, messages }), (error: unknown) => {
      assert.ok(error instanceof CohereError);
      const { message } = error.body as { message: string };
      assert.equal(error.statusCode, 402);
      assert.match(message, /^Budget "all" allows nothing/);
      return true;
    });
    assert.equal((await stand.entries(1, "denied")).length, 1);
    assert.equal(provider.received.length, 0);
  });

  test("a stream that is switched off ends as if its cap had been reached, and its client takes the end", async (context) => {
    const { stand, provider, cohere } = await startScene(context);
    provider.answer = (response) => void response.writeHead(200, STREAM_HEADERS).write(BEGINNING);
    const types = [];
    let reason: string | undefined;
    for await (const event of await cohere.chatStream({ model: MODEL, messages })) {
      types.push(event.type);
      if (event.type === "content-delta") await post(`${stand.url}/api/switches`, { for: { model: MODEL }, why: "bug", by: "ann" });
      if (event.type === "message-end") reason = event.delta?.finishReason;
    }
    assert.deepEqual(types, ["message-start", "content-start", "content-delta", "content-end", "message-end"]);
    assert.equal(reason, "MAX_TOKENS");
    const [{ charge } = assert.fail()] = await stand.entries(1, "settled");
    assert.ok((charge.usage.outputTokens ?? 0) > 5 && charge.certainty === "estimated");
  });

  test("a stream without usage is charged what passed, thoughts and calls of tools included", async (context) => {
    const { stand, provider, cohere } = await startScene(context);
    provider.answer = (response) =>
      response.writeHead(200, STREAM_HEADERS).end(
        BEGINNING +
          [
            { type: "content-delta", index: 1, delta: { message: { content: { thinking: " word".repeat(50) } } } },
            { type: "tool-plan-delta", delta: { message: { tool_plan: " word".repeat(50) } } },
            { type: "tool-call-delta", index: 0, delta: { message: { tool_calls: { function: { arguments: " word".repeat(50) } } } } },
            { type: "message-end", delta: { finish_reason: "COMPLETE" } },
          ]
            .map(messageEvent)
            .join(""),
      );
    for await (const _ of await cohere.chatStream({ model: MODEL, messages }));
    const [{ charge } = assert.fail()] = await stand.entries(1, "settled");
    const { outputTokens = 0 } = charge.usage;
    assert.equal(charge.certainty, "estimated");
    assert.ok(outputTokens > 155 && outputTokens < 240, String(outputTokens));
  });
});
