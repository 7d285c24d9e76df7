import assert from "node:assert/strict";
import { request } from "node:http";
import { describe, type TestContext, test } from "node:test";
import OpenAI from "openai";
import { type Json, post } from "./calls.ts";
import { messageEvent, type RawProvider, responseAnswer, STREAM_HEADERS, startRawProvider, writeJson } from "./raw-provider.ts";
import { type Stand, startStand } from "./stand.ts";

/** $0.15 and $0.60 for a million tokens, a context of 128,000, $0.01 for a search of the web. */
const MODEL = "gpt-4o-mini";
const USAGE = { input: 2_000, output: 30 };

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  readonly call: (more: object) => ReturnType<typeof post>;
}

async function startScene(context: TestContext, budget = "limits: [$10, 10M tokens]", config = ""): Promise<Scene> {
  const provider = await startRawProvider(context, (response) => writeJson(response, 200, responseAnswer("Aye.", USAGE)));
  const openai = `providers: { openai: { base_url: "${provider.url}/v1", api_key: provider-secret } }`;
  const stand = await startStand(context, { config: `${openai}\nbudgets: [{ name: all, ${budget} }]\n${config}` });
  return {
    stand,
    provider,
    call: (more) => post(`${stand.url}/v1/responses`, { model: MODEL, input: "Ahoy", max_output_tokens: 100, ...more }),
  };
}

/** The last call: what was held for its input, and what was charged. */
async function lastCall({ stand }: Scene, calls = 1) {
  const [{ detail } = assert.fail()] = (await stand.entries(calls, "reserved")).slice(-1);
  const [{ charge } = assert.fail()] = (await stand.entries(calls, "settled")).slice(-1);
  return { held: detail.inputTokens, heldCost: detail.cost ?? 0, ...charge };
}

const SEARCH_FEE = 10_000_000;
const tokensCost = USAGE.input * 150 + USAGE.output * 600;

function searched(tools: readonly Json[], output: readonly Json[]): Json {
  const answer = responseAnswer("Aye.", USAGE);
  return { ...answer, tools, output: [...output, ...answer.output] };
}

