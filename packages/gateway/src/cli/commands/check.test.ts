import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { tokenizerJson } from "../../conformance/tokenizer.ts";
import { check } from "./check.ts";

/** Runs `purser check` in a folder of its own, with this purser.yaml where one is given. */
async function checked(
  t: TestContext,
  {
    text,
    files = {},
    args = [],
    environment = {},
  }: { text?: string; files?: Readonly<Record<string, string>>; args?: string[]; environment?: NodeJS.ProcessEnv },
) {
  const cwd = mkdtempSync(join(tmpdir(), "purser-check-"));
  t.after(() => rmSync(cwd, { recursive: true }));
  if (text !== undefined) writeFileSync(join(cwd, "purser.yaml"), text);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(cwd, name), content);
  return await check(args, { environment, cwd });
}

test("a right file is told back as sentences", async (t) => {
  const text = "budgets:\n  - { name: company, limits: [$50 / month], owner: finance@example.com }\n";
  const { exit, text: said, json } = await checked(t, { text, environment: { OPENAI_API_KEY: "sk-secret" } });
  assert.equal(exit, 0);
  assert.match(said, /^purser\.yaml is right\.$/m);
  assert.match(said, /company: All calls may use \$50\.00 a month \(UTC\)\. Owner: finance@example\.com\./);
  assert.match(said, /with a key: openai$/m);
  assert.doesNotMatch(said + JSON.stringify(json), /sk-secret/);
});

test("a wrong file is told with every problem, and exits 1", async (t) => {
  const { exit, text, json } = await checked(t, { text: "budget: []\ntimezone: Mars\n" });
  assert.equal(exit, 1);
  assert.match(text, /^purser\.yaml:1:1 {2}budget: unknown field\. Did you mean "budgets"\?$/m);
  assert.match(text, /^purser\.yaml:2:11 {2}timezone: "Mars" is not a time zone/m);
  assert.match(text, /^2 problems\./m);
  const { ok, problems } = json as { ok: boolean; problems: readonly { line: number; path: string }[] };
  assert.deepEqual(
    [ok, problems.map(({ line, path }) => [line, path])],
    [
      false,
      [
        [1, "budget"],
        [2, "timezone"],
      ],
    ],
  );
});

test("a limit that cannot be read is one problem, not two", async (t) => {
  const { text } = await checked(t, { text: "budgets: [{ name: a, limits: [$5 / fortnight] }]\n" });
  assert.match(text, /"fortnight" is not a window/);
  assert.doesNotMatch(text, /limits nothing/);
});

test("a model that a ladder names and that has no price is listed: the ladder would pass over it", async (t) => {
  const text =
    'providers: { openai: }\nbudgets: [{ name: a, limits: [$5 / day], ladder: { "50%": use gpt-4o-mini, "80%": use gpt-4o-mimi } }]\n';
  const outcome = await checked(t, { text });
  assert.deepEqual((outcome.json as { unpriced: unknown }).unpriced, [{ model: "gpt-4o-mimi", provider: "openai" }]);
  assert.match(outcome.text, /which budgets in money refuse and ladders pass over\n {2}openai\/gpt-4o-mimi: add it under prices/);
});

test("models that are named and have no price are listed, unless a price or a default is set", async (t) => {
  const text =
    "providers: { openai: }\nbudgets: [{ name: a, limits: [$5 / day], request: { models: [gpt-4o, gpt-nobody-knows, gpt-*] } }]\n";
  const unpriced = async (more: string) => ((await checked(t, { text: text + more })).json as { unpriced: unknown }).unpriced;
  assert.deepEqual(await unpriced(""), [{ model: "gpt-nobody-knows", provider: "openai" }]);
  assert.deepEqual(await unpriced("prices: [{ model: gpt-nobody-knows, input: 1, output: 2 }]\n"), []);
  assert.deepEqual(await unpriced("default_price: { input: 1, output: 2 }\n"), []);
});

test("a model is priced where it is served, not by whoever alone speaks another format", async (t) => {
  const text =
    "providers: { openai: , anthropic: , google: , ollama: }\nbudgets: [{ name: a, limits: [$5 / day], request: { models: [gpt-4o, claude-sonnet-4-6, gemini-2.5-pro] } }]\n";
  assert.deepEqual(((await checked(t, { text })).json as { unpriced: unknown }).unpriced, []);
});

