import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import OpenAI from "openai";
import { AuditLog } from "../audit-log/audit-log.ts";
import { type Answered, FORMATS, type Json, post, readAnswer } from "./calls.ts";
import { type RawProvider, startRawProvider } from "./raw-provider.ts";
import { startReceiver } from "./receivers.ts";
import { eventually, PRICES, providersAt, type Stand, startStand } from "./stand.ts";
import { type Called, CONVERSATIONS } from "./tool-conversations.ts";

const CALL = { model: "m", max_tokens: 100, messages: [{ role: "user", content: "Ahoy" }] };

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  call(fields?: Json, headers?: Record<string, string>): Promise<Answered>;
}

async function startScene(context: TestContext, guard: string, more = "", path = "/v1/chat/completions"): Promise<Scene> {
  const provider = await startRawProvider(context);
  const budget = `{ name: agents, per: session, owner: kim@example.com, limits: [$10 / day], guard: ${guard} }`;
  const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\n${more}\nbudgets:\n  - ${budget}` });
  const call = (fields: Json = {}, headers = {}) =>
    post(stand.url + path, { ...CALL, ...fields }, { "x-purser-session": "s1", ...headers });
  return { stand, provider, call };
}

describe("a guard", () => {
  for (const { name, path } of FORMATS) {
    test(`${name}: stops the call that comes again and again, and says so; other calls and other sessions go on`, async (context) => {
      const { stand, provider, call } = await startScene(context, "{ repeats: 4 }", "", path);
      for (let i = 0; i < 3; i++) assert.equal((await call({ metadata: { user_id: `trace ${i}` } })).status, 200);
      const { status, headers, text, json } = await call();
      assert.equal(status, 402);
      assert.equal(headers.get("x-should-retry"), "false");
      assert.equal(json.error.code ?? json.error.details.error_code, "guard_tripped");
      assert.match(
        text,
        /This call came 4 times within ten minutes, which looks like a loop\. Budget \\"agents\\" \(session=s1\) guards against that until .* UTC\. Do not send it again: ask for something else, or ask kim@example\.com\./,
      );
      assert.equal((await call({ messages: [{ role: "user", content: "Something else" }] })).status, 200);
      assert.equal((await call({}, { "x-purser-session": "s2" })).status, 200);
      assert.equal(provider.received.length, 5);
      const [denied] = await stand.entries(1, "denied");
      assert.equal(denied?.reason, "guard_tripped");
      await stand.checkBooks();
    });
  }

  test("slows and shortens where that is what its budget says, and tells once", async (context) => {
    const receiver = await startReceiver(context);
    const channels = `channels: { hook: { kind: webhook, url: "${receiver.url}" } }`;
    const { stand, provider, call } = await startScene(context, "{ repeats: 3, do: [slow 20ms, shorten 10, tell hook] }", channels);
    for (let i = 0; i < 2; i++) assert.equal((await call()).headers.get("x-purser-rung"), null);
    for (let i = 0; i < 3; i++) {
      const { status, headers } = await call();
      assert.equal(status, 200);
      assert.equal(headers.get("x-purser-rung"), "slow 20ms (agents repeats), shorten 10 (agents repeats)");
      assert.equal(JSON.parse(provider.received.at(-1)?.body ?? "").max_tokens, 10);
    }
    await eventually("a notice", () => receiver.posted.length > 0 || undefined);
    await stand.gateway.close();
    assert.deepEqual(
      receiver.posted.map(({ body }) => [body.type, body.data.guard, body.data.subject, body.data.owner]),
      [["guard.tripped", "repeats", "session=s1", "kim@example.com"]],
    );
  });

  test("stops a context that grows with every call", async (context) => {
    const { call } = await startScene(context, "{ growth: 5 }");
    const messages = [{ role: "user", content: "word ".repeat(40) }];
    const statuses: number[] = [];
    for (let i = 0; i < 7; i++) {
      statuses.push((await call({ messages })).status);
      messages.push({ role: "assistant", content: "word ".repeat(40) }, { role: "user", content: "word ".repeat(40) });
    }
    assert.deepEqual(statuses, [200, 200, 200, 200, 200, 402, 402]);
  });

  test("that stands is seen over the API, with what it tells, and lets go when it is told to", async (context) => {
    const { stand, call } = await startScene(context, "{ repeats: 2, growth: 3, lasts: 1 h }");
    const guards = async () => (await readAnswer(await fetch(`${stand.url}/api/guards`))).json.data;
    const end = async (id: string) => readAnswer(await fetch(`${stand.url}/api/guards/${id}?by=kim&why=a+test`, { method: "DELETE" }));
    assert.deepEqual(await guards(), []);
    await call();
    const { json } = await call();
    const [standing, ...others] = await guards();
    assert.deepEqual(others, []);
    const { id, at, until, message, ...rest } = standing;
    assert.match(id, /^trip_[0-9a-f]{24}$/);
    assert.equal(Date.parse(until) - Date.parse(at), 3_600_000);
    assert.equal(message, json.error.message);
    assert.deepEqual(rest, { budget: "agents", subject: "session=s1", guard: "repeats", measured: 2, does: ["block"] });
    assert.equal((await call()).status, 402);
    assert.equal((await guards()).length, 1, "it is one and the same");
    const { status, json: ended } = await end(id);
    assert.deepEqual([status, ended.id], [200, id]);
    assert.deepEqual(await guards(), []);
    assert.equal((await call()).status, 200, "it has to come as often again");
    assert.equal((await call()).status, 402);
    const again = await end(id);
    assert.deepEqual([again.status, again.json.code], [404, "guard_unknown"]);
    assert.match(again.json.detail, /`GET \/api\/guards` lists those that stand/);
    const lines = (await new AuditLog(stand.directory).lines()).filter(({ what }) => what === "DELETE /api/guards/{id}");
    assert.deepEqual(
      lines.map(({ details }) => details?.query ?? details?.status),
      ["by=kim&why=a+test", 200, "by=kim&why=a+test", 404],
    );
  });

  test("against growth and loops of tools is seen and lets go too, until it goes on for as long again", async (context) => {
    const { stand, call } = await startScene(context, "{ same_tool: 2, growth: 3 }");
    const guards = async () => (await readAnswer(await fetch(`${stand.url}/api/guards`))).json.data;
    const words = (calls: number) => ({ messages: [{ role: "user", content: "word ".repeat(100 * calls) }] });
    for (let calls = 1; calls < 4; calls++) assert.equal((await call(words(calls))).status, 200);
    assert.equal((await call(words(4))).status, 402);
    const read: Called = { tool: "read", input: {}, result: "" };
    const loop = (times: number) => CONVERSATIONS["openai-chat"]?.(["Go", ...Array.from({ length: times }, () => [read])]);
    const headers = { "x-purser-session": "s2" };
    assert.equal((await call(loop(2), headers)).status, 402);
    const standing = await guards();
    assert.deepEqual(standing.map(({ guard, subject }: Json) => `${guard} ${subject}`).sort(), [
      "growth session=s1",
      "same_tool session=s2",
    ]);
    for (const { id } of standing) await fetch(`${stand.url}/api/guards/${id}`, { method: "DELETE" });
    assert.deepEqual(await guards(), []);
    assert.equal((await call(words(5))).status, 200);
    assert.equal((await call(loop(2), headers)).status, 200);
    assert.equal((await call(loop(3), headers)).status, 402);
    assert.equal((await guards()).length, 1);
  });

  test("is not tried again by an SDK", async (context) => {
    const { stand, provider } = await startScene(context, "{ repeats: 2 }");
    const client = new OpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none", defaultHeaders: { "x-purser-session": "s1" } });
    const call = () => client.chat.completions.create({ model: "m", messages: [{ role: "user", content: "Ahoy" }] });
    await call();
    await assert.rejects(call, { status: 402, code: "guard_tripped" });
    assert.equal(provider.received.length, 1);
    assert.equal((await stand.ledger("denied")).length, 1);
  });

  test("of a budget that only observes refuses nothing, and tells", async (context) => {
    const receiver = await startReceiver(context);
    const provider = await startRawProvider(context);
    const { url, gateway } = await startStand(context, {
      config: `${providersAt(provider.url)}\n${PRICES}\nchannels: { hook: { kind: webhook, url: "${receiver.url}" } }
budgets: [{ name: a, mode: observe, limits: [$1 / day], guard: { repeats: 2, do: [block, tell] } }]`,
    });
    for (let i = 0; i < 4; i++) assert.equal((await post(`${url}/v1/chat/completions`, CALL)).status, 200);
    await eventually("a notice", () => receiver.posted.length > 0 || undefined);
    await gateway.close();
    assert.equal(receiver.posted.length, 1);
  });
});
