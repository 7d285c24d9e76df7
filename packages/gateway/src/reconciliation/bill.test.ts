import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { decimalIn } from "./decimal.ts";
import { parsePages, readPages } from "./pages.ts";
import { readBillColumns, readTable } from "./table-bill.ts";

const DAY = Date.UTC(2026, 9, 12);
const NEXT = Date.UTC(2026, 9, 13);

function read(value: unknown, provider?: string) {
  return readPages(parsePages(JSON.stringify(value), "page.json"), provider);
}

describe("an amount of a bill", () => {
  for (const [text, places, amount] of [
    ["12.5", 9, 12_500_000_000],
    [0.06, 9, 60_000_000],
    // As OpenAI answers, with what is left of floating point.
    ["0.89587400000000000", 9, 895_874_000],
    [0.1 + 0.2, 9, 300_000_000],
    [5.617712500000001e-7, 9, 562],
    ["1.5E2", 2, 15_000],
    // Cents.
    ["123.78912", 7, 1_237_891_200],
    ["-3.25", 9, -3_250_000_000],
    ["$1,234.56", 9, 1_234_560_000_000],
    ["0.0000000005", 9, 1],
    ["0.00000000049999999999999", 9, 0],
    // 2^53 - 1 nano-dollars, which no sum in floating point would keep.
    ["9007199.254740991", 9, 9_007_199_254_740_991],
  ] as const)
    test(`${text} is read to the nearest of ${places} places`, () => assert.equal(decimalIn(text, places), amount));

  for (const text of ["", "1.234,56", "12 EUR", "NaN", "1e999", "9007199.254740992", "--1", "1".repeat(500)])
    test(`"${text.slice(0, 20)}" is none`, () => assert.equal(decimalIn(text, 9), undefined));
});

