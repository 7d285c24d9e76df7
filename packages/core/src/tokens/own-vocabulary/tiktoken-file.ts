import { compilePattern } from "./automaton.ts";
import { encoderOf } from "./merges.ts";
import type { VocabularyParts } from "./parts.ts";
import { Uncountable } from "./uncountable.ts";

const CONTRACTIONS = "'s|'t|'re|'ve|'m|'ll|'d";
const BEFORE = "[^\\r\\n\\p{L}\\p{N}]?";
const CAPITALS = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const SMALL = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const BLANKS = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** The patterns of well-known vocabularies. */
export const PATTERNS: Readonly<Record<string, string>> = {
  gpt2: `${CONTRACTIONS}| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+`,
  cl100k: `(?i:${CONTRACTIONS})|${BEFORE}\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${BLANKS}`,
  o200k: `${BEFORE}${CAPITALS}*${SMALL}+(?i:${CONTRACTIONS})?|${BEFORE}${CAPITALS}+${SMALL}*(?i:${CONTRACTIONS})?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${BLANKS}`,
};

/** Reads a file of tiktoken: a token in base64 and its rank on each line. It does not say how text is cut; `pattern` does. */
export function readTiktokenFile(text: string, pattern: string | undefined): VocabularyParts {
  const tokens: string[] = [];
  for (const [i, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const [, base64, rank] = /^([A-Za-z0-9+/]+={0,2})\s+(\d{1,7})\s*$/.exec(line) ?? [];
    if (base64 === undefined)
      throw new Uncountable(
        `its line ${i + 1} is not a token in base64 and its rank, so it is neither a file of tiktoken nor a tokenizer.json`,
      );
    tokens[Number(rank)] = Buffer.from(base64, "base64").toString("latin1");
  }
  if (pattern === undefined)
    throw new Uncountable(
      `a file of tiktoken does not say how text is cut. Add pattern: the regular expression of its tokenizer, or ${Object.keys(PATTERNS).join(", ")}`,
    );
  const ranks = new Map<string, number>();
  for (const [rank, token] of tokens.entries()) if (token !== undefined) ranks.set(token, rank);
  const bytes = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));
  const missing = bytes.filter((byte) => !ranks.has(byte)).length;
  if (missing > 0) throw new Uncountable(`it has no token for ${missing} of the 256 bytes, so that some text has no tokens`);
  const automaton = compilePattern(PATTERNS[pattern] ?? pattern);
  if (!automaton.findsAll) throw new Uncountable("its pattern does not find something everywhere, and tiktoken leaves out the rest");
  const all = [...bytes, ...[...ranks.keys()].filter((token) => token.length > 1)];
  const numbers = new Map(all.map((token, number) => [token, number]));
  const encoder = encoderOf({
    tokens: all,
    atoms: bytes.length,
    merges: mergesOf(all, numbers, ranks),
    atomsOf: (token) => Array.from(token, (byte) => byte.charCodeAt(0)),
    wholes: all,
  });
  return {
    tokens: ranks.size,
    encoder,
    cuts: { kind: "patterns", automata: [automaton] },
    added: [],
    blanks: { marked: false, before: "nothing", always: false },
    endsWords: automaton.endsWords && automaton.findsBlanks,
  };
}

/** Whatever makes a token is merged to it, when its rank says. */
function* mergesOf(tokens: readonly string[], numbers: ReadonlyMap<string, number>, ranks: ReadonlyMap<string, number>) {
  for (const [product, token] of tokens.entries()) {
    for (let at = 1; at < token.length; at++) {
      const left = numbers.get(token.slice(0, at));
      const right = left === undefined ? undefined : numbers.get(token.slice(at));
      if (left !== undefined && right !== undefined) yield [left, right, product, ranks.get(token) ?? 0] as const;
    }
  }
}
