import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { Budgets, type Call } from "@purser/core";
import { openSqliteStore } from "@purser/core/stores/sqlite";
import { priceBookOf } from "../../config/price-book.ts";
import { examineConfig, readConfig } from "../../config/read-config.ts";
import { problemText } from "../../config/source.ts";
import { runCommandLine } from "../command-line.ts";
import { PLAIN } from "../style.ts";

const START = Date.UTC(2026, 10, 2);
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

function scene(context: TestContext, files: Readonly<Record<string, string>> = {}) {
  const cwd = mkdtempSync(join(tmpdir(), "purser-recommend-"));
  context.after(() => rmSync(cwd, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(cwd, name), text);
  const io = { cwd, env: {}, style: PLAIN, now: () => START + 5 * DAY + 9 * HOUR, print: () => undefined, say: () => undefined };
  return { cwd, now: io.now, purser: (...args: readonly string[]) => runCommandLine(args, io) };
}

/** Some days of calls, one each half hour, each of a dollar. */
function traceOf(days: number, whoOf: (i: number) => string): string {
  const rows = Array.from(
    { length: days * 48 },
    (_, i) => `${new Date(START + i * 1_800_000 + 60_000).toISOString()},${whoOf(i)},gpt-4o,1,1,1.00`,
  );
  return ["time,team,user,model,input_tokens,output_tokens,cost", ...rows].join("\n");
}

interface Recommended {
  readonly whole_days: number;
  readonly proposals: readonly { readonly budget: { readonly name: string }; readonly would_refuse_calls: number }[];
  readonly reviews: readonly {
    readonly budget: string;
    readonly verdict: string;
    readonly refused_calls: number;
    readonly would_refuse_calls: number;
  }[];
  readonly yaml: string | null;
}

describe("purser recommend", () => {
  test("proposes for a trace what purser check reads without a doubt, amount for amount", async (context) => {
    const names = ['"O\'Hara, ""Ann"""', "null", "a: b # c", "7", "ünï", "{x}"];
    const { cwd, purser } = scene(context, { "trace.csv": traceOf(4, (i) => `${names[i % 6]},u${i % 3}`) });
    const { exit, text } = await purser("recommend", "trace.csv", "--yaml");
    assert.equal(exit, 0);
    writeFileSync(join(cwd, "budgets.yaml"), text);
    const checked = await purser("check", "budgets.yaml");
    assert.deepEqual([checked.exit, /Warnings/.test(checked.text)], [0, false], checked.text);
    const { config, warnings } = examineConfig({ file: "budgets.yaml", text, environment: {} });
    assert.deepEqual(warnings.map(problemText), []);
    const { json } = await purser("recommend", "trace.csv", "--json");
    assert.equal((json as Recommended).yaml, text);
    assert.deepEqual(
      config?.budgets.map(({ name, selector, limits }) => [name, [selector.team ?? []].flat()[0], limits[0]?.amount]),
      [
        ["company", undefined, 96e9],
        ["team 7", "7", 16e9],
        ['team O\'Hara, "Ann"', 'O\'Hara, "Ann"', 16e9],
        ["team a: b # c", "a: b # c", 16e9],
        ["team null", "null", 16e9],
        ["team {x}", "{x}", 16e9],
        ["team ünï", "ünï", 16e9],
        ["each user", undefined, 32e9],
      ],
    );
  });

  test("writes amounts with thousands, and exceptions, as the configuration reads them", async (context) => {
    const { purser } = scene(context, {
      "trace.csv": traceOf(3, (i) => (i % 2 === 0 ? "a,robot" : `b,u${i % 23}`)).replaceAll("1.00", "1000.00"),
    });
    const { text } = await purser("recommend", "trace.csv", "--yaml");
    const { config, problems } = examineConfig({ file: "budgets.yaml", text, environment: {} });
    assert.deepEqual(problems.map(problemText), []);
    const each = config?.budgets.at(-1);
    assert.deepEqual([config?.budgets[0]?.limits[0]?.amount, each?.limits[0]?.amount], [96_000e9, 2_700e9]);
    assert.deepEqual(
      each?.exceptions.map(({ selector, limits }) => [selector, [...limits.values()][0]?.amount]),
      [[{ user: ["robot"] }, 48_000e9]],
    );
  });

  test("reads the ledger of this gateway, reviews what it has, and says what was refused by which budget", async (context) => {
    const yaml = `
providers: { house: { dialect: openai, base_url: "http://127.0.0.1:9/v1", api_key: none, models: ["m"] } }
prices: [{ model: m, input: 5, output: 10, max_output: 8192 }]
budgets:
  - { name: tight, for: { team: search }, limits: [$0.05 / day] }
  - { name: trial, mode: observe, limits: [$0.06 / day] }
  - { name: nobody, for: { team: hr }, limits: [$1 / day] }`;
    const { cwd, purser } = scene(context, { "purser.yaml": yaml });
    const config = readConfig({ environment: {}, cwd, flags: {} });
    let now = START;
    const store = await openSqliteStore({ directory: config.dataDir, now: () => now });
    const budgets = new Budgets({ store, budgets: config.budgets, prices: priceBookOf(config), now: () => now });
    for (let i = 0; i < 4 * 12; i++) {
      now = START + i * 2 * HOUR + 60_000;
      const subject = { team: i % 2 === 0 ? "search" : "sales", user: `u${i % 3}`, provider: "house", model: "m", endpoint: "openai-chat" };
      const call: Call = { id: `call_${i}`, subject, input: { most: 1_000 }, output: { most: 500 } };
      const decision = await budgets.reserve(call);
      // Each uses a cent; the sixth of search does not fit into its five any more.
      if (decision.outcome === "allowed")
        await budgets.settle(decision.reservation, { inputTokens: 1_000, outputTokens: 500 }, "confirmed");
    }
    await budgets.close();
    await store.close();
    const { exit, json, text } = await purser("recommend", "--json");
    const { whole_days, reviews, proposals } = json as Recommended;
    assert.deepEqual([exit, whole_days], [0, 4]);
    assert.deepEqual(
      reviews.map(({ budget, verdict, refused_calls, would_refuse_calls }) => [budget, verdict, refused_calls, would_refuse_calls]),
      [
        ["tight", "too tight", 4, 0],
        ["trial", "too tight", 0, 20],
        ["nobody", "unused", 0, 0],
      ],
    );
    assert.deepEqual(
      proposals.map(({ budget, would_refuse_calls }) => [budget.name, would_refuse_calls]),
      [
        ["team sales", 0],
        ["each user", 0],
      ],
    );
    assert.match(text, /tight +\$0\.05 \/ day +20 +100 % +4 +4 of 4 +too tight +\$0\.12 \/ day +0\n/);
    assert.match(text, /4 calls that were refused are not among them/);
    assert.deepEqual(await purser("recommend", "--json"), { exit, json, text }, "and the same the next time");
  });

  test("says no, and what to do, while there is no whole day", async (context) => {
    const { purser } = scene(context, {
      "trace.csv": traceOf(1, () => "a,b")
        .split("\n")
        .slice(0, 9)
        .join("\n"),
    });
    const { exit, text, json } = await purser("recommend", "trace.csv");
    assert.equal(exit, 1);
    assert.match(text, /not one whole day, so no amount can be said\.\n\nLet calls go on for three to five days/);
    assert.deepEqual([(json as Recommended).proposals, (json as Recommended).yaml], [[], null]);
    const piece = await purser("recommend", "trace.csv", "--yaml");
    assert.deepEqual([piece.exit, piece.text[0]], [1, "#"], "what is written to a file is no broken configuration");
  });

  test("says what to do where the ledger is empty", async (context) => {
    const { exit, text } = await scene(context).purser("recommend");
    assert.equal(exit, 2);
    assert.match(
      text,
      /has no call that was charged\. Let calls go through the gateway for three to five days, .*`mode: observe`.*purser recommend FILE/,
    );
  });

  test("looks at calls since a time, where one is given", async (context) => {
    const { purser } = scene(context, { "trace.csv": traceOf(4, () => "a,b") });
    const { json } = await purser("recommend", "trace.csv", "--since", "2026-11-04", "--json");
    assert.equal((json as Recommended).whole_days, 2);
    assert.match(
      (await purser("recommend", "trace.csv", "--since", "2026-12-01")).text,
      /no call since 2026-12-01T00:00:00\.000Z\. Write an earlier --since/,
    );
  });

  const WRONG: readonly (readonly [args: readonly string[], message: RegExp])[] = [
    [["nothing.csv"], /There is no file nothing\.csv/],
    [["--headroom", "-5"], /--headroom/],
    [["--headroom", "much"], /--headroom is "much"\. Write per cent, from 0 to 400: --headroom 25\./],
    [["--headroom", "401"], /from 0 to 400/],
    [["--unit", "euros"], /--unit is "euros"\. Write money or tokens\./],
    [["--since", "lately"], /--since is "lately"/],
    [["--model", "m"], /--model is about a file\. Name one: purser recommend FILE/],
    [["--yml"], /There is no option --yml\. Did you mean "--yaml"\?/],
    [["a", "b"], /"b" is a word too many/],
  ];
  for (const [args, message] of WRONG)
    test(`refuses ${args.join(" ")}, and says what may stand there`, async (context) => {
      const { exit, text } = await scene(context).purser("recommend", ...args);
      assert.equal(exit, 2);
      assert.match(text, message);
    });
});
