import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Provider } from "oidc-provider";
import { ADMIN_ROUTES, mayUse } from "../admin/routes.ts";
import { AuditLog } from "../audit-log/audit-log.ts";
import { startDemoProvider } from "../demo/provider.ts";
import { hashPassword } from "../people/password.ts";
import { People } from "../people/people.ts";
import { CLIENT, type Forged, startIssuer } from "./issuer.ts";
import { eventually, PRICES, providersAt, type Stand, startStand } from "./stand.ts";

const PASSWORD = "seven seas and a wooden leg";
const BUDGETS = "budgets: [{ name: company, limits: [$5 / month] }, { name: each, per: user, limits: [100k tokens / day] }]";
/** As a file may have it: at the least cost. */
const CHEAP = { log: 10, blocks: 8, times: 1 };
const HASH = await hashPassword(PASSWORD, CHEAP);

interface Browser {
  readonly cookie: string;
  readonly csrf: string;
}

function post({ url }: Stand, body: object, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${url}/session`, { method: "POST", body: JSON.stringify(body), headers });
}

async function signIn(stand: Stand, name: string, password = PASSWORD): Promise<Browser> {
  const response = await post(stand, { name, password });
  assert.equal(response.status, 200, await response.clone().text());
  const { csrf } = (await response.json()) as { csrf: string };
  return { cookie: cookiesOf(response), csrf };
}

function cookiesOf(response: Response): string {
  return response.headers
    .getSetCookie()
    .map((cookie) => cookie.split(";", 1)[0] ?? "")
    .filter((cookie) => !cookie.endsWith("="))
    .join("; ");
}

async function startPeople(context: TestContext, more = ""): Promise<Stand> {
  const provider = await startDemoProvider({ delayMs: 0 });
  context.after(() => provider.close());
  const people = `people: { mia: { role: member, password: "${HASH}" }, vic: { role: viewer, password: "${HASH}" }, adi: { role: admin, password: "${HASH}" } }`;
  return startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\n${BUDGETS}\nlogin: { ${people}${more} }` });
}

test("who signs in by name may do what the role may, on every route, and a member sees nothing of others", async (context) => {
  const stand = await startPeople(context);
  const key = await stand.gateway.keys.create({ name: "programs", maySet: ["user"] });
  const call = (user: string) =>
    fetch(`${stand.url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${key.secret}`, "x-purser-user": user },
      body: JSON.stringify({ model: "demo-1", messages: [{ role: "user", content: "Hello" }] }),
    });
  const [mine, bobs] = [await call("mia"), await call("bob-the-other")].map(({ headers }) => headers.get("x-purser-request-id") ?? "");
  await stand.checkBooks();
  const browsers = { member: await signIn(stand, "mia"), viewer: await signIn(stand, "vic"), admin: await signIn(stand, "adi") };
  const ask = async (role: keyof typeof browsers, method: string, path: string, body?: object) => {
    const { cookie, csrf } = browsers[role];
    const headers = { cookie, "x-purser-csrf": csrf };
    const response = await fetch(stand.url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
    const isEndless = response.headers.get("content-type") === "text/event-stream";
    if (isEndless) await response.body?.cancel();
    return { status: response.status, text: isEndless ? "" : await response.text() };
  };
  for (const route of ADMIN_ROUTES) {
    const path = route.path.replace("{name}", "company").replace("{id}", bobs ?? "");
    for (const role of ["member", "viewer"] as const) {
      const { status, text } = await ask(
        role,
        route.method,
        path,
        route.method === "POST" ? { name: "mallory", role: "admin" } : undefined,
      );
      if (mayUse(role, route)) assert.ok(status !== 401 && status !== 403, `${role}: ${route.method} ${path} is ${status}`);
      else assert.equal(status, 403, `${role}: ${route.method} ${path}`);
      if (role === "member") assert.ok(!/bob-the-other|programs/.test(text), `${route.path} shows what is another's: ${text}`);
    }
  }
  assert.equal((await ask("member", "GET", `/api/requests/${mine}`)).status, 200);
  assert.equal((await ask("member", "GET", `/api/requests/${bobs}`)).status, 404);
  for (const filter of ["", "?filter=user=bob-the-other", "?filter=user=*"]) {
    const { data } = JSON.parse((await ask("member", "GET", `/api/requests${filter}`)).text);
    assert.deepEqual(
      data.map(({ id }: { id: string }) => id),
      [mine],
      filter,
    );
    const report = JSON.parse((await ask("member", "GET", `/api/report?by=user&${filter.slice(1)}`)).text);
    assert.deepEqual(
      report.data.map(({ values }: { values: object }) => values),
      [{ user: "mia" }],
    );
  }
  const budgets = JSON.parse((await ask("member", "GET", "/api/budgets")).text);
  assert.deepEqual(
    budgets.data.map(({ budget, subject }: { budget: string; subject: string }) => [budget, subject]),
    [
      ["company", ""],
      ["each", "user=mia"],
    ],
  );
  assert.equal((await ask("admin", "POST", "/api/keys", { name: "second" })).status, 201);
  assert.equal((await ask("admin", "POST", "/api/keys", { name: "chief", role: "admin" })).status, 403);
  const called = await fetch(`${stand.url}/v1/chat/completions`, {
    method: "POST",
    headers: { cookie: browsers.admin.cookie },
    body: "{}",
  });
  assert.equal(called.status, 401, "calls need a key");
  const thrown = await ask("admin", "POST", "/api/switches", { for: { feature: "x" }, why: "a test" });
  assert.match(JSON.parse(thrown.text).by, /person_adi/, "a person is not taken for the owner");
});

