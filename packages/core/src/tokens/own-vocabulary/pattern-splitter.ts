// biome-ignore-all lint/style/noNonNullAssertion: indices into typed arrays are in range by construction, and are read for every byte.
import { codeAt, widthOf } from "../characters.ts";
import { LOST, type Splitter } from "../splitter.ts";
import { type Automaton, BLOCK_BITS } from "./automaton.ts";

const START = 1;
const NOTHING = -1;
const UNDECIDED = -2;
const BLOCK_MASK = (1 << BLOCK_BITS) - 1;
/** Patterns of tokenizers look at a character two or three times. */
const LOOKS_PER_BYTE = 32;
const LOOKS_LEAST = 4_096;

/**
 * Cuts by patterns, one after the other: each cuts what the one before it left together, at what it finds and between it. What a pattern could look at too
 * often is given up: see `LOST`.
 */
export function createPatternSplitter(automata: readonly Automaton[]): Splitter {
  let looks = 0;
  let ends: Int32Array = new Int32Array(0);
  let count = 0;

  /** Where what is found at `at` ends; nothing is found, or it depends on what follows `to`. */
  function find({ ascii, blockOf, blocks, classes, table }: Automaton, bytes: Uint8Array, at: number, to: number, closed: boolean): number {
    const width = classes + 1;
    let state = START;
    let found = NOTHING;
    for (;;) {
      looks++;
      if (at >= to) {
        if (!closed) return UNDECIDED;
        return (table[state * width + classes]! & 1) === 1 ? at : found;
      }
      const first = bytes[at]!;
      let kind: number;
      if (first < 0x80) kind = ascii[first]!;
      else {
        const code = codeAt(bytes, at);
        kind = blocks[(blockOf[code >> BLOCK_BITS]! << BLOCK_BITS) | (code & BLOCK_MASK)]!;
      }
      const entry = table[state * width + kind]!;
      if ((entry & 1) === 1) found = at;
      state = entry >> 1;
      if (state === 0) return found;
      at += widthOf(first);
    }
  }

  /** Cuts from `from` to `to`, which is where the text between two cuts ends, if it is `closed`. Stops at what more bytes could change. */
  function cut(stage: number, bytes: Uint8Array, from: number, to: number, closed: boolean, most: number): void {
    const automaton = automata[stage];
    if (!automaton) {
      // What is not closed may go on.
      if (closed && to > from) ends[count++] = to;
      return;
    }
    let start = from;
    let at = from;
    while (at < to) {
      if (looks > most) return;
      const end = find(automaton, bytes, at, to, closed);
      if (end === UNDECIDED) {
        cut(stage + 1, bytes, start, at, false, most);
        return;
      }
      if (end <= at) {
        at += widthOf(bytes[at]!);
        continue;
      }
      if (at > start) cut(stage + 1, bytes, start, at, true, most);
      cut(stage + 1, bytes, at, end, true, most);
      start = end;
      at = end;
    }
    cut(stage + 1, bytes, start, to, closed, most);
  }

  return (bytes, length, last, into) => {
    ends = into;
    count = 0;
    looks = 0;
    const most = LOOKS_LEAST + LOOKS_PER_BYTE * length * automata.length;
    cut(0, bytes, 0, length, last, most);
    return looks > most ? LOST : count;
  };
}