test("budgets that refuse calls or tell of them and for which nobody answers are listed, and are no problem", async (t) => {
  const text = [
    "channels: { hook: { kind: webhook, url: https://example.com } }",
    "budgets:",
    "  - { name: search, for: { team: search }, limits: [$5 / day] }",
    "  - { name: chat, for: { team: search, feature: chat }, limits: [$1 / day] }",
    "  - { name: ops, for: { team: ops }, limits: [$5 / day], mode: observe }",
    '  - { name: sales, for: { team: sales }, limits: [$5 / day], mode: observe, ladder: { "80%": tell hook } }',
    "  - { name: legal, for: { team: legal }, limits: [$5 / day], owner: kim }",
    "",
  ].join("\n");
  const { exit, text: said, json } = await checked(t, { text });
  assert.equal(exit, 0);
  assert.deepEqual((json as { unowned: unknown }).unowned, ["search", "chat", "sales"]);
  assert.match(said, /^Budgets without an owner, who would be told and asked for more\n {2}search, chat, sales$/m);
  const owned = await checked(t, { text: text.replace("[$5 / day] }", "[$5 / day], owner: kim }") });
  assert.deepEqual((owned.json as { unowned: unknown }).unowned, ["sales"]);
  assert.match(owned.text, /chat: .* Owner: kim, as of search\./);
});

test("a mode that cannot be read, and a trial that is over or that nobody is told of, are said where they stand", async (t) => {
  const hook = "channels: { hook: { kind: webhook, url: https://example.com } }\n";
  const of = (mode: string, more = "", top = "") =>
    checked(t, { text: `${hook}${top}budgets:\n  - name: a\n    limits: [$5 / day]\n    mode: ${mode}\n${more}` });
  assert.match(
    (await of("obsrve until 2126-12-15")).text,
    /^purser\.yaml:5:11 {2}budgets\[0\]\.mode: "obsrve until 2126-12-15" is no mode\. Did you mean "observe"\?$/m,
  );
  assert.match(
    (await of("observe for 14 days")).text,
    /budgets\[0\]\.mode: "observe for 14 days" is no mode, because no file says since when/,
  );
  assert.match((await of("observe until 2126-02-30")).text, /budgets\[0\]\.mode: .*Write the last day on which it only observes/);
  const untold = await of("observe until 2126-12-15");
  assert.equal(untold.exit, 0);
  assert.match(
    untold.text,
    /budgets\[0\]\.mode: has an end, and nobody is told before calls are refused\. Add alerts: \{ trial: tell CHANNEL \}\.$/m,
  );
  assert.match(untold.text, /^ {2}a: .* It only observes and refuses nothing until 2126-12-16 00:00 UTC\.$/m);
  const told = await of("observe until 2126-12-15", "    alerts: { trial: tell hook }\n");
  assert.doesNotMatch(told.text, /Warnings/);
  assert.match(told.text, /Tells hook before it begins to refuse calls, and when it does\./);
  assert.doesNotMatch((await of("observe until 2126-12-15", "", "alerts: { trial: tell }\n")).text, /Warnings/);
  assert.match(
    (await of("observe until 2016-12-15")).text,
    /budgets\[0\]\.mode: the trial is over, and the budget refuses calls\. Take it out\.$/m,
  );
  assert.match(
    (await of("enforce", "", "mode: observe until 2016-12-15\n")).text,
    /mode: the trial is over, and budgets without a mode of their own/,
  );
  assert.match(
    (await of("enforce", "    alerts: { trial: tell hook }\n")).text,
    /alerts\.trial: is told of a trial that ends, and the budget has none/,
  );
  assert.match(
    (await of("enforce", "", "alerts: { trial: tell }\n")).text,
    /alerts\.trial: is told of trials that end, and no budget has one/,
  );
  assert.match(
    (await of("observe until 2126-12-15", "", "alerts: { trial: tell hok }\n")).text,
    /alerts\.trial: no channel "hok" is configured\. Did you mean "hook"\?/,
  );
});

test("what is told of each balance needs several of them, and says how many times", async (t) => {
  const hook = "channels: { hook: { kind: webhook, url: https://example.com } }\n";
  const of = (occasion: string, per = "") =>
    checked(t, { text: `${hook}budgets: [{ name: a, ${per}limits: [$5 / day], alerts: { ${occasion}: tell hook } }]\n` });
  assert.match(
    (await of("anomaly each", "per: user, ")).text,
    /Tells hook when a day of one balance takes more than 10 times what is usual for it\./,
  );
  assert.match((await of("anomaly each 4x", "per: user, ")).text, /more than 4 times/);
  assert.match((await of("anomaly 4x", "per: user, ")).text, /when an hour or a day takes more than 4 times/);
  assert.match(
    (await of("anomaly each 4x")).text,
    /alerts\."anomaly each 4x": is about each balance, and the budget has one for all\. Write anomaly 3x, or give/,
  );
  assert.match((await of("anomaly each four", "per: user, ")).text, /"anomaly four" does not say how many times/);
});

