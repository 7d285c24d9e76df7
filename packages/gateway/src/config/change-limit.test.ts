import assert from "node:assert/strict";
import { chmodSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { changedText, limitChanger } from "./change-limit.ts";
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
  return changedText(text, INPUT, { budget, limit, to });
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
  const changeLimit = limitChanger(readConfig(input), input);
  await Promise.all([
    changeLimit({ budget: "company", limit: "$50,000 / month", to: "$51,000 / month" }),
    changeLimit({ budget: "chatbot", limit: "$10 / day", to: "$11 / day" }),
    assert.rejects(changeLimit({ budget: "company", limit: "$50,000 / month", to: "$52,000 / month" }), { code: "limit_invalid" }),
  ]);
  assert.equal(readFileSync(file, "utf8"), TEXT.replace("$50,000", "$51,000").replace("$10 /", "$11 /"));
  assert.deepEqual([lstatSync(link).isSymbolicLink(), statSync(file).mode & 0o777], [true, 0o640]);
  assert.deepEqual(readdirSync(join(file, "..")).sort(), ["purser.yaml", "purser.yaml.link"]);
});

test("gateways without a file of their own, and those that have to agree with others, say what to do", async () => {
  const wanted = { budget: "company", limit: "$50,000 / month", to: "$51,000 / month" };
  const without = limitChanger(readConfig({ ...INPUT, text: TEXT }), INPUT);
  await assert.rejects(without(wanted), { code: "config_fixed" });
  const file = "purser.yaml";
  const shared = limitChanger(readConfig({ ...INPUT, file, text: `store: { redis: "redis://127.0.0.1:1" }\n${TEXT}` }), { ...INPUT, file });
  await assert.rejects(shared(wanted), /share a Redis .* Change the limit in all of them/);
});
