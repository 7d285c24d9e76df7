import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createPriceBook } from "@purser/core/prices";
import { type BilledLine, type BilledTokens, DAY_MS, NO_TOKENS, type TokenKind } from "./bill.ts";
import { type LedgerAmounts, type LedgerLine, type Reconciliation, reconcile } from "./reconcile.ts";

const FIRST = Date.UTC(2026, 9, 1);
const DOLLAR = 1_000_000_000;
const day = (number: number) => ({ from: FIRST + (number - 1) * DAY_MS, to: FIRST + number * DAY_MS });
/** Late enough for every day of the tests to be complete. */
const LATER = FIRST + 60 * DAY_MS;
const NO_AMOUNTS: LedgerAmounts = { calls: 1, cost: 0, estimated: 0, unconfirmed: 0, unpricedCalls: 0, tokens: NO_TOKENS };

function billed(number: number, line: Partial<BilledLine>): BilledLine {
  return { ...day(number), provider: "openai", model: undefined, cost: undefined, ...line };
}

function booked(number: number, model: string, amounts: Partial<LedgerAmounts>, provider = "openai"): LedgerLine {
  return { ...day(number), provider, model, amounts: { ...NO_AMOUNTS, ...amounts } };
}

function tokens(kinds: Partial<BilledTokens>): BilledTokens {
  return { ...NO_TOKENS, ...kinds };
}

function compared(
  lines: readonly BilledLine[],
  ledger: readonly LedgerLine[],
  { least = 0.97, now = LATER, names = {} as Record<string, readonly string[]>, prices = createPriceBook() } = {},
): Reconciliation {
  const bill = { lines, spans: lines, leftOut: [], notes: [] };
  const [one] = reconcile({ bill, ledger, names: new Map(Object.entries(names)), prices, least, now });
  return one as Reconciliation;
}

describe("what was captured of a bill", () => {
  for (const [dollars, alarm] of [
    [97, undefined],
    [96.999999999, "below"],
    [103, undefined],
    [103.000000001, "above"],
    [0, "below"],
  ] as const)
    test(`${dollars} of 100 dollars in the ledger ${alarm ? "is" : "is not"} an alarm`, () => {
      const { days, total } = compared([billed(1, { cost: 100 * DOLLAR })], [booked(1, "gpt-4o", { cost: Math.round(dollars * DOLLAR) })]);
      assert.deepEqual([days[0]?.alarm, total?.alarm], [alarm, alarm]);
    });

  test("one bad day is an alarm where all days together are none", () => {
    const lines = [1, 2, 3].map((number) => billed(number, { cost: 100 * DOLLAR }));
    const { days, total } = compared(
      lines,
      [100, 94, 100].map((dollars, i) => booked(i + 1, "gpt-4o", { cost: dollars * DOLLAR })),
    );
    assert.deepEqual(
      days.map(({ alarm }) => alarm),
      [undefined, "below", undefined],
    );
    assert.deepEqual([total?.captured, total?.alarm], [0.98, undefined]);
  });

  test("less than a cent is no alarm, whatever its share", () => {
    assert.equal(compared([billed(1, { cost: 9_000_000 })], []).days[0]?.alarm, undefined);
    assert.equal(compared([billed(1, { cost: 10_000_000 })], []).days[0]?.alarm, "below");
  });

  test("a charge of a day on which nothing was billed is an alarm", () => {
    const { days } = compared([billed(1, { cost: 0 })], [booked(1, "gpt-4o", { cost: DOLLAR })]);
    assert.deepEqual([days[0]?.captured, days[0]?.alarm], [undefined, "above"]);
  });

  test("today and yesterday are shown, and neither judged nor added up", () => {
    const lines = [1, 2, 3].map((number) => billed(number, { cost: 100 * DOLLAR }));
    const { days, total } = compared(lines, [booked(1, "gpt-4o", { cost: 100 * DOLLAR })], { now: day(3).from + DAY_MS / 2 });
    assert.deepEqual(
      days.map(({ isComplete, alarm, billed: { cost } }) => [isComplete, alarm, cost]),
      [
        [true, undefined, 100 * DOLLAR],
        [false, undefined, 100 * DOLLAR],
        [false, undefined, 100 * DOLLAR],
      ],
    );
    assert.equal(total?.billed.cost, 100 * DOLLAR);
    assert.equal(compared(lines, [], { now: day(1).from }).total, undefined);
  });

  test("a bill of a month is compared with all days of it at once", () => {
    const month: BilledLine = { ...billed(1, { cost: 30 * DOLLAR }), to: day(30).to };
    const ledger = [1, 15, 30, 31].map((number) => booked(number, "gpt-4o", { cost: 10 * DOLLAR }));
    const { days } = compared([month, billed(3, { cost: 0 })], ledger);
    assert.deepEqual(
      days.map(({ from, to, ledger: { cost }, alarm }) => [from, to, cost, alarm]),
      [[day(1).from, day(30).to, 30 * DOLLAR, undefined]],
    );
  });

  test("a bill of tokens is judged by tokens", () => {
    const line = billed(1, { model: "gpt-4o", tokens: tokens({ input: 900, output: 100 }) });
    const { days } = compared([line], [booked(1, "gpt-4o", { cost: 5, tokens: tokens({ input: 800, output: 100 }) })]);
    assert.deepEqual([days[0]?.captured, days[0]?.alarm], [0.9, "below"]);
  });

  test("one account may have several names in purser.yaml, and others are no part of it", () => {
    const ledger = ["openai", "openai-eu", "azure"].map((provider) => booked(1, "gpt-4o", { cost: 50 * DOLLAR }, provider));
    const lines = [billed(1, { cost: 100 * DOLLAR })];
    assert.equal(compared(lines, ledger).days[0]?.captured, 0.5);
    assert.equal(compared(lines, ledger, { names: { openai: ["openai", "openai-eu"] } }).days[0]?.captured, 1);
  });
});

