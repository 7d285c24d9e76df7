import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { highWater } from "./stand.ts";
import { ask, call, holdersOf, isAlive, load, MAIN, readEntries, startSite, USAGE, until, WORKERS } from "./workers-site.ts";

test("several workers on one port never exceed a limit together, and use it to the end", async (t) => {
  const limit = 40_000;
  const site = await startSite(t, `[{ name: all, limits: [${limit} tokens, 1M requests / day] }]`);
  // Workers look at what is asked of them every two seconds, and take allotments of what is asked for often.
  await until("allotments", async () => {
    await load(site, { calls: 4, clients: 4 });
    return holdersOf(await site.entries()).size >= 2 || undefined;
  });
  const before = site.asked.size;
  assert.ok(before * USAGE.total_tokens < limit / 2, "most of the limit is still to be had");
  const statuses = await load(site, { calls: 2_400, clients: 40 });
  const admitted = before + (statuses.get(200) ?? 0);
  assert.equal(admitted, site.asked.size, "whoever got an answer was sent to the provider, and nobody else");
  assert.ok(admitted * USAGE.total_tokens <= limit);
  assert.ok(admitted * USAGE.total_tokens > 0.99 * limit, `${admitted} calls of ${USAGE.total_tokens} tokens were admitted`);
  assert.deepEqual([...statuses.keys()].sort(), [200, 402, 429].slice(0, statuses.size), "a refusal is one of a budget");
  const entries = await site.stop();
  for (const [key, most] of highWater(entries)) if (key.includes("|tokens/")) assert.ok(most <= limit, `${key} came to ${most}`);
  assert.ok(holdersOf(entries).size >= 2, "workers took allotments");
  await site.checkBooks(entries);
});

test("a worker that is killed costs no limit and no call of others, and another one takes its place", async (t) => {
  const site = await startSite(t, "[{ name: all, limits: [10M tokens, 1M requests / day] }]");
  await load(site, { calls: 300, clients: 20 });
  const before = await site.workers();
  assert.equal(before.length, WORKERS);
  const loading = load(site, { calls: 600, clients: 20 });
  await sleep(100);
  process.kill(before[0] as number, "SIGKILL");
  const statuses = await loading;
  assert.ok((statuses.get(200) ?? 0) >= 600 - 40, `${[...statuses]}: only calls that the dead worker had may fail`);
  const after = await until("another worker", async () => {
    const pids = await site.workers();
    return pids.length === WORKERS && !pids.includes(before[0] as number) ? pids : undefined;
  });
  assert.equal(after.filter((pid) => before.includes(pid)).length, WORKERS - 1);
  assert.equal((await load(site, { calls: 50, clients: 10 })).get(200), 50);
  assert.match(site.said(), /A worker has died \(SIGKILL\)/);
  await site.checkBooks(await site.stop());
});

test("a changed configuration is taken over by all workers at once and forgets nothing that was used; a wrong one changes nothing", async (t) => {
  const site = await startSite(t, "[{ name: all, limits: [10M tokens] }]");
  await load(site, { calls: 400, clients: 20 });
  await site.configure("[{ name: all, limits: [nothing] }]");
  await until("the complaint", () => /Nothing was changed/.test(site.said()) || undefined);
  await site.configure(`[{ name: all, limits: [10M tokens] }, { name: fresh, limits: [${410 * USAGE.total_tokens + 100} tokens] }]`);
  await until("the new configuration", () => /is taken over/.test(site.said()) || undefined);
  const statuses = await load(site, { calls: 100, clients: 4 });
  const admitted = (statuses.get(200) ?? 0) + 400;
  assert.ok(admitted <= 415 && admitted >= 408, `${admitted} calls were admitted by a limit for about 410`);
  await site.checkBooks(await site.stop());
});

test("a configuration that is changed while a worker starts is taken over by that one too", async (t) => {
  const site = await startSite(t, "[{ name: all, limits: [10M tokens] }]");
  const [first] = await site.workers();
  process.kill(first as number, "SIGKILL");
  await until("its end", () => /A worker has died/.test(site.said()) || undefined);
  await site.configure("[{ name: other, limits: [0 requests / day] }]");
  await until("the new configuration", () => /is taken over|cannot be taken over/.test(site.said()) || undefined);
  assert.match(site.said(), /is taken over/);
  const statuses = await load(site, { calls: 20, clients: 4 });
  assert.deepEqual([...statuses.keys()], [402]);
});

