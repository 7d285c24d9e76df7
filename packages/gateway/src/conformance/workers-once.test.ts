import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import type { IncomingHttpHeaders } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import type { Entry } from "@purser/core";
import { startTestRedis } from "@purser/core/testing";
import OpenAI, { toFile } from "openai";
import { hashPassword } from "../people/password.ts";
import { startBatchProvider } from "./batch-provider.ts";
import type { Json } from "./calls.ts";
import { startRawProvider } from "./raw-provider.ts";
import { startReceiver } from "./receivers.ts";
import { ask, call, holdersOf, load, MAIN, type Site, startSite, USAGE, until, WORKERS } from "./workers-site.ts";

const ASYNC = { prefer: "respond-async" };
const QUEUE = "ladder: { 100%: queue }";

/** Lets so many calls wait, each taken by whichever worker got it. Returns their ids. */
async function letWait(site: Site, users: readonly string[], headers: IncomingHttpHeaders = {}): Promise<readonly string[]> {
  const answers = await Promise.all(users.map((user) => call(site.url, user, { ...ASYNC, ...headers })));
  assert.deepEqual(
    answers.map(({ status }) => status),
    users.map(() => 202),
  );
  return answers.map(({ body }) => (body as Json).id);
}

/** Each request reaches another worker. */
const look = (site: Site, id: string, method = "GET", headers = {}) => ask(site.url, method, `/queue/${id}`, undefined, headers);

const listed = async (site: Site): Promise<Json> => (await ask(site.url, "GET", "/api/queue")).body as Json;

test("a call that waits is known to every worker, whichever took it, and is made once when its budget has room", async (t) => {
  const site = await startSite(t, `[{ name: daily, limits: [1 requests / day], ${QUEUE} }]`);
  assert.equal((await call(site.url, "first")).status, 200);
  assert.equal((await call(site.url, "impatient")).status, 402);
  const users = Array.from({ length: 3 * WORKERS }, (_, i) => `waits-${i}`);
  const ids = await letWait(site, users);
  for (let i = 0; i < WORKERS; i++) {
    assert.equal((await listed(site)).total, users.length);
    for (const id of ids) assert.equal((await look(site, id)).status, 202);
  }
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, "queue", "--json", "--data", join(site.directory, "data")], {
    cwd: site.directory,
  });
  assert.equal(JSON.parse(stdout).total, users.length);
  const metrics = await (await fetch(`${site.url}/metrics`, { headers: { connection: "close" } })).text();
  assert.match(metrics, new RegExp(`^purser_queued_calls ${users.length}$`, "m"));
  const [offId = "", unwanted = "", ...others] = ids;
  const off = await ask(site.url, "DELETE", `/api/queue/${offId}?why=too%20late`);
  assert.deepEqual([off.status, (off.body as Json).status], [200, "failed"]);
  assert.match(JSON.stringify((await look(site, offId)).body), /It was called off: too late/);
  assert.equal((await look(site, unwanted, "DELETE")).status, 200);
  for (let i = 0; i < WORKERS; i++) for (const id of [offId, unwanted]) assert.equal((await look(site, id)).status, 404);

  await site.configure(`[{ name: daily, limits: [100 requests / day], ${QUEUE} }]`);
  for (const id of others) {
    const done = await until("its answer", async () => {
      const answered = await look(site, id);
      return answered.status === 202 ? undefined : answered;
    });
    assert.deepEqual([done.status, (done.body as Json).choices[0].message.content], [200, "One."]);
  }
  // An answer is given once, at all of them.
  for (const id of others) assert.equal((await look(site, id)).status, 404);
  assert.equal((await listed(site)).total, 0);
  const made = users.map((user) => site.asked.get(user) ?? 0);
  assert.deepEqual([Math.max(...made), made.reduce((sum, one) => sum + one)], [1, others.length]);
  await site.checkBooks(await site.stop());
});

test("a call that waits is its key's only, at every worker", async (t) => {
  const site = await startSite(t, `[{ name: daily, limits: [1 requests / day], ${QUEUE} }]`);
  const token = (await readFile(join(site.directory, "data", "admin.token"), "utf8")).trim();
  const owner = { authorization: `Bearer ${token}` };
  const keyOf = async (name: string) => {
    const { body } = await ask(site.url, "POST", "/api/keys", { name, may_set: ["user"] }, owner);
    return { authorization: `Bearer ${(body as Json).secret}` };
  };
  const [ann, bob] = [await keyOf("ann"), await keyOf("bob")];
  assert.equal((await call(site.url, "first", ann)).status, 200);
  const [id = ""] = await letWait(site, ["waits"], ann);
  for (let i = 0; i < WORKERS; i++) {
    assert.equal((await look(site, id, "GET", bob)).status, 404);
    assert.equal((await look(site, id, "DELETE", bob)).status, 404);
    assert.equal((await look(site, id)).status, 401);
    assert.equal((await look(site, id, "GET", ann)).status, 202);
  }
});

