import { type CharacterSet, complement, intersection, setOfExpression, setOfProperty, setOfRanges, union } from "./character-set.ts";
import { Uncountable } from "./uncountable.ts";

/** A regular expression by which a tokenizer cuts text, as a tree. */
export type Pattern =
  | { readonly kind: "character"; readonly set: CharacterSet }
  | { readonly kind: "sequence"; readonly parts: readonly Pattern[] }
  | { readonly kind: "choice"; readonly options: readonly Pattern[] }
  | { readonly kind: "repeat"; readonly part: Pattern; readonly least: number; readonly most: number; readonly lazy: boolean }
  /** Whether the next character is one of a set; none is next where the text ends. */
  | { readonly kind: "ahead"; readonly set: CharacterSet; readonly negative: boolean };

/** More is a mistake, or another program. */
const REPEATED_MOST = 256;
const CASES_MOST = 512;

/** Reads a regular expression as tokenizers write them. Throws what it has that would not be counted as it means. */
export function parsePattern(text: string): Pattern {
  return new Parser(text).parse();
}

class Parser {
  readonly #text: string;
  #at = 0;
  #ignoresCase = false;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): Pattern {
    const pattern = this.#choice();
    if (this.#at < this.#text.length) throw this.#wrong("has a ) without a (");
    return pattern;
  }

