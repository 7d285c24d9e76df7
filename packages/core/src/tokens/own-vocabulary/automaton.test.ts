import assert from "node:assert/strict";
import { test } from "node:test";
import { END_BYTE } from "../characters.ts";
import { LOST, type Splitter } from "../splitter.ts";
import { LANGUAGES, randomFrom, soup } from "../texts.test.data.ts";
import { compilePattern } from "./automaton.ts";
import { parsePattern } from "./pattern.ts";
import { createPatternSplitter } from "./pattern-splitter.ts";
import { PATTERNS } from "./tiktoken-file.ts";

/** No letters and marks to tokenizers, whatever this Node.js knows. */
const ADDED_IN_UNICODE_17 = /\u088f|\u0c5c|\u0cdc|[\u1acf-\u1add]|[\u1ae0-\u1aeb]|[\ua7ce\ua7cf\ua7d2\ua7d4\ua7f1]/u;
const splitters = new Map<string, Splitter>();

function splitterOf(patterns: readonly string[]): Splitter {
  const key = patterns.join("\n");
  const splitter = splitters.get(key) ?? createPatternSplitter(patterns.map((pattern) => compilePattern(pattern)));
  splitters.set(key, splitter);
  return splitter;
}

/** Where pieces end, in bytes, as we cut them. */
function cuts(text: string, ...patterns: readonly string[]): readonly number[] | undefined {
  const written = Buffer.from(text);
  const bytes = Buffer.concat([written, Buffer.from([END_BYTE, 0, 0, 0])]);
  const ends = new Int32Array(bytes.length);
  const count = splitterOf(patterns)(bytes, written.length, true, ends);
  return count === LOST ? undefined : [...ends.subarray(0, count)];
}

/** The same by JavaScript's own regular expressions, which go back. */
function expectedCuts(text: string, ...patterns: readonly string[]): readonly number[] {
  let pieces = [text];
  for (const pattern of patterns) {
    const expression = new RegExp(pattern.replaceAll("\\s", "\\p{White_Space}").replaceAll("\\S", "\\P{White_Space}"), "gu");
    pieces = pieces.flatMap((piece) => {
      const parts: string[] = [];
      let at = 0;
      for (const { 0: found, index } of piece.matchAll(expression)) {
        if (index > at) parts.push(piece.slice(at, index));
        parts.push(found);
        at = index + found.length;
      }
      return at < piece.length ? [...parts, piece.slice(at)] : parts;
    });
  }
  let end = 0;
  return pieces.map((piece) => {
    end += Buffer.byteLength(piece);
    return end;
  });
}

test("a text is cut as a matcher that goes back cuts it, by the patterns of real tokenizers", () => {
  const gpt2 = PATTERNS.gpt2 ?? "";
  const o200k = (PATTERNS.o200k ?? "").replaceAll(/\(\?i:[^)]*\)\?/g, "");
  const deepseek =
    "[!-/:-~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  const random = randomFrom(31);
  const soups = Array.from({ length: 1_500 }, () => soup(random, 30));
  const texts = [...Object.values(LANGUAGES), ...soups].filter((text) => !ADDED_IN_UNICODE_17.test(text));
  for (const patterns of [[gpt2], [o200k], ["\\p{N}{1,3}", "[一-龥぀-ヿ]+", deepseek], ["\\p{N}", gpt2]]) {
    for (const text of texts)
      assert.deepEqual(cuts(text, ...patterns), expectedCuts(text, ...patterns), `${patterns.join(" then ")}: ${JSON.stringify(text)}`);
  }
});

test("a text is cut as a matcher that goes back cuts it, by any pattern", () => {
  const random = randomFrom(5);
  const one = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T;
  const pattern = (depth: number): string => {
    const kind = depth === 0 ? 0 : random();
    if (kind < 0.35) return one(["a", "b", "é", "[ab]", "[^a]", "\\s", "\\p{L}", " ", "."]);
    if (kind < 0.6) return pattern(depth - 1) + pattern(depth - 1);
    if (kind < 0.75) return `(?:${pattern(depth - 1)}|${pattern(depth - 1)})`;
    if (kind < 0.92) return `(?:${pattern(depth - 1)})${one(["*", "+", "?", "{1,2}", "{2}", "*?", "+?"])}`;
    return `${pattern(depth - 1)}${one(["(?!a)", "(?=b)", "(?!\\s)", "(?=[ab])"])}`;
  };
  const writtenPattern = (): string => {
    for (;;) {
      const written = `a${pattern(3)}|b${pattern(3)}|${pattern(2)}.`;
      try {
        parsePattern(written);
        return written;
      } catch (error) {
        assert.match((error as Error).message, /repeats what can be nothing/);
      }
    }
  };
  let compared = 0;
  for (let i = 0; i < 25; i++) {
    const written = writtenPattern();
    for (let j = 0; j < 80; j++) {
      const text = Array.from({ length: 24 }, () => one(["a", "b", "é", " ", "\n", "c"])).join("");
      assert.deepEqual(cuts(text, written), expectedCuts(text, written), `${written} in ${JSON.stringify(text)}`);
      compared++;
    }
  }
  assert.equal(compared, 2_000);
});

test("what case is ignored in, and sets of sets, are what they say", () => {
  assert.deepEqual(cuts("it'S O'ſa", "(?i:'s)|[a-z]+"), [2, 4, 6, 9, 10]);
  assert.deepEqual(cuts("AbC1", "(?i)[a-c]+"), [3, 4]);
  assert.deepEqual(cuts("ab中x", "[\\p{L}&&[^\\p{Han}]]+"), [2, 5, 6]);
  assert.deepEqual(cuts("1a٣", "\\d+|\\x61|\\u{62}"), [1, 2, 4]);
});

test("a pattern that would be counted otherwise than it means is refused", () => {
  for (const [pattern, why] of Object.entries({
    "a++": /possessive/,
    "a(?=bc)": /looks ahead by more than one character/,
    "^a": /begins or ends/,
    a$: /begins or ends/,
    "(?<=a)b": /has a group \(\?<=/,
    "\\bword": /has \\b/,
    "a*": /finds nothing at all as something/,
    "(a": /\( without a \)/,
    "a)": /\) without a \(/,
    "[a": /\[ without a \]/,
    "\\p{Nonsense}": /which no character has/,
    "(a)\\1": /has \\1/,
    "[[:alpha:]]": /\[:alpha:\]/,
    "(?:a*)+": /repeats what can be nothing/,
    "a{1,1000}": /has \{1,1000\}/,
    "(?:(?:a{1,200}b){1,200})": /longer than/,
  }))
    assert.throws(() => compilePattern(pattern), why, pattern);
});

test("a pattern that would look at a text again and again is given up, and not waited for", () => {
  const text = "a".repeat(60_000);
  const started = performance.now();
  assert.equal(cuts(text, "a*b|a|[^a]"), undefined);
  assert.ok(performance.now() - started < 5_000);
});