describe("responses: what is peculiar to them", () => {
  test("input that a call only names is held at what the model can read, and charged at what it read", async (context) => {
    const scene = await startScene(context);
    const ways = [
      { previous_response_id: "resp_0" },
      { conversation: "conv_1" },
      { conversation: { id: "conv_1" } },
      { prompt: { id: "pmpt_1" }, input: undefined },
      { input: [{ type: "item_reference", id: "msg_1" }] },
      { input: [{ role: "user", content: "Ahoy" }, { id: "rs_1" }] },
    ];
    for (const [index, way] of ways.entries()) {
      const { status, json } = await scene.call(way);
      assert.equal(status, 200, json?.error?.message);
      const { held, usage, cost } = await lastCall(scene, index + 1);
      assert.ok(held >= 128_000 && held < 129_000, `${JSON.stringify(way)}: ${held}`);
      assert.deepEqual([usage.inputTokens, cost], [USAGE.input, tokensCost]);
    }
    await scene.call({ input: [{ id: "msg_1", type: "message", role: "user", content: "Ahoy" }], previous_response_id: null });
    assert.ok((await lastCall(scene, ways.length + 1)).held < 1_000, "an item with an id is no reference");
    await scene.stand.checkBooks();
  });

  test("what is held for such input can be configured, and a refusal says what it is for", async (context) => {
    const scene = await startScene(context, "limits: [60k input tokens]", "unseen_input: 50k");
    assert.equal((await scene.call({ previous_response_id: "resp_0" })).status, 200);
    const { held } = await lastCall(scene);
    assert.ok(held >= 50_000 && held < 51_000, String(held));
    const tight = await startScene(context, "limits: [$10], request: { max_input: 4000 }", "unseen_input: 50k");
    const { status, json } = await tight.call({ previous_response_id: "resp_0" });
    assert.equal(status, 413);
    assert.match(json.error.message, / 50,000 of its tokens are held for input that the call names and does not carry, .+unseen_input/);
  });

  test("an answer that would be fetched later is refused: nobody would see what it used", async (context) => {
    const { call, provider } = await startScene(context);
    const { status, json } = await call({ background: true });
    assert.equal(status, 400);
    assert.match(json.error.message, /"background"/);
    assert.equal((await call({ background: false })).status, 200);
    assert.equal(provider.received.length, 1);
  });

  test("tools that run at the provider are held with what they may cost, and charged as often as they were used", async (context) => {
    const scene = await startScene(context);
    const call = (action: object) => ({ type: "web_search_call", id: "ws_1", status: "completed", action });
    const found = [call({ type: "search", query: "a" }), call({ type: "open_page", url: "b" }), call({ type: "search", query: "c" })];
    const tools = [{ type: "web_search" }, { type: "function", name: "f", parameters: {} }];
    scene.provider.answer = (response) => writeJson(response, 200, searched(tools, found));
    await scene.call({ tools });
    const two = await lastCall(scene);
    assert.deepEqual(two.usage.toolCalls, { web_search: 2 });
    assert.equal(two.cost, tokensCost + 2 * SEARCH_FEE, "pages that are opened cost nothing");
    assert.ok(two.heldCost >= 5 * SEARCH_FEE + 100 * 600);
    await scene.call({ tools, max_tool_calls: 2 });
    const bounded = await lastCall(scene, 2);
    assert.ok(bounded.heldCost < 5 * SEARCH_FEE && bounded.heldCost >= 2 * SEARCH_FEE, "no more than the call allows");
    scene.provider.answer = (response) => writeJson(response, 200, searched(tools, []));
    await scene.call({ tools });
    assert.equal((await lastCall(scene, 3)).cost, tokensCost, "a tool that was not used costs nothing");
    const silent = { ...searched([], []), tools: undefined };
    scene.provider.answer = (response) => writeJson(response, 200, silent);
    await scene.call({ tools });
    assert.equal((await lastCall(scene, 4)).cost, tokensCost + 5 * SEARCH_FEE, "who does not say is charged for all that were allowed");
    await scene.stand.checkBooks();
  });

  test("a container is charged once, however often code runs in it", async (context) => {
    const scene = await startScene(context);
    const tools = [{ type: "code_interpreter", container: { type: "auto" } }];
    const ran = [1, 2, 3].map((id) => ({ type: "code_interpreter_call", id: `ci_${id}`, container_id: "cntr_1", code: "1" }));
    scene.provider.answer = (response) => writeJson(response, 200, searched(tools, ran));
    await scene.call({ tools });
    const { usage, cost } = await lastCall(scene);
    assert.deepEqual([usage.toolCalls, cost], [{ code_interpreter: 1 }, tokensCost + 30_000_000]);
  });

  test("a stream in which the provider refuses the call costs nothing", async (context) => {
    const scene = await startScene(context);
    const failed = { ...responseAnswer("", USAGE), status: "failed", output: [], usage: null };
    const error = { code: "insufficient_quota", message: "You exceeded your current quota." };
    const events = [
      messageEvent({ type: "response.created", response: { ...failed, status: "in_progress" } }),
      messageEvent({ type: "error", error }),
      messageEvent({ type: "response.failed", response: { ...failed, error } }),
    ].join("");
    scene.provider.answer = (response) => response.writeHead(200, STREAM_HEADERS).end(events);
    assert.equal((await scene.call({ stream: true })).text, events);
    await scene.stand.entries(1, "released");
    assert.deepEqual(await scene.stand.ledger("settled"), []);
    await scene.stand.checkBooks();
  });

  test("a stream that breaks off is charged what came of it, and one that a cap ended what the provider says", async (context) => {
    const scene = await startScene(context);
    const delta = messageEvent({
      type: "response.output_text.delta",
      item_id: "m",
      output_index: 0,
      content_index: 0,
      delta: " word".repeat(50),
    });
    scene.provider.answer = (response) => {
      response.writeHead(200, STREAM_HEADERS).write(delta);
      response.write(delta, () => response.destroy());
    };
    await assert.rejects(scene.call({ stream: true }));
    const cut = await lastCall(scene);
    assert.equal(cut.certainty, "estimated");
    assert.ok((cut.usage.outputTokens ?? 0) >= 100 && (cut.usage.outputTokens ?? 0) < 110, String(cut.usage.outputTokens));
    const incomplete = { ...responseAnswer("Aye", USAGE), status: "incomplete", incomplete_details: { reason: "max_output_tokens" } };
    scene.provider.answer = (response) =>
      response.writeHead(200, STREAM_HEADERS).end(messageEvent({ type: "response.incomplete", response: incomplete }));
    await scene.call({ stream: true });
    assert.deepEqual((await lastCall(scene, 2)).usage, { inputTokens: USAGE.input, outputTokens: USAGE.output });
    await scene.stand.checkBooks();
  });

  test("images and files are bounded by themselves, and never as nothing", async (context) => {
    const scene = await startScene(context);
    const held = async (content: object, calls: number) => {
      await scene.call({ model: "gpt-4o", input: [{ role: "user", content: [content] }] });
      return (await lastCall(scene, calls)).held;
    };
    const data = Buffer.alloc(300_000, "sound").toString("base64");
    assert.ok((await held({ type: "input_image", image_url: "https://example.com/a.png", detail: "low" }, 1)) < 1_000);
    assert.ok((await held({ type: "input_file", file_id: "file_1" }, 2)) > 100_000);
    assert.ok((await held({ type: "input_file", file_data: `data:application/pdf;base64,${data}` }, 3)) > data.length);
    await scene.stand.checkBooks();
  });

  test("a conversation that is made short is held with all that the model can write: no cap can be sent", async (context) => {
    const scene = await startScene(context);
    const compact = ({ stand }: Scene) => post(`${stand.url}/v1/responses/compact`, { model: MODEL, input: "Ahoy" });
    assert.equal((await compact(scene)).status, 200);
    const [{ detail } = assert.fail()] = await scene.stand.entries(1, "reserved");
    assert.equal(detail.outputTokens, 16_384);
    assert.deepEqual(JSON.parse(scene.provider.received[0]?.body ?? ""), { model: MODEL, input: "Ahoy" });
    assert.equal((await lastCall(scene)).cost, tokensCost);
    const tight = await startScene(context, "limits: [10k output tokens], min_output: 1");
    assert.equal((await compact(tight)).status, 413);
    assert.equal(tight.provider.received.length, 0);
  });

  test("a client learns how its input is counted without being charged, and cannot read what is stored", async (context) => {
    const { stand, provider } = await startScene(context, "limits: [$0]");
    provider.answer = (response) => writeJson(response, 200, { object: "response.input_tokens", input_tokens: 7 });
    const openai = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none" });
    assert.equal((await openai.responses.inputTokens.count({ model: MODEL, input: "Ahoy" })).input_tokens, 7);
    assert.equal(provider.received[0]?.url, "/v1/responses/input_tokens");
    await assert.rejects(openai.responses.retrieve("resp_1"), { status: 404, message: /stored/ });
    await assert.rejects(openai.responses.cancel("resp_1"), { status: 404 });
    assert.equal(provider.received.length, 1);
  });

  test("Codex is refused in the words that it stops at, and told at once that there are no web sockets", async (context) => {
    const { stand, provider } = await startScene(context, "limits: [$0 / month]");
    const headers = { originator: "codex_cli_rs" };
    const { status, json } = await post(`${stand.url}/v1/responses`, { model: MODEL, input: "Ahoy", stream: true }, headers);
    assert.deepEqual([status, json.error.type, json.error.code], [429, "usage_limit_reached", "insufficient_quota"]);
    assert.ok(json.error.resets_at > Date.now() / 1000);
    const upgrade = { connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13", "sec-websocket-key": "x" };
    const answered = await new Promise((resolve, reject) =>
      request(`${stand.url}/v1/responses`, { headers: upgrade }, ({ statusCode }) => resolve(statusCode))
        .on("error", reject)
        .end(),
    );
    assert.equal(answered, 426);
    assert.equal(provider.received.length, 0);
  });
});
