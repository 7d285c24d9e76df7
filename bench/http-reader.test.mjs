import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageReader } from "./http-reader.mjs";

const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;\r\n";
const TWO =
  "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nX: y\r\n\r\nhelloHTTP/1.1 402 Payment Required\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0a\r\n0123456789\r\n0\r\n\r\n";

function readInPieces(text, cuts) {
  const seen = [];
  let body = "";
  const sink = {
    onHead: (startLine) => seen.push(startLine),
    onBody: (bytes, start, end) => {
      body += bytes.latin1Slice(start, end);
    },
    onEnd: () => {
      seen.push(body);
      body = "";
    },
  };
  const reader = new MessageReader({ sink, isRequest: false });
  const bytes = Buffer.from(text);
  let at = 0;
  for (const cut of [...cuts, bytes.length]) {
    reader.read(bytes.subarray(at, cut));
    at = cut;
  }
  return { seen, isIdle: reader.isIdle };
}

test("an answer is the same however the network cuts it", () => {
  const whole = readInPieces(TWO, []);
  assert.deepEqual(whole, { seen: ["HTTP/1.1 200 OK", "hello", "HTTP/1.1 402 Payment Required", "abc0123456789"], isIdle: true });
  for (let cut = 1; cut < TWO.length; cut++) assert.deepEqual(readInPieces(TWO, [cut]), whole, `cut at ${cut}`);
  assert.deepEqual(
    readInPieces(
      TWO,
      Array.from({ length: TWO.length - 1 }, (_, index) => index + 1),
    ),
    whole,
  );
});

test("framing that is not exact is an error, not a guess", () => {
  for (const text of [
    CHUNKED,
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\nServer: x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n\r\n",
  ]) {
    assert.throws(() => readInPieces(text, []), Error, text);
  }
});
