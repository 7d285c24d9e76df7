import assert from "node:assert/strict";
import { test } from "node:test";
import type { Store } from "@purser/core";
import { Audits } from "./audits.ts";

type Found = Awaited<ReturnType<NonNullable<Store["audit"]>>>;

function scene(find: () => Promise<Found>) {
  const errors: unknown[] = [];
  const clock = { now: 0, audits: 0 };
  const audit = async () => {
    clock.audits++;
    return find();
  };
  const audits = new Audits({ store: { audit }, onError: (error) => errors.push(error), elapsed: () => clock.now });
  const lookAt = (now: number) => {
    clock.now = now;
    return audits.look();
  };
  return { audits, clock, errors, lookAt };
}

test("balances are audited soon after the start and then every minute, and what is found is told", async () => {
  let found: Found = [];
  const { audits, clock, errors, lookAt } = scene(async () => found);
  await lookAt(4_999);
  assert.deepEqual([clock.audits, audits.state], [0, undefined]);
  await lookAt(5_000);
  assert.equal(audits.state?.mismatches, 0);
  await lookAt(64_999);
  assert.equal(clock.audits, 1);
  found = [{ key: "company|tokens", balance: { spent: 3, held: 0 }, ledger: { spent: 4, held: 0 } }];
  await lookAt(65_000);
  assert.equal(audits.state?.mismatches, 1);
  assert.match(String(errors[0]), /1 balances are not the sum of their ledger entries.*company\|tokens/);
});

test("audits take a hundredth of the time, however large the ledger is, and one that fails is tried again", async () => {
  let end: (found: Found) => void = () => undefined;
  const { audits, clock, lookAt } = scene(
    () =>
      new Promise<Found>((resolve) => {
        end = resolve;
      }),
  );
  const first = lookAt(5_000);
  void lookAt(6_000);
  clock.now = 15_000;
  end([]);
  await first;
  await lookAt(15_000 + 999_999);
  assert.equal(clock.audits, 1, "ten seconds of work are followed by a thousand of rest");
  const second = lookAt(15_000 + 1_000_000);
  end([]);
  await second;
  assert.equal(clock.audits, 2);
  await audits.close();
});

test("where a store keeps no ledger to compare with, nothing is claimed", async () => {
  const audits = new Audits({ store: {}, onError: () => assert.fail(), elapsed: () => 1e9 });
  await audits.look();
  assert.equal(audits.state, undefined);
});
