import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readConfig } from "../config/read-config.ts";
import type { Commitment } from "./commitment.ts";
import { startRecording } from "./recorded.test-setup.ts";
import type { CommitmentStanding } from "./standing.ts";
import { readCommitments } from "./uses.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const DOLLAR = 1_000_000_000;
/** In tokens. */
const DOLLARS = 1_000_000;
const NOVEMBER = Date.UTC(2026, 10, 1);

function commitmentOf(fields: string, now = NOVEMBER): Commitment {
  const text = `providers: { openai: {}, azure: { base_url: "https://crew.openai.azure.com/openai/v1" } }\ncommitments: [{ name: c, ${fields} }]`;
  const [commitment] = readConfig({ text, environment: {}, now }).commitments;
  assert.ok(commitment);
  return commitment;
}

type Recording = ReturnType<typeof startRecording>;

async function standing(recording: Recording, fields: string, now: number): Promise<CommitmentStanding> {
  const [found] = await readCommitments([commitmentOf(fields, now)], { ...recording.source, now });
  assert.ok(found);
  return found;
}

describe("a commitment to money", () => {
  const OPENAI = "provider: openai, commit: $10,000 / month";

  test("says by the 20th what will be paid for nothing at this pace", async () => {
    const recording = startRecording();
    for (let day = 0; day < 20; day++) await recording.call(NOVEMBER + day * DAY_MS, 310 * DOLLARS);
    const found = await standing(recording, OPENAI, NOVEMBER + 20 * DAY_MS);
    assert.deepEqual([found.used, found.committed, found.left, found.unused], [6_200 * DOLLAR, 10_000 * DOLLAR, 3_800 * DOLLAR, 0]);
    // Ten days more of $310, as in each of the last seven.
    assert.deepEqual(found.expected, { used: 9_300 * DOLLAR, unused: 700 * DOLLAR, unusedCost: 700 * DOLLAR });
    assert.deepEqual([found.cost, found.ledgerCost, found.coveredCost], [10_000 * DOLLAR, 6_200 * DOLLAR, 6_200 * DOLLAR]);
  });

  test("is used up by what the provider bills, which is the ledger less the discount, to the nano-dollar", async () => {
    const recording = startRecording();
    await recording.call(NOVEMBER, 12_345);
    await recording.call(NOVEMBER + HOUR_MS, 1);
    const found = await standing(recording, "provider: openai, commit: $0.01 / month, discount: 12.34%", NOVEMBER + DAY_MS);
    // The discount of 12,346,000 is 1,523,496.4: rounded down, and reckoned once for the month, not for each hour.
    assert.equal(found.used + found.over, 12_346_000 - 1_523_496);
    assert.deepEqual([found.used, found.over, found.left], [10_000_000, 822_504, 0]);
    assert.equal(found.ledgerCost, 12_346_000);
    assert.equal(found.coveredCost, Math.floor((12_346_000 * 10_000_000) / 10_822_504));
    assert.equal(found.expected?.unused, 0);
  });

  test("counts the calls to its providers and models, and no others, from the first instant of its month to the last", async () => {
    const recording = startRecording();
    const berlin = NOVEMBER - HOUR_MS;
    await recording.call(berlin - HOUR_MS, 1 * DOLLARS);
    await recording.call(berlin, 2 * DOLLARS, { model: "GPT-4o-mini" });
    await recording.call(berlin + DAY_MS, 4 * DOLLARS, { provider: "azure" });
    await recording.call(berlin + DAY_MS, 8 * DOLLARS, { model: "o3" });
    await recording.call(berlin + DAY_MS, 16 * DOLLARS, { provider: "anthropic" });
    const fields = "provider: [openai, az*], models: [gpt-4o*], commit: $100 / month, timezone: Europe/Berlin";
    assert.equal((await standing(recording, fields, berlin + 2 * DAY_MS)).used, 6 * DOLLAR);
    assert.equal((await standing(recording, fields, berlin - 1)).used, 1 * DOLLAR);
    assert.equal((await standing(recording, fields, berlin + 30 * DAY_MS)).used, 0, "the next month begins with nothing");
  });

  test("has windows that begin on its first day, and ends with its last", async () => {
    const recording = startRecording();
    await recording.call(Date.UTC(2026, 10, 14, 23), 1 * DOLLARS);
    await recording.call(Date.UTC(2026, 10, 15), 2 * DOLLARS);
    await recording.call(Date.UTC(2027, 10, 14, 23), 4 * DOLLARS);
    await recording.call(Date.UTC(2027, 10, 15), 8 * DOLLARS);
    const fields = "provider: openai, commit: $100 / year, from: 2026-11-15, until: 2027-11-14";
    const before = await standing(recording, fields, Date.UTC(2026, 10, 14));
    assert.deepEqual([before.state, before.used, before.expected], ["not begun", 0, undefined]);
    const running = await standing(recording, fields, Date.UTC(2027, 10, 14, 23, 30));
    assert.deepEqual([running.state, running.used, running.unused], ["running", 6 * DOLLAR, 0]);
    const over = await standing(recording, fields, Date.UTC(2027, 11, 1));
    assert.deepEqual([over.state, over.used, over.unused, over.left, over.expected], ["over", 6 * DOLLAR, 94 * DOLLAR, 0, undefined]);
    assert.deepEqual(over.window, { startsAt: Date.UTC(2026, 10, 15), endsAt: Date.UTC(2027, 10, 15) });
  });

  test("by the hour, what one hour leaves is no other's", async () => {
    const recording = startRecording();
    await recording.call(NOVEMBER, 3 * DOLLARS);
    await recording.call(NOVEMBER + 2 * HOUR_MS, 5 * DOLLARS);
    const found = await standing(recording, "provider: openai, commit: $4 / hour", NOVEMBER + 3 * HOUR_MS);
    assert.deepEqual([found.used, found.unused, found.over], [7 * DOLLAR, 5 * DOLLAR, 1 * DOLLAR]);
    assert.deepEqual([found.committed, found.cost], [30 * 24 * 4 * DOLLAR, 30 * 24 * 4 * DOLLAR]);
    assert.equal(found.unusedCost, 5 * DOLLAR);
  });

  test("is not judged before its pace is known; one that nobody uses is, once others have been there for a day", async () => {
    const recording = startRecording();
    await recording.call(NOVEMBER, 1 * DOLLARS, { provider: "azure" });
    assert.equal((await standing(recording, OPENAI, NOVEMBER + DAY_MS - 1)).expected, undefined);
    assert.equal((await standing(recording, OPENAI, NOVEMBER + DAY_MS)).expected?.unused, 10_000 * DOLLAR);
    await recording.call(NOVEMBER + 2 * DAY_MS, 1 * DOLLARS);
    assert.equal((await standing(recording, OPENAI, NOVEMBER + 2 * DAY_MS + HOUR_MS)).expected, undefined, "it was used for an hour");
    assert.equal((await standing(startRecording(), OPENAI, NOVEMBER + 20 * DAY_MS)).expected, undefined, "no call was ever seen");
  });
});

