import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Config } from "../config/config.ts";
import { examineConfig } from "../config/read-config.ts";
import type { RecordedCall } from "./recorded-call.ts";
import { replay } from "./replay.ts";
import { readTrace, readTraceColumns } from "./trace.ts";

const DATA = process.env.PURSER_TEST_DATA ?? fileURLToPath(new URL("../../../../../shared/data", import.meta.url));
const NOW = Date.UTC(2026, 10, 20);
const SECOND = 1_000;
const HOUR = 3_600 * SECOND;

function configOf(budgets: string): Config {
  const text = `
providers: { house: { dialect: openai, base_url: "http://127.0.0.1:9/v1", api_key: none, models: ["m-*"] } }
prices:
  - { model: m-large, input: 3, output: 15, cache_read: 0.3, max_output: 8192 }
  - { model: m-small, input: 0.5, output: 2, max_output: 8192 }
budgets: ${budgets}`;
  const { config, problems } = examineConfig({ file: "purser.yaml", text, environment: {} });
  assert.deepEqual(problems, []);
  return config as Config;
}

function callAt(at: number, more: Partial<RecordedCall> = {}): RecordedCall {
  return {
    at: NOW + at,
    subject: {},
    endpoint: "openai-chat",
    provider: undefined,
    model: "m-large",
    priceVariant: undefined,
    service: "standard",
    usage: { inputTokens: 1_000, outputTokens: 500 },
    inputTokensHeld: 1_000,
    outputCap: 500,
    durationMs: 5 * SECOND,
    isLost: false,
    cost: undefined,
    ...more,
  };
}

/** What a call of `callAt` costs at m-large, in nano-dollars. */
const EACH = 1_000 * 3_000 + 500 * 15_000;

function hourly(calls: number, more: Partial<RecordedCall> = {}): readonly RecordedCall[] {
  return Array.from({ length: calls }, (_, i) => callAt(i * HOUR, more));
}