test("a wrong password, a name that nobody has and a hash open nothing, are slowed down, and all of it is written down", async (context) => {
  const stand = await startPeople(context);
  assert.equal((await fetch(`${stand.url}/api/budgets`)).status, 401, "where people sign in nobody is the owner by being here");
  const refused = [
    { name: "mia", password: "the wrong password" },
    { name: PASSWORD, password: "mia" },
    { name: "mia", password: HASH },
    { name: "mia", password: "" },
  ];
  const bodies = [];
  for (const body of refused) {
    const response = await post(stand, body);
    assert.equal(response.status, 401);
    bodies.push(await response.text());
  }
  assert.equal(new Set(bodies).size, 1, "nobody is told which of the two was wrong");
  assert.equal((await post(stand, { name: "mia", password: PASSWORD }, { origin: "https://evil.example" })).status, 403);
  assert.equal((await post(stand, { name: "mia" })).status, 400);
  const { cookie, csrf } = await signIn(stand, "mia");
  const out = await fetch(`${stand.url}/session`, { method: "DELETE", headers: { cookie, "x-purser-csrf": csrf } });
  assert.equal(out.status, 200);
  for (let i = 0; i < 5; i++) await post(stand, { name: "mia", password: `wrong ${i}` });
  const slowed = await post(stand, { name: "mia", password: PASSWORD });
  assert.deepEqual([slowed.status, ((await slowed.json()) as { code: string }).code], [429, "sign_in_slowed"]);
  const lines = await eventually("the refusals", async () => {
    const all = (await new AuditLog(stand.directory).lines()).filter(({ what }) => what.startsWith("session."));
    return all.length >= 8 ? all : undefined;
  });
  const seen = lines.map(({ what, by }) => `${what} ${by}`);
  assert.ok(seen.includes("session.opened person_mia (mia)"));
  assert.ok(seen.includes("session.closed person_mia (mia)"));
  assert.ok(seen.includes("session.refused mia"));
  assert.ok(seen.includes("session.refused nobody known"));
  assert.ok(!JSON.stringify(lines).includes(PASSWORD), "what is no name may be a password");
});

test("many attempts at once are no more than one after the other", async (context) => {
  const stand = await startPeople(context);
  const statuses = await Promise.all(
    Array.from({ length: 40 }, async (_, i) => (await post(stand, { name: "mia", password: `guess number ${i}` })).status),
  );
  assert.ok(statuses.filter((status) => status === 401).length <= 5, `${statuses}`);
  assert.ok(statuses.every((status) => status === 401 || status === 429));
});

