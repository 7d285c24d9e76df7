import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { price } from "./price.ts";

async function priced(t: TestContext, args: string[], text = "") {
  const cwd = mkdtempSync(join(tmpdir(), "purser-price-"));
  t.after(() => rmSync(cwd, { recursive: true }));
  writeFileSync(join(cwd, "purser.yaml"), text);
  return await price(args, { environment: {}, cwd });
}

const OWN = `prices:
  - { model: mine, provider: local, input: 2, output: 10, tiers: [{ above: 100k, input: 4, output: 20 }] }
providers: { local: { dialect: openai, base_url: http://127.0.0.1:1/v1 } }
`;

test("a price shows its rows and what a call costs, in the tier that its input reaches", async (t) => {
  const { exit, text, json } = await priced(t, ["mine", "--input", "1,000", "--output", "500"], OWN);
  assert.equal(exit, 0);
  assert.match(text, /^local\/mine$/m);
  assert.match(text, /input +\$2\.00 per million tokens$/m);
  assert.match(text, /output +\$20\.00 per million tokens {2}above 100,000 input tokens$/m);
  // 1,000 x $2 + 500 x $10 for a million each.
  assert.equal((json as { cost_nanodollars: number }).cost_nanodollars, 7_000_000);
  const large = await priced(t, ["mine", "--input", "200000"], OWN);
  assert.equal((large.json as { cost_nanodollars: number }).cost_nanodollars, 800_000_000);
});

test("a price of another day is the one that held then", async (t) => {
  const text =
    "prices:\n  - { model: m, provider: openai, input: 1, output: 1 }\n  - { model: m, provider: openai, input: 2, output: 2, from: 2026-06-01 }\n";
  const cost = async (day: string) =>
    ((await priced(t, ["m", "--provider", "openai", "--input", "1000000", "--at", day], text)).json as { cost_nanodollars: number })
      .cost_nanodollars;
  assert.deepEqual([await cost("2026-05-31"), await cost("2026-06-01")], [1_000_000_000, 2_000_000_000]);
});

test("a model without a price exits 1 with the nearest name", async (t) => {
  const { exit, text } = await priced(t, ["gpt-4o-mimi"]);
  assert.equal(exit, 1);
  assert.match(text, /openai\/gpt-4o-mimi has no price, so budgets in money refuse it\. Did you mean gpt-4o-mini\?/);
});

test("a model that nobody is known to serve is told with the nearest name", async (t) => {
  const { exit, text } = await priced(t, ["gpt4o"]);
  assert.equal(exit, 2);
  assert.match(text, /No provider is known to serve gpt4o\. Did you mean gpt-4o\?/);
});

test("what cannot be read on the command line exits 2", async (t) => {
  for (const args of [[], ["a", "b"], ["gpt-4o", "--input", "many"], ["gpt-4o", "--at", "today"], ["gpt-4o", "--att", "x"]]) {
    assert.equal((await priced(t, args)).exit, 2, args.join(" "));
  }
  assert.equal((await priced(t, ["gpt-4o"], "nonsense: 1\n")).exit, 1);
});
