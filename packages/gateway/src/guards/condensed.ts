import { hash } from "node:crypto";
import { endOfString } from "../dialects/json-body.ts";

/** A longer text is compared by its hash: images and files in the results of tools are never decoded. */
const TEXT_MOST = 1_000;
/** So much of it stays, to see whether it begins as errors do. */
const HEAD_MOST = 60;
/** A number with more digits than this is another one once it is parsed. */
const DIGITS_MOST = 15;

const QUOTE = 0x22;
const MINUS = 0x2d;

/** JSON that is small and differs where the other one does: its long texts are hashes, and its long numbers are texts. It has to be valid. */
export function condensed(bytes: Buffer): string {
  const pieces: string[] = [];
  let from = 0;
  const replace = (start: number, end: number, by: string) => {
    pieces.push(bytes.toString("utf8", from, start), by);
    from = end;
  };
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (byte === QUOTE) {
      const end = endOfString(bytes, at);
      if (end - at > TEXT_MOST) replace(at + 1, end, `${headOf(bytes, at + 1)}… ${digest(bytes.subarray(at + 1, end))}`);
      at = end;
    } else if (byte === MINUS || isDigit(byte)) {
      const end = endOfNumber(bytes, at);
      if (end - at > DIGITS_MOST) replace(at, end, `"${bytes.toString("latin1", at, end)}"`);
      at = end - 1;
    }
  }
  return from === 0 ? bytes.toString("utf8") : pieces.join("") + bytes.toString("utf8", from);
}

/** Stands for a text. */
export function digest(text: string | Buffer): string {
  return hash("sha1", text, "base64").slice(0, 16);
}

/** What a text begins with, up to anything that is not written as it is. */
function headOf(bytes: Buffer, start: number): string {
  let end = start;
  while (end < start + HEAD_MOST && isPlain(bytes[end] as number)) end++;
  return bytes.toString("latin1", start, end);
}

function isPlain(byte: number): boolean {
  return byte >= 0x20 && byte <= 0x7e && byte !== 0x5c;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function endOfNumber(bytes: Buffer, start: number): number {
  let end = start + 1;
  while (/[\d.eE+-]/.test(String.fromCharCode(bytes[end] ?? 0))) end++;
  return end;
}
