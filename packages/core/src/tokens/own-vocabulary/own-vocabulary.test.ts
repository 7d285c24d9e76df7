// biome-ignore-all lint/style/noNonNullAssertion: what a test has put in is there.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { LANGUAGES, randomFrom, soup } from "../texts.test.data.ts";
import { type OwnVocabulary, readOwnVocabulary } from "./own-vocabulary.ts";
import { PATTERNS } from "./tiktoken-file.ts";

interface Reference {
  encode(text: string, allowed?: "all" | string[], disallowed?: string[]): Uint32Array;
  encode_ordinary(text: string): Uint32Array;
  free(): void;
}

const { Tiktoken } = createRequire(import.meta.url)("tiktoken") as {
  Tiktoken: new (ranks: string, special: Record<string, number>, pattern: string) => Reference;
};
const folder = mkdtempSync(join(tmpdir(), "purser-vocabulary-"));
after(() => rmSync(folder, { recursive: true }));

/** The first tokens of a vocabulary, in base64, by rank. */
function ranked(name: string, most: number): readonly string[] {
  const { bpe_ranks: text } = createRequire(import.meta.url)(`tiktoken/encoders/${name}.json`) as { bpe_ranks: string };
  return text
    .split("\n")
    .flatMap((line) => line.split(" ").slice(2))
    .slice(0, most);
}

/** tiktoken's own encoder of these tokens. */
function referenceOf(tokens: readonly string[], pattern: string, special: Record<string, number> = {}): Reference {
  return new Tiktoken(`! 0 ${tokens.join(" ")}`, special, pattern);
}

async function read(name: string, content: string | object, pattern?: string): Promise<OwnVocabulary> {
  const path = join(folder, name);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return readOwnVocabulary({ path, pattern }, name);
}

const SPECIAL = ["<|im_start|>", "<|im_end|>", "<tool>"];

/** Texts of all kinds, some of them with special tokens in odd places, and long ones that are read in several chunks. */
function texts(seed: number, most = 1_500): readonly string[] {
  const random = randomFrom(seed);
  const list = Object.values(LANGUAGES).flatMap((text) => [text, text.repeat(40), `${text} `.repeat(700)]);
  for (let i = 0; i < most; i++) {
    const text = soup(random, 30);
    const token = SPECIAL[Math.floor(random() * SPECIAL.length)]!;
    const kind = random();
    list.push(kind < 0.7 ? text : kind < 0.85 ? text + token + soup(random, 8) : `${token}${token} ${text}\n${token.slice(1)}`);
  }
  for (const run of ["a", " ", "1", "\n", "é", "中", "/\n", " \n", "<|im_start|>"])
    list.push(`${"ab ".repeat(5_400)}x${run.repeat(1_200)}y z`, `${"ab ".repeat(5_461)}${run.repeat(1_000)}`);
  return list;
}

function assertSame(own: OwnVocabulary, expected: (text: string) => number, list: readonly string[]): void {
  for (const text of list) {
    const tokens = own.encoding.count(text);
    assert.equal(tokens, expected(text), `${text.length} units: ${JSON.stringify(text.slice(0, 300))}`);
    assert.ok(tokens <= Buffer.byteLength(text) * own.growth);
  }
}

for (const name of ["cl100k", "o200k"]) {
  test(`a file of tiktoken counts as tiktoken does (${name})`, async () => {
    const tokens = ranked(`${name}_base`, 60_000);
    const own = await read(`${name}.tiktoken`, tokens.map((token, rank) => `${token} ${rank}\n`).join(""), name);
    const reference = referenceOf(tokens, PATTERNS[name]!);
    assert.equal(own.growth, 1);
    assertSame(own, (text) => reference.encode_ordinary(text).length, texts(Math.floor(Math.random() * 2 ** 31)));
    reference.free();
  });
}

// The printable characters that byte-level vocabularies write instead of bytes.
const ALPHABET = (() => {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCharCode((byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174 ? byte : next++),
  );
})();

const added = (content: string, more: object = {}) => ({
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
  ...more,
});