describe("OpenAI's costs and usage", () => {
  const bucket = (results: readonly unknown[], start = DAY) => ({
    object: "bucket",
    start_time: start / 1000,
    end_time: start / 1000 + 86_400,
    results,
  });
  const cost = (value: unknown, line_item: string | null, currency = "usd") => ({
    object: "organization.costs.result",
    amount: { value, currency },
    line_item,
    project_id: null,
  });
  const page = (...data: readonly unknown[]) => ({ object: "page", data, has_more: false, next_page: null });

  test("a line of the invoice is for a model and a kind of tokens, and other prices than the plain one are told apart", () => {
    const items = {
      "gpt-4o-2024-08-06, input": ["gpt-4o-2024-08-06", "input", false],
      "gpt-4o-2024-08-06, cached input": ["gpt-4o-2024-08-06", "cacheRead", false],
      "gpt-5.4, cache writes": ["gpt-5.4", "cacheWrite", false],
      "priority | gpt-5.4, output, long context": ["gpt-5.4", "output", true],
      "gpt-audio-mini-2025-12-15 audio, input": ["gpt-audio-mini-2025-12-15", "input", true],
      "whisper-1, audio": ["whisper-1", undefined, true],
      "web search tool calls": [undefined, undefined, undefined],
    };
    const { lines } = read(page(bucket(Object.keys(items).map((item) => cost("0.01", item)))));
    assert.deepEqual(
      lines.map(({ model, kind, isSpecial }) => [model, kind, isSpecial]),
      Object.values(items),
    );
    assert.equal(lines.at(-1)?.item, "web search tool calls");
    assert.ok(lines.every((line) => line.cost === 10_000_000 && line.from === DAY && line.to === NEXT && line.provider === "openai"));
  });

  test("input tokens are all of them, and their kinds are taken apart", () => {
    const result = {
      object: "organization.usage.completions.result",
      input_tokens: 1_000,
      input_cached_tokens: 300,
      input_cache_write_tokens: 100,
      output_tokens: 50,
      num_model_requests: 3,
      model: "gpt-5.4",
      batch: false,
      service_tier: "default",
    };
    const [line] = read(page(bucket([result]))).lines;
    assert.deepEqual(line?.tokens, { input: 600, cacheRead: 300, cacheWrite: 100, cacheWrite1h: 0, output: 50 });
    assert.deepEqual([line?.model, line?.cost, line?.isSpecial], ["gpt-5.4", undefined, false]);
    assert.equal(read(page(bucket([{ ...result, batch: true }]))).lines[0]?.isSpecial, true);
    assert.equal(read(page(bucket([{ ...result, input_audio_tokens: 5 }]))).lines[0]?.isSpecial, true);
  });

  test("a day on which nothing was billed is a day of the bill", () => {
    const { lines, spans } = read(page(bucket([]), bucket([cost(1, null)], NEXT)));
    assert.deepEqual([lines.length, spans.map(({ from }) => from)], [1, [DAY, NEXT]]);
  });

  test("pages are one document, a list, or one a line", () => {
    const one = page(bucket([cost(1, null)]));
    const other = page(bucket([cost(2, null)], NEXT));
    const [a, b] = [JSON.stringify(one), JSON.stringify(other)];
    for (const text of [`[${a}, ${b}]`, `${a}\n${b}\n`]) assert.equal(readPages(parsePages(text, "f"), undefined).lines.length, 2);
  });

  test("a page that is given twice is refused, since it would be billed twice", () => {
    const text = JSON.stringify(page(bucket([cost(1, null)])));
    const pages = [...parsePages(text, "a.json"), ...parsePages(text, "b.json")];
    assert.throws(() => readPages(pages, undefined), {
      code: "bill_invalid",
      message: /^b\.json: The costs of 2026-10-12 .* stand in a\.json too\./,
    });
  });

  test("pages that are missing at the end are told of, and those in between are not", () => {
    const cut = parsePages(JSON.stringify({ ...page(bucket([cost(1, null)])), has_more: true }), "1.json");
    assert.match(readPages(cut, undefined).notes[0] ?? "", /^1\.json says that there is more of the costs after 2026-10-12/);
    const next = parsePages(JSON.stringify(page(bucket([cost(1, null)], NEXT))), "2.json");
    assert.deepEqual(readPages([...next, ...cut], undefined).notes, []);
  });

  for (const [what, value, message] of [
    [
      "an error that was saved",
      { error: { message: "You have insufficient permissions" } },
      /an error that the provider answered: You have/,
    ],
    ["another document", { total: 3 }, /no `data` of buckets/],
    ["money in euros", page(bucket([cost(1, null, "eur")])), /in EUR.*USD/],
    ["an amount that is none", page(bucket([cost("a lot", null)])), /`amount\.value` is "a lot"/],
    ["a bucket without times", page({ object: "bucket", results: [] }), /`start_time` and `end_time`/],
    ["a result of another kind", page(bucket([{ object: "organization.seats.result" }])), /"organization\.seats\.result"/],
    [
      "tokens that are none",
      page(bucket([{ object: "organization.usage.completions.result", input_tokens: 1.5 }])),
      /`input_tokens` is 1\.5/,
    ],
  ] as const)
    test(`${what} is refused, with the file and what to do`, () =>
      assert.throws(() => read(value), { code: "bill_invalid", message: new RegExp(`^page\\.json: .*${message.source}`) }));
});

