import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import OpenAI from "openai";
import { readConfig } from "../config/read-config.ts";
import { type Answered, type Json, post, readAnswer } from "./calls.ts";
import { type Answer, answerChat, geminiAnswer, type RawProvider, startRawProvider, writeJson } from "./raw-provider.ts";
import { isSigned, startReceiver } from "./receivers.ts";
import { eventually, PRICES, providersAt, type Stand, startStand } from "./stand.ts";

const MAIN = fileURLToPath(new URL("../cli/main.js", import.meta.url));
const NOON = Date.UTC(2026, 10, 20, 12);
const TOMORROW = Date.UTC(2026, 10, 21);
const HOUR_MS = 3_600_000;

const CALL = { model: "m", max_tokens: 100, messages: [{ role: "user", content: "Ahoy, secret words" }] };
const ASYNC = { prefer: "respond-async" };

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  call(headers?: Record<string, string>, fields?: Json): Promise<Answered>;
  /** Looks at the address of a queued call. */
  look(id: string, headers?: Record<string, string>, method?: string): Promise<Answered>;
  /** Lets it be tomorrow, when the budget resets. */
  sleep(until?: number): void;
  /** Waits until a queued call has ended, and returns what its address then says. */
  ended(id: string, headers?: Record<string, string>): Promise<Answered>;
  stored(): Promise<readonly string[]>;
}

interface SceneOptions {
  readonly ladder?: string;
  readonly answer?: Answer;
  readonly more?: string;
  readonly limit?: number;
}

