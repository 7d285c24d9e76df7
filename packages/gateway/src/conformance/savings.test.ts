import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { SavedByRungJson, SavedJson } from "../admin/reports/saved.ts";
import { removeRunning, writeRunning } from "../cli/running-gateway.ts";
import { type Answered, type Json, post } from "./calls.ts";
import { type Answer, chatAnswer, type RawProvider, startRawProvider, writeJson } from "./raw-provider.ts";
import { eventually, providersAt, type Stand, startStand } from "./stand.ts";

const MAIN = fileURLToPath(new URL("../cli/main.js", import.meta.url));

/** In nano-dollars a token: large 3,000 and 15,000, middle 1,000 and 5,000, tiny 100 and 500. */
const PRICES = `prices:
  - { model: large, input: 3, output: 15, cache_read: 0.3, max_output: 8192 }
  - { model: middle, input: 1, output: 5, max_output: 8192 }
  - { model: tiny, input: 0.1, output: 0.5, max_output: 8192 }`;

const USED = { input: 500, output: 40 };
const SUMMARY = { input: 900, output: 30 };
const MIDDLE = 500 * 1_000 + 40 * 5_000;
const LARGE = 500 * 3_000 + 40 * 15_000;

const answerBoth: Answer = (response, { body }) => {
  const isSummary = body.includes("takes the place of all of it");
  writeJson(response, 200, chatAnswer(isSummary ? "Ann asked for tides." : "Aye.", isSummary ? SUMMARY : USED));
};

const words = (label: string) => `${label} ${"tide ".repeat(200)}`;
/** A conversation of some 200 tokens for each of its turns. */
const conversation = (turns: number): readonly Json[] => [
  { role: "system", content: "Be brief." },
  ...Array.from({ length: turns }, (_, i) => [
    { role: "user", content: words(`question ${i}`) },
    { role: "assistant", content: `answer ${i}` },
  ]).flat(),
  { role: "user", content: "And now?" },
];

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  call(fields?: Json, headers?: Record<string, string>): Promise<Answered>;
  saved(query?: string): Promise<SavedJson>;
  purser(...args: readonly string[]): Promise<string>;
  /** Waits until so many calls are settled. */
  settled(count: number): Promise<void>;
}

async function startScene(context: TestContext, budgets: string, options: { readonly store?: "memory" | "sqlite" } = {}): Promise<Scene> {
  const provider = await startRawProvider(context, answerBoth);
  const config = `${providersAt(provider.url)}\n${PRICES}\nbudgets:\n${budgets}`;
  const stand = await startStand(context, { config, ...options });
  writeRunning(stand.directory, { url: stand.url, pid: process.pid });
  return {
    stand,
    provider,
    call: (fields = {}, headers = {}) =>
      post(`${stand.url}/v1/chat/completions`, { model: "large", max_tokens: 100, messages: conversation(0), ...fields }, headers),
    saved: async (query = "") => (await (await fetch(`${stand.url}/api/savings?${query}`)).json()) as SavedJson,
    async purser(...args) {
      const env = { ...process.env, PURSER_DATA: stand.directory };
      return (await promisify(execFile)(process.execPath, [MAIN, ...args], { env, cwd: stand.directory })).stdout;
    },
    settled: async (count) => void (await stand.entries(count, "settled")),
  };
}

function rowOf({ data }: SavedJson, rung: string): SavedByRungJson {
  return data.find((row) => row.rung === rung) ?? assert.fail(`no ${rung} in ${JSON.stringify(data)}`);
}

/** The rows without what explains them. */
function amountsOf({ data }: SavedJson): readonly unknown[] {
  return data.map(({ budget, rung, calls, unknown_calls, saved_nanodollars }) => [budget, rung, calls, unknown_calls, saved_nanodollars]);
}

