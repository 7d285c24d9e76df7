import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { daysSeen, useByDay, wholeDays } from "./days.ts";

const at = (text: string) => Date.parse(text);
const startsOf = (since: string, until: string, zone = "UTC") =>
  wholeDays({ since: at(since), until: at(until) }, zone).map(({ startsAt }) => new Date(startsAt).toISOString());

describe("a day is whole", () => {
  test("where nine tenths of it were recorded, and no day that only began or was only seen ending", () => {
    assert.deepEqual(startsOf("2026-11-02T15:00:00Z", "2026-11-05T09:00:00Z"), ["2026-11-03T00:00:00.000Z", "2026-11-04T00:00:00.000Z"]);
    assert.deepEqual(startsOf("2026-11-20T00:25:00Z", "2026-11-20T23:55:00Z"), ["2026-11-20T00:00:00.000Z"]);
    assert.deepEqual(startsOf("2026-11-20T08:00:00Z", "2026-11-20T18:00:00Z"), []);
  });

  test("by the clock of its zone, also where the clock changes", () => {
    // In Berlin 2026-10-25 has 25 hours.
    assert.deepEqual(startsOf("2026-10-23T22:00:00Z", "2026-10-26T22:59:00Z", "Europe/Berlin"), [
      "2026-10-23T22:00:00.000Z",
      "2026-10-24T22:00:00.000Z",
      "2026-10-25T23:00:00.000Z",
    ]);
  });
});

test("what is used outside of whole days counts on none of them, and idle days count as nothing", () => {
  const days = wholeDays({ since: at("2026-11-02T15:00:00Z"), until: at("2026-11-06T00:00:00Z") }, "UTC");
  const uses = ["2026-11-02T16:00:00Z", "2026-11-03T00:00:00Z", "2026-11-03T23:59:59Z", "2026-11-05T01:00:00Z"];
  assert.deepEqual(
    useByDay(
      uses.map((text, i) => ({ at: at(text), amount: 10 ** i })),
      days,
    ),
    [110, 0, 1_000],
  );
});

test("who appears later than the record begins was not there for all of the first day", () => {
  const days = wholeDays({ since: at("2026-11-02T00:00:00Z"), until: at("2026-11-06T00:00:00Z") }, "UTC");
  assert.deepEqual(
    ["2026-11-02T23:00:00Z", "2026-11-04T23:00:00Z", "2026-11-06T00:00:00Z"].map((text) => {
      const { days: seen, isFirstWhole } = daysSeen(days, at(text));
      return [seen.length, isFirstWhole];
    }),
    [
      [4, true],
      [2, false],
      [0, false],
    ],
  );
});
