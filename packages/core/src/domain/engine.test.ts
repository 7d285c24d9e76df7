import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Amounts, type Applied, amountOf, type BoundLimit, type Command } from "./command.ts";
import { apply } from "./engine.ts";
import type { LeaseStep } from "./lease.ts";
import type { CallDetail, CounterRef, Entry } from "./ledger.ts";
import { UNITS, type Unit } from "./limit.ts";
import { asksOf } from "./quote.ts";
import { compact, createState, evolve, type State } from "./state.ts";

const DETAIL: CallDetail = { subject: {}, inputTokens: 0, outputTokens: 0, cost: undefined, counted: true, price: "test" };

function limit(budget: string, unit: Unit, amount: number, { enforced = true, resetsAt = 100_000 as number | undefined } = {}): BoundLimit {
  const counter: CounterRef = { key: `${budget}|${unit}`, budget, subject: "", unit, window: "day@UTC", startsAt: 0, resetsAt };
  return { counter, amount, enforced };
}

/** Every unit, several limits of one unit, one that only observes, and one that never resets. */
const LIMITS = [
  ...UNITS.map((unit, i) => limit("company", unit, [9_000, 700, 500, 400, 9, 3][i] as number)),
  limit("team", "tokens", 300),
  limit("user", "tokens", 900, { resetsAt: undefined }),
  limit("trial", "tokens", 50, { enforced: false }),
];

function reserve(
  id: string,
  size: { input: number; output: number; least?: number; copies?: number; share?: number },
  limits = LIMITS,
): Command {
  const { input, output, least = 0, copies = 1, share } = size;
  const card = { provider: "p", model: "m", tiers: [{ aboveInputTokens: 0, rates: { input: 1_500, output: 7_001 } }], source: "test" };
  const asks = asksOf({ inputTokens: input, outputTokensMost: output, copies }, card, "standard");
  const detail = { ...DETAIL, inputTokens: input };
  return {
    kind: "reserve",
    id,
    limits,
    asks,
    output: { least: Math.min(least, output), most: output },
    ...(share && { share }),
    leaseMs: 50,
    detail,
  };
}

function settle(id: string, tokens: { input: number; output: number }): Command {
  const { input, output } = tokens;
  const amounts: Amounts = {
    nanodollars: Math.ceil((input * 1_500 + output * 7_001) / 1_000),
    tokens: input + output,
    input_tokens: input,
    output_tokens: output,
    requests: 1,
    concurrent: 0,
  };
  return {
    kind: "settle",
    id,
    amounts,
    charge: { usage: { inputTokens: input, outputTokens: output }, cost: amounts.nanodollars, certainty: "confirmed" },
  };
}

