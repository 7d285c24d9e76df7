import type { ServerResponse } from "node:http";

/** The end of a body that comes in chunks. */
export const LAST_CHUNK = Buffer.from("0\r\n\r\n");

/**
 * Takes over from Node.js to write the body of an answer in chunks, where it would (RFC 9112, section 7.1): it hands each of them to its socket
 * in three pieces, and that is most of what a small event of a stream costs. To be called behind `writeHead`. Returns whether all that is
 * written from here on is to be a `chunk`, and the end `LAST_CHUNK`.
 */
export function takesChunks(response: ServerResponse): boolean {
  if (!response.chunkedEncoding) return false;
  response.chunkedEncoding = false;
  return true;
}

/** Bytes as one chunk. Of none there is no chunk: it would be the last one. */
export function chunk(bytes: Buffer): Buffer {
  if (bytes.length === 0) return bytes;
  const size = bytes.length.toString(16);
  const framed = Buffer.allocUnsafe(size.length + bytes.length + 4);
  framed.write(`${size}\r\n`, "latin1");
  bytes.copy(framed, size.length + 2);
  framed[framed.length - 2] = 0x0d;
  framed[framed.length - 1] = 0x0a;
  return framed;
}
