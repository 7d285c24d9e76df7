import assert from "node:assert/strict";
import type { IncomingHttpHeaders } from "node:http";
import { test } from "node:test";
import { startTestRedis } from "@purser/core/testing";
import { type Answer, answerChat, startRawProvider } from "./raw-provider.ts";
import { type Gateway, startGateways } from "./several-gateways.ts";
import { ask, startSite, until, WORKERS } from "./workers-site.ts";

const REPEATS = 10;
const LOOP = [{ role: "user", content: "What is in this folder?" }];

/** As long as nobody is faster who asks a model. */
const slowly: Answer = (response, received) => setTimeout(() => answerChat()(response, received), 150);

interface Asked {
  readonly url: string;
  readonly session: string;
  readonly messages?: readonly unknown[];
}

/** A call on a connection of its own. */
async function callOf({ url, session, messages = LOOP }: Asked): Promise<number> {
  const headers: IncomingHttpHeaders = { "x-purser-session": session };
  return (await ask(url, "POST", "/v1/chat/completions", { model: "any", max_tokens: 20, messages }, headers)).status;
}

/** One call after the other, to one url after the other. How many were answered before one was refused, of at most so many. */
async function passedOf(urls: readonly string[], session: string, most: number): Promise<number> {
  for (let i = 0; i < most; i++) {
    const status = await callOf({ url: urls[i % urls.length] as string, session });
    if (status === 402) return i;
    assert.equal(status, 200);
  }
  return most;
}

/** The call that is one too many passes, and one more at each of the others. */
function assertStopped(passed: number, processes: number): void {
  assert.ok(passed >= REPEATS - 1 && passed <= REPEATS + processes - 1, `${passed} calls passed at ${processes} processes`);
}

test("a loop whose calls go to three workers is stopped as one, also where a worker dies, and what stays under the limit never is", async (t) => {
  const provider = await startRawProvider(t, slowly);
  const guard = `{ repeats: ${REPEATS}, growth: 6, lasts: 1 h }`;
  const site = await startSite(t, `[{ name: all, per: session, limits: [10M tokens], guard: ${guard} }]`, { providerUrl: provider.url });
  assertStopped(await passedOf([site.url], "loop", 30), WORKERS);
  assert.equal(await passedOf([site.url], "under", REPEATS - 1), REPEATS - 1);
  const growing = async () => {
    for (let i = 1; i <= 12; i++) {
      const messages = [{ role: "user", content: "word ".repeat(100 * i) }];
      if ((await callOf({ url: site.url, session: "growing", messages })) === 402) return i - 1;
    }
    return assert.fail("a context that grows is not stopped");
  };
  // The seventh is the sixth that grew; it settles while two more come, and then each of the others takes one.
  const grown = await growing();
  assert.ok(grown >= 7 && grown <= 7 + 2 + WORKERS - 1, `${grown} calls that grew passed`);
  assert.equal(await passedOf([site.url], "dying", 6), 6);
  process.kill((await site.workers())[0] as number, "SIGKILL");
  await until(
    "another worker",
    async () => (/takes its place/.test(site.said()) && (await site.workers()).length === WORKERS) || undefined,
  );
  assertStopped(6 + (await passedOf([site.url], "dying", 30)), WORKERS + 1);
});

test("a loop whose calls go to two gateways on one Redis is stopped as one, and goes on being guarded against while Redis is away", async (t) => {
  const redis = await startTestRedis();
  if (typeof redis === "string") return t.skip(`not run: ${redis}`);
  t.after(() => redis.close());
  const provider = await startRawProvider(t, slowly);
  const guard = `{ repeats: ${REPEATS}, lasts: 1 h }`;
  const budgets = `[{ name: all, per: session, limits: [10M tokens], on_store_failure: open, guard: ${guard} }]`;
  const gateways = await startGateways(t, { redis: [redis.url], provider: `${provider.url}/v1`, budgets, count: 2 });
  const urls = gateways.map(({ url }) => url);
  const [one, other] = gateways as [Gateway, Gateway];
  assertStopped(await passedOf(urls, "loop", 30), 2);
  assert.equal(await passedOf(urls, "under", REPEATS - 1), REPEATS - 1);
  assert.equal(await passedOf(urls, "cut", 4), 4);
  await redis.kill();
  assert.equal(await passedOf([one.url], "cut", 4), 4, "no call is stopped by what cannot be told");
  const more = await passedOf([one.url], "cut", 30);
  assert.ok(more <= REPEATS, `${more} more calls passed at a gateway that is on its own`);
  assert.equal(await callOf({ url: other.url, session: "cut" }), 200, "which the other does not know yet");
  await redis.restart();
  await until("the other to know it", async () => (await callOf({ url: other.url, session: "cut" })) === 402 || undefined);
  assertStopped(await passedOf(urls, "again", 30), 2);
});
