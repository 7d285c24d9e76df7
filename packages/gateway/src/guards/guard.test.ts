import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_TRACES, type RecordedCall, serviceCalls, tenantCalls } from "../conformance/traces.ts";
import { createWatch, type Guard, letGo, sawCall, sawSpend, tripsInForce } from "./guard.ts";
import type { ToolLoop } from "./tool-loop.ts";

const NOW = Date.UTC(2026, 10, 20, 12);
const MINUTE = 60_000;
const GUARD: Guard = {
  repeats: 5,
  sameTool: undefined,
  growth: undefined,
  surge: undefined,
  rungs: [{ kind: "block" }],
  lastsMs: 5 * MINUTE,
};

test("the same call again and again is stopped, others of its subject pass, and it may come again later", () => {
  const watch = createWatch();
  const call = (fingerprint: string, now: number) => sawCall(watch, GUARD, { fingerprint, size: 1 }, now)?.trigger;
  for (let i = 0; i < 4; i++) {
    assert.equal(call("loop", NOW + i), undefined);
    assert.equal(call(`other ${i}`, NOW + i), undefined);
  }
  assert.equal(call("loop", NOW + 4), "repeats");
  assert.equal(call("loop", NOW + 5), "repeats");
  assert.equal(call("something else", NOW + 6), undefined);
  assert.equal(call("loop", NOW + 4 + 5 * MINUTE), undefined, "it recovers by itself");
});

test("what comes as often within more than ten minutes is no loop", () => {
  const watch = createWatch();
  for (let i = 0; i < 100; i++) assert.equal(sawCall(watch, GUARD, { fingerprint: "health", size: 1 }, NOW + i * 2.6 * MINUTE), undefined);
});

test("a loop is seen between any number of other calls, in a fixed amount of memory", () => {
  const watch = createWatch();
  let trips = 0;
  for (let i = 0; i < 40; i++) {
    for (const fingerprint of ["a", "b", `c${i}`]) if (sawCall(watch, GUARD, { fingerprint, size: 1 }, NOW + i)) trips++;
  }
  assert.equal(trips, 2 * 36);
  assert.ok(watch.calls.length <= 8);
});

test("a loop of calls of tools is let go of after a while, and stopped again when it goes on for as long", () => {
  const guard: Guard = { ...GUARD, repeats: undefined, sameTool: 3 };
  const watch = createWatch();
  const loopOf = (fingerprint: string): ToolLoop => ({ fingerprint, sign: "same", tools: ["read"], rounds: 1, times: 3 });
  const saw = (fingerprint: string, now: number) => sawCall(watch, guard, { fingerprint: "", size: 1, loop: loopOf(fingerprint) }, now);
  const first = saw("a", NOW);
  assert.deepEqual([first?.trigger, first?.until], ["same_tool", NOW + 5 * MINUTE]);
  assert.equal(saw("a", NOW + MINUTE), first, "it is one and the same, so it is told once");
  assert.equal(sawCall(watch, guard, { fingerprint: "", size: 1 }, NOW + MINUTE), undefined, "who is in no loop goes on");
  const later = NOW + 6 * MINUTE;
  assert.deepEqual([saw("a", later), saw("a", later)], [undefined, undefined]);
  assert.equal(saw("a", later)?.at, later);
  assert.equal(saw("b", later)?.at, later);
  for (let i = 0; i < 20; i++) saw(`other ${i}`, later);
  assert.ok(watch.loops.length <= 8);
});

test("a minute that was let go of is usual from then on", () => {
  const guard: Guard = { ...GUARD, repeats: undefined, surge: 10 };
  const watch = createWatch();
  const saw = (now: number) => sawCall(watch, guard, { fingerprint: "", size: 1 }, now);
  for (let minute = 0; minute < 60; minute++) sawSpend(watch, guard, 50, NOW + minute * MINUTE);
  const later = NOW + 60 * MINUTE;
  sawSpend(watch, guard, 600, later);
  const [trip = assert.fail(), ...others] = tripsInForce(watch, later);
  assert.deepEqual([trip.trigger, others, saw(later)], ["surge", [], trip]);
  letGo(watch, trip, later + 1);
  assert.deepEqual([tripsInForce(watch, later + 1), saw(later + 1)], [[], undefined]);
  sawSpend(watch, guard, 600, later + 2);
  assert.equal(saw(later + 2), undefined);
  sawSpend(watch, guard, 10_000, later + 3);
  assert.equal(saw(later + 3)?.trigger, "surge", "but no dearer one");
});

