import { createHmac } from "node:crypto";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { TestContext } from "node:test";
import type { Json } from "./calls.ts";

/** One notice as it was posted. */
export interface Posted {
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Json;
  readonly text: string;
}

export interface Receiver {
  readonly url: string;
  readonly posted: readonly Posted[];
  /** With what it answers from now on; not at all where it is left out. */
  status: number | undefined;
}

/** Takes notices as Slack, Teams, PagerDuty or anybody's program would. */
export async function startReceiver(context: TestContext): Promise<Receiver> {
  const posted: Posted[] = [];
  const server = createHttpServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString("utf8");
    posted.push({ path: request.url ?? "", headers: request.headers, body: JSON.parse(text), text });
    if (receiver.status !== undefined) response.writeHead(receiver.status).end("ok");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const receiver: Receiver = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, posted, status: 200 };
  return receiver;
}

/** Whether a notice was signed with a secret, by the words of the specification. */
export function isSigned({ headers, text }: Posted, secret: string): boolean {
  const key = Buffer.from(secret.replace("whsec_", ""), "base64");
  const signed = createHmac("sha256", key).update(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${text}`).digest("base64");
  return headers["webhook-signature"] === `v1,${signed}`;
}

export interface MailServer {
  readonly url: string;
  readonly mails: readonly string[];
  /** Whether it says, from now on, that it has taken a mail. */
  answers: boolean;
}

/** A mail server that keeps what it gets. */
export async function startMailServer(context: TestContext): Promise<MailServer> {
  const mails: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    let isData = false;
    let text = "";
    sockets.add(socket.on("close", () => sockets.delete(socket)));
    socket.setEncoding("latin1").write("220 mail.test ESMTP\r\n");
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
      text += chunk;
      for (let end = text.indexOf(isData ? "\r\n.\r\n" : "\r\n"); end >= 0; end = text.indexOf(isData ? "\r\n.\r\n" : "\r\n")) {
        const line = text.slice(0, end);
        text = text.slice(end + (isData ? 5 : 2));
        if (isData) mails.push(line);
        if (isData && !mail.answers) return;
        const isBegun = !isData && line.toUpperCase() === "DATA";
        socket.write(isBegun ? "354 go on\r\n" : line.toUpperCase() === "QUIT" && !isData ? "221 bye\r\n" : "250 ok\r\n");
        isData = isBegun;
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const mail: MailServer = { url: `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`, mails, answers: true };
  return mail;
}
