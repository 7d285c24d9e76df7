// biome-ignore-all lint/style/noNonNullAssertion: indices into typed arrays are in range by construction.
import { pairHash, pairTable, TOKENS_MOST } from "../pair-table.ts";
import { readVocabulary, type Vocabulary } from "../vocabulary.ts";
import type { EncoderParts } from "./parts.ts";
import { Uncountable } from "./uncountable.ts";

/** How a tokenizer merges. A token has its place in the list as its number. */
export interface Merges {
  /** As strings of one character a byte. Those come first that are never taken apart: bytes, or the characters of a vocabulary of characters. */
  readonly tokens: readonly string[];
  readonly atoms: number;
  /** Two tokens, what they are merged to where they stand side by side, and when, among all merges. */
  readonly merges: Iterable<readonly [left: number, right: number, product: number, rank: number]>;
  /** The atoms of which a token is made. */
  readonly atomsOf: (token: string) => readonly number[];
  /** Tokens that count as one where they are all of a piece, whether merges make them or not. */
  readonly wholes: readonly string[];
}

/** All merges, by their tokens. */
export interface MergeTable {
  /** Four integers an entry, all -1 where it is free: two tokens, when they are merged, and to what. */
  readonly entries: Int32Array;
  readonly shift: number;
}

const BYTES_MOST = 255;
const FREE = -1;

/** What counts by these merges: without making them where that is possible. */
export function encoderOf(merges: Merges): EncoderParts {
  const { tokens, atoms, wholes } = merges;
  const table = mergeTable(merges.merges);
  const made = madeTokens(merges, table);
  const known = new Set([...tokens.slice(0, atoms), ...made.map(({ token }) => tokens[token]!)]);
  const unmade = [...new Set(wholes)].filter((token) => !known.has(token));
  const long = [...known, ...unmade].find((token) => token.length > BYTES_MOST);
  if (long !== undefined) throw new Uncountable(`it has a token of ${long.length} bytes, and ${BYTES_MOST} are the most`);
  const vocabulary = vocabularyOf(merges, made, unmade);
  return vocabulary
    ? { kind: "tables", vocabulary, pairs: pairTable(vocabulary) }
    : { kind: "merges", ...atomCodes(tokens.slice(0, atoms)), table, wholes: unmade };
}

function atomCodes(atoms: readonly string[]): { readonly atoms: Int32Array; readonly ofBytes: boolean } {
  const ofBytes = atoms.every((atom) => atom.length === 1);
  const codeOf = (atom: string) => (ofBytes ? atom.charCodeAt(0) : Buffer.from(atom, "latin1").toString("utf8").codePointAt(0)!);
  return { atoms: Int32Array.from(atoms, codeOf), ofBytes };
}

/** The entry of two tokens; -1 where they are not merged. */
export function entryOf({ entries, shift }: MergeTable, left: number, right: number): number {
  const mask = entries.length / 4 - 1;
  for (let at = pairHash(left, right, shift); ; at = (at + 1) & mask) {
    const found = entries[4 * at]!;
    if (found === FREE) return -1;
    if (found === left && entries[4 * at + 1] === right) return at;
  }
}

function mergeTable(merges: Merges["merges"]): MergeTable {
  const all = [...merges];
  const bits = Math.max(1, Math.ceil(Math.log2(all.length * 1.6 + 1)));
  const table = { entries: new Int32Array(4 << bits).fill(FREE), shift: 32 - bits };
  const { entries, shift } = table;
  const mask = (1 << bits) - 1;
  for (const [left, right, product, rank] of all) {
    let at = pairHash(left, right, shift);
    // What is written twice is merged when it is written last.
    while (entries[4 * at]! !== FREE && (entries[4 * at] !== left || entries[4 * at + 1] !== right)) at = (at + 1) & mask;
    entries[4 * at] = left;
    entries[4 * at + 1] = right;
    entries[4 * at + 2] = rank;
    entries[4 * at + 3] = product;
  }
  return table;
}

interface Made {
  readonly token: number;
  readonly rank: number;
  readonly left: number;
  readonly right: number;
}

