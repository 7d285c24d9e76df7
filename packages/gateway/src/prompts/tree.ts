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
      const stats = statSync(file);
      // What is no file may never end.
      if (!stats.isFile()) return { because: stats.isDirectory() ? "is a folder" : "is no file" };
      if (stats.size > bytesMost) return { because: tooLarge(bytesMost) };
      return { bytes: readFileSync(file) };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return { because: code === "ENOENT" || code === "ENOTDIR" ? NOT_THERE : `cannot be read (${code})` };
    }
  }
}

export function tooLarge(bytesMost: number): string {
  return `is larger than ${bytesMost.toLocaleString("en-US")} bytes, and than any call may be (server.max_body)`;
}
