import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { brotliDecompress } from "node:zlib";
import { PurserError } from "../errors.ts";
import type { Characters } from "./characters.ts";
import { readCharacters } from "./characters.ts";
import type { Counter, Form } from "./counter.ts";
import { createCounter } from "./counter.ts";
import { createDeepseekSplitter } from "./deepseek-splitter.ts";
import { createGptSplitter } from "./gpt-splitter.ts";
import { createPieceEncoder } from "./piece-encoder.ts";
import type { Splitter } from "./splitter.ts";
import { readVocabulary } from "./vocabulary.ts";

/** The vocabularies that Purser counts with exactly. */
export type EncodingName = "o200k" | "cl100k" | "qwen" | "deepseek" | "tekken";

/** One vocabulary, ready to count. */
export interface Encoding extends Counter {
  readonly name: string;
}

interface Recipe {
  readonly file: string;
  readonly splitter: (characters: Characters) => Splitter;
  /** The tokenizer brings text into this form of Unicode first. */
  readonly form?: Form;
}

const RECIPES: Readonly<Record<EncodingName, Recipe>> = {
  o200k: {
    file: "o200k_base",
    splitter: (characters) => createGptSplitter(characters, { casedWords: true, contractions: "suffix", digitsMax: 3, slashes: true }),
  },
  cl100k: {
    file: "cl100k_base",
    splitter: (characters) => createGptSplitter(characters, { casedWords: false, contractions: "piece", digitsMax: 3, slashes: false }),
  },
  qwen: {
    file: "qwen",
    splitter: (characters) => createGptSplitter(characters, { casedWords: false, contractions: "piece", digitsMax: 1, slashes: false }),
    form: "NFC",
  },
  deepseek: { file: "deepseek", splitter: createDeepseekSplitter },
  tekken: {
    file: "tekken",
    splitter: (characters) => createGptSplitter(characters, { casedWords: true, contractions: "none", digitsMax: 1, slashes: true }),
  },
};

const loading = new Map<EncodingName, Promise<Encoding>>();
const loaded = new Map<EncodingName, Encoding>();
let characters: Promise<Characters> | undefined;

/** The counter of one vocabulary; read from disk at its first use, once, however many ask for it at the same time. One that was read already is itself. */
export function loadEncoding(name: EncodingName | Encoding): Promise<Encoding> {
  if (typeof name !== "string") return Promise.resolve(name);
  let encoding = loading.get(name);
  if (!encoding) {
    encoding = readEncoding(name);
    loading.set(name, encoding);
    // A failed read is tried again by the next caller; this one gets the error.
    encoding.then(
      (read) => loaded.set(name, read),
      () => loading.delete(name),
    );
  }
  return encoding;
}

/** The counter of a vocabulary that was read; nothing where it was not yet. */
export function loadedEncoding(name: EncodingName | Encoding): Encoding | undefined {
  return typeof name === "string" ? loaded.get(name) : name;
}

async function readEncoding(name: EncodingName): Promise<Encoding> {
  const { file, splitter, form } = RECIPES[name];
  characters ??= unpack("characters").then(readCharacters);
  characters.catch(() => {
    characters = undefined;
  });
  const [packed, classes] = await Promise.all([unpack(file), characters]);
  const inForm = form && ((text: string) => text.normalize(form));
  return { name, ...createCounter(createPieceEncoder(readVocabulary(packed)), splitter(classes), { inForm, endsWords: true }) };
}

async function unpack(file: string): Promise<Uint8Array> {
  try {
    const packed = await readFile(new URL(`../../vocabularies/${file}.bin`, import.meta.url));
    return await promisify(brotliDecompress)(packed);
  } catch (cause) {
    throw new PurserError("internal", `The vocabulary ${file} cannot be read. Install @purser/core again.`, { cause });
  }
}
