import { writeDurably } from "../durable-file.ts";
import { readLearned } from "../learned-file.ts";

const FILE = "answers.json";

/** The lengths of answers by `["provider","model","feature"]`, oldest first. */
type Lengths = ReadonlyMap<string, readonly number[]>;

interface Stored {
  readonly version: 1;
  readonly answers: Readonly<Record<string, readonly number[]>>;
}

/** What a data folder knows about the lengths of answers; nothing where none was seen yet. */
export async function readLengths(directory: string): Promise<Lengths> {
  const lengths = await readLearned(directory, FILE, ({ answers }: Stored) => {
    for (const [key, all] of Object.entries(answers))
      if (!all.every((length) => Number.isSafeInteger(length) && length >= 0)) throw new Error(`a length of ${key} is no number of tokens`);
    return Object.entries(answers);
  });
  return new Map(lengths);
}

/** Replaces them all: whoever reads sees the old ones or the new ones. */
export async function writeLengths(directory: string, lengths: Lengths): Promise<void> {
  const stored: Stored = { version: 1, answers: Object.fromEntries(lengths) };
  await writeDurably(directory, FILE, Buffer.from(`${JSON.stringify(stored)}\n`));
}
