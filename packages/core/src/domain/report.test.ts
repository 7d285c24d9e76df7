import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { CallDetail, Charge, Entry } from "./ledger.ts";
import { bookedAmounts, type ReportQuery, ReportSum, reportSteps } from "./report.ts";

const NOON = Date.UTC(2026, 10, 22, 12);
const DETAIL: CallDetail = {
  subject: { team: "a", model: "m" },
  inputTokens: 100,
  outputTokens: 50,
  cost: 1_000,
  counted: true,
  price: "test",
};
const CHARGE: Charge = { usage: { inputTokens: 80, outputTokens: 20 }, cost: 700, certainty: "confirmed" };

function entryOf(part: object, at = NOON): Entry {
  return { seq: 1, at, reservation: "a", postings: [], detail: DETAIL, ...part } as unknown as Entry;
}

function sumOf(entries: readonly Entry[], query: Partial<ReportQuery> = {}) {
  const sum = new ReportSum({ since: NOON - 3_600_000, until: NOON + 3_600_000, ...query });
  for (const entry of entries) sum.add(entry);
  return sum.rows();
}

describe("what an entry books", () => {
  test("a call is charged by its settlement, and what went over its hold is not charged again", () => {
    const [row] = sumOf([
      entryOf({ kind: "reserved", expiresAt: 0, outputCap: 1 }),
      entryOf({ kind: "settled", charge: CHARGE }),
      entryOf({ kind: "overrun", charge: CHARGE }),
    ]);
    assert.deepEqual([row?.calls, row?.inputTokens, row?.outputTokens, row?.cost, row?.unconfirmedCost], [1, 80, 20, 700, 0]);
  });

  test("a correction takes the estimate back and leaves what was used", () => {
    const charge: Charge = { usage: { inputTokens: 100, outputTokens: 50 }, cost: 1_000, certainty: "unconfirmed" };
    const expired = entryOf({ kind: "expired", charge });
    const [before] = sumOf([expired]);
    assert.deepEqual([before?.calls, before?.cost, before?.unconfirmedCost], [1, 1_000, 1_000]);
    const [after] = sumOf([expired, entryOf({ kind: "corrected", charge: CHARGE })]);
    assert.deepEqual([after?.calls, after?.inputTokens, after?.cost, after?.unconfirmedCost], [1, 80, 700, 0]);
  });

  test("what was counted by us is told apart from what its provider counted", () => {
    const counted = entryOf({ kind: "settled", charge: { ...CHARGE, certainty: "estimated" } });
    const [row] = sumOf([counted, entryOf({ kind: "settled", charge: CHARGE })]);
    assert.deepEqual([row?.cost, row?.estimatedCost, row?.unconfirmedCost], [1_400, 700, 0]);
  });

  test("a refusal that stands for many counts as many, and a call that was never sent is none", () => {
    const denied = { kind: "denied", reason: "budget_exhausted", message: "" };
    const [row] = sumOf([entryOf(denied), entryOf({ ...denied, times: 9 }), entryOf({ kind: "released", why: "" })]);
    assert.deepEqual([row?.refusals, row?.calls], [10, 0]);
  });

  test("a call without a price is counted as one, and costs nothing known", () => {
    const [row] = sumOf([entryOf({ kind: "settled", charge: { ...CHARGE, cost: undefined } })]);
    assert.deepEqual([row?.unpricedCalls, row?.cost], [1, 0]);
  });

  test("what a provider charges beside the answer is part of the totals", () => {
    const usage = { inputTokens: 10, cacheReadInputTokens: 4, besides: { inputTokens: 90, cacheReadInputTokens: 6, outputTokens: 1 } };
    const amounts = bookedAmounts(entryOf({ kind: "settled", charge: { ...CHARGE, usage } }));
    assert.deepEqual([amounts?.inputTokens, amounts?.cacheReadInputTokens, amounts?.outputTokens], [100, 10, 1]);
  });

  test("kinds that book nothing make no row", () => {
    assert.deepEqual(sumOf([entryOf({ kind: "granted", amount: 5 }), entryOf({ kind: "adjusted", why: "" })]), []);
  });

  test("what does not add up exactly is refused", () => {
    const dear = entryOf({ kind: "settled", charge: { ...CHARGE, cost: Number.MAX_SAFE_INTEGER } });
    assert.throws(() => sumOf([dear, dear]), { code: "amount_too_large" });
  });
});

describe("the steps of a report", () => {
  test("days follow the clock of the zone, with 25 hours where it is put back", () => {
    const since = Date.UTC(2026, 9, 23, 22);
    const days = reportSteps({ since, until: since + 97 * 3_600_000, step: "day", timeZone: "Europe/Berlin" });
    assert.deepEqual(
      days.map(({ from, to }) => (to - from) / 3_600_000),
      [24, 25, 24, 24],
    );
  });

  test("the first and the last step are cut to the time that is asked for, and nothing is left out between them", () => {
    const [since, until] = [Date.UTC(2026, 0, 31, 12), Date.UTC(2026, 3, 2, 3, 4)];
    const months = reportSteps({ since, until, step: "month" });
    assert.deepEqual([months.length, months[0]?.from, months.at(-1)?.to], [4, since, until]);
    for (const [i, { from }] of months.entries()) if (i > 0) assert.equal(from, months[i - 1]?.to);
  });

  test("rows are in the order of time, then of their values, those without one first", () => {
    const subjects = [{ team: "b" }, {}, { team: "" }, { team: "a" }];
    const entries = subjects.flatMap((subject, i) =>
      [0, 1].map((day) => entryOf({ kind: "settled", charge: CHARGE, detail: { ...DETAIL, subject } }, NOON + day * 86_400_000 - i)),
    );
    const rows = sumOf(entries, { until: NOON + 2 * 86_400_000, by: ["team"], step: "day" });
    assert.deepEqual(
      rows.map(({ values: [team] }) => team),
      [undefined, "", "a", "b", undefined, "", "a", "b"],
    );
  });
});
