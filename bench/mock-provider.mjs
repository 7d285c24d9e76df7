/**
 * A provider that costs almost nothing: answers OpenAI chat calls at once, whole or as a stream, from prepared bytes.
 * `node bench/mock-provider.mjs --port 4199 --pace-ms 20` runs it by itself; the benchmarks start it as a child and steer it by messages.
 * A pace of 0 floods: the next chunk goes out as soon as the last one is written.
 */
import { createServer } from "node:net";
import { parseArgs } from "node:util";
import { ANSWER, CHUNKS, clockMicros, STAMP_AT, STAMP_DIGITS } from "./exchange.mjs";
import { MessageReader } from "./http-reader.mjs";

const WHOLE = Buffer.concat([
  Buffer.from(`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: req_bench\r\nContent-Length: ${ANSWER.length}\r\n\r\n`),
  ANSWER,
]);
const STREAM_HEAD = Buffer.from(
  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\nx-request-id: req_bench\r\nTransfer-Encoding: chunked\r\n\r\n",
);
const STREAM_FLAG = Buffer.from('"stream":true');
const FRAMED_CHUNKS = CHUNKS.map((chunk, index) => {
  const isLast = index === CHUNKS.length - 1;
  return { size: `${chunk.length.toString(16)}\r\n`, bytes: chunk, end: isLast ? "\r\n0\r\n\r\n" : "\r\n" };
}).map(({ size, bytes, end }) => ({ bytes: Buffer.concat([Buffer.from(size), bytes, Buffer.from(end)]), stampAt: size.length + STAMP_AT }));
const FIRST_CHUNK = { bytes: Buffer.concat([STREAM_HEAD, FRAMED_CHUNKS[0].bytes]), stampAt: STREAM_HEAD.length + FRAMED_CHUNKS[0].stampAt };

let paceMs = 20;
let requests = 0;
let requestBytes = 0;

/** Streams by the millisecond of the pace in which they are due. All share one pace, so a stream stays in its place and no timers are made. */
let places = [];
let streams = 0;
let lastTickMs = 0;
let ticking = false;

/** One connection of a gateway. */
class Connection {
  nextChunk = 0;
  #socket;
  #wantsStream = false;
  #reader = new MessageReader({ sink: this, isRequest: true });

  constructor(socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (bytes) => this.#reader.read(bytes));
    socket.on("error", () => socket.destroy());
  }

  get isOpen() {
    return this.#socket.writable;
  }

  onHead() {
    this.#wantsStream = false;
  }

  onBody(bytes, start, end) {
    requestBytes += end - start;
    // Near either end of what came, because a gateway may have written the body anew: looking through a megabyte would cost more than answering.
    this.#wantsStream ||= hasStreamFlag(bytes, start, Math.min(end, start + 512)) || hasStreamFlag(bytes, Math.max(start, end - 512), end);
  }

  onEnd() {
    requests++;
    if (this.#wantsStream) startStream(this);
    else this.#socket.write(WHOLE);
  }

  /** Writes the next chunk with the time at which it leaves. Returns whether more follow. */
  writeChunk() {
    const template = this.nextChunk === 0 ? FIRST_CHUNK : FRAMED_CHUNKS[this.nextChunk];
    const bytes = Buffer.allocUnsafe(template.bytes.length);
    template.bytes.copy(bytes);
    let stamp = clockMicros();
    for (let index = template.stampAt + STAMP_DIGITS - 1; index >= template.stampAt; index--) {
      const rest = Math.floor(stamp / 10);
      bytes[index] = 48 + (stamp - rest * 10);
      stamp = rest;
    }
    this.#socket.write(bytes);
    this.nextChunk++;
    return this.nextChunk < FRAMED_CHUNKS.length;
  }
}

function hasStreamFlag(bytes, start, end) {
  return bytes.subarray(start, end).includes(STREAM_FLAG);
}

function startStream(connection) {
  connection.nextChunk = 0;
  connection.writeChunk();
  if (paceMs === 0) {
    setImmediate(flood, connection);
    return;
  }
  const now = Math.floor(performance.now());
  const place = now % paceMs;
  places[place] ??= [];
  places[place].push(connection);
  streams++;
  if (!ticking) {
    ticking = true;
    lastTickMs = now;
    setTimeout(tick, 1);
  }
}

function tick() {
  const now = Math.floor(performance.now());
  // After a stall of more than one pace each stream is served once: a late provider does not send two chunks at a time.
  for (let ms = Math.max(lastTickMs + 1, now - paceMs + 1); ms <= now; ms++) {
    const due = places[ms % paceMs];
    if (due === undefined) continue;
    let kept = 0;
    for (const connection of due) {
      if (connection.isOpen && connection.writeChunk()) due[kept++] = connection;
      else streams--;
    }
    due.length = kept;
  }
  lastTickMs = now;
  ticking = streams > 0;
  if (ticking) setTimeout(tick, 1);
}

function flood(connection) {
  if (connection.isOpen && connection.writeChunk()) setImmediate(flood, connection);
}

const { values } = parseArgs({ options: { port: { type: "string", default: "0" }, "pace-ms": { type: "string", default: "20" } } });
paceMs = Number(values["pace-ms"]);
const server = createServer({ noDelay: true }, (socket) => new Connection(socket));
server.listen({ port: Number(values.port), host: "127.0.0.1", backlog: 4096 }, () => {
  const { port } = server.address();
  if (process.send) process.send({ port });
  else console.log(`The mock provider listens on http://127.0.0.1:${port}/v1`);
});
process.on("message", (message) => {
  if (message.paceMs !== undefined && message.paceMs !== paceMs) {
    paceMs = message.paceMs;
    places = [];
    streams = 0;
  }
  process.send({ id: message.id, requests, requestBytes });
});
process.on("disconnect", () => process.exit());
