// biome-ignore-all lint/style/noNonNullAssertion: indices into typed arrays are in range by construction, and are read for every byte.
import { END_BYTE } from "../characters.ts";
import { LOST, type Splitter } from "../splitter.ts";
import { ROOT_SLOT, type Vocabulary } from "../vocabulary.ts";
import type { AddedToken, Blanks } from "./parts.ts";

/** Makes a piece of each added token, the first and the longest where several are possible, and cuts what is between them as if it stood alone. */
export function createAddedSplitter(split: Splitter, added: Vocabulary | undefined): Splitter {
  if (!added) return split;
  const { trie, length: lengths } = added;
  const longest = lengths.reduce((most, one) => Math.max(most, one), 0);
  const base = trie[2 * ROOT_SLOT]! >> 1;
  const isFirst = Uint8Array.from({ length: 256 }, (_, byte) => (trie[2 * (base + byte) + 1] === ROOT_SLOT ? 1 : 0));

  function endOfToken(bytes: Uint8Array, start: number, length: number): number {
    let end = -1;
    let slot = ROOT_SLOT;
    let link = trie[2 * ROOT_SLOT]!;
    for (let at = start; at < length; ) {
      const next = (link >> 1) + bytes[at]!;
      if (trie[2 * next + 1] !== slot) break;
      at++;
      slot = next;
      link = trie[2 * slot]!;
      if ((link & 1) === 1) end = at;
    }
    return end;
  }

  let inner = new Int32Array(0);

  return (bytes, length, last, ends) => {
    let count = 0;
    /** Cuts the bytes from `from` to `to`, as if they were all; false where that was lost. */
    const cut = (from: number, to: number, isEnd: boolean): boolean => {
      const after = bytes[to]!;
      bytes[to] = END_BYTE;
      const target = from === 0 ? ends : inner;
      const pieces = split(from === 0 ? bytes : bytes.subarray(from), to - from, isEnd, target);
      bytes[to] = after;
      if (pieces === LOST) return false;
      if (from > 0) for (let i = 0; i < pieces; i++) ends[count + i] = inner[i]! + from;
      count += pieces;
      return true;
    };
    if (inner.length < ends.length) inner = new Int32Array(ends.length);
    // A token that begins behind here may go on in what follows.
    let sure = last ? length : Math.max(0, length - longest + 1);
    while (sure > 0 && sure < length && (bytes[sure]! & 0xc0) === 0x80) sure--;
    let start = 0;
    for (let at = 0; at < sure; at++) {
      if (isFirst[bytes[at]!] === 0) continue;
      const end = endOfToken(bytes, at, length);
      if (end < 0) continue;
      if (at > start && !cut(start, at, true)) return LOST;
      ends[count++] = end;
      start = end;
      at = end - 1;
    }
    if (start < sure && !cut(start, sure, last)) return LOST;
    return count;
  };
}

/** What finds the added tokens in a text: the first, and the longest of those that begin at one place. */
export function addedTokensIn(added: readonly AddedToken[]): RegExp | undefined {
  if (added.length === 0) return undefined;
  const texts = added.map(({ text }) => text).sort((a, b) => b.length - a.length);
  return new RegExp(`(${texts.map((text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")).join("|")})`, "u");
}

const MARK = "▁";
const WHITE_SPACE = /^\p{White_Space}$/u;

/** What is done with a text before anything else: white space that belongs to added tokens is left out, and blanks are put in. Nothing where nothing is to be done. */
export function preparation(added: readonly AddedToken[], { marked, before, always }: Blanks): ((text: string) => string) | undefined {
  const taking = new Map(added.filter(({ takesBefore, takesAfter }) => takesBefore || takesAfter).map((token) => [token.text, token]));
  const between = addedTokensIn(added);
  const asksAlways = taking.size > 0 || before === "segments";
  const asksForMarks = marked && added.some(({ text }) => text.includes(MARK));
  if (!marked && before === "nothing" && taking.size === 0) return undefined;
  const plain = (text: string) => (marked && text.includes(MARK) ? text.replaceAll(MARK, " ") : text);
  const withBlank = (text: string, isFirst: boolean) =>
    text === "" || before === "nothing" || (before === "text" && !isFirst) || (!always && text.startsWith(" ")) ? text : ` ${text}`;
  return (text) => {
    const asks = asksAlways || (asksForMarks && text.includes(MARK));
    if (!asks || !between?.test(text)) return withBlank(plain(text), true);
    // Every second part is an added token, and stays as it is: where one is written with the sign for a blank, a blank is none.
    const parts = text.split(between);
    return parts
      .map((part, i) => {
        if (i % 2 === 1) return part;
        const left = taking.get(parts[i - 1] ?? "")?.takesAfter ? trimmedStart(part) : part;
        const rest = taking.get(parts[i + 1] ?? "")?.takesBefore ? trimmedEnd(left) : left;
        return withBlank(plain(rest), i === 0);
      })
      .join("");
  };
}

function trimmedStart(text: string): string {
  let at = 0;
  while (at < text.length && WHITE_SPACE.test(text[at]!)) at++;
  return text.slice(at);
}

function trimmedEnd(text: string): string {
  let end = text.length;
  while (end > 0 && WHITE_SPACE.test(text[end - 1]!)) end--;
  return text.slice(0, end);
}
