import { isUtf8 } from "node:buffer";
import { PurserError } from "@purser/core";
import { MEDIA_MEMBERS, MEDIA_TYPES } from "./content.ts";
import type { FormBody } from "./form-body.ts";

/** One member at the top of a JSON object, by where its value stands in the bytes. */
export interface Member {
  readonly start: number;
  readonly end: number;
  readonly type: "string" | "number" | "object" | "array" | "literal";
  /** How many elements an array or an object has. */
  readonly elements: number;
}

/** A JSON object read once as bytes: what passes is never decoded, what matters is found by name. */
export interface JsonBody {
  readonly bytes: Buffer;
  readonly members: ReadonlyMap<string, Member>;
  /** Where the first member begins, to insert another before it. */
  readonly firstMember: number;
  /** The longest string that is a value, between its quotes. */
  readonly longestText: { readonly start: number; readonly end: number };
  /** How many members all objects have together. */
  readonly membersInAll: number;
  /** A short string somewhere names a kind of content that is not text, or could hide such a name behind an escape. */
  readonly mayHoldMedia: boolean;
  /** The form that was sent, where this only says the same. */
  readonly form?: FormBody;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SPACE = 0x20;
const DEPTH_MOST = 128;
/** Names of content kinds are shorter than this; longer strings are text. */
const NAME_LENGTH_MOST = 24;
/** `image_url` can be written as `\u0069\u006d…`, six bytes a letter. */
const ESCAPED_NAME_LENGTH_MOST = 6 * NAME_LENGTH_MOST;
/** No call has more values. To build ten million empty lists would keep every other call waiting for seconds. */
const VALUES_MOST = 500_000;
const MEMBERS_MOST = 1_000;
/** The same for fields of all objects together: each new name costs as much as ten values. */
const MEMBERS_IN_ALL_MOST = 100_000;

/**
 * Reads the bytes of a request as one strict JSON object and indexes its top level. Throws `body_invalid` for anything else:
 * no member twice, no trailing comma, nothing behind the end, at most 128 levels deep, valid UTF-8.
 * The grammar is RFC 8259's; only the inside of strings is left to the provider.
 */
export function readJsonBody(bytes: Buffer): JsonBody {
  return new Scan(bytes).body();
}

/** The parsed value of a top-level member, or undefined where it is missing or null. */
export function memberValue(body: JsonBody, name: string): unknown {
  const member = body.members.get(name);
  if (!member) return undefined;
  const { start, end, type } = member;
  const plain = type === "string" ? plainText(body.bytes, start + 1, end - 1) : undefined;
  return plain ?? JSON.parse(body.bytes.toString("utf8", start, end)) ?? undefined;
}

/** Names, and most values that are read here, are short and plain: they need no parser. */
const PLAIN_LENGTH_MOST = 64;

/** What stands between two quotes, where that is short and all ASCII without an escape. */
function plainText(bytes: Buffer, start: number, end: number): string | undefined {
  if (end - start > PLAIN_LENGTH_MOST) return undefined;
  for (let i = start; i < end; i++) {
    const byte = bytes[i] as number;
    if (byte < SPACE || byte > 0x7e || byte === BACKSLASH) return undefined;
  }
  return bytes.toString("latin1", start, end);
}

/** The elements of an array at the top of a body, the last one first, as they are asked for: what stands before them is not looked at. */
export function* elementsFromEnd({ bytes, members }: JsonBody, name: string): Generator<Buffer> {
  const member = members.get(name);
  if (member?.type !== "array" || member.elements === 0) return;
  let depth = 0;
  let end = member.end - 1;
  for (let at = end - 1; at > member.start; at--) {
    const byte = bytes[at];
    if (byte === QUOTE) at = beginOfString(bytes, at);
    else if (byte === 0x7d || byte === 0x5d) depth++;
    else if (byte === 0x7b || byte === 0x5b) depth--;
    else if (byte === 0x2c && depth === 0) {
      yield bytes.subarray(at + 1, end);
      end = at;
    }
  }
  yield bytes.subarray(member.start + 1, end);
}

/** Where the string that ends with a quote has its other quote, in JSON that was read and is therefore valid. */
function beginOfString(bytes: Buffer, end: number): number {
  let quote = quoteBefore(bytes, end - 1);
  while (isEscaped(bytes, quote, 0)) quote = quoteBefore(bytes, quote - 1);
  return quote;
}

/** Where the string that begins with a quote has its other quote, likewise. */
export function endOfString(bytes: Buffer, start: number): number {
  let quote = quoteAfter(bytes, start + 1);
  while (isEscaped(bytes, quote, start + 1)) quote = quoteAfter(bytes, quote + 1);
  return quote;
}

/** Most quotes are near: a loop finds them sooner than a call does. */
const NEAR = 48;

function quoteBefore(bytes: Buffer, from: number): number {
  const near = Math.max(from - NEAR, -1);
  for (let i = from; i > near; i--) if (bytes[i] === QUOTE) return i;
  return near < 0 ? -1 : bytes.lastIndexOf(QUOTE, near);
}

function quoteAfter(bytes: Buffer, from: number): number {
  const near = Math.min(from + NEAR, bytes.length);
  for (let i = from; i < near; i++) if (bytes[i] === QUOTE) return i;
  return near < bytes.length ? bytes.indexOf(QUOTE, near) : -1;
}

/**
 * The whole body as a value. Costs what JSON.parse costs; throws `body_invalid` where strings are not valid JSON, or where a field
 * is there twice: then nobody knows which of the two a provider reads, and only one of them would be counted.
 */
export function parseBody({ bytes, membersInAll }: JsonBody): Record<string, unknown> {
  let body: Record<string, unknown>;
  try {
    body = JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    throw invalid(`The request body is not valid JSON: ${(cause as Error).message}`);
  }
  if (countMembers(body) !== membersInAll) throw invalid("The request body has an object with the same field twice. Send it once.");
  return body;
}

/** The beginning of the longest text inside of these members, up to a space, where that is easily had: decoding all of a novel takes long. */
export function longTextBeginning(
  { bytes, longestText, members, mayHoldMedia }: JsonBody,
  names: readonly string[],
  bytesMost: number,
): string | undefined {
  const { start, end } = longestText;
  // What may be an image is no text. What is short is decoded with the rest.
  if (mayHoldMedia || end - start <= bytesMost) return undefined;
  const isInside = (member: Member | undefined) => member !== undefined && start >= member.start && end <= member.end;
  if (!names.some((name) => isInside(members.get(name)))) return undefined;
  const space = bytes.lastIndexOf(SPACE, start + bytesMost);
  if (space <= start) return undefined;
  try {
    return JSON.parse(`"${bytes.toString("utf8", start, space)}"`);
  } catch {
    return undefined;
  }
}

function countMembers(body: unknown): number {
  let members = 0;
  const pending: unknown[] = [body];
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (typeof value !== "object" || value === null) continue;
    const inner = Object.values(value);
    if (!Array.isArray(value)) members += inner.length;
    for (const one of inner) if (typeof one === "object" && one !== null) pending.push(one);
  }
  return members;
}

