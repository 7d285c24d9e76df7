import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import type { Command } from "../../domain/command.ts";
import { apply } from "../../domain/engine.ts";
import type { Entry } from "../../domain/ledger.ts";
import { createState, evolve, type State } from "../../domain/state.ts";
import { createFakeClock, type FakeClock } from "../../testing/fake-clock.ts";
import { raisedAsHeld } from "../../testing/raised-as-held.ts";
import { sampleCall, sampleDetail, sampleGrant, sampleLimit, sampleMovingLimit, sampleSettlement } from "../../testing/sample-calls.ts";
import { createMemoryStore, selectCounters } from "../memory.ts";
import type { LeasingStore } from "../store.ts";
import { openDurableStore } from "./opening.ts";

/** One thing that happens: a command, time that passes, or a restart. */
type Step =
  | { readonly kind: "command"; readonly command: Command }
  | { readonly kind: "wait"; readonly milliseconds: number }
  | { readonly kind: "restart" };

/** How many sequences are tried. Set PURSER_RUNS for more. */
const RUNS = Number(process.env.PURSER_RUNS ?? 20);
const NOON = createFakeClock().now();
const ids = fc.integer({ min: 0, max: 11 }).map((number) => `call-${number}`);
const tokens = fc.integer({ min: 0, max: 400 });
const limitSets = fc.subarray(
  [
    sampleLimit({ amount: 1_500 }),
    sampleLimit({ budget: "team", unit: "nanodollars", amount: 2_001 }),
    sampleLimit({ budget: "today", unit: "output_tokens", amount: 700, resetsAt: NOON + 5_000 }),
    sampleLimit({ budget: "at once", unit: "concurrent", amount: 3 }),
    sampleLimit({ budget: "watched", amount: 100, enforced: false }),
    sampleLimit({ budget: "on trial", amount: 300, observedUntil: NOON + 40_000 }),
    sampleLimit({ budget: "weighed", amount: 1_500, weights: { cache_read: 0.1, output: 4 } }),
    sampleMovingLimit({
      budget: "weighed",
      amount: 900,
      rule: { kind: "bucket", drains: 701, periodMs: 60_000, sliceMs: 1_000 },
      at: NOON,
      weights: { input: 0.5 },
    }),
    sampleMovingLimit({ budget: "rolling", amount: 900, rule: { kind: "rolling", lengthMs: 60_000, sliceMs: 1_000 }, at: NOON }),
    sampleMovingLimit({ budget: "bucket", amount: 900, rule: { kind: "bucket", drains: 701, periodMs: 60_000, sliceMs: 1_000 }, at: NOON }),
    {
      ...sampleLimit({ budget: "today", unit: "tokens", amount: 800, resetsAt: NOON + 86_400_000 }),
      rollover: {
        key: sampleLimit({ budget: "today", unit: "output_tokens", amount: 1, resetsAt: NOON + 5_000 }).counter.key,
        amount: 700,
        most: 90,
      },
    },
  ],
  { minLength: 1 },
);

const kinds = fc.record({ cacheReadInputTokens: tokens }, { requiredKeys: [] });

const commands: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .record({ id: ids, limits: limitSets, input: tokens, output: tokens, least: fc.constant(0), leaseMs: tokens })
      .map((call): Command => ({ kind: "reserve", ...sampleCall(call) })),
  },
  { weight: 3, arbitrary: fc.tuple(ids, tokens, tokens, kinds).map((used): Command => ({ kind: "settle", ...sampleSettlement(...used) })) },
  ids.map((id): Command => ({ kind: "release", id, why: "never sent" })),
  fc.tuple(ids, tokens).map(([id, leaseMs]): Command => ({ kind: "extend", id, leaseMs })),
  {
    weight: 3,
    arbitrary: fc
      .record({ id: ids, limits: limitSets, input: tokens, output: tokens, leaseMs: tokens })
      .map(({ leaseMs, ...call }): Command => {
        const { id, limits, asks, output } = sampleCall({ ...call, least: 0 });
        return { kind: "extend", id, leaseMs, more: { limits, asks, output } };
      }),
  },
  fc.constant<Command>({ kind: "expire" }),
  fc.tuple(ids, limitSets, fc.oneof(fc.constant(0), tokens)).map(([reservation, limits, held]): Command => {
    const postings = limits.map(({ counter }) => ({ counter, held, spent: 3 }));
    return { kind: "record", entry: { kind: "adjusted", reservation, postings, why: "new limit" } };
  }),
  fc
    .record({
      id: fc.constantFrom("lease-a", "lease-b", "lease-c"),
      report: fc.integer({ min: 1, max: 6 }),
      opened: fc.array(fc.tuple(ids, tokens), { maxLength: 3 }),
      settled: fc.array(fc.tuple(ids, tokens, tokens, kinds), { maxLength: 3 }),
      limits: limitSets,
      wanted: tokens,
      leaseMs: tokens,
      ends: fc.boolean(),
    })
    .map(({ id, report, opened, settled, limits, wanted, leaseMs, ends }): Command => {
      const holds = (amount: number) => limits.map(({ counter }) => ({ counter, amount }));
      const opens = opened.map(
        ([id, amount]) => ({ kind: "open", id, holds: holds(amount), outputCap: 9, leaseMs, detail: sampleDetail() }) as const,
      );
      const settles = settled.map((used) => ({ kind: "settle", ...sampleSettlement(...used) }) as const);
      const wants = limits.map((limit) => ({ limit, amount: wanted, least: 2 }));
      return { kind: "lease", id, report, steps: [...opens, ...settles], wants, leaseMs, ends };
    }),
  limitSets.map((limits): Command => {
    const postings = limits.map(({ counter }) => ({ counter, held: 0, spent: 0 }));
    return { kind: "record", entry: { kind: "adjusted", reservation: "", postings, why: "begin again", reset: { giver: "the owner" } } };
  }),
  fc.tuple(fc.integer({ min: 1, max: 3 }), tokens, fc.boolean()).map(([number, amount, isGiven]): Command => {
    const given = number === 3 ? 0 - amount : amount;
    const grant = sampleGrant({ id: `grant-${number}`, amount: given + 1, from: NOON + amount, until: NOON + 90_000 * number });
    const about = { reservation: grant.id, postings: [], grant };
    return {
      kind: "record",
      entry: isGiven ? { kind: "granted", ...about } : { kind: "revoked", ...about, giver: "the owner", why: "enough" },
    };
  }),
  ids.map((reservation): Command => {
    const denial = { reason: "budget_exhausted", message: 'No: "quotes"\n', detail: sampleDetail() } as const;
    return { kind: "record", entry: { kind: "denied", reservation, postings: [], ...denial } };
  }),
);

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    { weight: 20, arbitrary: commands.map((command): Step => ({ kind: "command", command })) },
    { weight: 3, arbitrary: tokens.map((milliseconds): Step => ({ kind: "wait", milliseconds })) },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: 150_000 }).map((milliseconds): Step => ({ kind: "wait", milliseconds })) },
    { weight: 1, arbitrary: fc.constant<Step>({ kind: "restart" }) },
  ),
  { minLength: 5, maxLength: 60 },
);

