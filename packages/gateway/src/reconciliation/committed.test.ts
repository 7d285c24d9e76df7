import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { reportLedger } from "@purser/core";
import { createPriceBook } from "@purser/core/prices";
import { focusCsv } from "../admin/reports/focus.ts";
import { reconciliationText } from "../cli/reconciliation-text.ts";
import { styleFor } from "../cli/style.ts";
import { startRecording } from "../commitments/recorded.test-setup.ts";
import { shareRows } from "../commitments/shares.ts";
import { readCoverages } from "../commitments/uses.ts";
import { readConfig } from "../config/read-config.ts";
import { type BilledLine, DAY_MS, type Days } from "./bill.ts";
import { type ChargeTerms, type CommittedLines, committedCharges } from "./committed.ts";
import { readCommittedLines, readLedgerLines } from "./ledger-lines.ts";
import { type Reconciliation, reconcile } from "./reconcile.ts";
import { reconciliationJson } from "./reconciliation-json.ts";
import { readTable } from "./table-bill.ts";

const DOLLAR = 1_000_000_000;
/** In tokens. */
const DOLLARS = 1_000_000;
const NOVEMBER = Date.UTC(2026, 10, 1);
const DECEMBER = Date.UTC(2026, 11, 1);
const LATER = DECEMBER + 10 * DAY_MS;
const MONEY = "provider: openai, commit: $100 / month, discount: 10%";
const CAPACITY = "provider: openai, models: [gpt-4o], commit: 1k tokens / minute, price: $0.50 / hour";

type Recording = ReturnType<typeof startRecording>;
const dayAt = (day: number) => ({ from: NOVEMBER + day * DAY_MS, to: NOVEMBER + (day + 1) * DAY_MS, provider: "openai" });
const billed = (day: number, cost: number, line: Partial<BilledLine> = {}): BilledLine => ({
  ...dayAt(day),
  model: "gpt-4o",
  cost: Math.round(cost * DOLLAR),
  ...line,
});
const everyDay = (days: number, line: (day: number) => BilledLine) => Array.from({ length: days }, (_, day) => line(day));

async function compared(recording: Recording, fields: string, lines: readonly BilledLine[], days = 30): Promise<Reconciliation> {
  const text = `providers: { openai: {}, anthropic: {} }\ncommitments: [{ name: c, ${fields} }]`;
  const { commitments } = readConfig({ text, environment: {}, now: NOVEMBER });
  const span = { from: NOVEMBER, to: NOVEMBER + days * DAY_MS };
  const figures = { report: (query: Parameters<typeof reportLedger>[1]) => reportLedger(recording.store, query) };
  const committed = await readCommittedLines(commitments, recording.source, { ...span, now: LATER });
  const bill = { lines, spans: everyDay(days, (day) => billed(day, 0)), leftOut: [], notes: [] };
  const ledger = await readLedgerLines(figures, span);
  const [one] = reconcile({ bill, ledger, committed, names: new Map(), prices: createPriceBook(), least: 0.97, now: LATER });
  assert.ok(one);
  return one;
}

const alarmsOf = ({ days, total }: Reconciliation) => [...days.flatMap(({ alarm }) => alarm ?? []), ...(total?.alarm ? ["total"] : [])];

function textOf(one: Reconciliation): string {
  const json = reconciliationJson({ providers: [one], leftOut: [], notes: [], least: 0.97 });
  return reconciliationText([one], json, styleFor({}, {}));
}