const IDS = ["a", "b", "c", "d", "e", "f"];
const LEASES = ["lease a", "lease b"];
const id = fc.constantFrom(...IDS);
const tokens = fc.integer({ min: 0, max: 260 });
const someLimits = fc.subarray(LIMITS, { minLength: 1 });

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(id, tokens, tokens, tokens, fc.integer({ min: 1, max: 3 }), someLimits)
      .map(([id, input, output, least, copies, limits]) => reserve(id, { input, output, least, copies }, limits)),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(id, tokens, tokens, someLimits)
      .map(([id, input, output, limits]) => reserve(id, { input, output, share: 4 }, limits)),
  },
  { weight: 4, arbitrary: fc.tuple(id, tokens, tokens).map(([id, input, output]) => settle(id, { input, output })) },
  { weight: 2, arbitrary: id.map((id): Command => ({ kind: "release", id, why: "not sent" })) },
  {
    weight: 1,
    arbitrary: fc.tuple(id, fc.integer({ min: 0, max: 90 })).map(([id, leaseMs]): Command => ({ kind: "extend", id, leaseMs })),
  },
  { weight: 2, arbitrary: fc.boolean().map((all): Command => ({ kind: "expire", all })) },
  {
    weight: 4,
    arbitrary: fc
      .record({
        id: fc.constantFrom(...LEASES),
        report: fc.integer({ min: 1, max: 5 }),
        opened: fc.array(fc.tuple(id, tokens, someLimits), { maxLength: 3 }),
        settled: fc.array(fc.tuple(id, tokens, tokens), { maxLength: 2 }),
        wanted: someLimits,
        amount: tokens,
        ends: fc.constantFrom(false, false, false, true),
      })
      .map(({ id, report, opened, settled, wanted, amount, ends }): Command => {
        const steps: LeaseStep[] = opened.map(([id, amount, limits]) => ({
          kind: "open",
          id,
          holds: limits.map(({ counter }) => ({ counter, amount })),
          outputCap: 1,
          leaseMs: 50,
          detail: DETAIL,
        }));
        for (const [id, input, output] of settled) steps.push(settle(id, { input, output }) as LeaseStep);
        const wants = wanted.map((limit) => ({ limit, amount, least: 2 }));
        return { kind: "lease", id, report, steps, wants, leaseMs: 70, ends };
      }),
  },
  {
    weight: 1,
    arbitrary: id.map(
      (id): Command => ({
        kind: "record",
        entry: { kind: "denied", reservation: id, postings: [], reason: "budget_exhausted", message: "", detail: DETAIL },
      }),
    ),
  },
  // A limit that comes into force while calls are in flight holds what they may still use.
  {
    weight: 1,
    arbitrary: id.map(
      (id): Command => ({
        kind: "record",
        entry: {
          kind: "adjusted",
          reservation: id,
          why: "new limit",
          postings: [{ counter: limit("late", "tokens", 0).counter, held: 40, spent: 0 }],
        },
      }),
    ),
  },
);

/** Clocks go forward, stand still and step back. */
const steps = fc.array(fc.tuple(command, fc.integer({ min: -60, max: 60 })), { maxLength: 60 });

const balancesOf = (state: State) => Object.fromEntries([...state.counters].map(([key, { spent, held }]) => [key, { spent, held }]));
/** All that a state says, as text: what is not known is left out, as in a journal. */
const contentOf = ({ seq, counters, holds, ended, expired, leases }: State) => {
  const remembered = IDS.map((id) => [id, ended.has(id), expired.get(id)]);
  const allotted = [...counters.keys()].map((key) => [leases.allotted(key), leases.holders(key)]);
  return JSON.stringify([seq, [...counters], [...holds], remembered, [...leases.values()], allotted]);
};

const sum = (values: Iterable<number>) => [...values].reduce((a, b) => a + b, 0);

/** Everything that must hold after every command, checked against the ledger alone. */
class Checker {
  readonly ledger: Entry[] = [];
  readonly #opened = new Map<string, Entry & { kind: "reserved" }>();
  readonly #ended = new Set<string>();

  check(state: State, command: Command, before: ReturnType<typeof balancesOf>, applied: Applied<unknown>): void {
    const { result, entries } = applied as Applied<{ outcome?: string; expired?: number } | undefined>;
    for (const entry of entries) {
      assert.equal(entry.seq, this.ledger.length + 1, "entries have no gaps");
      this.ledger.push(entry);
      this.#follow(entry);
    }
    if (entries.length === 0) assert.deepEqual(balancesOf(state), before, "what is not in the ledger changes nothing");
    if (result?.outcome === "refused") assert.equal(entries.length, 0, "a denial changes nothing");
    this.#checkBalances(state, command);
    this.#checkLimits(state);
    // What a lease opened was granted to the lease.
    const granting = command.kind === "lease" ? "leased" : "reserved";
    for (const entry of entries) if (entry.kind === granting) this.#checkGrant(state, entry);
  }

