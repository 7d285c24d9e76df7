import assert from "node:assert/strict";
import { test } from "node:test";
import { modeAt, observes, parseMode, trialEnd } from "./mode.ts";

test("a trial lasts to the end of its last day, by the clock of the budget, or to an instant", () => {
  assert.equal(parseMode("enforce", "UTC"), 0);
  assert.equal(parseMode("observe", "UTC"), Number.POSITIVE_INFINITY);
  assert.equal(parseMode("observe until 2026-12-15", "UTC"), Date.UTC(2026, 11, 16));
  assert.equal(parseMode(" observe  until 2026-12-15 ", "America/New_York"), Date.UTC(2026, 11, 16, 5));
  assert.equal(parseMode("observe until 2026-12-15T09:00+01:00", "UTC"), Date.UTC(2026, 11, 15, 8));
  assert.equal(parseMode("observe until 2026-12-15T09:00:30Z", "Europe/Berlin"), Date.UTC(2026, 11, 15, 9, 0, 30));
});

test("a mode that cannot be read says what to write", () => {
  const wrong = (text: string, message: RegExp) => assert.throws(() => parseMode(text, "UTC"), { code: "config_invalid", message });
  wrong("watch", /"watch" is no mode\. Write enforce, observe, or observe until 2026-12-15/);
  wrong("observe for 14 days", /no file says since when\. Write the last day/);
  wrong("enforce until 2026-12-15", /Write enforce, which has no end/);
  for (const until of ["2026-13-01", "2026-02-30", "2026-02-30T09:00Z", "2026-12-15T09:00", "2026-12-15T25:00Z", "tomorrow", ""])
    wrong(`observe until ${until}`, /Write the last day on which it only observes/);
  wrong("observe 2026-12-15", /observe until 2026-12-15, or an instant/);
});

test("a trial is over at its end, and not a moment before", () => {
  const trial = { observesUntil: 1_000 };
  assert.deepEqual([observes(trial, 999), observes(trial, 1_000)], [true, false]);
  assert.deepEqual([modeAt(trial, 999), modeAt(trial, 1_000)], ["observe", "enforce"]);
  assert.deepEqual([trialEnd(trial, 999), trialEnd(trial, 1_000)], [1_000, undefined]);
  const always = { observesUntil: Number.POSITIVE_INFINITY };
  assert.deepEqual([modeAt(always, 1e15), trialEnd(always, 0)], ["observe", undefined]);
  assert.equal(modeAt({ observesUntil: 0 }, 0), "enforce");
});