test("whichever worker answers: a key is good, a balance is whole, and a decision of one is settled at another", async (t) => {
  const site = await startSite(t, "[{ name: all, limits: [10M tokens] }]");
  await load(site, { calls: 200, clients: 20 });
  const token = (await readFile(join(site.directory, "data", "admin.token"), "utf8")).trim();
  const owner = { authorization: `Bearer ${token}` };
  const spent = async () => {
    const { body } = await ask(site.url, "GET", "/api/budgets", undefined, owner);
    return (body as { data: { spent: number }[] }).data[0]?.spent;
  };
  // What the others have used is known when they have reported it.
  await until("the reports", async () => (await spent()) === 200 * USAGE.total_tokens || undefined);
  for (let i = 0; i < WORKERS; i++) assert.equal(await spent(), 200 * USAGE.total_tokens);
  const made = await ask(site.url, "POST", "/api/keys", { name: "ann", may_set: ["user"] }, owner);
  const { secret } = made.body as { secret: string };
  for (let i = 0; i < 2 * WORKERS; i++) {
    assert.equal((await call(site.url, `key-${i}`, { authorization: `Bearer ${secret}` })).status, 200);
    assert.equal((await call(site.url, `none-${i}`, { authorization: "Bearer pk-wrong" })).status, 401);
  }
  const subject = { provider: "mock", model: "any" };
  for (let i = 0; i < 2 * WORKERS; i++) {
    const asked = { id: `dec-${i}`, subject, input_tokens: 10, max_output_tokens: 10 };
    const first = await ask(site.url, "POST", "/api/decisions", asked, owner);
    assert.equal(first.status, 200, JSON.stringify(first.body));
    assert.deepEqual((await ask(site.url, "POST", "/api/decisions", asked, owner)).body, first.body, "asked again, it is the same");
    const other = await ask(site.url, "POST", "/api/decisions", { ...asked, input_tokens: 11 }, owner);
    assert.equal(other.status, 400, "another call cannot have its id");
    const usage = { usage: { input_tokens: 4, output_tokens: 5 } };
    const settled = await ask(site.url, "POST", `/api/decisions/dec-${i}/settle`, usage, owner);
    assert.equal((settled.body as { outcome: string }).outcome, "settled", JSON.stringify(settled.body));
    const whole = { model: "any", max_tokens: 10, messages: [{ role: "user", content: "Hi" }] };
    const named = { ...owner, "x-purser-provider": "mock", "x-purser-decision-id": `whole-${i}` };
    const allowed = await ask(site.url, "POST", "/api/authorize?path=/v1/chat/completions", whole, named);
    assert.equal(allowed.status, 200, JSON.stringify(allowed.body));
    const answer = { choices: [], usage: { prompt_tokens: 4, completion_tokens: 5 } };
    const charged = await ask(site.url, "POST", `/api/decisions/whole-${i}/settle`, { answer }, owner);
    assert.deepEqual((charged.body as { usage: object }).usage, { input_tokens: 4, output_tokens: 5 });
  }
  await site.checkBooks(await site.stop());
});

test("what the guard of one worker trips on stands in all of them, also in one that starts later, and all let go of it", async (t) => {
  const site = await startSite(t, "[{ name: all, limits: [10M tokens], guard: { repeats: 10, lasts: 1 h } }]");
  await until("a guard to trip", async () => (await call(site.url, "ann")).status === 402 || undefined);
  const ids = async () => {
    const asked = Array.from({ length: 3 * WORKERS }, () => ask(site.url, "GET", "/api/guards"));
    const lists = (await Promise.all(asked)).map(({ body }) => (body as { data: readonly { id: string }[] }).data);
    const texts = new Set(lists.map((list) => list.map(({ id }) => id).join()));
    return texts.size === 1 ? [...texts][0] : undefined;
  };
  const id = await until("all workers to know it", async () => (await ids()) || undefined);
  const statuses = await load(site, { calls: 20, clients: 4 });
  assert.deepEqual([...statuses], [[402, 20]]);
  let others = 0;
  const holders = async (count: number) => {
    const messages = [{ role: "user", content: `Other ${++others}` }];
    await ask(site.url, "POST", "/v1/chat/completions", { model: "any", user: "bob", max_tokens: 20, messages }).catch(() => undefined);
    return holdersOf(await site.entries()).size >= count || undefined;
  };
  await until("all workers to take calls", () => holders(WORKERS));
  process.kill((await site.workers())[0] as number, "SIGKILL");
  await until("its end", () => /A worker has died/.test(site.said()) || undefined);
  await until("another worker to take calls", () => holders(WORKERS + 1));
  await until("it to know the guard", async () => (await ids().catch(() => undefined)) === id || undefined);
  const ended = await ask(site.url, "DELETE", `/api/guards/${id}?by=kim`);
  assert.equal(ended.status, 200);
  await until("all workers to let go", async () => ((await ids()) === "" ? true : undefined));
  assert.equal((await call(site.url, "ann")).status, 200);
});

