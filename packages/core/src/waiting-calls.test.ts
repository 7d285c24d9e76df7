import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import fc from "fast-check";
import type { Call } from "./admission.ts";
import { Budgets } from "./budgets.ts";
import { type BudgetInput, defineBudget } from "./domain/budget.ts";
import type { Decision } from "./domain/decision.ts";
import { createMemoryStore } from "./stores/memory.ts";
import { DEMO_CARD, demoCall } from "./testing/demo-budgets.ts";
import { createFakeClock } from "./testing/fake-clock.ts";
import { WAITING_MOST } from "./waiting-calls.ts";

const LEAKY: BudgetInput = { name: "leaky", limits: ["6 requests / minute leaky burst 1"] };

/** Budgets whose clock stands still until it is told to go on. */
function scene(...inputs: readonly BudgetInput[]) {
  const clock = createFakeClock();
  const store = createMemoryStore({ now: clock.now });
  const prices = { card: () => DEMO_CARD };
  const budgets = new Budgets({ store, budgets: inputs.map(defineBudget), prices, now: clock.now, timers: clock.timers });
  const decided: { readonly name: string; readonly at: number; readonly decision: Decision }[] = [];
  const start = clock.now();
  /** Asks for a call and notes when and how it was decided. */
  const asked = async (name: string, size = { input: 10, output: 0 }, extra: Partial<Call> = {}) => {
    const decision = await budgets.reserve(demoCall(size, extra));
    decided.push({ name, at: clock.now() - start, decision });
    return decision;
  };
  const ask = (...call: Parameters<typeof asked>) => void asked(...call);
  const decideWhatCan = async () => {
    for (let turns = 0; turns < 4; turns++) await nextTurn();
  };
  /** Lets time pass, and all that is decided meanwhile: what can be decided at a moment is, before the next comes. */
  const pass = async (milliseconds: number, step = 100) => {
    await decideWhatCan();
    for (let passed = 0; passed < milliseconds; passed += step) {
      clock.advance(Math.min(step, milliseconds - passed));
      await decideWhatCan();
    }
  };
  return { budgets, decided, ask, asked, pass };
}

const times = (decided: readonly { readonly name: string; readonly at: number }[]) => decided.map(({ name, at }) => [name, at]);

test("calls wait in a leaky bucket in the order in which they came, and go on as it drains", async () => {
  const { ask, pass, decided } = scene(LEAKY);
  for (const name of ["a", "b", "c"]) ask(name);
  await pass(25_000);
  assert.deepEqual(
    decided.map(({ name, decision }) => [name, decision.outcome]),
    [
      ["a", "allowed"],
      ["b", "allowed"],
      ["c", "allowed"],
    ],
  );
  // The first flows in at the end of its second, and each drains in ten.
  assert.deepEqual(times(decided), [
    ["a", 0],
    ["b", 11_000],
    ["c", 22_000],
  ]);
});

test("a later call does not overtake an earlier one, also where only the later one fits", async () => {
  const { ask, pass, decided } = scene({ name: "leaky", limits: ["60 tokens / minute leaky burst 100"], minOutput: 0 });
  ask("fills", { input: 90, output: 0 });
  ask("large", { input: 30, output: 0 });
  await pass(1_000);
  ask("small", { input: 1, output: 0 });
  await pass(30_000);
  assert.deepEqual(
    decided.map(({ name }) => name),
    ["fills", "large", "small"],
  );
  assert.ok(decided.every(({ decision }) => decision.outcome === "allowed"));
});

test("what a call in flight returns lets the next one go on before anything drains", async () => {
  const { ask, asked, pass, budgets, decided } = scene({ name: "leaky", limits: ["60 tokens / minute leaky burst 100"], minOutput: 0 });
  const first = await asked("first", { input: 100, output: 0 });
  ask("second", { input: 50, output: 0 });
  await pass(2_000);
  assert.equal(decided.length, 1);
  assert.ok(first.outcome === "allowed");
  await budgets.release(first.reservation, "never sent");
  await pass(200);
  assert.deepEqual(
    decided.map(({ name, decision }) => [name, decision.outcome]),
    [
      ["first", "allowed"],
      ["second", "allowed"],
    ],
  );
});

test("a call waits for as long as its limit says, and is then refused for the moment", async () => {
  const { ask, pass, decided } = scene({ name: "leaky", limits: ["6 requests / minute leaky burst 1 wait 15s"] });
  for (const name of ["a", "b", "c"]) ask(name);
  await pass(15_000);
  const [, , late] = decided;
  assert.deepEqual(times(decided), [
    ["a", 0],
    ["b", 11_000],
    ["c", 11_000],
  ]);
  assert.ok(late?.decision.outcome === "denied");
  const { reason, retryAfterMs, message } = late.decision.denial;
  assert.deepEqual([reason, retryAfterMs], ["rate_limited", 11_000]);
  assert.match(message, /has 0 requests left of 1 request in its bucket, which drains by the minute .* Try again in 11 seconds/);
});

test("a call that would have to wait for too long is refused at once", async () => {
  const { ask, pass, decided } = scene({ name: "leaky", limits: ["1 request / hour leaky"] });
  ask("a");
  ask("b");
  await pass(100);
  assert.deepEqual(
    decided.map(({ at, decision }) => [at, decision.outcome === "denied" ? decision.denial.reason : decision.outcome]),
    [
      [0, "allowed"],
      [0, "budget_exhausted"],
    ],
  );
});

