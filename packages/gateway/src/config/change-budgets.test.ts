import assert from "node:assert/strict";
import { chmodSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type BudgetChange, budgetsIn, changedText, openBudgetFile, writtenBudget } from "./change-budgets.ts";
import { readConfig } from "./read-config.ts";

const TEXT = `# Who spends what. Ask kim@example.com before you change a thing.
budgets:
  - name: company   # all of it
    limits: [$50,000 / month, 1M tokens / minute]   # agreed in June
    timezone: Europe/Berlin
  - name: chatbot
    limits:
      - "$10 / day"
      - '2k requests / day'
  - { name: trial, limits: $5 / month rollover $2 }
`;

const INPUT = { environment: { AMOUNT: "7" } };

function change(budget: string, limit: string, to: string, text = TEXT): string {
  return changedText(text, INPUT, { kind: "limit", budget, limit, to });
}

test("the amount is written where it stands, and every other character of the file stays", () => {
  assert.equal(change("company", "$50,000 / month", "$60,000 / month"), TEXT.replace("$50,000", "$60,000"));
  assert.equal(change("company", "1M tokens / minute", "1.5M tokens / minute"), TEXT.replace("1M", "1.5M"));
  assert.equal(change("chatbot", "$10.00 / day", "$12.50 / day"), TEXT.replace("$10 / day", "$12.50 / day"));
  assert.equal(change("chatbot", "2,000 requests / day", "3000 requests / day"), TEXT.replace("2k", "3000"));
  assert.equal(change("trial", "$5 / month rollover $2", "$6 / month rollover $2"), TEXT.replace("$5 /", "$6 /"));
  assert.equal(change("company", "$50,000 / month", "$50,000 / month"), TEXT);
});

test("what is no other amount of a limit that there is changes nothing, and is told", () => {
  const code = (wanted: string) => ({ code: wanted });
  assert.throws(() => change("compony", "$50,000 / month", "$1 / month"), code("budget_unknown"));
  assert.throws(
    () => change("company", "$40,000 / month", "$1 / month"),
    /has no limit "\$40,000 \/ month"\. It has \$50,000\.00 \/ month, 1,000,000 tokens \/ minute/,
  );
  for (const to of ["$1 / day", "1M tokens / month", "$5", "$1 / month rollover $1"])
    assert.throws(() => change("company", "$50,000 / month", to), /Only that can be changed here/, to);
  assert.throws(() => change("trial", "$5 / month rollover $2", "$6 / month"), code("limit_invalid"));
  for (const to of ["a lot", "$1 / month ] }", "$1 / month # x", "$1 / month\n  - name: mallory"])
    assert.throws(() => change("company", "$50,000 / month", to), code("limit_invalid"), to);
});

test("what stands elsewhere, or is of others too, is left to be changed by hand", () => {
  const shared = `budgets:
  - { name: a, limits: &some [$5 / day] }
  - { name: b, limits: *some }
  - { name: c, limits: [\${AMOUNT} tokens / day] }
`;
  const fixed = { code: "config_fixed" };
  assert.throws(() => change("a", "$5 / day", "$6 / day", shared), fixed, "b would change too");
  assert.throws(() => change("b", "$5 / day", "$6 / day", shared), fixed);
  assert.throws(() => change("c", "7 tokens / day", "8 tokens / day", shared), fixed);
});

function startFile(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "purser-limit-"));
  context.after(() => {
    chmodSync(directory, 0o700);
    rmSync(directory, { recursive: true });
  });
  const file = join(directory, "purser.yaml");
  writeFileSync(file, TEXT, { mode: 0o640 });
  return file;
}

test("a file keeps its mode, a link to it stays one, nothing is left beside it, and changes at the same time come one after the other", async (context) => {
  const file = startFile(context);
  const link = `${file}.link`;
  symlinkSync(file, link);
  const input = { ...INPUT, file: link };
  const budgets = openBudgetFile(readConfig(input), input);
  const changeLimit = (budget: string, limit: string, to: string) => budgets.change({ kind: "limit", budget, limit, to });
  await Promise.all([
    changeLimit("company", "$50,000 / month", "$51,000 / month"),
    changeLimit("chatbot", "$10 / day", "$11 / day"),
    assert.rejects(changeLimit("company", "$50,000 / month", "$52,000 / month"), { code: "limit_invalid" }),
  ]);
  assert.equal(readFileSync(file, "utf8"), TEXT.replace("$50,000", "$51,000").replace("$10 /", "$11 /"));
  assert.deepEqual([lstatSync(link).isSymbolicLink(), statSync(file).mode & 0o777], [true, 0o640]);
  assert.deepEqual(readdirSync(join(file, "..")).sort(), ["purser.yaml", "purser.yaml.link"]);
});

