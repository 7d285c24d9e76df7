// biome-ignore-all lint/style/noNonNullAssertion: indices into typed arrays are in range by construction, and are read for every byte.
import { codeAt, widthOf } from "../characters.ts";
import type { PieceEncoder } from "../piece-encoder.ts";
import { entryOf } from "./merges.ts";
import type { EncoderParts } from "./parts.ts";

/** A longer piece would take more than a few milliseconds; it is counted as one token a byte, the most there can be. */
const PIECE_MOST = 8_192;
const NONE = -1;

/** Counts the tokens of a piece by making its merges in their order, which any vocabulary allows. */
export function createMergingEncoder({ atoms, ofBytes, table, wholes }: EncoderParts & { kind: "merges" }): PieceEncoder {
  const { entries } = table;
  const whole = new Set(wholes);
  const atomOf = new Map<number, number>();
  for (const [number, code] of atoms.entries()) atomOf.set(code, number);
  let steps = 0;
  let symbol = new Int32Array(256);
  let next = new Int32Array(256);
  let before = new Int32Array(256);
  /** Merges that may be made: the first is the earliest, and of equals the leftmost. */
  const heap: number[] = [];

  /** A merge by when it is made and where; both fit, since a piece has less than 2 ** 14 places. */
  function offer(at: number): void {
    const to = next[at]!;
    if (to === NONE) return;
    steps++;
    const entry = entryOf(table, symbol[at]!, symbol[to]!);
    if (entry === NONE) return;
    push(heap, entries[4 * entry + 2]! * PIECE_MOST + at);
  }

  function symbolsOf(bytes: Uint8Array, start: number, end: number): number {
    let count = 0;
    for (let at = start; at < end; ) {
      const first = bytes[at]!;
      const code = ofBytes || first < 0x80 ? first : codeAt(bytes, at);
      const atom = atomOf.get(code);
      if (atom === undefined) return NONE;
      symbol[count++] = atom;
      at += ofBytes ? 1 : widthOf(first);
    }
    return count;
  }

  return {
    count(bytes, start, end) {
      const size = end - start;
      if (size < 256 && whole.size > 0 && whole.has(Buffer.from(bytes.buffer, bytes.byteOffset + start, size).toString("latin1"))) return 1;
      if (size >= PIECE_MOST) return size;
      if (size > symbol.length) {
        symbol = new Int32Array(2 * size);
        next = new Int32Array(2 * size);
        before = new Int32Array(2 * size);
      }
      const symbols = symbolsOf(bytes, start, end);
      // A character that no token has, which then is a piece of its own.
      if (symbols === NONE) return size;
      for (let at = 0; at < symbols; at++) {
        next[at] = at + 1 < symbols ? at + 1 : NONE;
        before[at] = at - 1;
      }
      heap.length = 0;
      for (let at = 0; at < symbols; at++) offer(at);
      let count = symbols;
      while (heap.length > 0) {
        steps++;
        const merge = pop(heap);
        const at = merge % PIECE_MOST;
        const to = next[at]!;
        // What was offered may be gone since.
        if (symbol[at] === NONE || to === NONE) continue;
        const entry = entryOf(table, symbol[at]!, symbol[to]!);
        if (entry === NONE || entries[4 * entry + 2] !== Math.floor(merge / PIECE_MOST)) continue;
        symbol[at] = entries[4 * entry + 3]!;
        symbol[to] = NONE;
        next[at] = next[to]!;
        if (next[at]! !== NONE) before[next[at]!] = at;
        count--;
        offer(at);
        if (before[at]! >= 0) offer(before[at]!);
      }
      return count;
    },
    steps: () => steps,
  };
}

function push(heap: number[], value: number): void {
  let at = heap.push(value) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (heap[parent]! <= value) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = value;
}

function pop(heap: number[]): number {
  const first = heap[0]!;
  const last = heap.pop()!;
  const size = heap.length;
  if (size === 0) return first;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= size) break;
    if (child + 1 < size && heap[child + 1]! < heap[child]!) child++;
    if (heap[child]! >= last) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return first;
}
