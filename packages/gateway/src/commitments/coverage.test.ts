import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { REPORT_AMOUNTS, reportLedger } from "@purser/core";
import { readConfig } from "../config/read-config.ts";
import type { Commitment } from "./commitment.ts";
import { type Coverage, coverageOf } from "./coverage.ts";
import { startRecording } from "./recorded.test-setup.ts";
import { type SharedRow, shareRows } from "./shares.ts";
import { readCoverages } from "./uses.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const DOLLAR = 1_000_000_000;
/** In tokens. */
const DOLLARS = 1_000_000;
const NOVEMBER = Date.UTC(2026, 10, 1);
const DECEMBER = Date.UTC(2026, 11, 1);

function commitmentsOf(...all: readonly string[]): readonly Commitment[] {
  const list = all.map((fields, i) => `{ name: c${i}, ${fields} }`).join(", ");
  const text = `providers: { openai: {}, azure: { base_url: "https://crew.openai.azure.com/openai/v1" } }\ncommitments: [${list}]`;
  return readConfig({ text, environment: {}, now: NOVEMBER }).commitments;
}

type Recording = ReturnType<typeof startRecording>;

async function covered(
  recording: Recording,
  commitments: readonly Commitment[],
  { since = NOVEMBER, until = DECEMBER, now = DECEMBER }: { since?: number; until?: number; now?: number } = {},
): Promise<{ readonly coverages: readonly Coverage[]; readonly rows: readonly SharedRow[] }> {
  const terms = { span: { startsAt: since, endsAt: until }, periodMs: DAY_MS, now };
  const coverages = await readCoverages(commitments, recording.source, terms);
  const whole = await reportLedger(recording.store, { since, until, by: ["provider", "model"], step: "day", timeZone: "UTC" });
  return { coverages, rows: shareRows(whole, { coverages, periodMs: DAY_MS, whole, at: { provider: 0, model: 1 } }) };
}

function chargesOf(coverage: Coverage | undefined) {
  return coverage?.charges.map(({ kind, startsAt, quantity, cost }) => [kind, (startsAt - NOVEMBER) / DAY_MS, quantity, cost]);
}

const paidFor = (rows: readonly SharedRow[]) => rows.map(({ covered }) => covered.reduce((sum, { cost }) => sum + cost, 0));
const sumOf = (amounts: readonly number[]) => amounts.reduce((sum, one) => sum + one, 0);

describe("what a commitment to money pays for", () => {
  const MONTHLY = "provider: openai, commit: $100 / month, discount: 10%";

  test("is what comes first in its month, so that no later call changes a day that is over", async () => {
    const recording = startRecording();
    for (let day = 0; day < 5; day++) await recording.call(NOVEMBER + day * DAY_MS, 30 * DOLLARS);
    const commitments = commitmentsOf(MONTHLY);
    const early = await covered(recording, commitments, { until: NOVEMBER + 3 * DAY_MS, now: NOVEMBER + 3 * DAY_MS });
    const late = await covered(recording, commitments);
    assert.deepEqual(
      paidFor(late.rows),
      [27, 27, 27, 19, 0].map((dollars) => dollars * DOLLAR),
    );
    assert.deepEqual(paidFor(early.rows), paidFor(late.rows).slice(0, 3));
    assert.deepEqual(chargesOf(late.coverages[0]), [["bought", 0, 100 * DOLLAR, 100 * DOLLAR]]);
  });

  test("takes the discount off what goes beyond it as well, to the nano-dollar", async () => {
    const recording = startRecording();
    for (let day = 0; day < 5; day++) await recording.call(NOVEMBER + day * DAY_MS, 30 * DOLLARS + day);
    const { rows } = await covered(recording, commitmentsOf(MONTHLY));
    const ledger = 150 * DOLLAR + 10_000;
    const beyond = sumOf(rows.map(({ rest, less }) => rest.cost - sumOf(less.map(({ amount }) => amount))));
    assert.equal(sumOf(paidFor(rows)), 100 * DOLLAR);
    assert.equal(beyond, ledger - ledger / 10 - 100 * DOLLAR);
    const parts = rows.flatMap(({ covered, rest }) => [...covered.map(({ row }) => row), rest]);
    assert.equal(sumOf(parts.map(({ cost }) => cost)), ledger);
    assert.equal(sumOf(parts.map(({ inputTokens }) => inputTokens)), 150 * DOLLARS + 10);
  });

  test("is shared by the models of a day so that the shares are the whole, to the nano-dollar", async () => {
    const recording = startRecording();
    for (const model of ["a", "b", "c"]) await recording.call(NOVEMBER, 50 * DOLLARS, { provider: "openai", model });
    const { rows } = await covered(recording, commitmentsOf(MONTHLY));
    assert.equal(rows.length, 3);
    assert.deepEqual([sumOf(paidFor(rows)), sumOf(rows.map(({ covered }) => covered[0]?.quantity ?? 0))], [100 * DOLLAR, 100 * DOLLAR]);
    assert.ok(paidFor(rows).every((cost) => Math.abs(cost - (100 * DOLLAR) / 3) <= 1));
  });

  test("is not more unused than was bought where corrections take back more than was used", () => {
    const [commitment] = commitmentsOf(MONTHLY) as readonly [Commitment];
    const nothing = Object.fromEntries(REPORT_AMOUNTS.map((name) => [name, 0])) as Record<(typeof REPORT_AMOUNTS)[number], number>;
    const hours = [{ ...nothing, from: NOVEMBER, to: NOVEMBER + HOUR_MS, values: [], cost: -5 * DOLLAR }];
    const span = { startsAt: NOVEMBER, endsAt: DECEMBER };
    const { charges } = coverageOf(commitment, { span, periodMs: DAY_MS, hours, now: DECEMBER });
    assert.deepEqual(
      charges.map(({ kind, quantity }) => [kind, quantity]),
      [
        ["bought", 100 * DOLLAR],
        ["unused", 100 * DOLLAR],
      ],
    );
  });

  test("counts what was used of its month before the time that is asked for, and is told unused once, where the month is over", async () => {
    const recording = startRecording();
    await recording.call(NOVEMBER + DAY_MS, 80 * DOLLARS);
    await recording.call(NOVEMBER + 20 * DAY_MS, 10 * DOLLARS);
    const commitments = commitmentsOf("provider: openai, commit: $85 / month");
    const middle = NOVEMBER + 15 * DAY_MS;
    const first = await covered(recording, commitments, { until: middle });
    const second = await covered(recording, commitments, { since: middle });
    assert.deepEqual([paidFor(first.rows), paidFor(second.rows)], [[80 * DOLLAR], [5 * DOLLAR]]);
    assert.deepEqual(chargesOf(first.coverages[0]), [["bought", 0, 85 * DOLLAR, 85 * DOLLAR]]);
    assert.deepEqual(chargesOf(second.coverages[0]), []);
    const idle = commitmentsOf("provider: openai, commit: $200 / month");
    assert.deepEqual(chargesOf((await covered(recording, idle, { until: middle })).coverages[0])?.length, 1);
    assert.deepEqual(chargesOf((await covered(recording, idle, { since: middle })).coverages[0]), [
      ["unused", 0, 110 * DOLLAR, 110 * DOLLAR],
    ]);
    const running = await covered(recording, idle, { since: middle, now: DECEMBER - 1 });
    assert.deepEqual(chargesOf(running.coverages[0]), [], "a month that is not over has nothing unused yet");
  });

  test("is no more and no less where a contract begins in the middle of a day of UTC", async () => {
    const recording = startRecording();
    // In Berlin the 10th begins at 23:00 of the 9th.
    await recording.call(NOVEMBER + 8 * DAY_MS + 22 * HOUR_MS, 1 * DOLLARS);
    await recording.call(NOVEMBER + 8 * DAY_MS + 23 * HOUR_MS, 2 * DOLLARS);
    const commitments = commitmentsOf("provider: openai, commit: $10 / month, from: 2026-11-10, timezone: Europe/Berlin");
    const { rows } = await covered(recording, commitments);
    assert.deepEqual([paidFor(rows), rows[0]?.rest.cost], [[2 * DOLLAR], 1 * DOLLAR]);
  });
});