/** A budget of one call a day. */
async function startScene(
  context: TestContext,
  { ladder = "{ 100%: queue }", answer = answerChat(), more = "", limit = 1 }: SceneOptions = {},
): Promise<Scene> {
  context.mock.timers.enable({ apis: ["Date"], now: NOON });
  const provider = await startRawProvider(context, answer);
  const budgets = `budgets: [{ name: daily, limits: [${limit} requests / day], ladder: ${ladder} }]`;
  const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\n${budgets}\n${more}` });
  const look = async (id: string, headers = {}, method = "GET") => readAnswer(await fetch(`${stand.url}/queue/${id}`, { method, headers }));
  return {
    stand,
    provider,
    call: (headers = ASYNC, fields = {}) => post(`${stand.url}/v1/chat/completions`, { ...CALL, ...fields }, headers),
    look,
    sleep: (until = TOMORROW) => context.mock.timers.setTime(until),
    ended: (id, headers) =>
      eventually("the queued call to end", async () => {
        const answered = await look(id, headers);
        return answered.status === 202 ? undefined : answered;
      }),
    stored: () => readdir(join(stand.directory, "queue")),
  };
}

describe("calls that wait, for whoever runs the gateway", () => {
  const admin = async ({ url }: Stand, method: string, path: string) => {
    const response = await fetch(`${url}/api/queue${path}`, { method });
    return { status: response.status, body: (await response.json()) as Json };
  };

  test("are listed with whose they are and when they ask, and without what they say", async (context) => {
    const { stand, call, sleep, look } = await startScene(context);
    await call();
    const { json: first } = await call({ ...ASYNC, "x-purser-user": "ann" });
    const { json: second } = await call({ ...ASYNC, "x-purser-user": "bob", "x-purser-tags": "customer=acme" });
    const { body } = await admin(stand, "GET", "");
    assert.equal(body.total, 2);
    assert.deepEqual(body.data[0], {
      id: first.id,
      status: "queued",
      rung: "queue (daily 100%)",
      subject: { user: "ann" },
      key: null,
      path: "/v1/chat/completions",
      queued_at: new Date(NOON).toISOString(),
      runs_at: new Date(TOMORROW).toISOString(),
      gives_up_at: new Date(TOMORROW + 24 * HOUR_MS).toISOString(),
      kept_until: new Date(TOMORROW + 48 * HOUR_MS).toISOString(),
      answered: null,
      failure: null,
    });
    assert.deepEqual(body.data[1].subject, { user: "bob", tags: { customer: "acme" } });
    assert.ok(!JSON.stringify(body).includes("secret words"));
    const metrics = await (await fetch(`${stand.url}/metrics`)).text();
    assert.match(metrics, /^purser_queued_calls 2$/m);
    assert.match(metrics, new RegExp(`^purser_queued_calls_oldest_timestamp_seconds ${NOON / 1000}$`, "m"));
    sleep();
    const ended = await eventually("one to be made", async () => {
      const { data } = (await admin(stand, "GET", "")).body;
      return data.find(({ status }: Json) => status === "done");
    });
    assert.equal(ended.answered, 200);
    const other = ended.id === first.id ? second.id : first.id;
    assert.equal((await look(other)).status, 202, "the other one waits for another day");
  });

  test("ask now when they are told to, and are made where there is room", async (context) => {
    const { stand, call, look, ended } = await startScene(context);
    await call();
    const { json } = await call();
    const grant = { budget: "daily", amount: "1 request / day", until: new Date(TOMORROW).toISOString(), why: "a test" };
    const given = await fetch(`${stand.url}/api/grants`, { method: "POST", body: JSON.stringify(grant) });
    assert.equal(given.status, 201, await given.text());
    assert.equal((await look(json.id)).status, 202, "nobody asks before the time by itself");
    assert.equal((await admin(stand, "POST", `/${json.id}/run`)).body.runs_at, new Date(NOON).toISOString());
    assert.equal((await ended(json.id)).status, 200);
    assert.equal((await admin(stand, "POST", "/queued_none/run")).status, 404);
  });

  test("are called off with a reason, which their callers and the audit log get", async (context) => {
    const { stand, provider, call, look, sleep, stored } = await startScene(context);
    await call();
    const { json } = await call();
    const off = await admin(stand, "DELETE", `/${json.id}?why=not+needed&by=ann`);
    assert.deepEqual([off.status, off.body.status, off.body.failure], [200, "failed", "It was called off: not needed (ann)"]);
    sleep();
    const told = await look(json.id);
    assert.deepEqual([told.status, told.json.error.code], [402, "switched_off"]);
    assert.equal(told.json.error.message, "It was called off: not needed (ann)");
    assert.equal(provider.received.length, 1, "it was never made");
    await eventually("the files to go", async () => ((await stored()).length === 0 ? true : undefined));
    assert.equal((await admin(stand, "DELETE", `/${json.id}`)).status, 404);
    const log = await fetch(`${stand.url}/api/audit`).then((response) => response.json() as Promise<Json>);
    assert.ok(JSON.stringify(log).includes(json.id), JSON.stringify(log));
  });

  test("that are being made are let be, and the answers of those that have ended are deleted", async (context) => {
    let go: () => void = () => undefined;
    const { stand, provider, call, look, sleep, stored } = await startScene(context);
    await call();
    const { json } = await call();
    provider.answer = (response, received) => {
      go = () => void answerChat()(response, received);
    };
    sleep();
    await eventually("the call to be made", () => (provider.received.length === 2 ? true : undefined));
    const busy = await admin(stand, "DELETE", `/${json.id}`);
    assert.deepEqual([busy.status, busy.body.code], [409, "queued_call_running"]);
    go();
    await eventually("its answer", async () => {
      const { data } = (await admin(stand, "GET", "")).body;
      return data[0]?.status === "done" ? true : undefined;
    });
    assert.equal((await admin(stand, "DELETE", `/${json.id}`)).body.status, "deleted");
    assert.equal((await look(json.id)).status, 404);
    assert.deepEqual(await stored(), []);
  });
});

describe("a call that waits for its budget", () => {
  test("is answered 202 at once, made when the window resets, and its answer given once", async (context) => {
    const { stand, provider, call, look, sleep, ended, stored } = await startScene(context);
    assert.equal((await call()).status, 200, "while there is room nobody waits");
    const waiting = await call();
    assert.equal(waiting.status, 202, waiting.text);
    const { id } = waiting.json;
    assert.deepEqual(
      { ...waiting.json, id: "", url: "", kept_until: "" },
      {
        object: "queued_call",
        id: "",
        status: "queued",
        url: "",
        queued_at: new Date(NOON).toISOString(),
        runs_at: new Date(TOMORROW).toISOString(),
        kept_until: "",
      },
    );
    assert.equal(waiting.headers.get("location"), `/queue/${id}`);
    assert.equal(waiting.headers.get("preference-applied"), "respond-async");
    assert.equal(waiting.headers.get("retry-after"), "60");
    assert.equal(waiting.headers.get("x-purser-rung"), "queue (daily 100%)");
    assert.equal((await look(id)).json.status, "queued");
    assert.equal(provider.received.length, 1);
    sleep();
    const done = await ended(id);
    assert.deepEqual([done.status, done.json.choices[0].message.content], [200, "Aye."]);
    assert.equal(provider.received.length, 2);
    const [, own] = await stand.entries(2, "settled");
    assert.deepEqual(own?.detail.rungs, ["queue (daily 100%)"]);
    assert.equal(done.headers.get("x-purser-request-id"), own?.reservation, "its books are found by the usual id");
    await eventually("the files to go", async () => ((await stored()).length === 0 ? true : undefined));
    assert.deepEqual([(await look(id)).status, (await look(id)).json.error.code], [404, "queued_call_unknown"]);
    await stand.checkBooks();
  });

  test("is refused as ever where its client does not say that it can wait, or the budget resets later than it may", async (context) => {
    const { call } = await startScene(context, { ladder: "{ 100%: queue 2h }" });
    await call();
    assert.equal((await call({})).status, 402);
    assert.equal((await call()).status, 402, "midnight is further away than two hours");
  });

  test("waits from the step on, before the budget is used up", async (context) => {
    const { call, provider } = await startScene(context, { ladder: "{ 0%: queue, 100%: block }" });
    const { status, headers } = await call();
    assert.deepEqual([status, headers.get("x-purser-rung"), provider.received.length], [202, "queue (daily 0%)", 0]);
    assert.equal((await call({})).status, 200, "others are answered meanwhile");
  });

  test("is on disk as its client sent it, without credentials, readable by its owner only, and gone when it is fetched", async (context) => {
    const { stand, call, sleep, ended, stored } = await startScene(context);
    await call();
    const headers = { ...ASYNC, authorization: "Bearer sk-secret-1", "x-api-key": "sk-secret-2", cookie: "sk-secret-3" };
    const { json } = await call(headers);
    const files = (await stored()).toSorted();
    assert.deepEqual(files, [`${json.id}.body`, `${json.id}.call`]);
    const texts = await Promise.all(files.map((name) => readFile(join(stand.directory, "queue", name), "utf8")));
    assert.ok(texts.join().includes("secret words") && !texts.join().includes("sk-secret"), texts.join());
    sleep();
    assert.equal((await ended(json.id)).status, 200);
    await eventually("the files to go", async () => ((await stored()).length === 0 ? true : undefined));
  });

  test("is its caller's only: another key, and no key, find nothing", async (context) => {
    const { stand, call, look, sleep, ended } = await startScene(context);
    const keyOf = async (name: string) => ({ authorization: `Bearer ${(await stand.gateway.keys.create({ name })).secret}` });
    const [ann, bob] = [await keyOf("ann"), await keyOf("bob")];
    await call(ann);
    const { json } = await call({ ...ASYNC, ...ann });
    assert.equal((await look(json.id, bob)).status, 404);
    assert.equal((await look(json.id)).status, 401);
    assert.equal((await look(json.id, bob, "DELETE")).status, 404);
    sleep();
    assert.equal((await ended(json.id, ann)).status, 200);
  });

  test("is not made with a key that was revoked meanwhile", async (context) => {
    const { stand, provider, call, sleep, ended } = await startScene(context);
    const { key, secret } = await stand.gateway.keys.create({ name: "ann" });
    const other = await stand.gateway.keys.create({ name: "owner", role: "admin" });
    const ann = { authorization: `Bearer ${secret}` };
    await call(ann);
    const { json } = await call({ ...ASYNC, ...ann });
    await stand.gateway.keys.revoke(key.id);
    sleep();
    await eventually("it to be looked at", async () =>
      (await readFile(join(stand.directory, "queue", `${json.id}.call`), "utf8")).includes('"failed"') ? true : undefined,
    );
    assert.equal(provider.received.length, 1);
    assert.equal((await ended(json.id, { authorization: `Bearer ${other.secret}` })).status, 404);
  });

  test("can be called off, and is not made then", async (context) => {
    const { provider, call, look, sleep, stored } = await startScene(context);
    await call();
    const { json } = await call();
    assert.deepEqual((await look(json.id, {}, "DELETE")).json, { object: "queued_call", id: json.id, status: "deleted" });
    assert.deepEqual([(await look(json.id)).status, await stored()], [404, []]);
    sleep();
    assert.equal((await call({})).status, 200);
    assert.equal(provider.received.length, 2);
  });

  test("asks again where its window is full as well, and is made in the next one", async (context) => {
    const { provider, call, look, sleep, ended } = await startScene(context);
    await call();
    const ids = [(await call()).json.id, (await call()).json.id] as [string, string];
    sleep();
    const [other] = await eventually("one of them to be made and the other to be put off", async () => {
      const looked = await Promise.all(ids.map(async (id) => ({ id, ...(await look(id)) })));
      const waiting = looked.filter(({ status }) => status === 202);
      return waiting.length === 1 && waiting[0]?.json.runs_at === new Date(TOMORROW + 24 * HOUR_MS).toISOString() ? waiting : undefined;
    });
    sleep(TOMORROW + 24 * HOUR_MS);
    assert.equal((await ended(other?.id ?? "")).status, 200);
    assert.equal(provider.received.length, 3);
  });

  test("is made as soon as its budget is given more in the configuration", async (context) => {
    const { stand, provider, call, ended } = await startScene(context);
    await call();
    const { json } = await call();
    const more = `${providersAt(provider.url)}\n${PRICES}\nbudgets: [{ name: daily, limits: [5 requests / day], ladder: { 100%: queue } }]`;
    const data = `server: { port: 0 }\ndata: ${JSON.stringify(stand.directory)}`;
    await stand.gateway.reload(readConfig({ text: `${data}\n${more}`, environment: {} }));
    assert.equal((await ended(json.id)).status, 200);
  });

  test("is deleted where nobody fetches its answer for a day", async (context) => {
    const { stand, call, look, sleep, stored } = await startScene(context);
    await call();
    const { json } = await call();
    sleep();
    await stand.entries(2, "settled");
    await eventually("the answer to be kept", async () => ((await stored()).some((name) => name.endsWith(".answer")) ? true : undefined));
    sleep(TOMORROW + 25 * HOUR_MS);
    await eventually("it to go", async () => ((await stored()).length === 0 ? true : undefined));
    assert.equal((await look(json.id)).status, 404);
  });

  test("passes on what the provider refuses, and tries again what it has no room for or never got", async (context) => {
    const { stand, provider, call, sleep, ended } = await startScene(context);
    await call();
    const { json } = await call();
    const statuses = [503, 400];
    provider.answer = (response) => writeJson(response, statuses.shift() ?? 200, { error: { message: "no", code: "bad" } });
    sleep();
    await stand.entries(1, "released");
    sleep(TOMORROW + 2 * 60_000);
    const done = await ended(json.id);
    assert.deepEqual([done.status, done.json.error.code], [400, "bad"]);
    await stand.checkBooks();
  });

  test("fails at once where no other time could change it: its budget allows no such call any more", async (context) => {
    const { stand, provider, call, ended } = await startScene(context);
    await call();
    const { json } = await call();
    const budgets = "budgets: [{ name: daily, limits: [5 requests / day], request: { models: [other] }, ladder: { 100%: queue } }]";
    const data = `server: { port: 0 }\ndata: ${JSON.stringify(stand.directory)}`;
    await stand.gateway.reload(readConfig({ text: `${data}\n${providersAt(provider.url)}\n${PRICES}\n${budgets}`, environment: {} }));
    const done = await ended(json.id);
    assert.deepEqual([done.status, done.json.error.code, provider.received.length], [400, "model_not_allowed", 1]);
  });

  test("fails, and says so in its own format, where its provider broke off: it is not made twice", async (context) => {
    const { stand, provider, call, sleep, ended } = await startScene(context);
    await call();
    const { json } = await call();
    provider.answer = (response) => response.destroy();
    sleep();
    const done = await ended(json.id);
    assert.deepEqual([done.status, done.json.error.code], [502, "provider_unreachable"]);
    assert.match(done.json.error.message, /Its estimate was charged/);
    const settled = await stand.entries(2, "settled");
    assert.equal(settled[1]?.charge.certainty, "unconfirmed");
    assert.equal(provider.received.length, 2);
  });

  test("is whole where its client asked for a stream: OpenAI's and Gemini's", async (context) => {
    const gemini: Answer = (response, { url }) =>
      url.includes(":generateContent")
        ? writeJson(response, 200, geminiAnswer("Aye.", { input: 12, output: 5 }))
        : answerChat()(response, { url } as never);
    const { stand, provider, call, sleep, ended } = await startScene(context, { answer: gemini, ladder: "{ 0%: queue }", limit: 2 });
    const chat = await call(ASYNC, { stream: true, stream_options: { include_usage: true } });
    const contents = [{ role: "user", parts: [{ text: "Ahoy" }] }];
    const generationConfig = { maxOutputTokens: 10 };
    const path = "/v1beta/models/m:streamGenerateContent?alt=sse&key=sk-secret";
    const other = await post(stand.url + path, { contents, generationConfig }, ASYNC);
    assert.deepEqual([chat.status, other.status], [202, 202]);
    sleep();
    assert.equal((await ended(chat.json.id)).json.choices[0].message.content, "Aye.");
    const sent = (ending: string) => provider.received.find(({ url }) => url.endsWith(ending));
    const { stream, stream_options } = JSON.parse(sent("/chat/completions")?.body ?? "");
    assert.deepEqual([stream, stream_options], [false, null]);
    assert.equal((await ended(other.json.id)).json.candidates[0].content.parts[0].text, "Aye.");
    assert.equal(sent(":generateContent")?.url, "/v1beta/models/m:generateContent");
  });

  test("is pushed by a signed webhook, again until it is taken, and deleted then", async (context) => {
    const receiver = await startReceiver(context);
    receiver.status = 500;
    const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
    const more = `channels: { hook: { kind: webhook, url: "${receiver.url}/done", secret: ${secret} } }`;
    const { call, sleep, stored, look } = await startScene(context, { ladder: "{ 100%: queue hook }", more });
    await call();
    const { json } = await call();
    sleep();
    const [first] = await eventually("the first try", () => (receiver.posted.length > 0 ? receiver.posted : undefined));
    assert.ok(first && isSigned(first, secret));
    assert.equal(first.headers["webhook-id"], json.id);
    assert.deepEqual([first.body.type, first.body.data.id, first.body.data.status], ["call.done", json.id, 200]);
    assert.equal(first.body.data.answer.choices[0].message.content, "Aye.");
    receiver.status = 200;
    sleep(TOMORROW + HOUR_MS);
    await eventually("the second", async () => ((await stored()).length === 0 ? true : undefined));
    assert.equal(receiver.posted.length, 2);
    assert.equal((await look(json.id)).status, 404);
  });

  test("can be made and fetched by OpenAI's SDK", async (context) => {
    const { stand, call, sleep, ended, look } = await startScene(context);
    await call();
    const client = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none" });
    const created = await client.chat.completions
      .create({ model: "m", max_tokens: 100, messages: [{ role: "user", content: "Ahoy" }] }, { headers: ASYNC })
      .withResponse();
    assert.equal(created.response.status, 202);
    const { id } = created.data;
    assert.equal((await look(id)).status, 202);
    sleep();
    const answer = (await ended(id)).json as OpenAI.ChatCompletion;
    assert.equal(answer.choices[0]?.message.content, "Aye.");
  });
});

test("a gateway that is killed while calls wait has them when it is back, and makes each of them at most once", async (context) => {
  const provider = await startRawProvider(context, (response, received) =>
    // The third call is in the air when the gateway dies.
    received.body.includes("in the air") ? undefined : answerChat()(response, received),
  );
  const directory = await mkdtemp(join(tmpdir(), "purser-queue-"));
  context.after(() => rm(directory, { recursive: true, force: true }));
  const start = async (limit: number) => {
    const budgets = `budgets: [{ name: daily, limits: [${limit} requests / day], ladder: { 100%: queue } }]`;
    await writeFile(join(directory, "purser.yaml"), `${providersAt(provider.url)}\n${PRICES}\n${budgets}\n`);
    const child = spawn(process.execPath, [MAIN, "serve", "--json", "--port", "0"], {
      cwd: directory,
      stdio: ["ignore", "pipe", "inherit"],
    });
    context.after(() => child.kill("SIGKILL"));
    return { child, url: await urlOf(child) };
  };
  const send = (url: string, content: string) =>
    post(`${url}/v1/chat/completions`, { ...CALL, messages: [{ role: "user", content }] }, ASYNC);
  const look = async (url: string, id: string) => readAnswer(await fetch(`${url}/queue/${id}`));

  const first = await start(1);
  assert.equal((await send(first.url, "now")).status, 200);
  const waiting = [await send(first.url, "later"), await send(first.url, "in the air")];
  assert.deepEqual(
    waiting.map(({ status }) => status),
    [202, 202],
  );
  await killed(first.child);

  // The budget was given more meanwhile, so both are made: one is answered, and one is not when the gateway dies again.
  const second = await start(3);
  await eventually("both to be made", () => (provider.received.length === 3 ? true : undefined));
  const [later, air] = waiting.map(({ json }) => json.id as string) as [string, string];
  await eventually("the first to be done", async () =>
    (await readFile(join(directory, ".purser/queue", `${later}.call`), "utf8")).includes('"done"') ? true : undefined,
  );
  await killed(second.child);

  const third = await start(10);
  const done = await look(third.url, later);
  assert.deepEqual([done.status, done.json.choices[0].message.content], [200, "Aye."]);
  const lost = await look(third.url, air);
  assert.deepEqual([lost.status, lost.json.error.code], [502, "provider_unreachable"]);
  assert.match(lost.json.error.message, /may have been made, and is not made again/);
  assert.equal(provider.received.length, 3);
  await killed(third.child);
});

async function urlOf(child: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: child.stdout as NonNullable<ChildProcess["stdout"]> })) {
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0];
    if (url !== undefined) return url;
  }
  throw new Error("The gateway did not start.");
}

async function killed(child: ChildProcess): Promise<void> {
  const closed = once(child, "exit");
  child.kill("SIGKILL");
  await closed;
}
