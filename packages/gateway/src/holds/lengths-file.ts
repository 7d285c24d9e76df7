import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { PurserError } from "@purser/core";
import { writeDurably } from "../durable-file.ts";

const FILE = "answers.json";

/** The lengths of answers by `["provider","model","feature"]`, oldest first. */
type Lengths = ReadonlyMap<string, readonly number[]>;

interface Stored {
  readonly version: 1;
  readonly answers: Readonly<Record<string, readonly number[]>>;
}

/** What a data folder knows about the lengths of answers; nothing where none was seen yet. */
export async function readLengths(directory: string): Promise<Lengths> {
  const file = join(directory, FILE);
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return new Map();
    throw cause;
  }
  try {
    const { version, answers } = JSON.parse(text) as Stored;
    if (version !== 1) throw new Error(`its version is ${version}`);
    const lengths = Object.entries(answers);
    for (const [key, all] of lengths)
      if (!all.every((length) => Number.isSafeInteger(length) && length >= 0)) throw new Error(`a length of ${key} is no number of tokens`);
    return new Map(lengths);
  } catch (cause) {
    const message = `${file} has another form than this version of Purser reads: ${(cause as Error).message}. What it says is learned again.`;
    throw new PurserError("config_invalid", message, { cause });
  }
}

/** Replaces them all: whoever reads sees the old ones or the new ones. */
export async function writeLengths(directory: string, lengths: Lengths): Promise<void> {
  const stored: Stored = { version: 1, answers: Object.fromEntries(lengths) };
  await writeDurably(directory, FILE, Buffer.from(`${JSON.stringify(stored)}\n`));
}