test("no call that waits is lost or made twice when workers are killed, all at once too, and when the first process is", async (t) => {
  const more = (requests: number) => `[{ name: daily, limits: [${requests} requests / day], ${QUEUE} }]`;
  const site = await startSite(t, more(1));
  await until("the first call", async () => (await call(site.url, "first")).status === 200 || undefined);
  const users = Array.from({ length: 8 }, (_, i) => `waits-${i}`);
  const ids = await letWait(site, [...users, "never-answered"]);
  const state = async (id: string) => ((await listed(site)).data as readonly Json[]).find((one) => one.id === id)?.status;

  for (const pid of await site.workers()) process.kill(pid, "SIGKILL");
  await until("workers again", async () => ((await listed(site).catch(() => undefined)) ? true : undefined));
  assert.equal((await listed(site)).total, ids.length);

  // Room for four of them: they are made while workers die again, and the one in the air goes on.
  await site.configure(more(1 + 4));
  const made = () => [...users, "never-answered"].filter((user) => site.asked.has(user)).length;
  await until("four to be made", () => made() === 4 || undefined);
  for (const pid of await site.workers()) process.kill(pid, "SIGKILL");
  await until("workers again", async () => ((await listed(site).catch(() => undefined)) ? true : undefined));
  assert.equal((await listed(site)).total, ids.length);

  await site.configure(more(100));
  const air = ids.at(-1) as string;
  await until("the last one to be in the air, and all others to be done", async () => {
    const { data } = await listed(site);
    const done = (data as readonly Json[]).filter(({ status }) => status === "done").length;
    return (done === users.length && site.asked.has("never-answered")) || undefined;
  });
  assert.equal(await state(air), "running");
  await site.kill();
  await site.start();
  const lost = await look(site, air);
  assert.equal(lost.status, 502, JSON.stringify(lost.body));
  assert.match(JSON.stringify(lost.body), /may have been made, and is not made again/);
  for (const id of ids.slice(0, -1)) assert.equal((await look(site, id)).status, 200);
  assert.deepEqual(
    [...users, "never-answered"].map((user) => site.asked.get(user)),
    ids.map(() => 1),
  );
  // An answer is let go of when it has gone out.
  await until("nothing to be kept", async () => (await listed(site)).total === 0 || undefined);
  await site.stop();
});

test("the answer to a call that waited is pushed once, whichever worker took the call", async (t) => {
  const receiver = await startReceiver(t);
  const more = `channels: { hook: { kind: webhook, url: "${receiver.url}/done" } }`;
  const budgets = (requests: number) => `[{ name: daily, limits: [${requests} requests / day], ladder: { 100%: queue hook } }]`;
  const site = await startSite(t, budgets(1), { more });
  assert.equal((await call(site.url, "first")).status, 200);
  const ids = await letWait(site, ["waits-0", "waits-1", "waits-2"]);
  await site.configure(budgets(100));
  await until("all answers", () => receiver.posted.length >= ids.length || undefined);
  await until("nothing to be kept", async () => (await listed(site)).total === 0 || undefined);
  assert.deepEqual(receiver.posted.map(({ body }) => body.data.id).sort(), [...ids].sort());
});

test("a call that waited is not put off because workers have allotments of what it needs", async (t) => {
  const limit = 40_000;
  const site = await startSite(t, `[{ name: all, limits: [${limit} tokens / week], min_output: 100000, ladder: { 0%: queue } }]`);
  await until("allotments", async () => {
    await load(site, { calls: 40, clients: 10 });
    return holdersOf(await site.entries()).size === WORKERS || undefined;
  });
  const balance = async () => ((await ask(site.url, "GET", "/api/budgets")).body as Json).data[0] as Json;
  // As much as there is without what they have at hand.
  const { spent } = await until("nothing but allotments to be held", async () => {
    const { spent, held } = await balance();
    return held > 3_000 && spent === site.asked.size * USAGE.total_tokens ? { spent } : undefined;
  });
  const body = { model: "any", user: "large", max_tokens: limit - spent - 1_000, messages: [{ role: "user", content: "Hi" }] };
  const { status, body: waiting } = await ask(site.url, "POST", "/v1/chat/completions", body, ASYNC);
  assert.equal(status, 202, JSON.stringify(waiting));
  const { id } = waiting as Json;
  await ask(site.url, "POST", `/api/queue/${id}/run`);
  const done = await until("its answer", async () => {
    const answered = await look(site, id);
    return answered.status === 202 ? undefined : answered;
  });
  assert.equal(done.status, 200, JSON.stringify(done.body));
});

