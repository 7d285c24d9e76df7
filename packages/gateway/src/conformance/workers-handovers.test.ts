import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { startTestRedis } from "@purser/core/testing";
import type { Json } from "./calls.ts";
import { startReceiver } from "./receivers.ts";
import { ask, type Site, startSite, until, WORKERS } from "./workers-site.ts";

const TEXT = "A colleague will go on with you.";
const HAND_OVER = `ladder: { 100%: 'hand over hook keep 2d "${TEXT}"' }`;

const budgets = (requests: number, ladder = HAND_OVER) =>
  `[{ name: chat, per: user, owner: Kim <kim@example.com>, limits: [${requests} requests / day], ${ladder} }]`;

/** Several workers, of which each gets a request in turn, and whoever is told of handovers. */
async function startDesk(t: TestContext, more = "") {
  const receiver = await startReceiver(t);
  const channels = `channels: { hook: { kind: webhook, url: "${receiver.url}" } }`;
  const site = await startSite(t, budgets(1), { more: `${channels}\n${more}` });
  return { site, receiver };
}

/** A call on a connection of its own. Returns what it says. */
async function say(site: Site, user: string, words = "My boat is leaking."): Promise<string> {
  const body = { model: "any", max_tokens: 20, messages: [{ role: "user", content: words }] };
  const { status, body: answer } = await ask(site.url, "POST", "/v1/chat/completions", { ...body, user }, { "x-purser-user": user });
  assert.equal(status, 200, JSON.stringify(answer));
  return (answer as Json).choices[0].message.content;
}

async function desk(site: Site, method: string, path = "", body?: object): Promise<Json> {
  const { status, body: answer } = await ask(site.url, method, `/api/handovers${path}`, body);
  assert.equal(status, 200, JSON.stringify(answer));
  return answer as Json;
}

/** Uses the budget of a user up and hands the conversation over. Returns its id. */
async function handOver(site: Site, user: string): Promise<string> {
  assert.equal(await say(site, user), "One.");
  assert.equal(await say(site, user), TEXT);
  const { data } = await desk(site, "GET");
  return data.find(({ subject }: Json) => subject.user === user)?.id ?? assert.fail("nothing was handed over");
}

const workersAgain = (site: Site) =>
  until("workers again", async () => ((await desk(site, "GET").catch(() => undefined)) === undefined ? undefined : true));

test("a conversation that is handed over is with its person at every worker, and an answer is given once, whichever gets the call", async (t) => {
  const { site, receiver } = await startDesk(t);
  const id = await handOver(site, "ann");
  for (let i = 0; i < WORKERS; i++) {
    assert.equal(await say(site, "ann"), TEXT);
    assert.deepEqual((await desk(site, "GET", `/${id}`)).conversation, [{ by: "user", text: "My boat is leaking." }]);
  }
  assert.equal((await desk(site, "POST", `/${id}/take`, { by: "Kim" })).taken_by, "Kim");
  // Each round begins at another worker, and its calls come one after the other and at once.
  for (let i = 0; i < 2 * WORKERS; i++) {
    await desk(site, "POST", `/${id}/answer`, { by: "Kim", text: `Answer ${i}` });
    assert.equal(await say(site, "ann"), `Answer ${i}`);
    assert.equal(await say(site, "ann"), TEXT, "what one worker gave no other gives again");
    await desk(site, "POST", `/${id}/answer`, { by: "Kim", text: `And ${i}` });
    const all = await Promise.all(Array.from({ length: 2 * WORKERS }, () => say(site, "ann")));
    assert.deepEqual(
      all.filter((text) => text !== TEXT),
      [`And ${i}`],
    );
  }
  const metrics = await (await fetch(`${site.url}/metrics`, { headers: { connection: "close" } })).text();
  assert.match(metrics, /^purser_handovers_open\{status="taken"\} 1$/m);
  assert.match(metrics, /^purser_handovers_unanswered 1$/m);

  const opened = await until("people to be told", () => receiver.posted.find(({ body }) => body.type === "handover.opened"));
  const link = new URL(opened.body.data.link);
  assert.equal(link.origin, site.url, "the link leads to where the workers are");
  assert.equal(receiver.posted.filter(({ body }) => body.type === "handover.opened").length, 1);
  for (let i = 0; i < WORKERS; i++)
    assert.match(await (await fetch(link, { headers: { connection: "close" } })).text(), /user=ann is with Kim/);

  // A budget that begins anew puts no model between the two.
  await site.configure(budgets(100, "ladder: { 100%: block }"));
  await until("the new limit", async () => ((await ask(site.url, "GET", "/api/budgets")).body as Json).data[0]?.limit === 100 || undefined);
  for (let i = 0; i < WORKERS; i++) assert.equal(await say(site, "ann"), TEXT);
  await desk(site, "POST", `/${id}/answer`, { by: "Kim", text: "Bye.", return: true });
  assert.equal(await say(site, "ann"), "Bye.");
  for (let i = 0; i < WORKERS; i++) assert.equal(await say(site, "ann"), "One.");
  await site.checkBooks(await site.stop());
});

