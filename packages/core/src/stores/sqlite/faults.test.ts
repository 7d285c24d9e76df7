import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { sampleCall, sampleLimit, sampleSettlement } from "../../testing/sample-calls.ts";
import { temporaryDirectory } from "./directory.test-setup.ts";
import type { DurableStore } from "./durable-store.ts";
import type { Journal } from "./journal.ts";
import { openDurableStore } from "./opening.ts";

const LIMITS = [sampleLimit({ amount: 1_000 }), sampleLimit({ budget: "team", unit: "requests", amount: 5 })];

/** A store whose disk can be switched off: before it writes, or after it wrote and before it says so. */
async function openFaulty(t: TestContext) {
  const directory = temporaryDirectory(t);
  const fault: { at: "none" | "before" | "after"; writes: number } = { at: "none", writes: 0 };
  const errors: unknown[] = [];
  const notices: string[] = [];
  const wrapJournal = (journal: Journal): Journal => ({
    ...journal,
    write: async (batch) => {
      fault.writes++;
      if (fault.at === "before") throw new Error("database or disk is full");
      await journal.write(batch);
      if (fault.at === "after") throw new Error("disk I/O error");
    },
  });
  const open = () =>
    openDurableStore({
      directory,
      wrapJournal,
      retryMs: 1,
      onError: (error) => errors.push(error),
      onNotice: (notice) => notices.push(notice),
    });
  return { store: await open(), open, fault, errors, notices };
}

async function untilWritten(store: DurableStore): Promise<void> {
  while (store.failure()) await setImmediate();
}

async function standings(store: DurableStore) {
  return (await store.counters()).map(({ spent, held }) => [spent, held]);
}

for (const at of ["before", "after"] as const) {
  test(`a reservation that could not be written down (fault ${at} the write) is refused and holds nothing`, async (t) => {
    const { store, open, fault, errors } = await openFaulty(t);
    fault.at = at;
    const call = sampleCall({ id: "a", limits: LIMITS, input: 600 });
    await assert.rejects(store.reserve(call), { code: "store_unavailable", message: /Check the free space/ });
    assert.deepEqual(await standings(store), [
      [0, 0],
      [0, 0],
    ]);
    assert.equal(errors.length, 1);
    fault.at = "none";
    await untilWritten(store);
    assert.equal((await store.reserve({ ...call, id: "b" })).outcome, "reserved");
    assert.deepEqual(
      (await store.entries({})).map(({ seq, kind, reservation }) => [seq, kind, reservation]),
      [
        [1, "reserved", "a"],
        [2, "released", "a"],
        [3, "reserved", "b"],
      ],
    );
    assert.deepEqual(await store.audit(), []);
    await store.close();
    const again = await open();
    assert.deepEqual(await again.audit(), []);
    await again.close();
  });
}

test("that the journal works again is told once for each time that it failed", async (t) => {
  const { store, fault, errors, notices } = await openFaulty(t);
  for (const id of ["a", "b"]) {
    fault.at = "before";
    const { writes } = fault;
    await assert.rejects(store.reserve(sampleCall({ id, limits: LIMITS, input: 600 })));
    while (fault.writes < writes + 3) await setImmediate();
    fault.at = "none";
    await untilWritten(store);
    await store.reserve(sampleCall({ id: `${id} again`, limits: LIMITS, input: 10 }));
  }
  assert.equal(errors.length, 2);
  assert.equal(notices.length, 2);
  assert.match(String(notices[0]), /ledger in .* can be written again/);
  await store.close();
});

test("while the journal fails, a reservation is refused at once", async (t) => {
  const { store, fault } = await openFaulty(t);
  fault.at = "before";
  await assert.rejects(store.reserve(sampleCall({ id: "a", limits: LIMITS, input: 600 })));
  let isRefused = false;
  const refused = store.reserve(sampleCall({ id: "b", limits: LIMITS, input: 600 })).catch(() => {
    isRefused = true;
  });
  await Promise.resolve();
  await Promise.resolve();
  assert.ok(isRefused);
  await refused;
  fault.at = "none";
  await store.close();
});

