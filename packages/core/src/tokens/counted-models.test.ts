import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { boundTokens, COUNTED_NAMES, countModels, countTokens, encodingOf, isShipped, loadEncoding, readOwnVocabulary } from "./index.ts";
import { LANGUAGES } from "./texts.test.data.ts";

const CALL = {
  texts: [LANGUAGES.german ?? "", LANGUAGES.chinese ?? ""],
  messages: 2,
  tools: ['{"name":"f"}'],
  images: [{ width: 10, height: 10 }],
};

test("a model that is counted as another one is counted like it, and the first that matches decides", async () => {
  const counted = countModels([
    { models: "acme-v3", countAs: "qwen3" },
    { models: ["ACME-*", "nightly"], countAs: "claude-opus-4-8" },
  ]);
  try {
    for (const [model, as] of Object.entries({ "acme-v3": "qwen3", "Acme-V4": "claude-opus-4-8", nightly: "claude-opus-4-8" }))
      assert.equal(await countTokens(model, CALL), await countTokens(as, CALL), model);
    assert.equal(encodingOf("acme-v3").countedAs, "qwen3");
    assert.equal(encodingOf("qwen3").countedAs, undefined);
    counted.replace([{ models: "acme-v3", countAs: "gpt-4o" }]);
    assert.deepEqual([encodingOf("acme-v3").encoding, encodingOf("acme-v4").exact], ["o200k", false]);
  } finally {
    counted.close();
  }
  assert.equal(encodingOf("acme-v3").countedAs, undefined);
});

test("what a template adds is added once for a call, and for each message and tool, and for images", async () => {
  const overhead = { call: 7, message: 11, tools: 13, tool: 17, image: 19 };
  const counted = countModels([{ models: "plain", countAs: "cl100k", overhead }]);
  try {
    const encoding = await loadEncoding("cl100k");
    const text = [...CALL.texts, ...CALL.tools].reduce((sum, one) => sum + encoding.count(one), 0);
    assert.equal(await countTokens("plain", CALL), 7 + 2 * 11 + 13 + 17 + 19 + Math.ceil(text * 1.03));
    const textBytes = Buffer.byteLength(CALL.texts.join("") + CALL.tools.join(""));
    assert.ok((await countTokens("plain", CALL)) <= boundTokens("plain", { textBytes, messages: 2, tools: 1, images: 1 }));
  } finally {
    counted.close();
  }
});

test("a name that is none is refused with those that are known, and one of two ways is said", () => {
  assert.throws(() => countModels([{ models: "a", countAs: "qwn" }]), /countAs: "qwn" is no model that is known\. Known are gpt-4o, /);
  assert.throws(() => countModels([{ models: "a" }]), /Say of a either countAs or vocabulary\./);
  for (const name of COUNTED_NAMES) assert.ok(isShipped(name), name);
});

test("several can say how their models are counted, and each takes back its own", () => {
  const one = countModels([{ models: "acme-a", countAs: "qwen3" }]);
  const other = countModels([{ models: "acme-*", countAs: "gpt-4o" }]);
  assert.deepEqual([encodingOf("acme-a").countedAs, encodingOf("acme-b").countedAs], ["qwen3", "gpt-4o"]);
  one.close();
  assert.equal(encodingOf("acme-a").countedAs, "gpt-4o");
  other.close();
  assert.equal(encodingOf("acme-a").countedAs, undefined);
});

test("the bound of a call stays above its count where blanks are put before its texts", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "purser-counted-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "tokenizer.json");
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  const vocab = Object.fromEntries(["▁", "a", ...bytes].map((token, number) => [token, number]));
  const normalizers = [
    { type: "Prepend", prepend: "▁" },
    { type: "Replace", pattern: { String: " " }, content: "▁" },
  ];
  writeFileSync(
    path,
    JSON.stringify({ normalizer: { type: "Sequence", normalizers }, model: { type: "BPE", byte_fallback: true, vocab, merges: [] } }),
  );
  const vocabulary = await readOwnVocabulary({ path });
  const counted = countModels([
    { models: "chars", vocabulary, overhead: { call: 0, message: 0 } },
    { models: "alike", countAs: "CHARS" },
  ]);
  t.after(() => counted.close());
  for (const text of ["a", " ", "é", "👩‍👩‍👧", "a b", ""]) {
    const texts = Array.from({ length: 50 }, () => text);
    const count = await countTokens("chars", { texts, messages: 0 });
    assert.equal(vocabulary.encoding.count(text), text === "" ? 0 : Buffer.byteLength(text) + 1);
    assert.ok(count <= boundTokens("chars", { textBytes: 50 * Buffer.byteLength(text), messages: 0 }), JSON.stringify(text));
    assert.ok((await countTokens("chars", { texts, messages: 0 }, count - 1)) > count - 1);
    assert.equal(await countTokens("alike", { texts, messages: 0 }), count + 40);
  }
});
