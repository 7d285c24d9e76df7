import assert from "node:assert/strict";
import type { BoundLimit } from "../domain/command.ts";
import type { LeaseCommand, LeaseResult, LeaseStep, OpenStep, Want } from "../domain/lease.ts";
import type { LeasingStore } from "../stores/store.ts";
import { createFakeClock, type FakeClock } from "./fake-clock.ts";
import { sampleCall, sampleDetail, sampleLimit, sampleMovingLimit, sampleSettlement } from "./sample-calls.ts";

/** Opens an empty store that tells the time by the clock it is given. */
export type OpenLeasingStore = (options: { readonly now: () => number }) => Promise<LeasingStore>;

/** One guarantee of every store that lends parts of its balances. */
export interface LeaseCase {
  readonly name: string;
  run(open: OpenLeasingStore): Promise<void>;
}

interface Scene {
  readonly store: LeasingStore;
  readonly clock: FakeClock;
}

const LEASE_MS = 30_000;

/** What every store that lends must hold to, beside `storeContract`. */
export const leaseContract: readonly LeaseCase[] = [
  law("what is allotted is held, and no call has it", async ({ store }) => {
    const limit = sampleLimit({ amount: 1_000 });
    assert.deepEqual(amountsOf(await store.lease(renewal({ wants: [want(limit, 300)] }))), [300]);
    assert.deepEqual(await standings(store), { "company tokens": { spent: 0, held: 300, allotted: 300 } });
    const refused = await store.reserve(sampleCall({ id: "a", limits: [limit], input: 701 }));
    assert.deepEqual(refused, {
      outcome: "refused",
      failing: 0,
      asked: 701,
      until: 0,
      standings: [{ amount: 1_000, spent: 0, held: 300, allotted: 300 }],
    });
    assert.equal((await store.reserve(sampleCall({ id: "b", limits: [limit], input: 700 }))).outcome, "reserved");
  }),

  law("what a reset took back is not taken back again by a correction that a holder reports", async ({ store, clock }) => {
    const limit = sampleLimit({ amount: 1_000 });
    await store.reserve(sampleCall({ id: "a", limits: [limit], input: 300, leaseMs: 1_000 }));
    await store.lease(renewal({ wants: [] }));
    clock.advance(2_000);
    await store.expire();
    const postings = [{ counter: limit.counter, held: 0, spent: 0 }];
    await store.record({ kind: "adjusted", reservation: "", postings, why: "begin again", reset: { giver: "the owner" } });
    await store.lease(renewal({ report: 2, steps: [{ kind: "release", id: "a", why: "never sent" }], wants: [] }));
    assert.deepEqual(await standings(store), { "company tokens": { spent: 0, held: 0 } });
  }),

  law("leases get a fair part of what is left, and never all of it", async ({ store }) => {
    const limit = sampleLimit({ amount: 1_000 });
    const granted: number[] = [];
    for (const id of ["a", "b", "c"]) granted.push(...amountsOf(await store.lease(renewal({ id, wants: [want(limit, 5_000)] }))));
    assert.deepEqual(granted, [500, 125, 62]);
    assert.equal((await store.reserve(sampleCall({ id: "call", limits: [limit], input: 313 }))).outcome, "reserved");
  }),

  law("a part too small to be of use is not allotted", async ({ store }) => {
    const limit = sampleLimit({ amount: 1_000 });
    const result = await store.lease(renewal({ wants: [want(limit, 800, 501)] }));
    assert.ok(result.outcome === "leased");
    assert.deepEqual(result.portions, [{ amount: 0, fair: 500, standing: { amount: 1_000, spent: 0, held: 0 } }]);
  }),

  law("a limit with nothing left allots nothing", async ({ store }) => {
    const limit = sampleLimit({ amount: 1_000 });
    await store.reserve(sampleCall({ id: "a", limits: [limit], input: 1_000 }));
    assert.deepEqual(amountsOf(await store.lease(renewal({ wants: [want(limit, 10)] }))), [0]);
  }),

  law("a moving window lends nothing", async ({ store, clock }) => {
    const rule = { kind: "rolling", lengthMs: 60_000, sliceMs: 1_000 } as const;
    const limit = sampleMovingLimit({ amount: 1_000, rule, at: clock.now() });
    assert.deepEqual(amountsOf(await store.lease(renewal({ wants: [want(limit, 10)] }))), [0]);
  }),

  law("a patient call is refused, rather than shortened, where leases hold what it lacks, and nowhere else", async ({ store }) => {
    const limits = [sampleLimit({ amount: 1_000 })];
    const [limit] = limits as [BoundLimit];
    await store.lease(renewal({ wants: [want(limit, 400)] }));
    const ask = (id: string, more: object) => store.reserve({ ...sampleCall({ id, limits, input: 100, output: 600, least: 10 }), ...more });
    const refused = await ask("a", { patient: true });
    assert.ok(refused.outcome === "refused");
    assert.deepEqual(refused.standings, [{ amount: 1_000, spent: 0, held: 400, allotted: 400 }]);
    await store.lease(renewal({ report: 2 }));
    const whole = await ask("b", { patient: true });
    assert.ok(whole.outcome === "reserved" && whole.outputTokens === 600);
    const shortened = await ask("c", { patient: true });
    assert.ok(shortened.outcome === "reserved" && shortened.outputTokens === 200);
  }),

  law("what a patient call lacks is recalled: for a while it is lent to nobody", async ({ store, clock }) => {
    const limits = [sampleLimit({ amount: 1_000 })];
    const [limit] = limits as [BoundLimit];
    await store.lease(renewal({ wants: [want(limit, 400)] }));
    await store.reserve({ ...sampleCall({ id: "a", limits, input: 700 }), patient: true });
    const result = await store.lease(renewal({ report: 2, wants: [want(limit, 400)] }));
    assert.ok(result.outcome === "leased");
    assert.deepEqual(
      result.portions.map(({ amount, fair }) => [amount, fair]),
      [[400, 0]],
    );
    assert.deepEqual(amountsOf(await store.lease(renewal({ report: 3 }))), []);
    assert.equal((await store.reserve({ ...sampleCall({ id: "a", limits, input: 700 }), patient: true })).outcome, "reserved");
    assert.deepEqual(amountsOf(await store.lease(renewal({ report: 4, wants: [want(limit, 10)] }))), [0]);
    clock.advance(5_000);
    assert.deepEqual(amountsOf(await store.lease(renewal({ report: 5, wants: [want(limit, 10)] }))), [10]);
  }),

  law("requests that a lease could make are not used up", async ({ store, clock }) => {
    const limit = sampleLimit({ unit: "requests", amount: 10, resetsAt: clock.now() + 60_000 });
    await store.lease(renewal({ wants: [want(limit, 5)] }));
    for (let i = 0; i < 5; i++) await store.reserve(sampleCall({ id: `call-${i}`, limits: [limit] }));
    const refused = await store.reserve(sampleCall({ id: "a", limits: [limit] }));
    assert.ok(refused.outcome === "refused");
    assert.equal(refused.until, 0);
  }),

  law("a holder is not left with less than it has and wants, whatever is left", async ({ store }) => {
    const limit = sampleLimit({ amount: 1_000 });
    await store.lease(renewal({ wants: [want(limit, 400)] }));
    await store.reserve(sampleCall({ id: "a", limits: [limit], input: 600 }));
    assert.deepEqual(amountsOf(await store.lease(renewal({ report: 2, wants: [want(limit, 700, 600)] }))), [400]);
  }),

  law("what is no longer wanted is returned", async ({ store }) => {
    const limits = [sampleLimit({ amount: 1_000 }), sampleLimit({ budget: "team", amount: 1_000 })] as const;
    await store.lease(renewal({ wants: limits.map((limit) => want(limit, 400)) }));
    assert.deepEqual(amountsOf(await store.lease(renewal({ report: 2, wants: [want(limits[0], 100)] }))), [100]);
    assert.deepEqual(await standings(store), {
      "company tokens": { spent: 0, held: 100, allotted: 100 },
      "team tokens": { spent: 0, held: 0 },
    });
  }),

  law("a reported call is a reservation like any other, held from its lease and charged once", async ({ store, clock }) => {
    const limit = sampleLimit({ amount: 1_000 });
    await store.lease(renewal({ wants: [want(limit, 400)] }));
    await store.lease(renewal({ report: 2, steps: [opened("a", limit, 150), opened("b", limit, 50)], wants: [want(limit, 200)] }));
    assert.deepEqual(await standings(store), { "company tokens": { spent: 0, held: 400, allotted: 200 } });
    assert.deepEqual(await store.settle(sampleSettlement("a", 60)), { outcome: "settled" });
    assert.deepEqual(await store.settle(sampleSettlement("a", 60)), { outcome: "duplicate" });
    assert.deepEqual(await standings(store), { "company tokens": { spent: 60, held: 250, allotted: 200 } });
    clock.advance(60_000);
    await store.expire();
    assert.deepEqual(await standings(store), { "company tokens": { spent: 60 + 50 + 200, held: 0 } });
    const entries = await store.entries({ reservation: "a" });
    assert.deepEqual(
      entries.map(({ kind }) => kind),
      ["reserved", "settled"],
    );
  }),

  law("a report says in order what became of calls", async ({ store }) => {
    const limit = sampleLimit({ amount: 1_000 });
    await store.lease(renewal({ wants: [want(limit, 400)] }));
    const steps: LeaseStep[] = [
      opened("a", limit, 100),
      opened("b", limit, 100),
      opened("c", limit, 100),
      { kind: "settle", ...sampleSettlement("a", 70) },
      { kind: "release", id: "b", why: "never sent" },
      { kind: "extend", id: "c", leaseMs: 120_000 },
    ];
    await store.lease(renewal({ report: 2, steps, wants: [want(limit, 100)] }));
    assert.deepEqual(await standings(store), { "company tokens": { spent: 70, held: 200, allotted: 100 } });
    const kinds = (await store.entries({})).map(({ kind }) => kind);
    assert.deepEqual(kinds, ["leased", "leased", "reserved", "reserved", "reserved", "settled", "released", "extended", "leased"]);
  }),

  law("a report that comes again counts once, and is answered as it stands", async ({ store }) => {
    const limit = sampleLimit({ amount: 1_000 });
    await store.lease(renewal({ wants: [want(limit, 400)] }));
    const report = renewal({
      report: 2,
      steps: [opened("a", limit, 100), { kind: "settle", ...sampleSettlement("a", 70) }],
      wants: [want(limit, 350)],
    });
    const first = await store.lease(report);
    const after = await standings(store);
    assert.deepEqual(await store.lease(report), first);
    assert.deepEqual(await standings(store), after);
    assert.deepEqual(after, { "company tokens": { spent: 70, held: 350, allotted: 350 } });
  }),

  law("a report that comes late, after others, counts nothing", async ({ store }) => {
    const limit = sampleLimit({ amount: 1_000 });
    const first = renewal({ wants: [want(limit, 400)] });
    await store.lease(first);
    await store.lease(renewal({ report: 2, steps: [opened("a", limit, 100)], wants: [want(limit, 50)] }));
    await store.lease(first);
    assert.deepEqual(await standings(store), { "company tokens": { spent: 0, held: 150, allotted: 50 } });
  }),

  law("a report after one that is missing counts nothing", async ({ store }) => {
    const limit = sampleLimit({ amount: 1_000 });
    assert.deepEqual(await store.lease(renewal({ report: 2, wants: [want(limit, 100)] })), { outcome: "unknown" });
    await store.lease(renewal({ wants: [want(limit, 400)] }));
    assert.deepEqual(await store.lease(renewal({ report: 3, steps: [opened("a", limit, 100)] })), { outcome: "unknown" });
    assert.deepEqual(await standings(store), { "company tokens": { spent: 0, held: 400, allotted: 400 } });
  }),

  law("calls cannot hold more than their lease has; what they use beyond is an overrun, and counted", async ({ store }) => {
    const limit = sampleLimit({ amount: 1_000 });
    await store.lease(renewal({ wants: [want(limit, 100)] }));
    await store.reserve(sampleCall({ id: "other", limits: [limit], input: 900 }));
    await store.lease(renewal({ report: 2, steps: [opened("a", limit, 80), opened("b", limit, 80)] }));
    assert.deepEqual(await standings(store), { "company tokens": { spent: 0, held: 1_000 } });
    await store.settle(sampleSettlement("b", 80));
    assert.deepEqual(
      (await store.entries({ reservation: "b" })).map(({ kind, postings }) => [kind, postings[0]?.spent]),
      [
        ["reserved", 0],
        ["settled", 20],
        ["overrun", 60],
      ],
    );
  }),

  law("a call that was reported before is not held again", async ({ store }) => {
    const limit = sampleLimit({ amount: 1_000 });
    await store.lease(renewal({ wants: [want(limit, 400)] }));
    await store.lease(renewal({ report: 2, steps: [opened("a", limit, 100)], wants: [want(limit, 300)] }));
    await store.settle(sampleSettlement("a", 70));
    await store.lease(renewal({ report: 3, steps: [opened("a", limit, 100)], wants: [want(limit, 300)] }));
    assert.deepEqual(await standings(store), { "company tokens": { spent: 70, held: 300, allotted: 300 } });
  }),

  law("a step that cannot be counted keeps no other from being counted", async ({ store }) => {
    const limit = sampleLimit({ amount: 1_000 });
    await store.lease(renewal({ wants: [want(limit, 400)] }));
    const steps: LeaseStep[] = [
      opened("a", limit, 100),
      opened("b", limit, 100),
      { kind: "settle", ...sampleSettlement("a", 0.5) },
      { kind: "settle", ...sampleSettlement("b", 60) },
    ];
    const result = await store.lease(renewal({ report: 2, steps }));
    assert.ok(result.outcome === "leased");
    assert.deepEqual(
      result.rejected.map(({ id }) => id),
      ["a"],
    );
    assert.deepEqual(await standings(store), { "company tokens": { spent: 60, held: 100 } });
  }),

  law("an amount that cannot be counted is rejected, and its report leaves no trace", async ({ store }) => {
    const limit = sampleLimit({ amount: 1_000 });
    await store.lease(renewal({ wants: [want(limit, 400)] }));
    const before = await store.entries({});
    for (const amount of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      await assert.rejects(store.lease(renewal({ report: 2, wants: [want(limit, amount)] })), { code: "amount_invalid" });
      const steps = [opened("a", limit, 10), opened("b", limit, amount)];
      await assert.rejects(store.lease(renewal({ report: 2, steps })), { code: "amount_invalid" });
    }
    assert.deepEqual(await store.entries({}), before);
  }),

  law("a lease lives until it has run out, and is renewed by every report", async ({ store, clock }) => {
    const limit = sampleLimit({ amount: 1_000 });
    await store.lease(renewal({ wants: [want(limit, 400)] }));
    clock.advance(LEASE_MS - 1);
    await store.expire();
    await store.lease(renewal({ report: 2, wants: [want(limit, 400)] }));
    clock.advance(LEASE_MS - 1);
    await store.expire();
    assert.deepEqual(await standings(store), { "company tokens": { spent: 0, held: 400, allotted: 400 } });
  }),

  law("what is left of a lease that has run out is charged; calls at once are only held", async ({ store, clock }) => {
    const limits = [sampleLimit({ amount: 1_000 }), sampleLimit({ unit: "concurrent", amount: 100 })] as const;
    await store.lease(renewal({ wants: [want(limits[0], 400), want(limits[1], 20)] }));
    clock.advance(LEASE_MS);
    await store.expire();
    await store.expire();
    assert.deepEqual(await standings(store), { "company tokens": { spent: 400, held: 0 }, "company concurrent": { spent: 0, held: 0 } });
  }),

  law("a report after its lease has run out corrects what was charged, and never doubles", async ({ store, clock }) => {
    const limit = sampleLimit({ amount: 1_000 });
    await store.lease(renewal({ wants: [want(limit, 400)] }));
    clock.advance(LEASE_MS);
    await store.expire();
    const steps: LeaseStep[] = [opened("a", limit, 100), opened("b", limit, 100), { kind: "settle", ...sampleSettlement("a", 70) }];
    const late = await store.lease(renewal({ report: 2, steps, wants: [want(limit, 200)] }));
    assert.equal(late.outcome, "expired");
    assert.deepEqual(await standings(store), { "company tokens": { spent: 70 + 200, held: 100 } });
    assert.deepEqual(await store.lease(renewal({ report: 3, ends: true })), { outcome: "ended" });
    await store.settle(sampleSettlement("b", 50));
    assert.deepEqual(await standings(store), { "company tokens": { spent: 70 + 50, held: 0 } });
  }),

  law("a lease that has run out is allotted nothing more", async ({ store, clock }) => {
    const limit = sampleLimit({ amount: 1_000 });
    await store.lease(renewal({ wants: [want(limit, 100)] }));
    clock.advance(LEASE_MS);
    await store.expire();
    assert.deepEqual(amountsOf(await store.lease(renewal({ report: 2, wants: [want(limit, 400)] }))), [100]);
    assert.deepEqual(await standings(store), { "company tokens": { spent: 100, held: 0 } });
  }),

  law("what a holder reports of a limit that weighs its tokens is weighed", async ({ store, clock }) => {
    const limit = sampleLimit({ amount: 1_000, weights: { cache_read: 0.1, output: 4 } });
    await store.lease(renewal({ wants: [want(limit, 400)] }));
    const steps: LeaseStep[] = ["a", "b", "late"].map((id) => ({ ...opened(id, limit, 100), leaseMs: id === "late" ? 1_000 : 60_000 }));
    await store.lease(renewal({ report: 2, steps, wants: [] }));
    clock.advance(2_000);
    await store.expire();
    assert.deepEqual(await standings(store), { "company tokens": { spent: 100, held: 200 } });
    const settled = ["a", "b", "late"].map((id, i): LeaseStep => {
      return { kind: "settle", ...sampleSettlement(id, 20, 10 + 20 * i, { cacheReadInputTokens: 10 }) };
    });
    await store.lease(renewal({ report: 3, steps: settled, wants: [] }));
    // Each 11 of input; the answers are 10, 30 and 50, of which the second exceeds its hold, and the third corrects its estimate.
    assert.deepEqual(await standings(store), { "company tokens": { spent: 51 + 131 + 211, held: 0 } });
  }),

  law("a lease that its holder ends returns what is left, and takes no more reports", async ({ store }) => {
    const limit = sampleLimit({ amount: 1_000 });
    await store.lease(renewal({ wants: [want(limit, 400)] }));
    const last = renewal({ report: 2, steps: [opened("a", limit, 100)], ends: true });
    assert.deepEqual(await store.lease(last), { outcome: "ended" });
    assert.deepEqual(await store.lease(last), { outcome: "ended" });
    assert.deepEqual(await store.lease(renewal({ report: 3, wants: [want(limit, 400)] })), { outcome: "ended" });
    assert.deepEqual(await store.lease(renewal({ wants: [want(limit, 400)] })), { outcome: "ended" });
    assert.deepEqual(await standings(store), { "company tokens": { spent: 0, held: 100 } });
  }),

  law("at no entry of the ledger do leases and calls together exceed a limit, and balances are the sum of the entries", async (scene) => {
    const limit = sampleLimit({ amount: 2_000 });
    await leasedTraffic(scene, limit);
    const entries = await scene.store.entries({ most: 10_000 });
    let [spent, held] = [0, 0];
    for (const { seq, kind, postings } of entries) {
      for (const posting of postings) {
        spent += posting.spent;
        held += posting.held;
      }
      assert.ok(spent + held <= limit.amount, `entry ${seq} (${kind}) takes the counter to ${spent} + ${held}`);
    }
    const [counter] = await scene.store.counters();
    assert.deepEqual([counter?.spent, counter?.held], [spent, held]);
    assert.deepEqual(
      entries.map(({ seq }) => seq),
      entries.map((_, i) => i + 1),
    );
  }),
];

