import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Budgets, createMemoryStore, defineBudget, type RateCard, type Subject } from "@purser/core";
import { Alerts } from "../../alerts/alerts.ts";
import { openFileBook } from "../../alerts/file-book.ts";
import { openKeys } from "../../callers/keys.ts";
import type { Commitment } from "../../commitments/commitment.ts";
import { openSwitches } from "../../switches/switches.ts";
import type { Admin } from "../admin.ts";
import { createAdmin } from "../routes.ts";

const OCTOBER = Date.UTC(2026, 9, 10, 12);
const NOVEMBER = Date.UTC(2026, 10, 20, 12);
/** $1 and $2 per million tokens. */
const CARD: RateCard = {
  provider: "p",
  model: "m",
  tiers: [{ aboveInputTokens: 0, rates: { input: 1_000_000, output: 2_000_000 } }],
  source: "test",
};

let directory: string;
let admin: Admin;
let calls = 0;
let committed: readonly Commitment[] = [];

// biome-ignore lint/suspicious/noExplicitAny: JSON from outside has no type.
async function ask(method: string, target: string, body?: unknown): Promise<{ status: number; body: any; textType?: string }> {
  const { pathname, searchParams } = new URL(target, "http://purser.invalid");
  return admin({ method, path: pathname, query: searchParams, body });
}

