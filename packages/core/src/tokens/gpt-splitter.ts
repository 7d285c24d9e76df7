// biome-ignore-all lint/style/noNonNullAssertion: indices into typed arrays are in range by construction, and are read for every byte.
import type { Characters } from "./characters.ts";
import { classOfSeveral, LETTER, LOWER, MARK, NEWLINE, NUMBER, PUNCTUATION, SEVERAL_BYTES, SPACE, UPPER, widthOf } from "./characters.ts";
import type { Splitter } from "./splitter.ts";
import { LOOKAHEAD } from "./splitter.ts";

const APOSTROPHE = 0x27;
const SLASH = 0x2f;
const BLANK = 0x20;

export interface GptRules {
  /** A word is capitals, then small letters, and marks belong to it (o200k); otherwise any letters, without marks (cl100k). */
  readonly casedWords: boolean;
  /** Where `'s`, `'ll` and their like go: to the word before them, to a piece of their own, or nowhere in particular. */
  readonly contractions: "suffix" | "piece" | "none";
  readonly digitsMax: number;
  /** Slashes after punctuation and line breaks stay with them. */
  readonly slashes: boolean;
}

/**
 * The family of patterns that began with GPT-4:
 * `[^\r\n\p{L}\p{N}]?<word> | \p{N}{1,3} | ?[^\s\p{L}\p{N}]+[\r\n/]* | \s*[\r\n]+ | \s+(?!\S) | \s+`.
 */
