import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readAdviceQuery } from "../admin/commitment-json.ts";
import type { Advice } from "./advice.ts";
import { startRecording } from "./recorded.test-setup.ts";
import { readAdvice } from "./uses.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const DOLLAR = 1_000_000_000;
/** In tokens. */
const DOLLARS = 1_000_000;
/** A twelfth of a year. */
const MONTH_MS = (365.25 / 12) * DAY_MS;
const BEGIN = Date.UTC(2026, 7, 1);

type Recording = ReturnType<typeof startRecording>;

async function adviceOn(recording: Recording, days: number, asked = ""): Promise<readonly Advice[]> {
  const query = readAdviceQuery(new URLSearchParams(asked), { now: BEGIN + days * DAY_MS, timeZone: "UTC" });
  return readAdvice(recording.source, query);
}

/** So many dollars on each day. */
async function spend(recording: Recording, dollars: (day: number) => number, days: number): Promise<void> {
  for (let day = 0; day < days; day++) await recording.call(BEGIN + day * DAY_MS, dollars(day) * DOLLARS);
}

describe("advice on commitments", () => {
  test("names the part of spend that was always there, and no discount that nobody offers", async () => {
    const recording = startRecording();
    // $7 in eleven weeks, $70 in one.
    await spend(recording, (day) => (day >= 35 && day < 42 ? 10 : 1), 84);
    const [advice, ...others] = await adviceOn(recording, 84);
    assert.equal(others.length, 0);
    assert.equal(advice?.ledgerCost, 147 * DOLLAR);
    assert.deepEqual([advice?.steady?.of, advice?.steady?.count], ["weeks", 12]);
    const monthly = Math.floor((7 * DOLLAR * MONTH_MS) / (7 * DAY_MS));
    assert.equal(advice?.steady?.monthly, monthly);
    assert.equal(advice?.steady?.paysFrom, 0);
    assert.deepEqual([advice?.discount, advice?.offers], [undefined, []]);
  });

  test("a discount is worth a commitment up to an amount: from there on more is paid for nothing than it saves", async () => {
    const recording = startRecording();
    await spend(recording, (day) => (day < 30 ? 1 : 3), 60);
    const offer = (dollars: number) => `offer=${encodeURIComponent(`$${dollars.toFixed(9)} / month for 10%`)}`;
    const [advice] = await adviceOn(recording, 60, "discount=10%");
    const { usedUp = 0, paysUpTo = 0, saved } = advice?.discount ?? {};
    assert.equal(saved, 12 * DOLLAR, "a tenth of $120");
    // $27 in the first thirty days, by the discount, of which a month has a little more.
    assert.equal(usedUp, Math.floor((27 * DOLLAR * MONTH_MS) / (30 * DAY_MS)));
    const [reckoned] = await adviceOn(
      recording,
      60,
      [usedUp, usedUp * 1.1, paysUpTo, paysUpTo + 1000].map((amount) => offer(amount / DOLLAR)).join("&"),
    );
    const [atMost, more, even, tooMuch] = reckoned?.offers ?? [];
    assert.ok(atMost && more && even && tooMuch);
    assert.deepEqual([atMost.unused, atMost.ledgerCost - atMost.billed], [0, 12 * DOLLAR]);
    assert.ok(more.unused > 0 && more.ledgerCost - more.billed < 12 * DOLLAR);
    assert.ok(even.ledgerCost - even.billed >= 0);
    assert.ok(tooMuch.ledgerCost - tooMuch.billed < 0);
    assert.equal(more.unused, Math.floor((Math.round(usedUp * 1.1) * (30 * DAY_MS)) / MONTH_MS) - 27 * DOLLAR);
    assert.ok((even.paysFrom ?? Infinity) <= 1_000 && (tooMuch.paysFrom ?? 0) > 1_000);
  });

  test("more than was ever used pays with no discount", async () => {
    const recording = startRecording();
    await spend(recording, () => 1, 60);
    const [advice] = await adviceOn(recording, 60, "offer=$40 / month for 50%");
    assert.equal(advice?.offers[0]?.paysFrom, undefined);
    assert.ok((advice?.offers[0]?.billed ?? 0) > 60 * DOLLAR);
  });

  test("capacity is reckoned by the hour against what its tokens cost, and pays below what they did", async () => {
    const recording = startRecording();
    for (let hour = 0; hour < 72; hour++) {
      await recording.call(BEGIN + hour * HOUR_MS, hour % 2 === 0 ? 120_000 : 30_000);
      await recording.call(BEGIN + hour * HOUR_MS, 6_000, { model: "o3" });
    }
    const offer = (price: string) => `offer=${encodeURIComponent(`1000 tokens / minute for ${price}`)}`;
    const [advice] = await adviceOn(
      recording,
      3,
      `model=gpt-4o&${offer("$0.045 / hour")}&${offer("$0.0451 / hour")}&${offer("$1.08 / day")}`,
    );
    // 60,000 of 120,000 in one hour, 30,000 in the other, at 1,000 nano-dollars each: $0.045 an hour.
    const [even, dearer, daily] = advice?.offers ?? [];
    assert.equal(even?.ledgerCost, 36 * 150_000_000);
    assert.equal(even?.billed, even?.ledgerCost);
    assert.equal(even?.paysUpTo, 45_000_000);
    assert.deepEqual([even?.committed, even?.unused], [72 * 60_000, 36 * 30_000]);
    assert.equal((dearer?.billed ?? 0) - (dearer?.ledgerCost ?? 0), 72 * 100_000);
    assert.equal(daily?.billed, even?.billed);
    const both = await adviceOn(recording, 3);
    assert.deepEqual(both[0]?.models, [
      { model: "gpt-4o", tokensPerMinute: 500, hourly: 30_000_000 },
      { model: "o3", tokensPerMinute: 100, hourly: 6_000_000 },
    ]);
  });

  test("providers are apart, those first where most was spent, each since its first call", async () => {
    const recording = startRecording();
    await spend(recording, () => 1, 20);
    await recording.call(BEGIN + 19 * DAY_MS + HOUR_MS, 100 * DOLLARS, { provider: "azure" });
    const [azure, openai] = await adviceOn(recording, 20);
    assert.deepEqual([azure?.provider, azure?.steady, azure?.models], ["azure", undefined, []]);
    assert.equal(azure?.recorded.startsAt, BEGIN + 19 * DAY_MS + HOUR_MS);
    assert.deepEqual([openai?.provider, openai?.steady?.of], ["openai", "weeks"]);
  });

  for (const [asked, message] of [
    ["discount=120%", /"120%" is no discount/],
    ["offer=$5 / month", /no offer\. Write \$10,000 \/ month for 12%/],
    ["offer=$5 / week for 3%", /nothing to commit to.*month/],
    ["offer=$5 / minute for 3%", /money by the minute/],
    ["offer=100 tokens / minute for 3%", /"3%"/],
    ["since=2027-01-01", /nothing lies between/],
    ["since=yesterday", /"since" is a day/],
  ] as const)
    test(`"${asked}" is refused with what to write`, () => {
      const read = () => readAdviceQuery(new URLSearchParams(asked), { now: BEGIN, timeZone: "UTC" });
      assert.throws(read, { code: "body_invalid", message });
    });
});