  #follow(entry: Entry): void {
    const { kind, reservation } = entry;
    if (kind === "reserved") {
      assert.ok(!this.#opened.has(reservation), "a reservation begins once");
      this.#opened.set(reservation, entry);
    }
    if (kind === "settled" || kind === "released" || kind === "expired") {
      assert.ok(this.#opened.has(reservation) && !this.#ended.has(reservation), "a reservation ends once");
      this.#ended.add(reservation);
    }
    if (kind === "expired") assert.equal(entry.charge.certainty, "unconfirmed");
    if (kind === "corrected") assert.ok(this.#ended.has(reservation), "only what ended is corrected");
  }

  #checkBalances(state: State, command: Command): void {
    for (const [key, { ref, spent, held }] of state.counters) {
      const postings = this.ledger.flatMap(({ postings }) => postings).filter(({ counter }) => counter.key === key);
      const total = { spent: sum(postings.map(({ spent }) => spent)), held: sum(postings.map(({ held }) => held)) };
      assert.deepEqual({ spent, held }, total, `${key} is the sum of its postings`);
      assert.ok(spent >= 0 && held >= 0, `${key} is not below 0 after ${command.kind}`);
      if (ref.unit === "concurrent") assert.equal(spent, 0, "calls at once are held and never spent");
    }
    const open = [...this.#opened.keys()].filter((id) => !this.#ended.has(id));
    assert.deepEqual([...state.holds.keys()].sort(), open.sort());
    for (const [key, { held }] of state.counters) {
      const holds = [...state.holds.values()].flatMap(({ postings }) => postings).filter(({ counter }) => counter.key === key);
      const leases = [...state.leases.values()].filter(({ end }) => end === undefined);
      const allotted = sum(leases.flatMap(({ allotments }) => allotments.flatMap((one) => (one.counter.key === key ? [one.amount] : []))));
      assert.equal(state.leases.allotted(key), allotted);
      assert.equal(held, allotted + sum(holds.map(({ held }) => held)), `what ${key} holds belongs to calls in flight or to leases`);
    }
  }

  /** Only what providers used beyond their holds may take a counter over its limit. */
  #checkLimits(state: State): void {
    for (const { counter, amount, enforced } of LIMITS) {
      if (!enforced) continue;
      const { spent = 0, held = 0 } = state.counters.get(counter.key) ?? {};
      const beyond = this.ledger
        .filter(({ kind }) => kind === "overrun" || kind === "corrected")
        .flatMap(({ postings }) => postings)
        .filter((posting) => posting.counter.key === counter.key && posting.spent > 0);
      assert.ok(spent + held <= amount + sum(beyond.map(({ spent }) => spent)), `${counter.key}: ${spent} + ${held} of ${amount}`);
    }
  }

  /** However a limit was passed before, nothing is granted on it beyond. */
  #checkGrant(state: State, granted: Entry): void {
    for (const { counter, held } of granted.postings) {
      const limit = LIMITS.find((one) => one.counter.key === counter.key);
      const standing = state.counters.get(counter.key);
      if (!limit?.enforced || held <= 0 || !standing) continue;
      assert.ok(standing.spent + standing.held <= limit.amount, `${counter.key} was granted beyond its limit`);
    }
  }
}

function play(commands: readonly (readonly [Command, number])[], check = true): { state: State; ledger: readonly Entry[] } {
  const state = createState();
  const checker = new Checker();
  let now = 1_000;
  for (const [command, step] of commands) {
    now += step;
    const before = balancesOf(state);
    const applied = apply(state, command, now);
    if (check) checker.check(state, command, before, applied);
    else checker.ledger.push(...applied.entries);
  }
  return { state, ledger: checker.ledger };
}

test("whatever happens: no enforced limit is passed but by an overrun, a denial changes nothing, balances are the sum of postings, holds end once", () => {
  fc.assert(
    fc.property(steps, (commands) => void play(commands)),
    { numRuns: 1_500 },
  );
});

test("the same commands make the same entries, and the entries alone make the same state", () => {
  fc.assert(
    fc.property(steps, (commands) => {
      const first = play(commands, false);
      assert.deepEqual(play(commands, false).ledger, first.ledger);
      const replayed = createState();
      for (const entry of JSON.parse(JSON.stringify(first.ledger)) as Entry[]) {
        evolve(replayed, entry);
        evolve(replayed, entry);
      }
      assert.equal(contentOf(replayed), contentOf(first.state));
    }),
    { numRuns: 300 },
  );
});

test("a gap in the entries is noticed, not played over", () => {
  const { ledger } = play(
    [
      [reserve("a", { input: 1, output: 1 }), 0],
      [reserve("b", { input: 1, output: 1 }), 0],
    ],
    false,
  );
  assert.throws(() => evolve(createState(), ledger[1] as Entry), { code: "internal", message: /missing/ });
});

