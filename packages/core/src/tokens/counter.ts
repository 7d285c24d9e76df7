// biome-ignore-all lint/style/noNonNullAssertion: indices into typed arrays are in range by construction, and are read for every byte.
import { END_BYTE } from "./characters.ts";
import type { PieceEncoder } from "./piece-encoder.ts";
import { LOST, type Splitter } from "./splitter.ts";

/** Counts a text chunk by chunk; what it keeps between texts has a fixed size. */
export interface Counter {
  /** Tokens of the text; any result above `limit` means "more than limit", and then the rest was not read. */
  count(text: string, limit?: number): number;
  /** Where counting a text begins. */
  begin(text: string): Progress;
  /** Counts one chunk, so that a caller can do other things between two of them. */
  advance(progress: Progress, limit: number): void;
  /** What counting has cost so far, for tests of its bounds: bytes read, and steps of the encoder. */
  effort(): { readonly bytes: number; readonly steps: number };
}

/** How far a text is counted: all of it when `at` is at the end of `text`. */
export interface Progress {
  text: string;
  /** In UTF-16 units. */
  at: number;
  tokens: number;
  /** Inside a piece that is too long to be encoded. */
  endless: boolean;
  /** What follows `text`, where a text is brought into another form bit by bit. */
  rest: string;
}

/** UTF-16 units encoded at once. */
const CHUNK = 16_384;
/** A piece that is longer than this many units is not encoded: it counts as one token a byte, the most there can be. */
const PIECE_MAX = 65_536;
/** Units of such a piece passed over at once. */
const CHARGED = 524_288;
const WORD_END = /[\p{L}\p{N}] /u;
/** Units brought into another form at once; they end where a word does, so that neither form nor pieces reach across. */
const WINDOW = 32_768;
const LETTER = /[\p{L}\p{N}]/u;
const BYTES_PER_UNIT = 3;

// Short pieces are remembered under their own bytes, so that no two can be mistaken for each other: as three or seven
// integers padded with zeros, and one more with their length and their tokens.
const NEAR_BITS = 16;
const NEAR_BYTES = 12;
const FAR_BITS = 14;
const FAR_BYTES = 28;
const PADDING = 32;

/** A form of Unicode. */
export type Form = "NFC" | "NFD" | "NFKC" | "NFKD";

/** What a tokenizer does with text before it is cut into pieces. */
export interface Preparation {
  /** What is done first, to the whole text. */
  readonly prepare?: ((text: string) => string) | undefined;
  /** Brings a text into the form in which it is encoded. */
  readonly inForm?: ((text: string) => string) | undefined;
  /** Whether pieces end where a blank follows a letter or a number, and neither a form nor what stands before it changes what follows. */
  readonly endsWords: boolean;
}

