import type { IncomingMessage, ServerResponse } from "node:http";
import { totalmem } from "node:os";
import { PurserError } from "@purser/core";
import { readBytes } from "./body.ts";

/** Bodies below this are not counted: no number of connections makes them many. */
const SMALL_BYTES = 64 * 1_024;
const ROOM_LEAST = 256 * 1_024 * 1_024;
/** Bodies may take this part of the memory; what is made of them while they are read and counted takes another. */
const MEMORY_SHARE = 1 / 4;

/** The room that all bodies of calls in flight have together: without a bound, few callers with large bodies would end the process. */
export class BodyRoom {
  readonly #most: number;
  #taken = 0;

  constructor(most = roomOfMachine()) {
    this.#most = most;
  }

  /** The whole body of a request. It keeps its room until the answer is over. */
  async read(request: IncomingMessage, response: ServerResponse, bytesMost: number): Promise<Buffer> {
    const length = request.headers["content-length"];
    // A body that does not say its length may become as long as one can be.
    const announced = length === undefined ? bytesMost : Math.min(Number(length), bytesMost);
    if (announced < SMALL_BYTES) return readBytes(request, bytesMost);
    if (this.#taken + announced > this.#most)
      throw new PurserError("rate_limited", "Too many large bodies are on their way here at once. Try again in a second.");
    let held = announced;
    this.#taken += held;
    const hold = (bytes: number) => {
      this.#taken += bytes - held;
      held = bytes;
    };
    let isOver = false;
    response.once("close", () => {
      isOver = true;
      hold(0);
    });
    const bytes = await readBytes(request, bytesMost);
    if (!isOver) hold(bytes.length);
    return bytes;
  }
}

function roomOfMachine(): number {
  // 0 or a number beyond all memory where a container sets no bound.
  const constrained = process.constrainedMemory() || Number.POSITIVE_INFINITY;
  return Math.max(ROOM_LEAST, Math.floor(Math.min(totalmem(), constrained) * MEMORY_SHARE));
}