test("what was used while the journal fails is written down when it works again, in order", async (t) => {
  const { store, open, fault } = await openFaulty(t);
  for (const id of ["a", "b", "c"]) await store.reserve(sampleCall({ id, limits: LIMITS, input: 200 }));
  fault.at = "before";
  await assert.rejects(store.settle(sampleSettlement("a", 150)), { code: "store_unavailable" });
  await assert.rejects(store.release({ id: "b", why: "never sent" }), { code: "store_unavailable" });
  await assert.rejects(store.extend({ id: "c", leaseMs: 1 }), { code: "store_unavailable" });
  await assert.rejects(store.entries({}), { code: "store_unavailable" });
  const expected = [
    [150, 200],
    [1, 1],
  ];
  assert.deepEqual(await standings(store), expected);
  fault.at = "none";
  await untilWritten(store);
  assert.deepEqual(
    (await store.entries({})).map(({ seq, kind }) => `${seq} ${kind}`),
    ["1 reserved", "2 reserved", "3 reserved", "4 settled", "5 released", "6 extended"],
  );
  assert.deepEqual(await store.audit(), []);
  assert.deepEqual(await standings(store), expected);
  await store.close();
  const again = await open();
  assert.deepEqual(await standings(again), [
    [350, 0],
    [2, 0],
  ]);
  await again.close();
});

for (const at of ["before", "after"] as const) {
  test(`who follows is told what is durable, once and in order, also of what failed ${at} it was written`, async (t) => {
    const { store, fault } = await openFaulty(t);
    await store.reserve(sampleCall({ id: "a", limits: LIMITS, input: 100 }));
    const told: string[] = [];
    const end = store.follow((entries) => told.push(...entries.map(({ seq, kind }) => `${seq} ${kind}`)));
    store.follow(() => {
      throw new Error("a follower that fails is none of the ledger's business");
    });
    await Promise.all([
      store.settle(sampleSettlement("a", 50)),
      store.reserve(sampleCall({ id: "b", limits: LIMITS, input: 100 })),
      store.reserve(sampleCall({ id: "c", limits: LIMITS, input: 100 })),
    ]);
    const before = ["2 settled", "3 reserved", "4 reserved"];
    assert.deepEqual(told, before);
    fault.at = at;
    await assert.rejects(store.settle(sampleSettlement("b", 60)));
    await assert.rejects(store.release({ id: "c", why: "never sent" }));
    assert.deepEqual(told, before);
    fault.at = "none";
    await untilWritten(store);
    await store.entries({});
    assert.deepEqual(told, [...before, "5 settled", "6 released"]);
    end();
    await store.reserve(sampleCall({ id: "d", limits: LIMITS, input: 100 }));
    assert.equal(told.length, 5);
    await store.close();
  });
}

test("a hold that was acknowledged survives a failure that its repetition meets", async (t) => {
  const { store, fault } = await openFaulty(t);
  const call = sampleCall({ id: "a", limits: LIMITS, input: 600 });
  await store.reserve(call);
  fault.at = "before";
  const other = assert.rejects(store.reserve(sampleCall({ id: "b", limits: LIMITS, input: 100 })));
  await assert.rejects(store.reserve(call), { code: "store_unavailable" });
  await other;
  assert.deepEqual(await standings(store), [
    [0, 600],
    [0, 1],
  ]);
  fault.at = "none";
  await store.close();
});

test("closing writes what a failure left unwritten, or says that it could not", async (t) => {
  const { store, open, fault } = await openFaulty(t);
  await store.reserve(sampleCall({ id: "a", limits: LIMITS, input: 600 }));
  fault.at = "before";
  await assert.rejects(store.settle(sampleSettlement("a", 100)));
  fault.at = "none";
  await store.close();
  const second = await open();
  assert.equal((await second.counters())[0]?.spent, 100);
  await second.reserve(sampleCall({ id: "b", limits: LIMITS, input: 300 }));
  fault.at = "before";
  await assert.rejects(second.settle(sampleSettlement("b", 1)));
  await assert.rejects(second.close(), { code: "store_unavailable" });
  fault.at = "none";
  const third = await open();
  assert.equal((await third.counters())[0]?.spent, 400, "without its settlement the call is charged at its estimate");
  await third.close();
});
