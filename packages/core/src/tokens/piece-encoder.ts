// biome-ignore-all lint/style/noNonNullAssertion: indices into typed arrays are in range by construction, and are read for every byte.
import { mergedToken, type PairTable, pairHash, pairTable, TOKEN_MASK } from "./pair-table.ts";
import type { Vocabulary } from "./vocabulary.ts";
import { ROOT_SLOT } from "./vocabulary.ts";

/**
 * Counts the tokens of one piece without merging: tries the longest token at each place and steps back where byte-pair encoding could not
 * have left that token beside the one before it. After GitHub's `bpe` crate (rust-gems, MIT), described in arXiv 2605.30813.
 */
export interface PieceEncoder {
  /** Tokens of the bytes from `start` to `end`. A piece that takes too many steps is counted as one token a byte, the most there can be. */
  count(bytes: Uint8Array, start: number, end: number): number;
  /** All steps taken so far: bytes compared, tokens tried, pairs looked up. */
  steps(): number;
}

/** A piece of real text takes about ten steps a byte; a line of one repeated sign up to fifty. */
const STEPS_PER_BYTE = 128;
/** Bounds the time of one piece to a few milliseconds. */
const STEPS_MAX = 600_000;

const REMEMBERED_BITS = 15;

export function createPieceEncoder(vocabulary: Vocabulary, pairs: PairTable = pairTable(vocabulary)): PieceEncoder {
  const { trie, tokenAt, length, shorter, left, right, reachable } = vocabulary;
  const { entries, shift } = pairs;
  const entryMask = entries.length / 2 - 1;
  /** Answers about pairs, by a hash of the pair: the left token, then the right one and the answer in its lowest bit. */
  const remembered = new Int32Array(2 << REMEMBERED_BITS).fill(-1);
  /** The tokens chosen so far, and the places no token may end at, for one piece at a time. */
  let chosen = new Int32Array(1024);
  let barred = new Uint8Array(1025);
  let steps = 0;

  function merged(first: number, second: number): number {
    for (let at = pairHash(first, second, shift); ; at = (at + 1) & entryMask) {
      const low = entries[2 * at]!;
      if (low === -1) return -1;
      const high = entries[2 * at + 1]!;
      if ((low & TOKEN_MASK) === first && (high & TOKEN_MASK) === second) return mergedToken(low, high);
    }
  }

  /** Undoes the merges of both tokens, latest first: would an earlier merge have joined them across their border? */
  function standsBeside(first: number, second: number): boolean {
    let limit = 0x7fffffff;
    for (;;) {
      steps++;
      const across = merged(first, second);
      if (across >= 0 && across < limit) return false;
      if (first > second) {
        limit = first;
        first = right[first]!;
        if (first !== limit) continue;
        limit = second + 1;
        second = left[second]!;
        if (second + 1 === limit) return true;
      } else {
        limit = second + 1;
        second = left[second]!;
        if (second + 1 !== limit) continue;
        limit = first;
        first = right[first]!;
        if (first === limit) return true;
      }
    }
  }

  function mayStandBeside(first: number, second: number): boolean {
    const at = 2 * pairHash(first, second, 32 - REMEMBERED_BITS);
    const answer = remembered[at + 1]!;
    if (remembered[at] === first && answer >> 1 === second) return (answer & 1) === 1;
    const stands = standsBeside(first, second);
    remembered[at] = first;
    remembered[at + 1] = (second << 1) | (stands ? 1 : 0);
    return stands;
  }

  function longest(bytes: Uint8Array, from: number, end: number): number {
    let slot = ROOT_SLOT;
    let link = trie[2 * ROOT_SLOT]!;
    let found = ROOT_SLOT;
    let at = from;
    while (at < end) {
      const next = (link >> 1) + bytes[at]!;
      if (trie[2 * next + 1] !== slot) break;
      at++;
      slot = next;
      link = trie[2 * slot]!;
      if ((link & 1) === 1) found = slot;
    }
    steps += at - from + 1;
    return tokenAt[found]!;
  }

  /** The longest that can be a part of a piece. */
  function longestPart(token: number): number {
    return token < reachable ? token : shorter[token]!;
  }

  return {
    count(bytes, start, end) {
      const size = end - start;
      let next = longest(bytes, start, end);
      // A character that no token has, which then is a piece of its own.
      if (next < 0) return size;
      if (length[next] === size) return 1;
      next = longestPart(next);
      if (size >= barred.length) {
        chosen = new Int32Array(2 * size);
        barred = new Uint8Array(2 * size + 1);
      }
      const stepsAllowed = steps + Math.min(STEPS_PER_BYTE * size, STEPS_MAX);
      let count = 0;
      let at = 0;
      let before = -1;
      let hasBarred = false;
      for (;;) {
        if (steps > stepsAllowed) {
          count = size;
          break;
        }
        steps++;
        const reached = at + length[next]!;
        if (barred[reached] === 0 && (before < 0 || mayStandBeside(before, next))) {
          chosen[count++] = next;
          if (reached === size) break;
          before = next;
          at = reached;
          next = longestPart(longest(bytes, start + at, end));
        } else if (shorter[next]! >= 0) next = shorter[next]!;
        else {
          barred[at] = 1;
          hasBarred = true;
          next = before;
          at -= length[before]!;
          count--;
          before = count > 0 ? chosen[count - 1]! : -1;
        }
      }
      // Nothing is barred between pieces, and in most of them nothing ever is.
      if (hasBarred) barred.fill(0, 0, size + 1);
      return count;
    },
    steps: () => steps,
  };
}