/** The bytes with some members replaced, added, or (undefined) removed; all else stays byte for byte. */
export function editBody(body: JsonBody, changes: ReadonlyMap<string, string>): Buffer {
  const added: string[] = [];
  const replaced: { readonly member: Member; readonly text: string }[] = [];
  for (const [name, text] of changes) {
    const member = body.members.get(name);
    if (member) replaced.push({ member, text });
    else added.push(`${JSON.stringify(name)}:${text}`);
  }
  replaced.sort((a, b) => a.member.start - b.member.start);
  const separator = added.length > 0 && body.members.size > 0 ? "," : "";
  const pieces: Buffer[] = [body.bytes.subarray(0, body.firstMember), Buffer.from(added.join(",") + separator)];
  let from = body.firstMember;
  for (const { member, text } of replaced) {
    pieces.push(body.bytes.subarray(from, member.start), Buffer.from(text));
    from = member.end;
  }
  pieces.push(body.bytes.subarray(from));
  return Buffer.concat(pieces);
}

/** The text of a member that is an object with some of its own members changed, and else byte for byte as it is: numbers are not rounded. */
export function editedMember({ bytes, members }: JsonBody, name: string, changes: ReadonlyMap<string, string>): string {
  const member = members.get(name);
  const object = member?.type === "object" ? bytes.subarray(member.start, member.end) : Buffer.from("{}");
  return editBody(readJsonBody(object), changes).toString("utf8");
}

