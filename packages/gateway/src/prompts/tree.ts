import { readFileSync, realpathSync, statSync } from "node:fs";
import { join, relative, sep } from "node:path";

/** Files below a folder, as they are on disk or were at a commit. */
export interface Tree {
  /** Reads a file by its path from the folder; or says why not, as the end of a sentence. */
  read(path: string, bytesMost: number): FoundFile;
}

export type FoundFile = { readonly bytes: Buffer } | { readonly because: string };

export const NOT_THERE = "is not there";
export const LEADS_OUT = "leads out of the folder";

/** The files of a folder on disk. Links are followed as long as they stay in it. */
export class FolderTree implements Tree {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  read(path: string, bytesMost: number): FoundFile {
    const file = join(this.#folder, path);
    try {
      const inside = relative(realpathSync(this.#folder), realpathSync(file));
      if (inside === ".." || inside.startsWith(`..${sep}`)) return { because: LEADS_OUT };
    } catch (error) {
      return { because: unreadable(error) };
    }
    return readWithin(file, bytesMost);
  }
}

/** Reads a file that is no larger than that; or says why not. What is no file may never end. */
export function readWithin(file: string, bytesMost: number): FoundFile {
  try {
    const stats = statSync(file);
    if (!stats.isFile()) return { because: stats.isDirectory() ? "is a folder" : "is no file" };
    return stats.size > bytesMost ? { because: tooLarge(bytesMost) } : { bytes: readFileSync(file) };
  } catch (error) {
    return { because: unreadable(error) };
  }
}

function unreadable(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ENOTDIR" ? NOT_THERE : `cannot be read (${code})`;
}

export function tooLarge(bytesMost: number): string {
  return `is larger than it may be (${bytesMost.toLocaleString("en-US")} bytes)`;
}