describe("Anthropic's cost report and usage report", () => {
  // As its reference shows them.
  const report = (results: readonly unknown[]) => ({
    data: [{ starting_at: "2026-10-12T00:00:00Z", ending_at: "2026-10-13T00:00:00Z", results }],
    has_more: false,
    next_page: null,
  });
  const cost = {
    amount: "123.78912",
    context_window: "0-200k",
    cost_type: "tokens",
    currency: "USD",
    description: "Claude Sonnet 4 Usage - Input Tokens",
    model: "claude-sonnet-4-20250514",
    service_tier: "standard",
    token_type: "uncached_input_tokens",
    workspace_id: null,
  };

  test("amounts are cents, by model and kind of token", () => {
    const search = {
      ...cost,
      model: null,
      token_type: null,
      context_window: null,
      service_tier: null,
      cost_type: "web_search",
      description: "Web Search Usage",
    };
    const batch = { ...cost, service_tier: "batch" };
    const { lines } = read(report([cost, { ...cost, token_type: "cache_creation.ephemeral_1h_input_tokens" }, batch, search]));
    assert.deepEqual(
      lines.map((line) => [line.cost, line.model, line.kind, line.isSpecial, line.item]),
      [
        [1_237_891_200, cost.model, "input", false, undefined],
        [1_237_891_200, cost.model, "cacheWrite1h", false, undefined],
        [1_237_891_200, cost.model, "input", true, undefined],
        [1_237_891_200, undefined, undefined, false, "Web Search Usage"],
      ],
    );
    assert.ok(lines.every(({ provider, from }) => provider === "anthropic" && from === DAY));
  });

  test("no kind of token is a part of another", () => {
    const usage = {
      uncached_input_tokens: 1_500,
      cache_creation: { ephemeral_1h_input_tokens: 1_000, ephemeral_5m_input_tokens: 500 },
      cache_read_input_tokens: 200,
      output_tokens: 500,
      server_tool_use: { web_search_requests: 10 },
      model: "claude-sonnet-4-20250514",
      service_tier: "standard",
      context_window: "0-200k",
    };
    const { lines } = read(report([usage, { ...usage, context_window: "200k-1M" }]));
    assert.deepEqual(lines[0]?.tokens, { input: 1_500, cacheRead: 200, cacheWrite: 500, cacheWrite1h: 1_000, output: 500 });
    assert.deepEqual([lines[0]?.isSpecial, lines[1]?.isSpecial], [false, true]);
  });

  test("the provider may have another name in purser.yaml", () => {
    assert.deepEqual(read(report([cost]), "claude").spans, [{ provider: "claude", from: DAY, to: NEXT }]);
  });

  test("what is neither costs nor usage is refused", () => {
    assert.throws(() => read(report([{ tokens: 3 }])), { code: "bill_invalid", message: /neither `amount`.*nor `uncached_input_tokens`/ });
  });
});