/** A tokenizer.json of these tokens, as converters write it: all pairs that make a token are merges. */
function byteLevelJson(tokens: readonly string[], pattern: string, fields: object = {}, model: object = {}) {
  const written = tokens.map((token) => Array.from(Buffer.from(token, "base64"), (byte) => ALPHABET[byte]).join(""));
  const vocab = Object.fromEntries(written.map((token, rank) => [token, rank]));
  const known = new Set(written);
  const merges = written.flatMap((token) =>
    Array.from({ length: token.length - 1 }, (_, i) => [token.slice(0, i + 1), token.slice(i + 1)]).filter(
      ([left, right]) => known.has(left!) && known.has(right!),
    ),
  );
  return {
    version: "1.0",
    added_tokens: SPECIAL.map((content) => added(content)),
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
        { type: "ByteLevel", add_prefix_space: false, use_regex: false },
      ],
    },
    model: { type: "BPE", dropout: null, byte_fallback: false, ignore_merges: true, vocab, merges, ...model },
    ...fields,
  };
}

test("a tokenizer.json of bytes counts as its tokens and special tokens do", async () => {
  const tokens = ranked("cl100k_base", 20_000);
  const own = await read("bytes.json", byteLevelJson(tokens, PATTERNS.cl100k!));
  const special = Object.fromEntries(SPECIAL.map((token, i) => [token, 100_000 + i]));
  const reference = referenceOf(tokens, PATTERNS.cl100k!, special);
  assertSame(own, (text) => reference.encode(text, "all", []).length, texts(Math.floor(Math.random() * 2 ** 31)));
  reference.free();
});

test("of added tokens that begin at one place the longest counts", async () => {
  const tokens = ranked("cl100k_base", 5_000);
  const { encoding } = await read(
    "longest.json",
    byteLevelJson(tokens, PATTERNS.cl100k!, { added_tokens: ["<|im", "<|im_end|>", "end"].map((content) => added(content)) }),
  );
  assert.equal(encoding.count("<|im_end|>"), 1);
  assert.equal(encoding.count("<|im_end"), 1 + encoding.count("_") + 1);
});

test("a tokenizer whose merges are not in the order of its tokens counts the same by merging", async () => {
  // Backwards, no token is made after its parts.
  const tokens = ranked("cl100k_base", 4_000);
  const backwards = [...tokens.slice(0, 256), ...tokens.slice(256).reverse()];
  const json = byteLevelJson(backwards, PATTERNS.cl100k!, {}, { ignore_merges: false });
  const own = await read("backwards.json", json);
  const ranks = new Map(json.model.merges.map(([left, right], rank) => [`${left} ${right}`, rank]));
  const pieces = (text: string) =>
    text.match(/[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+/gu) ?? [];
  const expected = (text: string) =>
    pieces(text).reduce(
      (sum, piece) =>
        sum +
        merged(
          Array.from(Buffer.from(piece), (byte) => ALPHABET[byte]!),
          ranks,
        ),
      0,
    );
  const random = randomFrom(9);
  const list = [...Object.values(LANGUAGES), ...Array.from({ length: 800 }, () => soup(random, 20))];
  assertSame(
    own,
    expected,
    list.map((text) => text.replace(/['\ufeff\u0085]/g, "")).filter((text) => !text.includes("<|")),
  );
});

/** How many symbols are left when all merges are made in their order, the leftmost first: what a tokenizer does, as plainly as possible. */
function merged(symbols: readonly string[], ranks: ReadonlyMap<string, number>): number {
  const parts = [...symbols];
  for (;;) {
    let best = Number.POSITIVE_INFINITY;
    let at = -1;
    for (let i = 0; i + 1 < parts.length; i++) {
      const rank = ranks.get(`${parts[i]} ${parts[i + 1]}`) ?? Number.POSITIVE_INFINITY;
      if (rank < best) [best, at] = [rank, i];
    }
    if (at < 0) return parts.length;
    parts.splice(at, 2, parts[at]! + parts[at + 1]!);
  }
}

const BYTES = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);

/** A vocabulary of characters that was learned from some text, with single bytes for the rest. */
function charactersJson(merges: number, fields: object = {}) {
  const words = Object.values(LANGUAGES).flatMap((text) =>
    text.split(" ").map((word) => Array.from(`▁${word}`).filter((character) => character !== "扱")),
  );
  const characters = new Set(words.flat().filter((_, i) => i % 17 !== 3));
  characters.add("▁");
  const learned: string[] = [];
  const vocab = new Set([...["<unk>", "<s>", "</s>"], ...BYTES, ...characters]);
  for (let i = 0; i < merges; i++) {
    const counts = new Map<string, number>();
    for (const word of words)
      for (let at = 0; at + 1 < word.length; at++) {
        const [left, right] = [word[at]!, word[at + 1]!];
        if (!vocab.has(left) || !vocab.has(right)) continue;
        counts.set(`${left} ${right}`, (counts.get(`${left} ${right}`) ?? 0) + 1);
      }
    const [best] = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0] ?? [];
    if (best === undefined) break;
    const [left, right] = best.split(" ") as [string, string];
    learned.push(best);
    vocab.add(left + right);
    for (const word of words)
      for (let at = 0; at + 1 < word.length; at++) if (word[at] === left && word[at + 1] === right) word.splice(at, 2, left + right);
  }
  return {
    added_tokens: ["<s>", "</s>"].map((content) => added(content)),
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: "▁" },
        { type: "Replace", pattern: { String: " " }, content: "▁" },
      ],
    },
    pre_tokenizer: null as object | null,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: "<unk>",
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries([...vocab].map((token, number) => [token, number])),
      merges: learned,
    },
    ...fields,
  };
}

