import { crc32 } from "node:zlib";
import type { ServiceTier, Usage } from "@purser/core";
import type { PassedStream } from "../dialects/dialect.ts";
import { type PartReader, StreamAccount, type StreamReader, type TextCounter } from "./stream-account.ts";

/** Two lengths and a sum before the headers, another sum behind the payload. */
const PRELUDE = 12;
const SUM = 4;
/** AWS sends no larger frames. */
const FRAME_MOST = 16 * 1024 * 1024 + 128 * 1024;
/** How many bytes values of each type have; a text and an array of bytes say it themselves. */
const VALUE_BYTES = [0, 0, 1, 2, 4, 8, undefined, undefined, 8, 16] as const;
const TEXT = 7;

/**
 * Reads usage out of AWS' binary frames as they flow (https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html). An event is read as
 * an object with its name: `{ "metadata": … }`. Frames are handed on whole. What is no frame, or has a wrong sum, is passed on and no longer read.
 */
export class FrameMeter implements StreamReader {
  readonly #account: StreamAccount;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #wanted = PRELUDE;
  #isUnread = false;

  constructor(reader: PartReader, counter: TextCounter) {
    this.#account = new StreamAccount(reader, counter, 0);
  }

  get usage(): Usage | undefined {
    return this.#account.usage;
  }

  get service(): ServiceTier | undefined {
    return this.#account.service;
  }

  get model(): string | undefined {
    return this.#account.model;
  }

  get isComplete(): boolean {
    return this.#account.isComplete;
  }

  get refusedAs(): number | undefined {
    return this.#account.refusedAs;
  }

  write(chunk: Buffer): readonly Buffer[] {
    if (this.#isUnread) return [chunk];
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.length;
    // Bytes are put together once a frame, however small the pieces are in which it comes.
    if (this.#waitingBytes < this.#wanted) return [];
    const bytes = this.#waiting.length === 1 ? chunk : Buffer.concat(this.#waiting);
    const read = this.#readFrames(bytes);
    this.#waiting = read < bytes.length ? [bytes.subarray(read)] : [];
    this.#waitingBytes = bytes.length - read;
    return read > 0 ? [bytes.subarray(0, read)] : [];
  }

  /** A frame that never came to its end. */
  end(): readonly Buffer[] {
    const rest = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    return rest;
  }

  cut(): PassedStream {
    return { ...this.#account.passed(), gap: "" };
  }

  outputTokens(): number {
    return this.#account.outputTokens();
  }

  /** Reads whole frames from the beginning. Returns how many bytes they have: all, where these are no frames. */
  #readFrames(bytes: Buffer): number {
    let at = 0;
    while (bytes.length - at >= PRELUDE) {
      const length = lengthOf(bytes, at);
      if (length === undefined) return this.#giveUp(bytes);
      this.#wanted = length;
      if (bytes.length - at < length) return at;
      if (!this.#readFrame(bytes.subarray(at, at + length))) return this.#giveUp(bytes);
      at += length;
    }
    this.#wanted = PRELUDE;
    return at;
  }

  #giveUp({ length }: Buffer): number {
    this.#isUnread = true;
    return length;
  }

  /** Returns whether it is a frame. */
  #readFrame(frame: Buffer): boolean {
    const end = frame.length - SUM;
    if (crc32(frame.subarray(0, end)) !== frame.readUInt32BE(end)) return false;
    const payloadAt = PRELUDE + frame.readUInt32BE(4);
    const headers = payloadAt <= end ? headersOf(frame.subarray(PRELUDE, payloadAt)) : undefined;
    if (!headers) return false;
    const name = headers.get(":event-type") ?? headers.get(":exception-type") ?? "";
    const event = Buffer.concat([Buffer.from(`{${JSON.stringify(name)}:`), frame.subarray(payloadAt, end), CLOSING]);
    this.#account.read(event.toString("utf8"));
    this.#account.add(event);
    return true;
  }
}

const CLOSING = Buffer.from("}");

/** How long the frame is that begins here. Nothing where none does. */
function lengthOf(bytes: Buffer, at: number): number | undefined {
  const length = bytes.readUInt32BE(at);
  if (length < PRELUDE + SUM || length > FRAME_MOST) return undefined;
  return crc32(bytes.subarray(at, at + 8)) === bytes.readUInt32BE(at + 8) ? length : undefined;
}

/** The headers that are texts. Nothing where they are not as they should be. */
function headersOf(bytes: Buffer): ReadonlyMap<string, string> | undefined {
  const headers = new Map<string, string>();
  try {
    for (let at = 0; at < bytes.length; ) {
      const nameEnd = at + 1 + bytes.readUInt8(at);
      const type = bytes.readUInt8(nameEnd);
      const known = VALUE_BYTES[type];
      const valueAt = nameEnd + 1 + (known === undefined ? 2 : 0);
      const valueEnd = valueAt + (known ?? bytes.readUInt16BE(nameEnd + 1));
      if (valueEnd > bytes.length) return undefined;
      if (type === TEXT) headers.set(bytes.toString("utf8", at + 1, nameEnd), bytes.toString("utf8", valueAt, valueEnd));
      at = valueEnd;
    }
    return headers;
  } catch {
    return undefined;
  }
}
