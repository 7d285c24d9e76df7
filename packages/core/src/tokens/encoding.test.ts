import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { EncodingName } from "./encoding.ts";
import { loadEncoding } from "./encoding.ts";
import { LANGUAGES, randomFrom, soup } from "./texts.test.data.ts";

interface Reference {
  encode_ordinary(text: string): Uint32Array;
  free(): void;
}

const root = fileURLToPath(new URL("../../../../", import.meta.url));
const data = process.env.PURSER_TEST_DATA ?? join(root, "../shared/data");
const novel = join(data, "war-and-peace.txt");
const { get_encoding } = createRequire(import.meta.url)("tiktoken") as { get_encoding(name: string): Reference };
const REFERENCES: Readonly<Partial<Record<EncodingName, string>>> = { o200k: "o200k_base", cl100k: "cl100k_base" };
const ALL: readonly EncodingName[] = ["o200k", "cl100k", "qwen", "deepseek", "tekken"];
/** `PURSER_FUZZ=1000000` runs the million soups that a release is checked with. */
const soups = Number(process.env.PURSER_FUZZ ?? 8_000);

for (const [name, referenceName] of Object.entries(REFERENCES) as [EncodingName, string][]) {
  test(`${name} counts real text as the reference does`, async (t) => {
    const encoding = await loadEncoding(name);
    const reference = get_encoding(referenceName);
    const check = (text: string, what: string) => assert.equal(encoding.count(text), reference.encode_ordinary(text).length, what);
    for (const [language, text] of Object.entries(LANGUAGES)) {
      check(text, language);
      check(text.repeat(40), `${language} repeated`);
      check(Buffer.from(text).toString("base64"), `${language} in base64`);
    }
    for (const file of readdirSync(join(root, "packages/core/src/tokens"))) {
      if (file.endsWith(".ts")) check(readFileSync(join(root, "packages/core/src/tokens", file), "utf8"), file);
    }
    check(readFileSync(join(root, "package.json"), "utf8"), "package.json");
    if (existsSync(novel)) {
      const text = readFileSync(novel, "utf8");
      for (let at = 0; at < text.length; at += 500_003) check(text.slice(at, at + 60_000), `novel from ${at}`);
    } else t.diagnostic("not run: the novel, because PURSER_TEST_DATA has none");
    reference.free();
  });

  test(`${name} counts any soup as the reference does`, async (t) => {
    const encoding = await loadEncoding(name);
    const reference = get_encoding(referenceName);
    const fresh = Math.floor(Math.random() * 2 ** 31);
    t.diagnostic(`fresh seed ${fresh}`);
    for (const seed of [7, fresh]) {
      const random = randomFrom(seed);
      for (let i = 0; i < soups / 2; i++) {
        const text = soup(random, 30);
        const expected = reference.encode_ordinary(text).length;
        assert.equal(encoding.count(text), expected, `seed ${seed}, soup ${i}: ${JSON.stringify(text)}`);
      }
    }
    reference.free();
  });

  test(`${name} counts the same however long the text before and after a place is`, async () => {
    const encoding = await loadEncoding(name);
    const reference = get_encoding(referenceName);
    const random = randomFrom(11);
    // Long enough for several chunks; the longer ones hold runs that no chunk can cut.
    for (const most of [4_000, 12_000, 40_000]) {
      const text = soup(random, most) + soup(random, 3).repeat(400) + soup(random, most);
      assert.equal(encoding.count(text), reference.encode_ordinary(text).length);
    }
    for (const run of ["a", " ", "1", "\n", "é", "中", "\u0301", "/\n", "A中", " \n"]) {
      // The first chunk ends inside the run.
      const text = `${"ab ".repeat(5_400)}x${run.repeat(1_200)}y z`;
      assert.equal(encoding.count(text), reference.encode_ordinary(text).length, JSON.stringify(run));
    }
    const blanks = `${"ab ".repeat(5_461)}${" ".repeat(40_000)}\n${" ".repeat(3_000)}x`;
    assert.equal(encoding.count(blanks), reference.encode_ordinary(blanks).length);
    reference.free();
  });
}

/** Counted by Hugging Face's `tokenizers` 0.23.2, each text of `LANGUAGES` twice with a blank between. */
const REFERENCE_COUNTS: Readonly<Record<string, readonly number[]>> = {
  qwen: [86, 74, 74, 74, 133, 50, 76, 111, 147, 87, 135, 114, 55, 57, 55, 129, 84, 104, 116, 89],
  deepseek: [74, 66, 76, 66, 78, 49, 70, 70, 74, 67, 97, 160, 49, 57, 54, 128, 90, 102, 110, 98],
  tekken: [86, 64, 58, 70, 64, 50, 50, 56, 60, 85, 66, 198, 65, 56, 45, 203, 90, 110, 116, 104],
};

