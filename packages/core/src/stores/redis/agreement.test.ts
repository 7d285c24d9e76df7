import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Command, ReserveCommand } from "../../domain/command.ts";
import { apply } from "../../domain/engine.ts";
import type { LeaseCommand } from "../../domain/lease.ts";
import type { Entry } from "../../domain/ledger.ts";
import { type Counter, compactSlices, createState } from "../../domain/state.ts";
import type { Usage } from "../../domain/usage.ts";
import { weightsOn } from "../../domain/weights.ts";
import { createFakeClock, type FakeClock } from "../../testing/fake-clock.ts";
import { raisedAsHeld } from "../../testing/raised-as-held.ts";
import { sampleCall, sampleDetail, sampleGrant, sampleLimit, sampleMovingLimit, sampleSettlement } from "../../testing/sample-calls.ts";
import { selectCounters } from "../memory.ts";
import type { LeasingStore } from "../store.ts";
import { createRedisStore } from "./index.ts";
import { startServer } from "./server.test-setup.ts";

/** How many sequences are tried. Set PURSER_RUNS for more. */
const RUNS = Number(process.env.PURSER_RUNS ?? 60);
/** How long slices are kept that no window reaches any more. */
const KEEP_SLICES_MS = 10 * 60_000;
const NOON = createFakeClock().now();

type Step = { readonly kind: "command"; readonly command: Command } | { readonly kind: "wait"; readonly milliseconds: number };

const ids = fc.integer({ min: 0, max: 5 }).map((number) => `call-${number}`);
const tokens = fc.integer({ min: 0, max: 400 });
const limitSets = fc.subarray(
  [
    sampleLimit({ amount: 1_500 }),
    sampleLimit({ budget: 'tab\tline\n"quote" 1 2 3 s ü 😀', unit: "nanodollars", amount: 2_001 }),
    sampleLimit({ budget: "today", unit: "output_tokens", amount: 700, resetsAt: NOON + 5_000 }),
    sampleLimit({ budget: "at once", unit: "concurrent", amount: 3 }),
    sampleLimit({ budget: "watched", amount: 100, enforced: false }),
    sampleLimit({ budget: "on trial", amount: 300, observedUntil: NOON + 40_000 }),
    sampleMovingLimit({ budget: "rolling", amount: 900, rule: { kind: "rolling", lengthMs: 60_000, sliceMs: 1_000 }, at: NOON }),
    sampleMovingLimit({ budget: "bucket", amount: 900, rule: { kind: "bucket", drains: 701, periodMs: 60_000, sliceMs: 1_000 }, at: NOON }),
    sampleMovingLimit({
      budget: "drops",
      unit: "requests",
      amount: 3,
      rule: { kind: "bucket", drains: 7, periodMs: 3_000, sliceMs: 50 },
      at: NOON,
    }),
    {
      ...sampleLimit({ budget: "today", unit: "tokens", amount: 800, resetsAt: NOON + 86_400_000 }),
      rollover: {
        key: sampleLimit({ budget: "today", unit: "output_tokens", amount: 1, resetsAt: NOON + 5_000 }).counter.key,
        amount: 700,
        most: 90,
      },
    },
    sampleLimit({ budget: "huge", amount: Number.MAX_SAFE_INTEGER, enforced: false }),
    sampleLimit({ budget: "weighed", amount: 1_500, weights: { cache_read: 0.1, cache_write: 1.25, cache_write_1h: 2, output: 4.029 } }),
    sampleLimit({
      budget: 'weighed "(output 9) day"',
      unit: "input_tokens",
      amount: 500,
      weights: { input: 0.5, cache_read: 0, audio_input: 3 },
    }),
    sampleMovingLimit({
      budget: "weighed",
      amount: 900,
      rule: { kind: "bucket", drains: 701, periodMs: 60_000, sliceMs: 1_000 },
      at: NOON,
      weights: { cache_write: 3, output: 0.001, reasoning: 5, image_output: 2 },
    }),
  ],
  { maxLength: 4 },
);
/** Now and then more than can be counted exactly. */
const inputs = fc.oneof({ weight: 30, arbitrary: tokens }, fc.constantFrom(2 ** 51, Number.MAX_SAFE_INTEGER));
/** Now and then what no call can have used. */
const used = fc.oneof({ weight: 20, arbitrary: tokens }, fc.constantFrom(-1, 0.5, Number.NaN, 2 ** 52));

