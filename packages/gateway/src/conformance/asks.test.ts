import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { type Ask, readAsk } from "../asks/ask.ts";
import { readAdminToken } from "../callers/admin-token.ts";
import { linkKey, signLink } from "../signed-link.ts";
import { type Answered, type Json, post, readAnswer } from "./calls.ts";
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

/** Each user may make one call a day, or so many. */
async function startScene(context: TestContext, ask: string, { limit = "1 requests", ladder = `{ 100%: ${ask} }` } = {}): Promise<Scene> {
  const [provider, receiver] = [await startRawProvider(context), await startReceiver(context)];
  const budget = `{ name: users, per: user, owner: kim@example.com, limits: [${limit} / day], ladder: ${ladder} }`;
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

describe("an owner is asked before", () => {
  const LATER = "Later, please.";
  const said = ({ json }: Answered): string => json.choices[0].message.content;

  test("a text of the same step, which the call gets when they say no or nothing", async (context) => {
    const scene = await startScene(context, `[ask 60s, 'answer "${LATER}"']`);
    const { stand, provider, call, link, receiver } = scene;
    await call();
    const waiting = call();
    await answer(await link(), "decline");
    const declined = await waiting;
    assert.deepEqual([declined.status, said(declined), declined.headers.get("x-purser-rung")], [200, LATER, "answer (users)"]);
    assert.equal(said(await call()), LATER, "at once: nobody will answer");
    assert.deepEqual([receiver.posted.length, provider.received.length], [1, 1]);
    const id = declined.headers.get("x-purser-request-id") ?? "";
    const { json } = await readAnswer(await fetch(`${stand.url}/api/requests/${id}`));
    assert.equal(json.outcome, "ready text");
    const denied = await stand.ledger("denied");
    const texts = denied.map((entry) => (entry.kind === "denied" ? entry.detail.readyText : undefined));
    assert.deepEqual(
      texts,
      [undefined, "answer (users)", undefined, "answer (users)"],
      "what was refused first stays refused in the books",
    );
    await stand.checkBooks();
  });

  test("a text of the same step, which no call gets whose owner gives more", async (context) => {
    const scene = await startScene(context, `[ask 60s +100%, 'answer "${LATER}"']`);
    const { stand, provider, call, link } = scene;
    await call();
    const waiting = call();
    await answer(await link(), "give");
    assert.equal(said(await waiting), "Aye.");
    assert.equal(provider.received.length, 2);
    await stand.checkBooks();
  });

  test("a text of a step that comes before the end, and not where it is asked for later only", async (context) => {
    const early = await startScene(context, "", {
      limit: "4 requests",
      ladder: `{ 25%: ask, 50%: 'answer "${LATER}"', 100%: 'answer "Never."' }`,
    });
    for (let i = 0; i < 2; i++) assert.equal(said(await early.call()), "Aye.");
    assert.equal(said(await early.call()), LATER, "the text of the step where it is");
    assert.match(await early.link(), /asks/);
    const late = await startScene(context, "", { limit: "4 requests", ladder: `{ 50%: 'answer "${LATER}"', 75%: ask }` });
    for (let i = 0; i < 3; i++) await late.call();
    assert.deepEqual([late.provider.received.length, late.receiver.posted.length], [2, 0]);
    const other = await startScene(context, "", { limit: "$500 / month, 1 requests", ladder: `{ $400: ask, 100%: 'answer "${LATER}"' }` });
    for (let i = 0; i < 2; i++) await other.call();
    assert.match(await other.link(), /asks/, "what is used up is asked for, wherever it stands");
  });

  test("a step that blocks, and a call is refused with whom to wait for", async (context) => {
    const { call, link, provider } = await startScene(context, "", { limit: "2 requests", ladder: "{ 50%: [ask +100%, block] }" });
    await call();
    const refused = await call();
    assert.equal(refused.status, 402);
    assert.match(refused.json.error.message, /takes no calls from 50% on.* kim@example\.com was asked for 2 requests more/);
    await answer(await link(), "give");
    assert.equal(said(await call()), "Aye.");
    assert.equal(provider.received.length, 2);
  });

  test("a person takes a conversation at a step before the end", async (context) => {
    const { call, link, stand, receiver } = await startScene(context, "", { limit: "4 requests", ladder: "{ 50%: [ask 60s, hand over] }" });
    for (let i = 0; i < 2; i++) await call();
    const waiting = call();
    const url = await link();
    assert.equal(receiver.posted[0]?.body.type, "budget.asked");
    await answer(url, "decline");
    assert.match(said(await waiting), /^A person will go on with this conversation/);
    await stand.checkBooks();
  });

  test("an answer that stands in a list comes before, and after where a call has no room and the ladder has not got so far", async (context) => {
    const ladder = `{ 100%: [ask, lookup faq, 'answer "${LATER}"'] }, min_output: 100 }\nanswers: { faq: [{ question: Ahoy, answer: Ahoy to you. }]`;
    const used = await startScene(context, "", { ladder });
    await used.call();
    assert.equal(said(await used.call()), "Ahoy to you.");
    assert.deepEqual([used.provider.received.length, used.receiver.posted.length], [1, 0]);
    const full = await startScene(context, "", { limit: "140 tokens", ladder });
    await full.call();
    const listed = await full.call();
    assert.equal(listed.status, 200, listed.text);
    assert.equal(said(listed), "Ahoy to you.");
    assert.match(await full.link(), /asks/);
    await full.stand.checkBooks();
  });
});
