import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Amounts, BoundLimit, Command, ReserveResult, Standing } from "./command.ts";
import { apply } from "./engine.ts";
import type { CallDetail, CounterRef } from "./ledger.ts";
import type { Unit } from "./limit.ts";
import { drained, drainingTime, type Rule } from "./slices.ts";
import { createState, type State } from "./state.ts";

const DETAIL: CallDetail = { subject: {}, inputTokens: 0, outputTokens: 0, cost: undefined, counted: true, price: "test" };
const START = Date.UTC(2026, 10, 22, 12);

type Bucket = Extract<Rule, { readonly kind: "bucket" }>;

function limitAt(rule: Rule, amount: number, now: number, unit: Unit = "tokens"): BoundLimit {
  const series = `company|${unit}/${rule.kind === "rolling" ? "rolling 1m" : "minute bucket"}|`;
  const startsAt = Math.floor(now / rule.sliceMs) * rule.sliceMs;
  const resetsAt = startsAt + 600_000;
  const counter: CounterRef = {
    key: `${series}|${startsAt}`,
    series,
    budget: "company",
    subject: "",
    unit,
    window: "",
    startsAt,
    resetsAt,
  };
  return { counter: { ...counter, window: rule.kind === "rolling" ? "rolling 1m" : "minute bucket" }, amount, enforced: true, rule };
}

function reserve(id: string, asked: number, limit: BoundLimit): Command & { kind: "reserve" } {
  const none = { base: 0, perOutputToken: 0, scale: 1 };
  const all = { ...none, base: asked };
  const asks = { nanodollars: all, tokens: all, input_tokens: all, output_tokens: all, requests: { ...none, base: 1 }, concurrent: none };
  return { kind: "reserve", id, limits: [limit], asks, output: { least: 0, most: 0 }, leaseMs: 1e12, detail: DETAIL };
}

function settle(id: string, used: number): Command {
  const amounts: Amounts = { nanodollars: used, tokens: used, input_tokens: used, output_tokens: used, requests: 1, concurrent: 0 };
  return { kind: "settle", id, amounts, charge: { usage: {}, cost: used, certainty: "confirmed" } };
}

/** One thing that happens: time passes, then a call asks, or the oldest or newest call in flight ends with a part of what it held. */
interface Step {
  readonly waits: number;
  readonly asks: number;
  readonly ends: "oldest" | "newest" | "none";
  readonly part: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  waits: fc.oneof(fc.integer({ min: 0, max: 900 }), fc.integer({ min: 0, max: 25_000 }), fc.integer({ min: 0, max: 140_000 })),
  asks: fc.integer({ min: 0, max: 60 }),
  ends: fc.constantFrom("oldest", "newest", "none"),
  part: fc.oneof(fc.constant(1), fc.constant(0), fc.double({ min: 0, max: 1, noNaN: true })),
});
const steps = fc.array(step, { minLength: 1, maxLength: 120 });

/** A call that was admitted: when, what it holds, and what it used once it has ended. */
interface Admitted {
  readonly id: string;
  readonly at: number;
  readonly held: number;
  used: number | undefined;
}

interface Decided {
  readonly at: number;
  readonly asked: number;
  readonly result: ReserveResult;
  /** What was admitted before, as it stood then. */
  readonly before: readonly Admitted[];
}

function play(rule: Rule, amount: number, sequence: readonly Step[], unit: Unit = "tokens") {
  const state: State = createState();
  const admitted: Admitted[] = [];
  const decided: Decided[] = [];
  let now = START;
  for (const [i, { waits, asks, ends, part }] of sequence.entries()) {
    now += waits;
    const open = admitted.filter(({ used }) => used === undefined);
    const ending = ends === "none" ? undefined : ends === "oldest" ? open[0] : open.at(-1);
    if (ending) {
      ending.used = unit === "requests" ? 1 : Math.floor(ending.held * part);
      apply(state, settle(ending.id, ending.used), now);
    }
    const id = `call-${i}`;
    const asked = unit === "requests" ? 1 : asks;
    const { result } = apply(state, reserve(id, asked, limitAt(rule, amount, now, unit)), now);
    decided.push({ at: now, asked, result, before: admitted.map((call) => ({ ...call })) });
    if (result.outcome === "reserved") admitted.push({ id, at: now, held: asked, used: undefined });
  }
  return { state, admitted, decided, now };
}

const usedOf = ({ used, held }: Admitted) => used ?? held;
const sum = (calls: readonly Admitted[]) => calls.reduce((total, call) => total + usedOf(call), 0);

