import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { PurserError } from "@purser/core";

/**
 * Reads what a data folder has learned, from a file of JSON with `version: 1`; nothing where there is none yet. `read` makes of it what it says,
 * and throws what is wrong with it. Throws `config_invalid` where it has another form.
 */
export async function readLearned<Stored, Learned>(
  directory: string,
  name: string,
  read: (stored: Stored) => Learned,
): Promise<Learned | undefined> {
  const file = join(directory, name);
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw cause;
  }
  try {
    const stored = JSON.parse(text) as Stored & { readonly version: unknown };
    if (stored.version !== 1) throw new Error(`its version is ${stored.version}`);
    return read(stored);
  } catch (cause) {
    const message = `${file} has another form than this version of Purser reads: ${(cause as Error).message}. What it says is learned again.`;
    throw new PurserError("config_invalid", message, { cause });
  }
}
