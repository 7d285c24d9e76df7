import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import OpenAI from "openai";
import { runCommandLine } from "../cli/command-line.ts";
import { styleFor } from "../cli/style.ts";
import { dayText } from "../reconciliation/bill.ts";
import { fetchBill } from "../reconciliation/fetch-bill.ts";
import { type Json, post } from "./calls.ts";
import { type Answer, chatAnswer, messageAnswer, type RawProvider, startRawProvider, writeJson } from "./raw-provider.ts";
import { startReceiver } from "./receivers.ts";
import { eventually, startStand } from "./stand.ts";

const DAY_MS = 86_400_000;
const dayOf = (at: number) => Math.floor(at / DAY_MS) * DAY_MS;
const MILLION = 1_000_000;
const ADMIN = { OPENAI_ADMIN_KEY: "sk-admin-secret", ANTHROPIC_ADMIN_KEY: "sk-ant-admin-secret" };

/** What one call used, and what each day of the bill says: at $2.50 and $10 for gpt-4o, and $3 and $15 for claude-sonnet-4-6. */
const USED = { input: 2 * MILLION, output: MILLION };

interface Billing {
  /** Calls of gpt-4o that were billed on the day, whoever made them. */
  calls: number;
  /** The day of the calls. */
  day: number;
  /** How many days a page has. */
  perPage: number;
}

/** A provider that answers calls, and what it billed for them, as OpenAI and Anthropic document it. */
function billingProvider(billing: Billing): Answer {
  return (response, { url, body }) => {
    const { pathname, searchParams } = new URL(url, "http://provider.invalid");
    if (pathname === "/v1/chat/completions") return writeJson(response, 200, chatAnswer("Aye.", USED));
    if (pathname === "/v1/messages") return writeJson(response, 200, messageAnswer("Aye.", USED));
    assert.equal(body, "");
    const isOpenAi = pathname.startsWith("/v1/organization/");
    const from = isOpenAi ? Number(searchParams.get("start_time")) * 1000 : Date.parse(searchParams.get("starting_at") ?? "");
    const to = isOpenAi ? Number(searchParams.get("end_time")) * 1000 : Date.parse(searchParams.get("ending_at") ?? "");
    assert.ok(from < to && from % DAY_MS === 0 && to % DAY_MS === 0, url);
    const days = Array.from({ length: (to - from) / DAY_MS }, (_, i) => from + i * DAY_MS);
    const first = Number(searchParams.get("page") ?? 0);
    const data = days.slice(first, first + billing.perPage).map((at) => {
      const results = at === billing.day ? resultsOf(pathname, billing.calls) : [];
      if (isOpenAi) return { object: "bucket", start_time: at / 1000, end_time: at / 1000 + 86_400, results };
      return { starting_at: new Date(at).toISOString(), ending_at: new Date(at + DAY_MS).toISOString(), results };
    });
    const hasMore = first + billing.perPage < days.length;
    writeJson(response, 200, { object: "page", data, has_more: hasMore, next_page: hasMore ? String(first + billing.perPage) : null });
  };
}

function resultsOf(pathname: string, calls: number): readonly unknown[] {
  const cost = (value: number, line_item: string) => ({
    object: "organization.costs.result",
    amount: { value, currency: "usd" },
    line_item,
  });
  const cents = (amount: string, token_type: string) => ({
    amount,
    currency: "USD",
    cost_type: "tokens",
    model: "claude-sonnet-4-6",
    token_type,
    service_tier: "standard",
    context_window: "0-200k",
  });
  const results: Readonly<Record<string, readonly unknown[]>> = {
    "/v1/organization/costs": [cost(5 * calls, "gpt-4o-2024-08-06, input"), cost(10 * calls, "gpt-4o-2024-08-06, output")],
    "/v1/organization/usage/completions": [
      {
        object: "organization.usage.completions.result",
        input_tokens: USED.input * calls,
        output_tokens: USED.output * calls,
        num_model_requests: calls,
        model: "gpt-4o-2024-08-06",
        batch: false,
        service_tier: "default",
      },
    ],
    "/v1/organization/usage/embeddings": [],
    "/v1/organizations/cost_report": [cents("600", "uncached_input_tokens"), cents("1500.00", "output_tokens")],
    "/v1/organizations/usage_report/messages": [
      {
        uncached_input_tokens: USED.input,
        cache_creation: { ephemeral_1h_input_tokens: 0, ephemeral_5m_input_tokens: 0 },
        cache_read_input_tokens: 0,
        output_tokens: USED.output,
        model: "claude-sonnet-4-6",
      },
    ],
  };
  return results[pathname] ?? assert.fail(pathname);
}

