import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { PurserError } from "../errors.ts";
import { lessened, parseSharing, planMoves, type Sharer } from "./sharing.ts";

const WEEKLY = parseSharing("team", { every: "week" });

function sharer(budget: string, used: number, amount = 100, own = 100): Sharer {
  return { budget, subject: "", own, amount, used };
}

describe("what is moved between balances", () => {
  test("goes from those that will not use it to those that need it, in proportion", () => {
    const { takes, gives } = planMoves([sharer("chat", 90), sharer("ads", 10), sharer("search", 20)], 0.5, WEEKLY);
    // ads will use 20 and search 40, and both keep 50; chat would use 180, and gets no more than half of its limit.
    assert.deepEqual(
      takes.map(({ budget, amount }) => [budget, amount]),
      [
        ["ads", 25],
        ["search", 25],
      ],
    );
    assert.deepEqual(
      gives.map(({ budget, amount }) => [budget, amount]),
      [["chat", 50]],
    );
  });

  test("is nothing where nobody needs more, nobody has anything to spare, or nobody knows yet", () => {
    const none = { takes: [], gives: [] };
    assert.deepEqual(planMoves([sharer("a", 70), sharer("b", 0)], 0.5, WEEKLY), none);
    assert.deepEqual(planMoves([sharer("a", 90), sharer("b", 60)], 0.5, WEEKLY), none);
    assert.deepEqual(planMoves([sharer("a", 90), sharer("b", 1)], 0, WEEKLY), none);
    assert.deepEqual(planMoves([sharer("a", 90), sharer("b", 0)], 1, WEEKLY), none, "it does with what it has");
  });

  test("stays within bounds, is as much on both sides, and takes nothing that is used, whatever the balances", () => {
    const amounts = fc.integer({ min: 0, max: 2 ** 53 - 1 });
    const sharers = fc.array(fc.tuple(amounts, amounts, amounts), { minLength: 2, maxLength: 8 });
    const share = fc.integer({ min: 0, max: 100 });
    fc.assert(
      fc.property(sharers, fc.double({ min: 0, max: 1, noNaN: true }), share, share, share, (all, elapsed, from, keep, most) => {
        const sharing = { ...WEEKLY, from: from * 100, keep: keep * 100, most: most * 100 };
        const members = all.map(([used, amount, own], i) => sharer(`b${i}`, used, amount, own));
        const { takes, gives } = planMoves(members, elapsed, sharing);
        const total = (moved: typeof takes) => moved.reduce((sum, { amount }) => sum + BigInt(amount), 0n);
        assert.equal(total(takes), total(gives));
        const of = (name: string) => members.find(({ budget }) => budget === name) ?? assert.fail();
        for (const { budget, amount } of takes) {
          const left = of(budget).amount - amount;
          assert.ok(left >= of(budget).used && left >= Math.floor(of(budget).own * (keep / 100)), `${left} is left`);
        }
        for (const { budget, amount } of gives) assert.ok(of(budget).amount + amount <= of(budget).own * (1 + most / 100) + 1);
        assert.deepEqual(planMoves(members.toReversed(), elapsed, sharing), { takes, gives }, "in whatever order they come");
      }),
    );
  });

  test("is less by what was used after all, for the last ones first", () => {
    const gives = [
      { budget: "a", subject: "", amount: 10 },
      { budget: "b", subject: "", amount: 20 },
    ];
    assert.deepEqual(lessened(gives, 0), gives);
    assert.deepEqual(lessened(gives, 5), [gives[0], { ...gives[1], amount: 15 }]);
    assert.deepEqual(lessened(gives, 25), [{ ...gives[0], amount: 5 }]);
    assert.deepEqual(lessened(gives, 99), []);
  });
});

test("what cannot be meant is refused with what to write", () => {
  for (const [input, mention] of [
    [{ every: "fortnight" }, /every "fortnight"\. Write one of minute, hour, day/],
    [{ every: "week", among: ["a"] }, /Name two or more/],
    [{ every: "week", among: ["a", "a"] }, /each once/],
    [{ every: "week", keep: "half" }, /"keep: half"\. Write a percentage up to 100%/],
    [{ every: "week", from: "101%" }, /"from: 101%"/],
    [{ every: "week", most: "2000%" }, /"most: 2000%"\. Write a percentage, such as/],
  ] as const)
    assert.throws(
      () => parseSharing("team", input),
      (error) => error instanceof PurserError && error.code === "config_invalid" && mention.test(error.message),
    );
});
