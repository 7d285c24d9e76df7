const HEAD_END = Buffer.from("\r\n\r\n");
const HEAD_BYTES_MAX = 16 * 1024;
const CR = 13;
const LF = 10;

/**
 * Reads HTTP/1.1 messages from one connection, strictly and cheaply: only bodies with Content-Length or chunks, and anything else is an error.
 * It calls `sink.onHead(startLine)`, `sink.onBody(bytes, start, end)` and `sink.onEnd()`. The bytes are only lent for the time of the call.
 */
export class MessageReader {
  #phase = "head";
  #bytesLeft = 0;
  #pending;
  #sink;
  #isRequest;

  constructor({ sink, isRequest }) {
    this.#sink = sink;
    this.#isRequest = isRequest;
  }

  /** Whether the connection is between two messages. */
  get isIdle() {
    return this.#phase === "head" && this.#pending === undefined;
  }

  read(received) {
    let bytes = received;
    if (this.#pending !== undefined) {
      bytes = Buffer.concat([this.#pending, received]);
      this.#pending = undefined;
    }
    let at = 0;
    while (at < bytes.length) {
      const next = this.#step(bytes, at);
      if (next === undefined) {
        // A head or a line of the chunked framing is cut: keep a copy, because the buffer is used again.
        this.#pending = Buffer.from(bytes.subarray(at));
        if (this.#pending.length > HEAD_BYTES_MAX) throw new Error("The head of a message is too long.");
        return;
      }
      at = next;
    }
  }

  /** Reads one element of the message and returns where the next one starts, or undefined where the element is incomplete. */
  #step(bytes, at) {
    switch (this.#phase) {
      case "head":
        return this.#readHead(bytes, at);
      case "body":
      case "chunk": {
        const end = Math.min(bytes.length, at + this.#bytesLeft);
        this.#bytesLeft -= end - at;
        this.#sink.onBody(bytes, at, end);
        if (this.#bytesLeft === 0) {
          if (this.#phase === "body") this.#finish();
          else this.#phase = "chunk-end";
        }
        return end;
      }
      case "chunk-size":
        return this.#readChunkSize(bytes, at);
      case "chunk-end":
        if (bytes.length < at + 2) return undefined;
        if (bytes[at] !== CR || bytes[at + 1] !== LF) throw new Error("A chunk does not end with a line break.");
        this.#phase = "chunk-size";
        return at + 2;
      case "last-chunk":
        if (bytes.length < at + 2) return undefined;
        if (bytes[at] !== CR || bytes[at + 1] !== LF) throw new Error("There are trailers after the last chunk.");
        this.#finish();
        return at + 2;
    }
  }

  #readHead(bytes, at) {
    const end = bytes.indexOf(HEAD_END, at);
    if (end < 0) return undefined;
    const head = bytes.latin1Slice(at, end);
    const lineEnd = head.indexOf("\r\n");
    this.#sink.onHead(lineEnd < 0 ? head : head.slice(0, lineEnd));
    const length = /\r\ncontent-length: *(\d+) *(?:\r\n|$)/i.exec(head);
    const isChunked = /\r\ntransfer-encoding: *chunked *(?:\r\n|$)/i.test(head);
    if (length !== null && isChunked) throw new Error("A message has both Content-Length and chunks.");
    if (isChunked) {
      this.#phase = "chunk-size";
    } else if (length !== null && length[1] !== "0") {
      this.#bytesLeft = Number(length[1]);
      this.#phase = "body";
    } else if (length !== null || this.#isRequest) {
      this.#finish();
    } else {
      throw new Error(`An answer has neither Content-Length nor chunks:\n${head}`);
    }
    return end + HEAD_END.length;
  }

  #readChunkSize(bytes, at) {
    let size = 0;
    let index = at;
    for (; index < bytes.length; index++) {
      const digit = hexDigit(bytes[index]);
      if (digit < 0) break;
      size = size * 16 + digit;
    }
    if (index + 1 >= bytes.length) return undefined;
    if (index === at || index - at > 8 || bytes[index] !== CR || bytes[index + 1] !== LF)
      throw new Error("The size of a chunk is not a number.");
    this.#bytesLeft = size;
    this.#phase = size === 0 ? "last-chunk" : "chunk";
    return index + 2;
  }

  #finish() {
    this.#phase = "head";
    this.#sink.onEnd();
  }
}

function hexDigit(code) {
  if (code >= 48 && code <= 57) return code - 48;
  if (code >= 97 && code <= 102) return code - 87;
  if (code >= 65 && code <= 70) return code - 55;
  return -1;
}
