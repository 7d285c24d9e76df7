import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { type Ask, readAsk } from "../asks/ask.ts";
import { readAdminToken } from "../callers/admin-token.ts";
import { linkKey, signLink } from "../signed-link.ts";
import { type Answered, type Json, post } from "./calls.ts";
import { type RawProvider, startRawProvider } from "./raw-provider.ts";
import { type Receiver, startReceiver } from "./receivers.ts";
import { eventually, PRICES, providersAt, type Stand, startStand } from "./stand.ts";

const CALL = { model: "m", max_tokens: 100, messages: [{ role: "user", content: "Ahoy" }] };

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  readonly receiver: Receiver;
  call(user?: string, signal?: AbortSignal): Promise<Answered>;
  /** The link in the latest notice. */
  link(count?: number): Promise<string>;
}

/** Each user may make one call a day. */
async function startScene(context: TestContext, ask: string): Promise<Scene> {
  const [provider, receiver] = [await startRawProvider(context), await startReceiver(context)];
  const budget = `{ name: users, per: user, owner: kim@example.com, limits: [1 requests / day], ladder: { 100%: ${ask} } }`;
  const stand = await startStand(context, {
    config: `${providersAt(provider.url)}\n${PRICES}\nchannels: { hook: { kind: webhook, url: "${receiver.url}" } }\nbudgets:\n  - ${budget}`,
  });
  return {
    stand,
    provider,
    receiver,
    call: async (user = "ann", signal) => {
      const headers = { "content-type": "application/json", "x-purser-user": user };
      const sent = fetch(`${stand.url}/v1/chat/completions`, {
        method: "POST",
        headers,
        body: JSON.stringify(CALL),
        ...(signal && { signal }),
      });
      const response = await sent;
      const text = await response.text();
      return { status: response.status, headers: response.headers, text, json: JSON.parse(text) };
    },
    link: (count = 1) => eventually("a notice", () => receiver.posted[count - 1]?.body.data.link),
  };
}

async function answer(link: string, verdict: "give" | "decline"): Promise<number> {
  const url = new URL(link);
  const body = new URLSearchParams({ token: url.searchParams.get("token") ?? "", answer: verdict });
  return (await fetch(url.origin + url.pathname, { method: "POST", body })).status;
}

async function grantsOf({ stand }: Scene): Promise<readonly Json[]> {
  return ((await (await fetch(`${stand.url}/api/grants`)).json()) as Json).data;
}