type CharactersJson = ReturnType<typeof charactersJson>;

/** What a tokenizer of characters makes of a text without added tokens, as plainly as possible. */
function expectedOf({ model }: CharactersJson, prefix: (text: string) => string, pieces = (text: string): readonly string[] => [text]) {
  const ranks = new Map(model.merges.map((merge, rank) => [merge, rank]));
  const symbols = (piece: string) =>
    Array.from(piece).flatMap((character) =>
      model.vocab[character] === undefined ? Array.from(Buffer.from(character), (byte) => BYTES[byte]!) : [character],
    );
  const count = (text: string) =>
    text === "" ? 0 : pieces(prefix(text.replaceAll(" ", "▁"))).reduce((sum, piece) => sum + merged(symbols(piece), ranks), 0);
  // Each added token is one, and what is between them stands alone.
  return (text: string) => text.split(/(<s>|<\/s>)/).reduce((sum, part, i) => sum + (i % 2 === 1 ? 1 : count(part)), 0);
}

function characterTexts(seed: number): readonly string[] {
  const random = randomFrom(seed);
  const list = Object.values(LANGUAGES).flatMap((text) => [text, ` ${text}`, `${text} `.repeat(6)]);
  for (let i = 0; i < 700; i++) {
    const text = soup(random, 16);
    const kind = random();
    list.push(kind < 0.6 ? text : kind < 0.8 ? `${text}<s>${text}</s><s> ${text}` : ` ▁▁${text}  `);
  }
  return list;
}

test("a tokenizer.json of characters counts as plain merging does, with its blanks and its single bytes", async () => {
  const json = charactersJson(400);
  const own = await read("characters.json", json);
  assert.equal(own.growth, 2);
  assertSame(
    own,
    expectedOf(json, (text) => `▁${text}`),
    characterTexts(Math.floor(Math.random() * 2 ** 31)),
  );
});

test("Metaspace cuts at blanks, and puts one before a text that has none", async () => {
  const json = charactersJson(250, {
    normalizer: null,
    pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true },
  });
  const own = await read("metaspace.json", json);
  const prefix = (text: string) => (text.startsWith("▁") ? text : `▁${text}`);
  assertSame(
    own,
    expectedOf(json, prefix, (text) => text.split(/(?=▁)/)),
    characterTexts(4),
  );
});

test("a vocabulary of characters whose merges are not in order counts the same by merging", async () => {
  const json = charactersJson(300);
  const backwards = { ...json, model: { ...json.model, merges: [...json.model.merges].reverse() } };
  const own = await read("characters-backwards.json", backwards);
  assertSame(
    own,
    expectedOf(backwards, (text) => `▁${text}`),
    characterTexts(5),
  );
});

