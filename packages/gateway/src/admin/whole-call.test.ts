import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { startGateway } from "../app.ts";
import { BodyRoom } from "../body-room.ts";
import { readConfig } from "../config/read-config.ts";
import { NANODOLLARS, PRICES, providersAt, startStand } from "../conformance/stand.ts";

const CONFIG = [providersAt("http://127.0.0.1:9"), PRICES, "budgets: [{ name: users, per: user, limits: [3000 tokens / day] }]"].join("\n");
const SUBJECT = { user: "ann", provider: "mock" };
const CHAT = { model: "m", max_tokens: 500, messages: [{ role: "user", content: "What does a purser do?" }] };
const ASKED = { subject: SUBJECT, path: "/v1/chat/completions", body: CHAT };
const ANSWER = {
  object: "chat.completion",
  model: "m",
  choices: [{ index: 0, message: { role: "assistant", content: "Keeps the money." }, finish_reason: "stop" }],
  usage: { prompt_tokens: 13, completion_tokens: 143, total_tokens: 156, prompt_tokens_details: { cached_tokens: 5 } },
};
const COST = 8 * NANODOLLARS.input + 5 * NANODOLLARS.cacheRead + 143 * NANODOLLARS.output;

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: JSON from outside has no type.
  readonly body: any;
}