test("calls that carry more each time are stopped when they have doubled, and a conversation that begins anew is not", () => {
  const guard: Guard = { ...GUARD, repeats: undefined, growth: 10 };
  const grow = (sizes: readonly number[]) => {
    const watch = createWatch();
    return sizes.findIndex((size, i) => sawCall(watch, guard, { fingerprint: "", size }, NOW + i) !== undefined);
  };
  const steps = Array.from({ length: 30 }, (_, i) => i);
  assert.equal(grow(steps.map((i) => 1000 + 100 * i)), 10);
  assert.equal(grow(steps.map((i) => 1000 + i)), -1, "growing is not running away while it stays small");
  assert.equal(grow(steps.map((i) => 1000 + 100 * (i % 10))), -1);
});

test("a minute far dearer than the dearest before trips, and one as dear as those before does not", () => {
  const guard: Guard = { ...GUARD, repeats: undefined, surge: 10 };
  const watch = createWatch();
  const spend = (amount: number, now: number) => {
    sawSpend(watch, guard, amount, now);
    return sawCall(watch, guard, { fingerprint: "", size: 1 }, now)?.trigger;
  };
  for (let minute = 0; minute < 60; minute++) assert.equal(spend(minute % 10 === 0 ? 500 : 50, NOW + minute * MINUTE), undefined);
  const later = NOW + 600 * MINUTE;
  for (let i = 0; i < 8; i++) assert.equal(spend(500, later + i), undefined);
  assert.equal(spend(600, later + 10), "surge");
  assert.equal(spend(1, later + 10 + 5 * MINUTE), undefined);
});

/** Each tenant by itself, and all of them as one busy key. */
function recordedCalls(): readonly RecordedCall[] {
  const tenants = tenantCalls(NOW);
  return [...tenants, ...tenants.map((call) => ({ ...call, who: "all tenants" })), ...serviceCalls()];
}

test("no guard trips on a busy and healthy day", { skip: NO_TRACES }, (context) => {
  const guard: Guard = { ...GUARD, repeats: undefined, growth: 20, surge: 10 };
  const watches = new Map<string, ReturnType<typeof createWatch>>();
  const calls = recordedCalls();
  const alarms = new Set<string>();
  for (const { at, who, inputTokens, outputTokens } of calls) {
    const watch = watches.get(who) ?? createWatch();
    watches.set(who, watch);
    const trip = sawCall(watch, guard, { fingerprint: "", size: inputTokens }, at);
    if (trip) alarms.add(`${who} ${trip.trigger} ${trip.at}`);
    sawSpend(watch, guard, inputTokens * 3 + outputTokens * 15, at);
  }
  context.diagnostic(`${alarms.size} false alarms in ${calls.length} calls of ${watches.size} subjects`);
  assert.deepEqual([...alarms], []);
});

test("a loop that begins in the middle of a busy day is seen within its first minutes", { skip: NO_TRACES }, () => {
  const guard: Guard = { ...GUARD, repeats: undefined, surge: 10 };
  const busiest = recordedCalls().filter(({ who }) => who === "all tenants");
  const watch = createWatch();
  for (const { at, inputTokens, outputTokens } of busiest) sawSpend(watch, guard, inputTokens * 3 + outputTokens * 15, at);
  const began = (busiest.at(-1)?.at ?? 0) + MINUTE;
  // Ten calls a second, each as large as a full context.
  for (let i = 0; ; i++) {
    const now = began + i * 100;
    assert.ok(now < began + 2 * MINUTE, "not seen within two minutes");
    if (sawCall(watch, guard, { fingerprint: `${i}`, size: 1 }, now)) break;
    sawSpend(watch, guard, 100_000 * 3 + 1_000 * 15, now);
  }
});