test("gateways without a file of their own, and those that have to agree with others, say what to do", async () => {
  const wanted = { kind: "limit", budget: "company", limit: "$50,000 / month", to: "$51,000 / month" } as const;
  const without = openBudgetFile(readConfig({ ...INPUT, text: TEXT }), INPUT);
  await assert.rejects(without.change(wanted), { code: "config_fixed" });
  const file = "purser.yaml";
  const shared = openBudgetFile(readConfig({ ...INPUT, file, text: `store: { redis: "redis://127.0.0.1:1" }\n${TEXT}` }), {
    ...INPUT,
    file,
  });
  await assert.rejects(shared.change(wanted), /share a Redis .* Change the budget in all of them/);
});

const fixed = { code: "config_fixed" };

function written(name: string, text = TEXT) {
  return writtenBudget(budgetsIn(text, INPUT), name);
}

test("a new budget stands behind the others, and is what the reader makes of it", () => {
  const item = { name: "search", for: { team: "search" }, limits: ["$5,000 / month"], ladder: { "80%": "use gpt-4o-mini" } };
  const text = changedText(TEXT, INPUT, { kind: "new", item });
  assert.equal(
    text,
    `${TEXT}  - name: search\n    for: { team: search }\n    limits: [$5,000 / month]\n    ladder:\n      80%: use gpt-4o-mini\n`,
  );
  assert.deepEqual(
    readConfig({ ...INPUT, text }).budgets.map(({ name }) => name),
    ["company", "chatbot", "trial", "search"],
  );
  assert.deepEqual(written("search", text).item, item);
});