function configAt({ url }: RawProvider, prices = ""): string {
  return `providers:
  openai: { base_url: "${url}/v1", api_key: model-key }
  anthropic: { base_url: "${url}", api_key: model-key }
${prices}
budgets:
  - { name: all, limits: [$1000 / month] }
`;
}

/** The command, three days later: so today is complete. */
async function reconciled(directory: string, config: string, args: readonly string[], env: Record<string, string> = ADMIN) {
  const file = join(directory, "reconciled.yaml");
  await writeFile(file, config);
  const context = {
    cwd: directory,
    env,
    style: styleFor({}, {}),
    now: () => Date.now() + 3 * DAY_MS,
    print: () => undefined,
    say: () => undefined,
  };
  const result = await runCommandLine(["reconcile", ...args, "--config", file, "--data", directory], context);
  return { ...result, json: result.json as Json };
}

describe("purser reconcile, asking providers", () => {
  async function company(context: TestContext) {
    const billing: Billing = { calls: 2, day: 0, perPage: 31 };
    const provider = await startRawProvider(context, billingProvider(billing));
    const config = configAt(provider);
    const stand = await startStand(context, { config, store: "sqlite" });
    const plain = { max_tokens: 50, messages: [{ role: "user", content: "Ahoy" }] };
    for (const [path, model] of [
      ["/v1/chat/completions", "gpt-4o"],
      ["/v1/chat/completions", "gpt-4o"],
      ["/v1/messages", "claude-sonnet-4-6"],
    ] as const)
      assert.equal((await post(stand.url + path, { ...plain, model })).status, 200);
    billing.day = dayOf((await stand.entries(3, "settled"))[0]?.at ?? 0);
    return { billing, provider, config, stand };
  }

  test("what went through the gateway is captured to the nano-dollar, page by page", async (context) => {
    const { billing, provider, config, stand } = await company(context);
    billing.perPage = 2;
    const before = provider.received.length;
    const { exit, text, json } = await reconciled(stand.directory, config, ["--since", "8d"]);
    assert.equal(exit, 0, text);
    assert.match(text, /No alarm\.$/);
    assert.deepEqual(
      json.data.map(({ provider, total }: Json) => [
        provider,
        total.billed.cost_nanodollars,
        total.ledger.cost_nanodollars,
        total.captured,
      ]),
      [
        ["anthropic", 21_000_000_000, 21_000_000_000, 1],
        ["openai", 30_000_000_000, 30_000_000_000, 1],
      ],
    );
    assert.ok(json.data.every(({ models }: Json) => models.length === 1 && models[0].differences.length === 0));
    // Nine days, two a page, of three reports of OpenAI and two of Anthropic.
    const asked = provider.received.slice(before);
    assert.equal(asked.length, 25);
    for (const { url, headers } of asked) {
      const isOpenAi = url.startsWith("/v1/organization/");
      const { authorization, "x-api-key": key, "anthropic-version": version } = headers;
      const given = isOpenAi ? [authorization, key, version] : [key, authorization, version];
      assert.deepEqual(
        given,
        isOpenAi ? [`Bearer ${ADMIN.OPENAI_ADMIN_KEY}`, undefined, undefined] : [ADMIN.ANTHROPIC_ADMIN_KEY, undefined, "2023-06-01"],
      );
    }
  });

  test("calls that went past the gateway are an alarm, exit code 1, and are named", async (context) => {
    const { billing, config, stand } = await company(context);
    billing.calls = 3;
    const { exit, text, json } = await reconciled(stand.directory, config, ["--provider", "openai"]);
    assert.equal(exit, 1);
    const today = dayText(billing.day);
    assert.match(text, new RegExp(`ALARM Of ${today} at openai, 66\\.6 % of what was billed is in the ledger, less than 97 %\\.`));
    assert.match(text, /- gpt-4o: 2,000,000 tokens of input and 1,000,000 tokens of output billed and not in the ledger/);
    assert.deepEqual(
      json.alarms.map(({ provider, days, kind }: Json) => [provider, days, kind]),
      [
        ["openai", today, "below"],
        ["openai", null, "below"],
      ],
    );
    assert.equal((await reconciled(stand.directory, config, ["--provider", "openai", "--least", "66.6%"])).exit, 0);
    assert.equal((await reconciled(stand.directory, config, ["--provider", "openai", "--least", "66.7"])).exit, 1);
  });

  test("a wrong price in purser.yaml is found, and its row mends it", async (context) => {
    const billing: Billing = { calls: 1, day: 0, perPage: 31 };
    const provider = await startRawProvider(context, billingProvider(billing));
    const wrong = configAt(provider, "prices: [{ provider: openai, model: gpt-4o, input: 2, output: 8 }]");
    const stand = await startStand(context, { config: wrong, store: "sqlite" });
    await post(`${stand.url}/v1/chat/completions`, { model: "gpt-4o", max_tokens: 50, messages: [{ role: "user", content: "Ahoy" }] });
    billing.day = dayOf((await stand.entries(1, "settled"))[0]?.at ?? 0);
    const { exit, text, json } = await reconciled(stand.directory, wrong, ["--provider", "openai"]);
    assert.equal(exit, 1);
    const row = json.data[0].models[0].differences[0].prices_row;
    assert.equal(row, "- { provider: openai, model: gpt-4o, input: 2.5, output: 10 }");
    assert.match(
      text,
      /a million tokens of input were billed at \$2\.50, not \$2\.00; a million tokens of output were billed at \$10\.00, not \$8\.00/,
    );
    const mended = await reconciled(stand.directory, configAt(provider, `prices:\n  ${row}`), ["--provider", "openai"]);
    assert.deepEqual(
      mended.json.data[0].models[0].differences.map(({ kind }: Json) => kind),
      ["charged_otherwise"],
    );
  });

  test("a provider that nobody can ask is told with what to do, and one account may have several names", async (context) => {
    const { stand, provider } = await company(context);
    const config = configAt(provider).replace("openai: {", "ours: {").replace("{ base_url", "{ dialect: openai, base_url");
    const { exit, text } = await reconciled(stand.directory, config, ["--provider", "ours"]);
    assert.equal(exit, 2);
    assert.match(text, /^ours has no address at which Purser could ask.*Save its bill as CSV/);
    assert.match(
      (await reconciled(stand.directory, config, ["--provider", "our"])).text,
      /no provider our in purser\.yaml\. Did you mean "ours"\?/,
    );
    const keyed = config.replace("{ dialect: openai,", "{ dialect: openai, admin_key: sk-admin-secret,");
    const asked = await reconciled(stand.directory, keyed, ["--provider", "ours,openai"], {});
    assert.deepEqual([asked.exit, asked.json.data[0].total.captured], [0, 1]);
    const { json } = await reconciled(stand.directory, configAt(provider), ["--provider", "openai,anthropic"]);
    assert.equal(json.data[0].total.ledger.cost_nanodollars, 51_000_000_000);
  });

  test("OpenAI is asked as its own SDK asks", async (context) => {
    const provider = await startRawProvider(context, billingProvider({ calls: 0, day: 0, perPage: 31 }));
    const from = Math.floor(Date.now() / DAY_MS) * DAY_MS;
    const config = {
      providers: [
        { name: "openai", baseUrls: { "openai-chat": `${provider.url}/v1` }, adminKey: ADMIN.OPENAI_ADMIN_KEY, timeoutMs: 10_000 },
      ],
    };
    // biome-ignore lint/suspicious/noExplicitAny: only what is read of a provider is there.
    await fetchBill({ provider: "openai", days: { from, to: from + DAY_MS }, config: config as any });
    const ours = provider.received.map(({ url, headers }) => [url, headers.authorization]);
    const client = new OpenAI({ baseURL: `${provider.url}/v1`, apiKey: "none", adminAPIKey: ADMIN.OPENAI_ADMIN_KEY });
    const span = { start_time: from / 1000, end_time: from / 1000 + 86_400, bucket_width: "1d" } as const;
    const { costs, completions, embeddings } = {
      costs: await client.admin.organization.usage.costs({ ...span, limit: 180, group_by: ["line_item"] }),
      completions: await client.admin.organization.usage.completions({ ...span, limit: 31, group_by: ["model", "batch", "service_tier"] }),
      embeddings: await client.admin.organization.usage.embeddings({ ...span, limit: 31, group_by: ["model"] }),
    };
    assert.deepEqual(
      [costs, completions, embeddings].map(({ object }) => object),
      ["page", "page", "page"],
    );
    const plain = (calls: readonly (readonly unknown[])[]) =>
      calls.map(([url, key]) => [String(url).split("?")[0], new URLSearchParams(String(url).split("?")[1]).toString(), key]);
    assert.deepEqual(plain(ours), plain(provider.received.slice(3).map(({ url, headers }) => [url, headers.authorization])));
  });
});