describe("where a bill and the ledger differ", () => {
  const MILLION = 1_000_000;
  /** A line for each kind, as invoices have them. */
  const invoice = (model: string, costs: Partial<Record<TokenKind, number>>, used: Partial<BilledTokens>, number = 1) => [
    ...Object.entries(costs).map(([kind, dollars]) =>
      billed(number, { model, kind: kind as TokenKind, cost: Math.round(dollars * DOLLAR) }),
    ),
    billed(number, { model, tokens: tokens(used) }),
  ];
  const differences = (lines: readonly BilledLine[], ledger: readonly LedgerLine[], options = {}) =>
    compared(lines, ledger, options).models.flatMap(({ model, differences }) => differences.map((one) => ({ model, ...one })));

  test("a model has one row whatever date or alias it is called by, and a model of another price has another", () => {
    const lines = [
      billed(1, { model: "gpt-4o-2024-08-06", cost: 3 * DOLLAR }),
      billed(1, { model: "gpt-4o-2024-11-20", cost: 2 * DOLLAR }),
      billed(1, { model: "gpt-4o-2024-05-13", cost: DOLLAR }),
    ];
    const { models } = compared(lines, [
      booked(1, "gpt-4o", { cost: 4 * DOLLAR }),
      booked(1, "gpt-4o-2024-08-06", { cost: DOLLAR }),
      booked(1, "gpt-4o-2024-05-13", { cost: DOLLAR }),
    ]);
    assert.deepEqual(
      models.map(({ model, names, captured }) => [model, names, captured]),
      [
        ["gpt-4o", ["gpt-4o", "gpt-4o-2024-08-06"], 1],
        ["gpt-4o-2024-05-13", ["gpt-4o-2024-05-13"], 1],
      ],
    );
  });

  test("nothing is said where they agree", () => {
    const used = tokens({ input: 4 * MILLION, output: MILLION });
    assert.deepEqual(
      differences(invoice("gpt-4o", { input: 10, output: 10 }, used), [booked(1, "gpt-4o", { cost: 20 * DOLLAR, tokens: used })]),
      [],
    );
  });

  test("tokens that were billed and not counted went past the gateway", () => {
    const ledger = [booked(1, "gpt-4o", { cost: 20 * DOLLAR, tokens: tokens({ input: 4 * MILLION, output: MILLION }) })];
    assert.deepEqual(differences(invoice("gpt-4o", { input: 12.5, output: 10 }, { input: 5 * MILLION, output: MILLION }), ledger), [
      { model: "gpt-4o", kind: "elsewhere", tokens: tokens({ input: MILLION }), cost: undefined },
    ]);
    assert.deepEqual(differences([billed(1, { model: "o3", cost: DOLLAR })], []), [
      { model: "o3", kind: "elsewhere", tokens: undefined, cost: DOLLAR },
    ]);
  });

  test("a price that differs is told for each kind, with the row that mends it", () => {
    const used = tokens({ input: 4 * MILLION, cacheRead: 2 * MILLION, output: MILLION });
    const ledger = [
      booked(1, "gpt-4o", { cost: 11.25 * DOLLAR, tokens: tokens({ input: 2 * MILLION, cacheRead: MILLION, output: 500_000 }) }),
      booked(1, "gpt-4o-2024-08-06", { cost: 11.25 * DOLLAR, tokens: tokens({ input: 2 * MILLION, cacheRead: MILLION, output: 500_000 }) }),
    ];
    // $2.25 and $9 in the place of $2.50 and $10; $1.25 for cached input as the catalogue has it.
    assert.deepEqual(differences(invoice("gpt-4o-2024-08-06", { input: 9, cacheRead: 2.5, output: 9.000001 }, used), ledger), [
      {
        model: "gpt-4o",
        kind: "price",
        rates: [
          { kind: "input", billed: 2_250_000, configured: 2_500_000 },
          { kind: "output", billed: 9_000_000, configured: 10_000_000 },
        ],
        row: "- { provider: openai, model: [gpt-4o, gpt-4o-2024-08-06], input: 2.25, output: 9 }",
      },
    ]);
  });

  test("the row that mends a price makes the bill and the price agree", () => {
    const used = tokens({ input: 4 * MILLION, output: MILLION });
    const lines = invoice("gpt-4o", { input: 9, output: 9 }, used);
    const ledger = [booked(1, "gpt-4o", { cost: 20 * DOLLAR, tokens: used })];
    assert.equal(differences(lines, ledger)[0]?.kind, "price");
    const prices = createPriceBook({ overrides: [{ provider: "openai", model: "gpt-4o", input: 2.25, output: 9 }] });
    assert.deepEqual(differences(lines, ledger, { prices }), [{ model: "gpt-4o", kind: "charged_otherwise", cost: 2 * DOLLAR }]);
  });

  test("tokens that are given away, in the bill and in the ledger, are no other price", () => {
    const used = tokens({ input: 8 * MILLION, output: 2 * MILLION });
    const ledger = [booked(1, "gpt-4o", { cost: 20 * DOLLAR, tokens: used })];
    assert.deepEqual(differences(invoice("gpt-4o", { input: 10, output: 10 }, used), ledger), []);
  });

  test("a discount on the whole is one on every kind", () => {
    const used = tokens({ input: 4 * MILLION, cacheRead: 2 * MILLION, output: MILLION });
    const line = billed(1, { model: "gpt-4o", cost: 18 * DOLLAR, tokens: used });
    const [found] = differences([line], [booked(1, "gpt-4o", { cost: 22.5 * DOLLAR, tokens: used })]);
    assert.equal(found?.kind === "price" && found.row, "- { provider: openai, model: gpt-4o, input: 2, cache_read: 1, output: 8 }");
  });

  test("no price is told from what has prices of its own: batches, tiers, long contexts", () => {
    const used = tokens({ input: 4 * MILLION, output: MILLION });
    const ledger = [booked(1, "gpt-4o", { cost: 20 * DOLLAR, tokens: used })];
    const batched = invoice("gpt-4o", { input: 5, output: 5 }, used).map((line) => ({ ...line, isSpecial: true }));
    assert.deepEqual(differences(batched, ledger), [{ model: "gpt-4o", kind: "special_prices", cost: 10 * DOLLAR }]);
    const tiers = [{ above: 200_000, input: 9, output: 9 }];
    const prices = createPriceBook({ overrides: [{ provider: "openai", model: "gpt-4o", input: 2.5, output: 10, tiers }] });
    const whole = billed(1, { model: "gpt-4o", cost: 30 * DOLLAR, tokens: used });
    assert.deepEqual(differences([whole], ledger, { prices }), [{ model: "gpt-4o", kind: "special_prices", cost: -10 * DOLLAR }]);
  });

  test("without tokens nobody can tell why money differs", () => {
    const [found] = differences([billed(1, { model: "gpt-4o", cost: 10 * DOLLAR })], [booked(1, "gpt-4o", { cost: 5 * DOLLAR })]);
    assert.deepEqual(found, { model: "gpt-4o", kind: "no_tokens", cost: -5 * DOLLAR });
  });

  test("tokens of some days are not laid beside the money of all", () => {
    const used = tokens({ input: 4 * MILLION, output: MILLION });
    const lines = [...invoice("gpt-4o", { input: 10, output: 10 }, used), billed(2, { model: "gpt-4o", kind: "input", cost: 20 * DOLLAR })];
    const ledger = [1, 2].map((number) => booked(number, "gpt-4o", { cost: 20 * DOLLAR, tokens: used }));
    assert.deepEqual(differences(lines, ledger), []);
  });

  test("what is unconfirmed, unpriced, charged otherwise, cached otherwise or not billed is told as such", () => {
    const used = tokens({ input: 4 * MILLION, output: MILLION });
    const right = invoice("gpt-4o", { input: 10, output: 10 }, used);
    const of = (amounts: Partial<LedgerAmounts>) =>
      differences(right, [booked(1, "gpt-4o", { cost: 20 * DOLLAR, tokens: used, ...amounts })]).map(({ kind }) => kind);
    assert.deepEqual(of({ cost: 25 * DOLLAR, unconfirmed: 5 * DOLLAR, tokens: tokens({ input: 6 * MILLION, output: MILLION }) }), [
      "not_billed",
      "unconfirmed",
    ]);
    assert.deepEqual(of({ cost: 0, unpricedCalls: 3 }), ["unpriced"]);
    assert.deepEqual(of({ cost: 15 * DOLLAR }), ["charged_otherwise"]);
    assert.deepEqual(of({ tokens: tokens({ input: 2 * MILLION, cacheRead: 2 * MILLION, output: MILLION }) }), ["cached"]);
    const other = booked(1, "o3", { cost: DOLLAR, tokens: tokens({ input: 5 }) });
    assert.deepEqual(differences(right, [booked(1, "gpt-4o", { cost: 20 * DOLLAR, tokens: used }), other]), [
      { model: "o3", kind: "not_billed", tokens: tokens({ input: 5 }), cost: DOLLAR },
    ]);
  });

  test("an invoice beyond what pico-dollars can add up exactly is still compared", () => {
    const used = tokens({ input: 4e12, output: 1e12 });
    const line = billed(1, { model: "gpt-4o-mini", cost: 1_200_000 * DOLLAR, tokens: used });
    assert.deepEqual(differences([line], [booked(1, "gpt-4o-mini", { cost: 1_200_000 * DOLLAR, tokens: used })]), []);
  });

  test("a name that YAML would read otherwise stands in quotes", () => {
    const used = tokens({ input: MILLION, output: MILLION });
    const lines = invoice('a:b, "c"', { input: 3, output: 4 }, used);
    const [found] = differences(lines, [booked(1, 'a:b, "c"', { cost: DOLLAR, tokens: used })]);
    assert.equal(found?.kind === "price" && found.row, '- { provider: openai, model: "a:b, \\"c\\"", input: 3, output: 4 }');
  });
});