describe("a bill with a discount that was promised for", () => {
  test("agrees with the ledger less the discount, and names it", async () => {
    const recording = startRecording();
    for (let day = 0; day < 30; day++) await recording.call(NOVEMBER + day * DAY_MS, 10 * DOLLARS);
    const found = await compared(
      recording,
      MONEY,
      everyDay(30, (day) => billed(day, 9)),
    );
    assert.deepEqual(alarmsOf(found), []);
    assert.deepEqual(found.discounts, [{ name: "c", kind: "money", less: 30 * DOLLAR }]);
    assert.deepEqual([found.total?.captured, found.total?.committed], [1, -30 * DOLLAR]);
    assert.deepEqual(found.models[0]?.differences, []);
    assert.match(textOf(found), /By commitments:\n- c: \$30\.00 less than the ledger has, by its discount\./);
    assert.match(textOf(found), /Commitments {2}Difference/);
  });

  test("still shows what is missing beside it", async () => {
    const recording = startRecording();
    for (let day = 0; day < 30; day++) await recording.call(NOVEMBER + day * DAY_MS, 10 * DOLLARS);
    const found = await compared(
      recording,
      MONEY,
      everyDay(30, (day) => billed(day, day === 3 ? 15 : 9)),
    );
    assert.deepEqual(alarmsOf(found), ["below"]);
    assert.equal(found.days[3]?.captured, 0.6);
    assert.deepEqual(found.models[0]?.differences, [{ kind: "no_tokens", cost: -6 * DOLLAR }]);
  });

  test("that is not in the bill is an alarm", async () => {
    const recording = startRecording();
    await recording.call(NOVEMBER, 10 * DOLLARS);
    assert.deepEqual(alarmsOf(await compared(recording, MONEY, [billed(0, 10)])), ["below", "total"]);
  });

  test("finds what was promised and not used as a charge of its own", async () => {
    const recording = startRecording();
    await recording.call(NOVEMBER, 10 * DOLLARS);
    const lines = [billed(0, 9), billed(29, 91, { model: undefined, item: "Minimum commitment" }), billed(2, 0.5, { model: undefined })];
    const found = await compared(recording, MONEY, lines);
    assert.deepEqual(found.charges, [{ name: "c", kind: "money", expected: 91 * DOLLAR, billed: 91 * DOLLAR, item: "Minimum commitment" }]);
    assert.deepEqual(found.items, [{ item: "not told by model", cost: DOLLAR / 2 }]);
    assert.deepEqual([found.days[29]?.alarm, found.days[2]?.alarm], [undefined, "below"]);
    assert.match(textOf(found), /c: \$91\.00 was promised and not used, billed as "Minimum commitment" for \$91\.00\./);
  });
});

describe("a bill with capacity that was bought ahead", () => {
  async function busy(): Promise<Recording> {
    const recording = startRecording();
    // 60,000 tokens an hour are bought: half of each call goes beyond them.
    for (let day = 0; day < 30; day++) await recording.call(NOVEMBER + day * DAY_MS, 120_000);
    return recording;
  }

  test("agrees where it is one fixed charge, on whatever day, and calls on it are not billed", async () => {
    const lines = [...everyDay(30, (day) => billed(day, 0.06)), billed(0, 360, { model: undefined, item: "Provisioned throughput" })];
    const found = await compared(await busy(), CAPACITY, lines);
    assert.deepEqual(alarmsOf(found), []);
    const [charge] = found.charges;
    assert.deepEqual([charge?.expected, charge?.billed, charge?.item], [360 * DOLLAR, 360 * DOLLAR, "Provisioned throughput"]);
    assert.deepEqual(found.discounts, [{ name: "c", kind: "capacity", less: 30 * 60_000_000 }]);
    assert.match(textOf(found), /c: calls of \$1\.80 by the ledger ran on what was bought ahead, and are not billed one by one\./);
  });

  test("agrees where it is bought by the month", async () => {
    const monthly = "provider: openai, models: [gpt-4o], commit: 2M tokens / month, price: $50 / month";
    const lines = [
      ...everyDay(30, (day) => billed(day, day < 16 ? 0 : day === 16 ? 0.04 : 0.12)),
      billed(0, 50, { model: undefined, item: "Scale tier" }),
    ];
    const found = await compared(await busy(), monthly, lines);
    assert.deepEqual([found.charges[0]?.expected, found.charges[0]?.item], [50 * DOLLAR, "Scale tier"]);
    // Of the 17th, 80,000 tokens are still on it.
    assert.deepEqual([alarmsOf(found), found.days[16]?.committed], [[], -80_000_000]);
  });

  test("agrees where no line has a model, and the charge is among the rest of each day", async () => {
    const lines = everyDay(30, (day) => billed(day, 12.06, { model: undefined }));
    const found = await compared(await busy(), CAPACITY, lines);
    assert.deepEqual(alarmsOf(found), []);
    assert.equal(found.charges[0]?.item, undefined);
    assert.match(textOf(found), /c: \$360\.00 was bought, which is among what was billed\./);
  });

  test("says so where the charge is not there, or is another amount", async () => {
    const calls = everyDay(30, (day) => billed(day, 0.06));
    const none = await compared(await busy(), CAPACITY, calls);
    assert.deepEqual([alarmsOf(none), none.charges[0]?.billed], [[], undefined]);
    assert.match(textOf(none), /c: \$360\.00 was bought in these days, and no line of this bill is of that amount\./);
    const other = await compared(await busy(), CAPACITY, [...calls, billed(0, 500, { model: undefined, item: "Provisioned throughput" })]);
    assert.deepEqual(alarmsOf(other), ["below", "total"]);
    assert.deepEqual(other.items, [{ item: "Provisioned throughput", cost: 500 * DOLLAR }]);
  });

  test("of another provider is in no bill of this one", async () => {
    const recording = await busy();
    const found = await compared(
      recording,
      "provider: anthropic, commit: $100 / month",
      everyDay(30, (day) => billed(day, 0.12)),
    );
    assert.deepEqual([found.charges, found.discounts, alarmsOf(found)], [[], [], []]);
  });
});

