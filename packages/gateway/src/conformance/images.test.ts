import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { LLMock } from "@copilotkit/aimock";
import OpenAI, { toFile } from "openai";
import { post } from "./calls.ts";
import { messageEvent, type RawProvider, STREAM_HEADERS, startRawProvider, writeJson } from "./raw-provider.ts";
import { type Stand, startStand } from "./stand.ts";

/** $5 for a million tokens of text, and $40 for those of images. */
const MODEL = "gpt-image-1";
const USAGE = {
  input_tokens: 41,
  output_tokens: 4_160,
  total_tokens: 4_201,
  input_tokens_details: { text_tokens: 41, image_tokens: 0 },
};
const IMAGE = "iVBORw0KGgo=";

/** The beginning of a PNG, which says its size. */
function pngOf(width: number, height: number): Buffer {
  const head = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ", "base64");
  head.writeUInt32BE(width, 16);
  head.writeUInt32BE(height, 20);
  return head;
}

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  readonly openai: OpenAI;
}

async function startScene(context: TestContext, limits = "$10, 1M tokens"): Promise<Scene> {
  const provider = await startRawProvider(context, (response) =>
    writeJson(response, 200, { created: 1, data: [{ b64_json: IMAGE }], usage: USAGE }),
  );
  const config = `providers: { openai: { base_url: "${provider.url}/v1", api_key: k } }\nbudgets: [{ name: all, limits: [${limits}] }]`;
  const stand = await startStand(context, { config });
  return { stand, provider, openai: new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none", maxRetries: 0 }) };
}

describe("images", () => {
  test("the client gets its image, whole and streamed, and the ledger has the usage that it was told", async (context) => {
    const { stand, provider, openai } = await startScene(context);
    const { data, usage } = await openai.images.generate({ model: MODEL, prompt: "A ship", quality: "high", size: "1024x1024" });
    assert.deepEqual([data?.[0]?.b64_json, usage?.output_tokens], [IMAGE, 4_160]);
    provider.answer = (response) =>
      response
        .writeHead(200, STREAM_HEADERS)
        .end(
          messageEvent({ type: "image_generation.partial_image", partial_image_index: 0, b64_json: IMAGE }) +
            messageEvent({ type: "image_generation.completed", b64_json: IMAGE, usage: USAGE }),
        );
    const types = [];
    for await (const event of await openai.images.generate({ model: MODEL, prompt: "A ship", stream: true, partial_images: 1 }))
      types.push(event.type);
    assert.deepEqual(types, ["image_generation.partial_image", "image_generation.completed"]);
    for (const { charge } of await stand.entries(2, "settled")) {
      assert.deepEqual([charge.cost, charge.certainty], [41 * 5_000 + 4_160 * 40_000, "confirmed"]);
      assert.deepEqual([charge.usage.inputTokens, charge.usage.outputTokens], [41, 4_160]);
    }
    await stand.checkBooks();
  });

  test("a mock that others wrote is charged at what was held, because it reports no usage", async (context) => {
    const mock = new LLMock({ port: 0, host: "127.0.0.1" });
    mock.onImage("A ship", { image: { b64Json: IMAGE } });
    await mock.start();
    context.after(() => mock.stop());
    const config = `providers: { openai: { base_url: "${mock.url}/v1", api_key: k } }\nbudgets: [{ name: all, limits: [$10] }]`;
    const stand = await startStand(context, { config });
    const openai = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none" });
    assert.equal((await openai.images.generate({ model: MODEL, prompt: "A ship", quality: "low" })).data?.[0]?.b64_json, IMAGE);
    const [{ charge } = assert.fail()] = await stand.entries(1, "settled");
    assert.deepEqual([charge.usage.outputTokens, charge.certainty], [408, "unconfirmed"]);
    await stand.checkBooks();
  });

  test("the most that the images can have is held: by quality, size, number, and those that are shown before", async (context) => {
    const { stand } = await startScene(context, "1M output tokens");
    const cases = [
      { asked: {}, held: 6_240 },
      { asked: { quality: "auto", size: "auto" }, held: 6_240 },
      { asked: { quality: "low", n: 3 }, held: 3 * 408 },
      { asked: { quality: "medium", size: "1024x1024", partial_images: 2 }, held: 1_584 + 200 },
      { asked: { size: "3072x2048" }, held: 4 * 6_240 },
    ];
    for (const [index, { asked, held }] of cases.entries()) {
      assert.equal((await post(`${stand.url}/v1/images/generations`, { model: MODEL, prompt: "A ship", ...asked })).status, 200);
      const [{ postings } = assert.fail()] = (await stand.entries(index + 1, "reserved")).slice(-1);
      assert.equal(postings[0]?.held, held, JSON.stringify(asked));
    }
  });

  test("an image that does not fit is refused: its size cannot be lowered, and no part of it would help", async (context) => {
    const { provider, openai } = await startScene(context, "5k output tokens / day");
    await assert.rejects(openai.images.generate({ model: MODEL, prompt: "A ship" }), { status: 413 });
    await openai.images.generate({ model: MODEL, prompt: "A ship", quality: "medium" });
    await assert.rejects(openai.images.generate({ model: MODEL, prompt: "A ship", quality: "medium" }), { status: 402 });
    assert.equal(provider.received.length, 1);
  });

  test("a stream that breaks off before its image is there is charged at the most", async (context) => {
    const { stand, provider, openai } = await startScene(context);
    provider.answer = (response) => {
      const event = messageEvent({ type: "image_generation.partial_image", partial_image_index: 0, b64_json: IMAGE });
      response.writeHead(200, STREAM_HEADERS).write(event, () => response.destroy());
    };
    await assert.rejects(async () => {
      for await (const _ of await openai.images.generate({ model: MODEL, prompt: "A ship", quality: "low", stream: true }));
    });
    const [{ charge } = assert.fail()] = await stand.entries(1, "settled");
    assert.deepEqual([charge.usage.outputTokens, charge.certainty], [408, "unconfirmed"]);
    await stand.checkBooks();
  });

  test("images that are made from others are held with those, and charged by the usage that the client is told", async (context) => {
    const { stand, provider, openai } = await startScene(context);
    const usage = { ...USAGE, input_tokens: 241, input_tokens_details: { text_tokens: 41, image_tokens: 200 } };
    provider.answer = (response) => writeJson(response, 200, { created: 1, data: [{ b64_json: IMAGE }], usage });
    const pictures = await Promise.all([1, 2].map((i) => toFile(pngOf(1_024, 512), `${i}.png`)));
    const { data } = await openai.images.edit({ model: MODEL, image: pictures, prompt: "A ship", quality: "low", n: 2 });
    assert.equal(data?.[0]?.b64_json, IMAGE);
    const [{ charge, detail } = assert.fail()] = await stand.entries(1, "settled");
    assert.deepEqual([charge.cost, charge.certainty], [41 * 5_000 + 200 * 10_000 + 4_160 * 40_000, "confirmed"]);
    assert.equal(detail.outputTokens, 2 * 408);
    assert.ok(detail.inputTokens >= 2 * (75 + 2 * 129 + 6_240), `two tiles and their details for each: ${detail.inputTokens}`);
    assert.match(provider.received[0]?.body ?? "", /name="image\[\]"; filename="2.png"/);
    const plain = {
      model: MODEL,
      image: await toFile(pngOf(64, 64), "a.png"),
      prompt: "A ship",
      quality: "low",
      input_fidelity: "low",
    } as const;
    await openai.images.edit(plain);
    const [, second] = await stand.entries(2, "settled");
    assert.ok((second?.detail.inputTokens ?? 0) < 1_000);
    provider.answer = (response) =>
      response.writeHead(200, STREAM_HEADERS).end(messageEvent({ type: "image_edit.completed", b64_json: IMAGE, usage }));
    for await (const { type } of await openai.images.edit({ ...plain, stream: true })) assert.equal(type, "image_edit.completed");
    const [, , third] = await stand.entries(3, "settled");
    assert.equal(third?.charge.certainty, "confirmed");
    await stand.checkBooks();
  });

  test("variations are charged by the image, where their model has such a price, and refused where it has none", async (context) => {
    const none = await startScene(context);
    await assert.rejects(none.openai.images.createVariation({ image: await toFile(pngOf(64, 64), "a.png") }), { code: "model_unpriced" });
    const provider = await startRawProvider(context, (response) => writeJson(response, 200, { created: 1, data: [{ b64_json: IMAGE }] }));
    const price = "prices: [{ model: dall-e-2, input: 0, output: 0, tools: { image: 0.02 } }]";
    const config = `providers: { openai: { base_url: "${provider.url}/v1", api_key: k } }\nbudgets: [{ name: all, limits: [$10] }]\n${price}`;
    const stand = await startStand(context, { config });
    const openai = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none", maxRetries: 0 });
    await openai.images.createVariation({ image: await toFile(pngOf(64, 64), "a.png"), n: 3 });
    const [{ charge } = assert.fail()] = await stand.entries(1, "settled");
    assert.deepEqual([charge.cost, charge.certainty], [3 * 20_000_000, "estimated"]);
    await stand.checkBooks();
  });

  test("what cannot be metered is refused: what is no form, and models without a price where money is limited", async (context) => {
    const { stand, provider, openai } = await startScene(context);
    assert.equal((await post(`${stand.url}/v1/images/edits`, { model: MODEL, prompt: "A ship" })).status, 400);
    await assert.rejects(openai.images.edit({ model: MODEL, prompt: "A ship" } as never), { status: 400 });
    await assert.rejects(openai.images.generate({ model: "dall-e-3", prompt: "A ship" }), { status: 400 });
    for (const more of [{ prompt: undefined }, { prompt: ["a"] }, { n: 0 }, { partial_images: -1 }])
      assert.equal((await post(`${stand.url}/v1/images/generations`, { model: MODEL, prompt: "A ship", ...more })).status, 400);
    assert.equal(provider.received.length, 0);
  });
});
