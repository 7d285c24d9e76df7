import assert from "node:assert/strict";
import { ADOPTION, type Entry } from "../domain/ledger.ts";
import type { Rule } from "../domain/slices.ts";
import type { Store } from "../stores/store.ts";
import { createFakeClock, type FakeClock } from "./fake-clock.ts";
import { sampleCall, sampleDetail, sampleGrant, sampleLimit, sampleMovingLimit, sampleSettlement } from "./sample-calls.ts";

/** Opens an empty store that tells the time by the clock it is given. */
export type OpenStore = (options: { readonly now: () => number }) => Promise<Store>;

/** One guarantee of every store. `run` rejects with an assertion error where it is broken; any test runner can call it. */
export interface StoreCase {
  readonly name: string;
  run(open: OpenStore): Promise<void>;
}

interface Scene {
  readonly store: Store;
  readonly clock: FakeClock;
}

/** What every store must hold to. A store is done when all of it is green. */
export const storeContract: readonly StoreCase[] = [
  law("a reservation holds what it asks on every limit, apart from what is spent", async ({ store }) => {
    const limits = [sampleLimit({ amount: 1_000 }), sampleLimit({ budget: "team", unit: "nanodollars", amount: 9_000 })];
    const result = await store.reserve(sampleCall({ id: "a", limits, input: 101, output: 50 }));
    assert.ok(result.outcome === "reserved");
    assert.deepEqual(result.standings, [
      { amount: 1_000, spent: 0, held: 151 },
      { amount: 9_000, spent: 0, held: 227 },
    ]);
    assert.deepEqual(await store.standings(limits), result.standings);
    assert.deepEqual(await standings(store), { "company tokens": [0, 151], "team nanodollars": [0, 227] });
  }),

  law("calls at the same time cannot share what is left", async ({ store }) => {
    const limits = [sampleLimit({ amount: 1_000 }), sampleLimit({ budget: "team", amount: 5_000 })];
    const ids = Array.from({ length: 50 }, (_, i) => `call-${i}`);
    const results = await Promise.all(ids.map((id) => store.reserve(sampleCall({ id, limits, input: 30 }))));
    assert.equal(results.filter(({ outcome }) => outcome === "reserved").length, 33);
    assert.deepEqual(await standings(store), { "company tokens": [0, 990], "team tokens": [0, 990] });
  }),

  law("the last of a limit can be used to the unit", async ({ store }) => {
    const limits = [sampleLimit({ amount: 100 })];
    assert.equal((await store.reserve(sampleCall({ id: "a", limits, input: 60 }))).outcome, "reserved");
    assert.equal((await store.reserve(sampleCall({ id: "b", limits, input: 41 }))).outcome, "refused");
    assert.equal((await store.reserve(sampleCall({ id: "c", limits, input: 40 }))).outcome, "reserved");
    assert.equal((await store.reserve(sampleCall({ id: "d", limits, input: 1 }))).outcome, "refused");
  }),

  law("a call that one limit refuses holds nothing on the others", async ({ store }) => {
    const limits = [100, 1_000, 10, 1_000].map((amount, i) => sampleLimit({ budget: `budget ${i}`, amount }));
    const result = await store.reserve(sampleCall({ id: "a", limits, input: 50 }));
    assert.equal(result.outcome, "refused");
    for (const [held, spent] of Object.values(await standings(store))) assert.deepEqual([held, spent], [0, 0]);
    assert.deepEqual(await store.entries({ kinds: ["reserved"] }), []);
  }),

  law("a refusal says which limit refuses, what is asked of it, until when, and how all limits stand", async ({ store, clock }) => {
    const resetsAt = clock.now() + 5_000;
    const limits = [sampleLimit({ amount: 1_000 }), sampleLimit({ budget: "team", amount: 100, resetsAt })];
    await store.reserve(sampleCall({ id: "a", limits, input: 60 }));
    const refused = async (input: number, least: number) => store.reserve(sampleCall({ id: "b", limits, input, output: 500, least }));
    const standings = [1_000, 100].map((amount) => ({ amount, spent: 0, held: 60 }));
    assert.deepEqual(await refused(45, 5), { outcome: "refused", failing: 1, asked: 50, until: 0, standings });
    assert.deepEqual(await refused(100, 1), { outcome: "refused", failing: 1, asked: 101, until: Number.POSITIVE_INFINITY, standings });
    await store.settle(sampleSettlement("a", 60));
    const spent = [1_000, 100].map((amount) => ({ amount, spent: 60, held: 0 }));
    assert.deepEqual(await refused(45, 5), { outcome: "refused", failing: 1, asked: 50, until: resetsAt, standings: spent });
  }),

  law("the output cap is lowered to exactly what fits", async ({ store }) => {
    const limits = [sampleLimit({ amount: 1_000 }), sampleLimit({ budget: "team", unit: "nanodollars", amount: 451 })];
    const result = await store.reserve(sampleCall({ id: "a", limits, input: 100, output: 4_000, least: 16 }));
    assert.ok(result.outcome === "reserved");
    assert.equal(result.outputTokens, 200);
    assert.deepEqual(await standings(store), { "company tokens": [0, 300], "team nanodollars": [0, 450] });
  }),

  law("a limit that weighs its tokens holds the most that they can count, and is charged what they do", async ({ store, clock }) => {
    const weights = { cache_read: 0.1, cache_write: 1.25, output: 4, reasoning: 5 };
    const limits = [sampleLimit({ amount: 2_000, weights }), sampleLimit({ budget: "team", unit: "input_tokens", amount: 900, weights })];
    const result = await store.reserve(sampleCall({ id: "a", limits, input: 100, output: 4_000, least: 16, leaseMs: 10_000 }));
    assert.ok(result.outcome === "reserved");
    assert.equal(result.outputTokens, 375);
    assert.deepEqual(await standings(store), { "company tokens": [0, 2_000], "team input_tokens": [0, 125] });
    const kinds = { cacheReadInputTokens: 45, cacheWriteInputTokens: 10, reasoningOutputTokens: 7 };
    await store.settle(sampleSettlement("a", 100, 20, kinds));
    // 45 x 0.1 + 10 x 1.25 + 45, and 7 x 5 + 13 x 4: rounded up once.
    assert.deepEqual(await standings(store), { "company tokens": [149, 0], "team input_tokens": [62, 0] });
    await store.reserve(sampleCall({ id: "b", limits, input: 100, output: 10, leaseMs: 10_000 }));
    clock.advance(20_000);
    await store.expire();
    assert.deepEqual(await standings(store), { "company tokens": [324, 0], "team input_tokens": [187, 0] });
    await store.settle(sampleSettlement("b", 100, 10, { cacheReadInputTokens: 100 }));
    assert.deepEqual(await standings(store), { "company tokens": [199, 0], "team input_tokens": [72, 0] });
    await store.reserve(sampleCall({ id: "c", limits, input: 10, output: 1 }));
    await store.settle(sampleSettlement("c", 10, 10));
    assert.deepEqual(await standings(store), { "company tokens": [249, 0], "team input_tokens": [82, 0] });
    assert.deepEqual(
      (await store.entries({ kinds: ["overrun"] })).map(({ postings }) => postings.map(({ spent }) => spent)),
      [[32]],
    );
  }),

  law("the output cap is not lowered below the least that is wanted", async ({ store }) => {
    const limits = [sampleLimit({ amount: 115 })];
    const result = await store.reserve(sampleCall({ id: "a", limits, input: 100, output: 4_000, least: 16 }));
    assert.ok(result.outcome === "refused");
    assert.equal(result.asked, 116);
  }),

  law("an amount that cannot be counted exactly is rejected and leaves no trace", async ({ store }) => {
    const limits = [sampleLimit({ amount: Number.MAX_SAFE_INTEGER, enforced: false })];
    await store.reserve(sampleCall({ id: "a", limits, input: Number.MAX_SAFE_INTEGER - 10 }));
    await assert.rejects(store.reserve(sampleCall({ id: "b", limits, input: 100 })), { code: "amount_too_large" });
    await assert.rejects(store.settle(sampleSettlement("a", 0.5)), { code: "amount_invalid" });
    await store.release({ id: "a", why: "never sent" });
    assert.deepEqual(await standings(store), { "company tokens": [0, 0] });
  }),

  law("what a limit that is new takes over from a call in flight ends with that call", async ({ store }) => {
    await store.reserve(sampleCall({ id: "a", limits: [sampleLimit({ amount: 1_000 })], input: 500 }));
    const { counter } = sampleLimit({ budget: "team", amount: 1_000 });
    await store.record({ kind: "adjusted", reservation: "a", postings: [{ counter, held: 500, spent: 0 }], why: "new limit" });
    await store.record({ kind: "adjusted", reservation: "nobody", postings: [{ counter, held: 500, spent: 0 }], why: "new limit" });
    assert.deepEqual(await standings(store), { "company tokens": [0, 500], "team tokens": [0, 500] });
    await store.settle(sampleSettlement("a", 300));
    assert.deepEqual(await standings(store), { "company tokens": [300, 0], "team tokens": [300, 0] });
  }),

  law("what a limit that is new takes over from a call whose lease ran out is corrected with it", async ({ store, clock }) => {
    const limits = [sampleLimit({ amount: 9_000 })];
    for (const id of ["late", "settled"]) await store.reserve(sampleCall({ id, limits, input: 500, leaseMs: 10_000 }));
    await store.settle(sampleSettlement("settled", 500));
    clock.advance(20_000);
    await store.expire();
    const { counter } = sampleLimit({ budget: "team", amount: 9_000 });
    for (const reservation of ["late", "settled"]) {
      await store.record({ kind: "adjusted", reservation, postings: [{ counter, held: 0, spent: 500 }], why: "new limit" });
    }
    assert.deepEqual(await standings(store), { "company tokens": [1_000, 0], "team tokens": [500, 0] });
    assert.deepEqual(await store.settle(sampleSettlement("late", 123)), { outcome: "corrected" });
    assert.deepEqual(await standings(store), { "company tokens": [623, 0], "team tokens": [123, 0] });
  }),

  law("a call is held, or charged, on a counter once, however often a limit takes it over", async ({ store, clock }) => {
    const limits = [sampleLimit({ amount: 9_000 })];
    for (const id of ["open", "late"]) await store.reserve(sampleCall({ id, limits, input: 500, leaseMs: 10_000 }));
    await store.extend({ id: "open", leaseMs: 60_000 });
    clock.advance(20_000);
    await store.expire();
    const { counter } = sampleLimit({ budget: "team", amount: 9_000 });
    const held = { kind: "adjusted", reservation: "open", postings: [{ counter, held: 500, spent: 0 }], why: "new limit" } as const;
    const charged = { kind: "adjusted", reservation: "late", postings: [{ counter, held: 0, spent: 500 }], why: "new limit" } as const;
    for (const entry of [held, charged]) {
      assert.deepEqual(await store.record(entry), { outcome: "recorded" });
      assert.deepEqual(await store.record(entry), { outcome: "ignored" });
    }
    assert.deepEqual(await standings(store), { "company tokens": [500, 500], "team tokens": [500, 500] });
  }),

  law("a limit takes over what a call is held for by now, and nothing of what it was held for before", async ({ store, clock }) => {
    const limits = [sampleLimit({ amount: 1_000 })];
    const { asks } = sampleCall({ id: "a", limits, input: 100, output: 900 });
    await store.reserve(sampleCall({ id: "a", limits, input: 100, output: 50, leaseMs: 10_000 }));
    await store.extend({ id: "a", leaseMs: 10_000, more: { limits, asks, output: { least: 1, most: 300 } } });
    const { counter } = sampleLimit({ budget: "team", amount: 9_000 });
    const takenOver = (outputCap: number) => {
      const postings = [{ counter, held: 100 + outputCap, spent: 0 }];
      return store.record({ kind: "adjusted", reservation: "a", postings, outputCap, why: "new limit" });
    };
    assert.deepEqual(await takenOver(50), { outcome: "ignored" });
    assert.deepEqual(await takenOver(300), { outcome: "recorded" });
    clock.advance(20_000);
    await store.expire();
    assert.deepEqual(await standings(store), { "company tokens": [400, 0], "team tokens": [400, 0] });
  }),

  law("limits come into force after those that they follow, and after no others", async ({ store }) => {
    const { counter } = sampleLimit({ budget: "team", amount: 9_000 });
    const adoption = (follows: number) =>
      ({
        kind: "adjusted",
        reservation: ADOPTION,
        postings: [{ counter, held: 0, spent: 77 }],
        why: "limits changed",
        adopted: { upTo: 0, follows, limits: [] },
      }) as const;
    assert.deepEqual(await store.record(adoption(0)), { outcome: "recorded" });
    assert.deepEqual(await store.record(adoption(0)), { outcome: "ignored" });
    const [{ seq } = { seq: 0 }] = await store.entries({ reservation: ADOPTION });
    assert.deepEqual(await store.record(adoption(seq)), { outcome: "recorded" });
    assert.deepEqual(await standings(store), { "team tokens": [154, 0] });
  }),

  law("an estimate too rough for what is left is refused", async ({ store }) => {
    const limits = [sampleLimit({ amount: 1_000 })];
    assert.equal((await store.reserve(sampleCall({ id: "a", limits, input: 101, share: 10 }))).outcome, "refused");
    assert.equal((await store.reserve(sampleCall({ id: "b", limits, input: 100, share: 10 }))).outcome, "reserved");
  }),

  law("a limit that only observes refuses nothing, but counts and tells", async ({ store }) => {
    const limits = [sampleLimit({ amount: 10, enforced: false }), sampleLimit({ budget: "team", amount: 1_000 })];
    const result = await store.reserve(sampleCall({ id: "a", limits, input: 50 }));
    assert.ok(result.outcome === "reserved");
    assert.deepEqual(result.wouldRefuse, [0]);
    await store.settle(sampleSettlement("a", 50));
    assert.deepEqual(await standings(store), { "company tokens": [50, 0], "team tokens": [50, 0] });
  }),

  law("a limit on trial refuses nothing before its end, and from then on by what was used meanwhile", async ({ store, clock }) => {
    const observedUntil = clock.now() + 5_000;
    const limits = [sampleLimit({ amount: 100, observedUntil }), sampleLimit({ budget: "team", amount: 1_000 })];
    const before = await store.reserve(sampleCall({ id: "a", limits, input: 120, output: 50 }));
    assert.ok(before.outcome === "reserved");
    assert.deepEqual([before.wouldRefuse, before.outputTokens], [[0], 50]);
    await store.settle(sampleSettlement("a", 120));
    clock.advance(4_999);
    assert.equal((await store.reserve(sampleCall({ id: "b", limits, input: 1 }))).outcome, "reserved");
    const asks = sampleCall({ id: "b", limits, input: 1 }).asks;
    const more = (most: number) => ({ id: "b", leaseMs: 60_000, more: { limits, asks, output: { least: 1, most } } });
    assert.equal((await store.extend(more(10))).outcome, "extended");
    clock.advance(1);
    const refused = await store.reserve(sampleCall({ id: "c", limits, input: 1 }));
    assert.ok(refused.outcome === "refused");
    assert.deepEqual([refused.failing, refused.standings[0]], [0, { amount: 100, spent: 120, held: 11 }]);
    // A call in flight goes on with what it holds, and holds no more.
    assert.equal((await store.extend({ ...more(50), more: { ...more(50).more, output: { least: 11, most: 50 } } })).outcome, "refused");
    assert.deepEqual(await standings(store), { "company tokens": [120, 11], "team tokens": [120, 11] });
  }),

  law("repeating a reservation gives the same answer and holds once", async ({ store }) => {
    const call = sampleCall({ id: "a", limits: [sampleLimit({ amount: 2_000 })], input: 600 });
    const [first, again] = [await store.reserve(call), await store.reserve(call)];
    assert.ok(first.outcome === "reserved" && again.outcome === "reserved");
    assert.deepEqual([again.outputTokens, again.expiresAt, again.detail], [first.outputTokens, first.expiresAt, first.detail]);
    assert.deepEqual(await standings(store), { "company tokens": [0, 600] });
  }),

  law("settling replaces the hold by what was used, to the unit", async ({ store }) => {
    const limits = [
      sampleLimit({ amount: 1_000 }),
      sampleLimit({ unit: "nanodollars", amount: 9_000 }),
      sampleLimit({ unit: "requests", amount: 5 }),
    ];
    await store.reserve(sampleCall({ id: "a", limits, input: 500, output: 100 }));
    assert.deepEqual(await store.settle(sampleSettlement("a", 333, 44)), { outcome: "settled" });
    const expected = { "company tokens": [377, 0], "company nanodollars": [566, 0], "company requests": [1, 0] };
    assert.deepEqual(await standings(store), expected);
  }),

  law("settling twice charges once", async ({ store }) => {
    await store.reserve(sampleCall({ id: "a", limits: [sampleLimit({ amount: 1_000 })], input: 500 }));
    await store.settle(sampleSettlement("a", 300));
    assert.deepEqual(await store.settle(sampleSettlement("a", 300)), { outcome: "duplicate" });
    assert.deepEqual(await standings(store), { "company tokens": [300, 0] });
  }),

  law("a release returns all that was held", async ({ store }) => {
    const limits = [sampleLimit({ amount: 1_000 }), sampleLimit({ unit: "concurrent", amount: 1 })];
    await store.reserve(sampleCall({ id: "a", limits, input: 500 }));
    assert.deepEqual(await store.release({ id: "a", why: "never sent" }), { outcome: "released" });
    assert.deepEqual(await standings(store), { "company tokens": [0, 0], "company concurrent": [0, 0] });
    assert.equal((await store.reserve(sampleCall({ id: "b", limits, input: 1_000 }))).outcome, "reserved");
  }),

  law("a reservation that ended cannot hold again, however late it is repeated", async ({ store }) => {
    const call = sampleCall({ id: "a", limits: [sampleLimit({ amount: 1_000 })], input: 500 });
    await store.reserve(call);
    await store.release({ id: "a", why: "never sent" });
    assert.deepEqual(await store.reserve(call), { outcome: "ended" });
    assert.deepEqual(await standings(store), { "company tokens": [0, 0] });
  }),

  law("a reservation ends once: what comes after changes nothing", async ({ store }) => {
    const limits = [sampleLimit({ amount: 1_000 })];
    await store.reserve(sampleCall({ id: "settled", limits, input: 100 }));
    await store.reserve(sampleCall({ id: "released", limits, input: 200 }));
    await store.settle(sampleSettlement("settled", 90));
    await store.release({ id: "released", why: "never sent" });
    assert.deepEqual(await store.release({ id: "settled", why: "late" }), { outcome: "duplicate" });
    assert.deepEqual(await store.settle(sampleSettlement("released", 90)), { outcome: "duplicate" });
    assert.deepEqual(await store.extend({ id: "settled", leaseMs: 1 }), { outcome: "unknown" });
    assert.deepEqual(await standings(store), { "company tokens": [90, 0] });
  }),

  law("a reservation that never was is unknown", async ({ store }) => {
    assert.deepEqual(await store.settle(sampleSettlement("nobody", 1)), { outcome: "unknown" });
    assert.deepEqual(await store.release({ id: "nobody", why: "?" }), { outcome: "unknown" });
    assert.deepEqual(await store.extend({ id: "nobody", leaseMs: 1 }), { outcome: "unknown" });
    assert.deepEqual(await store.counters(), []);
  }),

  law("a hold lives until its lease has run out", async ({ store, clock }) => {
    await store.reserve(sampleCall({ id: "a", limits: [sampleLimit({ amount: 1_000 })], input: 500, leaseMs: 10_000 }));
    clock.advance(9_999);
    assert.deepEqual(await store.expire(), { expired: [] });
    assert.deepEqual(await standings(store), { "company tokens": [0, 500] });
    assert.deepEqual(await store.settle(sampleSettlement("a", 400)), { outcome: "settled" });
  }),

  law("a hold whose lease has run out ends", async ({ store, clock }) => {
    const limits = [sampleLimit({ amount: 1_000 }), sampleLimit({ unit: "concurrent", amount: 1 })];
    await store.reserve(sampleCall({ id: "a", limits, input: 500, leaseMs: 10_000 }));
    clock.advance(10_000);
    assert.deepEqual(await store.expire(), { expired: ["a"] });
    for (const [, held] of Object.values(await standings(store))) assert.equal(held, 0);
    assert.deepEqual(await store.expire(), { expired: [] });
  }),

  law("a hold that expires is charged at its estimate, unconfirmed; calls at once are only held", async ({ store, clock }) => {
    const limits = [sampleLimit({ amount: 1_000 }), sampleLimit({ unit: "concurrent", amount: 1 })];
    await store.reserve(sampleCall({ id: "a", limits, input: 500, output: 20, leaseMs: 10_000 }));
    clock.advance(10_000);
    await store.expire();
    const { "company tokens": tokens, "company concurrent": concurrent } = await standings(store);
    assert.deepEqual({ tokens, concurrent }, { tokens: [520, 0], concurrent: [0, 0] });
    const [entry] = await store.entries({ kinds: ["expired"] });
    assert.ok(entry?.kind === "expired");
    assert.deepEqual(entry.charge.certainty, "unconfirmed");
    assert.deepEqual(entry.charge.usage, { inputTokens: 500, outputTokens: 20 });
  }),

  law("a settlement after expiry corrects the charge, once", async ({ store, clock }) => {
    await store.reserve(sampleCall({ id: "a", limits: [sampleLimit({ amount: 1_000 })], input: 500, leaseMs: 10_000 }));
    clock.advance(20_000);
    await store.expire();
    assert.deepEqual(await store.settle(sampleSettlement("a", 123)), { outcome: "corrected" });
    assert.deepEqual(await store.settle(sampleSettlement("a", 123)), { outcome: "duplicate" });
    assert.deepEqual(await standings(store), { "company tokens": [123, 0] });
  }),

  law("a release after expiry returns what was charged", async ({ store, clock }) => {
    await store.reserve(sampleCall({ id: "a", limits: [sampleLimit({ amount: 1_000 })], input: 500, leaseMs: 10_000 }));
    clock.advance(20_000);
    await store.expire();
    assert.deepEqual(await store.release({ id: "a", why: "never sent" }), { outcome: "corrected" });
    assert.deepEqual(await standings(store), { "company tokens": [0, 0] });
  }),

  law("extending renews the lease, and never shortens it", async ({ store, clock }) => {
    await store.reserve(sampleCall({ id: "a", limits: [sampleLimit({ amount: 1_000 })], input: 500, leaseMs: 10_000 }));
    const start = clock.now();
    clock.advance(6_000);
    assert.deepEqual(await store.extend({ id: "a", leaseMs: 10_000 }), { outcome: "extended", expiresAt: start + 16_000 });
    assert.deepEqual(await store.extend({ id: "a", leaseMs: 1 }), { outcome: "extended", expiresAt: start + 16_000 });
    clock.advance(9_999);
    assert.deepEqual(await store.expire(), { expired: [] });
    clock.advance(1);
    assert.deepEqual(await store.expire(), { expired: ["a"] });
  }),

  law("more is held for a call as far as it fits all its limits, and everything ends with the whole of it", async ({ store, clock }) => {
    const limits = [
      sampleLimit({ amount: 1_000 }),
      sampleLimit({ unit: "nanodollars", amount: 10_000 }),
      sampleLimit({ unit: "requests", amount: 5 }),
    ];
    const { asks } = sampleCall({ id: "a", limits, input: 100, output: 900 });
    const more = (least: number, most: number) => ({ limits, asks, output: { least, most } });
    await store.reserve(sampleCall({ id: "a", limits, input: 100, output: 50, leaseMs: 10_000 }));
    await store.reserve(sampleCall({ id: "b", limits, input: 300, output: 100, leaseMs: 60_000 }));
    const expiresAt = clock.now() + 20_000;
    const raised = { outcome: "extended", expiresAt, outputTokens: 200 } as const;
    assert.deepEqual(await store.extend({ id: "a", leaseMs: 20_000, more: more(60, 200) }), raised);
    assert.deepEqual(await standings(store), { "company tokens": [0, 700], "company nanodollars": [0, 1_050], "company requests": [0, 2] });
    // 300 tokens are left: of 900 more, 500 in all fit. Of no less than 501 none.
    assert.deepEqual(await store.extend({ id: "a", leaseMs: 60_000, more: more(501, 900) }), { outcome: "refused" });
    assert.deepEqual(await store.extend({ id: "a", leaseMs: 1, more: more(201, 900) }), { ...raised, outputTokens: 500 });
    assert.deepEqual(await standings(store), {
      "company tokens": [0, 1_000],
      "company nanodollars": [0, 1_500],
      "company requests": [0, 2],
    });
    assert.deepEqual(await store.extend({ id: "nobody", leaseMs: 1, more: more(1, 2) }), { outcome: "unknown" });
    const entries = await store.entries({ kinds: ["raised"] });
    assert.deepEqual(
      entries.map((entry) => entry.kind === "raised" && [entry.outputCap, entry.detail.outputTokens, entry.detail.outputTokensAtFirst]),
      [
        [200, 200, 50],
        [500, 500, 50],
      ],
    );
    await store.settle(sampleSettlement("a", 100, 480));
    assert.deepEqual(await standings(store), {
      "company tokens": [580, 400],
      "company nanodollars": [870, 600],
      "company requests": [1, 1],
    });
    const [settled] = await store.entries({ kinds: ["settled", "overrun"] });
    assert.ok(settled?.kind === "settled" && settled.detail.outputTokens === 500, "an entry says what was held");
  }),

  law("a call of which more was held is charged all of it when its lease runs out, and corrected", async ({ store, clock }) => {
    const limits = [sampleLimit({ amount: 1_000 })];
    const { asks } = sampleCall({ id: "a", limits, input: 100, output: 900 });
    await store.reserve(sampleCall({ id: "a", limits, input: 100, output: 50, leaseMs: 10_000 }));
    await store.extend({ id: "a", leaseMs: 10_000, more: { limits, asks, output: { least: 1, most: 300 } } });
    clock.advance(20_000);
    assert.deepEqual(await store.expire(), { expired: ["a"] });
    assert.deepEqual(await standings(store), { "company tokens": [400, 0] });
    const [expired] = await store.entries({ kinds: ["expired"] });
    assert.deepEqual(expired?.kind === "expired" && expired.charge.usage, { inputTokens: 100, outputTokens: 300 });
    assert.deepEqual(await store.settle(sampleSettlement("a", 90, 250)), { outcome: "corrected" });
    assert.deepEqual(await standings(store), { "company tokens": [340, 0] });
  }),

  law("calls that ask for more at the same time never hold more than there is", async ({ store }) => {
    const limits = [sampleLimit({ amount: 1_000 })];
    const ids = Array.from({ length: 10 }, (_, i) => `call ${i}`);
    const { asks } = sampleCall({ id: "a", limits, input: 0, output: 900 });
    for (const id of ids) await store.reserve(sampleCall({ id, limits, input: 0, output: 50 }));
    const results = await Promise.all(
      ids.map((id) => store.extend({ id, leaseMs: 60_000, more: { limits, asks, output: { least: 200, most: 200 } } })),
    );
    // 500 are left, and each wants 150 more.
    assert.equal(results.filter(({ outcome }) => outcome === "extended").length, 3);
    assert.equal(results.filter(({ outcome }) => outcome === "refused").length, 7);
    assert.deepEqual(await standings(store), { "company tokens": [0, 950] });
  }),

  law("a call that goes on into the next window is held more of in its own", async ({ store, clock }) => {
    const limit = (amount: number) => sampleLimit({ amount, resetsAt: clock.now() + 5_000 });
    const limits = [limit(1_000)];
    const { asks } = sampleCall({ id: "a", limits, input: 100, output: 900 });
    await store.reserve(sampleCall({ id: "a", limits, input: 100, output: 50, leaseMs: 60_000 }));
    clock.advance(6_000);
    const extended = await store.extend({ id: "a", leaseMs: 60_000, more: { limits, asks, output: { least: 60, most: 400 } } });
    assert.equal(extended.outcome, "extended");
    assert.deepEqual(await standings(store), { "company tokens": [0, 500] });
  }),

  law("what exceeds a hold is counted, by an entry of its own", async ({ store }) => {
    const limits = [sampleLimit({ amount: 1_000 }), sampleLimit({ unit: "requests", amount: 5 })];
    await store.reserve(sampleCall({ id: "a", limits, input: 500 }));
    await store.settle(sampleSettlement("a", 620));
    assert.deepEqual(await standings(store), { "company tokens": [620, 0], "company requests": [1, 0] });
    const postings = (await store.entries({ kinds: ["settled", "overrun"] })).map(({ kind, postings }) => [
      kind,
      postings.map(({ spent }) => spent),
    ]);
    assert.deepEqual(postings, [
      ["settled", [500, 1]],
      ["overrun", [120]],
    ]);
  }),

  law("what is written down beside calls is kept, and adjustments count", async ({ store, clock }) => {
    const { counter } = sampleLimit({ amount: 1_000 });
    const detail = sampleDetail(12, 34);
    const denied = { kind: "denied", reservation: "a", postings: [], reason: "budget_exhausted", message: "No.", detail } as const;
    const adjusted = { kind: "adjusted", reservation: "", postings: [{ counter, held: 0, spent: 77 }], why: "carried over" } as const;
    const known = { rung: "cache 60m (company 0%)", from: "before", nearness: 0.93, saved: 21 };
    const answered = { kind: "answered", reservation: "b", postings: [], detail, known } as const;
    await store.record(denied);
    await store.record(adjusted);
    await store.record(answered);
    const at = clock.now();
    assert.deepEqual(await store.entries({}), [
      { ...denied, seq: 1, at },
      { ...adjusted, seq: 2, at },
      { ...answered, seq: 3, at },
    ]);
    assert.deepEqual(await store.entries({ reservation: "b", kinds: ["answered"] }), [{ ...answered, seq: 3, at }]);
    assert.deepEqual(await standings(store), { "company tokens": [77, 0] });
  }),

  law("every entry of a call says who called and what for", async ({ store, clock }) => {
    const call = sampleCall({ id: "a", limits: [sampleLimit({ amount: 1_000, resetsAt: clock.now() + 1_000 })], input: 500 });
    await store.reserve(call);
    await store.extend({ id: "a", leaseMs: 1 });
    const settlement = sampleSettlement("a", 400);
    await store.settle(settlement);
    const [reserved, extended, settled] = await store.entries({ reservation: "a" });
    assert.ok(reserved?.kind === "reserved" && extended?.kind === "extended" && settled?.kind === "settled");
    assert.deepEqual(reserved.detail.subject, call.detail.subject);
    assert.deepEqual(settled.detail, reserved.detail);
    assert.deepEqual(settled.charge, settlement.charge);
    assert.deepEqual(settled.postings[0]?.counter, call.limits[0]?.counter);
  }),

  law("the ledger finds what is asked for, oldest first", async ({ store, clock }) => {
    const limits = [sampleLimit({ amount: 100_000 })];
    const start = clock.now();
    for (const id of ["a", "b", "c", "d"]) {
      await store.reserve(sampleCall({ id, limits, input: 10 }));
      await store.settle(sampleSettlement(id, 5));
      clock.advance(1_000);
    }
    const seqs = async (query: Parameters<Store["entries"]>[0]) => (await store.entries(query)).map(({ seq }) => seq);
    assert.deepEqual(await seqs({}), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert.deepEqual(await seqs({ reservation: "c" }), [5, 6]);
    assert.deepEqual(await seqs({ reservation: "nobody" }), []);
    assert.deepEqual(await seqs({ kinds: ["settled"] }), [2, 4, 6, 8]);
    assert.deepEqual(await seqs({ kinds: ["settled", "expired"], since: start + 1_000, after: 4 }), [6, 8]);
    assert.deepEqual(await seqs({ since: start + 2_000 }), [5, 6, 7, 8]);
    assert.deepEqual(await seqs({ after: 6 }), [7, 8]);
    assert.deepEqual(await seqs({ most: 3 }), [1, 2, 3]);
    assert.deepEqual(await seqs({ most: 3, newest: true }), [6, 7, 8]);
    assert.deepEqual(await seqs({ kinds: ["reserved"], most: 2, newest: true }), [5, 7]);
  }),

  law("the balances of one budget can be read alone", async ({ store }) => {
    const limits = [sampleLimit({ amount: 100 }), sampleLimit({ budget: "team", amount: 100 })];
    await store.reserve(sampleCall({ id: "a", limits, input: 10 }));
    assert.deepEqual(
      (await store.counters({ budget: "team" })).map(({ ref, held }) => [ref.budget, held]),
      [["team", 10]],
    );
  }),

  law(
    "a call that was bound to a moving window some time ago is in it as of the moment in which it is decided",
    async ({ store, clock }) => {
      const start = clock.now();
      for (const [budget, rule] of [
        ["rolling", ROLLING_MINUTE],
        ["bucket", { kind: "bucket", drains: 60, periodMs: 60_000, sliceMs: 1_000 }],
      ] as const) {
        clock.set(start);
        const limits = [sampleMovingLimit({ budget, amount: 100, rule, at: start })];
        clock.set(start + 5_400);
        await store.reserve(sampleCall({ id: budget, limits, input: 60 }));
        const [counter] = await store.counters({ budget });
        assert.deepEqual([counter?.ref.startsAt, counter?.held], [start + 5_000, 60]);
      }
    },
  ),

  law("a rolling limit is not passed in any span of its length, and frees itself slice by slice", async ({ store, clock }) => {
    const start = clock.now();
    const limits = () => [sampleMovingLimit({ amount: 100, rule: ROLLING_MINUTE, at: clock.now() })];
    const asks = (id: string, input: number) => store.reserve(sampleCall({ id, limits: limits(), input }));
    await asks("a", 60);
    await store.settle(sampleSettlement("a", 60));
    clock.set(start + 30_000);
    await asks("b", 40);
    const busy = await asks("c", 1);
    assert.deepEqual([busy.outcome, busy.outcome === "refused" && busy.until], ["refused", 0]);
    await store.settle(sampleSettlement("b", 40));
    clock.set(start + 60_999);
    const full = [{ amount: 100, spent: 100, held: 0 }];
    assert.deepEqual(await asks("c", 1), { outcome: "refused", failing: 0, asked: 1, until: start + 61_000, standings: full });
    assert.deepEqual(await asks("c", 61), { outcome: "refused", failing: 0, asked: 61, until: start + 91_000, standings: full });
    clock.set(start + 61_000);
    assert.deepEqual(await store.standings(limits()), [{ amount: 100, spent: 40, held: 0 }]);
    assert.equal((await asks("c", 61)).outcome, "refused");
    assert.equal((await asks("c", 60)).outcome, "reserved");
  }),

  law("a call stays in the slice in which it was reserved, whenever it ends", async ({ store, clock }) => {
    const start = clock.now();
    const limits = () => [sampleMovingLimit({ amount: 100, rule: ROLLING_MINUTE, at: clock.now() })];
    await store.reserve(sampleCall({ id: "a", limits: limits(), input: 80, leaseMs: 600_000 }));
    clock.set(start + 50_000);
    await store.settle(sampleSettlement("a", 70));
    assert.deepEqual(await store.standings(limits()), [{ amount: 100, spent: 70, held: 0 }]);
    clock.set(start + 61_000);
    assert.deepEqual(await store.standings(limits()), [{ amount: 100, spent: 0, held: 0 }]);
  }),

  law("a bucket takes its amount at once and drains at its rate, in whole units", async ({ store, clock }) => {
    const start = clock.now();
    const rule: Rule = { kind: "bucket", drains: 7, periodMs: 60_000, sliceMs: 1_000 };
    const limits = () => [sampleMovingLimit({ amount: 10, rule, at: clock.now() })];
    const asks = (id: string, input: number) => store.reserve(sampleCall({ id, limits: limits(), input }));
    assert.equal((await asks("a", 10)).outcome, "reserved");
    await store.settle(sampleSettlement("a", 10));
    // What flows in counts at the end of its second; the first unit has drained 60/7 seconds after that, rounded up to a millisecond.
    const until = start + 1_000 + 8_572;
    clock.set(until - 1);
    assert.deepEqual(await asks("b", 1), {
      outcome: "refused",
      failing: 0,
      asked: 1,
      until,
      standings: [{ amount: 10, spent: 10, held: 0 }],
    });
    clock.set(until);
    assert.equal((await asks("b", 1)).outcome, "reserved");
    clock.set(start + 1_000 + 60_000);
    assert.deepEqual(await store.standings(limits()), [{ amount: 10, spent: 3, held: 1 }]);
    clock.set(start + 600_000);
    assert.deepEqual(await store.standings(limits()), [{ amount: 10, spent: 0, held: 0 }]);
  }),

  law("what a call in a bucket did not use was never in it", async ({ store, clock }) => {
    const start = clock.now();
    const rule: Rule = { kind: "bucket", drains: 60, periodMs: 60_000, sliceMs: 1_000 };
    const limits = () => [sampleMovingLimit({ amount: 100, rule, at: clock.now() })];
    await store.reserve(sampleCall({ id: "a", limits: limits(), input: 90 }));
    const refused = await store.reserve(sampleCall({ id: "b", limits: limits(), input: 90 }));
    assert.ok(refused.outcome === "refused");
    assert.equal(refused.until, 0);
    clock.set(start + 11_000);
    assert.deepEqual(await store.standings(limits()), [{ amount: 100, spent: 0, held: 80 }]);
    await store.reserve(sampleCall({ id: "c", limits: limits(), input: 20 }));
    await store.settle(sampleSettlement("a", 30));
    assert.deepEqual(await store.standings(limits()), [{ amount: 100, spent: 20, held: 20 }]);
    await store.release({ id: "c", why: "never sent" });
    assert.deepEqual(await store.standings(limits()), [{ amount: 100, spent: 20, held: 0 }]);
  }),

  law("requests that a bucket lets through drain at once", async ({ store, clock }) => {
    const start = clock.now();
    const rule: Rule = { kind: "bucket", drains: 6, periodMs: 60_000, sliceMs: 1_000 };
    const limits = () => [sampleMovingLimit({ unit: "requests", amount: 2, rule, at: clock.now() })];
    const asks = (id: string) => store.reserve(sampleCall({ id, limits: limits(), leaseMs: 600_000 }));
    assert.equal((await asks("a")).outcome, "reserved");
    assert.equal((await asks("b")).outcome, "reserved");
    const refused = await asks("c");
    assert.ok(refused.outcome === "refused");
    assert.equal(refused.until, start + 11_000);
    clock.set(start + 11_000);
    assert.equal((await asks("c")).outcome, "reserved");
  }),

  law("a bucket that is never empty neither grows nor forgets: in no span passes more than its amount and what drains", async (scene) => {
    const { store, clock } = scene;
    const rule: Rule = { kind: "bucket", drains: 600, periodMs: 60_000, sliceMs: 1_000 };
    const start = clock.now();
    let used = 0;
    for (let second = 0; second < 600; second++) {
      clock.set(start + second * 1_000);
      const limits = [sampleMovingLimit({ amount: 50, rule, at: clock.now() })];
      const id = `call-${second}`;
      const result = await store.reserve(sampleCall({ id, limits, output: 50, least: 1 }));
      if (result.outcome !== "reserved") continue;
      used += result.outputTokens;
      await store.settle(sampleSettlement(id, 0, result.outputTokens));
    }
    // Fifty at once, and then ten in each second but the first, in which they count as long as it lasts.
    assert.equal(used, 50 + 598 * 10);
    assert.ok((await store.counters()).length <= 200, "what has drained is kept");
  }),

  law(
    "a grant adds to its limit from its beginning to its end, or until it is revoked, for its subject alone",
    async ({ store, clock }) => {
      const limits = [sampleLimit({ amount: 100 }), sampleLimit({ budget: "team", amount: 1_000 })];
      const start = clock.now();
      const grant = sampleGrant({ amount: 50, from: start + 1_000, until: start + 9_000 });
      const amounts = async () => (await store.standings(limits)).map(({ amount }) => amount);
      await store.record({ kind: "granted", reservation: grant.id, postings: [], grant });
      await store.record({ kind: "granted", reservation: grant.id, postings: [], grant });
      assert.deepEqual(await amounts(), [100, 1_000]);
      clock.advance(1_000);
      assert.deepEqual(await amounts(), [150, 1_000]);
      assert.equal((await store.reserve(sampleCall({ id: "a", limits, input: 150 }))).outcome, "reserved");
      clock.set(start + 9_000);
      assert.deepEqual(await amounts(), [100, 1_000]);
      assert.equal((await store.reserve(sampleCall({ id: "b", limits, input: 1 }))).outcome, "refused");
      const second = sampleGrant({ id: "grant-2", amount: 7, from: start, until: start + 99_000 });
      await store.record({ kind: "granted", reservation: second.id, postings: [], grant: second });
      assert.deepEqual(await amounts(), [107, 1_000]);
      const revoked = { kind: "revoked", reservation: second.id, postings: [], grant: second, giver: "the owner", why: "done" } as const;
      await store.record(revoked);
      await store.record(revoked);
      assert.deepEqual(await amounts(), [100, 1_000]);
      assert.deepEqual(
        (await store.entries({ kinds: ["granted", "revoked"] })).map(({ kind, reservation }) => [kind, reservation]),
        [
          ["granted", "grant-1"],
          ["granted", "grant-2"],
          ["revoked", "grant-2"],
        ],
      );
    },
  ),

  law("what is taken from a limit is not there any more, and there is never less than nothing", async ({ store }) => {
    const limits = [sampleLimit({ amount: 100 })];
    const amount = async () => (await store.standings(limits))[0]?.amount;
    const take = async (id: string, taken: number) => {
      const grant = sampleGrant({ id, amount: 0 - taken, from: 0, until: 2 ** 50 });
      await store.record({ kind: "granted", reservation: id, postings: [], grant });
    };
    await take("take-1", 60);
    assert.equal(await amount(), 40);
    assert.equal((await store.reserve(sampleCall({ id: "a", limits, input: 41 }))).outcome, "refused");
    assert.equal((await store.reserve(sampleCall({ id: "b", limits, input: 40 }))).outcome, "reserved");
    await take("take-2", 70);
    assert.equal(await amount(), 0);
    assert.equal((await store.reserve(sampleCall({ id: "c", limits, input: 1 }))).outcome, "refused");
    const grant = sampleGrant({ id: "grant", amount: 35, from: 0, until: 2 ** 50 });
    await store.record({ kind: "granted", reservation: grant.id, postings: [], grant });
    assert.equal(await amount(), 5, "what is given and taken is added up before");
  }),

  law("what a window left unused is added to the next one, up to a most", async ({ store, clock }) => {
    const noon = clock.now();
    const before = sampleLimit({ amount: 100, resetsAt: noon });
    const rollover = { key: before.counter.key, amount: 100, most: 30 };
    const limits = [{ ...sampleLimit({ amount: 100, resetsAt: noon + 86_400_000 }), rollover }];
    const amount = async () => (await store.standings(limits))[0]?.amount;
    assert.equal(await amount(), 130);
    clock.set(noon - 1_000);
    await store.reserve(sampleCall({ id: "a", limits: [before], input: 80 }));
    await store.reserve(sampleCall({ id: "c", limits: [{ ...before, enforced: false }], input: 50 }));
    clock.set(noon);
    assert.equal(await amount(), 100);
    await store.release({ id: "c", why: "never sent" });
    assert.equal(await amount(), 120);
    await store.settle(sampleSettlement("a", 75));
    assert.equal(await amount(), 125);
    assert.equal((await store.reserve(sampleCall({ id: "b", limits, input: 126 }))).outcome, "refused");
    assert.equal((await store.reserve(sampleCall({ id: "b", limits, input: 125 }))).outcome, "reserved");
  }),

  law("a reset takes back what is spent when it is made, and nothing that is held", async ({ store, clock }) => {
    const limits = [
      sampleLimit({ amount: 1_000 }),
      sampleMovingLimit({ budget: "team", amount: 1_000, rule: ROLLING_MINUTE, at: clock.now() }),
    ];
    for (const [id, input] of [
      ["a", 300],
      ["b", 200],
    ] as const)
      await store.reserve(sampleCall({ id, limits, input }));
    const postings = limits.map(({ counter }) => ({ counter, held: 0, spent: 0 }));
    const reset = { kind: "adjusted", reservation: "", postings, why: "paid by another team", reset: { giver: "the owner" } } as const;
    await store.settle(sampleSettlement("a", 300));
    await Promise.all([store.record(reset), store.record(reset)]);
    for (const standing of await store.standings(limits)) assert.deepEqual(standing, { amount: 1_000, spent: 0, held: 200 });
    await store.settle(sampleSettlement("b", 150));
    for (const standing of await store.standings(limits)) assert.deepEqual(standing, { amount: 1_000, spent: 150, held: 0 });
    const [entry] = await store.entries({ kinds: ["adjusted"] });
    assert.ok(entry?.kind === "adjusted");
    assert.deepEqual(entry.reset, { giver: "the owner" });
    assert.deepEqual(
      entry.postings.map(({ spent }) => spent),
      [-300, -300],
    );
  }),

  law("late truth takes nothing back that a reset has taken back before", async ({ store, clock }) => {
    const limits = [
      sampleLimit({ amount: 1_000 }),
      sampleMovingLimit({ budget: "team", amount: 1_000, rule: ROLLING_MINUTE, at: clock.now() }),
    ];
    for (const id of ["late", "longer"]) await store.reserve(sampleCall({ id, limits, input: 300, leaseMs: 1_000 }));
    clock.advance(2_000);
    await store.expire();
    const postings = limits.map(({ counter }) => ({ counter, held: 0, spent: 0 }));
    await store.record({ kind: "adjusted", reservation: "", postings, why: "paid by another team", reset: { giver: "the owner" } });
    assert.deepEqual(await store.settle(sampleSettlement("late", 100)), { outcome: "corrected" });
    for (const standing of await store.standings(limits)) assert.deepEqual(standing, { amount: 1_000, spent: 0, held: 0 });
    await store.settle(sampleSettlement("longer", 350));
    for (const standing of await store.standings(limits)) assert.deepEqual(standing, { amount: 1_000, spent: 50, held: 0 });
  }),

  law("a balance is the sum of its entries, whose numbers have no gap", async (scene) => {
    await someTraffic(scene);
    const sums = new Map<string, { held: number; spent: number }>();
    const entries = await allEntries(scene.store);
    assert.deepEqual(
      entries.map(({ seq }) => seq),
      entries.map((_, i) => i + 1),
    );
    for (const { counter, held, spent } of entries.flatMap(({ postings }) => postings)) {
      const sum = sums.get(counter.key) ?? { held: 0, spent: 0 };
      sums.set(counter.key, { held: sum.held + held, spent: sum.spent + spent });
    }
    for (const { ref, held, spent } of await scene.store.counters()) assert.deepEqual(sums.get(ref.key), { held, spent });
  }),

  law("at no entry of the ledger do spent and held exceed a limit", async (scene) => {
    const limits = await someTraffic(scene);
    const amounts = new Map(limits.map(({ counter, amount }) => [counter.key, amount]));
    const used = new Map<string, number>();
    for (const { seq, kind, postings } of await allEntries(scene.store)) {
      for (const { counter, held, spent } of postings) {
        const now = (used.get(counter.key) ?? 0) + held + spent;
        used.set(counter.key, now);
        assert.ok(now <= (amounts.get(counter.key) ?? 0), `entry ${seq} (${kind}) takes ${counter.key} to ${now}`);
      }
    }
  }),
];

function law(name: string, body: (scene: Scene) => Promise<void>): StoreCase {
  return {
    name,
    run: async (open) => {
      const clock = createFakeClock();
      const store = await open({ now: clock.now });
      try {
        await body({ store, clock });
      } finally {
        await store.close();
      }
    },
  };
}

const ROLLING_MINUTE: Rule = { kind: "rolling", lengthMs: 60_000, sliceMs: 1_000 };

/** Spent and held by `budget unit`. */
async function standings(store: Store): Promise<Readonly<Record<string, readonly [number, number]>>> {
  const counters = await store.counters();
  return Object.fromEntries(counters.map(({ ref, spent, held }) => [`${ref.budget} ${ref.unit}`, [spent, held]]));
}

async function allEntries(store: Store): Promise<readonly Entry[]> {
  const entries = await store.entries({ most: 10_000 });
  assert.ok(entries.length < 10_000);
  return entries;
}

/** Sixty rounds of calls at once that reserve, settle, release and expire on three tight limits, always the same ones. */
async function someTraffic({ store, clock }: Scene) {
  const limits = [
    sampleLimit({ amount: 4_000 }),
    sampleLimit({ budget: "team", unit: "nanodollars", amount: 5_555 }),
    sampleLimit({ unit: "concurrent", amount: 7 }),
  ];
  let dice = 7;
  const roll = (sides: number) => {
    dice = (dice * 48_271) % 2_147_483_647;
    return dice % sides;
  };
  const open: { id: string; input: number; output: number }[] = [];
  for (let round = 0; round < 60; round++) {
    const calls = Array.from({ length: 4 }, (_, i) => ({ id: `${round}-${i}`, input: roll(60), output: roll(200) }));
    const admitted = await Promise.all(
      calls.map(({ id, input, output }) =>
        store.reserve(sampleCall({ id, limits, input, output, least: 1 + roll(output + 1), leaseMs: 5_000 })),
      ),
    );
    for (const [i, result] of admitted.entries()) {
      const { id, input } = calls[i] as (typeof calls)[number];
      if (result.outcome === "reserved") open.push({ id, input, output: result.outputTokens });
    }
    const ending = open.splice(0, roll(5));
    await Promise.all(
      ending.map(({ id, input, output }) =>
        roll(4) === 0 ? store.release({ id, why: "never sent" }) : store.settle(sampleSettlement(id, roll(input + 1), roll(output + 1))),
      ),
    );
    clock.advance(roll(2_500));
    await store.expire();
  }
  return limits;
}
