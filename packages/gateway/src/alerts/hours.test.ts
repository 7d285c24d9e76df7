import assert from "node:assert/strict";
import { test } from "node:test";
import { toldAt } from "./hours.ts";

const BERLIN = "Europe/Berlin";
const NIGHT = { quiet: { from: 22 * 60, to: 7 * 60 } };

function told(hours: Parameters<typeof toldAt>[0], at: string, timeZone = BERLIN): string {
  return new Date(toldAt(hours, Date.parse(at), timeZone)).toISOString().slice(0, 16);
}

test("a night ends when clocks there say so, over midnight and over the nights in which clocks are changed", () => {
  assert.equal(told(NIGHT, "2026-11-20T20:59Z"), "2026-11-20T20:59");
  assert.equal(told(NIGHT, "2026-11-20T21:00Z"), "2026-11-21T06:00");
  assert.equal(told(NIGHT, "2026-11-21T05:59Z"), "2026-11-21T06:00");
  assert.equal(told(NIGHT, "2026-11-21T06:00Z"), "2026-11-21T06:00");
  // Clocks are put forward in the night to March 29, and back in the night to October 25.
  assert.equal(told(NIGHT, "2026-03-28T22:00Z"), "2026-03-29T05:00");
  assert.equal(told(NIGHT, "2026-10-24T22:00Z"), "2026-10-25T06:00");
  assert.equal(told({ quiet: { from: 12 * 60, to: 13 * 60 } }, "2026-11-20T11:30Z"), "2026-11-20T12:00");
});

test("a digest comes at the next time of its hour, also where that hour is skipped", () => {
  assert.equal(told({ digest: 9 * 60 }, "2026-11-20T07:59Z"), "2026-11-20T08:00");
  assert.equal(told({ digest: 9 * 60 }, "2026-11-20T08:00Z"), "2026-11-21T08:00");
  assert.equal(told({ digest: 2 * 60 + 30 }, "2026-03-28T12:00Z"), "2026-03-29T01:30");
  assert.equal(told({ digest: 23 * 60, ...NIGHT }, "2026-11-20T12:00Z"), "2026-11-21T06:00", "not in the night, even so");
  assert.equal(told({ digest: 9 * 60 }, "2026-11-20T03:29Z", "Asia/Kolkata"), "2026-11-20T03:30");
});
