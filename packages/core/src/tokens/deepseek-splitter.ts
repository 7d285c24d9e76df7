// biome-ignore-all lint/style/noNonNullAssertion: indices into typed arrays are in range by construction, and are read for every byte.
import type { Characters } from "./characters.ts";
import { classOfSeveral, END, LETTER, MARK, NEWLINE, NUMBER, OTHER, PUNCTUATION, SPACE, UPPER, widthOf } from "./characters.ts";
import type { Splitter } from "./splitter.ts";
import { LOOKAHEAD } from "./splitter.ts";

/** Kana and the common Chinese characters, which are cut out before anything else looks at the text. */
const IDEOGRAPH = 10;
const BLANK = 0x20;

/**
 * DeepSeek cuts in three rounds: `\p{N}{1,3}`, then `[一-龥぀-ヿ]+`, then, in what is left between those,
 * `<ASCII punctuation>[A-Za-z]+ | [^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+ | ?[\p{P}\p{S}]+[\r\n]* | \s*[\r\n]+ | \s+(?!\S) | \s+`.
 * Characters that nothing matches stay together up to the next match.
 */
export function createDeepseekSplitter(characters: Characters): Splitter {
  const { byByte } = characters;
  let looked = 0;

  function classAt(bytes: Uint8Array, at: number): number {
    const first = bytes[at]!;
    const kind = byByte[first]!;
    if (kind < 16) return kind;
    if (first >= 0xe3 && first <= 0xe9) {
      const code = ((first & 15) << 12) | ((bytes[at + 1]! & 63) << 6) | (bytes[at + 2]! & 63);
      if ((code >= 0x3040 && code <= 0x30ff) || (code >= 0x4e00 && code <= 0x9fa5)) return IDEOGRAPH;
    }
    return classOfSeveral(characters, bytes, at);
  }

  const isWord = (kind: number) => kind >= UPPER && kind <= MARK;

  function run(bytes: Uint8Array, at: number, first: number, last: number): number {
    for (let kind = classAt(bytes, at); kind >= first && kind <= last; kind = classAt(bytes, at)) at += widthOf(bytes[at]!);
    return at;
  }

  function punctuation(bytes: Uint8Array, at: number): number {
    at = run(bytes, at, PUNCTUATION, PUNCTUATION);
    while (byByte[bytes[at]!] === NEWLINE) at++;
    return at;
  }

  /** White space up to its last line break; without one, all but the last blank, unless the text between two cuts ends here. */
  function blanks(bytes: Uint8Array, start: number): number {
    let at = start;
    let before = start;
    let lines = -1;
    let kind = classAt(bytes, at);
    for (; kind === SPACE || kind === NEWLINE; kind = classAt(bytes, at)) {
      before = at;
      at += widthOf(bytes[at]!);
      if (kind === NEWLINE) lines = at;
    }
    looked = at;
    if (lines >= 0) return lines;
    return kind === END || kind === NUMBER || kind === IDEOGRAPH || before === start ? at : before;
  }

  function unmatched(bytes: Uint8Array, at: number): number {
    for (;;) {
      at += widthOf(bytes[at]!);
      looked = at + 4;
      if (classAt(bytes, at) !== OTHER || isWord(classAt(bytes, at + widthOf(bytes[at]!)))) return at;
    }
  }

  function endOfPiece(bytes: Uint8Array, start: number): number {
    const first = bytes[start]!;
    const kind = classAt(bytes, start);
    if (isWord(kind)) return run(bytes, start, UPPER, MARK);
    if (kind === IDEOGRAPH) return run(bytes, start, IDEOGRAPH, IDEOGRAPH);
    if (kind === NEWLINE) return blanks(bytes, start);
    if (kind === NUMBER) {
      let at = start;
      for (let left = 3; left > 0 && classAt(bytes, at) === NUMBER; left--) at += widthOf(bytes[at]!);
      return at;
    }
    const next = start + widthOf(first);
    const nextKind = classAt(bytes, next);
    if (kind === PUNCTUATION) {
      if (first >= 0x80 || bytes[next]! >= 0x80 || nextKind < UPPER || nextKind > LETTER) return punctuation(bytes, start);
      let at = next;
      while (bytes[at]! < 0x80 && isWord(byByte[bytes[at]!]!)) at++;
      return at;
    }
    if (isWord(nextKind)) return run(bytes, next, UPPER, MARK);
    if (first === BLANK && nextKind === PUNCTUATION) return punctuation(bytes, next);
    return kind === SPACE ? blanks(bytes, start) : unmatched(bytes, start);
  }

  return (bytes, length, last, ends) => {
    let count = 0;
    let at = 0;
    looked = 0;
    while (at < length) {
      at = endOfPiece(bytes, at);
      if (!last && (at > length - LOOKAHEAD || looked > length - LOOKAHEAD)) break;
      ends[count++] = at;
    }
    return count;
  };
}