test("who is removed, or gets another password, is signed out at once", async (context) => {
  const stand = await startPeople(context);
  const people = new People(stand.directory);
  await people.put({ name: "ned", role: "viewer", attributes: {}, password: HASH });
  const { cookie } = await signIn(stand, "ned");
  const status = async () => (await fetch(`${stand.url}/api/budgets`, { headers: { cookie } })).status;
  assert.equal(await status(), 200);
  await people.put({ name: "ned", role: "viewer", attributes: {}, password: await hashPassword("another password than that", CHEAP) });
  assert.equal(await status(), 401);
  await people.put({ name: "ned", role: "viewer", attributes: {}, password: HASH });
  assert.equal(await status(), 200);
  await people.remove("ned");
  assert.equal(await status(), 401);
  writeFileSync(join(stand.directory, "people.json"), "no list of people");
  assert.equal((await signIn(stand, "vic")).csrf.length > 0, true, "a broken file keeps nobody else out");
  assert.ok(stand.notices.some((notice) => notice.includes("people.json is not a list of people")));
});

test("somebody changes their own password: their other sessions end, wrong ones count as sign-ins, and it is written down", async (context) => {
  const stand = await startPeople(context);
  const people = new People(stand.directory);
  await people.put({ name: "ned", role: "member", attributes: {}, password: HASH });
  const [here, elsewhere] = [await signIn(stand, "ned"), await signIn(stand, "ned")];
  const change = async ({ cookie, csrf }: Browser, body: object, headers: Record<string, string> = {}) => {
    const asked = { cookie, "x-purser-csrf": csrf, ...headers };
    const response = await fetch(`${stand.url}/session`, { method: "PUT", headers: asked, body: JSON.stringify(body) });
    // biome-ignore lint/suspicious/noExplicitAny: JSON from outside has no type.
    return { response, status: response.status, body: (await response.json()) as any };
  };
  const status = async ({ cookie }: Pick<Browser, "cookie">) => (await fetch(`${stand.url}/api/report`, { headers: { cookie } })).status;
  const next = "eight bells and a wet deck";
  for (const [body, why] of [
    [{}, /"current": "…", "next": "…"/],
    [{ current: PASSWORD }, /Send both/],
    [{ current: PASSWORD, next: "short" }, /fewer than 10/],
    [{ current: PASSWORD, next: PASSWORD }, /the one that you have/],
    ["5", /Send both/],
  ] as const) {
    const refused = await change(here, body as object);
    assert.deepEqual([refused.status, refused.body.error.code], [400, "body_invalid"]);
    assert.match(refused.body.error.message, why);
  }
  assert.equal((await change(here, { current: PASSWORD, next }, { "x-purser-csrf": "" })).status, 401, "another page cannot do it");
  assert.equal((await change(here, { current: PASSWORD, next }, { origin: "https://evil.example" })).status, 403);
  assert.equal((await change({ cookie: "", csrf: "" }, { current: PASSWORD, next })).status, 401);
  const vic = await change(await signIn(stand, "vic"), { current: PASSWORD, next });
  assert.deepEqual([vic.status, vic.body.code], [409, "config_fixed"], "who stands in the file is changed there");
  const wrong = await change(here, { current: "the wrong password", next });
  assert.deepEqual([wrong.status, wrong.body.code], [401, "sign_in_refused"]);
  assert.deepEqual([await status(here), await status(elsewhere)], [200, 200], "a wrong one changes nothing");

  const done = await change(here, { current: PASSWORD, next });
  assert.deepEqual([done.status, done.body.name, done.body.can_change_password], [200, "ned", true]);
  const renewed = { cookie: cookiesOf(done.response), csrf: done.body.csrf };
  assert.deepEqual([await status(renewed), await status(here), await status(elsewhere)], [200, 401, 401]);
  assert.equal((await post(stand, { name: "ned", password: PASSWORD })).status, 401);
  await signIn(stand, "ned", next);

  const lines = await eventually("the lines", async () => {
    const all = await new AuditLog(stand.directory).lines();
    return all.some(({ details }) => (details as { for?: string } | undefined)?.for !== undefined) ? all : undefined;
  });
  const changed = lines.filter(({ what }) => what === "person.password_changed");
  assert.deepEqual(
    changed.map(({ by, details }) => [by, details]),
    [
      ["person_ned (ned)", { name: "ned" }],
      ["person_ned (ned)", { status: 200 }],
    ],
  );
  assert.equal(changed[1]?.of, changed[0]?.n);
  assert.ok(![PASSWORD, next, "the wrong password"].some((password) => JSON.stringify(lines).includes(password)));

  for (let i = 0; i < 5; i++) await change(renewed, { current: `wrong guess ${i}`, next: PASSWORD });
  const slowed = await change(renewed, { current: next, next: PASSWORD });
  assert.deepEqual([slowed.status, slowed.body.code], [429, "sign_in_slowed"]);
  assert.equal((await post(stand, { name: "ned", password: next })).status, 429, "they are the same attempts");
});

