import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { defineBudget } from "./domain/budget.ts";
import type { Reservation } from "./domain/reservation.ts";
import { createLeasedStore } from "./stores/leased/index.ts";
import { createMemoryStore } from "./stores/memory.ts";
import type { Store } from "./stores/store.ts";
import { DEMO_CARD, demoBudgets, demoCall } from "./testing/demo-budgets.ts";
import { createFakeClock } from "./testing/fake-clock.ts";
import { VirtualTime } from "./testing/virtual-time.ts";

const START = Date.UTC(2026, 10, 22, 12);
const LIMIT = 2_000;
const INPUTS = [
  { name: "all", limits: [`${LIMIT} tokens / day`], minOutput: 1 },
  { name: "user", per: "user", limits: ["1,200 output tokens / rolling 1h", "9 concurrent"], minOutput: 1 },
  { name: "weighed", limits: ["3,000 tokens / day"], weights: { cache_read: 0.1, cache_write: 1.25, output: 3.5 }, minOutput: 1 },
] as const;

const callOf = (id: string, first: number | undefined, output = 500, input = 20) => {
  const call = demoCall({ input, output });
  return { ...call, id, output: { ...call.output, most: output, first } };
};

async function admitted(budgets: ReturnType<typeof demoBudgets>["budgets"], call: ReturnType<typeof callOf>): Promise<Reservation> {
  const decision = await budgets.reserve(call);
  assert.ok(decision.outcome === "allowed", JSON.stringify(decision));
  return decision.reservation;
}

/** The most that was ever spent and held together on any counter of a budget. */
async function highest(store: Store, budget: string): Promise<number> {
  const standing = new Map<string, number>();
  let most = 0;
  for (const { postings } of await store.entries({ most: 100_000 })) {
    for (const { counter, held, spent } of postings) {
      if (counter.budget !== budget || counter.unit === "concurrent") continue;
      const used = (standing.get(counter.key) ?? 0) + held + spent;
      standing.set(counter.key, used);
      most = Math.max(most, used);
    }
  }
  return most;
}

type Act =
  | { readonly kind: "reserve"; readonly gateway: 0 | 1; readonly first: number; readonly output: number }
  | { readonly kind: "raise" | "settle" | "release"; readonly which: number; readonly share: number }
  | { readonly kind: "wait"; readonly milliseconds: number };

const acts: fc.Arbitrary<readonly Act[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("reserve" as const),
        gateway: fc.constantFrom(0 as const, 1 as const),
        first: fc.integer({ min: 1, max: 120 }),
        output: fc.integer({ min: 1, max: 900 }),
      }),
    },
    {
      weight: 7,
      arbitrary: fc.record({ kind: fc.constant("raise" as const), which: fc.nat(), share: fc.integer({ min: 1, max: 100 }) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constantFrom("settle" as const, "release" as const), which: fc.nat(), share: fc.nat(100) }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("wait" as const), milliseconds: fc.integer({ min: 1, max: 4_000 }) }) },
  ),
  { minLength: 20, maxLength: 120, size: "max" },
);

for (const isLeased of [false, true]) {
  test(`whatever is held more of by two gateways at a time, no limit is ever exceeded${isLeased ? ", also over allotments" : ""}`, async () => {
    await fc.assert(
      fc.asyncProperty(acts, async (sequence) => {
        const time = new VirtualTime(START);
        const shared = createMemoryStore({ now: time.now });
        let ids = 0;
        const stores = [0, 1].map(() =>
          isLeased
            ? createLeasedStore(shared, {
                now: time.now,
                timers: time,
                newId: () => `lease-${++ids}`,
                onError: (error) => assert.fail(String(error)),
              })
            : shared,
        );
        const gateways = stores.map((store) => demoBudgets(INPUTS, { now: time.now, store }).budgets);
        const open: { reservation: Reservation; readonly gateway: 0 | 1 }[] = [];
        const pending: Promise<unknown>[] = [];
        for (const act of sequence) {
          if (act.kind === "wait") {
            await time.runUntil(time.now() + act.milliseconds);
            continue;
          }
          if (act.kind === "reserve") {
            const { gateway, first, output } = act;
            const decided = gateways[gateway]?.reserve(callOf(`call-${++ids}`, first, output));
            pending.push(
              (decided as NonNullable<typeof decided>).then((decision) => {
                if (decision.outcome === "allowed") open.push({ reservation: decision.reservation, gateway });
              }),
            );
            continue;
          }
          const call = open[act.which % Math.max(1, open.length)];
          if (!call) continue;
          const budgets = gateways[call.gateway] as NonNullable<(typeof gateways)[0]>;
          const { outputTokens, outputTokensMost = outputTokens } = call.reservation;
          if (act.kind === "raise") {
            const most = Math.min(outputTokensMost, outputTokens + act.share);
            if (most <= outputTokens) continue;
            pending.push(
              budgets.raise(call.reservation, { least: outputTokens + 1, most }).then((raised) => {
                if (raised && raised.outputTokens > call.reservation.outputTokens) call.reservation = raised;
              }),
            );
            continue;
          }
          open.splice(open.indexOf(call), 1);
          const used = Math.floor((call.reservation.outputTokens * act.share) / 100);
          if (act.kind === "settle") await budgets.settle(call.reservation, { inputTokens: 20, outputTokens: used });
          else await budgets.release(call.reservation, "never sent");
        }
        await time.runUntil(time.now() + 10_000);
        await Promise.all(pending);
        for (const { reservation, gateway } of open)
          await gateways[gateway]?.settle(reservation, { inputTokens: 20, outputTokens: reservation.outputTokens });
        for (const store of stores) await store.close();
        assert.ok((await highest(shared, "all")) <= LIMIT);
        assert.ok((await highest(shared, "weighed")) <= 3_000);
        assert.deepEqual(await shared.entries({ kinds: ["overrun"] }), []);
        for (const { ref, held } of await shared.counters()) assert.equal(held, 0, ref.key);
      }),
      { numRuns: 60, includeErrorInReport: true },
    );
  });
}

