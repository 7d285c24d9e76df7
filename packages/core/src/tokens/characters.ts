// biome-ignore-all lint/style/noNonNullAssertion: indices into typed arrays are in range by construction, and are read for every byte.
/** What a pre-tokenizer has to know of a character. The numbers are those of the packed table. */
export const OTHER = 0;
export const PUNCTUATION = 1; // symbols too
export const UPPER = 2; // title case too
export const LOWER = 3;
export const LETTER = 4; // letters without case, and modifiers
export const MARK = 5;
export const NUMBER = 6;
export const SPACE = 7; // white space that is no line break
export const NEWLINE = 8; // only \r and \n
/** No character: the bytes end here. */
export const END = 9;
/** The first byte of several: the class is that of the whole character. */
export const SEVERAL_BYTES = 16;

/** The class of each character of Unicode, in two steps: blocks of 128 code points, most of which share their content. */
export interface Characters {
  /** By first byte: the class of an ASCII character, or a number of 16 or more. The end mark 0xff is `END`. */
  readonly byByte: Uint8Array;
  readonly blockOf: Uint16Array;
  readonly blocks: Uint8Array;
}

/** Stands after the last byte of a text, where no UTF-8 can have it, so that loops need not ask for the end. */
export const END_BYTE = 0xff;

const CODE_POINTS = 0x110000;
const BLOCK_BITS = 7;
const BLOCK_MASK = 127;

/** Reads what `scripts/pack-vocabularies.mjs` writes: for each block the number of its content, then the contents. */
export function readCharacters(packed: Uint8Array): Characters {
  const view = new DataView(packed.buffer, packed.byteOffset);
  const blockOf = Uint16Array.from({ length: CODE_POINTS >> BLOCK_BITS }, (_, block) => view.getUint16(2 * block, true));
  const blocks = packed.subarray(2 * blockOf.length);
  const byByte = new Uint8Array(256).fill(SEVERAL_BYTES);
  byByte.set(blocks.subarray(blockOf[0]! << BLOCK_BITS, (blockOf[0]! + 1) << BLOCK_BITS));
  byByte[END_BYTE] = END;
  return { byByte, blockOf, blocks };
}

/** The class of the character at `at`, whose first byte is not ASCII and not the end mark. */
export function classOfSeveral(characters: Characters, bytes: Uint8Array, at: number): number {
  const code = codeAt(bytes, at);
  return characters.blocks[(characters.blockOf[code >> BLOCK_BITS]! << BLOCK_BITS) | (code & BLOCK_MASK)]!;
}

/** The code point at `at`, whose first byte is not ASCII. */
export function codeAt(bytes: Uint8Array, at: number): number {
  const first = bytes[at]!;
  const second = bytes[at + 1]! & 63;
  if (first < 0xe0) return ((first & 31) << 6) | second;
  if (first < 0xf0) return ((first & 15) << 12) | (second << 6) | (bytes[at + 2]! & 63);
  return ((first & 7) << 18) | (second << 12) | ((bytes[at + 2]! & 63) << 6) | (bytes[at + 3]! & 63);
}

/** How many bytes the character has that begins with this byte. */
export function widthOf(first: number): number {
  return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}