const PASSWORD = "seven seas and a wooden leg";
const HASH = await hashPassword(PASSWORD, { log: 10, blocks: 8, times: 1 });
const LOGIN = `login: { people: { mia: { role: viewer, password: "${HASH}" } } }`;

/** A request of a browser, on a connection of its own. */
function browse(site: Site, method: string, path: string, { body, ...headers }: Record<string, string> = {}): Promise<Response> {
  return fetch(site.url + path, { method, headers: { ...headers, connection: "close" }, ...(body !== undefined && { body }) });
}

test("who signs in at one worker is signed in at all of them, and who signs out is signed out at all", async (t) => {
  const site = await startSite(t, "[{ name: all, limits: [10M tokens] }]", { more: LOGIN });
  const signedIn = await browse(site, "POST", "/session", { body: JSON.stringify({ name: "mia", password: PASSWORD }) });
  assert.equal(signedIn.status, 200, await signedIn.clone().text());
  const { csrf } = (await signedIn.json()) as { csrf: string };
  const [set = ""] = signedIn.headers.getSetCookie();
  const cookie = set.split(";", 1)[0] ?? "";
  for (let i = 0; i < 2 * WORKERS; i++) {
    const { role, name } = (await (await browse(site, "GET", "/session", { cookie })).json()) as Json;
    assert.deepEqual([role, name], ["viewer", "mia"]);
    assert.equal((await browse(site, "GET", "/api/budgets", { cookie })).status, 200);
  }
  const out = await browse(site, "DELETE", "/session", { cookie, "x-purser-csrf": csrf });
  const [ended = ""] = out.headers.getSetCookie();
  assert.match(ended, /^purser_session=;.*Max-Age=0/);
  for (let i = 0; i < 2 * WORKERS; i++) assert.equal((await browse(site, "GET", "/api/budgets", { cookie: "" })).status, 401);
});

test("wrong attempts to sign in are counted together, whichever workers they come to", async (t) => {
  const site = await startSite(t, "[{ name: all, limits: [10M tokens] }]", { more: LOGIN });
  const attempt = async () =>
    (await browse(site, "POST", "/session", { body: JSON.stringify({ name: "mia", password: "guessed it" }) })).status;
  const statuses = await Promise.all(Array.from({ length: 4 * WORKERS }, attempt));
  assert.equal(statuses.filter((status) => status === 401).length <= 5, true, statuses.join());
  for (let i = 0; i < WORKERS; i++) assert.equal(await attempt(), 429);
});

function lineOf(custom_id: string): string {
  const body = { model: "any", max_tokens: 100, messages: [{ role: "user", content: "Ahoy" }] };
  return JSON.stringify({ custom_id, method: "POST", url: "/v1/chat/completions", body });
}

/** Each of its requests reaches another worker. */
function clientOf(site: Site, apiKey = "none"): OpenAI {
  const own: typeof fetch = (url, init) => {
    const headers = new Headers(init?.headers);
    headers.set("connection", "close");
    return fetch(url, { ...init, headers });
  };
  return new OpenAI({ baseURL: `${site.url}/v1`, apiKey, maxRetries: 0, timeout: 10_000, fetch: own });
}