describe("a replay", () => {
  test("costs the same to the nano-dollar where nothing limits the calls", async () => {
    const { before, after, answered, unchanged } = await replay(configOf("[]"), hourly(20));
    assert.deepEqual([before.cost, after.cost, answered, unchanged], [20 * EACH, 20 * EACH, 20, 20]);
  });

  test("ends tasks with a last answer as the gateway does, where the format of the call can", async () => {
    const budgets = '[{ name: task, per: task, limits: [10k tokens], min_output: 1, ladder: { "80%": finish } }]';
    const calls = hourly(12, { subject: { task: "t" } });
    const { answered, refused, rungs } = await replay(configOf(budgets), calls);
    assert.deepEqual([answered, refused], [6, 6], "five of 1,500 tokens, and one that has no room below the step");
    assert.deepEqual([...rungs], [["finish (task 80%)", 1]]);
    const other = await replay(configOf(budgets), hourly(12, { subject: { task: "t" }, endpoint: "openai-completions" }));
    assert.deepEqual([other.answered, [...other.rungs]], [5, []]);
  });

  test("refuses what its budgets refuse, and says which and why", async () => {
    const { answered, refused, refusals, after } = await replay(configOf("[{ name: tight, limits: [$0.05 / day] }]"), hourly(10));
    assert.deepEqual([answered, refused], [5, 5], "the fifth with as long an answer as there is money for");
    assert.ok(after.cost <= 50_000_000 && after.cost > 49_900_000, `${after.cost}`);
    assert.deepEqual(
      refusals.map(({ budget, reason, calls }) => ({ budget, reason, calls })),
      [{ budget: "tight", reason: "budget_exhausted", calls: 5 }],
    );
  });

  test("refuses by weight where its budgets weigh their tokens", async () => {
    const usage = { inputTokens: 1_000, cacheReadInputTokens: 1_000, outputTokens: 500 };
    const weights = "weights: { cache_read: 0.1, output: 2 }";
    const { answered, refusals } = await replay(
      configOf(`[{ name: tight, limits: [4200 tokens / day], ${weights}, min_output: 500 }]`),
      hourly(5, { usage }),
    );
    // Each is held for 2,000 and charged 1,100.
    assert.deepEqual([answered, refusals[0]?.calls], [3, 2]);
    assert.match(refusals[0]?.message ?? "", /900 weighted tokens left of 4,200 weighted tokens/);
  });

  test("goes to models that are served in another format, as a gateway does, and says what it leaves out", async () => {
    const text = `
providers:
  house: { dialect: openai, base_url: "http://127.0.0.1:9/v1", api_key: none, models: ["m-*"] }
  other: { dialect: anthropic, base_url: "http://127.0.0.1:9", models: ["c-*"] }
prices:
  - { model: m-large, input: 3, output: 15, max_output: 8192 }
  - { model: c-small, input: 0.5, output: 2, max_output: 8192 }
  - { model: c-tiny, input: 0.1, output: 0.2, max_output: 8192, context: 500 }
budgets:
  - { name: soft, limits: [$1 / day], ladder: { 0%: use c-small } }
  - { name: hard, limits: [$1 / day], ladder: { 0%: use c-tiny } }`;
    const { config } = examineConfig({ file: "purser.yaml", text, environment: {} });
    const { rungs, after } = await replay(config as Config, hourly(2));
    const tiny = "use c-tiny left out: the call is larger than what the model can read (hard 0%)";
    assert.deepEqual(
      [...rungs],
      [
        ["use c-small (soft 0%)", 2],
        [tiny, 2],
      ],
    );
    assert.equal(after.cost, 2 * (1_000 * 500 + 500 * 2_000));
  });

  test("lets ladders act as they do in a gateway, and counts no saving for calls that are not answered", async () => {
    const ladder = '{ 50%: use m-small, 80%: shorten 100, 100%: answer "Closed." }';
    const config = configOf(`[{ name: soft, limits: [$0.0466 / day], min_output: 50, ladder: ${ladder} }]`);
    const { answered, readyTexts, refused, rungs, after, before, beforeOfAnswered } = await replay(config, hourly(24));
    assert.deepEqual([answered + readyTexts, refused], [24, 0]);
    assert.deepEqual([...rungs.keys()].sort(), ["answer (soft)", "shorten 100 (soft 80%)", "use m-small (soft 50%)"]);
    assert.equal(before.cost, 24 * EACH);
    assert.equal(beforeOfAnswered.cost, answered * EACH);
    assert.ok(after.cost <= 46_600_000, `${after.cost}`);
  });

  test("holds for calls at the same time what they could use, as long as they run", async () => {
    const calls = [callAt(0), callAt(SECOND), callAt(10 * SECOND)];
    const { answered, refusals } = await replay(configOf("[{ name: one, limits: [1 concurrent] }]"), calls);
    assert.equal(answered, 2);
    assert.equal(refusals[0]?.reason, "rate_limited");
  });

  test("lets calls wait their turn in a leaky bucket and on the rung slow, in no time of ours", async () => {
    const calls = Array.from({ length: 7 }, () => callAt(0));
    const leaky = await replay(configOf("[{ name: drip, limits: [5 requests / minute leaky] }]"), calls);
    assert.deepEqual([leaky.answered, leaky.refused], [7, 0]);
    // Five at once, and then one every twelve seconds; who waits for its turn looks every second.
    assert.ok(leaky.waitedMs >= (12 + 24) * SECOND && leaky.waitedMs <= (13 + 25) * SECOND, `${leaky.waitedMs}`);
    const slow = await replay(configOf("[{ name: slow, limits: [$1 / day], ladder: { 0%: slow 30s } }]"), calls);
    assert.equal(slow.waitedMs, 7 * 30 * SECOND);
  });

  test("charges a call whose end is unknown at its estimate when its lease runs out, as it was", async () => {
    const lost = callAt(0, { isLost: true, durationMs: 600 * SECOND });
    const { after, answered } = await replay(configOf("[{ name: all, limits: [$1 / day] }]"), [lost]);
    assert.deepEqual([answered, after.cost], [1, EACH]);
  });

  test("ends the same each time", async () => {
    const config = configOf("[{ name: soft, per: user, limits: [$0.04 / day], ladder: { 50%: use m-small, 100%: block } }]");
    const calls = Array.from({ length: 200 }, (_, i) => callAt((i * 7919 * SECOND) % (24 * HOUR), { subject: { user: `u${i % 3}` } }));
    assert.deepEqual(await replay(config, calls), await replay(config, calls));
  });

  test("says which model nobody serves, and what to do", async () => {
    await assert.rejects(replay(configOf("[]"), [callAt(0, { model: "gpt-x", endpoint: "anthropic-messages" })]), /--model NAME/);
  });
});