describe("what ladders saved", () => {
  for (const store of ["memory", "sqlite"] as const) {
    test(`(${store}) is reckoned rung by rung, shown by report, explain and metrics alike, and counted once where rungs meet`, async (context) => {
      const { stand, call, saved, purser, settled } = await startScene(
        context,
        `
  - { name: chat, for: { feature: chat }, limits: [$1 / day], ladder: { 0%: [use middle, trim 300] } }
  - { name: all, limits: [$2 / day], ladder: { 0%: shorten 300 } }`,
        { store },
      );
      await call({ max_tokens: 1_000, messages: conversation(5) }, { "x-purser-feature": "chat" });
      await call({ max_tokens: 50 });
      await settled(2);
      const json = await saved();
      const trim = rowOf(json, "trim 300");
      assert.ok(trim.left_out_tokens > 700 && trim.left_out_tokens < 1_300, `${trim.left_out_tokens} tokens`);
      const ofTrim = trim.left_out_tokens * 1_000;
      assert.deepEqual(
        amountsOf(json),
        [
          ["chat", "use middle", 1, 0, LARGE - MIDDLE],
          ["chat", "trim 300", 1, 0, ofTrim],
          ["all", "shorten 300", 1, 1, 0],
        ].sort((a, b) => Number(b[4]) - Number(a[4])),
      );
      assert.deepEqual(json.total, {
        gross_nanodollars: LARGE - MIDDLE + ofTrim,
        spent_nanodollars: 0,
        saved_nanodollars: LARGE - MIDDLE + ofTrim,
      });
      assert.deepEqual([trim.is_estimate, rowOf(json, "use middle").is_estimate], [true, false]);
      const report: Json = await (await fetch(`${stand.url}/api/report?by=feature`)).json();
      assert.deepEqual(
        report.data.map(({ values, saved_nanodollars }: Json) => [values.feature, saved_nanodollars]),
        [
          [null, 0],
          ["chat", json.total.saved_nanodollars],
        ],
      );
      const [first] = await stand.entries(2, "settled");
      const explained: Json = await (await fetch(`${stand.url}/api/requests/${first?.reservation}`)).json();
      assert.equal(explained.saved_nanodollars, json.total.saved_nanodollars);
      assert.match(
        await purser("explain", first?.reservation ?? ""),
        /Saved +\$0\.0014 by use middle \(chat\); not known by shorten 300 \(all\); about \$0\.\d+ by trim 300 \(chat\), which left [\d,]+ tokens out\n/,
      );
      const text = await purser("savings");
      assert.match(text, /chat +use middle +1 +\$0\.0014\n/);
      assert.match(text, /chat +trim 300 +1 +[\d,]+ +about \$0\.\d+\n/);
      assert.match(text, /all +shorten 300 +1 +1 +not known\n/);
      const metrics = await (await fetch(`${stand.url}/metrics`)).text();
      assert.match(metrics, /purser_saved_dollars_total\{budget="chat",rung="use middle"\} 0\.001400000\n/);
      assert.match(metrics, /purser_spent_on_saving_dollars_total\{budget="chat",rung="use middle"\} 0\.000000000\n/);
      assert.deepEqual((await saved("budget=all")).total.saved_nanodollars, 0);
      assert.deepEqual(amountsOf(await saved("budget=nobody")), []);
      await stand.checkBooks();
    });
  }

  test("of summaries is less by what the calls cost that wrote them, and a summary that is used again costs nothing more", async (context) => {
    const { stand, call, saved, settled, purser } = await startScene(
      context,
      "\n  - { name: chat, limits: [$1 / day], ladder: { 0%: summarise 500 with tiny } }",
    );
    await call({ messages: conversation(6) });
    await settled(2);
    const cost = SUMMARY.input * 100 + SUMMARY.output * 500;
    const first = rowOf(await saved(), "summarise 500 with tiny");
    assert.deepEqual([first.calls, first.unknown_calls, first.spent_nanodollars], [1, 0, cost]);
    assert.equal(first.gross_nanodollars, first.left_out_tokens * 3_000);
    await call({ messages: conversation(6) });
    await settled(3);
    const second = await saved();
    const row = rowOf(second, "summarise 500 with tiny");
    assert.deepEqual([row.calls, row.spent_nanodollars, row.left_out_tokens], [2, cost, 2 * first.left_out_tokens]);
    assert.equal(second.total.saved_nanodollars, 2 * first.gross_nanodollars - cost);
    const report: Json = await (await fetch(`${stand.url}/api/report`)).json();
    assert.equal(report.data[0].saved_nanodollars, second.total.saved_nanodollars);
    const metrics = await (await fetch(`${stand.url}/metrics`)).text();
    assert.match(metrics, /purser_spent_on_saving_dollars_total\{budget="chat",rung="summarise 500 with tiny"\} 0\.000105000\n/);
    assert.match(await purser("savings"), /Spent on it +Saved\n.*summarise 500 with tiny +2 +[\d,]+ +\$0\.00011? +about \$/);
  });

  test("of a model that led to the next one is split between their budgets, and adds up to the first", async (context) => {
    const { call, saved, settled } = await startScene(
      context,
      `
  - { name: large, for: { model: large }, limits: [$1 / day], ladder: { 0%: use middle } }
  - { name: middle, for: { model: middle }, limits: [$1 / day], ladder: { 0%: use tiny } }`,
    );
    await call();
    await settled(1);
    const json = await saved();
    assert.deepEqual(amountsOf(json), [
      ["large", "use middle", 1, 0, LARGE - MIDDLE],
      ["middle", "use tiny", 1, 0, MIDDLE - (500 * 100 + 40 * 500)],
    ]);
  });

  test("of answers that were known is what their calls cost, and of texts and refusals only calls are counted", async (context) => {
    const { stand, call, saved, settled } = await startScene(
      context,
      `
  - { name: kept, for: { feature: faq }, limits: [$1 / day], ladder: { 0%: cache 10m } }
  - { name: text, for: { feature: text }, limits: [$1 / day], ladder: { 0%: answer "Later." } }
  - { name: shut, for: { feature: shut }, limits: [$1 / day], ladder: { 0%: block } }
  - { name: small, for: { feature: small }, limits: [0 tokens / day] }`,
    );
    for (const feature of ["faq", "faq", "faq", "text", "shut", "small"]) {
      await call({}, { "x-purser-feature": feature });
      await settled(1);
    }
    await stand.entries(2, "answered");
    await stand.entries(3, "denied");
    const json = await saved();
    assert.deepEqual(amountsOf(json), [
      ["kept", "cache 10m", 2, 0, 2 * LARGE],
      ...[
        ["shut", "refused", 1, 1, 0],
        ["small", "refused", 1, 1, 0],
        ["text", "answer", 1, 1, 0],
      ],
    ]);
  });

  test("is nothing of calls that were not charged, or whose end nobody knows, and of rungs that were left out", async (context) => {
    const { stand, provider, call, saved } = await startScene(
      context,
      "\n  - { name: chat, limits: [$1 / day], ladder: { 0%: [use middle, trim 5000] } }\n  - { name: dear, limits: [$1 / day], ladder: { 0%: use large } }",
    );
    provider.answer = (response) => writeJson(response, 429, { error: { message: "no" } });
    await call();
    await stand.entries(1, "released");
    assert.deepEqual(amountsOf(await saved()), []);
    provider.answer = (response) => response.destroy();
    await call();
    const [{ charge } = assert.fail()] = await stand.entries(1, "settled");
    assert.equal(charge.certainty, "unconfirmed");
    assert.deepEqual(amountsOf(await saved()), [["chat", "use middle", 1, 1, 0]]);
  });

  test("is what an allowance could not have paid for: where the model that was asked for may have been free, no money is claimed", async (context) => {
    const provider = await startRawProvider(context, answerBoth);
    const allowance = "allowances: [{ name: gift, provider: mock, models: [large], limit: 1M tokens / day }]";
    const config = `${providersAt(provider.url)}\n${PRICES}\n${allowance}\nbudgets: [{ name: chat, limits: [$1 / day], ladder: { 0%: use middle } }]`;
    const stand = await startStand(context, { config });
    await post(`${stand.url}/v1/chat/completions`, { model: "large", max_tokens: 100, messages: conversation(0) });
    const [{ charge } = assert.fail()] = await stand.entries(1, "settled");
    assert.deepEqual(charge.savings, [{ budget: "chat", rung: "use middle" }]);
  });

  test("is what tokens cost that would have been read from the cache, where the provider read from one lately", async (context) => {
    const { provider, call, saved, settled } = await startScene(
      context,
      "\n  - { name: chat, limits: [$1 / day], ladder: { 5%: use tiny } }",
    );
    const half = { ...chatAnswer("Aye.", { input: 10_000, output: 0 }) } as Json;
    half.usage = { prompt_tokens: 10_000, completion_tokens: 3_000, total_tokens: 13_000, prompt_tokens_details: { cached_tokens: 5_000 } };
    provider.answer = (response) => writeJson(response, 200, half);
    await call({ max_tokens: 4_000 });
    await settled(1);
    provider.answer = answerBoth;
    await call({ max_tokens: 100 });
    await settled(2);
    const json = await saved();
    assert.deepEqual(amountsOf(json), [["chat", "use tiny", 1, 0, LARGE - 250 * 2_700 - (500 * 100 + 40 * 500)]]);
  });

  test("goes along where the call goes on at another provider, by the prices there", async (context) => {
    const [one, two] = [await startRawProvider(context, answerBoth), await startRawProvider(context, answerBoth)];
    one.answer = (response) => writeJson(response, 500, { error: { message: "no" } });
    const config = `providers:
  one: { base_url: { openai: "${one.url}/v1" }, api_key: k, models: [large] }
  two: { base_url: { openai: "${two.url}/v1" }, api_key: k, models: [nothing] }
${PRICES}
  - { provider: two, model: large, input: 2, output: 10, max_output: 8192 }
routes: [{ model: large, providers: [one, two] }]
budgets: [{ name: chat, limits: [$1 / day], ladder: { 0%: trim 300 } }]`;
    const stand = await startStand(context, { config });
    await post(`${stand.url}/v1/chat/completions`, { model: "large", max_tokens: 100, messages: conversation(5) });
    const [{ detail, charge } = assert.fail()] = await stand.entries(1, "settled");
    assert.equal(detail.subject.provider, "two");
    const [trim] = charge.savings ?? [];
    assert.ok(trim?.leftOutTokens !== undefined && trim.leftOutTokens > 700);
    assert.deepEqual(charge.savings, [
      { budget: "chat", rung: "trim 300", leftOutTokens: trim.leftOutTokens, saved: trim.leftOutTokens * 2_000 },
    ]);
  });

  test("stays in the books when the gateway begins again, and is read from them without it", async (context) => {
    const { stand, call, settled, saved, purser } = await startScene(
      context,
      "\n  - { name: chat, limits: [$1 / day], ladder: { 0%: use middle } }",
      { store: "sqlite" },
    );
    for (let i = 1; i <= 3; i++) await call();
    await settled(3);
    const before = amountsOf(await saved());
    await stand.gateway.close();
    removeRunning(stand.directory);
    const { data } = JSON.parse(await purser("savings", "--json", "--since", "2d"));
    assert.deepEqual(amountsOf({ data } as SavedJson), before);
  });

  test("says of a question that it cannot answer what to do", async (context) => {
    const { stand, saved, purser } = await startScene(context, "\n  - { name: chat, limits: [$1 / day] }");
    const detail = async (query: string) => ((await saved(query)) as unknown as Json).detail;
    assert.match(await detail("by=team"), /by budget and rung\. Leave out `by`, or ask \/api\/report/);
    assert.match(await detail("since=2026-11-02&until=2026-11-01"), /The time ends after it begins/);
    assert.match(await detail("sinse=2026-11-02"), /"sinse" is not a part of a report/);
    assert.match(await detail("since=tomorrow"), /"since" is a day, a month or an instant/);
    assert.match(await purser("savings"), /^No ladder has touched a call since/);
    await eventually("the gateway to be there still", async () => ((await fetch(`${stand.url}/healthz`)).ok ? true : undefined));
  });
});
