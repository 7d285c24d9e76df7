// biome-ignore-all lint/style/noNonNullAssertion: indices into typed arrays are in range by construction, and are read for every byte.
import type { Vocabulary } from "./vocabulary.ts";

/** Finds the token that two tokens are merged to: an open hash table of the last merges of all tokens. */
export interface PairTable {
  /**
   * Two integers an entry, both -1 where it is free: the left token with the low bits of the merged one above it, and the right token
   * with the high bits above it. A token has at most 18 bits.
   */
  readonly entries: Int32Array;
  readonly shift: number;
}

const TOKEN_BITS = 18;
export const TOKENS_MOST = 1 << TOKEN_BITS;
export const TOKEN_MASK = (1 << TOKEN_BITS) - 1;
const HALF_BITS = 32 - TOKEN_BITS;
const HALF_MASK = (1 << HALF_BITS) - 1;

const LEFT_FACTOR = 0x9e3779b1;
const RIGHT_FACTOR = 0x85ebca6b;

export function pairTable({ left, right, reachable }: Vocabulary): PairTable {
  const bits = Math.max(1, Math.ceil(Math.log2(reachable * 1.6)));
  const shift = 32 - bits;
  const mask = (1 << bits) - 1;
  const entries = new Int32Array(2 << bits).fill(-1);
  for (let token = 0; token < reachable; token++) {
    const first = left[token]!;
    if (first === token) continue;
    const second = right[token]!;
    let at = pairHash(first, second, shift);
    while (entries[2 * at]! !== -1) at = (at + 1) & mask;
    entries[2 * at] = first | ((token & HALF_MASK) << TOKEN_BITS);
    entries[2 * at + 1] = second | ((token >> HALF_BITS) << TOKEN_BITS);
  }
  return { entries, shift };
}

/** The token that an entry's two tokens are merged to. */
export function mergedToken(low: number, high: number): number {
  return (low >>> TOKEN_BITS) | ((high >>> TOKEN_BITS) << HALF_BITS);
}

export function pairHash(first: number, second: number, shift: number): number {
  const mixed = Math.imul(first, LEFT_FACTOR) ^ Math.imul(second, RIGHT_FACTOR);
  return Math.imul(mixed ^ (mixed >>> 15), LEFT_FACTOR) >>> shift;
}