function run(state: State, command: Command, now = 0) {
  return apply(state, command, now).result as Record<string, unknown> & { outcome: string };
}

test("the output cap is lowered to exactly what fits all limits at once, for several answers, money with fractions too", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(tokens, fc.integer({ min: 1, max: 3 })), { maxLength: 4 }),
      tokens,
      fc.integer({ min: 1, max: 5_000 }),
      fc.integer({ min: 1, max: 4 }),
      (earlier, input, output, copies) => {
        const state = createState();
        for (const [i, [size, copies]] of earlier.entries())
          apply(state, reserve(`earlier ${i}`, { input: size, output: size, copies }), 0);
        const before = new Map(LIMITS.map(({ counter }) => [counter.key, { spent: 0, held: 0, ...state.counters.get(counter.key) }]));
        const command = reserve("a", { input, output, least: 1, copies }) as Command & { kind: "reserve" };
        const result = run(state, command);
        const fitsWith = (outputTokens: number) =>
          command.limits.every(({ counter, amount, enforced }) => {
            const { spent, held } = before.get(counter.key) as { spent: number; held: number };
            return !enforced || spent + held + amountOf(command.asks[counter.unit], outputTokens) <= amount;
          });
        if (result.outcome === "refused") return assert.ok(!fitsWith(1), "what would fit is not refused");
        const cap = result.outputTokens as number;
        assert.ok(cap >= 1 && cap <= output && fitsWith(cap));
        if (cap < output) assert.ok(!fitsWith(cap + 1), "one more token would not fit");
      },
    ),
    { numRuns: 1_500 },
  );
});

test("an estimate that is too rough for what is left is refused though it fits, and requests do not count as rough", () => {
  const limits = [limit("company", "tokens", 1_000), limit("company", "requests", 1)];
  assert.equal(run(createState(), reserve("a", { input: 101, output: 0, share: 10 }, limits)).outcome, "refused");
  assert.equal(run(createState(), reserve("a", { input: 100, output: 0, share: 10 }, limits)).outcome, "reserved");
});

test("an estimate too rough for an observed limit is refused too, so that what is told of it is exact", () => {
  const limits = [limit("trial", "tokens", 1_000, { enforced: false })];
  assert.equal(run(createState(), reserve("a", { input: 101, output: 0, share: 10 }, limits)).outcome, "refused");
  assert.equal(run(createState(), reserve("a", { input: 1_001, output: 0 }, limits)).outcome, "reserved");
});

test("of several limits that refuse, the one is named that refuses for longest", () => {
  const state = createState();
  const limits = [
    limit("minute", "tokens", 500, { resetsAt: 60 }),
    limit("day", "tokens", 600, { resetsAt: 100 }),
    limit("small", "input_tokens", 20, { resetsAt: 60 }),
  ];
  apply(state, reserve("a", { input: 10, output: 490 }, limits.slice(0, 2)), 0);
  const failing = (input: number, output: number) => run(state, reserve("b", { input, output, least: output }, limits)).failing;
  assert.equal(failing(10, 100), 0, "both are busy, and the first is named");
  apply(state, settle("a", { input: 10, output: 490 }), 0);
  assert.equal(failing(10, 100), 1, "the day resets after the minute");
  assert.equal(failing(21, 100), 2, "what can never fit is named before what resets");
});

test("requests in flight are used up, so waiting for them is not advised", () => {
  const state = createState();
  const limits = [limit("company", "concurrent", 1, { resetsAt: undefined }), limit("company", "requests", 1, { resetsAt: 60 })];
  apply(state, reserve("a", { input: 1, output: 1 }, limits), 0);
  assert.equal(run(state, reserve("b", { input: 1, output: 1 }, limits)).failing, 1);
});

