import assert from "node:assert/strict";
import { Agent, createServer, get, type IncomingMessage, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { after, before, test } from "node:test";
import { chunk, LAST_CHUNK, takesChunks } from "./chunks.ts";

const PIECES = ["a", "", "b".repeat(15), "c".repeat(16), "d".repeat(70_000), "é\r\n0\r\n\r\n"].map((text) => Buffer.from(text));
const BODY = Buffer.concat(PIECES).toString();

let server: Server;
let connections = 0;

before(async () => {
  server = createServer((_, response) => {
    response.writeHead(200, ["content-type", "text/event-stream"]);
    const isTaken = takesChunks(response);
    for (const piece of PIECES) response.write(isTaken ? chunk(piece) : piece);
    response.end(isTaken ? LAST_CHUNK : undefined);
  });
  server.on("connection", () => connections++);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});

after(() => server.close());

const port = () => (server.address() as AddressInfo).port;

test("a body in chunks of our own is read as it was written, and its connection serves the next call", async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let i = 0; i < 3; i++) {
    const answer = await new Promise<IncomingMessage>((resolve, reject) => get({ port: port(), agent }, resolve).on("error", reject));
    assert.equal(answer.headers["transfer-encoding"], "chunked");
    assert.equal(Buffer.concat(await answer.toArray()).toString(), BODY);
  }
  agent.destroy();
  assert.equal(connections, 1);
});

test("a client that knows no chunks gets none", async () => {
  const socket = connect(port(), "127.0.0.1");
  socket.end("GET / HTTP/1.0\r\n\r\n");
  const parts: Buffer[] = [];
  for await (const part of socket) parts.push(part as Buffer);
  const [head = "", ...body] = Buffer.concat(parts).toString().split("\r\n\r\n");
  assert.doesNotMatch(head, /transfer-encoding/i);
  assert.equal(body.join("\r\n\r\n"), BODY);
});