describe("a hold that grows", () => {
  const scene = (inputs: Parameters<typeof demoBudgets>[0] = INPUTS) => {
    const clock = createFakeClock(START);
    return { clock, ...demoBudgets(inputs, { now: clock.now, store: createMemoryStore(clock) }) };
  };

  test("begins with what is usual, may be sent with all that is allowed, and ends once, with what it became", async () => {
    const { budgets, store } = scene();
    const reservation = await admitted(budgets, callOf("a", 100));
    assert.deepEqual([reservation.outputTokens, reservation.outputTokensMost], [100, 500]);
    const raised = await budgets.raise(reservation, { least: 150, most: 400 });
    assert.equal(raised?.outputTokens, 400);
    await budgets.settle(raised ?? reservation, { inputTokens: 20, outputTokens: 390 });
    const [settled, ...others] = await store.entries({ kinds: ["settled", "overrun", "released"] });
    assert.deepEqual(others, []);
    assert.ok(settled?.kind === "settled" && settled.detail.outputTokens === 400 && settled.detail.outputTokensAtFirst === 100);
  });

  test("is never less than what its budgets call an answer, and is lowered to what fits as any other", async () => {
    const { budgets } = scene([{ name: "all", limits: ["300 tokens / day"], minOutput: 60 }]);
    assert.equal((await admitted(budgets, callOf("a", 10))).outputTokens, 60);
    assert.equal((await admitted(budgets, callOf("b", 900, 900))).outputTokens, 200);
  });

  test("is held on a limit that came into force meanwhile, too", async () => {
    const { budgets, store } = scene();
    const reservation = await admitted(budgets, callOf("a", 100));
    const added = { name: "new", limits: ["600 tokens / day"], minOutput: 1 };
    await budgets.configure({ budgets: [...INPUTS, added].map(defineBudget), prices: { card: () => DEMO_CARD } });
    assert.equal((await budgets.raise(reservation, { least: 300, most: 300 }))?.outputTokens, 300);
    const [counter] = await store.counters({ budget: "new" });
    assert.equal(counter?.held, 320);
    assert.equal(await budgets.raise(reservation, { least: 590, most: 590 }), undefined);
  });

  test("is held more of on a limit that is not in force any more, so that what it is charged there was held there", async () => {
    const { budgets, store } = scene();
    const reservation = await admitted(budgets, callOf("a", 100));
    await budgets.configure({ budgets: [defineBudget(INPUTS[0])], prices: { card: () => DEMO_CARD } });
    assert.equal((await budgets.raise(reservation, { least: 300, most: 300 }))?.outputTokens, 300);
    const held = async () => (await store.counters({ budget: "user" })).find(({ ref }) => ref.unit === "output_tokens")?.held;
    assert.equal(await held(), 300);
    await budgets.settle(reservation, { inputTokens: 20, outputTokens: 290 });
    assert.deepEqual([await held(), (await store.entries({ kinds: ["overrun"] })).length], [0, 0]);
  });

  test("of which everything is held from the beginning cannot grow", async () => {
    const { budgets } = scene();
    const reservation = await admitted(budgets, callOf("a", undefined));
    assert.deepEqual([reservation.outputTokens, reservation.outputTokensMost, reservation.more], [500, undefined, undefined]);
    assert.equal(await budgets.raise(reservation, { least: 501, most: 600 }), undefined);
  });

  test("does not grow where the store cannot be asked, and the call goes on with what it has", async () => {
    const errors: unknown[] = [];
    const clock = createFakeClock(START);
    const store = createMemoryStore(clock);
    const { budgets } = demoBudgets(INPUTS, {
      now: clock.now,
      store: { ...store, extend: () => Promise.reject(new Error("away")) },
      onError: (error) => errors.push(error),
    });
    const reservation = await admitted(budgets, callOf("a", 100));
    assert.equal(await budgets.raise(reservation, { least: 150, most: 400 }), undefined);
    assert.equal(errors.length, 1);
    await budgets.settle(reservation, { inputTokens: 20, outputTokens: 100 });
  });
});