describe("reports of what was charged", () => {
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "purser-reports-"));
    let now = OCTOBER;
    const store = createMemoryStore({ now: () => now });
    const configured = [
      defineBudget({ name: "all", limits: ["$1000 / month"], owner: "finance@example.com" }),
      defineBudget({ name: "search", for: { team: "search" }, limits: ["$500 / month"], owner: "kim@example.com" }),
    ];
    const budgets = new Budgets({ store, prices: { card: () => CARD }, budgets: configured, now: () => now });
    const spend = async (subject: Subject, input: number, output = 0) => {
      const decision = await budgets.reserve({
        id: `call-${++calls}`,
        subject: { provider: "p", model: "m", ...subject },
        input: { most: input },
        output: { most: output },
      });
      assert.ok(decision.outcome === "allowed");
      await budgets.settle(decision.reservation, { inputTokens: input, outputTokens: output });
    };
    await spend({ team: "search", user: "ann" }, 1_000_000);
    await spend({ team: "old", user: "bob" }, 500_000);
    now = NOVEMBER;
    await spend({ team: "search", user: "ann", session: "s1", tags: { customer: "acme" } }, 2_000_000, 500_000);
    await spend({ team: "search", user: "ann", session: "s1", tags: { customer: "acme" } }, 1_000_000);
    await spend({ team: '=cmd|"x"', user: "bob", tags: { customer: "zen" } }, 100_000, 3);
    await spend({ user: "eve" }, 100_000);
    admin = createAdmin({
      budgets,
      store,
      keys: await openKeys(directory),
      switches: openSwitches(directory),
      alerts: new Alerts({ book: await openFileBook(directory), channels: [], budgets: [] }),
      now: () => NOVEMBER + 1,
      configured: () => configured,
      commitments: () => committed,
    });
  });
  after(() => rmSync(directory, { recursive: true }));

  test("this month so far is compared with last month as far as that had come, and what is gone is shown", async () => {
    const { body } = await ask("GET", "/api/report?by=team&compare=before");
    assert.deepEqual(body.compared, { since: "2026-10-01T00:00:00.000Z", until: "2026-10-20T12:00:00.001Z" });
    const row = (team: string | null) => body.data.find((one: { values: { team: string | null } }) => one.values.team === team);
    assert.deepEqual([row("search").cost_nanodollars, row("search").before.cost_nanodollars], [4e9, 1e9]);
    assert.deepEqual([row("old").cost_nanodollars, row("old").before.calls], [0, 1]);
    const early = await ask("GET", "/api/report?since=2026-11-01&until=2026-11-05&compare=before");
    assert.deepEqual(early.body.compared, { since: "2026-10-01T00:00:00.000Z", until: "2026-10-05T00:00:00.000Z" });
    const days = await ask("GET", "/api/report?since=2026-11-19&until=2026-11-21&compare=before");
    assert.deepEqual(days.body.compared, { since: "2026-11-17T00:00:00.000Z", until: "2026-11-19T00:00:00.000Z" });
    const months = await ask("GET", "/api/report?since=2026-03&until=2026-05&compare=before&time_zone=Europe/Berlin");
    assert.deepEqual(months.body.compared, { since: "2025-12-31T23:00:00.000Z", until: "2026-02-28T23:00:00.000Z" });
  });

  test("a month's statements are all that was charged, each with who answers for it, and the month before beside it", async () => {
    const { body } = await ask("GET", "/api/statements?month=2026-11");
    assert.deepEqual([body.is_final, body.total.cost_nanodollars, body.before.cost_nanodollars], [false, 4_200_006_000, 1_500_000_000]);
    assert.deepEqual(
      body.data.map(({ value, owner, total, before }: never) => [
        value,
        owner,
        (total as Amounts).cost_nanodollars,
        (before as Amounts).cost_nanodollars,
      ]),
      [
        ["search", "kim@example.com", 4_000_000_000, 1_000_000_000],
        ['=cmd|"x"', "finance@example.com", 100_006_000, 0],
        [null, "finance@example.com", 100_000_000, 0],
        ["old", "finance@example.com", 0, 500_000_000],
      ],
    );
    const csv = await ask("GET", "/api/statements?month=2026-11&format=csv");
    assert.equal(csv.textType, "text/csv");
    assert.match(csv.body, /^month,team,owner,provider,model,calls,.*,cost_dollars,/);
    assert.match(csv.body, /^2026-11,"'=cmd\|""x""",finance@example\.com,p,m,1,0,100000,0,0,3,0,0\.100006000,/m, "no spreadsheet runs it");
  });

  test("the printable page shows every statement, and nothing of what callers call themselves is run", async () => {
    const { body, textType } = await ask("GET", "/api/statements?month=2026-11&format=html");
    assert.equal(textType, "text/html");
    assert.match(
      body,
      /<h2>team search<\/h2>\s*<p>2026-11, for kim@example\.com: <strong>\$4\.00<\/strong>,\s*\$3\.00 more than in the month before/,
    );
    assert.ok(body.includes("team =cmd|&#34;x&#34;"));
    assert.match(body, /The month is not over/);
    assert.ok(!/<script|src=|href=|url\(/.test(body), "it loads nothing");
  });

  test("who spends most is found, with the share of the whole; a few in a hundred are not claimed of a few", async () => {
    const { body } = await ask("GET", "/api/spenders?by=user&most=2");
    assert.deepEqual(
      body.data.map(({ value, share }: never) => [value, Math.round((share as number) * 1000)]),
      [
        ["ann", 952],
        ["bob", 24],
      ],
    );
    assert.deepEqual([body.spenders, body.concentration], [3, []]);
  });

  test("what a call, a user, a day and a session cost, what an amount pays for, and what is left of revenue", async () => {
    const { body } = await ask("POST", "/api/economics", {
      by: "tag.customer",
      revenue: { acme: "10.00", zen: "0.05", new: "3" },
      afford: "0.50",
    });
    assert.deepEqual([body.calls, body.users, body.user_days, body.sessions], [4, 3, 3, 1]);
    assert.deepEqual(body.per, {
      call: 1_050_001_500,
      million_tokens: 1_135_135_836,
      user: 1_400_002_000,
      user_day: 1_400_002_000,
      session: 4e9,
    });
    assert.deepEqual(body.affords, { nanodollars: 5e8, calls: 0 });
    assert.deepEqual(
      body.against.data.map(({ value, margin_nanodollars, cost_share }: never) => [value, margin_nanodollars, cost_share]),
      [
        [null, -100_000_000, null],
        ["zen", -50_006_000, 2.00012],
        ["new", 3e9, 0],
        ["acme", 6e9, 0.4],
      ],
    );
  });

  test("what cannot be answered is refused with what to do", async () => {
    for (const [method, target, body, words] of [
      ["GET", "/api/report?format=xml", undefined, /json, csv or focus/],
      ["GET", "/api/report?compare=before&step=day", undefined, /no steps/],
      ["GET", "/api/report?format=focus&step=month", undefined, /day or hour/],
      ["GET", "/api/statements?month=november", undefined, /2026-11/],
      ["GET", "/api/statements?by=teem", undefined, /not an attribute/],
      ["GET", "/api/statements?format=pdf", undefined, /json, csv or html/],
      ["GET", "/api/statements?team=a", undefined, /no parameter "team"/],
      ["GET", "/api/spenders?most=0", undefined, /1 to 1000/],
      ["POST", "/api/economics", { revenue: { a: 1 } }, /needs "by"/],
      ["POST", "/api/economics", { by: "team", revenue: { a: "much" } }, /12\.50/],
      ["POST", "/api/economics", { sinse: "2026" }, /"sinse" is not a part/],
    ] as const) {
      const answer = await ask(method, target, body);
      assert.equal(answer.status, 400, target);
      assert.match(answer.body.detail, words);
    }
  });

  test("FOCUS has every column that version 1.2 asks for, with values that it allows", async () => {
    const { body, textType } = await ask("GET", "/api/report?by=team,tag.customer&since=2026-10&until=2026-12&format=focus");
    assert.equal(textType, "text/csv");
    const [heading = [], ...rows] = parseCsv(body);
    assert.equal(rows.length, 5);
    for (const column of MANDATORY) assert.ok(heading.includes(column), column);
    for (const column of heading) assert.ok(column in FOCUS_RULES || /^x_[A-Z][A-Za-z]+$/.test(column), `${column} is no column of FOCUS`);
    for (const row of rows) {
      const charge = Object.fromEntries(heading.map((column, i) => [column, row[i] ?? ""]));
      assertFocusRules(charge);
      assert.equal(charge.CommitmentDiscountId, "", "nothing is committed");
      assert.ok(String(charge.BillingPeriodStart) <= String(charge.ChargePeriodStart));
      assert.ok(String(charge.ChargePeriodEnd) <= String(charge.BillingPeriodEnd));
      assert.equal(charge.SubAccountId === "", charge.SubAccountType === "");
      assert.equal(
        charge.InvoiceIssuerName,
        charge.ProviderName,
        "what somebody else is paid for would have to be billed at 0 (BilledCost-C-005-C)",
      );
      assert.doesNotThrow(() => JSON.parse(String(charge.Tags)));
    }
    const total = rows.reduce((sum, row) => sum + BigInt((row[heading.indexOf("BilledCost")] ?? "").replace(".", "")), 0n);
    assert.equal(total, 5_700_006_000n);
  });

  test("FOCUS says what a commitment paid for, what of it was unused, and what calls cost then", async () => {
    const terms = { providers: ["p"], models: ["*"], timeZone: "UTC", from: Number.NEGATIVE_INFINITY, until: Number.POSITIVE_INFINITY };
    const promised = { ...terms, name: "2026", unit: "nanodollars", amount: 2_000_000_000, period: "month", discount: 1_000 } as const;
    const bought = { ...terms, name: "ahead", unit: "input_tokens", amount: 1_000_000, period: "day", discount: 0 } as const;
    const capacity = { ...bought, price: { amount: 500_000_000, period: "day" }, from: NOVEMBER - DAY_MS } as const;
    committed = [capacity, promised];
    const { body } = await ask("GET", "/api/report?by=team&since=2026-10&until=2026-12&format=focus");
    const filtered = await ask("GET", "/api/report?by=team&since=2026-10&until=2026-12&filter=team=search&format=focus");
    committed = [];
    const charges = chargesIn(body);
    for (const charge of charges) assertFocusRules(charge);
    const nano = (text = "") => BigInt(text.replace(".", ""));
    const sumOf = (column: string, of: Readonly<Record<string, string>>) =>
      charges
        .filter((charge) => Object.entries(of).every(([name, value]) => charge[name] === value))
        .reduce((sum, charge) => sum + nano(charge[column]), 0n);
    // October is over: of $1.50 at list prices $1.35 were billed, and $0.65 of $2.00 were for nothing.
    const october = { CommitmentDiscountId: "2026", BillingPeriodStart: "2026-10-01T00:00:00Z" };
    assert.equal(sumOf("BilledCost", { ...october, ChargeCategory: "Purchase" }), 2_000_000_000n);
    assert.equal(sumOf("EffectiveCost", { ...october, CommitmentDiscountStatus: "Used" }), 1_350_000_000n);
    assert.equal(sumOf("EffectiveCost", { ...october, CommitmentDiscountStatus: "Unused" }), 650_000_000n);
    // The day of November is not over. Of 3,200,000 input tokens the first million are on what was bought; the money pays for the rest, up to $2.
    const used = { CommitmentDiscountId: "ahead", CommitmentDiscountStatus: "Used" };
    assert.equal(sumOf("EffectiveCost", used), 500_000_000n);
    assert.equal(sumOf("CommitmentDiscountQuantity", used), 10_000_000n, "a million, with a decimal");
    const all = { ChargeCategory: "Usage" };
    assert.equal(sumOf("ListCost", all), 5_700_006_000n, "at list prices it is what the ledger has");
    assert.equal(sumOf("ConsumedQuantity", all), 52_000_030n, "5,200,003 tokens, with a decimal");
    const theirs = chargesIn(filtered.body);
    assert.ok(theirs.every(({ SubAccountId }) => SubAccountId === "search"));
    const ofSearch = (one: Readonly<Record<string, string>>) => one.SubAccountId === "search";
    const billed = (some: typeof charges) => some.reduce((sum, { EffectiveCost }) => sum + nano(EffectiveCost), 0n);
    const difference = billed(theirs) - billed(charges.filter(ofSearch));
    assert.ok(difference ** 2n <= 4n, `a filter changes nothing of what is left but roundings: ${difference}`);
  });
});

