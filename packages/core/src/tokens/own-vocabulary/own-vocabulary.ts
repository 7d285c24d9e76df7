import { Worker } from "node:worker_threads";
import { PurserError } from "../../errors.ts";
import { createCounter } from "../counter.ts";
import type { Encoding } from "../encoding.ts";
import { createPieceEncoder } from "../piece-encoder.ts";
import { addedTokensIn, createAddedSplitter, preparation } from "./added-tokens.ts";
import { createJointSplitter } from "./joint-splitter.ts";
import { createMergingEncoder } from "./merging-encoder.ts";
import type { VocabularyParts } from "./parts.ts";
import { createPatternSplitter } from "./pattern-splitter.ts";
import type { FileReading, VocabularyFile } from "./reading-thread.ts";

/** A vocabulary that was read from a file, ready to count. */
export interface OwnVocabulary {
  readonly encoding: Encoding;
  /** The most tokens that a text can have for each of its bytes. */
  readonly growth: number;
  /** How many tokens it has. */
  readonly tokens: number;
  /** What its tables take in memory. */
  readonly bytes: number;
}

/** How often a text can become longer in a form of Unicode, at most, in bytes of UTF-8. */
const GROWTH = { NFC: 3, NFD: 3, NFKC: 11, NFKD: 11 } as const;

/**
 * Reads the vocabulary of a model from a `tokenizer.json` of Hugging Face or a file of tiktoken, in a thread of its own. Throws `config_invalid`, with what
 * to do, where it could not be counted exactly.
 */
export async function readOwnVocabulary(file: VocabularyFile, name: string = file.path): Promise<OwnVocabulary> {
  const reading = await readInThread(file);
  if ("problem" in reading) throw new PurserError("config_invalid", `${name} cannot be counted exactly: ${reading.problem}. ${INSTEAD}`);
  return opened(name, reading.parts);
}

const INSTEAD = "Mend it, or write count_as with the name of a model that is counted like it";

function readInThread(file: VocabularyFile): Promise<FileReading> {
  return new Promise((resolve, reject) => {
    const thread = new Worker(new URL("./reading-thread.js", import.meta.url), { workerData: file, stdout: false, stderr: false });
    thread.once("message", resolve);
    thread.once("error", reject);
    thread.once("exit", (code) => reject(new PurserError("internal", `Reading ${file.path} ended early (${code}).`)));
  });
}

function opened(name: string, { tokens, encoder, cuts, added, addedTrie, blanks, form, endsWords }: VocabularyParts): OwnVocabulary {
  const split = createAddedSplitter(cuts.kind === "patterns" ? createPatternSplitter(cuts.automata) : createJointSplitter(cuts), addedTrie);
  const between = addedTokensIn(added);
  const inForm =
    form &&
    ((text: string) => {
      const formed = text.normalize(form);
      if (formed === text || !between?.test(text)) return formed;
      // What follows an added token is not joined with its last letter.
      return text
        .split(between)
        .map((part) => part.normalize(form))
        .join("");
    });
  const counter = createCounter(
    encoder.kind === "tables" ? createPieceEncoder(encoder.vocabulary, encoder.pairs) : createMergingEncoder(encoder),
    split,
    {
      prepare: preparation(added, blanks),
      inForm,
      endsWords,
    },
  );
  return {
    encoding: { name, ...counter },
    // A blank that is put before a text or a part of one, which has at least a byte, is one token more.
    growth: (form ? GROWTH[form] : 1) + (blanks.before === "nothing" ? 0 : 1),
    tokens,
    bytes: bytesOf([encoder, cuts, addedTrie]),
  };
}

/** What the tables take, wherever they are. */
function bytesOf(value: unknown): number {
  if (ArrayBuffer.isView(value)) return value.byteLength;
  return value && typeof value === "object" ? Object.values(value).reduce((sum: number, one) => sum + bytesOf(one), 0) : 0;
}
