import assert from "node:assert/strict";
import { test } from "node:test";
import { ADMIN_ROUTES, mayUse } from "../admin/routes.ts";
import { AuditLog } from "../audit-log/audit-log.ts";
import type { KeyRole } from "../callers/key.ts";
import { startDemoProvider } from "../demo/provider.ts";
import { eventually, PRICES, providersAt, startStand } from "./stand.ts";

const CONFIG = `
budgets:
  - { name: company, limits: [$5 / month] }
  - { name: each, per: user, limits: [100k tokens / day] }`;

/** What a viewer may not do, and what a member may, by name: a route that is new has to be thought about here. */
const VIEWER_MAY_NOT = /^(POST|PUT|DELETE) |^GET \/api\/(authorize|handovers\/\{id\})$/;
const VIEWER_MAY_ASK = ["POST /api/economics"];
const MEMBER_MAY = ["GET /api/budgets", "GET /api/requests", "GET /api/requests/{id}", "GET /api/report", "GET /api/openapi.json"];

async function startRoles(context: import("node:test").TestContext) {
  const provider = await startDemoProvider({ delayMs: 0 });
  context.after(() => provider.close());
  const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\n${CONFIG}` });
  const make = (role: KeyRole, name: string) => stand.gateway.keys.create({ name, role, attributes: { user: name } });
  const keys = {
    caller: await make("caller", "cal"),
    member: await make("member", "mia"),
    viewer: await make("viewer", "vic"),
    admin: await make("admin", "adi"),
    bob: await make("caller", "bob-the-other"),
  };
  const ask = async (who: keyof typeof keys, method: string, path: string, body?: object) => {
    const headers = { authorization: `Bearer ${keys[who].secret}`, "content-type": "application/json" };
    const response = await fetch(`${stand.url}${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) });
    // Events go on for ever.
    const isEndless = response.headers.get("content-type") === "text/event-stream";
    if (isEndless) await response.body?.cancel();
    const text = isEndless ? "" : await response.text();
    return { status: response.status, text, id: response.headers.get("x-purser-request-id") ?? "" };
  };
  const call = (who: keyof typeof keys) =>
    ask(who, "POST", "/v1/chat/completions", { model: "demo-1", messages: [{ role: "user", content: "Hello" }] });
  return { stand, keys, ask, call };
}

test("by every route of the admin API, each role may do what it is for, and is refused everything else", async (context) => {
  const { stand, keys, ask, call } = await startRoles(context);
  const calls = { mine: await call("member"), bobs: await call("bob") };
  assert.deepEqual([calls.mine.status, calls.bobs.status], [200, 200]);
  await stand.checkBooks();
  const state = async () =>
    JSON.stringify([stand.gateway.keys.list(), await stand.gateway.budgets.grants(), await stand.gateway.budgets.balances()]);
  const before = await state();
  let refusals = 0;
  for (const route of ADMIN_ROUTES) {
    const name = `${route.method} ${route.path}`;
    const path = route.path
      .replace("/api/keys/{id}", `/api/keys/${keys.bob.key.id}`)
      .replace("{name}", "company")
      .replace("{id}", calls.bobs.id);
    const body = route.method === "POST" ? { why: "a test", name: "mallory", role: "admin", budget: "company", amount: "$1" } : undefined;
    const allowed: Readonly<Record<string, boolean>> = {
      caller: false,
      member: MEMBER_MAY.includes(name),
      viewer: !VIEWER_MAY_NOT.test(name) || VIEWER_MAY_ASK.includes(name),
    };
    for (const [role, isAllowed] of Object.entries(allowed)) {
      assert.equal(mayUse(role as KeyRole, route), isAllowed, `${role}: ${name}`);
      const { status, text } = await ask(role as KeyRole, route.method, path, body);
      if (isAllowed) assert.ok(status !== 401 && status !== 403, `${role}: ${name} is ${status}`);
      else {
        assert.equal(status, 403, `${role}: ${name}`);
        assert.equal(JSON.parse(text).code, "key_invalid");
        refusals++;
      }
      if (role === "member") assert.ok(!/\b(bob-the-other|adi|vic)\b/.test(text), `${name} shows a member what is another's: ${text}`);
    }
  }
  assert.equal(await state(), before, "whoever was refused has changed nothing");
  const refused = await eventually("what was refused", async () => {
    await new Promise((resolve) => setImmediate(resolve));
    const lines = (await new AuditLog(stand.directory).lines()).filter(({ what }) => what === "access.refused");
    return lines.length >= 20 ? lines : undefined;
  });
  assert.ok(refused.length <= refusals);
});

test("a member sees its own calls and costs, whatever it asks for, and what its budgets have left", async (context) => {
  const { stand, keys, ask, call } = await startRoles(context);
  const mine = await call("member");
  const bobs = await call("bob");
  await stand.checkBooks();
  assert.equal((await ask("member", "GET", `/api/requests/${mine.id}`)).status, 200);
  assert.equal((await ask("member", "GET", `/api/requests/${bobs.id}`)).status, 404);
  for (const filter of ["", `&filter=key=${keys.bob.key.id}`, "&filter=key=*", "&filter=user=*"]) {
    const { data } = JSON.parse((await ask("member", "GET", `/api/report?by=key,user${filter}`)).text);
    assert.deepEqual(
      data.map(({ values }: { values: object }) => values),
      [{ key: keys.member.key.id, user: "mia" }],
      filter,
    );
  }
  for (const filter of ["", `?filter=key=${keys.bob.key.id}`, "?filter=key=*", "?filter=user=*"]) {
    const { data } = JSON.parse((await ask("member", "GET", `/api/requests${filter}`)).text);
    assert.deepEqual(
      data.map(({ id }: { id: string }) => id),
      [mine.id],
      filter,
    );
  }
  const compared = JSON.parse((await ask("member", "GET", "/api/report?by=user&compare=before")).text);
  assert.equal(compared.data.length, 1);
  const { data: balances } = JSON.parse((await ask("member", "GET", "/api/budgets")).text);
  assert.deepEqual(
    balances.map(({ budget, subject }: { budget: string; subject: string }) => [budget, subject]),
    [
      ["company", ""],
      ["each", "user=mia"],
    ],
  );
});

test("a viewer scrapes and looks, and makes no calls; only the owner makes and ends admins", async (context) => {
  const { stand, keys, ask, call } = await startRoles(context);
  assert.equal((await ask("viewer", "GET", "/metrics")).status, 200);
  assert.equal((await ask("member", "GET", "/metrics")).status, 403);
  const refused = await call("viewer");
  assert.deepEqual([refused.status, /may look at \/api, and make no calls/.test(refused.text)], [401, true]);
  assert.equal((await ask("admin", "POST", "/api/keys", { name: "second", role: "admin" })).status, 403);
  const other = await stand.gateway.keys.create({ name: "other", role: "admin" });
  assert.equal((await ask("admin", "DELETE", `/api/keys/${other.key.id}`)).status, 403);
  assert.equal((await ask("admin", "POST", "/api/keys", { name: "looker", role: "viewer" })).status, 201);
  assert.equal((await ask("admin", "POST", "/api/keys", { name: "x", role: "god" })).status, 400);
  assert.ok(stand.gateway.keys.list().some(({ name, role }) => name === "looker" && role === "viewer"));
  assert.equal((await ask("admin", "DELETE", `/api/keys/${keys.admin.key.id}`)).status, 200, "anybody may end their own");
});