/** All tokens that merges make of their own text, in the order in which they are made. */
function madeTokens({ tokens, atoms, atomsOf }: Merges, table: MergeTable): readonly Made[] {
  const made: Made[] = [];
  for (let token = atoms; token < tokens.length; token++) {
    const last = lastMerge(atomsOf(tokens[token]!), table);
    if (last) made.push({ token, ...last });
  }
  return made.sort((a, b) => a.rank - b.rank);
}

/**
 * The tables that count without merging. The order in which tokens are made names them: whatever stands around it, a token is made by the merge that
 * makes it of its own text, since merges across its ends would have kept it from being made, and all others are the same as there. That holds where each token
 * is made later than its parts; nothing where one is not.
 */
function vocabularyOf({ tokens, atoms }: Merges, made: readonly Made[], wholes: readonly string[]): Vocabulary | undefined {
  const isMade = new Uint8Array(tokens.length).fill(1, 0, atoms);
  const entries: Entry[] = tokens.slice(0, atoms).map((token, number) => ({ token, number, left: 0 }));
  for (const { token, left, right } of made) {
    if (!isMade[left] || !isMade[right]) return undefined;
    isMade[token] = 1;
    entries.push({ token: tokens[token]!, number: entries.length, left: tokens[left]!.length });
  }
  const reachable = entries.length;
  if (reachable > TOKENS_MOST) return undefined;
  for (const token of wholes) entries.push({ token, number: entries.length, left: 0 });
  return readVocabulary(packed(entries), reachable);
}

/** The merge that makes a token of its own text, by making all merges of it in their order; nothing where they do not make it. */
function lastMerge(atoms: readonly number[], table: MergeTable): Omit<Made, "token"> | undefined {
  const { entries } = table;
  const parts = [...atoms];
  const merges = parts.slice(1).map((part, i) => entryOf(table, parts[i]!, part));
  while (parts.length > 2) {
    let at = -1;
    for (let i = 0; i < merges.length; i++)
      if (merges[i]! >= 0 && (at < 0 || entries[4 * merges[i]! + 2]! < entries[4 * merges[at]! + 2]!)) at = i;
    if (at < 0) return undefined;
    parts.splice(at, 2, entries[4 * merges[at]! + 3]!);
    merges.splice(at, 1);
    if (at > 0) merges[at - 1] = entryOf(table, parts[at - 1]!, parts[at]!);
    if (at < merges.length) merges[at] = entryOf(table, parts[at]!, parts[at + 1]!);
  }
  const [left, right] = parts;
  const [last = FREE] = merges;
  return left === undefined || right === undefined || last < 0 ? undefined : { rank: entries[4 * last + 2]!, left, right };
}

interface Entry {
  readonly token: string;
  readonly number: number;
  /** The bytes of the left part of its last merge; 0 where it was not merged. */
  readonly left: number;
}

/** A trie of some texts, to find the longest that stands at a place. */
export function trieOf(texts: readonly string[]): Vocabulary {
  return readVocabulary(
    packed([...new Set(texts)].map((text, number) => ({ token: Buffer.from(text).toString("latin1"), number, left: 0 }))),
  );
}

/** As `scripts/pack-vocabularies.mjs` packs what is shipped. */
function packed(entries: readonly Entry[]): Uint8Array {
  const sorted = [...entries].sort((a, b) => (a.token < b.token ? -1 : 1));
  const n = sorted.length;
  const head = Buffer.alloc(12);
  head.writeUInt32LE(n, 8);
  const planes = Array.from({ length: 6 }, () => Buffer.alloc(n));
  const suffixes: string[] = [];
  let before = "";
  for (const [i, { token, number, left }] of sorted.entries()) {
    let shared = 0;
    while (shared < token.length && shared < before.length && token[shared] === before[shared]) shared++;
    const values = [shared, token.length - shared, left, number & 255, (number >> 8) & 255, number >> 16];
    for (const [plane, value] of values.entries()) planes[plane]![i] = value;
    suffixes.push(token.slice(shared));
    before = token;
  }
  return Buffer.concat([head, ...planes, Buffer.from(suffixes.join(""), "latin1")]);
}