describe("a day of real traffic", () => {
  const trace = () =>
    readTrace({
      file: join(DATA, "traces/tenants_24h.csv"),
      columns: readTraceColumns("user=tenant,image_input_tokens=image_tokens_in_input,reasoning_output_tokens=reasoning_tokens_in_output"),
      model: undefined,
      start: NOW,
    });
  /** By the sums that come with the trace. */
  const COST = 15_278_278 * 3_000 + 4_509_297 * 15_000;

  function real(name: string, work: (context: TestContext) => Promise<void>): void {
    test(name, async (context) => {
      if (!existsSync(join(DATA, "traces"))) return context.skip("not run: the recordings are not here (PURSER_TEST_DATA)");
      await work(context);
    });
  }

  real("costs what it did, to the nano-dollar, where no budget says otherwise", async () => {
    const { before, after, answered } = await replay(configOf("[{ name: wide, limits: [$1,000 / day] }]"), await trace());
    assert.deepEqual([answered, before.cost, after.cost], [26_017, COST, COST]);
  });

  real("lands softly on half its money: fewer dollars, and nobody is refused before the last rung", async (context) => {
    const ladder = '{ 50%: use m-small, 80%: shorten 300, 100%: answer "We are at capacity." }';
    const budgets = `[{ name: day, limits: [$56.70 / day], ladder: ${ladder} }]`;
    const calls = await trace();
    const soft = await replay(configOf(budgets), calls);
    const hard = await replay(configOf("[{ name: day, limits: [$56.70 / day] }]"), calls);
    const share = (number: number) => `${Math.round((number / calls.length) * 1000) / 10} %`;
    context.diagnostic(
      `$${(soft.before.cost / 1e9).toFixed(2)} without, $${(soft.after.cost / 1e9).toFixed(2)} with the ladder; as they are ${share(soft.unchanged)}, ` +
        [...soft.rungs].map(([rung, number]) => `${rung} ${share(number)}`).join(", "),
    );
    assert.equal(soft.refused, 0);
    assert.equal(soft.answered, calls.length, "the cheaper model is enough for all of them");
    assert.ok(soft.after.cost < 56_700_000_000 && soft.after.cost < soft.before.cost / 1.8);
    assert.ok(hard.refused > 5_000, "the same money without a ladder is a wall");
    assert.deepEqual(await replay(configOf(budgets), calls), soft, "and it is the same each time");
  });

  real("goes through every rung on a tenth of its money, and refuses only what the last rung refuses", async (context) => {
    const ladder = "{ 40%: use m-small, 60%: shorten 100, 80%: slow 1s, 100%: block }";
    const calls = await trace();
    const { rungs, refused, refusedEarly, answered } = await replay(
      configOf(`[{ name: day, limits: [$11 / day], ladder: ${ladder} }]`),
      calls,
    );
    context.diagnostic(
      `${answered} answered, ${refused} refused, ${refusedEarly} of them before the last rung; ${JSON.stringify([...rungs])}`,
    );
    assert.deepEqual([...rungs.keys()].sort(), ["shorten 100 to 256 (day 60%)", "slow 1s (day 80%)", "use m-small (day 40%)"]);
    assert.ok(refused > 0);
    assert.equal(refusedEarly, 0);
  });
});

