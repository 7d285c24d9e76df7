import type { IncomingMessage } from "node:http";
import { PurserError } from "@purser/core";
import { giveBack } from "./given-back.ts";

const SMALL_CHUNK = 1_024;
const SMALL_CHUNKS_MOST = 1_024;
/** A large body is read and worked on in pieces of this size, so that small calls beside it are never kept waiting for the whole. */
const LARGE_BYTES = 256 * 1_024;

/** Lets the calls that wait go first, where what is about to be worked on is large. */
export function turnFor(bytes: number): Promise<void> | undefined {
  return bytes < LARGE_BYTES ? undefined : new Promise((resolve) => setImmediate(resolve));
}

/** Gives the memory of a large body back. It must not be on its way to a socket, and is empty after that. */
export function letGo(body: Buffer): void {
  if (body.length >= LARGE_BYTES) giveBack(body);
}

/** The whole body of a request. Throws `body_too_large` as soon as it is known to be. */
export function readBytes(request: IncomingMessage, most: number): Promise<Buffer> {
  const { "content-length": length, "content-encoding": encoding } = request.headers;
  if (encoding !== undefined && encoding !== "identity") {
    return Promise.reject(new PurserError("body_invalid", `Bodies in "${encoding}" encoding cannot be read. Send the body uncompressed.`));
  }
  if (length !== undefined && Number(length) > most) return Promise.reject(tooLarge(Number(length), most));
  return Number(length) >= LARGE_BYTES ? readLarge(request, Number(length)) : readChunks(request, most);
}

/**
 * A body whose size is announced goes to its place piece by piece: to join the pieces at the end would be one long step. Whoever announces
 * much and sends little takes no memory, only room: what is never written to is not there.
 */
function readLarge(request: IncomingMessage, length: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const body: Buffer = Buffer.allocUnsafeSlow(length);
    let at = 0;
    let restAt = LARGE_BYTES;
    request.on("data", (chunk: Buffer) => {
      at += chunk.copy(body, at);
      giveBack(chunk);
      if (at < restAt) return;
      restAt = at + LARGE_BYTES;
      request.pause();
      setImmediate(() => request.resume());
    });
    request.on("end", () => resolve(at === length ? body : body.subarray(0, at)));
    rejectBrokenOff(request, reject);
  });
}

function readChunks(request: IncomingMessage, most: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    /** Small chunks, put together before they are so many that keeping them apart takes more room than they have bytes. */
    let small: Buffer[] = [];
    const gather = () => {
      if (small.length > 0) chunks.push(small.length === 1 ? (small[0] as Buffer) : Buffer.concat(small));
      small = [];
    };
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > most) {
        request.pause();
        reject(tooLarge(bytes, most));
      } else {
        small.push(chunk);
        if (chunk.length >= SMALL_CHUNK || small.length >= SMALL_CHUNKS_MOST) gather();
      }
    });
    request.on("end", () => {
      gather();
      resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, bytes));
    });
    rejectBrokenOff(request, reject);
  });
}

function rejectBrokenOff(request: IncomingMessage, reject: (error: PurserError) => void): void {
  const brokenOff = (cause?: Error) => reject(new PurserError("body_invalid", "The request was broken off before its end.", { cause }));
  request.on("error", brokenOff);
  // Every request closes; only one that did not come whole was broken off.
  request.on("close", () => {
    if (!request.complete) brokenOff();
  });
}

function tooLarge(bytes: number, most: number): PurserError {
  const text = (value: number) => value.toLocaleString("en-US");
  return new PurserError(
    "body_too_large",
    `The body has ${text(bytes)} bytes or more, and this server takes at most ${text(most)}. Send less, or raise server.max_body.`,
  );
}
