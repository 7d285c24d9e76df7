import { createHmac } from "node:crypto";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer } from "node:net";
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
  /** With what it answers from now on. */
  status: number;
}

/** Takes notices as Slack, Teams, PagerDuty or anybody's program would. */
export async function startReceiver(context: TestContext): Promise<Receiver> {
  const posted: Posted[] = [];
  const server = createHttpServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString("utf8");
    posted.push({ path: request.url ?? "", headers: request.headers, body: JSON.parse(text), text });
    response.writeHead(receiver.status).end("ok");
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

/** A mail server that keeps what it gets. */
export async function startMailServer(context: TestContext): Promise<{ readonly url: string; readonly mails: readonly string[] }> {
  const mails: string[] = [];
  const server = createServer((socket) => {
    let isData = false;
    let text = "";
    socket.setEncoding("latin1").write("220 mail.test ESMTP\r\n");
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
      text += chunk;
      for (let end = text.indexOf(isData ? "\r\n.\r\n" : "\r\n"); end >= 0; end = text.indexOf(isData ? "\r\n.\r\n" : "\r\n")) {
        const line = text.slice(0, end);
        text = text.slice(end + (isData ? 5 : 2));
        if (isData) mails.push(line);
        const isBegun = !isData && line.toUpperCase() === "DATA";
        socket.write(isBegun ? "354 go on\r\n" : line.toUpperCase() === "QUIT" && !isData ? "221 bye\r\n" : "250 ok\r\n");
        isData = isBegun;
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => void server.close());
  return { url: `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`, mails };
}