test("an e-mail goes to the owner of the budget that a budget is a part of", async (t) => {
  const mail = "channels: { mail: { kind: email, server: 'smtp://localhost', from: a@example.com } }";
  const text = (owner: string) =>
    `${mail}\nbudgets: [{ name: all, limits: [$5 / day]${owner} }, { name: a, for: { team: a }, limits: [$1 / day], ladder: { "80%": tell mail } }]\n`;
  assert.equal((await checked(t, { text: text(", owner: kim@example.com") })).exit, 0);
  assert.match((await checked(t, { text: text("") })).text, /budgets\[1\]\.ladder: tells mail, .* no owner with an address/);
});

test("a cost centre that is all digits keeps every one of them", async (t) => {
  const { text } = await checked(t, { text: "budgets: [{ name: a, limits: [$5 / day], owner: kim, cost_center: 0815 }]\n" });
  assert.match(text, /Cost centre: 0815\./);
});

test("without a file it says so; a named file that is not there and a wrong option exit 2", async (t) => {
  const none = await checked(t, {});
  assert.equal(none.exit, 0);
  assert.match(none.text, /There is no purser\.yaml/);
  assert.match(none.text, /none: every call is counted and none is refused/);
  assert.deepEqual((none.json as { unpriced: unknown }).unpriced, []);
  assert.equal((await checked(t, { args: ["other.yaml"] })).exit, 2);
  const wrong = await checked(t, { args: ["--fiel", "x"] });
  assert.equal(wrong.exit, 2);
  assert.match(wrong.text, /There is no option --fiel\.[\s\S]*Usage: purser check/);
});

test("the schema for editors is printed on demand", async (t) => {
  const { exit, text } = await checked(t, { args: ["--schema"] });
  assert.equal(exit, 0);
  assert.equal(JSON.parse(text).title, "purser.yaml");
});

test("how models are counted is told back, with what their vocabularies take", async (t) => {
  const text = 'models:\n  - { model: ["acme-*", nightly], vocabulary: tokenizer.json }\n  - { model: support, count_as: qwen3 }\n';
  const { text: said, json } = await checked(t, { text, files: { "tokenizer.json": tokenizerJson() } });
  assert.match(said, /^ {2}acme-\*, nightly: counted with tokenizer\.json$/m);
  assert.match(said, /^ {2}support: counted as qwen3$/m);
  assert.match(said, /^ {2}tokenizer\.json: 259 tokens, \d+\.\d MB in memory, read in \d+\.\d s$/m);
  assert.deepEqual((json as { models: unknown }).models, [
    { model: ["acme-*", "nightly"], vocabulary: "tokenizer.json" },
    { model: ["support"], count_as: "qwen3" },
  ]);
});

test("a model that is counted as nobody knows is told with the nearest name, and a wrong vocabulary where it is named", async (t) => {
  const text = `models:
  - { model: a, count_as: qwn3 }
  - { model: b, count_as: gpt4o }
  - { model: c, count_as: acme-bse }
  - { model: acme-base }
  - { model: d, count_as: qwen, vocabulary: x.json }
  - { model: e, count_as: qwen, pattern: cl100k }
  - { modle: f, count_as: qwen }
  - { model: acme-base, vocabulary: x.json, overhead: { call: -1 } }
`;
  assert.deepEqual((await checked(t, { text })).text.split("\n"), [
    'purser.yaml:2:27  models[0].count_as: "qwn3" is no model that is known. Did you mean "qwen3"?',
    'purser.yaml:3:27  models[1].count_as: "gpt4o" is no model that is known. Did you mean "gpt-4o"?',
    'purser.yaml:4:27  models[2].count_as: "acme-bse" is no model that is known. Did you mean "acme-base"?',
    "purser.yaml:5:5  models[3]: count_as or vocabulary is missing: the name of a model that is counted like it, or the path of its tokenizer.json.",
    "purser.yaml:6:27  models[4].count_as: stands beside vocabulary. Keep one of them.",
    "purser.yaml:7:42  models[5].pattern: is for a vocabulary. Add vocabulary: with the path of its file.",
    "purser.yaml:8:5  models[6]: model is missing.",
    'purser.yaml:8:7  models[6].modle: unknown field. Did you mean "model"?',
    'purser.yaml:9:63  models[7].overhead.call: "-1" is not a number of tokens. Write a whole number from 0 to 100,000.',
    "",
    "9 problems.",
  ]);
  const wrong = await checked(t, {
    text: "models:\n  - { model: a, vocabulary: x.json }\n  - { model: b, vocabulary: none.json }\n",
    files: { "x.json": tokenizerJson({ model: { type: "WordPiece" } }) },
  });
  assert.equal(wrong.exit, 1);
  assert.match(wrong.text, /^purser\.yaml:2:29 {2}models\[0\]\.vocabulary: x\.json cannot be counted exactly: its model is WordPiece, /m);
  assert.match(
    wrong.text,
    /^purser\.yaml:3:29 {2}models\[1\]\.vocabulary: none\.json cannot be counted exactly: it cannot be read \(ENOENT\)\./m,
  );
});
