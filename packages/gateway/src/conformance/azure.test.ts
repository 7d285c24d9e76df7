import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { AzureOpenAI } from "openai";
import { post } from "./calls.ts";
import { answerChat, chatAnswer, embeddingAnswer, type RawProvider, responseAnswer, startRawProvider, writeJson } from "./raw-provider.ts";
import { type Stand, startStand } from "./stand.ts";

const USAGE = { input: 41, output: 9 };
const VERSION = "2024-10-21";
const DEPLOYMENTS = "{ our-chat: gpt-4o, our-embeddings: text-embedding-3-small }";

interface Scene {
  readonly stand: Stand;
  readonly azure: RawProvider;
}

async function startScene(context: TestContext, budget = "limits: [$10]"): Promise<Scene> {
  const azure = await startRawProvider(context, (response, { url }) => {
    if (url.includes("/embeddings")) return writeJson(response, 200, embeddingAnswer(USAGE));
    return writeJson(response, 200, url.includes("/responses") ? responseAnswer("Aye.", USAGE) : chatAnswer("Aye.", USAGE));
  });
  const providers = `providers: { azure: { base_url: "${azure.url}/openai/v1", api_key: provider-secret, deployments: ${DEPLOYMENTS} } }`;
  return { azure, stand: await startStand(context, { config: `${providers}\nbudgets: [{ name: all, ${budget} }]` }) };
}

const messages = [{ role: "user" as const, content: "Ahoy" }];

describe("Azure", () => {
  test("its client works with the gateway as its endpoint, and each deployment is charged as the model behind it", async (context) => {
    const { stand, azure } = await startScene(context);
    const client = new AzureOpenAI({ endpoint: stand.url, apiKey: "none", apiVersion: VERSION });
    const { usage } = await client.chat.completions.create({ model: "our-chat", messages });
    assert.equal(usage?.prompt_tokens, USAGE.input);
    await client.embeddings.create({ model: "our-embeddings", input: "Ahoy", encoding_format: "float" });
    assert.equal((await client.responses.create({ model: "our-chat", input: "Ahoy" })).output_text, "Aye.");
    assert.deepEqual(
      azure.received.map(({ url }) => url),
      [
        `/openai/deployments/our-chat/chat/completions?api-version=${VERSION}`,
        `/openai/deployments/our-embeddings/embeddings?api-version=${VERSION}`,
        `/openai/responses?api-version=${VERSION}`,
      ],
    );
    for (const { headers } of azure.received) assert.deepEqual([headers["api-key"], headers.authorization], ["provider-secret", undefined]);
    const settled = await stand.entries(3, "settled");
    assert.deepEqual(
      settled.map(({ detail, charge }) => [detail.subject.provider, detail.subject.model, charge.cost]),
      [
        ["azure", "gpt-4o", 41 * 2_500 + 9 * 10_000],
        ["azure", "text-embedding-3-small", 41 * 20],
        ["azure", "gpt-4o", 41 * 2_500 + 9 * 10_000],
      ],
    );
    await stand.checkBooks();
  });

  test("calls in OpenAI's form reach a deployment by its name or by its model's, without a date", async (context) => {
    const { stand, azure } = await startScene(context, "limits: [$10], request: { models: [gpt-4o] }");
    for (const [path, model] of [
      ["/v1/chat/completions", "gpt-4o"],
      ["/openai/v1/chat/completions", "our-chat"],
      ["/v1/chat/completions", "azure/our-chat"],
    ] as const)
      assert.equal((await post(stand.url + path, { model, messages })).status, 200, path);
    for (const { url, body } of azure.received)
      assert.deepEqual([url, JSON.parse(body).model], ["/openai/v1/chat/completions", "our-chat"]);
    const { status, json } = await post(`${stand.url}/openai/deployments/our-embeddings/embeddings?api-version=${VERSION}`, { input: "x" });
    assert.deepEqual([status, json.error.code], [400, "model_not_allowed"], "a budget for models sees the model behind the deployment");
  });

  test("a body that names no model gets the name of the deployment in the path", async (context) => {
    const { stand, azure } = await startScene(context);
    const body = { messages, max_tokens: 5 };
    assert.equal((await post(`${stand.url}/openai/deployments/our-chat/chat/completions?api-version=${VERSION}`, body)).status, 200);
    const [{ url, body: sent } = assert.fail()] = azure.received;
    assert.equal(url, `/openai/deployments/our-chat/chat/completions?api-version=${VERSION}`);
    assert.deepEqual(JSON.parse(sent), { ...body, model: "our-chat" });
  });

  test("its client also reaches providers that are not Azure, by the model's name", async (context) => {
    const openai = await startRawProvider(context, answerChat(USAGE));
    const providers = `providers: { openai: { base_url: "${openai.url}/v1", api_key: k } }`;
    const stand = await startStand(context, { config: `${providers}\nbudgets: [{ name: all, limits: [$10] }]` });
    const client = new AzureOpenAI({ endpoint: stand.url, apiKey: "none", apiVersion: VERSION });
    await client.chat.completions.create({ model: "gpt-4o", messages });
    assert.equal(openai.received[0]?.url, "/v1/chat/completions");
    assert.equal(JSON.parse(openai.received[0]?.body ?? "").model, "gpt-4o");
    for (const name of ["..", "%2e%2e", "a%2Fb", "%00"])
      assert.ok((await post(`${stand.url}/openai/deployments/${name}/chat/completions`, { messages })).status >= 400, name);
    assert.equal(openai.received.length, 1);
  });
});
