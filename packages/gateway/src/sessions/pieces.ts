import type { Dialect, ModelCall } from "../dialects/dialect.ts";
import type { JsonBody, Member } from "../dialects/json-body.ts";

/** A message of a conversation, or the instructions before it. */
export interface Piece {
  /** As they were sent, without marks for a provider's cache: those move on with each call. */
  readonly bytes: Buffer;
  readonly weight: number;
}

/** The input of a call, in the order in which models read it. Weights are bytes, about in proportion to tokens. */
export interface Pieces {
  /** Definitions of tools, which stand before all pieces. */
  readonly fixed: readonly Buffer[];
  readonly pieces: readonly Piece[];
  /** Of all of it. */
  readonly weight: number;
}

const TOOLS = ["tools", "functions", "toolConfig"];

/** Takes the body of a call apart without decoding it. */
export function piecesOf({ turns, textFields }: Dialect, { body }: ModelCall): Pieces {
  const fixed = TOOLS.flatMap((name) => membersOf(body, name).map(({ bytes }) => unmarked(bytes)));
  const instructions = textFields.filter((name) => name !== turns?.member).flatMap((name) => membersOf(body, name));
  const member = turns && body.members.get(turns.member);
  const messages = member?.type === "array" ? elementsOf(body.bytes, member) : turns ? membersOf(body, turns.member) : [];
  const pieces = [...instructions, ...messages].map(({ bytes, weight }) => ({ bytes: unmarked(bytes), weight }));
  const weight = fixed.reduce((sum, { length }) => sum + length, 0) + pieces.reduce((sum, piece) => sum + piece.weight, 0);
  return { fixed, pieces, weight };
}

function membersOf({ bytes, members }: JsonBody, name: string): readonly Piece[] {
  const member = members.get(name);
  if (!member || member.type === "literal") return [];
  return [pieceOf(bytes, member.start, member.end)];
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;

/** The elements of an array in a body that was read, and is therefore valid. */
function elementsOf(bytes: Buffer, { start, end }: Member): readonly Piece[] {
  const pieces: Piece[] = [];
  let depth = 0;
  let from = start + 1;
  for (let at = from; at < end - 1; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) at = endOfString(bytes, at);
    else if (byte === 0x7b || byte === 0x5b) depth++;
    else if (byte === 0x7d || byte === 0x5d) depth--;
    else if (byte === COMMA && depth === 0) {
      pieces.push(pieceOf(bytes, from, at));
      from = at + 1;
    }
  }
  return bytes.subarray(from, end - 1).some(isNoSpace) ? [...pieces, pieceOf(bytes, from, end - 1)] : pieces;
}

function isNoSpace(byte: number): boolean {
  return byte > 0x20;
}

/** Where the string that begins at a quote has its other quote. */
function endOfString(bytes: Buffer, start: number): number {
  for (let quote = bytes.indexOf(QUOTE, start + 1); ; quote = bytes.indexOf(QUOTE, quote + 1)) {
    let escapes = 0;
    while (bytes[quote - 1 - escapes] === BACKSLASH) escapes++;
    if (escapes % 2 === 0) return quote;
  }
}

function pieceOf(bytes: Buffer, start: number, end: number): Piece {
  const piece = bytes.subarray(start, end);
  return { bytes: piece, weight: weightOf(piece) };
}

/** An image or a file is far longer than what it has of tokens, so it weighs no more than this. */
const DATA_WEIGHT = 4_096;
/** So many bytes of a long string tell whether it is data. */
const LOOKED_AT = 256;

function weightOf(piece: Buffer): number {
  let weight = piece.length;
  if (weight <= DATA_WEIGHT) return weight;
  for (let quote = piece.indexOf(QUOTE); quote >= 0; ) {
    const end = endOfString(piece, quote);
    const length = end - quote - 1;
    if (length > DATA_WEIGHT && isData(piece, quote + 1)) weight -= length - DATA_WEIGHT;
    quote = piece.indexOf(QUOTE, end + 1);
  }
  return weight;
}

/** Text has spaces, escapes or letters beyond ASCII sooner than this. */
function isData(bytes: Buffer, start: number): boolean {
  for (let i = start; i < start + LOOKED_AT; i++) {
    const byte = bytes[i] as number;
    if (byte <= 0x20 || byte > 0x7e || byte === BACKSLASH) return false;
  }
  return true;
}

const MARK = '"cache_control"';
const MARKS = /,?\s*"cache_control"\s*:\s*(?:\{[^{}]*\}|null)/g;

function unmarked(bytes: Buffer): Buffer {
  return bytes.includes(MARK) ? Buffer.from(bytes.toString("latin1").replace(MARKS, ""), "latin1") : bytes;
}
