import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { tokenizerJson } from "../../conformance/tokenizer.ts";
import { count } from "./count.ts";

function folder(t: TestContext, files: Readonly<Record<string, string | Uint8Array>>): string {
  const cwd = mkdtempSync(join(tmpdir(), "purser-count-"));
  t.after(() => rmSync(cwd, { recursive: true }));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(cwd, name), content);
  return cwd;
}

async function* chunks(...parts: readonly Uint8Array[]) {
  yield* parts;
}

test("a text is counted by the vocabulary of the model, and priced as its input", async (t) => {
  const cwd = folder(t, { "a.txt": "hello world", "purser.yaml": "prices: [{ model: gpt-4o, provider: openai, input: 5, output: 5 }]\n" });
  const { exit, text, json } = await count(["a.txt", "--model", "gpt-4o"], { environment: {}, cwd });
  assert.equal(exit, 0);
  assert.deepEqual(json, { model: "gpt-4o", tokens: 2, bytes: 11, encoding: "o200k", exact: true, cost_nanodollars: 10_000 });
  assert.match(text, /^2 tokens in 11 bytes$/m);
});

test("a count by another vocabulary says that it is an estimate", async (t) => {
  const cwd = folder(t, { "a.txt": "hello world" });
  const { text, json } = await count(["a.txt", "--model", "claude-sonnet-4-5"], { environment: {}, cwd });
  assert.equal((json as { exact: boolean }).exact, false);
  assert.match(text, /stands in for the vocabulary of claude-sonnet-4-5: an estimate/);
});

test("standard input is read to its end, and a character split between two chunks is whole", async (t) => {
  const bytes = Buffer.from("grüße");
  const stdin = chunks(bytes.subarray(0, 3), bytes.subarray(3));
  const { json } = await count(["-"], { environment: {}, cwd: folder(t, {}), stdin });
  assert.equal((json as { bytes: number }).bytes, 7);
});

test("what is no text and what is not there exit 2", async (t) => {
  const cwd = folder(t, { "a.bin": new Uint8Array([0xff, 0xfe, 0x80]) });
  for (const args of [["a.bin"], ["none.txt"], ["a", "b"]])
    assert.equal((await count(args, { environment: {}, cwd })).exit, 2, args.join(" "));
});

test("a model of one's own is counted by its file or as another one, and the output says so", async (t) => {
  const models = [
    '  - { model: "acme-*", vocabulary: acme/tokenizer.json }',
    "  - { model: support, count_as: claude }",
    "providers: { local: { base_url: 'http://127.0.0.1:8000/v1', dialect: openai, models: ['acme-*', support] } }",
  ];
  const cwd = folder(t, { "a.txt": "ahoy ahoy", "purser.yaml": `models:\n${models.join("\n")}\n` });
  mkdirSync(join(cwd, "acme"));
  writeFileSync(join(cwd, "acme/tokenizer.json"), tokenizerJson());
  const own = await count(["a.txt", "--model", "local/acme-v3"], { environment: {}, cwd });
  assert.match(
    own.text,
    /counted with acme\/tokenizer\.json, the vocabulary of local\/acme-v3\n {2}as purser\.yaml says: acme\/tokenizer\.json/,
  );
  const { tokens, exact, encoding, counted_as } = own.json as Record<string, unknown>;
  assert.deepEqual([tokens, exact, encoding, counted_as], [3, true, "acme/tokenizer.json", "acme/tokenizer.json"]);
  const other = await count(["a.txt", "--model", "support"], { environment: {}, cwd });
  assert.match(
    other.text,
    /counted with o200k, which stands in for the vocabulary of support: an estimate\n {2}as purser\.yaml says: claude/,
  );
});
