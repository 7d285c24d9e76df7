import assert from "node:assert/strict";
import { once } from "node:events";
import { readdir, readFile, stat } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { startGateway } from "../app.ts";
import { AuditLog } from "../audit-log/audit-log.ts";
import { readConfig } from "../config/read-config.ts";
import { type Answered, type Json, post, readAnswer } from "./calls.ts";
import { embeddingAnswer, type RawProvider, startRawProvider, writeJson } from "./raw-provider.ts";
import { type Receiver, startReceiver } from "./receivers.ts";
import { eventually, PRICES, providersAt, type Stand, startStand } from "./stand.ts";

const NOON = Date.UTC(2026, 10, 20, 12);
const DAY_MS = 86_400_000;
const WORDS = "my boat is leaking";
const TEXT = "A colleague will go on with you.";
const CALL = { model: "m", max_tokens: 100, messages: [{ role: "user", content: WORDS }] };

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  readonly receiver: Receiver;
  readonly config: (ladder: string, more?: string) => string;
  call(fields?: Json, headers?: Record<string, string>): Promise<Answered>;
  admin(method: string, path: string, body?: object): Promise<Answered>;
  /** Waits for so many notices, and returns the last of them. */
  told(count: number): Promise<Json>;
  /** Uses the budget of Ann up and hands her conversation over. Returns its id. */
  handedOver(): Promise<string>;
}

/** Each user may make one call a day. */
async function startScene(
  context: TestContext,
  ladder = `{ 100%: 'hand over hook "${TEXT}"' }`,
  { more = "", limit = 1, store = "memory" as "memory" | "sqlite" } = {},
): Promise<Scene> {
  const [provider, receiver] = [await startRawProvider(context), await startReceiver(context)];
  const config = (ladderText: string, moreText = "") =>
    [
      providersAt(provider.url),
      PRICES,
      `channels: { hook: { kind: webhook, url: "${receiver.url}" } }`,
      `budgets:\n  - { name: chat, per: user, owner: Kim <kim@example.com>, limits: [${limit} requests / day], ladder: ${ladderText} }`,
      moreText,
    ].join("\n");
  const stand = await startStand(context, { config: config(ladder, more), store });
  const call = (fields = {}, headers = {}) =>
    post(`${stand.url}/v1/chat/completions`, { ...CALL, ...fields }, { "x-purser-user": "ann", ...headers });
  return {
    stand,
    provider,
    receiver,
    config,
    call,
    admin: async (method, path, body) =>
      readAnswer(await fetch(`${stand.url}/api/handovers${path}`, { method, ...(body && { body: JSON.stringify(body) }) })),
    told: (count) => eventually(`${count} notices`, () => receiver.posted[count - 1]?.body),
    async handedOver() {
      for (let i = 0; i < limit; i++) await call();
      return (await call()).headers.get("x-purser-handover") ?? "";
    },
  };
}

function saidBy({ json }: Answered): string {
  return json.choices[0].message.content;
}

/** All that lies in a folder, as one text. */
async function everythingIn(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const texts = entries.filter((one) => one.isFile()).map((one) => readFile(join(one.parentPath, one.name), "latin1"));
  return (await Promise.all(texts)).join("\n");
}

