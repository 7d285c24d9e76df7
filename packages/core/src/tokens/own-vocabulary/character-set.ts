// biome-ignore-all lint/style/noNonNullAssertion: indices into typed arrays are in range by construction.
import { readFileSync } from "node:fs";
import { brotliDecompressSync } from "node:zlib";
import { type Characters, LETTER, LOWER, MARK, NEWLINE, NUMBER, OTHER, readCharacters, SPACE, UPPER } from "../characters.ts";

/** A set of characters: one byte for each code point of Unicode, 1 where it is in the set. */
export type CharacterSet = Uint8Array;

export const CODE_POINTS = 0x110000;
const FIRST_SURROGATE = 0xd800;
const SURROGATES = 0x800;
const FIRST_ASTRAL = 0x10000;

/** The set of some code points, each a first and a last one. */
export function setOfRanges(...ranges: readonly (readonly [number, number])[]): CharacterSet {
  const set = new Uint8Array(CODE_POINTS);
  for (const [first, last] of ranges) set.fill(1, first, last + 1);
  return set;
}

export function union(sets: readonly CharacterSet[]): CharacterSet {
  const all = new Uint8Array(CODE_POINTS);
  for (const set of sets) for (let code = 0; code < CODE_POINTS; code++) all[code]! |= set[code]!;
  return all;
}

export function intersection(one: CharacterSet, other: CharacterSet): CharacterSet {
  return one.map((is, code) => is & other[code]!);
}

export function complement(set: CharacterSet): CharacterSet {
  return set.map((is) => 1 - is);
}

const known = new Map<string, CharacterSet>();

/** What a regular expression for one character finds, such as `\p{L}`. Throws where it is none. */
export function setOfExpression(expression: string, flags = ""): CharacterSet {
  const key = `${flags}/${expression}`;
  let set = known.get(key);
  if (!set) {
    set = found(expression, flags);
    known.set(key, set);
  }
  return set;
}

function found(expression: string, flags: string): CharacterSet {
  const set = new Uint8Array(CODE_POINTS);
  for (const { 0: run, index } of everyCharacter().matchAll(new RegExp(`(?:${expression})+`, `gu${flags}`)))
    set.fill(1, codePointAt(index), codePointAt(index + run.length));
  return set;
}

/** Properties that are those of the classes that all vocabularies share, whatever Unicode this Node.js knows. */
const SHARED: Readonly<Record<string, readonly number[]>> = {
  L: [UPPER, LOWER, LETTER],
  Letter: [UPPER, LOWER, LETTER],
  Ll: [LOWER],
  M: [MARK],
  Mark: [MARK],
  N: [NUMBER],
  Number: [NUMBER],
  White_Space: [SPACE, NEWLINE],
};

/** The characters that have a property, such as `L` or `Script=Han`. Throws where there is no such property. */
export function setOfProperty(property: string): CharacterSet {
  const classes = classOfEach();
  const shared = SHARED[property];
  if (shared) return classes.map((one) => (shared.includes(one) ? 1 : 0));
  const set = setOfExpression(`\\p{${property}}`);
  // A newer Unicode has characters that tokenizers do not know.
  return NO_CHARACTERS.test(property) ? set : set.map((is, code) => (classes[code] === OTHER ? 0 : is));
}

/** Properties of what is neither letter, mark, number, punctuation, symbol nor white space. */
const NO_CHARACTERS = /^(C|Other|Any|Assigned|ASCII|Default_Ignorable)/;

let classes: Uint8Array | undefined;

/** The class of each code point, as the splitters of all vocabularies know it. */
function classOfEach(): Uint8Array {
  if (!classes) {
    const packed = readFileSync(new URL("../../../vocabularies/characters.bin", import.meta.url));
    const { blockOf, blocks }: Characters = readCharacters(brotliDecompressSync(packed));
    const size = CODE_POINTS / blockOf.length;
    classes = new Uint8Array(CODE_POINTS);
    for (const [block, content] of blockOf.entries()) classes.set(blocks.subarray(content * size, (content + 1) * size), block * size);
  }
  return classes;
}

let characters: string | undefined;

/** Every character once, in order: all code points but the halves of pairs. */
function everyCharacter(): string {
  if (characters === undefined) {
    const parts: string[] = [];
    for (let first = 0; first < CODE_POINTS; first += 0x800) {
      if (first === FIRST_SURROGATE) continue;
      parts.push(String.fromCodePoint(...Array.from({ length: 0x800 }, (_, i) => first + i)));
    }
    characters = parts.join("");
  }
  return characters;
}

/** The code point that stands at a place of all characters. */
function codePointAt(index: number): number {
  if (index < FIRST_SURROGATE) return index;
  const code = index + SURROGATES;
  return code < FIRST_ASTRAL ? code : FIRST_ASTRAL + (code - FIRST_ASTRAL) / 2;
}