test("white space beside an added token is a part of it where the token takes it", async () => {
  const tokens = ranked("cl100k_base", 5_000);
  const own = await read(
    "strips.json",
    byteLevelJson(tokens, PATTERNS.cl100k!, { added_tokens: [added("<end>", { rstrip: true }), added("<mask>", { lstrip: true })] }),
  );
  const { encoding } = own;
  assert.equal(encoding.count("a<end> \n\tb"), encoding.count("a") + 1 + encoding.count("b"));
  assert.equal(encoding.count("a \n<mask> b"), encoding.count("a") + 1 + encoding.count(" b"));
  assert.equal(encoding.count("a<mask> <end>  <end>"), encoding.count("a") + 1 + encoding.count(" ") + 2);
});

test("a text that grows in the form of the tokenizer stays below its bound, and counts as its form", async () => {
  const tokens = ranked("cl100k_base", 5_000);
  for (const [type, growth] of Object.entries({ NFC: 3, NFKC: 11 } as const)) {
    const own = await read(`${type}.json`, byteLevelJson(tokens, PATTERNS.cl100k!, { normalizer: { type } }));
    assert.equal(own.growth, growth);
    for (const text of ["\u{1d160}".repeat(99), "\u0958".repeat(99), "\ufdfa".repeat(99), "\u0390".repeat(99), ...texts(6, 300)]) {
      assert.ok(own.encoding.count(text) <= Buffer.byteLength(text) * growth, JSON.stringify(text.slice(0, 40)));
      if (!text.includes("<")) assert.equal(own.encoding.count(text), own.encoding.count(text.normalize(type)));
    }
    // No mark is joined with the end of a special token.
    assert.equal(own.encoding.count("<|im_end|>\u0338"), 1 + own.encoding.count("\u0338"));
  }
});

test("what could not be counted exactly is refused, with why and what to do", async () => {
  const tokens = ranked("cl100k_base", 400);
  const bytes = (fields: object = {}, model: object = {}) => byteLevelJson(tokens, PATTERNS.cl100k!, fields, model);
  const split = (one: object) => ({ pre_tokenizer: { type: "Sequence", pretokenizers: [one, { type: "ByteLevel", use_regex: false }] } });
  const wrong: readonly (readonly [string | object, RegExp])[] = [
    [bytes({}, { type: "Unigram" }), /its model is Unigram, and only BPE is counted exactly/],
    [bytes({}, { type: "WordPiece" }), /its model is WordPiece/],
    [bytes({ normalizer: { type: "Lowercase" } }), /its normalizer is Lowercase/],
    [
      bytes({ normalizer: { type: "Sequence", normalizers: [{ type: "NFC" }, { type: "StripAccents" }] } }),
      /its normalizer is StripAccents/,
    ],
    [bytes(split({ type: "BertPreTokenizer" })), /its pre-tokenizer has BertPreTokenizer/],
    [bytes(split({ type: "Split", pattern: { Regex: "a" }, behavior: "Removed", invert: false })), /Split with behavior Removed/],
    [
      bytes(split({ type: "Split", pattern: { Regex: "\\w+" }, behavior: "Removed", invert: true })),
      /leaves out what its pattern does not find/,
    ],
    [bytes(split({ type: "Split", pattern: { Regex: "(?<=a)b" }, behavior: "Isolated" })), /its pattern \(\?<=a\)b has a group/],
    [bytes({}, { dropout: 0.1 }), /by chance/],
    [bytes({}, { end_of_word_suffix: "</w>" }), /ends of words/],
    [bytes({}, { continuing_subword_prefix: "##" }), /parts of words/],
    [bytes({}, { vocab: { a: 0 }, merges: [] }), /no token for 255 of the 256 bytes/],
    [bytes({}, { merges: [["a", "nonsense"]] }), /a token, that it does not have|or to a token, that it does not have/],
    [bytes({ added_tokens: [added("<x>", { single_word: true })] }), /single_word/],
    [{ ...charactersJson(5), normalizer: { type: "Precompiled" } }, /its normalizer has Precompiled/],
    [{ ...charactersJson(5), normalizer: null }, /neither byte-level BPE nor are its blanks marked/],
    [{ ...charactersJson(5), model: { ...charactersJson(5).model, byte_fallback: false } }, /byte_fallback/],
    [{ hello: 1 }, /it has no model/],
    ["{ broken", /it is no JSON/],
    ["<html>", /its line 1 is not a token in base64/],
    ["IQ== 0\n", /does not say how text is cut/],
  ];
  for (const [content, why] of wrong)
    await assert.rejects(read("wrong.json", content), (error: Error & { code: string }) => {
      assert.equal(error.code, "config_invalid");
      assert.match(error.message, /^wrong\.json cannot be counted exactly: .* write count_as with the name of a model/s);
      assert.match(error.message, why);
      return true;
    });
  await assert.rejects(readOwnVocabulary({ path: join(folder, "none.json") }), /it cannot be read \(ENOENT\)/);
  await assert.rejects(readOwnVocabulary({ path: folder }), /it cannot be read \(EISDIR\)/);
});

