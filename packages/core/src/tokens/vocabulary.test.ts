// biome-ignore-all lint/style/noNonNullAssertion: planes are as long as their head says.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { brotliDecompressSync } from "node:zlib";
import { ROOT_SLOT, readVocabulary } from "./vocabulary.ts";

const unpack = (name: string) => brotliDecompressSync(readFileSync(new URL(`../../vocabularies/${name}.bin`, import.meta.url)));
const sha256 = (bytes: Buffer | string) => createHash("sha256").update(bytes).digest("hex");

/** What `scripts/pack-vocabularies.mjs` printed for the packages that are too large to be installed for a test. */
const PACKED: Readonly<Record<string, string>> = {
  qwen: "049bcbce20886edb",
  deepseek: "1e3f496a62f521ff",
  tekken: "8822aaef9a991310",
};

for (const name of ["o200k_base", "cl100k_base"]) {
  test(`${name}.bin holds the tokens of the package in the order of their ranks`, () => {
    const { bpe_ranks } = createRequire(import.meta.url)(`tiktoken/encoders/${name}.json`) as { bpe_ranks: string };
    const expected = bpe_ranks.split("\n").flatMap((line) => line.split(" ").slice(2));
    assert.equal(sha256(tokensOf(unpack(name)).join(" ")), sha256(expected.join(" ")));
  });
}

for (const [name, hash] of Object.entries(PACKED)) {
  test(`${name}.bin is what was packed`, () => {
    assert.equal(sha256(unpack(name)).slice(0, 16), hash);
  });
}

test("every token is found in the trie and is made of two earlier ones", () => {
  for (const name of ["o200k_base", "cl100k_base", ...Object.keys(PACKED)]) {
    const packed = unpack(name);
    const { trie, tokenAt, length, left, right, shorter } = readVocabulary(packed);
    const tokens = tokensOf(packed).map((token) => Buffer.from(token, "base64"));
    for (const [token, bytes] of tokens.entries()) {
      let slot = ROOT_SLOT;
      for (const byte of bytes) {
        const next = (trie[2 * slot]! >> 1) + byte;
        if (trie[2 * next + 1] !== slot) assert.fail(`${name}: token ${token} is not in the trie`);
        slot = next;
      }
      const [first, second, prefix] = [left[token]!, right[token]!, shorter[token]!];
      const isWhole = tokenAt[slot] === token && length[token] === bytes.length && (trie[2 * slot]! & 1) === 1;
      const isMade =
        bytes.length === 1
          ? first === token && second === token
          : first < token && second < token && Buffer.concat([tokens[first]!, tokens[second]!]).equals(bytes);
      const hasPrefix = prefix < 0 ? bytes.length === 1 : bytes.subarray(0, tokens[prefix]!.length).equals(tokens[prefix]!);
      if (!isWhole || !isMade || !hasPrefix) assert.fail(`${name}: token ${token}, ${bytes.toString("latin1")}`);
    }
  }
});

/** All tokens of a packed vocabulary, in base64, by rank. */
function tokensOf(packed: Buffer): string[] {
  const n = packed.readUInt32LE(8);
  const at = (plane: number, i: number) => packed[12 + plane * n + i]!;
  const tokens: string[] = [];
  let suffixAt = 12 + 6 * n;
  let bytes = Buffer.alloc(0);
  for (let i = 0; i < n; i++) {
    const end = suffixAt + at(1, i);
    bytes = Buffer.concat([bytes.subarray(0, at(0, i)), packed.subarray(suffixAt, end)]);
    suffixAt = end;
    tokens[at(3, i) | (at(4, i) << 8) | (at(5, i) << 16)] = bytes.toString("base64");
  }
  return tokens;
}