test("no conversation and no answer is lost when workers are killed, all at once too, and when the first process is", async (t) => {
  const { site, receiver } = await startDesk(t);
  const [ann, bob] = [await handOver(site, "ann"), await handOver(site, "bob")];
  await desk(site, "POST", `/${ann}/answer`, { by: "Kim", text: "Use the pump." });
  // There is room again, so that no ladder leads to the answer: only whoever knows that a person has the conversation gives it.
  await site.configure(budgets(100));
  await until("the new limit", async () => ((await ask(site.url, "GET", "/api/budgets")).body as Json).data[0]?.limit === 100 || undefined);
  for (const pid of await site.workers()) process.kill(pid, "SIGKILL");
  await workersAgain(site);
  await until("all of them", async () => (await site.workers()).length === WORKERS || undefined);
  assert.equal(await say(site, "ann"), "Use the pump.");
  for (let i = 0; i < 2 * WORKERS; i++) assert.equal(await say(site, "ann"), TEXT);

  await desk(site, "POST", `/${bob}/answer`, { by: "Lee", text: "Row." });
  const told = receiver.posted.length;
  await site.kill();
  await site.start();
  assert.deepEqual(
    (await desk(site, "GET")).data.map(({ id, status }: Json) => [id, status]).sort(),
    [
      [ann, "taken"],
      [bob, "taken"],
    ].sort(),
  );
  assert.equal(await say(site, "bob"), "Row.");
  assert.equal(await say(site, "bob"), TEXT);
  assert.equal(await say(site, "ann"), TEXT);
  await until("Lee to be told that Bob wrote again", () => receiver.posted.length > told || undefined);
  assert.equal(
    receiver.posted.filter(({ body }) => body.type === "handover.opened").length,
    2,
    "nobody is told again of what began before",
  );
  await desk(site, "POST", `/${ann}/return`, { by: "Kim" });
  for (let i = 0; i < WORKERS; i++) assert.equal(await say(site, "ann"), "One.");
  await site.stop();
  const files = await readdir(join(site.directory, "data", "handovers"));
  assert.deepEqual(files.filter((name) => name.endsWith(".handover")).sort(), [`${ann}.handover`, `${bob}.handover`].sort());
});

test("a conversation that comes to several workers at once is handed over once", async (t) => {
  const { site, receiver } = await startDesk(t);
  assert.equal(await say(site, "ann"), "One.");
  const all = await Promise.all(Array.from({ length: 4 * WORKERS }, () => say(site, "ann")));
  assert.deepEqual([...new Set(all)], [TEXT]);
  const { data, total } = await desk(site, "GET");
  assert.deepEqual([total, data[0].calls], [1, 4 * WORKERS]);
  await until("people to be told", () => receiver.posted.length > 0 || undefined);
  assert.equal(receiver.posted.length, 1);
});

test("workers on a Redis, which each opens for itself, have one book of handovers too", async (t) => {
  const redis = await startTestRedis("redis-server", ["--appendonly", "yes", "--appendfsync", "always"]);
  if (typeof redis === "string") return t.skip(`not run: ${redis}`);
  t.after(() => redis.close());
  const { site } = await startDesk(t, `store: { redis: "${redis.url}", namespace: acme, leases: true }`);
  const id = await handOver(site, "ann");
  await desk(site, "POST", `/${id}/answer`, { by: "Kim", text: "Use the pump." });
  assert.equal(await say(site, "ann"), "Use the pump.");
  for (let i = 0; i < WORKERS; i++) assert.equal(await say(site, "ann"), TEXT);
});