test("no input makes counting slow, and counting stops at its limit", async () => {
  const tokens = ranked("cl100k_base", 4_000);
  const reversed = [...tokens.slice(0, 256), ...tokens.slice(256).reverse()];
  const all = [
    await read("fast.json", byteLevelJson(tokens, PATTERNS.cl100k!)),
    await read("merging.json", byteLevelJson(reversed, PATTERNS.cl100k!)),
    await read("chars.json", charactersJson(200)),
    // Finds its way through a run of letters again and again.
    await read("slow.json", byteLevelJson(tokens, "\\p{L}*!|\\p{L}|[^\\p{L}]")),
  ];
  const runs = "a| |=|中|👨‍👩‍👧|\u0001|\u0301|1|\n|gq|A中|<|<|im|<|im_start|>|é|\r\n|'s|▁|x▁".split("|");
  for (const { encoding, growth } of all) {
    for (const run of [...runs, "<|im_start|>", "<s>"]) {
      for (const size of [3_000, 200_000]) {
        const text = run.repeat(Math.ceil(size / Math.max(1, run.length)));
        const bytes = Buffer.byteLength(text);
        const before = encoding.effort();
        const count = encoding.count(text);
        const after = encoding.effort();
        assert.ok(count <= bytes * growth, `${encoding.name} ${JSON.stringify(run)}: ${count} for ${bytes} bytes`);
        assert.ok(after.steps - before.steps <= 130 * bytes + 1_000, `${encoding.name} ${JSON.stringify(run)}`);
        assert.ok(after.bytes - before.bytes <= 6 * bytes + 1_000, `${encoding.name} ${JSON.stringify(run)} was read again and again`);
      }
    }
    const long = LANGUAGES.english!.repeat(20_000);
    const before = encoding.effort().bytes;
    assert.ok(encoding.count(long, 2_000) > 2_000);
    assert.ok(encoding.effort().bytes - before < 200_000, encoding.name);
    const exact = encoding.count(LANGUAGES.french!);
    assert.equal(encoding.count(LANGUAGES.french!, exact), exact);
  }
});

test("a token that no merge makes is a whole piece, and never a part of one", async () => {
  const tokens = [...ranked("cl100k_base", 256), ...["ah", "oyx", "ahoy", "<"].map((token) => Buffer.from(token).toString("base64"))];
  const json = byteLevelJson(tokens, PATTERNS.cl100k!);
  assert.deepEqual(
    json.model.merges.map((merge) => merge.join("")),
    ["ah"],
  );
  const { encoding } = await read("wholes.json", json);
  assert.deepEqual(
    ["ahoy", "ahoyx", " ahoy", "oyx", "ahoy-oyx"].map((text) => encoding.count(text)),
    [1, 4, 4, 1, 1 + 4],
  );
  const parts = await read("parts.json", { ...json, model: { ...json.model, ignore_merges: false } });
  assert.deepEqual(
    ["ahoy", "oyx"].map((text) => parts.encoding.count(text)),
    [3, 3],
  );
});

test("what is given up counts as a token a byte to its end, where a word does not end a piece", async () => {
  const tokens = ranked("cl100k_base", 4_000);
  const lines = await read("lines.json", byteLevelJson(tokens, "[^\\n]+|\\n"));
  const line = `${"a".repeat(70_000)} word after word`;
  assert.equal(lines.encoding.count(line), line.length);
  const words = await read("words.json", byteLevelJson(tokens, PATTERNS.cl100k!));
  assert.equal(words.encoding.count(line), 70_000 + words.encoding.count(" word after word"));
  const slow = await read("given-up.json", byteLevelJson(tokens, "\\p{L}*!|\\p{L}|[^\\p{L}]"));
  const text = `${"a".repeat(60_000)} the end`;
  assert.equal(slow.encoding.count(text), text.length);
});