describe("what a commitment costs is found on a bill", () => {
  const bought = (name: string, ...dollars: readonly number[]): CommittedLines => ({
    name,
    providers: ["openai"],
    kind: "capacity",
    less: [],
    charges: dollars.map((cost, day) => ({ ...dayAt(day), cost: cost * DOLLAR })),
  });
  const found = (committed: readonly CommittedLines[], lines: readonly BilledLine[], terms: Partial<ChargeTerms> = {}) =>
    committedCharges(committed, { billed: lines, expected: 5 * DOLLAR, isCounted: () => true, ...terms }).map((charge) => [
      charge.name,
      charge.expected / DOLLAR,
      charge.billed === undefined ? undefined : charge.billed / DOLLAR,
      charge.item,
    ]);
  const calls = billed(0, 5);
  const fixed = (cost: number) => billed(0, cost, { model: undefined, item: "Reserved" });

  test("as a line of its amount, to three in a hundred", () => {
    assert.deepEqual(found([bought("c", 360)], [calls, fixed(370)]), [["c", 360, 370, "Reserved"]]);
    assert.deepEqual(found([bought("c", 360)], [calls, fixed(380)]), [["c", 360, undefined, undefined]]);
  });

  test("once: a line is not taken for two of them", () => {
    assert.deepEqual(found([bought("a", 360), bought("b", 360)], [calls, fixed(360)]), [
      ["a", 360, 360, "Reserved"],
      ["b", 360, undefined, undefined],
    ]);
  });

  test("for the days of the bill that are complete", () => {
    const isCounted = ({ from }: Days) => from === NOVEMBER;
    assert.deepEqual(found([bought("c", 10, 360)], [calls, fixed(10)], { isCounted }), [["c", 10, 10, "Reserved"]]);
  });

  test("among the rest of a bill that names no models only where that comes nearer to it", () => {
    const one = (cost: number) => [billed(0, cost, { model: undefined })];
    assert.deepEqual(found([bought("c", 10)], one(15)), [["c", 10, 10, undefined]]);
    assert.deepEqual(found([bought("c", 10)], one(6)), [["c", 10, undefined, undefined]]);
  });
});

describe("a bill in FOCUS that has rows of commitments", () => {
  for (const [kind, fields] of [
    ["money", MONEY],
    ["capacity", CAPACITY],
  ] as const)
    test(`of ${kind} is compared with what it costs, as our own export is with the ledger`, async (context) => {
      const recording = startRecording();
      for (let day = 0; day < 3; day++) await recording.call(NOVEMBER + day * DAY_MS, 1_000_000);
      const text = `providers: { openai: {} }\ncommitments: [{ name: c, ${fields} }]`;
      const { commitments } = readConfig({ text, environment: {}, now: NOVEMBER });
      const query = { since: NOVEMBER, until: DECEMBER, by: ["provider", "model"], step: "day", timeZone: "UTC" } as const;
      const terms = { span: { startsAt: NOVEMBER, endsAt: DECEMBER }, periodMs: DAY_MS, now: LATER };
      const coverages = await readCoverages(commitments, recording.source, terms);
      const whole = await reportLedger(recording.store, query);
      const rows = shareRows(whole, { coverages, periodMs: DAY_MS, whole, at: { provider: 0, model: 1 } });
      const committed = coverages.flatMap(({ commitment, charges }) => charges.map((charge) => ({ ...charge, commitment })));
      const directory = mkdtempSync(join(tmpdir(), "purser-committed-"));
      context.after(() => rmSync(directory, { recursive: true }));
      const file = join(directory, "focus.csv");
      writeFileSync(file, focusCsv({ rows, committed }, query));
      const bill = await readTable({ file, place: "focus.csv", columns: new Map(), provider: undefined });
      const found = await compared(recording, fields, bill.lines);
      assert.deepEqual(alarmsOf(found), []);
      assert.equal(found.total?.captured, 1);
      assert.equal(found.charges[0]?.expected, found.charges[0]?.billed);
      assert.deepEqual(found.items, []);
    });
});
