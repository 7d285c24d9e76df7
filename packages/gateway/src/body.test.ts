import assert from "node:assert/strict";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { test } from "node:test";
import { readBytes } from "./body.ts";

test("a body that comes in a great many small pieces comes whole and in order", async (context) => {
  const pieces = 300_000;
  const server = createServer(async (request, response) => {
    const bytes = await readBytes(request, pieces);
    response.end(String(bytes.equals(Buffer.from("0123456789".repeat(pieces / 10)))));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => server.close());
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  socket.write("POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n");
  const ten = Array.from("0123456789", (digit) => `1\r\n${digit}\r\n`).join("");
  socket.write(`${ten.repeat(pieces / 10)}0\r\n\r\n`);
  let answer = "";
  for await (const chunk of socket) answer += chunk;
  assert.match(answer, /true/);
});
