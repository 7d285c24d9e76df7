import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeDurably } from "../durable-file.ts";
import { readRecord } from "../record-file.ts";
import type { Said } from "./conversation.ts";
import type { Handover } from "./handover.ts";

type Part = "handover" | "conversation";

/**
 * Conversations that people go on with, in the `handovers` folder of the data folder: a line about each, and in a file beside it what was said,
 * where that is kept. Whole or not at all, and readable by their owner only.
 */
export class HandoverFolder {
  readonly #folder: string;

  constructor(dataDir: string) {
    this.#folder = join(dataDir, "handovers");
  }

  /** All that are there, the oldest first. What a crash left half is removed; of what cannot be read `onError` is told. */
  async open(onError: (error: unknown) => void): Promise<readonly Handover[]> {
    const names = await readdir(this.#folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw error;
    });
    const known = new Set(names.filter((name) => name.endsWith(".handover")).map((name) => name.slice(0, -".handover".length)));
    const handovers: Handover[] = [];
    for (const name of names) {
      const [id = "", part = ""] = name.split(".");
      if (!known.has(id) || !isPart(part) || name !== `${id}.${part}`) await rm(join(this.#folder, name), { force: true });
      else if (part === "handover") handovers.push(...(await this.#read(id, onError)));
    }
    return handovers.sort((a, b) => a.at - b.at);
  }

  async write(handover: Handover): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await writeDurably(this.#folder, `${handover.id}.handover`, Buffer.from(JSON.stringify(handover)));
  }

  /** What was said; nothing where that is not kept. */
  async conversation(id: string): Promise<readonly Said[] | undefined> {
    const text = await readFile(this.#file(id, "conversation"), "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    return text === undefined ? undefined : JSON.parse(text);
  }

  async keep(id: string, said: readonly Said[]): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await writeDurably(this.#folder, `${id}.conversation`, Buffer.from(JSON.stringify(said)));
  }

  async forget(id: string): Promise<void> {
    await rm(this.#file(id, "conversation"), { force: true });
  }

  /** What was said goes first, so that nothing is left of it that nobody knows. */
  async remove(id: string): Promise<void> {
    await this.forget(id);
    await rm(this.#file(id, "handover"), { force: true });
  }

  async #read(id: string, onError: (error: unknown) => void): Promise<readonly Handover[]> {
    const handover = await readRecord(this.#file(id, "handover"), isHandover, onError);
    return handover ? [handover] : [];
  }

  #file(id: string, part: Part): string {
    return join(this.#folder, `${id}.${part}`);
  }
}

function isPart(name: string): name is Part {
  return name === "handover" || name === "conversation";
}

function isHandover(value: unknown): value is Handover {
  const handover = value as Partial<Handover> | null;
  return (
    [handover?.id, handover?.name, handover?.budget, handover?.label, handover?.rung, handover?.why, handover?.text].every(
      (text) => typeof text === "string",
    ) &&
    [handover?.at, handover?.changedAt, handover?.calls].every((number) => typeof number === "number") &&
    typeof handover?.subject === "object" &&
    handover.subject !== null &&
    Array.isArray(handover.answers)
  );
}
