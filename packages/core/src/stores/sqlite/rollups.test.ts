import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { Budgets } from "../../budgets.ts";
import { defineBudget } from "../../domain/budget.ts";
import type { ReportQuery } from "../../domain/report.ts";
import { sampleCall, sampleLimit, sampleSettlement } from "../../testing/sample-calls.ts";
import { sampleJournal, sampleLedger } from "../../testing/sample-ledger.ts";
import { createMemoryStore } from "../memory.ts";
import { reportLedger, savingsOfLedger } from "../reporting.ts";
import type { Store } from "../store.ts";
import { temporaryDirectory } from "./directory.test-setup.ts";
import { openDurableStore } from "./opening.ts";
import { GUARDED } from "./rollup-sums.ts";
import { openRollups, type Rollups } from "./rollups.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const ZONE = "Asia/Kolkata";
/** Midnight there. */
const MIDNIGHT = Date.UTC(2026, 8, 30, 18, 30);
const CARD = {
  provider: "p",
  model: "m",
  source: "test card",
  tiers: [{ aboveInputTokens: 0, rates: { input: 1_000_000, cacheRead: 1_000, output: 2_000_000 } }],
};

let now = MIDNIGHT;
const store = createMemoryStore({ now: () => now });
const budgetsOver = (ledger: Store) =>
  new Budgets({
    store: ledger,
    prices: { card: (_provider, model) => (model === "free" ? undefined : CARD) },
    now: () => now,
    budgets: [
      defineBudget({ name: "search", for: { team: "search" }, limits: ["900 tokens / day"], timezone: ZONE }),
      defineBudget({ name: "each user", per: "user", limits: ["1M tokens / month"] }),
    ],
  });
const budgets = budgetsOver(store);

async function call(id: number, of = budgets) {
  const team = ["search", "chat", undefined][id % 3];
  const subject = { provider: "p", model: id % 7 === 0 ? "free" : "m", user: `user-${id % 5}`, ...(team && { team }) };
  const decision = await of.reserve({ id: `call-${id}`, subject, input: { most: 300 }, output: { most: 50 } });
  if (decision.outcome === "allowed") await of.settle(decision.reservation, { inputTokens: 100 + id, outputTokens: 10 });
}

