import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { apply, type Command, createState, type ReserveCommand } from "../../domain/engine.ts";
import type { Entry } from "../../domain/ledger.ts";
import { createFakeClock, type FakeClock } from "../../testing/fake-clock.ts";
import { sampleCall, sampleDetail, sampleLimit, sampleSettlement } from "../../testing/sample-calls.ts";
import type { Store } from "../store.ts";
import { createRedisStore } from "./index.ts";
import { startServer } from "./server.test-setup.ts";

/** How many sequences are tried. Set PURSER_RUNS for more. */
const RUNS = Number(process.env.PURSER_RUNS ?? 60);
const NOON = createFakeClock().now();

type Step = { readonly kind: "command"; readonly command: Command } | { readonly kind: "wait"; readonly milliseconds: number };

const ids = fc.integer({ min: 0, max: 11 }).map((number) => `call-${number}`);
const tokens = fc.integer({ min: 0, max: 400 });
const limitSets = fc.subarray([
  sampleLimit({ amount: 1_500 }),
  sampleLimit({ budget: 'tab\tline\n"quote" ü 😀', unit: "nanodollars", amount: 2_001 }),
  sampleLimit({ budget: "today", unit: "output_tokens", amount: 700, resetsAt: NOON + 5_000 }),
  sampleLimit({ budget: "at once", unit: "concurrent", amount: 3 }),
  sampleLimit({ budget: "watched", amount: 100, enforced: false }),
  sampleLimit({ budget: "huge", amount: Number.MAX_SAFE_INTEGER, enforced: false }),
]);
/** Now and then more than can be counted exactly. */
const inputs = fc.oneof({ weight: 12, arbitrary: tokens }, fc.constantFrom(2 ** 51, Number.MAX_SAFE_INTEGER));
/** Now and then what no call can have used. */
const used = fc.oneof({ weight: 12, arbitrary: tokens }, fc.constantFrom(-1, 0.5, Number.NaN, 2 ** 52));

const commands: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .record({
        id: ids,
        limits: limitSets,
        input: inputs,
        output: tokens,
        least: tokens,
        share: fc.constantFrom(undefined, undefined, undefined, 3),
        leaseMs: tokens,
        priced: fc.boolean(),
        wouldRefuse: fc.constantFrom(undefined, ["watched"], ["other"]),
      })
      .map(({ priced, wouldRefuse, share, ...call }): Command => {
        const { detail, ...command } = sampleCall({ ...call, least: Math.min(call.least, call.output), ...(share && { share }) });
        const named = { ...detail, ...(!priced && { price: undefined }), ...(wouldRefuse && { wouldRefuse }) };
        return { kind: "reserve", ...command, detail: named };
      }),
  },
  { weight: 3, arbitrary: fc.tuple(ids, used, tokens).map((call): Command => ({ kind: "settle", ...sampleSettlement(...call) })) },
  ids.map((id): Command => ({ kind: "release", id, why: 'never "sent"\n' })),
  fc.tuple(ids, tokens).map(([id, leaseMs]): Command => ({ kind: "extend", id, leaseMs })),
  fc.constant<Command>({ kind: "expire" }),
  fc
    .tuple(fc.oneof(ids, fc.constant("")), limitSets, tokens, fc.integer({ min: -50, max: 50 }))
    .map(([reservation, limits, held, spent]): Command => {
      const postings = limits.map(({ counter }) => ({ counter, held, spent }));
      return { kind: "record", entry: { kind: "adjusted", reservation, postings, why: "new limit" } };
    }),
  ids.map((reservation): Command => {
    const denial = { reason: "budget_exhausted", message: 'No: "quotes"\n', detail: sampleDetail() } as const;
    return { kind: "record", entry: { kind: "denied", reservation, postings: [], ...denial } };
  }),
);

const sequences: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: commands.map((command): Step => ({ kind: "command", command })) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 1_500 }).map((milliseconds): Step => ({ kind: "wait", milliseconds })) },
  ),
  { minLength: 5, maxLength: 80 },
);

test("the scripts and the engine agree on every sequence of commands: answers, entries and balances", async (context) => {
  const server = await startServer(context);
  if (typeof server === "string") return context.skip(`not run: ${server}`);
  const redis = server.connect();
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(sequences, async (steps) => {
      const clock = createFakeClock();
      const store = createRedisStore({ redis, namespace: `run-${++runs}`, now: clock.now });
      const model = createModel(clock);
      for (const step of steps) {
        if (step.kind === "wait") clock.advance(step.milliseconds);
        else assert.deepEqual(await answerOf(() => take(store, step.command)), await answerOf(async () => model.run(step.command)));
      }
      assert.deepEqual(await store.entries({ most: 10_000 }), model.entries);
      assert.deepEqual(sorted(await store.counters()), sorted([...model.state.counters.values()]));
      assert.deepEqual(await store.audit(), []);
      await store.close();
    }),
    { numRuns: RUNS, includeErrorInReport: true },
  );
});

/**
 * The engine, with the two things that only a store has to know which is reached by several connections and has a clock of its own: an end
 * that comes before its beginning, and a limit that is bound to another window than the present one.
 */
function createModel(clock: FakeClock) {
  const state = createState();
  const entries: Entry[] = [];
  const ended = new Set<string>();
  const run = (command: Command) => {
    if (command.kind === "reserve" && !state.holds.has(command.id) && !state.ended.has(command.id)) {
      if (ended.has(command.id)) return { outcome: "ended" };
      if (isBoundElsewhere(command, clock.now())) return { outcome: "moved", now: clock.now() };
    }
    const applied = apply(state, command, clock.now());
    entries.push(...applied.entries);
    if ((command.kind === "settle" || command.kind === "release") && isUnknown(applied.result)) ended.add(command.id);
    return applied.result;
  };
  return { state, entries, run };
}

function isBoundElsewhere({ limits }: ReserveCommand, now: number): boolean {
  return limits.some(({ counter: { startsAt, resetsAt = Infinity } }) => now < startsAt || now >= resetsAt);
}

function isUnknown(result: unknown): boolean {
  return (result as { readonly outcome?: string } | undefined)?.outcome === "unknown";
}

/** The answer, or what is said instead. */
async function answerOf(ask: () => Promise<unknown>): Promise<unknown> {
  try {
    return await ask();
  } catch (error) {
    return { code: (error as { readonly code?: string }).code, message: (error as Error).message };
  }
}

async function take(store: Store, command: Command): Promise<unknown> {
  switch (command.kind) {
    case "reserve":
      return store.reserve(command);
    case "extend":
      return store.extend(command);
    case "settle":
      return store.settle(command);
    case "release":
      return store.release(command);
    case "expire":
      return store.expire();
    case "record":
      return store.record(command.entry);
  }
}

function sorted<Keyed extends { readonly ref: { readonly key: string } }>(counters: readonly Keyed[]): readonly Keyed[] {
  return [...counters].sort((a, b) => (a.ref.key < b.ref.key ? -1 : 1));
}