test("a gateway asks by itself, and tells of a day that differs", async (context) => {
  const receiver = await startReceiver(context);
  const billing: Billing = { calls: 3, day: dayOf(Date.now()) - 3 * DAY_MS, perPage: 31 };
  const provider = await startRawProvider(context, billingProvider(billing));
  const config = `${configAt(provider).replace("openai: {", "openai: { admin_key: sk-admin-secret,")}
channels: { finance: { kind: webhook, url: "${receiver.url}" } }
alerts: { captured 97%: tell finance }
`;
  const stand = await startStand(context, { config });
  const { body } = await eventually("the notice", () => receiver.posted[0]);
  assert.deepEqual([body.type, body.data.kind], ["bill.differs", "below"]);
  assert.match(
    body.data.text,
    new RegExp(`^Of ${dayText(billing.day)} at openai, 0\\.0 % of what was billed is in the ledger, less than 97 %\\.`),
  );
  assert.deepEqual([body.data.billed_nanodollars, body.data.ledger_nanodollars], [45_000_000_000, 0]);
  const metrics = await (await fetch(`${stand.url}/metrics`)).text();
  assert.match(metrics, /^purser_bill_captured_ratio\{provider="openai"\} 0$/m);
  assert.match(metrics, /^purser_bill_timestamp_seconds\{provider="openai"\} \d+/m);
  assert.doesNotMatch(JSON.stringify([receiver.posted, stand.notices]), /sk-admin-secret/);
});