describe("rollups", () => {
  before(async () => {
    for (let id = 0; id < 200; id++) {
      now = MIDNIGHT + id * 5 * HOUR_MS;
      await call(id);
    }
    await budgets.close();
  });

  test("a report from rollups is the one from the ledger, to the unit", async () => {
    const rollups = await openRollups({ ledger: store, timeZone: ZONE });
    await rollups.catchUp();
    const time = { since: MIDNIGHT, until: now + 1, timeZone: ZONE };
    const queries: readonly ReportQuery[] = [
      time,
      { ...time, step: "day" },
      { ...time, step: "month", by: ["team"] },
      { ...time, step: "hour", since: MIDNIGHT + 3 * HOUR_MS },
      { ...time, by: ["user"], until: MIDNIGHT + 4 * DAY_MS },
      { ...time, by: ["team"], filter: { team: ["search", "x*"] }, step: "day" },
      { ...time, filter: { model: "M" }, step: "day" },
    ];
    for (const query of queries) assert.deepEqual(rollups.report(query), await reportLedger(store, query), JSON.stringify(query));
    await rollups.close();
  });

  test("what the same caller is charged goes to the cost centre of its time, from rollups as from the ledger", async () => {
    const ledger = createMemoryStore({ now: () => now });
    const caller = Object.freeze({ provider: "p", model: "m", team: "search" });
    const rollups = await openRollups({ ledger, timeZone: ZONE });
    await rollups.catchUp();
    for (const costCenter of ["CC-1", "CC-2", "CC-2", undefined]) {
      const said = costCenter === undefined ? {} : { costCenter };
      const charging = new Budgets({ store: ledger, prices: { card: () => CARD }, budgets: [defineBudget({ name: "all", ...said })] });
      const id = `call-${(await ledger.entries({})).length}`;
      const decision = await charging.reserve({ id, subject: caller, input: { most: 100 }, output: { most: 10 } });
      assert.ok(decision.outcome === "allowed");
      await charging.settle(decision.reservation, { inputTokens: 100, outputTokens: 10 });
    }
    await rollups.catchUp();
    const time = { since: MIDNIGHT, until: now + 1, timeZone: ZONE };
    for (const query of [
      { ...time, by: ["cost_center"] },
      { ...time, filter: { cost_center: "CC-*" } },
    ] satisfies ReportQuery[]) {
      assert.deepEqual(rollups.report(query), await reportLedger(ledger, query));
    }
    const rows = rollups.report({ ...time, by: ["cost_center"] })?.map(({ values, calls }) => [values[0], calls]);
    assert.deepEqual(rows, [
      [undefined, 1],
      ["CC-1", 1],
      ["CC-2", 2],
    ]);
    await rollups.close();
  });

  test("what only the ledger knows is not made up", async () => {
    const rollups = await openRollups({ ledger: store, timeZone: ZONE });
    const time = { since: MIDNIGHT, until: now + 1, timeZone: ZONE };
    assert.equal(rollups.report(time), undefined, "nothing was read yet");
    await rollups.catchUp();
    assert.equal(rollups.report({ ...time, by: ["team", "user"] }), undefined);
    assert.equal(rollups.report({ ...time, by: ["tag.customer"] }), undefined);
    assert.equal(rollups.report({ ...time, by: ["team"], filter: { user: "user-1" } }), undefined);
    assert.equal(rollups.report({ ...time, timeZone: "UTC" }), undefined);
    assert.equal(rollups.report({ ...time, since: MIDNIGHT + 1 }), undefined);
    assert.equal(rollups.report({ ...time, until: MIDNIGHT + 5 * DAY_MS + 1 }), undefined);
    await rollups.close();
  });

  test("what a budget was charged by the hour is what its balance has", async () => {
    const rollups = await openRollups({ ledger: store, timeZone: ZONE });
    await rollups.catchUp();
    const [balance] = await budgets.balances({ budget: "search" });
    const today = MIDNIGHT + Math.floor((now - MIDNIGHT) / DAY_MS) * DAY_MS;
    const hours = rollups.spent("search", `tokens/day@${ZONE}`, today);
    assert.ok(hours.length > 0);
    assert.equal(
      hours.reduce((sum, { spent }) => sum + spent, 0),
      balance?.spent,
    );
    await rollups.close();
  });

  test("how many calls each limit refused is known by the hour, and against how many a guard stood", async () => {
    const after = now;
    const ledger = createMemoryStore({ now: () => now });
    const refusing = budgetsOver(ledger);
    const subject = { provider: "p", model: "m", team: "search" };
    const call = { subject, input: { most: 500 }, output: { most: 5, least: 5 } };
    now = MIDNIGHT;
    const decision = await refusing.reserve({ ...call, id: "slowed", guardedBy: ["search"] });
    assert.ok(decision.outcome === "allowed");
    await refusing.settle(decision.reservation, { inputTokens: 500, outputTokens: 5 });
    for (const hour of [0, 0, 2]) {
      now = MIDNIGHT + hour * HOUR_MS;
      assert.equal((await refusing.reserve({ ...call, id: `refused-${now}` })).outcome, "denied");
    }
    refusing.refuse({ ...call, id: "blocked", guardedBy: ["search"] }, "guard_tripped", "a loop");
    await refusing.close();
    now = after;
    const rollups = await openRollups({ ledger, timeZone: ZONE });
    await rollups.catchUp();
    assert.deepEqual(rollups.refused("search", "tokens/day", MIDNIGHT), [
      { from: MIDNIGHT, times: 2 },
      { from: MIDNIGHT + 2 * HOUR_MS, times: 1 },
    ]);
    assert.deepEqual(rollups.refused("search", "tokens/day", MIDNIGHT + 1), [{ from: MIDNIGHT + 2 * HOUR_MS, times: 1 }]);
    assert.deepEqual(rollups.refused("search", "tokens/month", MIDNIGHT), []);
    assert.deepEqual(rollups.refused("search", GUARDED, MIDNIGHT), [
      { from: MIDNIGHT, times: 1 },
      { from: MIDNIGHT + 2 * HOUR_MS, times: 1 },
    ]);
    await rollups.close();
  });

  test("nothing in a file is read twice, and those of another ledger or zone are made again", async (t) => {
    const directory = temporaryDirectory(t);
    const time = { since: MIDNIGHT, until: now + 1, timeZone: ZONE };
    const first = await openRollups({ directory, ledger: store, timeZone: ZONE });
    await first.catchUp();
    const expected = first.report(time);
    const { lastSeq } = first.progress;
    await first.close();

    let asked = -1;
    const watched: Pick<typeof store, "entries"> = {
      entries(query) {
        asked = query.after ?? 0;
        return store.entries(query);
      },
    };
    const second = await openRollups({ directory, ledger: watched, timeZone: ZONE });
    await second.catchUp();
    assert.equal(asked, lastSeq - 1);
    assert.deepEqual(second.report(time), expected);
    await second.close();

    const other = createMemoryStore({ now: () => now });
    const third = await openRollups({ directory, ledger: other, timeZone: ZONE });
    await third.catchUp();
    assert.deepEqual(third.report(time), []);
    await third.close();

    const fourth = await openRollups({ directory, ledger: store, timeZone: "UTC" });
    await fourth.catchUp();
    assert.deepEqual(
      fourth.report({ ...time, timeZone: "UTC", step: "hour", since: Date.UTC(2026, 9, 1) }),
      await reportLedger(store, { ...time, timeZone: "UTC", step: "hour", since: Date.UTC(2026, 9, 1) }),
    );
    await fourth.close();
  });

  test("two processes with one folder add nothing up twice", async (t) => {
    const directory = temporaryDirectory(t);
    const [one, two] = [
      await openRollups({ directory, ledger: store, timeZone: ZONE }),
      await openRollups({ directory, ledger: store, timeZone: ZONE }),
    ];
    await Promise.all([one.catchUp(), two.catchUp()]);
    const time = { since: MIDNIGHT, until: now + 1, timeZone: ZONE };
    for (const rollups of [one, two]) assert.deepEqual(rollups.report(time), await reportLedger(store, time));
    await Promise.all([one.close(), two.close()]);
  });

  test("what comes while a gateway runs is added as it is told, whatever is read meanwhile, and is not read again", async (t) => {
    const directory = temporaryDirectory(t);
    const time = { since: MIDNIGHT, until: MIDNIGHT + DAY_MS, timeZone: ZONE };
    const journal = await openDurableStore({ directory, now: () => MIDNIGHT + HOUR_MS });
    const followed = budgetsOver(journal);
    let readings = 0;
    let meanwhile: () => Promise<void> = async () => undefined;
    const ledger: ConstructorParameters<typeof Rollups>[1] = {
      follow: (follower) => journal.follow(follower),
      async entries(query) {
        readings++;
        const page = await journal.entries(query);
        await meanwhile();
        return page;
      },
    };
    const calls = async (from: number, to: number) => {
      for (let id = from; id < to; id++) await call(id, followed);
    };
    const isExact = async (rollups: Rollups) => {
      // Refusals are written down while their callers have their answers: this waits for them.
      const expected = await reportLedger(journal, time);
      await rollups.catchUp();
      assert.deepEqual(rollups.report(time), expected);
    };
    await calls(0, 250);
    const rollups = await openRollups({ directory, ledger, timeZone: ZONE });
    meanwhile = () => calls(250 + 10 * readings, 260 + 10 * readings);
    await rollups.catchUp();
    const readAtFirst = readings;
    await isExact(rollups);
    await calls(500, 510);
    await isExact(rollups);
    assert.equal(readings, readAtFirst);

    meanwhile = async () => undefined;
    const other = await openRollups({ directory, ledger: { entries: (query) => journal.entries(query) }, timeZone: ZONE });
    await calls(510, 515);
    await isExact(other);
    await calls(515, 520);
    await isExact(rollups);
    await isExact(other);
    await Promise.all([rollups.close(), other.close()]);
    await followed.close();
  });

  test("what comes of many users is written as it comes, and not all at once", async (t) => {
    const directory = temporaryDirectory(t);
    const journal = await openDurableStore({ directory, now: () => MIDNIGHT });
    const rollups = await openRollups({ directory, ledger: journal, timeZone: ZONE });
    const limits = [sampleLimit({ amount: 1_000_000 })];
    const settle = async (id: string, user: string) => {
      const call = sampleCall({ id, limits, input: 5 });
      await journal.reserve({ ...call, detail: { ...call.detail, subject: { user, session: id } } });
      await journal.settle(sampleSettlement(id, 5));
    };
    await settle("first", "ann");
    await rollups.catchUp();
    const { lastSeq } = rollups.progress;
    await settle("second", "ann");
    await setImmediate();
    assert.equal(rollups.progress.lastSeq, lastSeq);
    await Promise.all(Array.from({ length: 1_000 }, (_, i) => settle(`call-${i}`, `user-${i}`)));
    await setImmediate();
    assert.ok(rollups.progress.lastSeq > lastSeq);
    const time = { since: MIDNIGHT, until: MIDNIGHT + DAY_MS, timeZone: ZONE, by: ["user"] } as const;
    const expected = await reportLedger(journal, time);
    await rollups.catchUp();
    assert.deepEqual(rollups.report(time), expected);
    await rollups.close();
    await journal.close();
  });

  test("what rungs saved is the sum of the entries, hour by hour, after a restart too; between hours the ledger answers", async (t) => {
    const directory = temporaryDirectory(t);
    const entries = sampleLedger({ count: 1_500, since: MIDNIGHT, until: MIDNIGHT + DAY_MS });
    const ledger = sampleJournal(entries);
    for (const _ of ["first", "again"]) {
      const rollups = await openRollups({ directory, ledger, timeZone: ZONE });
      assert.equal(rollups.savings({ since: MIDNIGHT, until: MIDNIGHT + DAY_MS }), undefined, "nothing was read yet");
      await rollups.catchUp();
      for (const [from, to] of [
        [0, 24],
        [3, 4],
        [7, 48],
        [30, 31],
      ] as const) {
        const time = { since: MIDNIGHT + from * HOUR_MS, until: MIDNIGHT + to * HOUR_MS };
        assert.deepEqual(rollups.savings(time), await savingsOfLedger(ledger, time));
      }
      assert.equal(rollups.savings({ since: MIDNIGHT + 1, until: MIDNIGHT + DAY_MS }), undefined);
      assert.equal(rollups.savings({ since: MIDNIGHT, until: MIDNIGHT + HOUR_MS + 1 }), undefined);
      await rollups.close();
    }
  });

  test("what single balances were charged by the day, and whom a budget that observes would have refused, is the sum of the entries", async (t) => {
    const [ledger, directory] = [createMemoryStore({ now: () => now }), temporaryDirectory(t)];
    const after = now;
    const limits = ["1M tokens / day", "$900 / month", "300 tokens / rolling 2h"];
    const trial = defineBudget({ name: "trial", per: "user", mode: "observe", limits });
    const all = defineBudget({ name: "all", mode: "observe", limits: ["250 tokens / month"] });
    const charging = new Budgets({ store: ledger, prices: { card: () => CARD }, budgets: [trial, all], now: () => now });
    const charge = async (hour: number, who: object, tokens: number) => {
      now = MIDNIGHT + hour * HOUR_MS;
      const id = `call-${(await ledger.entries({})).length}`;
      const decision = await charging.reserve({
        id,
        subject: { provider: "p", model: "m", ...who },
        input: { most: tokens },
        output: { most: 0 },
      });
      assert.ok(decision.outcome === "allowed");
      await charging.settle(decision.reservation, { inputTokens: tokens, outputTokens: 0 });
    };
    for (const [hour, user, tokens] of [
      [1, "ann", 200],
      [1, "ann", 150],
      [2, "bob", 20],
      [25, "ann", 10],
      [26, "bob", 400],
      [49, "ann", 7],
    ] as const)
      await charge(hour, { user }, tokens);
    await charge(50, { key: "k1" }, 5);
    now = after;
    for (const _ of ["first", "again"]) {
      const rollups = await openRollups({ directory, ledger, timeZone: ZONE });
      await rollups.catchUp();
      const dear = (hour: number, least: number, most = 9) =>
        rollups.dearBalances("trial", "nanodollars", { at: MIDNIGHT + hour * HOUR_MS, least, most });
      assert.deepEqual(dear(3, 1), [
        { subject: "user=ann", spent: 350_000 },
        { subject: "user=bob", spent: 20_000 },
      ]);
      assert.deepEqual([dear(3, 20_001).length, dear(3, 1, 1).length, dear(80, 1).length], [1, 1, 0]);
      assert.deepEqual(rollups.dearBalances("trial", "tokens", { at: MIDNIGHT, least: 1, most: 9 }), [], "a call counts once, in money");
      const days = (subject: string, hour: number) =>
        rollups.balanceDays("trial", "nanodollars", subject, { since: MIDNIGHT, until: MIDNIGHT + hour * HOUR_MS });
      assert.deepEqual([days("user=ann", 60), days("user=ann", 30), days("user=cyd", 60)], [[350_000, 10_000], [350_000], []]);
      const seen = (budget: string, since = MIDNIGHT) =>
        rollups.observed(budget, since).map(({ whose, calls, cost }) => [whose, calls, cost]);
      assert.deepEqual(seen("trial"), [
        ["user=ann", 1, 150_000],
        ["user=bob", 1, 400_000],
      ]);
      assert.deepEqual(seen("all"), [
        ["user=ann", 2, 157_000],
        ["user=bob", 2, 420_000],
        ["key=k1", 1, 5_000],
      ]);
      assert.deepEqual(seen("all", MIDNIGHT + DAY_MS), [
        ["key=k1", 1, 5_000],
        ["user=ann", 1, 7_000],
        ["user=bob", 1, 400_000],
      ]);
      await rollups.close();
    }
    await charging.close();
  });

  test("a file that is damaged is made again", async (t) => {
    const directory = temporaryDirectory(t);
    writeFileSync(join(directory, "rollups.db"), "this is no database at all, however long it is. ".repeat(200));
    const rollups = await openRollups({ directory, ledger: store, timeZone: ZONE });
    await rollups.catchUp();
    const time = { since: MIDNIGHT, until: now + 1, timeZone: ZONE };
    assert.deepEqual(rollups.report(time), await reportLedger(store, time));
    await rollups.close();
  });
});
