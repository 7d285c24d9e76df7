import assert from "node:assert/strict";
import { test } from "node:test";
import { createPriceBook } from "@purser/core/prices";
import { type Bill, DAY_MS, type Days, dayText, NO_TOKENS } from "../reconciliation/bill.ts";
import type { LedgerLine } from "../reconciliation/reconcile.ts";
import { Captured } from "./captured.ts";
import type { Notice } from "./notice.ts";

const DOLLAR = 1_000_000_000;
const HOUR_MS = 3_600_000;
const TODAY = Date.UTC(2026, 10, 20);

/** A provider that bills $100 a day, beside a ledger that has so many dollars on each of the days before today. */
function startCaptured(dollars: (day: string) => number, share = 9_700) {
  const clock = { now: TODAY + 7 * HOUR_MS };
  const told: { readonly notice: Notice; readonly channels: unknown; readonly once: string }[] = [];
  const asked: Days[] = [];
  const provider = { isDown: false };
  const each = ({ from, to }: Days) => Array.from({ length: (to - from) / DAY_MS }, (_, i) => from + i * DAY_MS);
  const span = (from: number) => ({ from, to: from + DAY_MS, provider: "openai" });
  const captured = new Captured({
    alerts: { tell: (notice, channels, _until, once = "") => void told.push({ notice, channels, once }) },
    providers: () => ["openai"],
    bill: async (_name, days): Promise<Bill> => {
      asked.push(days);
      if (provider.isDown) throw new Error("OpenAI answered 503.");
      const lines = each(days).map((from) => ({ ...span(from), model: "gpt-4o", cost: 100 * DOLLAR }));
      return { lines, spans: lines, leftOut: [], notes: [] };
    },
    ledger: async (days) =>
      each(days).map((from): LedgerLine => {
        const amounts = {
          calls: 1,
          cost: dollars(dayText(from)) * DOLLAR,
          estimated: 0,
          unconfirmed: 0,
          unpricedCalls: 0,
          tokens: NO_TOKENS,
        };
        return { ...span(from), model: "gpt-4o", amounts };
      }),
    prices: () => createPriceBook(),
    now: () => clock.now,
  });
  captured.configure([{ share, channels: ["finance"] }]);
  const look = async (afterMs = 0) => {
    clock.now += afterMs;
    await captured.look();
    return told.splice(0);
  };
  return { captured, look, asked, provider };
}

test("a day of which too little was captured is told of, with how to see why; yesterday is not judged", async () => {
  const { captured, look } = startCaptured((day) => ({ "2026-11-16": 90, "2026-11-19": 0 })[day] ?? 100);
  const [told, ...others] = await look();
  assert.deepEqual(others, []);
  assert.deepEqual([told?.notice.kind, told?.channels], ["bill.differs", ["finance"]]);
  assert.equal(
    told?.notice.text,
    "Of 2026-11-16 at openai, 90.0 % of what was billed is in the ledger, less than 97 %. `purser reconcile --provider openai` says why.",
  );
  assert.deepEqual(told?.notice.data, {
    provider: "openai",
    from: "2026-11-16T00:00:00.000Z",
    to: "2026-11-17T00:00:00.000Z",
    kind: "below",
    billed_nanodollars: 100 * DOLLAR,
    ledger_nanodollars: 90 * DOLLAR,
    captured: 0.9,
  });
  // Eight complete days, of which one has a tenth less.
  assert.deepEqual(captured.state, [{ provider: "openai", at: TODAY + 7 * HOUR_MS, captured: 790 / 800 }]);
});

test("a provider is asked once a day, and the same day is told of under the same name", async () => {
  const { look, asked } = startCaptured((day) => (day === "2026-11-16" ? 110 : 100));
  const [first] = await look();
  assert.match(first?.notice.text ?? "", /110\.0 % of what was billed is in the ledger, more than 103 %/);
  assert.deepEqual(await look(HOUR_MS), []);
  assert.deepEqual(await look(15 * HOUR_MS), []);
  const [again] = await look(HOUR_MS);
  assert.deepEqual([again?.once, again?.notice.id], [first?.once, first?.notice.id]);
  assert.deepEqual(
    asked.map(({ from, to }) => [dayText(from), dayText(to)]),
    [
      ["2026-11-11", "2026-11-20"],
      ["2026-11-12", "2026-11-21"],
    ],
  );
});

test("of two shares that a day falls short of each is told under a name of its own, about the same", async () => {
  const { captured, look } = startCaptured((day) => (day === "2026-11-16" ? 50 : 100));
  captured.configure([
    { share: 9_700, channels: ["finance"] },
    { share: 8_000, channels: ["finance", "chief"] },
  ]);
  const [first, second, ...others] = await look();
  assert.equal(others.length, 0);
  assert.notEqual(first?.notice.id, second?.notice.id);
  assert.equal(first?.notice.about, second?.notice.about);
});

test("a provider that does not say is told to the operator, and asked again in an hour", async () => {
  const { look, asked, provider, captured } = startCaptured(() => 50);
  provider.isDown = true;
  await assert.rejects(look(), /OpenAI answered 503/);
  provider.isDown = false;
  assert.deepEqual(await look(HOUR_MS - 1), []);
  assert.deepEqual(captured.state, []);
  assert.equal((await look(1)).length, 8);
  assert.equal(asked.length, 2);
});

test("nobody is asked where nobody is told", async () => {
  const { captured, look, asked } = startCaptured(() => 50);
  captured.configure([]);
  assert.deepEqual([await look(), asked.length], [[], 0]);
});
