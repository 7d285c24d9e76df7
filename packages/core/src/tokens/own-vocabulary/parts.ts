import type { Form } from "../counter.ts";
import type { PairTable } from "../pair-table.ts";
import type { Vocabulary } from "../vocabulary.ts";
import type { Automaton } from "./automaton.ts";
import type { MergeTable } from "./merges.ts";

/** All that is needed to count by a vocabulary of one's own, as plain data that one thread can give to another. */
export interface VocabularyParts {
  /** How many tokens it has. */
  readonly tokens: number;
  readonly encoder: EncoderParts;
  readonly cuts: Cuts;
  /** What is taken out of a text before anything else looks at it, and counts as one token each. */
  readonly added: readonly AddedToken[];
  /** Their texts as a trie; none where there are none. */
  readonly addedTrie?: Vocabulary | undefined;
  readonly blanks: Blanks;
  /** The form of Unicode into which a text is brought. */
  readonly form?: Form | undefined;
  /** See `Preparation`. */
  readonly endsWords: boolean;
}

export type EncoderParts =
  | { readonly kind: "tables"; readonly vocabulary: Vocabulary; readonly pairs: PairTable }
  /** Of a vocabulary whose tokens are not all made later than their parts. */
  | {
      readonly kind: "merges";
      /** What is never taken apart: bytes, or the code points of characters; their places are their numbers. */
      readonly atoms: Int32Array;
      readonly ofBytes: boolean;
      readonly table: MergeTable;
      /** Tokens that no merge makes, and that count as one where they are all of a piece. */
      readonly wholes: readonly string[];
    };

/** Where a text is cut into pieces. */
export type Cuts =
  /** By patterns, one after the other. */
  | { readonly kind: "patterns"; readonly automata: readonly Automaton[] }
  /** Wherever no token has both the character before and the one after. */
  | {
      readonly kind: "joints";
      /** A bit for each character that is a token. */
      readonly known: Uint8Array;
      /** A bit for each hash of two characters that stand side by side in a token. */
      readonly joints: Uint8Array;
      /** Each blank begins a piece. */
      readonly splitsBlanks: boolean;
    };

export interface AddedToken {
  readonly text: string;
  /** White space before it or after it is a part of it. */
  readonly takesBefore: boolean;
  readonly takesAfter: boolean;
}

/** What becomes of blanks. */
export interface Blanks {
  /** The sign ▁ stands for a blank, and is none other. */
  readonly marked: boolean;
  /** Where a blank is put before text: nowhere, at the beginning, or also after each added token. */
  readonly before: "nothing" | "text" | "segments";
  /** Also where the text begins with one already. */
  readonly always: boolean;
}

export const JOINT_BITS = 22;

/** A hash of two characters that stand side by side. */
export function jointOf(before: number, after: number): number {
  const mixed = Math.imul(before, 0x9e3779b1) ^ Math.imul(after, 0x85ebca6b);
  return Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d) >>> (32 - JOINT_BITS);
}
