import assert from "node:assert/strict";
import { test } from "node:test";
import { startRecording } from "../commitments/recorded.test-setup.ts";
import { readCommitments } from "../commitments/uses.ts";
import { readConfig } from "../config/read-config.ts";
import type { Notice } from "./notice.ts";
import { Unused } from "./unused.ts";

const DAY_MS = 86_400_000;
const NOVEMBER = Date.UTC(2026, 10, 1);

test("what will be paid for nothing is told from its share on, for each window anew, and not while nobody can know", async () => {
  const recording = startRecording();
  const text = "providers: { openai: {} }\ncommitments: [{ name: c, provider: openai, commit: $30 / month }]";
  const { commitments } = readConfig({ text, environment: {}, now: NOVEMBER });
  let now = NOVEMBER;
  const told: { readonly notice: Notice; readonly until: number; readonly once: string | undefined }[] = [];
  const unused = new Unused({
    alerts: { tell: (notice, _channels, until, once) => told.push({ notice, until, once }) },
    read: () => readCommitments(commitments, { ...recording.source, now }),
    now: () => now,
  });
  unused.configure([
    { share: 1_000, channels: ["finance"] },
    { share: 5_000, channels: undefined },
  ]);
  const look = async (at: number) => {
    now = at;
    told.length = 0;
    await unused.look();
    return told.map(({ notice: { text } }) => text);
  };
  // 85 cents a day: seventeen twentieths of what is promised.
  for (let day = 0; day < 25; day++) await recording.call(NOVEMBER + day * DAY_MS, 850_000);
  assert.deepEqual(await look(NOVEMBER + DAY_MS / 2), [], "after half a day");
  assert.deepEqual(await look(NOVEMBER + 7 * DAY_MS - 1), [
    "$5.95 of $30.00 (19 %) are used; at this pace $4.50 will be paid for nothing by 2026-12-01 00:00 UTC.",
  ]);
  const [first] = told;
  assert.equal(first?.until, Date.UTC(2026, 11, 1));
  assert.deepEqual(await look(NOVEMBER + 7 * DAY_MS + 59_998), [], "looked at a moment ago");
  await recording.call(NOVEMBER + 26 * DAY_MS, 100_000);
  assert.equal((await look(NOVEMBER + 27 * DAY_MS)).length, 1);
  assert.equal(told[0]?.once, first?.once, "the same window is told once");
  assert.equal((await look(Date.UTC(2026, 11, 6))).length, 2, "now more than half of December");
  assert.notEqual(told[0]?.once, first?.once);
  assert.notEqual(told[0]?.notice.id, told[1]?.notice.id, "who drops ids that were handled hears of both shares");
});