test("of two changes at once the first one holds, and whoever has no password here has none to change", async (context) => {
  const stand = await startPeople(context);
  const people = new People(stand.directory);
  const person = { name: "ned", role: "viewer", attributes: {}, password: HASH } as const;
  await people.put(person);
  const [first = "", second = ""] = await Promise.all(["the first password", "the second password"].map((one) => hashPassword(one, CHEAP)));
  const both = await Promise.all([people.replacePassword(person, first), people.replacePassword(person, second)]);
  assert.equal(both.filter((changed) => changed !== undefined).length, 1);
  assert.equal(people.find("ned")?.password, both.find((changed) => changed !== undefined)?.password);
  const token = readFileSync(join(stand.directory, "admin.token"), "utf8").trim();
  const opened = await post(stand, { token });
  const { csrf, can_change_password: canChange } = (await opened.json()) as { csrf: string; can_change_password: boolean };
  assert.equal(canChange, false);
  const headers = { cookie: cookiesOf(opened), "x-purser-csrf": csrf };
  const refused = await fetch(`${stand.url}/session`, {
    method: "PUT",
    headers,
    body: JSON.stringify({ current: token, next: "a password for it" }),
  });
  assert.equal(refused.status, 400);
  assert.match(await refused.text(), /no password here/);
});

