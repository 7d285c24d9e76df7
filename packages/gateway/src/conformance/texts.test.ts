import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import OpenAI from "openai";
import { post } from "./calls.ts";
import { completionAnswer, embeddingAnswer, moderationAnswer, type RawProvider, startRawProvider, writeJson } from "./raw-provider.ts";
import { type Stand, startStand } from "./stand.ts";

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  readonly openai: OpenAI;
}

/** OpenAI by its own price list, and a budget in every unit. */
async function startScene(context: TestContext, limits = "$1, 1M tokens, 100 requests"): Promise<Scene> {
  const provider = await startRawProvider(context);
  const config = `providers: { openai: { base_url: "${provider.url}/v1", api_key: k } }\nbudgets: [{ name: all, limits: [${limits}] }]`;
  const stand = await startStand(context, { config });
  return { stand, provider, openai: new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none" }) };
}

async function spentBy({ stand }: Scene): Promise<readonly number[]> {
  await stand.checkBooks();
  return (await stand.gateway.budgets.balances()).map(({ spent }) => spent);
}

describe("embeddings", () => {
  test("the client gets its vectors, and the ledger has the usage that it was told, at $0.02 for a million", async (context) => {
    const scene = await startScene(context);
    scene.provider.answer = (response) => writeJson(response, 200, embeddingAnswer({ input: 41 }));
    const { data, usage } = await scene.openai.embeddings.create({
      model: "text-embedding-3-small",
      input: "Ahoy",
      encoding_format: "float",
    });
    assert.deepEqual(data[0]?.embedding, [0.25, -0.5, 1]);
    const [{ charge } = assert.fail()] = await scene.stand.entries(1, "settled");
    assert.deepEqual(charge, { usage: { inputTokens: usage.prompt_tokens, outputTokens: 0 }, cost: 41 * 20, certainty: "confirmed" });
    assert.deepEqual(await spentBy(scene), [41 * 20, 41, 1]);
  });

  test("every form of input is counted: texts, and tokens that came as numbers", async (context) => {
    const scene = await startScene(context, "400 input tokens");
    const tokens = Array.from({ length: 150 }, (_, i) => 100_000 + i);
    const forms = ["word ".repeat(150), Array.from({ length: 20 }, () => "word word"), tokens, [tokens.slice(0, 75), tokens.slice(75)]];
    for (const [index, input] of forms.entries()) {
      const { status, json } = await post(`${scene.stand.url}/v1/embeddings`, { model: "text-embedding-3-small", input });
      assert.equal(status, 200, json?.error?.message);
      const [{ detail } = assert.fail()] = (await scene.stand.entries(index + 1, "reserved")).slice(-1);
      assert.ok(detail.counted, "so near to the limit it is counted");
      const [least, most] = index === 1 ? [40, 60] : [150, 165];
      assert.ok(detail.inputTokens >= least && detail.inputTokens <= most, `${index}: ${detail.inputTokens}`);
    }
    for (const input of [undefined, [], {}, 7, null])
      assert.equal((await post(`${scene.stand.url}/v1/embeddings`, { model: "text-embedding-3-small", input })).status, 400);
  });

  test("usage is found behind megabytes of numbers, and none is our own count", async (context) => {
    const scene = await startScene(context);
    const data = Array.from({ length: 200 }, (_, index) => ({ object: "embedding", index, embedding: Array(1_536).fill(-0.0123456789) }));
    scene.provider.answer = (response) => writeJson(response, 200, { ...embeddingAnswer({ input: 900 }), data });
    const embed = () => post(`${scene.stand.url}/v1/embeddings`, { model: "text-embedding-3-small", input: Array(200).fill("Ahoy") });
    assert.equal((await embed()).json.data.length, 200);
    scene.provider.answer = (response) => writeJson(response, 200, { ...embeddingAnswer({ input: 0 }), data, usage: undefined });
    await embed();
    const [told, counted] = await scene.stand.entries(2, "settled");
    assert.deepEqual([told?.charge.usage.inputTokens, told?.charge.certainty], [900, "confirmed"]);
    assert.equal(counted?.charge.certainty, "estimated");
    assert.ok((counted?.charge.usage.inputTokens ?? 0) >= 200, String(counted?.charge.usage.inputTokens));
    assert.equal(counted?.charge.usage.outputTokens, 0);
  });
});

describe("moderations", () => {
  test("OpenAI's cost nothing and report nothing: they count as calls, and by our own count as tokens", async (context) => {
    const scene = await startScene(context);
    scene.provider.answer = (response) => writeJson(response, 200, { ...moderationAnswer({ input: 0 }), usage: undefined });
    const { results } = await scene.openai.moderations.create({ input: "Ahoy" });
    assert.equal(results[0]?.flagged, false);
    assert.deepEqual(JSON.parse(scene.provider.received[0]?.body ?? ""), { input: "Ahoy" }, "the model that nobody named stays unnamed");
    const [{ charge, detail } = assert.fail()] = await scene.stand.entries(1, "settled");
    assert.deepEqual([charge.cost, charge.certainty, detail.subject.model], [0, "estimated", "omni-moderation-latest"]);
    const [money, tokens, requests] = await spentBy(scene);
    assert.deepEqual([money, requests], [0, 1]);
    assert.ok(tokens !== undefined && tokens > 0 && tokens < 40, String(tokens));
    const image = { type: "image_url" as const, image_url: { url: "https://example.com/a.png" } };
    await scene.openai.moderations.create({ model: "omni-moderation-2024-09-26", input: [{ type: "text", text: "Ahoy" }, image] });
    assert.equal((await scene.stand.entries(2, "settled"))[1]?.charge.cost, 0);
  });

  test("they are refused where no call is left", async (context) => {
    const scene = await startScene(context, "0 requests");
    await assert.rejects(scene.openai.moderations.create({ input: "Ahoy" }), { status: 402 });
    assert.equal(scene.provider.received.length, 0);
  });
});

describe("completions", () => {
  const model = "gpt-3.5-turbo-instruct";

  test("the client gets its text, and the ledger the usage that it was told, plain and streamed", async (context) => {
    const scene = await startScene(context);
    scene.provider.answer = (response, { body }) => {
      if (!JSON.parse(body).stream) return writeJson(response, 200, completionAnswer("Aye.", { input: 41, output: 9 }));
      assert.deepEqual(JSON.parse(body).stream_options, { include_usage: true });
      const event = (data: unknown) => `data: ${JSON.stringify(data)}\n\n`;
      const answer = completionAnswer("Aye.", { input: 41, output: 9 });
      response
        .writeHead(200, { "content-type": "text/event-stream" })
        .end(`${event({ ...answer, usage: null })}${event({ ...answer, choices: [] })}data: [DONE]\n\n`);
    };
    const { usage, choices } = await scene.openai.completions.create({ model, prompt: "Say aye.", max_tokens: 20 });
    assert.deepEqual([choices[0]?.text, usage?.prompt_tokens, usage?.completion_tokens], ["Aye.", 41, 9]);
    const texts = [];
    for await (const { choices: pieces, usage: shown } of await scene.openai.completions.create({
      model,
      prompt: "Say aye.",
      stream: true,
    })) {
      texts.push(...pieces.map(({ text }) => text));
      assert.equal(shown ?? undefined, undefined, "usage that only we asked for is not shown");
    }
    assert.deepEqual(texts, ["Aye."]);
    for (const { charge } of await scene.stand.entries(2, "settled"))
      assert.deepEqual(charge, { usage: { inputTokens: 41, outputTokens: 9 }, cost: 41 * 1_500 + 9 * 2_000, certainty: "confirmed" });
  });

  test("every answer that is written is held: of each prompt, and those of which the best is returned", async (context) => {
    const scene = await startScene(context, "100k output tokens");
    const cases = [
      { asked: { prompt: "a" }, held: 16 },
      { asked: { prompt: "a", max_tokens: 10, n: 3 }, held: 30 },
      { asked: { prompt: ["a", "b"], max_tokens: 10, n: 3, best_of: 5 }, held: 100 },
      { asked: { prompt: [1, 2, 3], max_tokens: 10 }, held: 10 },
      { asked: { prompt: [[1, 2], [3], [4]], max_tokens: 10 }, held: 30 },
    ];
    for (const [index, { asked, held }] of cases.entries()) {
      assert.equal((await post(`${scene.stand.url}/v1/completions`, { model, ...asked })).status, 200);
      const [{ postings } = assert.fail()] = (await scene.stand.entries(index + 1, "reserved")).slice(-1);
      assert.equal(postings[0]?.held, held, JSON.stringify(asked));
    }
    assert.equal(JSON.parse(scene.provider.received[0]?.body ?? "").max_tokens, 16, "a cap that every provider sees as another is written");
  });
});