for (const unit of ["tokens", "requests"] as const) {
  const amount = unit === "tokens" ? 100 : 7;
  const rolling: Rule = { kind: "rolling", lengthMs: 60_000, sliceMs: 1_000 };

  test(`no span of a rolling window's length ever has more ${unit} than the limit, and what a slice less would allow is allowed`, () => {
    fc.assert(
      fc.property(steps, (sequence) => {
        const { admitted, decided } = play(rolling, amount, sequence, unit);
        for (const { at } of admitted) {
          const span = admitted.filter((call) => call.at > at - rolling.lengthMs && call.at <= at);
          assert.ok(sum(span) <= amount, `${sum(span)} in the minute up to ${at - START}`);
        }
        for (const { at, asked, result, before } of decided) {
          const wide = before.filter((call) => call.at > at - rolling.lengthMs - rolling.sliceMs);
          if (result.outcome === "refused") assert.ok(sum(wide) + asked > amount, "what would fit a slice more is not refused");
        }
      }),
      { numRuns: 500 },
    );
  });

  const buckets = fc.record({
    amount: fc.integer({ min: unit === "tokens" ? 60 : 1, max: 240 }),
    drains: fc.integer({ min: 1, max: 400 }),
  });

  test(`in no span do more ${unit} pass than a bucket takes at once and what drains in it`, () => {
    fc.assert(
      fc.property(steps, buckets, (sequence, { amount, drains }) => {
        const rule: Bucket = { kind: "bucket", drains, periodMs: 60_000, sliceMs: 1_000 };
        const { admitted } = play(rule, amount, sequence, unit);
        for (const [from, { at: since }] of admitted.entries()) {
          for (let to = from; to < admitted.length; to++) {
            const span = admitted.slice(from, to + 1);
            const { at: until } = span.at(-1) as Admitted;
            const most = amount + (drains * (until - since)) / rule.periodMs;
            assert.ok(sum(span) <= most, `${sum(span)} in ${until - since} ms, at most ${most}`);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  test(`the level of a bucket of ${unit} is exactly what its definition says, also when its past was drawn together`, () => {
    fc.assert(
      fc.property(steps, buckets, (sequence, { amount, drains }) => {
        const rule: Bucket = { kind: "bucket", drains, periodMs: 60_000, sliceMs: 1_000 };
        for (const { at, asked, result, before } of play(rule, amount, sequence, unit).decided) {
          if (result.outcome === "ended" || result.outcome === "moved") continue;
          const [{ spent, held }] = result.standings as readonly [Standing];
          // Whole units drain, so a part of one that is left counts whole.
          const level = Math.ceil(levelOf(before, rule, at) - 1e-6);
          assert.equal(spent + held, result.outcome === "reserved" ? level + asked : level);
          if (result.outcome === "refused") assert.ok(level + asked > amount, "what fits is not refused");
        }
      }),
      { numRuns: 500 },
    );
  });
}

/** The level of a bucket by its definition, in fractions, where every call flows in at the end of its second or now. */
function levelOf(calls: readonly Admitted[], { drains, periodMs, sliceMs }: Bucket, now: number): number {
  let level = 0;
  let last = 0;
  for (const call of calls) {
    const at = Math.min(now, Math.floor(call.at / sliceMs) * sliceMs + sliceMs);
    level = Math.max(0, level - (drains * (at - last)) / periodMs) + usedOf(call);
    last = at;
  }
  return Math.max(0, level - (drains * (now - last)) / periodMs);
}

test("a refusal says until when: just before it is right, and at that time the call fits", () => {
  const rules = fc.constantFrom<Rule>(
    { kind: "rolling", lengthMs: 60_000, sliceMs: 1_000 },
    { kind: "bucket", drains: 77, periodMs: 60_000, sliceMs: 1_000 },
    { kind: "bucket", drains: 100_003, periodMs: 60_000, sliceMs: 1_000 },
  );
  fc.assert(
    fc.property(rules, steps, (rule, sequence) => {
      const { state, admitted, now } = play(rule, 100, sequence);
      for (const call of admitted) if (call.used === undefined) apply(state, settle(call.id, call.held), now);
      const asks = (asked: number, at: number) => apply(state, reserve(`late ${asked} ${at}`, asked, limitAt(rule, 100, at)), at).result;
      const refused = asks(95, now);
      if (refused.outcome !== "refused") return;
      assert.ok(refused.until > now && Number.isSafeInteger(refused.until));
      assert.equal(asks(95, refused.until - 1).outcome, "refused");
      assert.equal(asks(95, refused.until).outcome, "reserved");
    }),
    { numRuns: 500 },
  );
});

test("what drains while calls still flow in makes room as soon as it has drained", () => {
  const rule: Bucket = { kind: "bucket", drains: 100_003, periodMs: 60_000, sliceMs: 1_000 };
  const state = createState();
  apply(state, reserve("first", 80, limitAt(rule, 100, 500)), 500);
  apply(state, settle("first", 80), 700);
  apply(state, reserve("second", 5, limitAt(rule, 100, 1_001)), 1_001);
  apply(state, settle("second", 5), 1_001);
  const refused = apply(state, reserve("late", 95, limitAt(rule, 100, 1_001)), 1_001).result;
  // The first 80 begin to drain at 1,000, at 1.67 a millisecond.
  assert.ok(refused.outcome === "refused");
  assert.equal(refused.until, 1_048);
});

test("whole units drain, exactly, however large the numbers", () => {
  const periods = fc.constantFrom(60_000, 3_600_000, 86_400_000);
  fc.assert(
    fc.property(
      periods,
      fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
      fc.integer({ min: 0, max: 10 ** 12 }),
      fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
      (periodMs, drains, timeMs, amount) => {
        const rule: Bucket = { kind: "bucket", drains, periodMs, sliceMs: 1_000 };
        const exact = (BigInt(drains) * BigInt(timeMs)) / BigInt(periodMs);
        const most = BigInt(Number.MAX_SAFE_INTEGER);
        assert.equal(BigInt(drained(rule, timeMs)), exact < most ? exact : most);
        const time = drainingTime(rule, amount);
        if (!Number.isSafeInteger(time)) return;
        assert.ok(drained(rule, time) >= amount && (time === 0 || drained(rule, time - 1) < amount));
      },
    ),
    { numRuns: 2_000 },
  );
});
