import { MessageChannel } from "node:worker_threads";

/** Node.js 21 and later can do it by themselves. */
type Transferable = ArrayBuffer & { transfer?(length: number): ArrayBuffer };

/** What is posted here nobody receives. */
const nowhere = closedPort();

/**
 * Gives the memory of a large buffer back at once: the collector of garbage, which counts such memory, would else look through everything for a
 * few of them, and keep all calls waiting for ten milliseconds and more. The buffer is empty after that; it must not be on its way to a socket.
 */
export function giveBack(bytes: Buffer): void {
  const memory = bytes.buffer as Transferable;
  // Small ones share their memory with others.
  if (memory.byteLength !== bytes.length) return;
  if (memory.transfer) memory.transfer(0);
  else nowhere.postMessage(undefined, [memory]);
}

function closedPort() {
  const { port1, port2 } = new MessageChannel();
  port2.close();
  return port1;
}
