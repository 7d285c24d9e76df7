import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import OpenAI from "openai";
import { type Answered, FORMATS, type Json, post } from "./calls.ts";
import { type RawProvider, startRawProvider } from "./raw-provider.ts";
import { startReceiver } from "./receivers.ts";
import { eventually, PRICES, providersAt, type Stand, startStand } from "./stand.ts";

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