export function createGptSplitter(characters: Characters, { casedWords, contractions, digitsMax, slashes }: GptRules): Splitter {
  const { byByte } = characters;
  const isSuffix = contractions === "suffix";
  const isPiece = contractions === "piece";
  /** How far the last word or blank looked, where that is farther than its end. */
  let looked = 0;

  function classAt(bytes: Uint8Array, at: number): number {
    const kind = byByte[bytes[at]!]!;
    return kind < SEVERAL_BYTES ? kind : classOfSeveral(characters, bytes, at);
  }

  /** `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+` from `at`, or -1. Where it ends in capitals, it gives them back up to the last caseless letter. */
  function smallWord(bytes: Uint8Array, at: number): number {
    let caseless = -1;
    let kind = classAt(bytes, at);
    while (kind === UPPER || kind === LETTER || kind === MARK) {
      at += widthOf(bytes[at]!);
      if (kind !== UPPER) caseless = at;
      kind = classAt(bytes, at);
    }
    if (kind !== LOWER) {
      looked = at;
      return caseless;
    }
    do {
      at += widthOf(bytes[at]!);
      kind = classAt(bytes, at);
    } while (kind === LOWER || kind === LETTER || kind === MARK);
    return at;
  }

  function capitals(bytes: Uint8Array, at: number): number {
    while (classAt(bytes, at) === UPPER) at += widthOf(bytes[at]!);
    return at;
  }

  function letters(bytes: Uint8Array, at: number): number {
    for (let kind = classAt(bytes, at); kind >= UPPER && kind <= LETTER; kind = classAt(bytes, at)) at += widthOf(bytes[at]!);
    return at;
  }

  /** The end of a contraction at `at`, or `at`. `ſ` is an `s` to a pattern that ignores case. */
  function contraction(bytes: Uint8Array, at: number): number {
    if (bytes[at] !== APOSTROPHE) return at;
    const first = bytes[at + 1]!;
    const second = bytes[at + 2]! | 0x20;
    switch (first | 0x20) {
      case 0x73: // s
      case 0x74: // t
      case 0x6d: // m
      case 0x64: // d
        return at + 2;
      case 0x72: // re
      case 0x76: // ve
        return second === 0x65 ? at + 3 : at;
      case 0x6c: // ll
        return second === 0x6c ? at + 3 : at;
      default:
        return first === 0xc5 && bytes[at + 2] === 0xbf ? at + 3 : at;
    }
  }

  /** A word whose first letter or mark is at `letter`; the piece began at `start`, with one other character before it or none. */
  function word(bytes: Uint8Array, start: number, letter: number): number {
    if (!casedWords) return letters(bytes, letter);
    let end = smallWord(bytes, letter);
    if (end < 0) end = start < letter && classAt(bytes, start) === MARK ? letter : capitals(bytes, letter);
    return isSuffix ? contraction(bytes, end) : end;
  }

  function punctuation(bytes: Uint8Array, at: number): number {
    for (let kind = classAt(bytes, at); kind <= PUNCTUATION || kind === MARK; kind = classAt(bytes, at)) at += widthOf(bytes[at]!);
    while (byByte[bytes[at]!] === NEWLINE || (slashes && bytes[at] === SLASH)) at++;
    return at;
  }

  /** White space up to its last line break; without one, all but the last blank, which goes to what follows. */
  function blanks(bytes: Uint8Array, start: number, length: number): number {
    let at = start;
    let before = start;
    let lines = -1;
    for (let kind = classAt(bytes, at); kind === SPACE || kind === NEWLINE; kind = classAt(bytes, at)) {
      before = at;
      at += widthOf(bytes[at]!);
      if (kind === NEWLINE) lines = at;
    }
    looked = at;
    if (lines >= 0) return lines;
    return at === length || before === start ? at : before;
  }

  function digits(bytes: Uint8Array, at: number): number {
    for (let left = digitsMax; left > 0 && classAt(bytes, at) === NUMBER; left--) at += widthOf(bytes[at]!);
    return at;
  }

  function endOfPiece(bytes: Uint8Array, start: number, length: number): number {
    const first = bytes[start]!;
    const kind = classAt(bytes, start);
    if (isPiece && first === APOSTROPHE) {
      const end = contraction(bytes, start);
      if (end > start) return end;
    }
    if (kind >= UPPER && kind <= LETTER) return word(bytes, start, start);
    if (kind === NUMBER) return digits(bytes, start);
    if (kind === NEWLINE) return blanks(bytes, start, length);
    const next = start + widthOf(first);
    const nextKind = classAt(bytes, next);
    if (nextKind >= UPPER && nextKind <= LETTER) return word(bytes, start, next);
    if (casedWords) {
      if (nextKind === MARK) return word(bytes, start, next);
      if (kind === MARK) return isSuffix ? contraction(bytes, next) : next;
    }
    if (kind <= PUNCTUATION || kind === MARK) return punctuation(bytes, start);
    if (first === BLANK && (nextKind <= PUNCTUATION || nextKind === MARK)) return punctuation(bytes, next);
    return blanks(bytes, start, length);
  }

  /**
   * The end of a piece that is an ASCII word with at most one ASCII character before it, or 0: most pieces of most texts, told apart
   * with one look at each byte. A character of several bytes right behind it leaves the decision to the rules above.
   */
  function endOfAsciiWord(bytes: Uint8Array, start: number): number {
    let at = start;
    let kind = byByte[bytes[at]!]!;
    if (kind === SPACE || (kind === PUNCTUATION && (!isPiece || bytes[at] !== APOSTROPHE))) kind = byByte[bytes[++at]!]!;
    if (kind !== LOWER && kind !== UPPER) return 0;
    if (casedWords) {
      while (kind === UPPER) kind = byByte[bytes[++at]!]!;
      while (kind === LOWER) kind = byByte[bytes[++at]!]!;
    } else {
      while (kind === LOWER || kind === UPPER) kind = byByte[bytes[++at]!]!;
    }
    if (kind >= SEVERAL_BYTES) return 0;
    return isSuffix && bytes[at] === APOSTROPHE ? contraction(bytes, at) : at;
  }

  return (bytes, length, last, ends) => {
    let count = 0;
    let at = 0;
    looked = 0;
    while (at < length) {
      at = endOfAsciiWord(bytes, at) || endOfPiece(bytes, at, length);
      if (!last && (at > length - LOOKAHEAD || looked > length - LOOKAHEAD)) break;
      ends[count++] = at;
    }
    return count;
  };
}