describe("a conversation that is handed over", () => {
  test("gets a text, then what a person wrote, and goes on when it was given back", async (context) => {
    const { stand, provider, call, admin, told } = await startScene(context);
    assert.equal((await call()).status, 200);
    const first = await call();
    const id = first.headers.get("x-purser-handover") ?? "";
    assert.match(id, /^handover_[\w-]{24}$/);
    assert.deepEqual([first.status, saidBy(first), first.headers.get("x-purser-rung")], [200, TEXT, "hand over (chat)"]);
    assert.deepEqual(first.json.usage, { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 });
    const { type, data } = await told(1);
    assert.deepEqual(
      [type, data.title, data.handover, data.status, data.subject, data.owner, data.keeps_conversation, data.taken_by],
      [
        "handover.opened",
        'user=ann waits for a person (budget "chat")',
        id,
        "waiting",
        { user: "ann" },
        "Kim <kim@example.com>",
        false,
        null,
      ],
    );
    assert.match(data.why, /^Budget "chat" \(user=ann\)/);
    assert.deepEqual([data.url, data.link.split("?")[0]], [`${stand.url}/api/handovers/${id}`, `${stand.url}/handovers`]);
    assert.equal(saidBy(await call()), TEXT, "again, while nobody has answered");

    assert.equal((await admin("POST", `/${id}/take`, { by: "Kim" })).json.taken_by, "Kim");
    const answered = await admin("POST", `/${id}/answer`, { by: "Kim", text: "Use the pump." });
    assert.deepEqual([answered.json.status, answered.json.waiting_answers, answered.json.waiting_since], ["taken", 1, null]);
    const got = await call();
    assert.deepEqual([saidBy(got), got.headers.get("x-purser-handover")], ["Use the pump.", id]);
    assert.equal((await told(2)).type, "handover.continued", "who answered is told that Ann wrote again");
    assert.equal(saidBy(await call()), TEXT, "an answer is given once");
    assert.equal(provider.received.length, 1, "no provider was asked since");

    assert.equal((await admin("POST", `/${id}/return`, { by: "Kim" })).json.status, "returned");
    assert.equal((await told(3)).type, "handover.returned");
    const grant = { budget: "chat", for: { user: "ann" }, amount: "1 requests / day", until: "1h", why: "she waited" };
    assert.equal((await post(`${stand.url}/api/grants`, grant)).status, 201);
    assert.equal(saidBy(await call()), "Aye.");
    assert.equal(provider.received.length, 2);
    const next = await call();
    assert.equal(saidBy(next), TEXT, "as before: the budget is used up again");
    assert.notEqual(next.headers.get("x-purser-handover"), id);
    await stand.checkBooks();
    const [denied] = await stand.ledger("denied");
    assert.equal(denied?.kind === "denied" && denied.detail.readyText, "hand over (chat)");
  });

  test("stays with a person when its budget begins anew, or the ladder says nothing of people any more", async (context) => {
    const { stand, provider, call, admin, handedOver, config } = await startScene(context);
    const id = await handedOver();
    const text = `server: { port: 0 }\ndata: ${JSON.stringify(stand.directory)}\n${config("{ 100%: block }").replace("1 requests", "9 requests")}`;
    await stand.gateway.reload(readConfig({ text, environment: {} }));
    assert.equal(saidBy(await call()), TEXT);
    assert.equal(provider.received.length, 1);
    await admin("POST", `/${id}/answer`, { text: "Bye.", return: true });
    assert.equal(saidBy(await call()), "Bye.", "what was answered is not lost by giving it back");
    assert.equal(saidBy(await call()), "Aye.");
  });

  test("is answered in the format of each call, and as a stream where it asks for one", async (context) => {
    const { stand, handedOver, admin } = await startScene(context);
    const id = await handedOver();
    const headers = { "x-purser-user": "ann" };
    const openai = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none", defaultHeaders: headers, maxRetries: 0 });
    const anthropic = new Anthropic({ baseURL: stand.url, apiKey: "none", defaultHeaders: headers, maxRetries: 0 });
    const ways: Readonly<Record<string, () => Promise<string | undefined>>> = {
      "chat, as a stream": async () => {
        let said = "";
        for await (const { choices } of (await openai.chat.completions.create({
          ...CALL,
          stream: true,
        } as never)) as never as AsyncIterable<Json>)
          said += choices[0]?.delta.content ?? "";
        return said;
      },
      responses: async () => (await openai.responses.create({ model: "m", input: WORDS })).output_text,
      "responses, as a stream": async () => (await openai.responses.stream({ model: "m", input: WORDS }).finalResponse()).output_text,
      messages: async () => textOf(await anthropic.messages.create(CALL as never)),
      "messages, as a stream": async () => textOf(await anthropic.messages.stream(CALL as never).finalMessage()),
    };
    for (const [name, say] of Object.entries(ways)) {
      assert.equal(await say(), TEXT, name);
      await admin("POST", `/${id}/answer`, { text: `By ${name}` });
      await admin("POST", `/${id}/answer`, { text: "And more." });
      assert.equal(await say(), `By ${name}\n\nAnd more.`, name);
      await eventually("it to be noted", async () => (await admin("GET", `/${id}`)).json.waiting_answers === 0 || undefined);
    }
  });

  test("can begin at any step, and by whichever of many calls comes first: people are told once", async (context) => {
    const { stand, provider, call, told, receiver, admin } = await startScene(context, "{ 50%: hand over }", { limit: 2 });
    await call();
    const all = await Promise.all(Array.from({ length: 8 }, () => call()));
    assert.deepEqual([...new Set(all.map(({ status }) => status))], [200]);
    assert.equal(new Set(all.map(({ headers }) => headers.get("x-purser-handover"))).size, 1);
    assert.match(saidBy(all[0] as Answered), /^A person will go on with this conversation/);
    await told(1);
    assert.deepEqual([receiver.posted.length, provider.received.length, (await admin("GET", "")).json.total], [1, 1, 1]);
    assert.equal((await admin("GET", "")).json.data[0].calls, 8);
    await stand.checkBooks();
  });
});

