import assert from "node:assert/strict";
import { test } from "node:test";
import { type Budget, defineBudget } from "@purser/core";
import { trialOf } from "../trials/trial.ts";
import { trialEnds } from "./trial.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const END = Date.UTC(2026, 11, 16);
const BUDGET = defineBudget({
  name: "a",
  mode: "observe until 2026-12-15",
  limits: ["$10 / day", "$500 / month", "5 concurrent"],
  owner: "kim",
});

/** So many dollars on each day before the end, at noon. */
function told(now: number, { budget = BUDGET as Budget, whose = [] as readonly [string, number][] } = {}) {
  const sums = {
    observed: () => whose.map(([name, calls]) => ({ whose: name, calls, cost: calls * 1e9, first: END - 3 * DAY, last: END - DAY })),
    spent: (_: string, limit: string) =>
      limit.includes("day") ? Array.from({ length: 13 }, (_, i) => ({ from: END - (13 - i) * DAY + 12 * HOUR, spent: 6e9 })) : [],
    refused: () => [],
  };
  return trialEnds(budget, () => trialOf(budget, sums, now), now);
}

test("somebody is told three days and a day before the end of a trial, and at its end; where one of them was missed, of the last alone", () => {
  const stages = [-3 * DAY - 1, -3 * DAY, -DAY - 1, -DAY, -1, 0, DAY - 1, DAY].map((from) => told(END + from));
  assert.deepEqual(
    stages.map((one) => one?.until),
    [undefined, END - DAY, END - DAY, END, END, END + DAY, END + DAY, undefined],
  );
  assert.equal(new Set(stages.map((one) => one?.once)).size, 4);
  assert.equal(stages[1]?.once, stages[2]?.once);
  assert.deepEqual(
    [told(END - 2 * DAY), told(END - 30 * HOUR), told(END - 90_000)].map(
      (one) => /Its trial ends in ([^.]*)\./.exec(one?.notice.text ?? "")?.[1],
    ),
    ["2 days", "30 hours", "an hour"],
  );
});

test("another day for its end is told anew, and a budget without an end never", () => {
  const later = defineBudget({ name: "a", mode: "observe until 2026-12-16", limits: ["$10 / day"] });
  assert.notEqual(told(END - DAY)?.once, told(END, { budget: later })?.once);
  for (const mode of ["observe", "enforce"] as const) assert.equal(told(END, { budget: defineBudget({ name: "a", mode }) }), undefined);
});

test("what would have been refused is told, of whom most, and what limits need by their sums", () => {
  const { text, data, facts } =
    told(END - DAY, {
      whose: [
        ["user=ann", 1_200],
        ["user=bob", 8],
        ["", 3],
        ["key=k", 2],
        ["user=cyd", 1],
      ],
    })?.notice ?? assert.fail();
  assert.match(
    text,
    /So far 1,214 calls that cost \$1,214\.00 would have been refused: 1,200 of user=ann, 8 of user=bob, 2 of key=k, and others\./,
  );
  assert.match(text, /Of \$10\.00 \/ day: the p95 of 11 days is \$6\.00, and with 25% on top it needs \$7\.50\./);
  assert.match(text, /Of \$500\.00 \/ month: of 7 whole days that it needs to see, it has seen 0\./);
  assert.doesNotMatch(text, /concurrent/);
  assert.deepEqual(
    facts.find(([name]) => name.startsWith("Needs")),
    ["Needs of $10.00 / day", "$7.50"],
  );
  assert.deepEqual(
    (data.needs as { amount: number | null }[]).map(({ amount }) => amount),
    [7_500_000_000, null],
  );
  assert.match(told(END)?.notice.text ?? "", /It observed until 2026-12-16 00:00 UTC, and in that time no call would have been refused\./);
});
