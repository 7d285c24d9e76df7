import assert from "node:assert/strict";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { readBytes } from "./body.ts";

/** A server that reads one body and says whether it is the expected one. */
async function connectToReader(context: TestContext, expected: Buffer): Promise<Socket> {
  const server = createServer(async (request, response) => {
    const bytes = await readBytes(request, 2 * expected.length);
    response.end(String(bytes.equals(expected)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => server.close());
  return connect((server.address() as AddressInfo).port, "127.0.0.1");
}

async function answerOf(socket: Socket): Promise<string> {
  let answer = "";
  for await (const chunk of socket) answer += chunk;
  return answer;
}

for (const bytes of [256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 5_000_003]) {
  test(`a body of ${bytes.toLocaleString("en-US")} bytes comes whole and in order`, async (context) => {
    const body = Buffer.alloc(bytes, "0123456789abc");
    const socket = await connectToReader(context, body);
    socket.write(`POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${bytes}\r\n\r\n`);
    socket.write(body);
    assert.match(await answerOf(socket), /true/);
  });
}

test("a body that comes in a great many small pieces comes whole and in order", async (context) => {
  const pieces = 300_000;
  const socket = await connectToReader(context, Buffer.from("0123456789".repeat(pieces / 10)));
  socket.write("POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n");
  const ten = Array.from("0123456789", (digit) => `1\r\n${digit}\r\n`).join("");
  socket.write(`${ten.repeat(pieces / 10)}0\r\n\r\n`);
  assert.match(await answerOf(socket), /true/);
});