describe("a bill as a table", () => {
  function table(context: TestContext, text: string, { columns, provider }: { columns?: string; provider?: string } = {}) {
    const directory = mkdtempSync(join(tmpdir(), "purser-bill-"));
    context.after(() => rmSync(directory, { recursive: true }));
    const file = join(directory, "bill.csv");
    writeFileSync(file, text);
    return readTable({ file, place: "bill.csv", columns: columns === undefined ? new Map() : readBillColumns(columns), provider });
  }

  test("columns have our names, or are named; lines of one day and model are added up", async (context) => {
    const text = '\uFEFFDate,SKU,"Amount (USD)",In,Out\n2026-10-12,m-large,"1,000.10",900,100\n2026-10-12T07:00:00Z,m-large,0.4,100,1\n';
    const columns = "day=Date,model=SKU,cost=Amount (USD),input_tokens=In,output_tokens=Out";
    const { lines } = await table(context, text, { columns, provider: "mistral" });
    assert.deepEqual(
      lines.map(({ provider, model, cost, tokens, from, to }) => ({ provider, model, cost, tokens, from, to })),
      [
        {
          provider: "mistral",
          model: "m-large",
          cost: 1_000_500_000_000,
          tokens: { input: 1_000, cacheRead: 0, cacheWrite: 0, cacheWrite1h: 0, output: 101 },
          from: DAY,
          to: NEXT,
        },
      ],
    );
  });

  test("a month is one span of time, and days without amounts in between are days of the bill", async (context) => {
    const { lines } = await table(context, "day,provider,cost\n2026-10,groq,12\n");
    assert.deepEqual([lines[0]?.from, lines[0]?.to], [Date.UTC(2026, 9, 1), Date.UTC(2026, 10, 1)]);
    const { spans } = await table(context, "day,provider,cost\n2026-10-12,groq,1\n2026-10-14,groq,1\n");
    assert.deepEqual([...new Set(spans.map(({ from }) => from))], [DAY, NEXT, Date.UTC(2026, 9, 14)]);
  });

  test("OpenAI's own CSV has the lines of its invoice", async (context) => {
    const text = 'start_time_iso,amount_value,line_item\n2026-10-12T00:00:00+00:00,0.5617712500000000,"gpt-4o-2024-08-06, output"\n';
    const { lines } = await table(context, text, { columns: "day=start_time_iso,cost=amount_value,model=line_item", provider: "openai" });
    assert.deepEqual([lines[0]?.model, lines[0]?.kind, lines[0]?.cost], ["gpt-4o-2024-08-06", "output", 561_771_250]);
  });

  test("of FOCUS, usage of models is compared, and the rest of a cloud is left out and told", async (context) => {
    const heading =
      "BilledCost,BillingCurrency,ChargeCategory,ChargePeriodStart,ChargePeriodEnd,ProviderName,ServiceName,ResourceId,SkuMeter";
    const rows = [
      '1.5,USD,Usage,2026-10-12T05:00:00Z,2026-10-12T06:00:00Z,AWS,Amazon Bedrock,"arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0",x',
      '0.5,USD,Usage,2026-10-12T06:00:00Z,2026-10-12T07:00:00Z,AWS,Amazon Bedrock,"arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0",x',
      "2,USD,Usage,2026-10-12 00:00:00,2026-10-13 00:00:00,AWS,Amazon Bedrock,,something else",
      "-3,USD,Credit,2026-10-12T00:00:00Z,2026-10-13T00:00:00Z,AWS,Amazon Bedrock,,",
      "99,USD,Usage,2026-10-12T00:00:00Z,2026-10-13T00:00:00Z,AWS,Amazon EC2,i-1,",
      "4,USD,Usage,2026-10-12T00:00:00Z,2026-10-13T00:00:00Z,Microsoft,Azure OpenAI,,gpt-4o",
      "5,USD,Usage,2026-10-12T00:00:00Z,2026-10-13T00:00:00Z,Google Cloud,Vertex AI,,",
      "6,USD,Usage,2026-10-12T00:00:00Z,2026-10-13T00:00:00Z,Mistral AI,mistral-ai,,",
    ];
    const { lines, leftOut } = await table(context, [heading, ...rows].join("\n"));
    assert.deepEqual(
      lines.map(({ provider, model, cost, from, to }) => [provider, model, (cost ?? 0) / 1e9, from === DAY && to === NEXT]),
      [
        ["bedrock", "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", 2, true],
        ["bedrock", undefined, 2, true],
        ["azure", "gpt-4o", 4, true],
        ["vertex", undefined, 5, true],
        ["mistral", undefined, 6, true],
      ],
    );
    assert.deepEqual(leftOut, [
      { what: "credit of bedrock", cost: -3_000_000_000 },
      { what: "other services", cost: 99_000_000_000 },
    ]);
  });

  for (const [what, text, options, message] of [
    ["without days", "Date,cost\n2026-10-12,1\n", {}, /line 1: No column says of which day.*--columns day=Date/],
    ["without amounts", "day,provider\n2026-10-12,groq\n", {}, /line 1: No column says what was billed.*Here are day, provider/],
    ["of nobody", "day,cost\n2026-10-12,1\n", {}, /line 1: Nothing says whose bill it is\. Give --provider NAME/],
    ["of nobody in one line", "day,cost,provider\n2026-10-12,1,\n", {}, /line 2: It does not say whose bill/],
    ["in euros", "day,cost,currency\n2026-10-12,1,EUR\n", { provider: "mistral" }, /line 2: An amount is in EUR/],
    ["with an amount in words", "day,cost\n2026-10-12,none\n", { provider: "groq" }, /line 2: "none" is no amount of dollars/],
    ["with a day that can be read in two ways", "day,cost\n10/12/2026,1\n", { provider: "groq" }, /line 2: "10\/12\/2026" is no day/],
    [
      "with half a token",
      "day,input_tokens,output_tokens\n2026-10-12,-5,1\n",
      { provider: "groq" },
      /line 2: "-5" is no number for input_tokens/,
    ],
    ["that lacks a value", "day,cost\n2026-10-12\n", { provider: "groq" }, /line 2: It has 1 values, and the heading 2/],
    ["with broken quotes", 'day,cost\n"2026-10-12,1\n', { provider: "groq" }, /line 2: It is no CSV/],
    ["whose columns are not there", "day,cost\n", { columns: "cost=Amont" }, /line 1: There is no column "Amont" to take/],
    ["with nothing", "day,cost\n", { provider: "groq" }, /It has no lines/],
  ] as const)
    test(`${what} is refused, with the line and what to do`, async (context) => {
      await assert.rejects(table(context, text, options), { code: "bill_invalid", message });
    });

  test("columns that a bill does not have are refused with the nearest name", () => {
    assert.throws(() => readBillColumns("costs=Amount"), {
      code: "bill_invalid",
      message: /"costs" is no column of a bill\. Did you mean "cost"\?/,
    });
    assert.throws(() => readBillColumns("day"), { code: "bill_invalid", message: /names no column of the file/ });
  });
});