const DAY_MS = 86_400_000;

function chargesIn(text: string): readonly Readonly<Record<string, string>>[] {
  const [heading = [], ...rows] = parseCsv(text);
  return rows.map((row) => Object.fromEntries(heading.map((column, i) => [column, row[i] ?? ""])));
}

/** What FOCUS 1.2 says of columns that depend on others. */
function assertFocusRules(charge: Readonly<Record<string, string>>): void {
  for (const [column, value] of Object.entries(charge)) assert.match(value, FOCUS_RULES[column] ?? /^-?\d+(\.\d+)?$/, column);
  const { ChargeCategory, CommitmentDiscountStatus: status, PricingCategory } = charge;
  const isOfCommitment = charge.CommitmentDiscountId !== "";
  for (const column of ["Category", "Name", "Type", "Quantity", "Unit"])
    assert.equal(charge[`CommitmentDiscount${column}`] !== "", isOfCommitment, column);
  assert.equal(status !== "", isOfCommitment && ChargeCategory === "Usage");
  assert.equal(PricingCategory === "Committed", status !== "");
  assert.equal(charge.ConsumedQuantity === "", ChargeCategory === "Purchase" || status === "Unused");
  assert.equal(charge.ConsumedUnit === "", charge.ConsumedQuantity === "");
  assert.equal(charge.ChargeFrequency, ChargeCategory === "Purchase" ? "Recurring" : "Usage-Based");
  if (ChargeCategory === "Purchase") assert.match(charge.EffectiveCost ?? "", /^0\.0+$/);
  if (status !== "") assert.match(charge.BilledCost ?? "", /^0\.0+$/);
}