/** Parts of the tokens, more of them than there are too, and what no provider should say. */
const counts = fc.oneof({ weight: 20, arbitrary: fc.integer({ min: 0, max: 300 }) }, fc.constantFrom(-7, 0.5));
const kinds: fc.Arbitrary<Usage> = fc.record(
  {
    cacheReadInputTokens: counts,
    cacheWriteInputTokens: counts,
    cacheWrite1hInputTokens: counts,
    audioInputTokens: counts,
    imageInputTokens: counts,
    reasoningOutputTokens: counts,
    imageOutputTokens: counts,
    audioOutputTokens: counts,
    besides: fc.record(
      { inputTokens: tokens, cacheReadInputTokens: counts, outputTokens: tokens },
      { requiredKeys: [], noNullPrototype: true },
    ),
  },
  { requiredKeys: [], noNullPrototype: true },
);

const certainties = fc.constantFrom("confirmed", "confirmed", "unconfirmed");

/** Asks to hold more for a call, on limits that it may be held on. */
function raiseCommand({ leaseMs, ...call }: Parameters<typeof sampleCall>[0] & { readonly leaseMs: number }): Command {
  const { id, limits, asks, output } = sampleCall({ ...call, least: Math.min(call.least ?? 0, call.output ?? 0) });
  return { kind: "extend", id, leaseMs, more: { limits, asks, output } };
}

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
        leaseMs: fc.integer({ min: 0, max: 30_000 }),
        priced: fc.boolean(),
        patient: fc.boolean(),
        wouldRefuse: fc.constantFrom(undefined, ["watched"], ["other"]),
      })
      .map(({ priced, patient, wouldRefuse, share, ...call }): Command => {
        const { detail, ...command } = sampleCall({ ...call, least: Math.min(call.least, call.output), ...(share && { share }) });
        const named = { ...detail, ...(!priced && { price: undefined }), ...(wouldRefuse && { wouldRefuse }) };
        return { kind: "reserve", ...command, ...(share === undefined && { patient }), detail: named };
      }),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(ids, used, tokens, kinds, certainties).map((call): Command => ({ kind: "settle", ...sampleSettlement(...call) })),
  },
  ids.map((id): Command => ({ kind: "release", id, why: 'never "sent"\n' })),
  fc.tuple(ids, tokens).map(([id, leaseMs]): Command => ({ kind: "extend", id, leaseMs })),
  {
    weight: 4,
    arbitrary: fc.record({ id: ids, limits: limitSets, input: inputs, least: tokens, output: tokens, leaseMs: tokens }).map(raiseCommand),
  },
  fc.constant<Command>({ kind: "expire" }),
  fc

    .tuple(fc.oneof(ids, fc.constant("")), limitSets, tokens, fc.integer({ min: -50, max: 50 }))
    .map(([reservation, limits, held, spent]): Command => {
      const postings = limits.map(({ counter }) => ({ counter, held, spent }));
      return { kind: "record", entry: { kind: "adjusted", reservation, postings, why: "new limit" } };
    }),
  limitSets.map((limits): Command => {
    const postings = limits.map(({ counter }) => ({ counter, held: 0, spent: 0 }));
    return { kind: "record", entry: { kind: "adjusted", reservation: "", postings, why: "begin again", reset: { giver: "the owner" } } };
  }),
  fc

    .record({
      number: fc.integer({ min: 1, max: 3 }),
      amount: tokens,
      isGiven: fc.boolean(),
      limit: fc.constantFrom("tokens/lifetime", "tokens/rolling 1m"),
    })
    .map(({ number, amount, isGiven, limit }): Command => {
      const budget = limit === "tokens/lifetime" ? "company" : "rolling";
      const grant = sampleGrant({
        id: `grant\t${number}`,
        budget,
        limit,
        amount: (number === 3 ? 0 - amount : amount) + 1,
        from: NOON + amount,
        until: NOON + 90_000 * number,
      });
      const about = { reservation: grant.id, postings: [], grant };
      return {
        kind: "record",
        entry: isGiven ? { kind: "granted", ...about } : { kind: "revoked", ...about, giver: "the owner", why: "enough" },
      };
    }),
  {
    weight: 2,
    arbitrary: fc
      .record({
        id: fc.constantFrom("lease-a", 'lease "b"'),
        report: fc.integer({ min: 1, max: 5 }),
        opened: fc.array(fc.tuple(ids, tokens), { maxLength: 3 }),
        settled: fc.array(fc.tuple(ids, used, tokens, kinds, certainties), { maxLength: 2 }),
        others: fc.array(
          ids.chain((id) => fc.constantFrom({ kind: "release", id, why: "?" } as const, { kind: "extend", id, leaseMs: 900 } as const)),
          { maxLength: 1 },
        ),
        limits: limitSets,
        wanted: tokens,
        least: fc.integer({ min: 0, max: 40 }),
        leaseMs: fc.integer({ min: 0, max: 30_000 }),
        ends: fc.constantFrom(false, false, true),
      })
      .map(({ id, report, opened, settled, others, limits, wanted, least, leaseMs, ends }): Command => {
        const fixed = limits.filter(({ rule }) => rule === undefined);
        const holds = (amount: number) => fixed.map(({ counter }) => ({ counter, amount }));
        const detail = sampleDetail(7, 9);
        const opens = opened.map(([id, amount]) => ({ kind: "open", id, holds: holds(amount), outputCap: 9, leaseMs, detail }) as const);
        const settles = settled.map((call) => ({ kind: "settle", ...sampleSettlement(...call) }) as const);
        const wants = limits.map((limit) => ({ limit, amount: wanted, least }));
        return { kind: "lease", id, report, steps: [...opens, ...settles, ...others], wants, leaseMs, ends };
      }),
  },
  ids.map((reservation): Command => {
    const denial = { reason: "budget_exhausted", message: 'No: "quotes"\n', detail: sampleDetail() } as const;
    return { kind: "record", entry: { kind: "denied", reservation, postings: [], ...denial } };
  }),
);