function textOf({ content }: { readonly content: readonly unknown[] }): string {
  return content.map((part) => (part as { text?: string }).text ?? "").join("");
}

describe("whose a conversation is", () => {
  test("another user, another session and another key get nothing of it", async (context) => {
    const { stand, call, admin } = await startScene(context);
    const admins = await stand.gateway.keys.create({ name: "kim", role: "admin" });
    const kim = { authorization: `Bearer ${admins.secret}` };
    const keyed = async (name: string) => ({
      authorization: `Bearer ${(await stand.gateway.keys.create({ name, maySet: ["user", "session"] })).secret}`,
    });
    const [one, other] = [await keyed("one"), await keyed("other")];
    const session = { ...one, "x-purser-session": "s-1" };
    await call({}, session);
    const id = (await call({}, session)).headers.get("x-purser-handover") ?? "";
    await post(`${stand.url}/api/handovers/${id}/answer`, { text: "For s-1 alone" }, kim);
    const others = [
      await call({}, { ...one, "x-purser-session": "s-2" }),
      await call({}, one),
      await call({}, { ...other, "x-purser-session": "s-1" }),
    ];
    for (const { json } of others) assert.ok(!JSON.stringify(json).includes("alone"));
    assert.equal(new Set(others.map(({ headers }) => headers.get("x-purser-handover"))).size, 3, "each is one of its own");
    const look = (headers: Record<string, string>, method = "GET") => fetch(`${stand.url}/handovers/${id}`, { method, headers });
    assert.equal((await look(other)).status, 404);
    assert.equal((await look({})).status, 401);
    await look(one, "HEAD");
    const read = await readAnswer(await look(one));
    assert.deepEqual([read.status, read.json.status, read.json.answers.map(({ text }: Json) => text)], [200, "taken", ["For s-1 alone"]]);
    await eventually("it to be given", async () => ((await readAnswer(await look(one))).json.answers.length === 0 ? true : undefined));
    assert.equal(saidBy(await call({}, session)), TEXT, "what a program fetched, its next call does not get again");
    assert.equal((await admin("GET", "")).status, 401);
  });

  test("nobody is answered where nobody is named: the refusal says what to send", async (context) => {
    const { stand, receiver } = await startScene(context, "{ 100%: block }", {
      more: "  - { name: all, for: { feature: help }, limits: [1 requests / day], ladder: { 100%: hand over } }",
    });
    const ask = (headers: Record<string, string>) =>
      post(`${stand.url}/v1/chat/completions`, CALL, { "x-purser-feature": "help", ...headers });
    await ask({});
    const refused = await ask({});
    assert.equal(refused.status, 402);
    assert.match(
      refused.json.error.message,
      /handed over to nobody: it names neither a session nor a user, .*send x-purser-session or x-purser-user/,
    );
    assert.equal(receiver.posted.length, 0);
    assert.equal((await ask({ "x-purser-session": "s-1" })).status, 200);
  });
});

