import assert from "node:assert/strict";
import { test } from "node:test";
import { ADMIN_ROUTES } from "../admin/routes.ts";
import { PRICES, providersAt, type Stand, startStand } from "./stand.ts";

const CONFIG = `${providersAt("http://127.0.0.1:9")}\n${PRICES}\nbudgets: [{ name: all, limits: [$5 / month] }, { name: each, per: user, limits: [$1 / day] }]`;

interface SignedIn {
  readonly cookie: string;
  readonly csrf: string;
}

async function signIn({ url }: Stand, token: string): Promise<SignedIn> {
  const response = await fetch(`${url}/session`, { method: "POST", body: JSON.stringify({ token }) });
  assert.equal(response.status, 200);
  const { csrf } = (await response.json()) as { csrf: string };
  return { cookie: (response.headers.get("set-cookie") ?? "").split(";", 1)[0] ?? "", csrf };
}

test("a signed-in browser changes something only where the screen itself asks for it", async (context) => {
  const stand = await startStand(context, { config: CONFIG });
  const { secret } = await stand.gateway.keys.create({ name: "chief", role: "admin" });
  const { cookie, csrf } = await signIn(stand, secret);
  const make = (headers: Record<string, string>) =>
    fetch(`${stand.url}/api/keys`, { method: "POST", headers: { cookie, ...headers }, body: JSON.stringify({ name: "x" }) });
  assert.equal((await fetch(`${stand.url}/api/keys`, { headers: { cookie } })).status, 200, "looking needs no more than the cookie");
  assert.equal((await make({})).status, 403);
  assert.equal((await make({ "x-purser-csrf": "guessed" })).status, 403);
  assert.equal((await make({ "x-purser-csrf": csrf, origin: "https://evil.example" })).status, 403);
  assert.equal((await make({ "x-purser-csrf": csrf, "sec-fetch-site": "cross-site" })).status, 403);
  assert.equal((await make({ "x-purser-csrf": csrf })).status, 201);
  const ended = await fetch(`${stand.url}/session`, { method: "DELETE", headers: { cookie, "x-purser-csrf": csrf } });
  assert.match(ended.headers.get("set-cookie") ?? "", /purser_session=; Path=\/; Max-Age=0/);
});

test("the cookie makes no calls: those need a key", async (context) => {
  const stand = await startStand(context, { config: CONFIG });
  const { secret } = await stand.gateway.keys.create({ name: "chief", role: "admin" });
  const { cookie, csrf } = await signIn(stand, secret);
  const body = JSON.stringify({ model: "gpt-4o", messages: [{ role: "user", content: "Hi" }] });
  const response = await fetch(`${stand.url}/v1/chat/completions`, { method: "POST", headers: { cookie, "x-purser-csrf": csrf }, body });
  assert.equal(response.status, 401);
});

test("who signed in with a caller's key is refused by every route of the owner, and sees what is left of it", async (context) => {
  const stand = await startStand(context, { config: CONFIG });
  const { secret } = await stand.gateway.keys.create({ name: "ann", attributes: { user: "ann" } });
  const { cookie, csrf } = await signIn(stand, secret);
  const headers = { cookie, "x-purser-csrf": csrf };
  for (const { method, path } of ADMIN_ROUTES) {
    const response = await fetch(stand.url + path.replace(/\{\w+\}/, "x"), { method, headers });
    assert.equal(response.status, 403, `${method} ${path}`);
    await response.body?.cancel();
  }
  const { data } = (await (await fetch(`${stand.url}/budget`, { headers })).json()) as { data: { budget: string; subject: string }[] };
  assert.deepEqual(
    data.map(({ budget, subject }) => [budget, subject]),
    [
      ["all", ""],
      ["each", "user=ann"],
    ],
  );
  assert.equal((await fetch(`${stand.url}/budget`)).status, 401);
});

test("token after token is slowed down", async (context) => {
  const stand = await startStand(context, { config: CONFIG });
  const { secret } = await stand.gateway.keys.create({ name: "chief", role: "admin" });
  const attempt = (token: string) => fetch(`${stand.url}/session`, { method: "POST", body: JSON.stringify({ token }) });
  for (let i = 0; i < 5; i++) assert.equal((await attempt(`pa-${i}`)).status, 401);
  const slowed = await attempt(secret);
  assert.deepEqual([slowed.status, ((await slowed.json()) as { code: string }).code], [429, "sign_in_slowed"]);
  assert.ok(Number(slowed.headers.get("retry-after")) >= 1);
});

test("the screen is at every address of it, and programs are told that a path is wrong", async (context) => {
  const stand = await startStand(context, { config: CONFIG });
  const browser = { accept: "text/html,application/xhtml+xml,*/*;q=0.8", "accept-encoding": "gzip, br" };
  for (const path of ["/", "/budgets/all", "/calls?outcome=denied"]) {
    const response = await fetch(stand.url + path, { headers: browser });
    assert.equal(response.status, 200, path);
    assert.match(response.headers.get("content-security-policy") ?? "", /default-src 'none'; script-src 'self'/);
    assert.match(await response.text(), /<div id="root">/);
    const etag = response.headers.get("etag") ?? "";
    assert.equal((await fetch(stand.url + path, { headers: { ...browser, "if-none-match": etag } })).status, 304);
  }
  const page = await (await fetch(`${stand.url}/`)).text();
  const [, script = ""] = /src="(\/assets\/[^"]+\.js)"/.exec(page) ?? [];
  const loaded = await fetch(stand.url + script, { headers: { "accept-encoding": "br" } });
  assert.deepEqual(
    ["content-encoding", "content-type", "cache-control"].map((name) => loaded.headers.get(name)),
    ["br", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"],
  );
  for (const path of ["/budgets", "/v1/chatt", "/assets/../package.json"]) {
    const response = await fetch(stand.url + path);
    assert.equal(response.status, 404, path);
    assert.match(response.headers.get("content-type") ?? "", /json/, path);
  }
  assert.equal((await fetch(`${stand.url}/v1/chatt`, { headers: browser })).status, 404);
  assert.equal((await fetch(`${stand.url}/`, { method: "HEAD" })).status, 200);
});

test("a stop does not wait for browsers that listen", async (context) => {
  const stand = await startStand(context, { config: CONFIG, server: ", drain: 60s" });
  const listening = await fetch(`${stand.url}/api/events`);
  assert.equal(listening.headers.get("content-type"), "text/event-stream");
  const ended = listening.text();
  await stand.gateway.close();
  assert.match(await ended, /^: hello/);
});