test("the owner looks after who signs in, an admin after those who are none, and no password is written down", async (context) => {
  const stand = await startPeople(context);
  const token = readFileSync(join(stand.directory, "admin.token"), "utf8").trim();
  const admin = await signIn(stand, "adi");
  const asOwner = { authorization: `Bearer ${token}` };
  const asAdmin = { cookie: admin.cookie, "x-purser-csrf": admin.csrf };
  const ask = async (headers: Record<string, string>, method: string, path: string, body?: object) => {
    const response = await fetch(`${stand.url}/api/people${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) });
    // biome-ignore lint/suspicious/noExplicitAny: JSON from outside has no type.
    return { status: response.status, body: (await response.json()) as any };
  };
  for (const [body, why] of [
    [{}, /"name"/],
    [{ name: "a b", role: "viewer" }, /cannot name a person/],
    [{ name: "ned" }, /"role" says what they may do: member, viewer, admin/],
    [{ name: "ned", role: "owner" }, /member, viewer, admin/],
    [{ name: "ned", role: "member", attributes: { user: "*" } }, /select more than one/],
    [{ name: "ned", role: "member", attributes: { tema: "x" } }, /Did you mean "team"/],
    [{ name: "ned", role: "member", password: "short" }, /fewer than 10/],
    [{ name: "mia", role: "member" }, /already/],
    [{ name: "ned", rol: "member" }, /Did you mean "role"/],
  ] as const) {
    const refused = await ask(asOwner, "POST", "", body);
    assert.deepEqual([refused.status, refused.body.code], [400, "body_invalid"], JSON.stringify(body));
    assert.match(refused.body.detail, why);
  }
  const made = await ask(asAdmin, "POST", "", { name: "ned", role: "member", attributes: { team: "support" } });
  assert.deepEqual(
    [made.status, made.body.name, made.body.role, made.body.attributes, made.body.configured],
    [201, "ned", "member", { team: "support" }, false],
  );
  assert.match(made.body.password, /^[a-z2-9]{5}(-[a-z2-9]{5}){3}$/);
  const ned = await signIn(stand, "ned", made.body.password);
  const status = async ({ cookie }: Browser) => (await fetch(`${stand.url}/api/budgets`, { headers: { cookie } })).status;
  assert.equal(await status(ned), 200);

  const reset = await ask(asAdmin, "POST", "/ned/password");
  assert.equal(reset.status, 200);
  assert.notEqual(reset.body.password, made.body.password);
  assert.equal(await status(ned), 401, "who signed in with the old password is signed out");
  const again = await signIn(stand, "ned", reset.body.password);

  assert.equal((await ask(asAdmin, "POST", "", { name: "eva", role: "admin" })).status, 403);
  assert.equal((await ask(asOwner, "POST", "", { name: "eva", role: "admin", password: PASSWORD })).status, 201);
  assert.equal((await ask(asAdmin, "POST", "/eva/password", { password: "mine from now on" })).status, 403);
  assert.equal((await ask(asAdmin, "DELETE", "/eva")).status, 403);
  await signIn(stand, "eva");
  assert.equal((await ask(asOwner, "DELETE", "/vic")).body.code, "config_fixed");
  assert.match((await ask(asOwner, "DELETE", "/nedd")).body.detail, /no person "nedd". Did you mean "ned"/);
  assert.equal((await ask(asOwner, "POST", "/nobody-here/password")).body.code, "person_unknown");

  const { body: listed } = await ask(asOwner, "GET", "");
  assert.deepEqual(
    listed.data.map(({ name, configured }: { name: string; configured: boolean }) => [name, configured]),
    [
      ["mia", true],
      ["vic", true],
      ["adi", true],
      ["ned", false],
      ["eva", false],
    ],
  );
  assert.ok(!JSON.stringify(listed).includes("scrypt"));
  assert.deepEqual((await ask(asAdmin, "DELETE", "/ned")).body, { name: "ned", removed: true });
  assert.equal(await status(again), 401);

  const log = await (await fetch(`${stand.url}/api/audit?about=people&limit=1000`, { headers: asOwner })).json();
  const { data } = log as { data: { what: string; by: string; details: { path?: string; body?: object } }[] };
  assert.ok(data.every(({ what }) => /^session\.|\/api\/people/.test(what)));
  const removal = data.find(({ what, details }) => what === "DELETE /api/people/{name}" && details.path === "/api/people/ned");
  assert.match(removal?.by ?? "", /adi/);
  for (const secret of [made.body.password, reset.body.password, PASSWORD])
    assert.ok(!readFileSync(join(stand.directory, "audit.jsonl"), "utf8").includes(secret));
  assert.equal((await fetch(`${stand.url}/api/audit?about=keys`, { headers: asOwner })).status, 400);
});

const ROLES = "roles: { claim: realm.groups, admin: [chiefs], viewer: [finance, audit], member: crew }";

async function startOidc(context: TestContext, more = "") {
  const issuer = await startIssuer(context);
  const oidc = `oidc: { issuer: "${issuer.url}", client_id: ${CLIENT.id}, client_secret: "${CLIENT.secret}", label: Harbour, ${ROLES}${more} }`;
  const stand = await startStand(context, { config: `${providersAt("http://127.0.0.1:9")}\n${PRICES}\n${BUDGETS}\nlogin: { ${oidc} }` });
  const begin = async (returnTo?: string) => {
    const query = returnTo === undefined ? "" : `?return_to=${encodeURIComponent(returnTo)}`;
    const response = await fetch(`${stand.url}/session/oidc${query}`, { redirect: "manual", headers: { "sec-fetch-site": "cross-site" } });
    return { status: response.status, location: response.headers.get("location") ?? "", cookie: cookiesOf(response), response };
  };
  const end = (back: URL, cookie: string) => fetch(back, { redirect: "manual", headers: { cookie, "sec-fetch-site": "cross-site" } });
  const signInAs = async (claims: Readonly<Record<string, unknown>>, forged: Forged = {}, returnTo?: string) => {
    const { location, cookie } = await begin(returnTo);
    return end(issuer.signIn(location, claims, forged), cookie);
  };
  const session = async (cookie: string) =>
    (await (await fetch(`${stand.url}/session`, { headers: { cookie } })).json()) as { role: string; name: string };
  return { issuer, stand, begin, end, signInAs, session };
}

test("a provider of identities says who somebody is, and the groups what they may do", async (context) => {
  const { stand, begin, signInAs, session } = await startOidc(context);
  const ways = (await (await fetch(`${stand.url}/session`)).json()) as { ways: object };
  assert.deepEqual(ways.ways, { by_name: false, provider: "Harbour" });
  const { location, response } = await begin("/calls?outcome=denied");
  const asked = new URL(location).searchParams;
  assert.equal(asked.get("code_challenge_method"), "S256");
  assert.equal(asked.get("redirect_uri"), `${stand.url}/session/oidc/callback`);
  assert.match(response.headers.get("set-cookie") ?? "", /; Path=\/session\/oidc; Max-Age=600; HttpOnly; SameSite=Lax$/);
  for (const [groups, role] of [
    [["finance", "crew"], "viewer"],
    [["chiefs"], "admin"],
    ["crew", "member"],
  ] as const) {
    const back = await signInAs({ email: "ann@example.com", email_verified: true, realm: { groups } }, {}, "/calls?outcome=denied");
    assert.deepEqual([back.status, back.headers.get("location")], [303, "/calls?outcome=denied"], await back.text());
    const { role: found, name } = await session(cookiesOf(back));
    assert.deepEqual([found, name], [role, "ann@example.com"]);
    assert.match(back.headers.getSetCookie()[0] ?? "", /^purser_session=.*HttpOnly; SameSite=Strict$/);
    const [forgotten] = back.headers.getSetCookie().slice(1);
    assert.match(forgotten ?? "", /^purser_oidc=; .*Max-Age=0/);
  }
  const opened = (await new AuditLog(stand.directory).lines()).filter(({ what }) => what === "session.opened");
  assert.deepEqual(opened[0]?.details, { with: "oidc", role: "viewer" });
});

test("whoever has no role is refused, or sees what the configuration says", async (context) => {
  const { signInAs, session } = await startOidc(context);
  for (const claims of [
    { email: "ann@example.com" },
    { email: "ann@example.com", realm: { groups: ["chief"] } },
    { email: "ann@example.com", realm: { groups: [["chiefs"], { chiefs: true }] } },
    { email: "ann@example.com", email_verified: false, realm: { groups: ["chiefs"] } },
    { email: "*", realm: { groups: ["crew"] } },
    { email: "ann*", realm: { groups: ["crew"] } },
    { email: 5, realm: { groups: ["crew"] } },
    { realm: { groups: ["crew"] } },
  ]) {
    const refused = await signInAs(claims);
    assert.deepEqual([refused.status, cookiesOf(refused)], [403, ""], JSON.stringify(claims));
    assert.match(await refused.text(), /Not signed in/);
  }
  const open = await startOidc(context, ", otherwise: member");
  const let_in = await open.signInAs({ email: "ann@example.com" });
  assert.equal((await open.session(cookiesOf(let_in))).role, "member");
  assert.equal((await session("")).role, null);
});

test("what is forged, late, replayed or begun elsewhere lets nobody in", async (context) => {
  const { issuer, stand, begin, end, signInAs } = await startOidc(context);
  const claims = { email: "ann@example.com", realm: { groups: ["chiefs"] } };
  const now = Math.floor(Date.now() / 1_000);
  const forgeries: Readonly<Record<string, Forged>> = {
    "wrong nonce": { claims: { nonce: "another" } },
    "no nonce": { claims: { nonce: undefined } },
    "wrong audience": { claims: { aud: "another-client" } },
    "two audiences": { claims: { aud: [CLIENT.id, "other"], azp: "other" } },
    "wrong issuer": { claims: { iss: "https://evil.example" } },
    expired: { expiresAt: now - 3_600 },
    "signed by another": { isForeign: true },
  };
  for (const [what, forged] of Object.entries(forgeries)) {
    const refused = await signInAs(claims, forged);
    assert.deepEqual([refused.status, cookiesOf(refused)], [403, ""], what);
  }
  const refusedBack = async (what: string, back: URL, cookie: string) => {
    const response = await end(back, cookie);
    assert.deepEqual([response.status, cookiesOf(response)], [403, ""], what);
    assert.ok(!(await response.text()).includes("<script>"));
  };
  const one = await begin();
  const two = await begin();
  const back = issuer.signIn(one.location, claims);
  await refusedBack("another browser's", back, two.cookie);
  // A code of its own: one that was shown once is of no use any more.
  const forged = issuer.signIn(one.location, claims);
  forged.searchParams.set("state", "guessed");
  await refusedBack("a forged state", forged, one.cookie);
  await refusedBack("no cookie", issuer.signIn(one.location, claims), "");
  await refusedBack("a changed cookie", issuer.signIn(one.location, claims), `${one.cookie}x`);
  const verifierOfOther = issuer.signIn(one.location, claims);
  verifierOfOther.searchParams.set("state", new URL(two.location).searchParams.get("state") ?? "");
  await refusedBack("a code that was made for another browser", verifierOfOther, two.cookie);
  const denied = new URL(`${stand.url}/session/oidc/callback`);
  denied.search = new URLSearchParams({ error: "access_denied", error_description: "<script>", state: "x" }).toString();
  await refusedBack("refused there", denied, one.cookie);
  await refusedBack("nothing", new URL(`${stand.url}/session/oidc/callback`), one.cookie);

  const right = issuer.signIn(one.location, claims);
  assert.equal((await end(right, one.cookie)).status, 303);
  await refusedBack("a code that was used", right, one.cookie);
  const lines = await eventually("the refusals", async () => {
    const all = (await new AuditLog(stand.directory).lines()).filter(({ what }) => what === "session.refused");
    return all.length >= 10 ? all : undefined;
  });
  assert.ok(!JSON.stringify(lines).includes(CLIENT.secret));
});

test("nobody is sent on to another site", async (context) => {
  const { signInAs } = await startOidc(context);
  const claims = { email: "ann@example.com", realm: { groups: ["chiefs"] } };
  for (const [returnTo, location] of [
    ["https://evil.example/", "/"],
    ["//evil.example/", "/"],
    ["/\\evil.example", "/"],
    ["/.//evil.example", "/"],
    ["/x/..//evil.example", "/"],
    ["\\/evil.example", "/"],
    ["javascript:alert(1)", "/"],
    ["/\t/evil.example", "/"],
    ["/budgets/a%20b?x=1", "/budgets/a%20b?x=1"],
  ] as const)
    assert.equal((await signInAs(claims, {}, returnTo)).headers.get("location"), location, returnTo);
});

/** A browser that keeps cookies, and fills in the forms of the provider's own pages, until it is where it wanted to go. */
async function browse(from: string, to: string): Promise<{ readonly callback: string; readonly cookie: () => string }> {
  const jar = new Map<string, string>();
  const cookie = () => [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
  const go = async (url: string, body?: URLSearchParams) => {
    const response = await fetch(url, { redirect: "manual", headers: { cookie: cookie() }, ...(body && { method: "POST", body }) });
    for (const set of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(set) ?? [];
      if (value === "") jar.delete(name);
      else jar.set(name, value);
    }
    return response;
  };
  let url = from;
  let callback = "";
  for (let steps = 0; url !== to && steps < 20; steps++) {
    let response = await go(url);
    if (url.includes("/callback")) callback = url;
    const text = await response.text();
    const [, action] = /<form[^>]*action="([^"]+)"/.exec(text) ?? [];
    if (action !== undefined) {
      const prompt = /name="prompt" value="(\w+)"/.exec(text)?.[1] ?? "login";
      response = await go(new URL(action, url).href, new URLSearchParams({ prompt, login: "ann", password: "any" }));
    }
    url = new URL(response.headers.get("location") ?? assert.fail(`${url} is ${response.status}: ${text}`), url).href;
  }
  return { callback, cookie };
}

test("a provider that others wrote lets somebody in, and its code works once", async (context) => {
  // It says at length that it is meant for more than a test.
  context.mock.method(console, "info", () => undefined);
  context.mock.method(console, "warn", () => undefined);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const secret = "a secret/+ with signs";
  const oidc = `oidc: { issuer: "${issuer}", client_id: purser, client_secret: "${secret}", roles: { admin: chiefs } }`;
  const stand = await startStand(context, { config: `login: { ${oidc} }` });
  const provider = new Provider(issuer, {
    clients: [{ client_id: "purser", client_secret: secret, redirect_uris: [`${stand.url}/session/oidc/callback`] }],
    // Groups are not in its ID tokens: they have to be asked for.
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["groups"] },
    findAccount: (_, accountId) => ({
      accountId,
      claims: () => ({ sub: accountId, email: `${accountId}@example.com`, email_verified: true, groups: ["chiefs"] }),
    }),
    pkce: { required: () => true },
    cookies: { keys: ["a test"] },
  });
  server.on("request", provider.callback());
  const { callback, cookie } = await browse(`${stand.url}/session/oidc?return_to=/budgets`, `${stand.url}/budgets`);
  const session = (await (await fetch(`${stand.url}/session`, { headers: { cookie: cookie() } })).json()) as { role: string; name: string };
  assert.deepEqual([session.role, session.name], ["admin", "ann@example.com"]);
  assert.equal((await fetch(callback, { redirect: "manual", headers: { cookie: cookie() } })).status, 403);
});