test("a budget is changed field by field, and what nobody changed stays as it was written", () => {
  const { item, version } = written("chatbot");
  const wanted = { ...item, limits: ["$12 / day", "2k requests / day"], owner: "kim@example.com" };
  assert.equal(
    changedText(TEXT, INPUT, { kind: "replace", budget: "chatbot", item: wanted, version }),
    TEXT.replace("$10 / day", "$12 / day").replace("'2k requests / day'\n", "'2k requests / day'\n    owner: kim@example.com\n"),
  );
  assert.equal(changedText(TEXT, INPUT, { kind: "replace", budget: "chatbot", item, version }), TEXT);
  assert.equal(
    changedText(TEXT, INPUT, { kind: "remove", budget: "trial", version: written("trial").version }),
    TEXT.replace(/ {2}- \{ name: trial.*\n/, ""),
  );
});

test("of two who change a budget at the same time one is told", () => {
  const { item, version } = written("chatbot");
  const text = changedText(TEXT, INPUT, { kind: "replace", budget: "chatbot", item: { ...item, owner: "kim" }, version });
  const late = { kind: "replace", budget: "chatbot", item: { ...item, owner: "ann" }, version } as const;
  assert.throws(() => changedText(text, INPUT, late), /Somebody else has changed budget "chatbot" meanwhile/);
  assert.throws(() => changedText(text, INPUT, { kind: "remove", budget: "chatbot", version }), fixed);
  assert.throws(() => changedText(text, INPUT, { kind: "new", item }), /"chatbot" names two budgets/);
  // Who changes another budget is in nobody's way.
  assert.ok(changedText(text, INPUT, { kind: "remove", budget: "trial", version: written("trial").version }));
});

test("a variable stays where it stands, is shown by its name, and nobody adds one", () => {
  const text = TEXT.replace('"$10 / day"', `"\${AMOUNT} tokens / day"`).replace(
    "'2k requests / day'",
    `'2k requests / day'\n    owner: \${BOSS:-kim, or ann}`,
  );
  const { item, version } = written("chatbot", text);
  assert.deepEqual(item.limits, [`\${AMOUNT} tokens / day`, "2k requests / day"]);
  const replace = (other: object): BudgetChange => ({ kind: "replace", budget: "chatbot", item: { ...item, ...other }, version });
  const kept = changedText(text, INPUT, replace({ limits: [`\${AMOUNT} tokens / day`, "3k requests / day"] }));
  assert.equal(kept, text.replace("2k", "3k"));
  const secrets = { environment: { ...INPUT.environment, OPENAI_API_KEY: "sk-secret" } };
  for (const other of [
    { owner: `\${OPENAI_API_KEY}` },
    { owner: `\${AMOUNT} tokens / day` },
    { limits: [`\${OPENAI_API_KEY:-5} tokens / day`] },
    { for: { "tag.x": ["a", `\${OPENAI_API_KEY}`] } },
    { for: Object.fromEntries([[`\${OPENAI_API_KEY}`, "a"]]) },
  ])
    assert.throws(
      () => changedText(text, secrets, replace(other)),
      { code: "body_invalid", message: /names a variable/ },
      JSON.stringify(other),
    );
  assert.throws(() => changedText(text, secrets, { kind: "new", item: { name: "x", owner: `a \${OPENAI_API_KEY}` } }), {
    code: "body_invalid",
  });
});

test("what is wrong with a budget is told of its field, and nothing of it is written", () => {
  const problem = (item: object) => {
    try {
      changedText(TEXT, INPUT, { kind: "new", item: item as never });
    } catch (error) {
      return `${(error as { code: string }).code} ${(error as Error).message}`;
    }
    return "written";
  };
  const right = { name: "x", limits: ["$5 / day"] };
  for (const [item, told] of [
    [{ ...right, limits: ["$5 / day", "$5 / fortnight"] }, /^config_invalid limits.*"fortnight" is not a window/],
    [{ ...right, onwer: "kim" }, /^config_invalid onwer: unknown field\. Did you mean "owner"\?/],
    [{ ...right, for: { tem: "a" } }, /^config_invalid for\.tem: /],
    [{ ...right, ladder: { "80%": "use" } }, /^config_invalid ladder/],
    [{ ...right, mode: "watch" }, /^config_invalid mode: "watch" is no mode/],
    [{ ...right, owner: null }, /^config_invalid owner: is empty/],
    [{ ...right, owner: "a\ufffdb" }, /^body_invalid "owner" has a character/],
    [{ ...right, owner: "\ue02c" }, /^body_invalid "owner" has a character/],
    [{ ...right, owner: [[[[[[[[["deep"]]]]]]]]] }, /^body_invalid .*lists in lists/],
    [{ limits: ["$5 / day"] }, /^config_invalid name is missing/],
    [{ ...right, name: "x\n  - name: mallory" }, /^config_invalid name: has a control character/],
    [{ ...right, share: { among: ["company", "nobody"], every: "week" } }, /^config_invalid share: /],
    [{ ...right, ladder: { "80%": "tell slack" } }, /^config_invalid ladder.*no channel/],
  ] as const)
    assert.match(problem(item), told);
  const { item, version } = written("trial");
  assert.throws(() => changedText(TEXT, INPUT, { kind: "replace", budget: "trial", item: { ...item, name: "other" }, version }), {
    code: "body_invalid",
    message: /keeps its name/,
  });
  assert.throws(() => changedText(TEXT, INPUT, { kind: "remove", budget: "nobody" }), { code: "budget_unknown" });
});

test("a budget that another one needs is not taken out", () => {
  const more = "  - { name: a, limits: $1 / day }\n  - { name: pool, share: { among: [chatbot, a], every: week } }\n";
  assert.throws(() => changedText(TEXT + more, INPUT, { kind: "remove", budget: "a" }), {
    code: "config_invalid",
    message: /^Budget "pool": share: .*"a"/,
  });
});

test("a trial reads the budget back and writes nothing", async (context) => {
  const file = startFile(context);
  const input = { ...INPUT, file };
  const budgets = openBudgetFile(readConfig(input), input);
  const tried = await budgets.try({ kind: "new", item: { name: "x", limits: ["5 tokens / day"] } });
  assert.deepEqual([tried.sentence, tried.problems], ["All calls may use 5 tokens a day (UTC).", []]);
  assert.match(tried.warnings[0]?.message ?? "", /less than one call uses/);
  assert.equal(tried.warnings[0]?.field, "limits");
  const wrong = await budgets.try({ kind: "new", item: { name: "x", limits: ["$5 / day", "5 / day", "x"] } });
  assert.equal(wrong.sentence, undefined);
  assert.match(wrong.problems[0]?.field ?? "", /^limits/);
  assert.match((await budgets.try({ kind: "remove", budget: "trial" })).sentence ?? "", /^All calls may use \$5\.00 a month/);
  assert.equal(readFileSync(file, "utf8"), TEXT);
});

test("a file that is wrong as it stands is mended first", async (context) => {
  const file = startFile(context);
  const input = { ...INPUT, file };
  const budgets = openBudgetFile(readConfig(input), input);
  writeFileSync(file, `${TEXT}nonsense: 1\n`);
  await assert.rejects(budgets.change({ kind: "remove", budget: "trial" }), {
    code: "config_fixed",
    message: /which come first: .*nonsense/,
  });
  rmSync(file);
  await assert.rejects(budgets.read("trial"), { code: "config_fixed", message: /cannot be read \(ENOENT\)/ });
});