const sequences: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: commands.map((command): Step => ({ kind: "command", command })) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 1_500 }).map((milliseconds): Step => ({ kind: "wait", milliseconds })) },
    // From slice to slice, and from period to period.
    {
      weight: 1,
      arbitrary: fc
        .constantFrom(50, 1_000, 3_000, 20_000, 60_000, 61_000, 150_000)
        .map((milliseconds): Step => ({ kind: "wait", milliseconds })),
    },
  ),
  { minLength: 5, maxLength: 80, size: "max" },
);

/** Moving windows alone, short ones, with time that goes from edge to edge. */
const movingSets = fc.subarray(
  [
    sampleMovingLimit({ budget: "rolling", amount: 60, rule: { kind: "rolling", lengthMs: 4_000, sliceMs: 1_000 }, at: NOON }),
    sampleMovingLimit({ budget: "bucket", amount: 50, rule: { kind: "bucket", drains: 14, periodMs: 3_000, sliceMs: 500 }, at: NOON }),
    sampleMovingLimit({
      budget: "weighed",
      amount: 50,
      rule: { kind: "bucket", drains: 14, periodMs: 3_000, sliceMs: 500 },
      at: NOON,
      weights: { input: 0.5, output: 2.5 },
    }),
    sampleMovingLimit({ budget: "slow", amount: 90, rule: { kind: "bucket", drains: 3, periodMs: 2_000, sliceMs: 500 }, at: NOON }),
    sampleMovingLimit({
      budget: "drops",
      unit: "requests",
      amount: 3,
      rule: { kind: "bucket", drains: 7, periodMs: 3_000, sliceMs: 500 },
      at: NOON,
    }),
  ],
  { minLength: 1 },
);
const manyIds = fc.integer({ min: 0, max: 30 }).map((number) => `call-${number}`);
const fewTokens = fc.integer({ min: 0, max: 20 });
const movingSequences: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc
        .record({
          id: manyIds,
          limits: movingSets,
          input: fewTokens,
          output: fewTokens,
          least: fc.constant(1),
          leaseMs: fc.constantFrom(700, 60_000),
        })
        .map(
          (call): Step => ({ kind: "command", command: { kind: "reserve", ...sampleCall({ ...call, least: Math.min(1, call.output) }) } }),
        ),
    },
    {
      weight: 4,
      arbitrary: fc
        .tuple(manyIds, fewTokens, fewTokens)
        .map((call): Step => ({ kind: "command", command: { kind: "settle", ...sampleSettlement(...call) } })),
    },
    {
      weight: 3,
      arbitrary: fc
        .record({ id: manyIds, limits: movingSets, input: fewTokens, least: fewTokens, output: fewTokens, leaseMs: fewTokens })
        .map((call): Step => ({ kind: "command", command: raiseCommand(call) })),
    },
    manyIds.map((id): Step => ({ kind: "command", command: { kind: "release", id, why: "never sent" } })),
    fc.constant<Step>({ kind: "command", command: { kind: "expire" } }),
    {
      weight: 4,
      arbitrary: fc.constantFrom(500, 1_000, 1_500, 2_000, 3_000, 9_000).map((milliseconds): Step => ({ kind: "wait", milliseconds })),
    },
  ),
  { minLength: 30, maxLength: 150, size: "max" },
);