test("SQLite, memory and the replay of the ledger agree on every sequence of commands", async () => {
  await fc.assert(
    fc.asyncProperty(steps.map(raisedAsHeld), async (sequence) => {
      const clock = createFakeClock();
      const memory = createMemoryStore({ now: clock.now });
      const commands = sequence.filter((step) => step.kind !== "restart");
      const directory = mkdtempSync(join(tmpdir(), "purser-store-"));
      try {
        const durable = await runDurable(commands, directory);
        const results = [];
        for (const step of commands) results.push(await take(memory, clock, step));
        assert.deepEqual(durable.results, results);
        assert.deepEqual(durable.entries, await memory.entries({}));
        assert.deepEqual(sorted(durable.counters), sorted(await memory.counters()));
        assert.deepEqual(sorted(selectCounters(replay(durable.entries), {})), sorted(durable.counters));
      } finally {
        rmSync(directory, { recursive: true });
      }
    }),
    { numRuns: RUNS, includeErrorInReport: true },
  );
});

test("a store that is closed and opened at any moment goes on as one that never stopped", async () => {
  await fc.assert(
    fc.asyncProperty(steps.map(raisedAsHeld), fc.boolean(), async (sequence, withSnapshots) => {
      const directory = mkdtempSync(join(tmpdir(), "purser-store-"));
      try {
        const durable = await runDurable(sequence, directory, withSnapshots ? { snapshotMs: 0 } : {});
        const model = runModel(sequence);
        assert.deepEqual(durable.results, model.results);
        assert.deepEqual(durable.entries, model.entries);
        assert.deepEqual(sorted(durable.counters), sorted(selectCounters(model.state, {})));
        assert.deepEqual(durable.mismatches, []);
      } finally {
        rmSync(directory, { recursive: true });
      }
    }),
    { numRuns: RUNS, includeErrorInReport: true },
  );
});

async function runDurable(sequence: readonly Step[], directory: string, options: { readonly snapshotMs?: number } = {}) {
  const clock = createFakeClock();
  const open = () => openDurableStore({ directory, now: clock.now, ...options });
  let store = await open();
  const results: unknown[] = [];
  for (const step of sequence) {
    if (step.kind === "restart") {
      await store.close();
      store = await open();
    }
    results.push(await take(store, clock, step));
  }
  const outcome = { results, entries: await store.entries({}), counters: await store.counters(), mismatches: await store.audit() };
  await store.close();
  return outcome;
}

/** What the engine alone says: a restart is the end of all that was in flight. */
function runModel(sequence: readonly Step[]) {
  const clock = createFakeClock();
  const state = createState();
  const entries: Entry[] = [];
  const run = (command: Command) => {
    const applied = apply(state, command, clock.now());
    entries.push(...applied.entries);
    return applied.result;
  };
  const results = sequence.map((step) => {
    if (step.kind === "command") return run(boundAt(step.command, clock.now()));
    if (step.kind === "wait") clock.advance(step.milliseconds);
    else run({ kind: "expire", all: true });
    return undefined;
  });
  return { state, results, entries };
}

async function take(store: LeasingStore, clock: FakeClock, step: Step): Promise<unknown> {
  if (step.kind === "wait") clock.advance(step.milliseconds);
  if (step.kind !== "command") return undefined;
  const command = boundAt(step.command, clock.now());
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

/** The command with its moving limits on the slices of the time at which it is given. */
function boundAt(command: Command, at: number): Command {
  if (command.kind !== "reserve") return command;
  const limits = command.limits.map((limit) =>
    limit.rule ? sampleMovingLimit({ ...limit.counter, amount: limit.amount, rule: limit.rule, at }) : limit,
  );
  return { ...command, limits };
}

function replay(entries: readonly Entry[]): State {
  const state = createState();
  for (const entry of entries) evolve(state, entry);
  return state;
}

function sorted<Keyed extends { readonly ref: { readonly key: string } }>(counters: readonly Keyed[]): readonly Keyed[] {
  return [...counters].sort((a, b) => (a.ref.key < b.ref.key ? -1 : 1));
}
