import type { Dialect, ModelCall } from "../dialects/dialect.ts";
import { elementsFromEnd, endOfString, type JsonBody } from "../dialects/json-body.ts";

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
  const messages = turns ? messagesOf(body, turns.member) : [];
  const pieces = [...instructions, ...messages].map(({ bytes, weight }) => ({ bytes: unmarked(bytes), weight }));
  const weight = fixed.reduce((sum, { length }) => sum + length, 0) + pieces.reduce((sum, piece) => sum + piece.weight, 0);
  return { fixed, pieces, weight };
}

function messagesOf(body: JsonBody, name: string): readonly Piece[] {
  if (body.members.get(name)?.type !== "array") return membersOf(body, name);
  return Array.from(elementsFromEnd(body, name), (element) => pieceOf(element, 0, element.length)).reverse();
}

function membersOf({ bytes, members }: JsonBody, name: string): readonly Piece[] {
  const member = members.get(name);
  if (!member || member.type === "literal") return [];
  return [pieceOf(bytes, member.start, member.end)];
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

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
