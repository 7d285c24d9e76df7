import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createPlainServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Receiver, startReceiver } from "../conformance/receivers.ts";
import type { Channel } from "./channel.ts";
import { Courier, type CourierOptions } from "./courier.ts";
import { deliver } from "./delivery.ts";
import { openFileBook } from "./file-book.ts";
import { MAY_REPEAT, type Notice } from "./notice.ts";
import { pagerdutyPost } from "./pagerduty.ts";
import { slackPost } from "./slack.ts";
import { teamsPost } from "./teams.ts";

const NOW = Date.UTC(2126, 10, 20, 12);
const NOTICE: Notice = {
  id: "n",
  kind: "budget.threshold",
  about: "a",
  at: NOW,
  severity: "info",
  title: "80 %",
  text: "Most is used up.",
  facts: [],
  data: {},
  owner: undefined,
};

/** Posts a notice to a server that answers as it is told. */
async function post(context: TestContext, answer: (response: ServerResponse) => void) {
  const server = createServer((request, response) => void request.resume().on("end", () => answer(response)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return deliver({ name: "hook", kind: "webhook", url, secret: undefined }, NOTICE, NOW);
}

/** Mails a notice to a server that answers 250 but to one of the commands; to the mail itself, whose end is `.`, too. */
async function mail(context: TestContext, command: string, answer: (socket: Socket) => void) {
  const server = createPlainServer((socket) => {
    context.after(() => socket.destroy());
    socket.setEncoding("latin1").write("220 mail.test ESMTP\r\n");
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
      const text = String(chunk);
      const said = text.endsWith("\r\n.\r\n") ? "." : text.slice(0, 4).toUpperCase().trim();
      if (said === command) answer(socket);
      else if (said === "DATA") socket.write("354 go on\r\n");
      else if (said === "." || /^(EHLO|MAIL|RCPT|QUIT)$/.test(said)) socket.write("250 ok\r\n");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => void server.close());
  const url = `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return deliver(mailTo(url), NOTICE, NOW);
}

function mailTo(server: string): Channel {
  return { name: "mail", kind: "email", server, from: "purser@example.com", to: ["kim@example.com"] };
}

test("a receiver that says yes and breaks off is not told again", async (context) => {
  const delivered = await post(context, (response) => {
    response.writeHead(200, { "content-length": 100 });
    response.write("o", () => response.destroy());
  });
  assert.deepEqual(delivered, { ok: true });
});

test("whether it may have arrived is known of every try that failed", async (context) => {
  const refused: Channel = { name: "hook", kind: "webhook", url: "http://127.0.0.1:1", secret: undefined };
  const cases = [
    ["nobody listens", false, await deliver(refused, NOTICE, NOW)],
    ["the receiver says no", false, await post(context, (response) => response.writeHead(503).end())],
    ["a proxy waited in vain", true, await post(context, (response) => response.writeHead(504).end())],
    ["the connection breaks", true, await post(context, (response) => response.destroy())],
    ["no mail server listens", false, await deliver(mailTo("smtp://127.0.0.1:1"), NOTICE, NOW)],
    ["nobody to write to", false, await deliver({ ...mailTo("smtp://127.0.0.1:1"), to: undefined } as Channel, NOTICE, NOW)],
    ["the mail server takes nobody's mail", false, await mail(context, "RCPT", (socket) => socket.write("550 no\r\n"))],
    ["the mail server does not take the mail", false, await mail(context, ".", (socket) => socket.write("451 later\r\n"))],
    ["the mail server breaks off", true, await mail(context, ".", (socket) => socket.destroy())],
  ] as const;
  for (const [what, mayHaveArrived, delivered] of cases) {
    assert.ok(!delivered.ok, what);
    assert.equal(delivered.mayHaveArrived, mayHaveArrived, `${what}: ${delivered.error}`);
  }
  assert.deepEqual(await mail(context, "nothing", () => undefined), { ok: true });
});

test("who reads a notice that may repeat is told so, and PagerDuty knows its incident", () => {
  const chat = { name: "chat", kind: "slack", url: "https://example.com" } as const;
  const duty = { name: "duty", kind: "pagerduty", url: "https://example.com", routingKey: "k" } as const;
  const repeat = { ...NOTICE, mayRepeat: true };
  for (const form of [slackPost, teamsPost]) {
    assert.ok(form(chat, repeat).body.includes(MAY_REPEAT));
    assert.ok(!form(chat, NOTICE).body.includes(MAY_REPEAT));
  }
  assert.equal(pagerdutyPost(duty, repeat).body, pagerdutyPost(duty, NOTICE).body);
});

test("who stood still between taking a notice and telling it leaves it to whoever has it by then", async (context) => {
  const receiver = await startReceiver(context);
  const directory = startFolder(context);
  const still = await openFileBook(directory, { now: () => NOW });
  await still.claim({ keys: ["k"], until: NOW + 1, channel: "hook", notice: NOTICE });
  const late = async (name: string, most: number) => (await still.take(name, most)).map((taken) => ({ ...taken, beginBy: 0 }));
  await courierOf(receiver, { take: late, tried: (all) => still.tried(all) }).wake("hook");
  assert.equal(receiver.posted.length, 0);
  await courierOf(receiver, await openFileBook(directory, { now: () => NOW })).wake("hook");
  assert.deepEqual(
    receiver.posted.map(({ headers }) => [headers["webhook-id"], headers["x-purser-repeat"]]),
    [["n", "possible"]],
  );
});

test("a message of several notices that is in doubt is the same message again, whatever has come to wait meanwhile", async (context) => {
  const receiver = await startReceiver(context);
  const directory = startFolder(context);
  const claim = (id: string) => ({ keys: [id], until: NOW + 1, channel: "hook", notice: { ...NOTICE, id, isHeld: true } });
  const dying = await openFileBook(directory, { now: () => NOW });
  for (const id of ["a", "b"]) await dying.claim(claim(id));
  await courierOf(receiver, {
    take: (name, most) => (receiver.posted.length === 0 ? dying.take(name, most) : Promise.resolve([])),
    tried: async () => undefined,
  }).wake("hook");
  const book = await openFileBook(directory, { now: () => NOW });
  await book.claim(claim("c"));
  await courierOf(receiver, book).wake("hook");
  const [first, ...others] = receiver.posted.map(({ headers, text }) => ({
    id: headers["webhook-id"],
    isMarked: "x-purser-repeat" in headers,
    text,
  }));
  assert.match(String(first?.id), /^digest_/);
  const again = others.find(({ id }) => id === first?.id);
  assert.deepEqual([again?.text, again?.isMarked], [first?.text, true]);
  assert.deepEqual(
    others.filter((other) => other !== again).map(({ id, isMarked }) => [id, isMarked]),
    [["c", false]],
  );
  assert.equal(await book.waiting("hook"), 0);
});

test("people are told, once, also where nothing can be written any more", async (context) => {
  const receiver = await startReceiver(context);
  const directory = startFolder(context);
  const book = await openFileBook(directory, { now: () => NOW });
  rmSync(directory, { recursive: true });
  writeFileSync(directory, "in its place");
  await assert.rejects(book.claim({ keys: ["k"], until: NOW + 1, channel: "hook", notice: NOTICE }));
  const errors: unknown[] = [];
  const courier = courierOf(receiver, book, errors);
  await courier.wake("hook");
  await courier.wake("hook");
  assert.deepEqual([receiver.posted.length, errors.length], [1, 1]);
});

function startFolder(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "purser-delivery-"));
  context.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

function courierOf({ url }: Receiver, book: CourierOptions["book"], errors: unknown[] = []): Courier {
  const channel: Channel = { name: "hook", kind: "webhook", url, secret: undefined };
  return new Courier({ book, channel: () => channel, now: () => NOW, onError: (error) => errors.push(error) });
}
