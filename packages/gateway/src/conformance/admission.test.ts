import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { Entry } from "@purser/core";
import { Agent, request } from "undici";
import { PLAIN_CALL } from "./calls.ts";
import { type Answer, answerChat, type RawProvider, startRawProvider } from "./raw-provider.ts";
import { eventually, highWater, NANODOLLARS, providersAt, type Stand, startStand } from "./stand.ts";

/** Every kind of input costs the same, so that a call can use to the nano-dollar what it holds. */
const PRICES = "prices: [{ model: '*', input: 3, output: 15 }]";
const CALLS = 1_000;
const ROOM = 137;
/** Counted exactly near a limit: the model's own vocabulary. */
const CALL = { ...PLAIN_CALL, model: "gpt-4o", max_tokens: 100 };

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  /** One call of a caller; its status. */
  readonly call: (headers?: Record<string, string>) => Promise<number>;
}

/** A gateway with its balances on disk, as an operator has it. */
async function startScene(context: TestContext, budgets: string, answer: Answer): Promise<Scene> {
  const provider = await startRawProvider(context, answer);
  const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\nbudgets: ${budgets}`, store: "sqlite" });
  const agent = new Agent({ connections: CALLS });
  context.after(() => agent.destroy());
  const body = JSON.stringify(CALL);
  const call = async (headers: Record<string, string> = {}) => {
    const answered = await request(`${stand.url}/v1/chat/completions`, {
      dispatcher: agent,
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body,
    });
    await answered.body.dump();
    return answered.statusCode;
  };
  return { stand, provider, call };
}

/** What one of these calls holds: found by making one where there is room. */
async function holdOfOne(context: TestContext): Promise<{ readonly input: number; readonly money: number; readonly tokens: number }> {
  // A limit so near that the input is counted exactly, as it is at the edge.
  const { stand, call } = await startScene(context, "[{ name: all, limits: [$0.002] }]", answerChat());
  assert.equal(await call(), 200);
  const [{ detail } = assert.fail()] = await stand.entries(1, "reserved");
  assert.equal(detail.counted, true);
  const money = detail.inputTokens * NANODOLLARS.input + CALL.max_tokens * NANODOLLARS.output;
  assert.equal(detail.cost, money);
  return { input: detail.inputTokens, money, tokens: detail.inputTokens + CALL.max_tokens };
}

/** An answer that uses all that its call holds. */
function answerWhole(input: number): Answer {
  return answerChat({ input, output: CALL.max_tokens });
}

function dollars(nanodollars: number): string {
  return `$${(nanodollars / 1e9).toFixed(9)}`;
}

/** At no entry of the ledger was more spent and held than the limit. */
function checkNeverOver(entries: readonly Entry[], limits: Readonly<Record<string, number>>): void {
  const most = [...highWater(entries)].map(([key, used]) => [key, used] as const);
  assert.ok(most.length > 0);
  for (const [key, used] of most) {
    const limit = Object.entries(limits).find(([budget]) => key.startsWith(budget))?.[1];
    assert.ok(limit !== undefined, key);
    assert.ok(used <= limit, `${key}: ${used} of ${limit}`);
  }
  assert.ok(!entries.some(({ kind }) => kind === "overrun"));
}

function countOf(statuses: readonly number[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const status of statuses) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

describe("a thousand calls at once", { timeout: 60_000 }, () => {
  test("a budget with room for 137 lets exactly 137 of them through", async (context) => {
    const { input, money } = await holdOfOne(context);
    // Room for 137 calls, and one nano-dollar less than a 138th needs.
    const limit = ROOM * money + money - 1;
    const { stand, provider, call } = await startScene(context, `[{ name: all, limits: ["${dollars(limit)}"] }]`, answerWhole(input));
    const statuses = await Promise.all(Array.from({ length: CALLS }, () => call()));
    const counts = countOf(statuses);
    assert.equal(counts[200], ROOM);
    assert.equal((counts[402] ?? 0) + (counts[429] ?? 0), CALLS - ROOM);
    assert.equal(provider.received.length, ROOM, "the provider saw no other call");
    await stand.checkBooks();
    await stand.entries(CALLS - ROOM, "denied");
    checkNeverOver(await stand.ledger(), { all: limit });
    const [balance] = await stand.gateway.budgets.balances();
    assert.deepEqual(
      [balance?.spent, balance?.held, balance?.left],
      [ROOM * money, 0, money - 1],
      "what is left could not have paid for one more",
    );
    assert.equal(await call(), 402);
  });

  test("over five levels with different limits the tightest decides, and no other level holds anything for what it refused", async (context) => {
    const { input, money, tokens } = await holdOfOne(context);
    const limits = {
      company: 400 * money,
      engineering: 300 * tokens,
      chatbot: ROOM * money + 1,
      ann: 250,
      free: 290 * tokens,
    };
    const budgets = `[
      { name: company, limits: ["${dollars(limits.company)} / month"] },
      { name: engineering, for: { team: engineering }, limits: ["${limits.engineering} tokens / day"] },
      { name: chatbot, for: { feature: chatbot }, limits: ["${dollars(limits.chatbot)}"] },
      { name: ann, per: user, limits: ["${limits.ann} requests / year"] },
      { name: free, for: { tier: free }, limits: ["${limits.free} tokens / week"] },
    ]`;
    const { stand, provider, call } = await startScene(context, budgets, answerWhole(input));
    const who = { "x-purser-team": "engineering", "x-purser-feature": "chatbot", "x-purser-user": "ann", "x-purser-tier": "free" };
    const statuses = await Promise.all(Array.from({ length: CALLS }, () => call(who)));
    assert.equal(countOf(statuses)[200], ROOM);
    assert.equal(provider.received.length, ROOM);
    await stand.checkBooks();
    checkNeverOver(await stand.ledger(), limits);
    const spent = Object.fromEntries((await stand.gateway.budgets.balances()).map((balance) => [balance.budget, balance.spent]));
    assert.deepEqual(spent, {
      company: ROOM * money,
      engineering: ROOM * tokens,
      chatbot: ROOM * money,
      ann: ROOM,
      free: ROOM * tokens,
    });
  });

  test("calls that use less than they held fill the budget to within one call of its limit", async (context) => {
    const { input, money } = await holdOfOne(context);
    const used = { input: input - 1, output: 40 };
    const cost = used.input * NANODOLLARS.input + used.output * NANODOLLARS.output;
    const limit = ROOM * money;
    const { stand, provider, call } = await startScene(context, `[{ name: all, limits: ["${dollars(limit)}"] }]`, answerChat(used));
    /** Comes back as long as it is told that the budget is only busy. */
    const untilFinal = async (): Promise<number> => {
      for (;;) {
        const settled = (await stand.gateway.store.counters())[0]?.spent ?? 0;
        const status = await call();
        if (status !== 429) return status;
        // Not after a second, as it is told to, but as soon as another call has ended.
        await eventually("another call to end", async () =>
          ((await stand.gateway.store.counters())[0]?.spent ?? 0) > settled ? true : undefined,
        );
      }
    };
    const statuses = await Promise.all(Array.from({ length: CALLS }, untilFinal));
    const served = countOf(statuses)[200] ?? 0;
    assert.equal(countOf(statuses)[402], CALLS - served);
    assert.equal(provider.received.length, served);
    await stand.checkBooks();
    checkNeverOver(await stand.ledger(), { all: limit });
    const [balance] = await stand.gateway.budgets.balances();
    assert.equal(balance?.spent, served * cost);
    assert.ok((balance?.left ?? money) < money, `${balance?.left} nano-dollars are left, and one call asks for ${money}`);
    assert.equal(served, Math.floor((limit - money) / cost) + 1, "as many as one after the other would have been");
  });
});