test("a call that another limit refuses does not wait", async () => {
  const { ask, pass, decided } = scene(LEAKY, { name: "day", limits: ["1 request / day"] });
  ask("a");
  ask("b");
  await pass(100);
  assert.deepEqual(
    decided.map(({ decision }) => (decision.outcome === "denied" ? decision.denial.balance?.budget : decision.outcome)),
    ["allowed", "day"],
  );
});

test("a caller that goes away leaves the line, and the next one takes its turn", async () => {
  const { ask, asked, pass, decided } = scene(LEAKY);
  ask("a");
  const leaving = new AbortController();
  const gone = asked("b", { input: 10, output: 0 }, { signal: leaving.signal });
  ask("c");
  await pass(5_000);
  leaving.abort(new Error("the client hung up"));
  await assert.rejects(gone, /the client hung up/);
  await pass(7_000);
  assert.deepEqual(times(decided), [
    ["a", 0],
    ["c", 11_000],
  ]);
  const late = asked("d", { input: 10, output: 0 }, { signal: leaving.signal });
  await assert.rejects(late, /the client hung up/);
  ask("e");
  await pass(11_000);
  assert.equal(decided.at(-1)?.name, "e");
});

test("each subject has a line of its own", async () => {
  const { ask, pass, decided } = scene({ ...LEAKY, per: "user" });
  const subjectOf = (user: string) => ({ provider: "demo", model: "demo-1", user });
  ask("ann", undefined, { subject: subjectOf("ann") });
  ask("ann again", undefined, { subject: subjectOf("ann") });
  ask("bob", undefined, { subject: subjectOf("bob") });
  await pass(100);
  assert.deepEqual(
    decided.map(({ name }) => name),
    ["ann", "bob"],
  );
});

test("a line is bounded: who comes after so many is refused at once", async () => {
  const { ask, pass, decided } = scene({ name: "leaky", limits: ["6 requests / minute leaky burst 1 wait 10m"] });
  for (let i = 0; i < WAITING_MOST + 10; i++) ask(`call ${i}`);
  await pass(100);
  const refused = decided.filter(({ decision }) => decision.outcome === "denied");
  assert.equal(refused.length, 9);
  const [one] = refused;
  assert.ok(one?.decision.outcome === "denied");
  assert.equal(one.decision.denial.reason, "rate_limited");
  assert.match(
    one.decision.denial.message,
    /in order as 1 request in its bucket, which drains by the minute has room, and 1001 calls wait before this one. Try again in 10 seconds/,
  );
});

test("a configuration that changes does not wait for calls that wait", async () => {
  const { ask, pass, budgets, decided } = scene(LEAKY);
  ask("a");
  ask("b");
  await pass(500);
  await budgets.configure({
    budgets: [defineBudget({ name: "leaky", limits: ["60 requests / minute leaky"] })],
    prices: { card: () => DEMO_CARD },
  });
  await pass(1_000);
  assert.deepEqual(
    decided.map(({ name, decision }) => [name, decision.outcome]),
    [
      ["a", "allowed"],
      ["b", "allowed"],
    ],
  );
});

test("whatever comes when, calls of one bucket are let through in the order in which they came, and never faster than it drains", async () => {
  const arrivals = fc.array(fc.tuple(fc.integer({ min: 0, max: 4_000 }), fc.integer({ min: 1, max: 40 })), { minLength: 1, maxLength: 25 });
  await fc.assert(
    fc.asyncProperty(arrivals, async (calls) => {
      const { ask, pass, decided } = scene({ name: "leaky", limits: ["240 tokens / minute leaky burst 40 wait 10m"], minOutput: 0 });
      for (const [i, [after, input]] of calls.entries()) {
        await pass(after, 500);
        ask(String(i), { input, output: 0 });
      }
      await pass(300_000, 1_000);
      assert.deepEqual(
        decided.map(({ name }) => Number(name)),
        calls.map((_, i) => i),
      );
      for (const [i, { at: since }] of decided.entries()) {
        let used = 0;
        for (const { name, at } of decided.slice(i)) {
          used += (calls[Number(name)] as [number, number])[1];
          assert.ok(used <= 40 + ((at - since) * 240) / 60_000, `${used} in ${at - since} ms`);
        }
      }
    }),
    { numRuns: 40 },
  );
});

test("a call that finds the line full while its limit is taken away is admitted: there is nobody to be behind of", async () => {
  const { ask, pass, budgets, decided } = scene(LEAKY);
  for (let i = 0; i < WAITING_MOST + 1; i++) ask(`call ${i}`);
  await pass(0);
  void budgets.configure({ budgets: [], prices: { card: () => DEMO_CARD } });
  // At every moment of the change.
  for (let i = 0; i < 40; i++) {
    ask(`late ${i}`);
    await Promise.resolve();
  }
  await pass(2_000);
  assert.ok(decided.some(({ name, decision }) => name.startsWith("late") && decision.outcome === "allowed"));
  assert.equal(decided.length, WAITING_MOST + 41);
});