describe("purser reconcile, where a provider does not say what it billed", () => {
  async function refused(context: TestContext, answer: Answer, args: readonly string[] = ["--provider", "openai"]) {
    const provider = await startRawProvider(context, answer);
    const stand = await startStand(context, { config: configAt(provider) });
    const result = await reconciled(stand.directory, configAt(provider), args);
    return { ...result, provider };
  }

  for (const [what, status, body, headers, message] of [
    [
      "a key of models",
      401,
      { error: { message: "Incorrect API key provided: sk-admin-secret." } },
      {},
      /answered 401: OPENAI_ADMIN_KEY must be the key of an administrator.*Incorrect API key provided: …\./,
    ],
    [
      "a key without the right",
      403,
      { error: { message: "You have insufficient permissions" } },
      {},
      /answered 403: .*insufficient permissions/,
    ],
    ["too many questions", 429, {}, { "retry-after": "20" }, /answered 429: it was asked too often\. Try again in 20 s\./],
    ["a fault of its own", 503, "down", {}, /answered 503\. Try again later\./],
    ["no such address", 404, { error: { message: "Unknown request URL" } }, {}, /answered 404\. It says: Unknown request URL/],
    ["a redirection", 307, {}, { location: "/elsewhere" }, /cannot be reached/],
  ] as const)
    test(`${what} is told, with what to do, exit code 2, and without the key`, async (context) => {
      const { exit, text, json, provider } = await refused(context, (response) => writeJson(response, status, body, headers));
      assert.deepEqual([exit, provider.received.length], [2, 1]);
      assert.match(text, message);
      assert.match(json.error.code, /^(bill_unavailable|provider_unreachable)$/);
      assert.doesNotMatch(JSON.stringify(json), /sk-admin-secret/);
    });

  test("pages without end are not followed without end", async (context) => {
    const endless: Answer = (response) => writeJson(response, 200, { object: "page", data: [], has_more: true, next_page: "again" });
    const { exit, text, provider } = await refused(context, endless);
    assert.equal(exit, 2);
    assert.match(text, /says again and again that there is another page of \/v1\/organization\/costs/);
    assert.equal(provider.received.length, 2);
  });

  test("an answer that is no JSON, or no page, is told", async (context) => {
    const page = await refused(context, (response) => response.writeHead(200, { "content-type": "text/html" }).end("<p>Hello</p>"));
    assert.match(page.text, /answered with something else than JSON\. Is its base_url that of OpenAI\?/);
    const other = await refused(context, (response) => writeJson(response, 200, { hello: 1 }));
    assert.match(other.text, /\/v1\/organization\/costs: It has no `data`/);
  });

  test("a provider that does not answer in time is told", async (context) => {
    const provider = await startRawProvider(context, () => undefined);
    const config = {
      providers: [{ name: "openai", baseUrls: { "openai-chat": `${provider.url}/v1` }, adminKey: "secret", timeoutMs: 20 }],
    };
    // biome-ignore lint/suspicious/noExplicitAny: only what is read of a provider is there.
    const asked = fetchBill({ provider: "openai", days: { from: 0, to: DAY_MS }, config: config as any });
    await assert.rejects(asked, { code: "provider_timeout", message: /did not answer within 0\.02 s\. Try again later\./ });
  });

  test("without a key nothing is asked", async (context) => {
    const provider = await startRawProvider(context, () => assert.fail());
    const stand = await startStand(context, { config: configAt(provider) });
    const run = (args: readonly string[]) => reconciled(stand.directory, configAt(provider), args, {});
    const named = await run(["--provider", "anthropic"]);
    assert.deepEqual([named.exit, named.json.error.code], [2, "provider_key_missing"]);
    assert.match(named.text, /console\.anthropic\.com\/settings\/admin-keys and set ANTHROPIC_ADMIN_KEY/);
    assert.match((await run([])).text, /^Name a file with what was billed, or set OPENAI_ADMIN_KEY or ANTHROPIC_ADMIN_KEY/);
  });

  test("what is asked wrongly is told, exit code 2", async (context) => {
    const provider = await startRawProvider(context, () => assert.fail());
    const stand = await startStand(context, { config: configAt(provider) });
    await writeFile(join(stand.directory, "bill.csv"), "day,cost\n2026-10-12,1\n");
    for (const [args, message] of [
      [["--least", "970"], /--least is "970"/],
      [["--least", "0"], /--least is "0"/],
      [["--since", "yesterday"], /--since is "yesterday"/],
      [["--since", "2026-10-02", "--until", "2026-10-01"], /--until is not after --since/],
      [["--provider", ","], /--provider names nobody/],
      [["--columns", "cost=Amount"], /--columns is about a file/],
      [["none.csv"], /There is no file none\.csv/],
      [["bill.csv"], /line 1: Nothing says whose bill it is\. Give --provider NAME/],
      [["bill.csv", "--provider", "a", "--provider", "b"], /Write --provider a,b/],
    ] as const) {
      const { exit, text } = await reconciled(stand.directory, configAt(provider), args, {});
      assert.equal(exit, 2, args.join(" "));
      assert.match(text, message);
    }
  });

  test("a provider that is called otherwise in purser.yaml is told, rather than only missed", async (context) => {
    const provider = await startRawProvider(context, billingProvider({ calls: 1, day: 0, perPage: 31 }));
    const stand = await startStand(context, { config: configAt(provider), store: "sqlite" });
    await post(`${stand.url}/v1/chat/completions`, { model: "gpt-4o", max_tokens: 50, messages: [{ role: "user", content: "Ahoy" }] });
    const [settled] = await stand.entries(1, "settled");
    await writeFile(join(stand.directory, "bill.csv"), `day,provider,cost\n${dayText(settled?.at ?? 0)},groq,15\n`);
    const { exit, text } = await reconciled(stand.directory, configAt(provider), ["bill.csv"]);
    assert.equal(exit, 1);
    assert.match(
      text,
      /The ledger has nothing of groq in this time, and has calls to openai\. Where that is the same, name it: --provider openai\./,
    );
    assert.equal((await reconciled(stand.directory, configAt(provider), ["bill.csv", "--provider", "openai"])).exit, 0);
  });
});