/** One pass over the bytes. */
class Scan {
  readonly #bytes: Buffer;
  #at = 0;
  #mayHoldMedia = false;
  #membersInAll = 0;
  #values = 0;
  #longestText = { start: 0, end: 0 };

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  body(): JsonBody {
    const members = new Map<string, Member>();
    this.#space();
    if (this.#bytes[this.#at] !== 0x7b) throw invalid("The request body is not a JSON object.");
    this.#at++;
    this.#space();
    const firstMember = this.#at;
    if (this.#bytes[this.#at] === 0x7d) this.#at++;
    else this.#members(members);
    this.#space();
    if (this.#at !== this.#bytes.length) throw invalid(`Something follows the end of the JSON object, at byte ${this.#at}.`);
    if (!isUtf8(this.#bytes)) throw invalid("The request body is not valid UTF-8.");
    return {
      bytes: this.#bytes,
      members,
      firstMember,
      longestText: this.#longestText,
      membersInAll: this.#membersInAll,
      mayHoldMedia: this.#mayHoldMedia,
    };
  }

  #members(members: Map<string, Member>): void {
    for (;;) {
      const name = this.#name();
      if (members.has(name)) throw invalid(`The field "${name}" is there twice. Send it once.`);
      this.#countValue();
      const start = this.#at;
      const { type, elements } = this.#value();
      members.set(name, { start, end: this.#at, type, elements });
      if (members.size > MEMBERS_MOST) throw invalid(`The request body has more than ${MEMBERS_MOST.toLocaleString("en-US")} fields.`);
      this.#space();
      const next = this.#bytes[this.#at++];
      if (next === 0x7d) return;
      if (next !== 0x2c) throw this.#unexpected(this.#at - 1);
      this.#space();
    }
  }

  /** A member's name up to and with its colon, and the space behind it. */
  #name(): string {
    const start = this.#at;
    this.#string();
    const name = plainText(this.#bytes, start + 1, this.#at - 1) ?? this.#parsedName(start);
    this.#colon();
    return name;
  }

  #parsedName(start: number): string {
    try {
      return JSON.parse(this.#bytes.toString("utf8", start, this.#at));
    } catch {
      throw this.#unexpected(start);
    }
  }

  #colon(): void {
    if (++this.#membersInAll > MEMBERS_IN_ALL_MOST)
      throw invalid(`The request body has more than ${MEMBERS_IN_ALL_MOST.toLocaleString("en-US")} fields in all. Send fewer.`);
    this.#space();
    if (this.#bytes[this.#at] !== 0x3a) throw this.#unexpected(this.#at);
    this.#at++;
    this.#space();
  }

  /** A value of any kind. Nested arrays and objects are walked with a stack, never by recursion. */
  #value(): { readonly type: Member["type"]; readonly elements: number } {
    const first = this.#bytes[this.#at];
    if (first === QUOTE) {
      this.#text();
      return { type: "string", elements: 0 };
    }
    if (first === 0x7b) return { type: "object", elements: this.#nested() };
    if (first === 0x5b) return { type: "array", elements: this.#nested() };
    return { type: this.#scalar(), elements: 0 };
  }

  /** From an opening bracket to its closing one. Returns how many elements or members the outermost has. */
  #nested(): number {
    const closers: number[] = [];
    let elements = 0;
    // After `[`, `{` or a comma a value (or name) must follow, unless the bracket closes at once.
    let expectsItem = false;
    let fresh = true;
    for (;;) {
      if (expectsItem || fresh) {
        const byte = this.#bytes[this.#at];
        const closer = closers[closers.length - 1];
        if (fresh && closers.length > 0 && byte === closer) {
          this.#at++;
          closers.pop();
        } else {
          if (closer === 0x7d) {
            this.#string();
            this.#colon();
          }
          if (closers.length === 1) elements++;
          this.#countValue();
          const opened = this.#open(closers);
          if (opened) {
            fresh = true;
            expectsItem = false;
            this.#space();
            continue;
          }
          if (this.#bytes[this.#at] === QUOTE) this.#text();
          else this.#scalar();
        }
        fresh = false;
        expectsItem = false;
      }
      if (closers.length === 0) return elements;
      this.#space();
      const byte = this.#bytes[this.#at++];
      if (byte === 0x2c) {
        expectsItem = true;
        this.#space();
      } else if (byte === closers[closers.length - 1]) {
        closers.pop();
      } else {
        throw this.#unexpected(this.#at - 1);
      }
    }
  }

  #countValue(): void {
    if (++this.#values > VALUES_MOST)
      throw invalid(`The request body has more than ${VALUES_MOST.toLocaleString("en-US")} values. Send fewer.`);
  }

  #open(closers: number[]): boolean {
    const byte = this.#bytes[this.#at];
    if (byte !== 0x7b && byte !== 0x5b) return false;
    if (closers.length >= DEPTH_MOST) throw invalid(`The request body is nested more than ${DEPTH_MOST} levels deep.`);
    closers.push(byte + 2);
    this.#at++;
    return true;
  }

  #string(): void {
    if (this.#bytes[this.#at] !== QUOTE) throw this.#unexpected(this.#at);
    const start = this.#at + 1;
    let quote = this.#nextQuote(start);
    while (isEscaped(this.#bytes, quote, start)) quote = this.#nextQuote(quote + 1);
    this.#at = quote + 1;
    if (this.#mayHoldMedia || quote - start > ESCAPED_NAME_LENGTH_MOST) return;
    this.#mayHoldMedia =
      quote - start <= NAME_LENGTH_MOST ? mayNameMedia(this.#bytes, start, quote) : isMostlyEscapes(this.#bytes, start, quote);
  }

  #text(): void {
    const start = this.#at + 1;
    this.#string();
    const { start: from, end: to } = this.#longestText;
    if (this.#at - 1 - start > to - from) this.#longestText = { start, end: this.#at - 1 };
  }

  #nextQuote(from: number): number {
    const quote = quoteAfter(this.#bytes, from);
    if (quote < 0) throw invalid("The request body ends inside a string.");
    return quote;
  }

  #scalar(): "number" | "literal" {
    const start = this.#at;
    let end = start;
    while (end < this.#bytes.length && isScalarByte(this.#bytes[end] as number)) end++;
    const text = this.#bytes.toString("latin1", start, Math.min(end, start + 400));
    this.#at = end;
    if (text === "true" || text === "false" || text === "null") return "literal";
    if (/^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(text)) return "number";
    throw this.#unexpected(start);
  }

  #space(): void {
    for (;;) {
      const byte = this.#bytes[this.#at];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
      this.#at++;
    }
  }

  #unexpected(at: number): PurserError {
    return at >= this.#bytes.length
      ? invalid("The request body ends before its JSON does.")
      : invalid(`The request body is not valid JSON at byte ${at}.`);
  }
}

function isEscaped(bytes: Buffer, quote: number, start: number): boolean {
  let backslashes = 0;
  while (quote - 1 - backslashes >= start && bytes[quote - 1 - backslashes] === BACKSLASH) backslashes++;
  return backslashes % 2 === 1;
}

function isScalarByte(byte: number): boolean {
  return (
    (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x7a) || byte === 0x2d || byte === 0x2b || byte === 0x2e || byte === 0x45
  );
}

/** Whether a short string is the name of a kind of media, or has an escape that could spell one. */
function mayNameMedia(bytes: Buffer, start: number, end: number): boolean {
  const first = bytes[start];
  for (let i = start; i < end; i++) if (bytes[i] === BACKSLASH) return bytes[i + 1] === 0x75;
  // i, a, f, d, v, c: the letters that the names begin with.
  if (first !== 0x69 && first !== 0x61 && first !== 0x66 && first !== 0x64 && first !== 0x76 && first !== 0x63) return false;
  const name = bytes.toString("latin1", start, end);
  return MEDIA_TYPES.has(name) || MEDIA_MEMBERS.has(name);
}

/** Whether a string that is too long for the name of a kind of media could be one with letters written as escapes. */
function isMostlyEscapes(bytes: Buffer, start: number, end: number): boolean {
  let escapes = 0;
  for (let i = start; i < end; i++) if (bytes[i] === BACKSLASH) escapes++;
  return end - start - 5 * escapes <= NAME_LENGTH_MOST;
}

function invalid(message: string): PurserError {
  return new PurserError("body_invalid", message);
}