test("what is switched off is refused, also where a person has the conversation", async (context) => {
  const { stand, call, handedOver, admin } = await startScene(context);
  const id = await handedOver();
  await admin("POST", `/${id}/answer`, { text: "Use the pump." });
  const off = await post(`${stand.url}/api/switches`, { for: { user: "ann" }, why: "a test" });
  assert.equal(off.status, 201);
  assert.deepEqual((await call()).json.error.code, "switched_off");
  await fetch(`${stand.url}/api/switches/${off.json.id}`, { method: "DELETE" });
  assert.equal(saidBy(await call()), "Use the pump.");
});

test("an answer whose client left before it came is given to the next call", async (context) => {
  const { stand, call, handedOver, admin } = await startScene(context);
  const id = await handedOver();
  await admin("POST", `/${id}/answer`, { text: "Use the pump." });
  const { port } = new URL(stand.url);
  const body = JSON.stringify(CALL);
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nx-purser-user: ann\r\ncontent-type: application/json\r\ncontent-length: ${body.length}`;
  for (let i = 0; i < 5; i++) {
    const socket = connect(Number(port), "127.0.0.1");
    socket.write(`${head}\r\n\r\n${body}`, () => socket.resetAndDestroy());
    await once(socket, "close");
  }
  await eventually("one of them to come", async () => ((await admin("GET", `/${id}`)).json.calls >= 2 ? true : undefined));
  assert.equal(saidBy(await call()), "Use the pump.");
});

describe("a call that cannot carry a text", () => {
  test("is refused with words that say so, at the step and while a person has the conversation", async (context) => {
    const { stand, provider, call, admin } = await startScene(context, "{ 50%: hand over }", { limit: 4 });
    const embed = () => post(`${stand.url}/v1/embeddings`, { model: "m", input: "boat" }, { "x-purser-user": "ann" });
    provider.answer = (response) => writeJson(response, 200, embeddingAnswer({ input: 3 }));
    await embed();
    await embed();
    const atStep = await embed();
    assert.equal(atStep.status, 402);
    assert.match(
      atStep.json.error.message,
      /handed over to nobody: this call \(openai-embeddings\) has no place for a text that a person writes/,
    );
    assert.equal((await admin("GET", "")).json.total, 0);
    const json = await call({ response_format: { type: "json_object" } });
    assert.deepEqual([json.status, /asks for JSON/.test(json.json.error.message)], [402, true]);
    const id = (await call()).headers.get("x-purser-handover") ?? "";
    await admin("POST", `/${id}/answer`, { text: "Use the pump." });
    for (const refused of [await embed(), await call({ response_format: { type: "json_object" } }), await call({ n: 2 })]) {
      assert.deepEqual([refused.status, refused.json.error.code], [402, "handed_over"]);
      assert.match(refused.json.error.message, new RegExp(`A person goes on with this conversation \\(${id}\\)`));
      assert.equal(refused.headers.get("x-should-retry"), "false");
    }
    assert.equal(saidBy(await call()), "Use the pump.", "none of them took the answer");
    await stand.checkBooks();
  });

  test("goes on as any other once the conversation was given back, and leaves the answer that waits to a call that can carry it", async (context) => {
    const { stand, call, admin, handedOver } = await startScene(context);
    const id = await handedOver();
    await admin("POST", `/${id}/answer`, { text: "Bye.", return: true });
    const grant = { budget: "chat", for: { user: "ann" }, amount: "9 requests / day", until: "1h", why: "she waited" };
    assert.equal((await post(`${stand.url}/api/grants`, grant)).status, 201);
    const json = await call({ response_format: { type: "json_object" } });
    assert.deepEqual([json.status, saidBy(json)], [200, "Aye."]);
    assert.equal(saidBy(await call()), "Bye.");
    assert.equal(saidBy(await call()), "Aye.");
  });
});

describe("what a ladder says beside it", () => {
  test("an answer that is ready comes first, and the ladder's text where nobody can go on", async (context) => {
    const { call, admin, stand } = await startScene(context, `{ 100%: [lookup faq, hand over, 'answer "Later."'] }`, {
      more: "answers: { faq: [{ question: When?, answer: At nine. }] }",
    });
    await call();
    assert.equal(saidBy(await call({ messages: [{ role: "user", content: "when?" }] })), "At nine.");
    assert.equal((await admin("GET", "")).json.total, 0);
    const json = await call({ response_format: { type: "json_object" } });
    assert.deepEqual([saidBy(json), json.headers.get("x-purser-rung")], ["Later.", "answer (chat)"]);
    assert.match(saidBy(await call()), /^A person will go on/);
    assert.match(saidBy(await call({ messages: [{ role: "user", content: "when?" }] })), /^A person/, "a person has it now");
    await stand.checkBooks();
  });

  test("an owner is asked first, and a call that can wait waits", async (context) => {
    const { stand, call, told, admin } = await startScene(context, "{ 100%: [ask, queue, hand over] }");
    await call();
    const queued = await call({}, { prefer: "respond-async" });
    assert.equal(queued.status, 202);
    const handed = await call();
    assert.match(saidBy(handed), /^A person will go on/);
    const kinds = [(await told(1)).type, (await told(2)).type].sort();
    assert.deepEqual(kinds, ["budget.asked", "handover.opened"]);
    const id = handed.headers.get("x-purser-request-id") ?? "";
    const { json } = await readAnswer(await fetch(`${stand.url}/api/requests/${id}`));
    assert.deepEqual(
      [json.outcome, json.known_answer.rung, json.known_answer.handover],
      ["known answer", "hand over (chat)", (await admin("GET", "")).json.data[0].id],
    );
    await stand.checkBooks();
  });

  test("an owner who gives more while the call waits keeps it from people", async (context) => {
    const { stand, provider, call, told, receiver, admin } = await startScene(context, "{ 100%: [ask 60s, hand over] }");
    await call();
    const waiting = call();
    assert.equal((await told(1)).type, "budget.asked");
    const grant = { budget: "chat", for: { user: "ann" }, amount: "1 requests / day", until: "1h", why: "why not" };
    assert.equal((await post(`${stand.url}/api/grants`, grant)).status, 201);
    assert.equal(saidBy(await waiting), "Aye.");
    assert.deepEqual([provider.received.length, receiver.posted.length, (await admin("GET", "")).json.total], [2, 1, 0]);
  });

  test("what was handed over is among the savings, and no money is claimed", async (context) => {
    const { stand, call, handedOver } = await startScene(context);
    await handedOver();
    await call();
    const rows = await eventually("both calls", async () => {
      const { data } = (await (await fetch(`${stand.url}/api/savings`)).json()) as Json;
      return data[0]?.calls === 2 ? data : undefined;
    });
    assert.deepEqual([rows[0].kind, rows[0].rung, rows[0].unknown_calls, rows[0].saved_nanodollars], ["handover", "hand over", 2, 0]);
  });
});

describe("what is kept", () => {
  test("is nothing of what was said, unless the ladder says so", async (context) => {
    const { stand, call, admin, handedOver, told } = await startScene(context);
    const id = await handedOver();
    await told(1);
    await admin("POST", `/${id}/answer`, { by: "Kim", text: "Take the yellow bucket." });
    await call();
    await told(2);
    const { json } = await admin("GET", `/${id}`);
    assert.deepEqual([json.conversation, json.answers[0].text, json.answers[0].by], [null, null, "Kim"]);
    await stand.gateway.close();
    const all = await everythingIn(stand.directory);
    assert.ok(all.includes(id));
    for (const words of [WORDS, "yellow bucket"]) assert.ok(!all.includes(words), words);
  });

  test("is what was said, for as long as the ladder says, where its owner alone can read it", async (context) => {
    context.mock.timers.enable({ apis: ["Date"], now: NOON });
    const { stand, call, admin, handedOver, receiver, told } = await startScene(context, "{ 100%: hand over keep 2d }");
    const id = await handedOver();
    const messages = [
      { role: "system", content: "You are a pirate." },
      { role: "user", content: WORDS },
      { role: "assistant", content: "Aye." },
      { role: "tool", content: "rows", tool_call_id: "1" },
      {
        role: "user",
        content: [
          { type: "text", text: "Look" },
          { type: "image_url", image_url: { url: "https://example.com/x.png" } },
        ],
      },
    ];
    await call({ messages });
    const file = join(stand.directory, "handovers", `${id}.conversation`);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.equal((await stat(join(stand.directory, "handovers"))).mode & 0o777, 0o700);
    await admin("POST", `/${id}/answer`, { text: "Pump." });
    await call({ messages });
    const { json } = await admin("GET", `/${id}`);
    assert.deepEqual(json.conversation, [
      { by: "user", text: WORDS },
      { by: "assistant", text: "Aye." },
      { by: "user", text: "Look\n[image url]" },
    ]);
    assert.equal(json.kept_until, new Date(NOON + 2 * DAY_MS).toISOString());
    await told(2);
    assert.ok(!JSON.stringify(receiver.posted).includes(WORDS), "notices say nothing of it");
    assert.ok(receiver.posted.every(({ body }) => body.data.keeps_conversation));
    context.mock.timers.setTime(NOON + 2 * DAY_MS);
    await eventually("it to be deleted", () =>
      stat(file).then(
        () => undefined,
        () => true,
      ),
    );
    const later = await eventually("it to be noted", async () => {
      const read = (await admin("GET", `/${id}`)).json;
      return read.kept_until === null ? read : undefined;
    });
    assert.deepEqual([later.status, later.conversation, later.answers[0].text], ["taken", null, null]);
  });

  test("is forgotten when the ladder does not say so any more", async (context) => {
    const { stand, admin, handedOver, config } = await startScene(context, "{ 100%: hand over keep 2d }");
    const id = await handedOver();
    assert.equal((await admin("GET", `/${id}`)).json.conversation.length, 1);
    const text = `server: { port: 0 }\ndata: ${JSON.stringify(stand.directory)}\n${config("{ 100%: hand over }")}`;
    await stand.gateway.reload(readConfig({ text, environment: {} }));
    await eventually("it to be gone", async () => ((await readdir(join(stand.directory, "handovers"))).length === 1 ? true : undefined));
    assert.equal((await admin("GET", `/${id}`)).json.conversation, null);
  });

  test("is what nothing happens to, for 30 days: then its calls go on, and later it is deleted", async (context) => {
    context.mock.timers.enable({ apis: ["Date"], now: NOON });
    const { stand, admin, handedOver } = await startScene(context);
    const id = await handedOver();
    context.mock.timers.setTime(NOON + 30 * DAY_MS);
    const { returned_by } = await eventually("it to be given back", async () => {
      const { json } = await admin("GET", `/${id}`);
      return json.status === "returned" ? json : undefined;
    });
    assert.match(returned_by, /^purser, because nothing happened for 30 days$/);
    context.mock.timers.setTime(NOON + 60 * DAY_MS);
    await eventually("it to be deleted", async () => ((await readdir(join(stand.directory, "handovers"))).length === 0 ? true : undefined));
    assert.equal((await admin("GET", `/${id}`)).json.code, "handover_unknown");
  });

  test("is all of it over a restart, and people are not told again", async (context) => {
    const { stand, handedOver, admin, call, told, receiver, config } = await startScene(context, "{ 100%: hand over keep 2d }", {
      store: "sqlite",
    });
    const id = await handedOver();
    await told(1);
    await admin("POST", `/${id}/answer`, { by: "Kim", text: "Use the pump." });
    await stand.gateway.close();
    const text = `server: { port: 0 }\ndata: ${JSON.stringify(stand.directory)}\n${config("{ 100%: hand over keep 2d }")}`;
    const next = await startGateway({ config: readConfig({ text, environment: {} }) });
    context.after(() => next.close());
    const again = async () => post(`${next.url}/v1/chat/completions`, CALL, { "x-purser-user": "ann" });
    assert.equal(saidBy(await again()), "Use the pump.");
    const { json } = await readAnswer(await fetch(`${next.url}/api/handovers/${id}`));
    assert.deepEqual([json.taken_by, json.calls, json.conversation[0].text], ["Kim", 2, WORDS]);
    assert.equal((await told(2)).type, "handover.continued");
    assert.equal(receiver.posted.length, 2);
    await assert.rejects(call());
  });
});

describe("a person", () => {
  test("is told before they give it back that its next call would be handed over anew, unless more is given", async (context) => {
    const { stand, call, handedOver, told, admin } = await startScene(context, "{ 100%: hand over }");
    const id = await handedOver();
    const page = async () => (await fetch((await told(1)).data.link)).text();
    assert.equal((await admin("GET", `/${id}`)).json.hands_over_again, true);
    assert.match(await page(), /its next call would be handed over anew/);
    const grant = { budget: "chat", for: { user: "ann" }, amount: "5 requests / day", until: "1h", why: "she waited" };
    assert.equal((await post(`${stand.url}/api/grants`, grant)).status, 201);
    assert.equal((await admin("POST", `/${id}/take`, {})).json.hands_over_again, false);
    assert.ok(!(await page()).includes("handed over anew"));
    assert.equal((await admin("POST", `/${id}/return`, {})).json.hands_over_again, false);
    assert.equal(saidBy(await call()), "Aye.");
  });

  test("reads, takes and answers on the page behind the link, which looking at does not change", async (context) => {
    const { stand, call, handedOver, told, admin } = await startScene(context, "{ 100%: hand over keep 2d }");
    const id = await handedOver();
    await call({ messages: [{ role: "user", content: "<script>alert(1)</script>" }] });
    const url = new URL((await told(1)).data.link);
    const press = async (fields: Record<string, string>) => {
      const body = new URLSearchParams({ token: url.searchParams.get("token") ?? "", ...fields });
      const response = await fetch(url.origin + url.pathname, { method: "POST", body });
      return { status: response.status, text: await response.text() };
    };
    for (let i = 0; i < 2; i++) {
      const page = await fetch(url);
      const html = await page.text();
      assert.match(html, /user=ann waits for a person/);
      assert.ok(html.includes("&lt;script&gt;alert(1)") && !html.includes("<script>"));
      assert.equal(page.headers.get("cache-control"), "no-store");
    }
    assert.equal((await admin("GET", "")).json.data[0].status, "waiting");
    assert.match((await press({ name: "Kim", had: "", do: "Take" })).text, /It is with Kim now/);
    const late = await press({ name: "Ann-Lee", had: "", do: "Take" });
    assert.deepEqual([late.status, /Kim has it since/.test(late.text)], [409, true], "who looked before is told");
    assert.match((await press({ name: "Ann-Lee", had: "Kim", do: "Take" })).text, /It is with Ann-Lee now/);
    assert.equal((await press({ name: "Ann-Lee", text: " ", do: "Answer" })).status, 409);
    assert.match(
      (await press({ name: "Ann-Lee", text: "Use <b>the</b> pump.", do: "Answer and give back" })).text,
      /Answered and given back/,
    );
    assert.equal(saidBy(await call()), "Use <b>the</b> pump.");
    assert.equal((await press({ name: "Kim", text: "More", do: "Answer" })).status, 409, "it was given back");
    const forged = new URL(url);
    forged.searchParams.set("token", `${url.searchParams.get("token")}x`);
    assert.equal((await fetch(forged)).status, 403);
    assert.equal((await fetch(url, { method: "DELETE" })).status, 404);
    const deeds = (await new AuditLog(stand.directory).lines()).filter(({ what }) => what.startsWith("handover."));
    assert.deepEqual(
      deeds.slice(2, 5).map(({ by, what }) => `${by}: ${what}`),
      ["Kim, by a signed link: handover.taken", "Ann-Lee, by a signed link: handover.taken", "Ann-Lee, by a signed link: handover.taken"],
    );
    assert.equal(deeds[0]?.what, "handover.read");
    assert.ok(!(await everythingIn(stand.directory)).includes("audit.jsonl: Use"));
    assert.ok(!(await readFile(join(stand.directory, "audit.jsonl"), "utf8")).includes("pump"));
    assert.ok(deeds.every(({ details }) => details?.handover === id));
  });

  test("is told apart: who takes what another has is told so, and who does it stands in the audit log", async (context) => {
    const { stand, handedOver, admin } = await startScene(context);
    const id = await handedOver();
    await admin("POST", `/${id}/take`, { by: "Kim" });
    const taken = await admin("POST", `/${id}/take`, { by: "Lee" });
    assert.deepEqual([taken.status, taken.json.code], [409, "handover_conflict"]);
    assert.equal((await admin("POST", `/${id}/take`, { by: "Lee", over: true })).json.taken_by, "Lee");
    await admin("POST", `/${id}/answer`, { by: "Kim", text: "secret pump" });
    assert.equal((await admin("GET", `/${id}`)).json.taken_by, "Kim", "whoever answers has it");
    for (const [path, body] of [
      [`/${id}/answer`, {}],
      [`/${id}/answer`, { text: "x".repeat(20_001) }],
      [`/${id}/answer`, { text: "x", by: 7 }],
      [`/${id}/take`, { text: "x" }],
      [`/${id}/return`, { over: true }],
    ] as const)
      assert.deepEqual((await admin("POST", path, body)).json.code, "body_invalid", JSON.stringify(body));
    assert.equal((await admin("POST", "/handover_none/take", {})).status, 404);
    await admin("POST", `/${id}/return`, { by: "Kim" });
    for (const deed of ["take", "answer", "return"])
      assert.equal((await admin("POST", `/${id}/${deed}`, deed === "answer" ? { text: "x" } : {})).status, 409, deed);
    assert.deepEqual([(await admin("GET", "")).json.total, (await admin("GET", "?all=true")).json.total], [0, 1]);
    const log = await readFile(join(stand.directory, "audit.jsonl"), "utf8");
    assert.match(log, /"body":\{"by":"Kim","text":\{"characters":11\}\}/);
    assert.ok(!log.includes("secret pump"));
  });

  test("who waits, and for how long, is in the metrics", async (context) => {
    context.mock.timers.enable({ apis: ["Date"], now: NOON });
    const { stand, call, handedOver, admin } = await startScene(context);
    const metrics = async () => (await fetch(`${stand.url}/metrics`)).text();
    assert.match(await metrics(), /^purser_handovers_open\{status="waiting"\} 0$/m);
    const id = await handedOver();
    await call({}, { "x-purser-session": "another" });
    await admin("POST", `/${id}/take`, { by: "Kim" });
    const text = await metrics();
    assert.match(text, /^purser_handovers_open\{status="waiting"\} 1$/m);
    assert.match(text, /^purser_handovers_open\{status="taken"\} 1$/m);
    assert.match(text, /^purser_handovers_unanswered 2$/m);
    assert.match(text, new RegExp(`^purser_handovers_oldest_unanswered_timestamp_seconds ${NOON / 1000}$`, "m"));
  });
});

test("a ladder that hands over has somebody who is told", () => {
  const read = (rung: string, channels: string) =>
    readConfig({ text: `${channels}\nbudgets: [{ name: a, limits: [$1 / day], ladder: { 100%: ${rung} } }]`, environment: {} });
  assert.throws(() => read("hand over", ""), /tells somebody, and no channel is configured/);
  assert.throws(
    () => read("hand over chta", 'channels: { chat: { kind: slack, url: "https://example.com/x" } }'),
    /no channel "chta" is configured.*chat/,
  );
});
