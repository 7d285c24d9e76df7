// biome-ignore-all lint/style/noNonNullAssertion: indices into typed arrays are in range by construction, and are read for every byte.
import type { Vocabulary } from "./vocabulary.ts";

/** Finds the token that two tokens are merged to: an open hash table of the last merges of all tokens. */
export interface PairTable {
  /** Three integers an entry: left, right and merged token; left is -1 where the entry is free. Four apart, to stay in one cache line. */
  readonly entries: Int32Array;
  readonly shift: number;
}

const LEFT_FACTOR = 0x9e3779b1;
const RIGHT_FACTOR = 0x85ebca6b;

export function pairTable({ left, right }: Vocabulary): PairTable {
  const bits = Math.ceil(Math.log2(left.length * 1.6));
  const shift = 32 - bits;
  const mask = (1 << bits) - 1;
  const entries = new Int32Array(4 << bits).fill(-1);
  for (let token = 0; token < left.length; token++) {
    const first = left[token]!;
    if (first === token) continue;
    const second = right[token]!;
    let at = pairHash(first, second, shift);
    while (entries[4 * at]! >= 0) at = (at + 1) & mask;
    entries[4 * at] = first;
    entries[4 * at + 1] = second;
    entries[4 * at + 2] = token;
  }
  return { entries, shift };
}

export function pairHash(first: number, second: number, shift: number): number {
  const mixed = Math.imul(first, LEFT_FACTOR) ^ Math.imul(second, RIGHT_FACTOR);
  return Math.imul(mixed ^ (mixed >>> 15), LEFT_FACTOR) >>> shift;
}