  #choice(): Pattern {
    const options = [this.#sequence()];
    while (this.#takes("|")) options.push(this.#sequence());
    const [only] = options;
    return options.length === 1 && only ? only : { kind: "choice", options };
  }

  #sequence(): Pattern {
    const parts: Pattern[] = [];
    while (this.#at < this.#text.length && !this.#sees("|") && !this.#sees(")")) parts.push(this.#repeated(this.#atom()));
    const [only] = parts;
    return parts.length === 1 && only ? only : { kind: "sequence", parts };
  }

  #repeated(part: Pattern): Pattern {
    let repeated = part;
    for (;;) {
      const times = this.#times();
      if (!times) return repeated;
      const lazy = this.#takes("?");
      if (!lazy && this.#takes("+")) throw this.#wrong("has a possessive quantifier, such as ++ or ?+");
      // Matchers differ in when they stop to find nothing.
      if (times.most > 1 && canBeNothing(repeated)) throw this.#wrong("repeats what can be nothing");
      repeated = { kind: "repeat", part: repeated, ...times, lazy };
    }
  }

  #times(): { readonly least: number; readonly most: number } | undefined {
    if (this.#takes("*")) return { least: 0, most: Number.POSITIVE_INFINITY };
    if (this.#takes("+")) return { least: 1, most: Number.POSITIVE_INFINITY };
    if (this.#takes("?")) return { least: 0, most: 1 };
    const [written, least, comma, most] = /^\{(\d+)(,?)(\d*)\}/.exec(this.#text.slice(this.#at, this.#at + 24)) ?? [];
    if (written === undefined) return undefined;
    this.#at += written.length;
    const times = { least: Number(least), most: most ? Number(most) : comma ? Number.POSITIVE_INFINITY : Number(least) };
    const largest = Number.isFinite(times.most) ? times.most : times.least;
    if (largest > REPEATED_MOST || times.least > times.most) throw this.#wrong(`has ${written}`);
    return times;
  }

  #atom(): Pattern {
    if (this.#takes("(")) return this.#group();
    if (this.#takes("[")) return { kind: "character", set: this.#characterClass() };
    if (this.#takes(".")) return { kind: "character", set: complement(setOfRanges([0x0a, 0x0a])) };
    if (this.#sees("^") || this.#sees("$")) throw this.#wrong(`asks where a line or the text begins or ends (${this.#next()})`);
    if (this.#sees("*") || this.#sees("+") || this.#sees("?")) throw this.#wrong(`has a ${this.#next()} with nothing before it`);
    return { kind: "character", set: this.#sees("\\") ? this.#escaped() : this.#letter(this.#next()) };
  }

  #group(): Pattern {
    const ignoresCase = this.#ignoresCase;
    const negative = this.#takes("?!");
    if (negative || this.#takes("?=")) {
      const set = oneCharacter(this.#choice());
      this.#close();
      if (!set) throw this.#wrong("looks ahead by more than one character");
      return { kind: "ahead", set, negative };
    }
    if (this.#takes("?i)")) {
      // Up to the end of the group that it stands in.
      this.#ignoresCase = true;
      return { kind: "sequence", parts: [] };
    }
    if (this.#takes("?i:")) this.#ignoresCase = true;
    else if (!this.#takes("?:") && this.#sees("?")) throw this.#wrong(`has a group (${this.#text.slice(this.#at, this.#at + 3)}…`);
    const inner = this.#choice();
    this.#close();
    this.#ignoresCase = ignoresCase;
    return inner;
  }

  #close(): void {
    if (!this.#takes(")")) throw this.#wrong("has a ( without a )");
  }

  /** `[^\r\n\p{L}&&[a-z]]`, from behind its bracket. */
  #characterClass(): CharacterSet {
    const negative = this.#takes("^");
    let found: CharacterSet | undefined;
    let sets: CharacterSet[] = [];
    for (let isFirst = true; isFirst || !this.#sees("]"); isFirst = false) {
      if (this.#at >= this.#text.length) throw this.#wrong("has a [ without a ]");
      if (this.#takes("&&")) {
        found = found ? intersection(found, union(sets)) : union(sets);
        sets = [];
      } else sets.push(this.#classItem());
    }
    this.#at++;
    const all = found ? intersection(found, union(sets)) : union(sets);
    return negative ? complement(all) : all;
  }

  #classItem(): CharacterSet {
    if (this.#takes("[")) {
      if (this.#sees(":")) throw this.#wrong("has a class such as [:alpha:]");
      return this.#characterClass();
    }
    const first = this.#classCharacter();
    if (typeof first !== "number") return first;
    if (!this.#sees("-") || this.#text[this.#at + 1] === "]") return this.#cases([first, first]);
    this.#at++;
    const last = this.#classCharacter();
    if (typeof last !== "number" || last < first) throw this.#wrong("has a range that ends before it begins");
    return this.#cases([first, last]);
  }

  #classCharacter(): number | CharacterSet {
    if (!this.#sees("\\")) return this.#next().codePointAt(0) ?? 0;
    const code = this.#escapedCharacter();
    return code ?? this.#escaped();
  }

  #letter(letter: string): CharacterSet {
    const code = letter.codePointAt(0) ?? 0;
    return this.#cases([code, code]);
  }

  /** With upper and lower case of each, where case is ignored. */
  #cases([first, last]: readonly [number, number]): CharacterSet {
    const plain = setOfRanges([first, last]);
    if (!this.#ignoresCase) return plain;
    if (last - first > CASES_MOST) throw this.#wrong("ignores the case of very many characters");
    return setOfExpression(`[\\u{${first.toString(16)}}-\\u{${last.toString(16)}}]`, "i");
  }

  /** `\n`, `\u00e9`, `\.`; nothing where the escape stands for more than one character. */
  #escapedCharacter(): number | undefined {
    const rest = this.#text.slice(this.#at, this.#at + 12);
    const [written, four, braced] = /^\\(?:[ux]([0-9a-fA-F]{4}|(?<=x)[0-9a-fA-F]{2})|[ux]\{([0-9a-fA-F]{1,6})\})/.exec(rest) ?? [];
    if (written !== undefined) {
      this.#at += written.length;
      return Number.parseInt(four ?? braced ?? "", 16);
    }
    const letter = String.fromCodePoint(rest.codePointAt(1) ?? 0);
    const code = CONTROLS[letter] ?? (/[\p{L}\p{N}\0]/u.test(letter) ? undefined : letter.codePointAt(0));
    if (code !== undefined) this.#at += 1 + letter.length;
    return code;
  }

  #escaped(): CharacterSet {
    const code = this.#escapedCharacter();
    if (code !== undefined) return this.#cases([code, code]);
    const [written, not, braced, short] = /^\\([pP])(?:\{(\^?[\w =]{1,60})\}|(\w))/.exec(this.#text.slice(this.#at, this.#at + 70)) ?? [];
    if (written !== undefined) {
      this.#at += written.length;
      const name = braced ?? short ?? "";
      const set = this.#property(name.replace(/^\^/, ""));
      return (not === "P") !== name.startsWith("^") ? complement(set) : set;
    }
    const letter = this.#text[this.#at + 1] ?? "";
    const properties = CLASSES[letter.toLowerCase()];
    if (!properties) throw this.#wrong(`has \\${letter}`);
    this.#at += 2;
    const set = union(properties.map(setOfProperty));
    return letter === letter.toLowerCase() ? set : complement(set);
  }

  #property(name: string): CharacterSet {
    for (const property of [name, `Script=${name}`]) {
      try {
        return setOfProperty(property);
      } catch {
        // Not the name of this kind of property.
      }
    }
    throw this.#wrong(`has \\p{${name}}, which no character has`);
  }

  #sees(text: string): boolean {
    return this.#text.startsWith(text, this.#at);
  }

  #takes(text: string): boolean {
    if (!this.#sees(text)) return false;
    this.#at += text.length;
    return true;
  }

  #next(): string {
    const letter = String.fromCodePoint(this.#text.codePointAt(this.#at) ?? 0);
    this.#at += letter.length;
    return letter;
  }

  #wrong(what: string): Uncountable {
    return new Uncountable(`its pattern ${shown(this.#text)} ${what}, which is not counted`);
  }
}

const CONTROLS: Readonly<Record<string, number>> = { n: 0x0a, r: 0x0d, t: 0x09, f: 0x0c, v: 0x0b };
const CLASSES: Readonly<Record<string, readonly string[]>> = { s: ["White_Space"], d: ["Nd"], w: ["L", "M", "Nd", "Pc"] };

function canBeNothing(pattern: Pattern): boolean {
  switch (pattern.kind) {
    case "character":
      return false;
    case "ahead":
      return true;
    case "sequence":
      return pattern.parts.every(canBeNothing);
    case "choice":
      return pattern.options.some(canBeNothing);
    case "repeat":
      return pattern.least === 0 || canBeNothing(pattern.part);
  }
}

function oneCharacter(pattern: Pattern): CharacterSet | undefined {
  if (pattern.kind === "character") return pattern.set;
  if (pattern.kind !== "choice") return undefined;
  const sets = pattern.options.map(oneCharacter);
  return sets.every((set) => set !== undefined) ? union(sets) : undefined;
}

function shown(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
