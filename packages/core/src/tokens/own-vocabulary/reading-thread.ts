import { readFileSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import type { VocabularyParts } from "./parts.ts";
import { readTiktokenFile } from "./tiktoken-file.ts";
import { readTokenizerJson } from "./tokenizer-json.ts";
import { Uncountable } from "./uncountable.ts";

/** What the thread is asked to read. */
export interface VocabularyFile {
  readonly path: string;
  /** How text is cut, where the file does not say it: a regular expression, or the name of a vocabulary that has one. */
  readonly pattern?: string | undefined;
}

/** What became of it. */
export type FileReading = { readonly parts: VocabularyParts } | { readonly problem: string };

/** Reads one file, for a thread that goes on meanwhile: a large one takes a second or two. */
function read({ path, pattern }: VocabularyFile): FileReading {
  try {
    const text = readFileSync(path, "utf8");
    if (!/^\uFEFF?\s*\{/.test(text)) return { parts: readTiktokenFile(text, pattern) };
    if (pattern !== undefined) return { problem: "it says itself how text is cut. Leave out pattern" };
    return { parts: readTokenizerJson(text.replace(/^\uFEFF/, "")) };
  } catch (error) {
    if (error instanceof Uncountable) return { problem: error.message };
    const { code } = error as NodeJS.ErrnoException;
    if (code !== undefined) return { problem: `it cannot be read (${code})` };
    return { problem: `it is not of the form that its kind has (${(error as Error).message})` };
  }
}

/** The memory of all tables, which is given away rather than copied. */
function memoryOf(value: unknown): readonly ArrayBuffer[] {
  if (ArrayBuffer.isView(value)) return value.buffer instanceof ArrayBuffer ? [value.buffer] : [];
  return value && typeof value === "object" ? Object.values(value).flatMap(memoryOf) : [];
}

const reading = read(workerData as VocabularyFile);
parentPort?.postMessage(reading, [...new Set(memoryOf(reading))]);