for (const [name, counts] of Object.entries(REFERENCE_COUNTS)) {
  test(`${name} counts real text as its own tokenizer does`, async () => {
    const encoding = await loadEncoding(name as EncodingName);
    assert.deepEqual(
      Object.values(LANGUAGES).map((text) => encoding.count(`${text} ${text}`)),
      counts,
    );
  });
}

test("a long text counts as its NFC form where the tokenizer makes that first", async () => {
  const encoding = await loadEncoding("qwen");
  for (const language of ["french", "russian", "korean", "hindi", "chinese"]) {
    const text = `${LANGUAGES[language]} `.repeat(1_500);
    assert.equal(encoding.count(text.normalize("NFD")), encoding.count(text), language);
  }
});

test("text that looks like a special token, and halves of characters, are ordinary text", async () => {
  for (const name of ALL) {
    const encoding = await loadEncoding(name);
    assert.ok(encoding.count("<|endoftext|>") > 1);
    assert.equal(encoding.count("\ud800"), encoding.count("\ufffd"));
    assert.equal(encoding.count("a\udc00b\ud83d"), encoding.count("a\ufffdb\ufffd"));
    assert.equal(encoding.count(""), 0);
  }
});

test("no input makes counting slow: the steps of the encoder stay below a fixed number for each byte", async () => {
  const runs = "a| |=|-|*|_|中|中国人民|👨‍👩‍👧|😀|\u0001|\u0301|1|\n|\t|gq|a1|A中|/|é|aaaaaaab|กั|\r\n|AB|'s|ab=|\u00a0".split("|");
  for (const name of ALL) {
    const encoding = await loadEncoding(name);
    for (const run of runs) {
      for (const size of name === "o200k" ? [3_000, 60_000, 1_000_000] : [3_000, 60_000]) {
        const text = run.repeat(Math.ceil(size / run.length));
        const bytes = Buffer.byteLength(text);
        const before = encoding.effort();
        const tokens = encoding.count(text);
        const after = encoding.effort();
        assert.ok(
          after.steps - before.steps <= 130 * bytes,
          `${name} ${JSON.stringify(run)} took ${(after.steps - before.steps) / bytes} steps a byte`,
        );
        // Text that one chunk could not settle is read again, in chunks four times as long.
        assert.ok(after.bytes - before.bytes <= 2 * bytes, `${name} ${JSON.stringify(run)} was read more than twice`);
        assert.ok(tokens <= bytes * 3);
      }
    }
  }
});

test("counting stops at its limit instead of reading the rest", async (t) => {
  const encoding = await loadEncoding("o200k");
  const texts: Record<string, string> = {};
  for (const [language, text] of Object.entries(LANGUAGES)) texts[language] = text.repeat(Math.ceil(1_000_000 / text.length));
  if (existsSync(novel)) texts.novel = readFileSync(novel, "utf8");
  else t.diagnostic("not run: the novel, because PURSER_TEST_DATA has none");
  for (const [what, text] of Object.entries(texts)) {
    const before = encoding.effort().bytes;
    assert.ok(encoding.count(text, 8_000) > 8_000, what);
    assert.ok(encoding.effort().bytes - before < 160_000, `${what}: ${encoding.effort().bytes - before} bytes`);
  }
});

test("a limit that is not passed changes nothing", async () => {
  const encoding = await loadEncoding("o200k");
  for (const text of Object.values(LANGUAGES)) {
    const tokens = encoding.count(text);
    assert.equal(encoding.count(text, tokens), tokens);
    assert.ok(encoding.count(text, tokens - 1) > tokens - 1);
  }
});

test("what a counter has seen before does not change what it counts", async () => {
  const random = randomFrom(3);
  const texts = Array.from({ length: 2_000 }, () => soup(random, 20));
  const encoding = await loadEncoding("cl100k");
  const first = texts.map((text) => encoding.count(text));
  assert.deepEqual(
    texts
      .reverse()
      .map((text) => encoding.count(text))
      .reverse(),
    first,
  );
});

test("two first users of a vocabulary share one load", async () => {
  assert.equal(loadEncoding("o200k"), loadEncoding("o200k"));
  assert.equal(await loadEncoding("o200k"), await loadEncoding("o200k"));
});

test("a piece that is too intricate or too long counts as one token a byte, never as less than it has", async () => {
  const encoding = await loadEncoding("o200k");
  assert.equal(encoding.count("=".repeat(30_000)), 30_000);
  assert.equal(encoding.count(`${"a".repeat(1_000_000)} word`), 1_000_001);
  assert.equal(encoding.count("a".repeat(60_000)), 7_500);
});