test("workers that are told to stop let their calls end and return what they had at hand", async (t) => {
  const site = await startSite(t, "[{ name: all, limits: [10M tokens] }]");
  await load(site, { calls: 400, clients: 20 });
  const slow = Promise.all(Array.from({ length: 6 }, (_, i) => call(site.url, `slow-${i}`)));
  await until("the slow calls", () => [...site.asked.keys()].filter((user) => user.startsWith("slow")).length === 6 || undefined);
  const entries = await site.stop();
  assert.deepEqual(
    (await slow).map(({ status }) => status),
    [200, 200, 200, 200, 200, 200],
  );
  await site.checkBooks(entries);
  assert.ok(entries.filter(({ kind }) => kind === "expired").length === 0);
  const last = new Map(entries.flatMap((entry) => (entry.kind === "leased" ? [[entry.reservation, entry.end] as const] : [])));
  for (const end of last.values()) assert.equal(end, "returned");
});

test("whichever worker is scraped tells what all have counted, and goes on telling it when one of them dies", async (t) => {
  const site = await startSite(t, "[{ name: all, limits: [10M tokens] }]");
  const token = (await readFile(join(site.directory, "data", "admin.token"), "utf8")).trim();
  const counted = async () => {
    const response = await fetch(`${site.url}/metrics`, { headers: { authorization: `Bearer ${token}`, connection: "close" } });
    const text = await response.text();
    return {
      calls: Number(/^purser_calls_total\{.*\} (\d+)$/m.exec(text)?.[1] ?? 0),
      inFlight: Number(/^purser_calls_in_flight (\d+)$/m.exec(text)?.[1]),
      mismatches: /^purser_audit_mismatches (\d+)$/m.exec(text)?.[1],
    };
  };
  await load(site, { calls: 300, clients: 20 });
  // Each worker says what it has counted every second.
  await until("all workers", async () => (await counted()).calls === 300 || undefined);
  for (let i = 0; i < WORKERS; i++) assert.equal((await counted()).calls, 300);
  const before = await site.workers();
  process.kill(before[0] as number, "SIGKILL");
  await until("another worker", async () => (await site.workers()).filter((pid) => !before.includes(pid)).length === 1 || undefined);
  assert.equal((await counted()).calls, 300);
  await load(site, { calls: 100, clients: 10 });
  await until("the others", async () => (await counted()).calls === 400 || undefined);
  assert.equal((await counted()).inFlight, 0);
  await until("an audit", async () => (await counted()).mismatches === "0" || undefined);
  await site.checkBooks(await site.stop());
});

test("workers that all die at once are there again on the same port, which the system had given", async (t) => {
  const site = await startSite(t, "[{ name: all, limits: [10M tokens] }]");
  const before = await site.workers();
  for (const pid of before) process.kill(pid, "SIGKILL");
  const status = () =>
    call(site.url, "ann").then(
      ({ status }) => status,
      () => undefined,
    );
  await until("another worker", async () => (await status()) === 200 || undefined);
  const after = await until("all of them", async () => {
    const pids = await site.workers();
    return pids.length === WORKERS ? pids : undefined;
  });
  assert.ok(after.every((pid) => !before.includes(pid)));
  await site.checkBooks(await site.stop());
});

test("whoever stops all of it while workers start waits for none of them", async (t) => {
  const site = await startSite(t, "[{ name: all, limits: [10M tokens] }]");
  for (const pid of await site.workers()) process.kill(pid, "SIGKILL");
  await until("others to start", () => (site.said().match(/A worker has died/g)?.length === WORKERS ? true : undefined));
  const began = performance.now();
  await site.checkBooks(await site.stop());
  assert.ok(performance.now() - began < 20_000, "calls have half a minute to end, and there are none");
});

test("workers end with the process that started them", async (t) => {
  const site = await startSite(t, "[{ name: all, limits: [10M tokens] }]");
  const pids = await site.workers();
  site.child.kill("SIGKILL");
  await until("the workers to end", () => pids.every((pid) => !isAlive(pid)) || undefined);
  await site.checkBooks(await readEntries(site.directory));
});

test("a port that is taken, or a number that is none, is refused with what to do", async (t) => {
  const site = await startSite(t, "[]");
  const taken = await serveOnce(["--port", new URL(site.url).port, "--workers", "2", "--data", join(site.directory, "other")]);
  assert.match(taken, /Port \d+ on 127.0.0.1 is in use/);
  assert.match(await serveOnce(["--workers", "none"]), /--workers is a number of processes from 1 to 256/);
  assert.match(await serveOnce(["--workers", "2", "--demo"]), /The demo runs in one process/);
});

/** What `serve` says when it cannot start. */
async function serveOnce(args: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, [MAIN, "serve", ...args], { stdio: ["ignore", "ignore", "pipe"], cwd: tmpdir() });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  const [code] = await once(child, "exit");
  assert.equal(code, 2, said);
  return said;
}