test("a hold whose owner is gone is charged at its estimate, unconfirmed, and a late end corrects it once", () => {
  for (const [end, spent] of [
    [settle("a", { input: 60, output: 7 }), 67],
    [{ kind: "release", id: "a", why: "never sent" } as Command, 0],
  ] as const) {
    const state = createState();
    const limits = [limit("company", "tokens", 1_000), limit("company", "requests", 10)];
    apply(state, reserve("a", { input: 100, output: 20, copies: 2 }, limits), 0);
    assert.deepEqual(run(state, { kind: "expire" }, 49), { expired: [] });
    const { entries } = apply(state, { kind: "expire" }, 50);
    assert.ok(entries[0]?.kind === "expired");
    assert.deepEqual(entries[0].charge, { usage: { inputTokens: 100, outputTokens: 40 }, cost: 431, certainty: "unconfirmed" });
    assert.deepEqual(balancesOf(state)["company|tokens"], { spent: 140, held: 0 });
    assert.equal(run(state, end).outcome, "corrected");
    assert.deepEqual(balancesOf(state)["company|tokens"], { spent, held: 0 });
    assert.deepEqual(balancesOf(state)["company|requests"], { spent: end.kind === "settle" ? 1 : 0, held: 0 });
    assert.equal(run(state, end).outcome, "duplicate");
    assert.equal(run(state, reserve("a", { input: 1, output: 1 }, limits)).outcome, "ended");
  }
});

test("a batch outlives the process that holds it, and ends with its lease like any other hold", () => {
  const state = createState();
  const batched = reserve("a", { input: 100, output: 20 });
  assert.ok(batched.kind === "reserve");
  apply(state, { ...batched, detail: { ...batched.detail, batch: "b" } }, 0);
  apply(state, reserve("c", { input: 100, output: 20 }), 0);
  assert.deepEqual(run(state, { kind: "expire", all: true }, 1), { expired: ["c"] });
  assert.deepEqual(run(state, { kind: "expire", all: true }, 50), { expired: ["a"] });
});

test("a lease that was extended is not cut short by a clock that steps back", () => {
  const state = createState();
  apply(state, reserve("a", { input: 1, output: 1 }), 1_000);
  assert.equal(run(state, { kind: "extend", id: "a", leaseMs: 50 }, 500).expiresAt, 1_050);
  assert.deepEqual(run(state, { kind: "expire" }, 1_049), { expired: [] });
});

test("usage beyond the hold is an entry of its own, and counted", () => {
  const state = createState();
  apply(state, reserve("a", { input: 10, output: 10 }, [limit("company", "tokens", 20)]), 0);
  const { entries } = apply(state, settle("a", { input: 15, output: 12 }), 0);
  assert.deepEqual(
    entries.map(({ kind, postings }) => [kind, postings.map(({ held, spent }) => [held, spent])]),
    [
      ["settled", [[-20, 20]]],
      ["overrun", [[0, 7]]],
    ],
  );
});

test("an amount that cannot be counted is refused before anything changes", () => {
  const state = createState();
  const observed = [limit("trial", "tokens", Number.MAX_SAFE_INTEGER, { enforced: false })];
  apply(state, reserve("a", { input: Number.MAX_SAFE_INTEGER - 5, output: 0 }, observed), 0);
  const before = contentOf(state);
  assert.throws(() => apply(state, reserve("b", { input: 6, output: 0 }, observed), 0), { code: "amount_too_large" });
  for (const amount of [Number.NaN, -1, 0.5, 1e300, Number.POSITIVE_INFINITY]) {
    assert.throws(() => apply(state, settle("a", { input: amount, output: 0 }), 0), { code: "amount_invalid" });
  }
  assert.equal(contentOf(state), before);
});

test("compaction forgets closed windows on which nothing is held, and nothing else", () => {
  const state = createState();
  apply(
    state,
    reserve("a", { input: 1, output: 1 }, [
      limit("old", "tokens", 10, { resetsAt: 5 }),
      limit("life", "tokens", 10, { resetsAt: undefined }),
    ]),
    0,
  );
  assert.deepEqual(compact(state, 6), []);
  apply(state, settle("a", { input: 1, output: 1 }), 0);
  assert.deepEqual(compact(state, 5), []);
  assert.deepEqual(compact(state, 6), ["old|tokens"]);
  assert.deepEqual([...state.counters.keys()], ["life|tokens"]);
});