export function createCounter(encoder: PieceEncoder, split: Splitter, { prepare, inForm, endsWords }: Preparation): Counter {
  const encodeText = new TextEncoder();
  const near = new Int32Array(4 << NEAR_BITS);
  const far = new Int32Array(8 << FAR_BITS);
  const masks = wordMasks();
  let bytes = new Uint8Array(CHUNK * BYTES_PER_UNIT + PADDING);
  let view = new DataView(bytes.buffer);
  let ends = new Int32Array(bytes.length);
  let bytesRead = 0;

  function countNear(start: number, end: number): number {
    const size = end - start;
    const word0 = view.getInt32(start, true) & masks[size]!;
    const word1 = view.getInt32(start + 4, true) & masks[16 + size]!;
    const word2 = view.getInt32(start + 8, true) & masks[32 + size]!;
    const at = (hash(word0, word1, word2, size) >>> (32 - NEAR_BITS)) << 2;
    const known = near[at + 3]!;
    if (near[at] === word0 && near[at + 1] === word1 && near[at + 2] === word2 && known >> 8 === size) return known & 255;
    const tokens = encoder.count(bytes, start, end);
    near[at] = word0;
    near[at + 1] = word1;
    near[at + 2] = word2;
    near[at + 3] = (size << 8) | tokens;
    return tokens;
  }

  function countFar(start: number, end: number): number {
    const size = end - start;
    const word0 = view.getInt32(start, true);
    const word1 = view.getInt32(start + 4, true);
    const word2 = view.getInt32(start + 8, true);
    const word3 = view.getInt32(start + 12, true) & (size >= 16 ? -1 : masks[size - 12]!);
    const word4 = size > 16 ? view.getInt32(start + 16, true) & (size >= 20 ? -1 : masks[size - 16]!) : 0;
    const word5 = size > 20 ? view.getInt32(start + 20, true) & (size >= 24 ? -1 : masks[size - 20]!) : 0;
    const word6 = size > 24 ? view.getInt32(start + 24, true) & masks[size - 24]! : 0;
    const at = (hash(hash(word0, word3, word6, size), hash(word1, word4, 0, size), word2, word5) >>> (32 - FAR_BITS)) << 3;
    const known = far[at + 7]!;
    if (
      far[at] === word0 &&
      far[at + 1] === word1 &&
      far[at + 2] === word2 &&
      far[at + 3] === word3 &&
      far[at + 4] === word4 &&
      far[at + 5] === word5 &&
      far[at + 6] === word6 &&
      known >> 8 === size
    ) {
      return known & 255;
    }
    const tokens = encoder.count(bytes, start, end);
    far[at] = word0;
    far[at + 1] = word1;
    far[at + 2] = word2;
    far[at + 3] = word3;
    far[at + 4] = word4;
    far[at + 5] = word5;
    far[at + 6] = word6;
    far[at + 7] = (size << 8) | tokens;
    return tokens;
  }

  function countPieces(pieces: number, allowed: number): number {
    let tokens = 0;
    let start = 0;
    for (let i = 0; i < pieces; i++) {
      const end = ends[i]!;
      const size = end - start;
      if (size === 1) tokens++;
      else if (size <= NEAR_BYTES) tokens += countNear(start, end);
      else if (size <= FAR_BYTES) tokens += countFar(start, end);
      else tokens += encoder.count(bytes, start, end);
      if (tokens > allowed) return tokens;
      start = end;
    }
    return tokens;
  }

  function makeRoom(units: number): void {
    const needed = units * BYTES_PER_UNIT + PADDING;
    if (bytes.length >= needed) return;
    bytes = new Uint8Array(needed);
    view = new DataView(bytes.buffer);
    ends = new Int32Array(needed);
  }

  function advance(progress: Progress, limit: number): void {
    if (progress.endless) charge(progress);
    else countChunk(progress, limit);
    if (inForm && progress.at === progress.text.length && progress.rest !== "") bringIntoForm(progress, progress.rest, inForm);
  }

  function countChunk(progress: Progress, limit: number): void {
    const { text } = progress;
    for (let units = CHUNK; ; units *= 4) {
      const end = chunkEnd(text, progress.at, units);
      const last = end === text.length;
      makeRoom(units);
      const { written } = encodeText.encodeInto(progress.at === 0 && last ? text : text.slice(progress.at, end), bytes);
      bytesRead += written;
      bytes[written] = END_BYTE;
      const pieces = split(bytes, written, last, ends);
      if (pieces === LOST) {
        progress.endless = true;
        charge(progress);
        return;
      }
      if (pieces > 0) {
        progress.tokens += countPieces(pieces, limit - progress.tokens);
        const settled = ends[pieces - 1]!;
        progress.at = end - unitsOf(bytes, settled, written);
        return;
      }
      if (units >= PIECE_MAX) {
        progress.endless = true;
        charge(progress);
        return;
      }
    }
  }

  /** Passes over a piece without an end in sight, to where one begins whatever stands around it: a blank after a word; or to the end. */
  function charge(progress: Progress): void {
    const text = progress.text.slice(progress.at, chunkEnd(progress.text, progress.at, CHARGED));
    const word = endsWords ? WORD_END.exec(text) : null;
    if (word) progress.endless = false;
    const passed = word ? text.slice(0, word.index + word[0].length - 1) : text;
    progress.tokens += Buffer.byteLength(passed);
    progress.at += passed.length;
  }

  function begin(text: string): Progress {
    const prepared = prepare ? prepare(text) : text;
    const progress = { text: prepared, at: 0, tokens: 0, endless: false, rest: "" };
    if (inForm) bringIntoForm(progress, prepared, inForm);
    return progress;
  }

  /** Takes the next words of a text as what is counted next, in the form of the vocabulary; all of it where no word ends soon. */
  function bringIntoForm(progress: Progress, text: string, formed: (text: string) => string): void {
    let end = text.length > WINDOW ? text.lastIndexOf(" ", WINDOW) : 0;
    while (end > 0 && !LETTER.test(text.charAt(end - 1))) end = text.lastIndexOf(" ", end - 1);
    progress.text = formed(end > 0 ? text.slice(0, end) : text);
    progress.at = 0;
    progress.rest = end > 0 ? text.slice(end) : "";
  }

  return {
    count(text, limit = Number.POSITIVE_INFINITY) {
      const progress = begin(text);
      while (progress.at < progress.text.length && progress.tokens <= limit) advance(progress, limit);
      return progress.tokens;
    },
    begin,
    advance,
    effort: () => ({ bytes: bytesRead, steps: encoder.steps() }),
  };
}

/** Where a chunk of so many units ends, not between the halves of a character. */
function chunkEnd(text: string, from: number, units: number): number {
  const end = from + units;
  if (end >= text.length) return text.length;
  const code = text.charCodeAt(end);
  return code >= 0xdc00 && code <= 0xdfff ? end - 1 : end;
}

/** How many UTF-16 units the bytes stand for: one a character, two where it has four bytes. */
function unitsOf(bytes: Uint8Array, from: number, to: number): number {
  let units = 0;
  for (let i = from; i < to; i++) {
    const byte = bytes[i]!;
    if ((byte & 0xc0) !== 0x80) units += byte >= 0xf0 ? 2 : 1;
  }
  return units;
}

function hash(a: number, b: number, c: number, d: number): number {
  const mixed = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b) ^ Math.imul(c, 0xc2b2ae35) ^ Math.imul(d, 0x27d4eb2f);
  return Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d);
}

/** By word and size of a piece: the bits of that word that belong to the piece. */
function wordMasks(): Int32Array {
  const masks = new Int32Array(3 * 16);
  for (let word = 0; word < 3; word++) {
    for (let size = 0; size <= NEAR_BYTES; size++) {
      const inside = Math.min(Math.max(size - 4 * word, 0), 4);
      masks[16 * word + size] = inside === 4 ? -1 : (1 << (8 * inside)) - 1;
    }
  }
  return masks;
}