describe("an owner who is asked", () => {
  test("gives more by a link, and the call that waits goes on within two seconds", async (context) => {
    const scene = await startScene(context, "ask 60s +100%");
    const { stand, provider, call, link } = scene;
    assert.equal((await call()).status, 200);
    const waiting = call();
    const url = await link();
    const { title, text, owner, subject } = scene.receiver.posted[0]?.body.data ?? {};
    assert.deepEqual([title, owner, subject], ['Budget "users" (user=ann) asks for more', "kim@example.com", "user=ann"]);
    assert.match(text, /Give 1 request more until .* UTC, or decline: http/);
    for (let i = 0; i < 2; i++) {
      const page = await fetch(url);
      assert.match(await page.text(), /1 request more for budget &quot;users&quot; \(user=ann\) until/);
      assert.equal(page.headers.get("cache-control"), "no-store");
    }
    assert.deepEqual(await grantsOf(scene), [], "to look at a link gives nothing");
    const began = performance.now();
    assert.equal(await answer(url, "give"), 200);
    const { status, headers } = await waiting;
    assert.equal(status, 200);
    assert.ok(performance.now() - began < 2000, "within two seconds");
    const [grant] = await grantsOf(scene);
    assert.deepEqual([grant.budget, grant.subject, grant.amount, grant.giver], ["users", "user=ann", 1, "kim@example.com"]);
    assert.equal(provider.received.length, 2);
    const [denied] = await stand.entries(1, "denied");
    assert.notEqual(denied?.reservation, headers.get("x-purser-request-id"), "what was refused stays refused in the books");
    await stand.checkBooks();
  });

  test("is not taken in by links that are forged, expired or used, and nothing is given for them", async (context) => {
    const scene = await startScene(context, "ask +100%");
    const { stand, call, link } = scene;
    for (let i = 0; i < 2; i++) await call();
    const url = new URL(await link());
    const token = url.searchParams.get("token") ?? "";
    const [content = "", signed = ""] = token.split(".");
    const ask: Ask = JSON.parse(Buffer.from(content, "base64url").toString());
    const withToken = (one: string) => `${url.origin}/asks?token=${one}`;
    const more = Buffer.from(JSON.stringify({ ...ask, amount: "1000000 requests / day" })).toString("base64url");
    const forged = [
      `${more}.${signed}`,
      `${content}.`,
      content,
      "",
      `${content}.${signed}.x`,
      signLink(ask, linkKey("another secret", "asks")),
    ];
    for (const one of forged) {
      assert.equal(await answer(withToken(one), "give"), 403, one);
      assert.equal((await fetch(withToken(one))).status, 403);
    }
    const key = linkKey((await readAdminToken(stand.directory)) ?? "", "asks");
    assert.equal(readAsk(token, key, Date.now()).ok, true);
    assert.equal(await answer(withToken(signLink({ ...ask, expiresAt: Date.now() - 1 }, key)), "give"), 410);
    assert.deepEqual(await grantsOf(scene), []);
    assert.equal(await answer(withToken(token), "give"), 200);
    for (const verdict of ["give", "decline"] as const) assert.equal(await answer(withToken(token), verdict), 410);
    assert.equal((await grantsOf(scene)).length, 1);
  });

  test("is asked once for all calls that need the same, and may decline", async (context) => {
    const scene = await startScene(context, "ask 60s");
    const { stand, provider, call, link, receiver } = scene;
    await call();
    const waiting = [call(), call(), call()];
    const url = await link();
    await eventually("three refusals", async () => (await stand.ledger("denied")).length === 3 || undefined);
    assert.equal(await answer(url, "decline"), 200);
    for (const { status, json } of await Promise.all(waiting)) {
      assert.equal(status, 402);
      assert.match(json.error.message, /kim@example\.com was asked for 1 request more: try again when it is given\.$/);
    }
    assert.equal(await answer(url, "give"), 410, "what was declined is not given by the same link");
    assert.equal((await call()).status, 402, "at once: nobody will answer");
    assert.equal(receiver.posted.length, 1);
    assert.equal(provider.received.length, 1);
    await stand.checkBooks();
  });

  test("may take their time: without a wait the call is refused at once, and passes when more was given", async (context) => {
    const scene = await startScene(context, "ask hook");
    const { call, link } = scene;
    await call();
    const refused = await call();
    assert.equal(refused.status, 402);
    assert.equal(refused.headers.get("x-should-retry"), "false");
    await answer(await link(), "give");
    assert.equal((await call()).status, 200);
    assert.equal((await call("bob")).status, 200, "others are not concerned");
    assert.equal((await call("bob")).status, 402);
    assert.equal((await call()).status, 402);
    assert.notEqual(await link(3), await link(1), "and who has used it up again asks again");
  });

  test("may give in another way, and who left meanwhile is charged nothing", async (context) => {
    const scene = await startScene(context, "ask 60s");
    const { stand, provider, call, link } = scene;
    await call();
    const leaving = new AbortController();
    const left = call("ann", leaving.signal);
    await link();
    leaving.abort();
    await assert.rejects(left);
    const waiting = call();
    await eventually("two refusals", async () => (await stand.ledger("denied")).length === 2 || undefined);
    const grant = { budget: "users", for: { user: "ann" }, amount: "1 requests / day", until: "1h", why: "why not" };
    assert.equal((await post(`${stand.url}/api/grants`, grant)).status, 201);
    assert.equal((await waiting).status, 200);
    assert.equal(provider.received.length, 2);
    await stand.checkBooks();
  });

  test("is not asked for balances of nobody in particular, nor by other methods", async (context) => {
    const { stand, receiver } = await startScene(context, "ask");
    for (let i = 0; i < 2; i++) await post(`${stand.url}/v1/chat/completions`, CALL);
    assert.equal(receiver.posted.length, 0);
    assert.equal((await fetch(`${stand.url}/asks`, { method: "PUT" })).status, 404);
  });
});
