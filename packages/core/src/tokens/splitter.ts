/**
 * Cuts bytes into the pieces that are encoded apart, as the regular expression of a vocabulary would.
 * Writes where each piece ends and returns how many there are. The bytes are followed by `END_BYTE`; unless they are the `last` of
 * a text, pieces that more bytes could change are left for later.
 */
export type Splitter = (bytes: Uint8Array, length: number, last: boolean, ends: Int32Array) => number;

/** How far behind its end the shape of a piece can depend on: an apostrophe and two letters, or one character. */
export const LOOKAHEAD = 4;

/** Instead of a number of pieces: where the next piece ends could not be found in a time that grows with the text alone. */
export const LOST = -1;
