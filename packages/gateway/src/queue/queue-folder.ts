import { mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { ErrorCode, Subject } from "@purser/core";
import { writeDurably } from "../durable-file.ts";
import { readRecord } from "../record-file.ts";

/** A call that waits, runs or has run, without its texts. */
export interface QueuedCall {
  /** `queued_…`: nobody guesses it. */
  readonly id: string;
  /** `running` is written before a call is sent: what a crash leaves so may have been made, and is not made again. `deleted` is told, and never written. */
  readonly state: "queued" | "running" | "done" | "failed" | "deleted";
  /** Epoch milliseconds. */
  readonly at: number;
  readonly runAt: number;
  readonly giveUpAt: number;
  /** When it is deleted, if nobody fetches it. */
  readonly keptUntil: number;
  /** The key of its caller; none for the owner. */
  readonly key: string | undefined;
  readonly subject: Subject;
  /** The target of the request, without credentials. */
  readonly url: string;
  /** Names and values in turn, without credentials. */
  readonly headers: readonly string[];
  /** `queue (chatbot 100%)` */
  readonly rung: string;
  /** To whom its answer is pushed. */
  readonly channel: string | undefined;
  readonly answer?: { readonly status: number; readonly contentType: string; readonly requestId: string };
  readonly failure?: { readonly code: ErrorCode; readonly message: string };
  /** When the next try is due to push the answer, and how many there were. */
  readonly pushAt?: number;
  readonly pushes?: number;
}

type Part = "call" | "body" | "answer";

/** The calls that wait, in the `queue` folder of the data folder: each with a file about it, its body, and later its answer. Whole or not at all. */
export class QueueFolder {
  readonly #folder: string;

  constructor(dataDir: string) {
    this.#folder = join(dataDir, "queue");
  }

  /** All calls that are there, and the room that they take. What a crash left half is removed; of what cannot be read `onError` is told. */
  async open(onError: (error: unknown) => void): Promise<{ readonly calls: readonly QueuedCall[]; readonly bytes: number }> {
    const names = await readdir(this.#folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw error;
    });
    const known = new Set(names.filter((name) => name.endsWith(".call")).map((name) => name.slice(0, -".call".length)));
    const calls: QueuedCall[] = [];
    let bytes = 0;
    for (const name of names) {
      const [id = "", part] = name.split(".");
      if (!known.has(id) || !isPart(part) || name !== `${id}.${part}`) await rm(join(this.#folder, name), { force: true });
      else if (part === "call") calls.push(...(await this.#call(id, onError)));
      else if (part === "body") bytes += (await stat(this.#file(id, part))).size;
    }
    return { calls: calls.sort((a, b) => a.at - b.at), bytes };
  }

  /** Resolves when the call and its body are on disk. */
  async add(call: QueuedCall, body: Buffer): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await writeDurably(this.#folder, `${call.id}.body`, body);
    await this.update(call);
  }

  async update(call: QueuedCall): Promise<void> {
    await writeDurably(this.#folder, `${call.id}.call`, Buffer.from(JSON.stringify(call)));
  }

  /** Keeps the answer, and its body no more. */
  async answer(call: QueuedCall, answer: Buffer): Promise<void> {
    await writeDurably(this.#folder, `${call.id}.answer`, answer);
    await this.update(call);
    await rm(this.#file(call.id, "body"), { force: true });
  }

  read(id: string, part: "body" | "answer"): Promise<Buffer> {
    return readFile(this.#file(id, part));
  }

  /** What says that it is there goes first. */
  async remove(id: string): Promise<void> {
    for (const part of ["call", "answer", "body"] as const) await rm(this.#file(id, part), { force: true });
  }

  async #call(id: string, onError: (error: unknown) => void): Promise<readonly QueuedCall[]> {
    const call = await readRecord(this.#file(id, "call"), isQueuedCall, onError);
    return call ? [call] : [];
  }

  #file(id: string, part: Part): string {
    return join(this.#folder, `${id}.${part}`);
  }
}

function isPart(name: string | undefined): name is Part {
  return name === "call" || name === "body" || name === "answer";
}

const STATES: readonly unknown[] = ["queued", "running", "done", "failed"] satisfies readonly QueuedCall["state"][];

function isQueuedCall(value: unknown): value is QueuedCall {
  const call = value as Partial<QueuedCall> | null;
  return (
    [call?.id, call?.url, call?.rung].every((text) => typeof text === "string") &&
    STATES.includes(call?.state) &&
    [call?.at, call?.runAt, call?.giveUpAt, call?.keptUntil].every((time) => typeof time === "number") &&
    typeof call?.subject === "object" &&
    call.subject !== null &&
    Array.isArray(call.headers) &&
    call.headers.every((text) => typeof text === "string")
  );
}