for (const [what, steps] of [
  ["commands", sequences],
  ["calls in moving windows", movingSequences],
] as const) {
  test(`the scripts and the engine agree on every sequence of ${what}: answers, entries and balances`, async (context) => {
    const server = await startServer(context);
    if (typeof server === "string") return context.skip(`not run: ${server}`);
    const redis = server.connect();
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(steps.map(raisedAsHeld), async (sequence) => {
        const clock = createFakeClock();
        const store = createRedisStore({ redis, namespace: `run-${++runs}`, now: clock.now });
        const model = createModel(clock);
        for (const step of sequence) {
          if (step.kind === "wait") {
            clock.advance(step.milliseconds);
            continue;
          }
          const command = boundAt(step.command, clock.now());
          assert.deepEqual(await answerOf(() => take(store, command)), await answerOf(async () => model.run(command)));
        }
        assert.deepEqual(await store.entries({ most: 10_000 }), model.entries);
        const isKept = ({ ref }: Counter) => ref.series === undefined || (ref.resetsAt ?? 0) + KEEP_SLICES_MS >= clock.now();
        assert.deepEqual(sorted((await store.counters()).filter(isKept)), sorted(selectCounters(model.state, {}).filter(isKept)));
        assert.deepEqual(await store.audit(), []);
        await store.close();
      }),
      { numRuns: RUNS, includeErrorInReport: true },
    );
  });
}

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
    const known = command.kind === "lease" ? withoutOpened(command, ended) : command;
    const applied = apply(state, known, clock.now());
    if (command.kind === "expire") compactSlices(state, clock.now() - KEEP_SLICES_MS);
    entries.push(...applied.entries);
    if ((command.kind === "settle" || command.kind === "release") && isUnknown(applied.result)) ended.add(command.id);
    return applied.result;
  };
  return { state, entries, run };
}

/** A call whose end came before is opened no more. */
function withoutOpened(command: LeaseCommand, ended: ReadonlySet<string>): LeaseCommand {
  return { ...command, steps: command.steps.filter((step) => step.kind !== "open" || !ended.has(step.id)) };
}

function isBoundElsewhere({ limits }: ReserveCommand, now: number): boolean {
  return limits.some(({ rule, counter: { startsAt, resetsAt = Infinity } }) => !rule && (now < startsAt || now >= resetsAt));
}

/** The command with its moving limits on the slices of a time: the store does that by its own. */
function boundAt(command: Command, at: number): Command {
  if (command.kind !== "reserve") return command;
  const limits = command.limits.map((limit) =>
    limit.rule
      ? sampleMovingLimit({
          ...limit.counter,
          amount: limit.amount,
          rule: limit.rule,
          at,
          weights: weightsOn(limit.counter)?.said ?? {},
        })
      : limit,
  );
  return { ...command, limits };
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

async function take(store: LeasingStore, command: Command): Promise<unknown> {
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
    case "lease":
      return store.lease(command);
  }
}

function sorted<Keyed extends { readonly ref: { readonly key: string } }>(counters: readonly Keyed[]): readonly Keyed[] {
  return [...counters].sort((a, b) => (a.ref.key < b.ref.key ? -1 : 1));
}