async function upload(client: OpenAI): Promise<OpenAI.BatchCreateParams> {
  const text = ["a", "b", "c"].map(lineOf).join("\n");
  const file = await client.files.create({ purpose: "batch", file: await toFile(Buffer.from(text), "calls.jsonl") });
  return { input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h" };
}

function chargesOf(entries: readonly Entry[]): readonly (readonly [cost: number | undefined, certainty: string])[] {
  return entries.flatMap((entry) => (entry.kind === "settled" ? [[entry.charge.cost, entry.charge.certainty] as const] : []));
}

test("a batch is known to every worker, whichever made it, and settled once though all of them are killed, and the first process too", async (t) => {
  const mock = await startBatchProvider(t);
  const site = await startSite(t, "[{ name: all, limits: [10M tokens] }]", { providerUrl: mock.provider.url });
  const batches = await Promise.all(Array.from({ length: 3 }, async () => clientOf(site).batches.create(await upload(clientOf(site)))));
  const [first, second, third] = batches.map(({ id }) => id) as [string, string, string];
  for (let i = 0; i < 2 * WORKERS; i++) {
    assert.equal((await clientOf(site).batches.retrieve(first)).status, "in_progress");
    assert.deepEqual((await clientOf(site).batches.list()).data.map(({ id }) => id).sort(), [first, second, third].sort());
  }
  mock.end(first);
  await until("it to be settled", async () => {
    await clientOf(site).batches.retrieve(first);
    return chargesOf(await site.entries()).length === 3 || undefined;
  });

  for (const pid of await site.workers()) process.kill(pid, "SIGKILL");
  mock.end(second);
  await until("it to be settled", async () => {
    await clientOf(site)
      .batches.retrieve(second)
      .catch(() => undefined);
    return chargesOf(await site.entries()).length === 6 || undefined;
  });

  await site.kill();
  await site.start();
  mock.end(third);
  await until("it to be settled", async () => {
    await clientOf(site).batches.retrieve(third);
    return chargesOf(await site.entries()).length === 9 || undefined;
  });
  const { output_file_id } = await clientOf(site).batches.retrieve(third);
  assert.equal(await (await clientOf(site).files.content(output_file_id ?? "")).text(), mock.files.get(output_file_id ?? ""));
  const entries = await site.stop();
  assert.deepEqual(
    chargesOf(entries),
    Array.from({ length: 9 }, () => [12 * 3_000 + 5 * 15_000, "confirmed"]),
  );
});

test("a batch whose worker dies while it is sent is charged at its estimate: its provider may have taken it", async (t) => {
  const mock = await startBatchProvider(t);
  const site = await startSite(t, "[{ name: all, limits: [10M tokens] }]", { providerUrl: mock.provider.url });
  let isSent = false;
  mock.interfere = (_, { method, url }) => {
    if (method !== "POST" || !url.startsWith("/v1/batches")) return false;
    isSent = true;
    return true;
  };
  const params = await upload(clientOf(site));
  const made = clientOf(site)
    .batches.create(params)
    .catch((error: unknown) => error);
  await until("the batch to be sent", () => isSent || undefined);
  for (const pid of await site.workers()) process.kill(pid, "SIGKILL");
  await until("its calls to be charged", async () => chargesOf(await site.entries()).length === 3 || undefined);
  assert.ok((await made) instanceof Error);
  const entries = await site.stop();
  assert.deepEqual(
    chargesOf(entries).map(([, certainty]) => certainty),
    ["unconfirmed", "unconfirmed", "unconfirmed"],
  );
});

test("people are told once of what several workers see, and what one of them answers holds at all", async (t) => {
  const receiver = await startReceiver(t);
  const more = `channels: { hook: { kind: webhook, url: "${receiver.url}" } }`;
  const budgets = "[{ name: all, limits: [20 requests / month], ladder: { 50%: tell } }]";
  const site = await startSite(t, budgets, { more });
  await Promise.all(Array.from({ length: 12 }, (_, i) => call(site.url, `user-${i}`)));
  await until("the notice", () => receiver.posted.length > 0 || undefined);
  const alerts = async () => ((await ask(site.url, "GET", "/api/alerts")).body as Json).data as readonly Json[];
  const [alert] = await until("the alert", async () => ((await alerts()).length > 0 ? alerts() : undefined));
  assert.equal((await ask(site.url, "POST", `/api/alerts/${alert?.id}/acknowledge`, { by: "kim" })).status, 200);
  for (let i = 0; i < WORKERS; i++) {
    const all = await alerts();
    assert.deepEqual([all.length, all[0]?.state, all[0]?.by], [1, "acknowledged", "kim"]);
  }
  for (const pid of await site.workers()) process.kill(pid, "SIGKILL");
  await until("workers again", async () => ((await call(site.url, "again").catch(() => undefined)) ? true : undefined));
  await Promise.all(Array.from({ length: 4 }, (_, i) => call(site.url, `later-${i}`)));
  await site.stop();
  assert.equal(receiver.posted.length, 1);
});

test("an owner is asked once by all workers, and what they answer at one reaches calls that wait at another", async (t) => {
  const receiver = await startReceiver(t);
  const more = `channels: { hook: { kind: webhook, url: "${receiver.url}" } }`;
  const budgets = "[{ name: all, owner: kim@example.com, limits: [1 requests / month], ladder: { 100%: ask 60s +300% } }]";
  const site = await startSite(t, budgets, { more });
  const answer = async (verdict: "give" | "decline", count: number) => {
    const waiting = Promise.all(Array.from({ length: 3 }, (_, i) => call(site.url, `waits-${count}-${i}`)));
    const posted = await until("the notice", () => receiver.posted[count - 1]);
    for (let i = 0; i < WORKERS; i++) assert.equal(((await ask(site.url, "GET", "/api/asks")).body as Json).data.length, 1);
    const link = new URL(posted.body.data.link);
    assert.equal(link.origin, site.url);
    const body = new URLSearchParams({ token: link.searchParams.get("token") ?? "", answer: verdict });
    assert.equal((await fetch(`${site.url}/asks`, { method: "POST", body, headers: { connection: "close" } })).status, 200);
    const statuses = (await waiting).map(({ status }) => status);
    assert.equal(receiver.posted.length, count);
    return statuses;
  };
  assert.equal((await call(site.url, "first")).status, 200);
  assert.deepEqual(await answer("give", 1), [200, 200, 200]);
  assert.deepEqual(await answer("decline", 2), [402, 402, 402]);
});

test("a provider that fails again and again for one worker is passed over by all of them", async (t) => {
  const down = await startRawProvider(t, (response) => response.writeHead(500).end("{}"));
  const site = await startSite(t, "[{ name: all, limits: [10M tokens] }]", {
    providers: `, down: { dialect: openai, base_url: "${down.url}/v1", api_key: k }`,
    more: "routes: [{ model: any, providers: [down, mock] }]",
  });
  const body = JSON.stringify({ model: "any", max_tokens: 20, messages: [{ role: "user", content: "Hi" }] });
  // One connection, and so one worker.
  for (let i = 0; i < 5; i++) {
    const answered = await fetch(`${site.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    assert.equal(answered.status, 200, await answered.text());
  }
  assert.equal(down.received.length, 5);
  for (let i = 0; i < 4 * WORKERS; i++) assert.equal((await call(site.url, `user-${i}`)).status, 200);
  // One call at most finds out for all whether it answers again.
  assert.ok(down.received.length <= 6, `it was asked ${down.received.length} times`);
});

test("workers that open a Redis each have one queue, one folder of batches and one count of wrong attempts too", async (t) => {
  const redis = await startTestRedis("redis-server", ["--appendonly", "yes", "--appendfsync", "always"]);
  if (typeof redis === "string") return t.skip(`not run: ${redis}`);
  t.after(() => redis.close());
  const mock = await startBatchProvider(t);
  const more = `store: { redis: "${redis.url}", namespace: acme, leases: true }\n${LOGIN}`;
  const budgets = (requests: number) => `[{ name: daily, limits: [${requests} requests / day], ${QUEUE} }]`;
  const site = await startSite(t, budgets(0), { more, providerUrl: mock.provider.url });
  const token = (await readFile(join(site.directory, "data", "admin.token"), "utf8")).trim();
  const owner = { authorization: `Bearer ${token}` };
  const { body } = await ask(site.url, "POST", "/api/keys", { name: "ann", may_set: ["user"] }, owner);
  const { secret } = body as Json;
  const ann = { authorization: `Bearer ${secret}` };
  const ids = await letWait(site, ["waits-0", "waits-1", "waits-2"], ann);
  for (let i = 0; i < WORKERS; i++) for (const id of ids) assert.equal((await look(site, id, "GET", ann)).status, 202);
  for (const pid of await site.workers()) process.kill(pid, "SIGKILL");
  await until("workers again", async () => ((await look(site, ids[0] ?? "", "GET", ann).catch(() => undefined)) ? true : undefined));
  await site.configure(budgets(100));
  // This provider knows no calls but those of batches: what it says is the answer, once.
  for (const id of ids) await until("its answer", async () => ((await look(site, id, "GET", ann)).status === 404 ? true : undefined));
  assert.equal(mock.provider.received.filter(({ url }) => url === "/v1/chat/completions").length, ids.length);
  const client = clientOf(site, secret);
  const { id } = await client.batches.create(await upload(client));
  for (let i = 0; i < WORKERS; i++) assert.equal((await client.batches.retrieve(id)).status, "in_progress");
  mock.end(id);
  await until("it to be settled", async () => {
    await client.batches.retrieve(id);
    const { data } = (await ask(site.url, "GET", "/api/budgets", undefined, owner)).body as Json;
    return data[0].held === 0 || undefined;
  });
  for (let i = 0; i < 4 * WORKERS; i++)
    await browse(site, "POST", "/session", { body: JSON.stringify({ name: "mia", password: "guessed" }) });
  for (let i = 0; i < WORKERS; i++)
    assert.equal((await browse(site, "POST", "/session", { body: JSON.stringify({ name: "mia", password: PASSWORD }) })).status, 429);
});