describe("what bought capacity pays for", () => {
  const CAPACITY = "provider: azure, models: [gpt-4o], commit: 1k tokens / minute, price: $6 / hour";
  const azure = { provider: "azure" };

  test("is used or unused by the hour, and both are what was bought", async () => {
    const recording = startRecording();
    await recording.call(NOVEMBER, 30_000, azure);
    await recording.call(NOVEMBER + HOUR_MS, 90_000, azure);
    await recording.call(NOVEMBER + HOUR_MS, 1, { provider: "azure", model: "o3" });
    const { coverages, rows } = await covered(recording, commitmentsOf(CAPACITY), { until: NOVEMBER + DAY_MS });
    assert.deepEqual(paidFor(rows), [9 * DOLLAR, 0]);
    assert.deepEqual(chargesOf(coverages[0]), [
      ["bought", 0, 24 * 60_000, 144 * DOLLAR],
      ["unused", 0, 24 * 60_000 - 90_000, 135 * DOLLAR],
    ]);
    // 30,000 tokens of the second hour went beyond it, at the prices of the ledger.
    assert.deepEqual(
      rows.map(({ covered, rest }) => [covered[0]?.quantity, covered[0]?.row.cost, rest.cost]),
      [
        [90_000, 90_000_000, 30_000_000],
        [undefined, undefined, 1_000],
      ],
    );
  });

  test("costs in all of its months what it costs, however it is shared", async () => {
    const recording = startRecording();
    for (let hour = 0; hour < 100; hour += 7) await recording.call(NOVEMBER + hour * HOUR_MS, 12_345 + hour, azure);
    const monthly = commitmentsOf("provider: azure, models: [gpt-4o], commit: 1k tokens / minute, price: $1000 / month");
    const { coverages, rows } = await covered(recording, monthly);
    const charges = coverages[0]?.charges ?? [];
    const costOf = (kind: string) => sumOf(charges.filter((one) => one.kind === kind).map(({ cost }) => cost));
    assert.equal(costOf("bought"), 1_000 * DOLLAR);
    assert.equal(costOf("unused") + sumOf(paidFor(rows)), 1_000 * DOLLAR);
  });

  test("pays for a call once where two commitments are for it, the first before the second", async () => {
    const recording = startRecording();
    await recording.call(NOVEMBER, 90_000, azure);
    const both = commitmentsOf(CAPACITY, "provider: azure, commit: $10 / month");
    const { rows } = await covered(recording, both, { until: NOVEMBER + DAY_MS });
    assert.deepEqual(
      rows[0]?.covered.map(({ commitment, row }) => [commitment.name, row.cost]),
      [
        ["c0", 60_000_000],
        ["c1", 30_000_000],
      ],
    );
    assert.equal(rows[0]?.rest.cost, 0);
  });

  test("is nothing where it is not in force", async () => {
    const recording = startRecording();
    await recording.call(NOVEMBER, 90_000, azure);
    const { coverages, rows } = await covered(recording, commitmentsOf(`${CAPACITY}, from: 2026-12-01`));
    assert.deepEqual([coverages.length, paidFor(rows)], [0, [0]]);
  });
});
