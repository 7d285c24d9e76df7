import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Need, needOfDay, needOfEach, needOfLife, needOfPeriod, readableAmount } from "./need.ts";

const whole = (days: readonly number[]) => ({ days, isFirstWhole: true, leastHeld: 0 });

describe("what a day needs", () => {
  test("is twice the average of a short trial, where that is more than its largest day with headroom", () => {
    const even = needOfDay(whole([100, 90, 110]), 0.25);
    assert.deepEqual([even?.amount, even?.used, even?.isTwice, even?.count], [200, 100, true, 3]);
    const uneven = needOfDay(whole([10, 10, 400]), 0.25);
    assert.deepEqual([uneven?.amount, uneven?.used, uneven?.isTwice], [500, 400, false]);
  });

  test("is not doubled any more after a week", () => {
    const need = needOfDay(whole([100, 100, 100, 100, 100, 20, 20]), 0.3);
    assert.deepEqual([need?.amount, need?.isTwice, need?.count], [130, false, 7]);
  });

  test("is the p95 by nearest rank: of 20 days the second largest, of 19 the largest", () => {
    const days = (count: number) => Array.from({ length: count }, (_, i) => (i === 3 ? 9_000 : 100 + (i % 7)));
    assert.equal(needOfDay(whole(days(20)), 0)?.used, 106);
    assert.equal(needOfDay(whole(days(19)), 0)?.used, 9_000);
  });

  test("is what a day with use needs, also where most days have none", () => {
    const need = needOfDay(whole(Array.from({ length: 60 }, (_, i) => (i === 30 ? 100 : 0))), 0.25);
    assert.deepEqual([need?.amount, need?.used, need?.count], [130, 100, 1]);
  });

  test("leaves enough for the largest call to be held", () => {
    assert.equal(needOfDay({ days: [10], isFirstWhole: true, leastHeld: 80 }, 0.25)?.amount, 90);
    assert.equal(needOfDay({ days: [10], isFirstWhole: true, leastHeld: 5 }, 0.25)?.amount, 20);
  });

  test("is nothing where nothing was used", () => {
    assert.equal(needOfDay(whole([0, 0, 0]), 0.25), undefined);
    assert.equal(needOfDay(whole([]), 0.25), undefined);
  });

  test("takes a first day that is not whole for at least so much, and for no average", () => {
    const need = needOfDay({ days: [10, 100, 100], isFirstWhole: false, leastHeld: 0 }, 0.25);
    assert.deepEqual([need?.amount, need?.used, need?.count], [200, 100, 2]);
    assert.deepEqual(needOfDay({ days: [10], isFirstWhole: false, leastHeld: 0 }, 0.25)?.amount, 13);
  });
});

describe("growth", () => {
  const week = [100, 110, 120, 130, 140, 20, 10];
  const grown = (factor: number) => week.map((amount) => amount * factor);

  test("is what two weeks tell, each day compared with its own weekday", () => {
    const need = needOfDay(whole([...week, ...grown(1.2)]), 0);
    assert.deepEqual([need?.growth, need?.used, need?.amount], [0.2, 168, 210]);
  });

  test("is not told from less than two weeks, nor from a single busy day, nor of what shrinks", () => {
    assert.equal(needOfDay(whole([...week, ...grown(1.2).slice(1)]), 0)?.growth, 0);
    assert.equal(needOfDay(whole([...week, ...week.with(2, 900)]), 0)?.growth, 0);
    assert.equal(needOfDay(whole([...week, ...grown(0.5)]), 0)?.growth, 0);
  });

  test("is at most once more as much", () => {
    assert.equal(needOfDay(whole([...week, ...grown(5)]), 0)?.growth, 1);
  });
});

describe("what a month needs", () => {
  test("is 31 days as they are on average, over whole weeks", () => {
    // Two days before the whole week, which would make weekdays count more.
    const need = needOfPeriod(whole([999, 999, 100, 100, 100, 100, 100, 10, 10]), 31, 0.25);
    assert.deepEqual([need?.used, need?.count, need?.amount], [(520 / 7) * 31, 7, 2_900]);
  });

  test("is never less than what one of its days had", () => {
    const rare = Array.from({ length: 70 }, (_, i) => (i === 40 ? 1_000 : 0));
    assert.equal(needOfPeriod(whole(rare), 31, 0.25)?.amount, 1_300);
  });

  test("is not told from less than a week", () => {
    assert.equal(needOfPeriod(whole([100, 100, 100, 100, 100, 100]), 31, 0.25), undefined);
    assert.equal(needOfPeriod({ days: [100, 100, 100, 100, 100, 100, 100], isFirstWhole: false, leastHeld: 0 }, 31, 0.25), undefined);
  });
});

describe("what each of many needs", () => {
  const needs = (amounts: readonly number[]) =>
    new Map<string, Need>(amounts.map((amount, i) => [`u${String(i).padStart(4, "0")}`, needOfLife(amount, 0)]));

  test("is enough for 95 of 100, and those who need more are named, the largest first", () => {
    const each = needOfEach(needs([...Array(38).fill(10), 700, 80]));
    assert.deepEqual([each?.amount, each?.count, each?.exceptions.length], [10, 40, 2]);
    assert.deepEqual(
      each?.exceptions.map(({ label, need }) => [label, need.amount]),
      [
        ["u0038", 700],
        ["u0039", 80],
      ],
    );
  });

  test("is enough for all but ten, where five of a hundred are more than anybody reads", () => {
    const each = needOfEach(needs(Array.from({ length: 1_000 }, (_, i) => 10 * (i + 1))));
    assert.deepEqual([each?.amount, each?.exceptions.length], [9_900, 10]);
  });

  test("is the same in whatever order they come", () => {
    const some = needs([50, 20, 20, 90, 10]);
    assert.deepEqual(needOfEach(new Map([...some].reverse())), needOfEach(some));
  });

  test("is nothing where there is nobody", () => {
    assert.equal(needOfEach(new Map()), undefined);
  });
});

test("amounts are two digits, rounded up, and what is exact stays", () => {
  for (const [amount, readable] of [
    [1, 1],
    [9.2, 10],
    [99, 99],
    [101, 110],
    // In floating point this is a little more than 110.
    [100 * 1.1, 110],
    [1_234_567, 1_300_000],
    [990_000_001, 1_000_000_000],
    [1e17, 9e15],
  ] as const)
    assert.equal(readableAmount(amount), readable, String(amount));
});
