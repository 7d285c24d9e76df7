import { once } from "node:events";
import { connect as connectTo, createServer, type Socket } from "node:net";
import type { Scope } from "./server.test-setup.ts";

/** A line between a client and its server that can be cut, and that can lead to another server, as a name does after a fail-over. */
export interface Proxy {
  readonly port: number;
  /** Cuts the connection when the next answer comes: what was asked has been done, and nobody hears of it. */
  cutNextAnswer(): void;
  /** Cuts all connections; new ones lead to this port. */
  leadTo(port: number): void;
}

export async function startProxy(scope: Scope, target: number): Promise<Proxy> {
  let port = target;
  let isCut = false;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connectTo(port, "127.0.0.1");
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream);
    upstream.on("data", (data) => {
      if (!isCut) return void client.write(data);
      isCut = false;
      client.destroy();
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  scope.after(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    port: (server.address() as { port: number }).port,
    cutNextAnswer() {
      isCut = true;
    },
    leadTo(next) {
      port = next;
      for (const socket of sockets) socket.destroy();
    },
  };
}