describe("capacity", () => {
  const CAPACITY = "provider: azure, commit: 1000 tokens / minute, price: $2 / hour";
  const azure = { provider: "azure" };

  test("is paid by the hour, used or not, and what is beyond it in an hour is not made up for by another", async () => {
    const recording = startRecording();
    await recording.call(NOVEMBER, 90_000, azure);
    await recording.call(NOVEMBER + HOUR_MS, 15_000, { ...azure, outputTokens: 15_000 });
    const found = await standing(recording, CAPACITY, NOVEMBER + 4 * HOUR_MS);
    assert.deepEqual([found.used, found.over, found.unused], [60_000 + 30_000, 30_000, 30_000 + 60_000 + 60_000]);
    assert.deepEqual([found.committed, found.cost], [30 * 24 * 60_000, 30 * 24 * 2 * DOLLAR]);
    assert.equal(found.unusedCost, 5 * DOLLAR, "two and a half hours of four");
    // Two thirds of the first hour's calls, and all of the second's.
    assert.equal(found.coveredCost, 60_000_000 + 30_000_000);
    assert.equal(found.ledgerCost, 120_000_000);
  });

  test("leads where its last hours lead, each for itself", async () => {
    const recording = startRecording();
    // Every second hour is too full, and the other one empty: half is used, though the sum would be more than all.
    for (let hour = 0; hour < 48; hour += 2) await recording.call(NOVEMBER + hour * HOUR_MS, 200_000, azure);
    const found = await standing(recording, CAPACITY, NOVEMBER + 48 * HOUR_MS);
    assert.equal(found.used, 24 * 60_000);
    // The hour that is just over is not among those that the rest is told from.
    const usual = (24 * 60_000) / 47;
    assert.equal(found.expected?.used, Math.round(24 * 60_000 + (720 - 48) * usual));
  });

  test("weighs tokens as the provider does, and counts in units", async () => {
    const recording = startRecording();
    await recording.call(NOVEMBER, 1_000, { ...azure, outputTokens: 500 });
    const fields = "provider: azure, commit: 100 tokens / minute, units: 3, price: $1 / day, weights: { output: 4 }";
    const found = await standing(recording, fields, NOVEMBER + HOUR_MS);
    assert.deepEqual([found.used, found.committed], [3_000, 30 * 24 * 60 * 300]);
    assert.equal(found.cost, 30 * 3 * DOLLAR);
  });

  test("is bought and paid until its last hour, and no longer", async () => {
    const recording = startRecording();
    await recording.call(NOVEMBER, 30_000, azure);
    const until = `${CAPACITY}, until: 2026-11-10`;
    const running = await standing(recording, until, NOVEMBER + 9 * DAY_MS);
    assert.deepEqual([running.committed, running.cost], [240 * 60_000, 240 * 2 * DOLLAR]);
    const over = await standing(recording, until, NOVEMBER + 20 * DAY_MS);
    assert.deepEqual([over.state, over.used, over.unused], ["over", 30_000, 240 * 60_000 - 30_000]);
  });

  test("that is paid by the year is looked at by the year", async () => {
    const recording = startRecording();
    await recording.call(Date.UTC(2026, 0, 1), 60_000, azure);
    const found = await standing(recording, "provider: azure, commit: 1000 input tokens / minute, price: $8760 / year", NOVEMBER);
    assert.deepEqual(found.window, { startsAt: Date.UTC(2026, 0, 1), endsAt: Date.UTC(2027, 0, 1) });
    assert.deepEqual([found.used, found.cost], [60_000, 8_760 * DOLLAR]);
    assert.equal(found.unusedCost, (304 * 24 - 1) * DOLLAR);
  });
});