interface Amounts {
  readonly cost_nanodollars: number;
}

function parseCsv(text: string): readonly (readonly string[])[] {
  return text
    .split("\n")
    .map((line) =>
      [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? ""),
    );
}

/** Whoever reads the file by guessing, as the consortium's validator does, takes a number without a point for an integer, which FOCUS has none of. */
const DECIMAL = /^-?\d+\.\d+$/;
const NULL = /^$/;
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/;
const TEXT = /^.+$/;
const TEXT_OR_NULL = /^.*$/;

/** What the specification of FOCUS 1.2 says of the columns that we fill: type, format, allowed values, and whether there must be one. */
const FOCUS_RULES: Readonly<Record<string, RegExp>> = {
  BilledCost: DECIMAL,
  BillingAccountId: TEXT,
  BillingAccountName: TEXT_OR_NULL,
  BillingAccountType: TEXT,
  BillingCurrency: /^[A-Z]{3}$/,
  BillingPeriodEnd: INSTANT,
  BillingPeriodStart: INSTANT,
  ChargeCategory: /^(Usage|Purchase|Tax|Credit|Adjustment)$/,
  ChargeClass: /^(Correction)?$/,
  ChargeDescription: TEXT_OR_NULL,
  ChargeFrequency: /^(One-Time|Recurring|Usage-Based)$/,
  ChargePeriodEnd: INSTANT,
  ChargePeriodStart: INSTANT,
  CommitmentDiscountCategory: /^(Spend|Usage)?$/,
  CommitmentDiscountId: TEXT_OR_NULL,
  CommitmentDiscountName: TEXT_OR_NULL,
  CommitmentDiscountQuantity: /^(-?\d+\.\d+)?$/,
  CommitmentDiscountStatus: /^(Used|Unused)?$/,
  CommitmentDiscountType: TEXT_OR_NULL,
  CommitmentDiscountUnit: TEXT_OR_NULL,
  ConsumedQuantity: /^(-?\d+\.\d+)?$/,
  ConsumedUnit: TEXT_OR_NULL,
  ContractedCost: DECIMAL,
  EffectiveCost: DECIMAL,
  InvoiceId: NULL,
  InvoiceIssuerName: TEXT,
  ListCost: DECIMAL,
  PricingCategory: /^(Standard|Dynamic|Committed|Other)$/,
  PricingQuantity: DECIMAL,
  PricingUnit: TEXT,
  ProviderName: TEXT,
  PublisherName: TEXT,
  ServiceCategory: /^AI and Machine Learning$/,
  ServiceName: TEXT,
  ServiceSubcategory: /^Generative AI$/,
  SkuId: TEXT,
  SkuMeter: TEXT,
  SubAccountId: TEXT_OR_NULL,
  SubAccountName: TEXT_OR_NULL,
  SubAccountType: TEXT_OR_NULL,
  Tags: /^\{.*\}$/,
};

const MANDATORY = [
  ...["BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart"],
  ...["ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost", "EffectiveCost"],
  ...["InvoiceIssuerName", "ListCost", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName"],
];