async function post(url: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const text = typeof body === "string" || body === undefined ? body : JSON.stringify(body);
  const response = await fetch(url, { method: "POST", headers, ...(text !== undefined && { body: text }) });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

describe("calls about which others ask whole", () => {
  test("a call is held by what its body says, goes on with the cap that fits, and is charged what its answer says", async (context) => {
    const { url, gateway, checkBooks } = await startStand(context, { config: CONFIG });
    const { status, body } = await post(`${url}/api/decisions`, { ...ASKED, body: { ...CHAT, max_tokens: 9_000 } });
    assert.equal(status, 200);
    assert.ok(body.input_tokens > 5 && body.input_tokens < 200, `${body.input_tokens} tokens are held for the input`);
    assert.equal(body.output_tokens, 3_000 - body.input_tokens);
    assert.deepEqual(body.body, { ...CHAT, max_tokens: body.output_tokens });
    const settled = await post(`${url}/api/decisions/${body.id}/settle`, { answer: ANSWER });
    assert.deepEqual(settled.body, {
      id: body.id,
      outcome: "settled",
      usage: { input_tokens: 13, cache_read_input_tokens: 5, output_tokens: 143 },
      cost_nanodollars: COST,
      certainty: "confirmed",
    });
    const [balance] = await gateway.budgets.balances();
    assert.deepEqual([balance?.spent, balance?.held], [156, 0]);
    await checkBooks();
  });

  test("a body that came as a text goes back as one, with its numbers as they stood", async (context) => {
    const { url } = await startStand(context, { config: CONFIG });
    const text = '{"model": "m", "seed": 12345678901234567890, "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}';
    const { body } = await post(`${url}/api/decisions`, { ...ASKED, body: text });
    assert.equal(body.body, text);
    const named = await post(`${url}/api/decisions`, { ...ASKED, subject: { ...SUBJECT, model: "house-model" }, body: text });
    assert.equal(named.body.body, text, "the model of the budgets is not that of the provider");
  });

  test("every format is read by its path, and its streams by their events", async (context) => {
    const { url } = await startStand(context, { config: CONFIG });
    const messages = [{ role: "user", content: "Hi" }];
    const anthropic = { model: "m", max_tokens: 50, stream: true, messages };
    const first = await post(`${url}/api/decisions`, { subject: SUBJECT, path: "/anthropic/v1/messages?beta=true", body: anthropic });
    assert.equal(first.body.output_tokens, 50);
    const events = [
      { type: "message_start", message: { id: "m1", model: "m", usage: { input_tokens: 9, output_tokens: 1 } } },
      { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Hello" } },
      { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 6 } },
      { type: "message_stop" },
    ];
    const stream = events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("");
    const settled = await post(`${url}/api/decisions/${first.body.id}/settle`, { answer: stream });
    assert.deepEqual([settled.body.usage, settled.body.certainty], [{ input_tokens: 9, output_tokens: 6 }, "confirmed"]);

    const gemini = { contents: [{ role: "user", parts: [{ text: "Hi" }] }], generationConfig: { maxOutputTokens: 70 } };
    const second = await post(`${url}/api/decisions`, { subject: SUBJECT, path: "/v1beta/models/m:generateContent", body: gemini });
    assert.equal(second.body.output_tokens, 70);
    const answer = {
      candidates: [{ content: { role: "model", parts: [{ text: "Hello" }] } }],
      usageMetadata: { promptTokenCount: 4, candidatesTokenCount: 3, totalTokenCount: 7 },
    };
    const charged = await post(`${url}/api/decisions/${second.body.id}/settle`, { answer });
    assert.deepEqual(charged.body.usage, { input_tokens: 4, output_tokens: 3 });
  });

  test("what the provider refused is returned, and what it may have done is charged as it was held", async (context) => {
    const { url, gateway } = await startStand(context, { config: CONFIG });
    const refused = await post(`${url}/api/decisions`, { ...ASKED, id: "refused" });
    const released = await post(`${url}/api/decisions/refused/settle`, { status: 400, answer: { error: { message: "No." } } });
    assert.deepEqual(released.body, { id: "refused", outcome: "released", usage: null, cost_nanodollars: 0, certainty: null });
    await post(`${url}/api/decisions`, { ...ASKED, id: "timeout" });
    const charged = await post(`${url}/api/decisions/timeout/settle`, { status: 504 });
    assert.equal(charged.body.certainty, "unconfirmed");
    assert.deepEqual(charged.body.usage, { input_tokens: refused.body.input_tokens, output_tokens: 500 });
    const [balance] = await gateway.budgets.balances();
    assert.deepEqual([balance?.spent, balance?.held], [refused.body.input_tokens + 500, 0]);
  });

  test("an answer without usage is counted by us, and one that nobody can read is charged as it was held", async (context) => {
    const { url } = await startStand(context, { config: CONFIG });
    const { usage: _, ...uncounted } = ANSWER;
    await post(`${url}/api/decisions`, { ...ASKED, id: "counted" });
    const counted = await post(`${url}/api/decisions/counted/settle`, { answer: uncounted });
    assert.equal(counted.body.certainty, "estimated");
    assert.ok(counted.body.usage.input_tokens > 5 && counted.body.usage.input_tokens < 40, JSON.stringify(counted.body.usage));
    assert.ok(counted.body.usage.output_tokens > 2 && counted.body.usage.output_tokens < 12, JSON.stringify(counted.body.usage));
    await post(`${url}/api/decisions`, { ...ASKED, id: "unreadable" });
    const unreadable = await post(`${url}/api/decisions/unreadable/settle`, { answer: "<html>" });
    assert.deepEqual([unreadable.body.certainty, unreadable.body.usage.output_tokens], ["unconfirmed", 500]);
  });

  test("a refusal has the error that the client of the call reads", async (context) => {
    const { url } = await startStand(context, { config: CONFIG });
    const large = { ...CHAT, messages: [{ role: "user", content: "budget ".repeat(4_000) }] };
    const { status, body } = await post(`${url}/api/decisions`, { ...ASKED, body: large });
    assert.deepEqual([status, body.code], [413, "request_too_large"]);
    assert.equal(body.body.error.message, body.detail);
    const anthropic = await post(`${url}/api/decisions`, { ...ASKED, path: "/v1/messages", body: large });
    assert.equal(anthropic.body.body.type, "error");
  });

  test("a large one takes its room with all other large bodies", async (context) => {
    const { url } = await startStand(context, { config: CONFIG, bodies: new BodyRoom(100_000) });
    const large = { ...ASKED, body: { ...CHAT, user: "x".repeat(120_000) } };
    const { status, body } = await post(`${url}/api/decisions`, large);
    assert.equal(status, 429);
    assert.match(JSON.stringify(body), /Too many large bodies are on their way here at once/);
    assert.equal((await post(`${url}/api/decisions`, ASKED)).status, 200);
  });

  test("what only counts tokens is free, and holds nothing", async (context) => {
    const { url, gateway } = await startStand(context, { config: CONFIG });
    const { max_tokens: _, ...counted } = CHAT;
    const { status, body } = await post(`${url}/api/decisions`, { ...ASKED, path: "/v1/messages/count_tokens", body: counted });
    assert.deepEqual([status, body.outcome, body.body], [200, "free", counted]);
    assert.deepEqual(
      (await gateway.budgets.balances()).map(({ held }) => held),
      [],
    );
  });

  test("the same id with another body is another call", async (context) => {
    const { url } = await startStand(context, { config: CONFIG });
    const first = await post(`${url}/api/decisions`, { ...ASKED, id: "call-1" });
    assert.deepEqual(await post(`${url}/api/decisions`, { ...ASKED, id: "call-1" }).then(({ body }) => body), first.body);
    const other = await post(`${url}/api/decisions`, { ...ASKED, id: "call-1", body: { ...CHAT, max_tokens: 501 } });
    assert.deepEqual([other.status, other.body.code], [400, "body_invalid"]);
  });

  test("after a restart the answer still says what was used", async (context) => {
    const data = await mkdtemp(join(tmpdir(), "purser-whole-"));
    context.after(() => rm(data, { recursive: true }));
    const start = () =>
      startGateway({ config: readConfig({ text: `server: { port: 0 }\ndata: ${JSON.stringify(data)}\n${CONFIG}\n`, environment: {} }) });
    const first = await start();
    const asked: string[] = [];
    for (const id of ["known", "unknown", "zeros", "refused", "timeout"])
      asked.push((await post(`${first.url}/api/decisions`, { ...ASKED, body: { ...CHAT, max_tokens: 100 }, id })).body.outcome);
    assert.deepEqual([...new Set(asked)], ["allowed"]);
    await first.close();
    const second = await start();
    try {
      const known = await post(`${second.url}/api/decisions/known/settle`, { answer: ANSWER });
      assert.deepEqual([known.body.outcome, known.body.cost_nanodollars, known.body.certainty], ["corrected", COST, "confirmed"]);
      const { usage: _, ...uncounted } = ANSWER;
      const unknown = await post(`${second.url}/api/decisions/unknown/settle`, { answer: uncounted });
      assert.deepEqual([unknown.body.certainty, unknown.body.usage.output_tokens], ["unconfirmed", 100]);
      const zeros = { ...ANSWER, usage: { prompt_tokens: 0, completion_tokens: 0 } };
      const unsaid = await post(`${second.url}/api/decisions/zeros/settle`, { answer: zeros });
      assert.deepEqual([unsaid.body.usage, unsaid.body.certainty], [unknown.body.usage, "unconfirmed"]);
      const timeout = await post(`${second.url}/api/decisions/timeout/settle`, { status: 504 });
      assert.deepEqual([timeout.body.usage, timeout.body.certainty], [unknown.body.usage, "unconfirmed"]);
      const refused = await post(`${second.url}/api/decisions/refused/settle`, { status: 429 });
      assert.deepEqual([refused.body.outcome, refused.body.cost_nanodollars], ["corrected", 0]);
    } finally {
      await second.close();
    }
  });

  test("a wrong question or a wrong end is refused with what to do", async (context) => {
    const { url } = await startStand(context, { config: CONFIG });
    const { provider: _, ...unprovided } = SUBJECT;
    for (const [body, text] of [
      [{ ...ASKED, text: "Hi" }, '"text" stands in the body'],
      [{ ...ASKED, max_output_tokens: 5 }, '"max_output_tokens" stands in the body'],
      [{ ...ASKED, path: undefined }, '"path"'],
      [{ ...ASKED, body: undefined }, '"body" is not a JSON object'],
      [{ ...ASKED, body: [] }, '"body" is not a JSON object'],
      [{ ...ASKED, body: '{"model":"m","model":"n","messages":[]}' }, "twice"],
      [{ ...ASKED, body: { ...CHAT, max_tokens: -1 } }, "max_tokens"],
      [{ ...ASKED, subject: unprovided }, '"provider"'],
      [{ ...ASKED, path: "/v1/chat/complesions" }, "Did you mean POST /v1/chat/completions?"],
      [{ ...ASKED, path: "/v1/embeddings/../chat/completions" }, 'leave out "." and ".."'],
      [{ ...ASKED, path: "/v1/audio/transcriptions" }, "forms"],
      [{ ...ASKED, least_output_tokens: 501 }, '"least_output_tokens"'],
    ] as const) {
      const answer = await post(`${url}/api/decisions`, body);
      assert.ok(answer.status === 400 || answer.status === 404, `${answer.status} ${text}`);
      assert.ok(answer.body.detail.includes(text), `${answer.body.detail} (${text})`);
    }
    await post(`${url}/api/decisions`, { subject: { ...SUBJECT, model: "m" }, input_tokens: 10, max_output_tokens: 10, id: "sized" });
    for (const [body, text] of [
      [{ answer: ANSWER, usage: {} }, '"usage" and "answer" do not go together'],
      [{ answer: ANSWER, status: 99 }, '"status"'],
      [{ answer: ANSWER }, '"path" says in which format'],
      [{ answer: ANSWER, path: "/v1/nothing" }, "There is no POST /v1/nothing"],
      [{ anser: ANSWER }, '"anser" is not a field'],
    ] as const) {
      const answer = await post(`${url}/api/decisions/sized/settle`, body);
      assert.ok(answer.body.detail?.includes(text), `${JSON.stringify(answer.body)} (${text})`);
    }
    const settled = await post(`${url}/api/decisions/sized/settle`, { answer: ANSWER, path: "/v1/chat/completions" });
    assert.deepEqual([settled.body.outcome, settled.body.cost_nanodollars], ["settled", COST]);
  });
});

describe("whole calls at /api/authorize", () => {
  const headers = { "x-purser-provider": "mock", "x-purser-user": "ann" };
  const target = "/api/authorize?status=exact&path=/v1/chat/completions";

  test("a body is read where it comes, and admitted with the cap that it has or not at all", async (context) => {
    const { url, gateway } = await startStand(context, { config: CONFIG });
    const first = await post(url + target, CHAT, headers);
    assert.deepEqual([first.status, first.headers.get("x-purser-output-tokens")], [200, "500"]);
    assert.equal(first.body.body, undefined);
    const whole = await post(url + target, { ...CHAT, max_tokens: 2_900 }, headers);
    assert.equal(whole.status, 429);
    assert.match(whole.headers.get("content-type") ?? "", /^application\/json/);
    assert.equal(whole.headers.get("x-purser-code"), "budget_busy");
    assert.match(whole.body.error.message, /^Budget "users" \(user=ann\)/);
    const least = await post(url + target, { ...CHAT, max_tokens: 2_900 }, { ...headers, "x-purser-least-output-tokens": "100" });
    assert.equal(least.status, 200);
    const id = first.headers.get("x-purser-decision-id");
    assert.equal((await post(`${url}/api/decisions/${id}/settle`, { answer: ANSWER })).body.cost_nanodollars, COST);
    assert.equal((await gateway.budgets.balances()).length, 1);
  });

  test("nobody says in the body who they are", async (context) => {
    const { url, gateway } = await startStand(context, { config: CONFIG });
    const { "x-purser-user": _, ...nameless } = headers;
    assert.equal((await post(url + target, { ...CHAT, user: "bob", metadata: { x: "y" } }, nameless)).status, 200);
    assert.deepEqual(
      (await gateway.budgets.balances()).map(({ subject }) => subject),
      ["user=(none)"],
    );
  });

  test("the path can come in a header, and not in a way that means another call", async (context) => {
    const { url } = await startStand(context, { config: CONFIG });
    const named = await post(`${url}/api/authorize`, CHAT, { ...headers, "x-original-uri": "/v1/chat/completions?a=b&c=d" });
    assert.equal(named.status, 200);
    assert.equal((await post(`${url}${target}?alt=sse&c=d`, CHAT, headers)).status, 200);
    for (const [address, text] of [
      ["/api/authorize?status=exact", "The path of the call is missing"],
      ["/api/authorize?status=exact&path=/v1/embeddings&/../chat/completions", "ampersand"],
      ["/api/authorize?status=exact&path=/v1/embeddings/../chat/completions", 'leave out "." and ".."'],
    ] as const) {
      const answer = await post(url + address, { ...CHAT, input: "" }, headers);
      assert.ok(answer.body.detail?.includes(text), JSON.stringify(answer.body));
    }
    const sized = { ...headers, "x-purser-model": "m", "x-purser-input-tokens": "10", "x-purser-max-output-tokens": "10" };
    assert.equal((await post(`${url}/api/authorize`, "not read", sized)).status, 200);
  });
});