describe("a trace", () => {
  async function read(context: TestContext, text: string, columns = "", model?: string) {
    const folder = await mkdtemp(join(tmpdir(), "purser-trace-"));
    context.after(() => rm(folder, { recursive: true }));
    const file = join(folder, "trace");
    await writeFile(file, text);
    return readTrace({ file, columns: columns === "" ? new Map() : readTraceColumns(columns), model, start: NOW });
  }

  test("is CSV, in the order of its times", async (context) => {
    const calls = await read(
      context,
      '\uFEFFtime,user,model,input_tokens,output_tokens,tag.customer\r\n2026-11-20 12:00:01.5000000,"O""Hara, Ann",m,10,5,acme\r\n2026-11-20T12:00:00+01:00,,m,1,2,\r\n',
    );
    assert.deepEqual(
      calls.map(({ at, subject, usage }) => [new Date(at).toISOString(), subject, usage]),
      [
        ["2026-11-20T11:00:00.000Z", {}, { inputTokens: 1, outputTokens: 2 }],
        ["2026-11-20T12:00:01.500Z", { user: 'O"Hara, Ann', tags: { customer: "acme" } }, { inputTokens: 10, outputTokens: 5 }],
      ],
    );
  });

  test("is a JSON object a line, with names of its own", async (context) => {
    const line = JSON.stringify({ at: 1_763_640_000_000, who: "ann", in: 10, output_tokens: 5, cost: 0.25 });
    const [call] = await read(context, line, "time=at,user=who,input_tokens=in", "gpt-4o");
    assert.deepEqual([call?.at, call?.subject, call?.model, call?.cost], [1_763_640_000_000, { user: "ann" }, "gpt-4o", 250_000_000]);
  });

  const WRONG: readonly (readonly [what: string, text: string, columns: string, message: RegExp])[] = [
    [
      "a column that is not there",
      "offset_ms,input_tokens\n1,2\n",
      "",
      /line 1: There is no column output_tokens\. Name it: --columns output_tokens=COLUMN\./,
    ],
    ["no time", "a,input_tokens,output_tokens\n1,2,3\n", "", /No column says when a call was made/],
    ["a name that the file does not have", "offset_ms,input_tokens,output_tokens\n1,2,3\n", "user=tennant", /no column "tennant"/],
    ["a name that we do not have", "offset_ms\n", "usr=tenant", /"usr" is no column of a trace\. Did you mean "user"\?/],
    ["a number that is none", "offset_ms,model,input_tokens,output_tokens\n1,m,x,3\n", "", /line 2: "x" is no number for input_tokens/],
    ["no model", "offset_ms,input_tokens,output_tokens\n1,2,3\n", "", /--model NAME/],
    ["too few values", "offset_ms,model,input_tokens,output_tokens\n1,m,3\n", "", /line 2: It has 3 values, and the heading 4\./],
    ["broken quotes", 'offset_ms,model,input_tokens,output_tokens\n1,"m,2,3\n', "", /line 2: It is no CSV/],
    ["broken JSON", '{"a":\n', "", /line 1: It is no JSON/],
    ["a time that is none", "time,model,input_tokens,output_tokens\nnoon,m,2,3\n", "", /"noon" is no time/],
    ["a format that is none", "offset_ms,model,endpoint,input_tokens,output_tokens\n1,m,chat,2,3\n", "", /"chat" is no format of calls/],
    ["nothing", "offset_ms,model,input_tokens,output_tokens\n", "", /has no calls/],
  ];
  for (const [what, text, columns, message] of WRONG)
    test(`with ${what} is refused, with the line and what to do`, async (context) => {
      await assert.rejects(async () => read(context, text, columns), { code: "trace_invalid", message });
    });
});