function law(name: string, body: (scene: Scene) => Promise<void>): LeaseCase {
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

function renewal(command: Partial<LeaseCommand>): Omit<LeaseCommand, "kind"> {
  return { id: "lease", report: 1, steps: [], wants: [], leaseMs: LEASE_MS, ...command };
}

function want(limit: BoundLimit, amount: number, least = 1): Want {
  return { limit, amount, least };
}

function opened(id: string, { counter }: BoundLimit, amount: number): OpenStep {
  return { kind: "open", id, holds: [{ counter, amount }], outputCap: 0, leaseMs: 60_000, detail: sampleDetail(amount) };
}

function amountsOf(result: LeaseResult): readonly number[] {
  assert.ok(result.outcome === "leased" || result.outcome === "expired", result.outcome);
  return result.portions.map(({ amount }) => amount);
}

/** What every counter says but its name. */
async function standings(store: LeasingStore): Promise<Readonly<Record<string, unknown>>> {
  const counters = await store.counters();
  return Object.fromEntries(counters.map(({ ref, ...standing }) => [`${ref.budget} ${ref.unit}`, standing]));
}

/** Forty rounds in which three holders and calls without a lease share one limit, report, fall silent and come back. */
async function leasedTraffic({ store, clock }: Scene, limit: BoundLimit): Promise<void> {
  let dice = 11;
  const roll = (sides: number) => {
    dice = (dice * 48_271) % 2_147_483_647;
    return dice % sides;
  };
  const holders = [1, 2, 3].map((number) => ({ number, lease: 1, report: 1, room: 0 }));
  for (let round = 0; round < 40; round++) {
    for (const holder of holders) {
      if (roll(4) === 0) continue;
      const id = `${holder.number}-${holder.lease}`;
      const steps: LeaseStep[] = [];
      for (let call = roll(4); call > 0; call--) {
        const amount = Math.min(holder.room, roll(120));
        holder.room -= amount;
        steps.push(opened(`${id}-${holder.report}-${call}`, limit, amount));
        if (roll(3) > 0) steps.push({ kind: "settle", ...sampleSettlement(`${id}-${holder.report}-${call}`, roll(amount + 1)) });
      }
      const result = await store.lease(renewal({ id, report: holder.report, steps, wants: [want(limit, holder.room + roll(300))] }));
      holder.report++;
      if (result.outcome === "leased") holder.room = result.portions[0]?.amount ?? 0;
      else Object.assign(holder, { lease: holder.lease + 1, report: 1, room: 0 });
    }
    const direct = await store.reserve(sampleCall({ id: `direct-${round}`, limits: [limit], input: roll(200) }));
    if (direct.outcome === "reserved" && roll(2) === 0) await store.release({ id: `direct-${round}`, why: "never sent" });
    clock.advance(roll(25_000));
    await store.expire();
  }
}
