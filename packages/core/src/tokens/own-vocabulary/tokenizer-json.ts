// biome-ignore-all lint/style/noNonNullAssertion: indices are in range by construction.
import type { Form } from "../counter.ts";
import { compilePattern } from "./automaton.ts";
import { encoderOf, trieOf } from "./merges.ts";
import { type AddedToken, type Blanks, type Cuts, JOINT_BITS, jointOf, type VocabularyParts } from "./parts.ts";
import { PATTERNS } from "./tiktoken-file.ts";
import { Uncountable } from "./uncountable.ts";

// The parts of a tokenizer.json of Hugging Face that say how text is cut and merged, as far as they are read here.

interface TokenizerJson {
  readonly normalizer?: Component | null;
  readonly pre_tokenizer?: Component | null;
  readonly model?: Model;
  readonly added_tokens?: readonly AddedTokenJson[];
}

interface Component {
  readonly type: string;
  readonly [field: string]: unknown;
}

interface Model {
  readonly type?: string;
  readonly vocab?: Readonly<Record<string, number>>;
  readonly merges?: readonly (string | readonly [string, string])[];
  readonly dropout?: number | null;
  readonly continuing_subword_prefix?: string | null;
  readonly end_of_word_suffix?: string | null;
  readonly byte_fallback?: boolean;
  readonly ignore_merges?: boolean;
}

interface AddedTokenJson {
  readonly content: string;
  readonly single_word?: boolean;
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
  readonly normalized?: boolean;
}

const MARK = "▁";
/** What is cut before bytes are written as characters, where the file does not say it: the pattern of GPT-2. */
const BYTE_LEVEL = PATTERNS.gpt2 ?? "";
const FORMS: readonly string[] = ["NFC", "NFD", "NFKC", "NFKD"] satisfies Form[];
const NO_BLANKS: Blanks = { marked: false, before: "nothing", always: false };

/** Reads a tokenizer.json. Throws what of it would not be counted exactly. */
export function readTokenizerJson(text: string): VocabularyParts {
  let json: TokenizerJson;
  try {
    json = JSON.parse(text) as TokenizerJson;
  } catch (cause) {
    throw new Uncountable(`it is no JSON (${(cause as Error).message})`);
  }
  const model = checkedModel(json?.model);
  const normalizers = flattened(json.normalizer, "normalizers");
  const preTokenizers = flattened(json.pre_tokenizer, "pretokenizers");
  const added = addedTokens(json.added_tokens ?? []);
  const read = preTokenizers.some(({ type }) => type === "ByteLevel") ? ofBytes : ofCharacters;
  const parts = read(model, { normalizers, preTokenizers, added });
  return added.length === 0 ? parts : { ...parts, addedTrie: trieOf(added.map(({ text: one }) => one)) };
}

interface Around {
  readonly normalizers: readonly Component[];
  readonly preTokenizers: readonly Component[];
  readonly added: readonly (AddedToken & { readonly isNormalized: boolean })[];
}

type CheckedModel = Model & Required<Pick<Model, "vocab" | "merges">>;

function checkedModel(model: Model | undefined): CheckedModel {
  const { type, vocab, merges } = model ?? {};
  if (model === undefined || typeof model !== "object")
    throw new Uncountable("it has no model, so it is no tokenizer.json of Hugging Face");
  if (type !== undefined && type !== "BPE") throw new Uncountable(`its model is ${type}, and only BPE is counted exactly`);
  if (!vocab || !Array.isArray(merges) || Array.isArray(vocab))
    throw new Uncountable("its model has no vocab with merges, so it is no BPE");
  if (model.dropout) throw new Uncountable("its model leaves out merges by chance (dropout)");
  if (model.continuing_subword_prefix) throw new Uncountable("its model marks parts of words (continuing_subword_prefix)");
  if (model.end_of_word_suffix) throw new Uncountable("its model marks ends of words (end_of_word_suffix)");
  return { ...model, vocab, merges };
}

/** The components of a sequence, however they are nested. */
function flattened(component: Component | null | undefined, inner: string): readonly Component[] {
  if (!component) return [];
  if (component.type !== "Sequence") return [component];
  return (component[inner] as readonly Component[]).flatMap((one) => flattened(one, inner));
}

function addedTokens(added: readonly AddedTokenJson[]): Around["added"] {
  return added
    .filter(({ content }) => content !== "")
    .map(({ content, single_word, lstrip = false, rstrip = false, normalized = false }) => {
      if (single_word) throw new Uncountable(`its added token ${JSON.stringify(content)} is one between words only (single_word)`);
      return { text: content, takesBefore: lstrip, takesAfter: rstrip, isNormalized: normalized };
    });
}

/** Of bytes that are written as characters. */
function ofBytes(model: CheckedModel, { normalizers, preTokenizers, added }: Around): VocabularyParts {
  const [form, ...others] = normalizers.map(formOf);
  if (others.length > 0) throw new Uncountable(`it has several normalizers (${normalizers.map(({ type }) => type).join(", ")})`);
  const byteOf = byteAlphabet();
  const bytes = (token: string): string | undefined => {
    let written = "";
    for (const character of token) {
      const byte = byteOf.get(character);
      if (byte === undefined) return undefined;
      written += byte;
    }
    return written;
  };
  const atoms = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));
  const { tokens, numbers } = numbered(model, bytes, atoms);
  const missing = atoms.length - new Set([...numbers.values()].filter((number) => number < atoms.length)).size;
  if (missing > 0) throw new Uncountable(`its model has no token for ${missing} of the 256 bytes, so that some text has no tokens`);
  const automata = preTokenizers.flatMap(cutsOf).map((pattern) => compilePattern(pattern));
  for (const { behavior, type } of preTokenizers)
    if (type === "Split" && behavior === "Removed" && !automata.every(({ findsAll }) => findsAll))
      throw new Uncountable("its pre-tokenizer leaves out what its pattern does not find (Split, Removed)");
  const endsWords = automata.every((one) => one.endsWords) && (automata.at(-1)?.findsBlanks ?? false);
  if (form && !endsWords) throw new Uncountable(`its normalizer is ${form}, and its pattern goes on from a word over a blank`);
  const split = form && added.find(({ text }) => /[\p{L}\p{N}] /u.test(text));
  if (split) throw new Uncountable(`its normalizer is ${form}, and its added token ${JSON.stringify(split.text)} has a blank after a word`);
  const [first] = preTokenizers;
  if (preTokenizers.slice(1).some(({ add_prefix_space }) => add_prefix_space === true))
    throw new Uncountable("its pre-tokenizer puts blanks before pieces of a text (add_prefix_space)");
  const encoder = encoderOf({
    tokens,
    atoms: atoms.length,
    merges: mergesOf(model.merges, numbers),
    atomsOf: (token) => Array.from(token, (byte) => byte.charCodeAt(0)),
    wholes: [...(model.ignore_merges ? tokens : []), ...added.map(({ text }) => Buffer.from(text).toString("latin1"))],
  });
  const blanks: Blanks = first?.add_prefix_space === true ? { marked: false, before: "segments", always: false } : NO_BLANKS;
  return { tokens: Object.keys(model.vocab).length, encoder, cuts: { kind: "patterns", automata }, added, blanks, form, endsWords };
}

function formOf({ type }: Component): Form {
  if (FORMS.includes(type)) return type as Form;
  throw new Uncountable(`its normalizer is ${type}, and of those that change text only ${FORMS.join(", ")} are counted exactly`);
}

/** The patterns by which a pre-tokenizer cuts. */
function cutsOf({ type, ...fields }: Component): readonly string[] {
  switch (type) {
    case "ByteLevel":
      return fields.use_regex === false ? [] : [BYTE_LEVEL];
    case "Digits":
      return [fields.individual_digits === true ? "\\p{N}" : "\\p{N}+"];
    case "Punctuation":
      if (fields.behavior === "Isolated" || fields.behavior === undefined) return [PUNCTUATION];
      if (fields.behavior === "Contiguous") return [`${PUNCTUATION}+`];
      break;
    case "Split": {
      const { Regex: regex, String: literal } = (fields.pattern ?? {}) as { readonly Regex?: string; readonly String?: string };
      const pattern = regex ?? literal?.replace(/[\\^$.*+?()[\]{}|/&-]/g, "\\$&");
      const isKept = fields.behavior === "Isolated" || (fields.behavior === "Removed" && fields.invert === true);
      if (pattern && isKept) return [pattern];
      throw new Uncountable(`its pre-tokenizer is Split with behavior ${fields.behavior}, and only Isolated is counted exactly`);
    }
  }
  throw new Uncountable(`its pre-tokenizer has ${type}, which is not counted exactly`);
}

const PUNCTUATION = "[!-/:-@\\[-`{-~\\p{P}]";

/** Of characters, with single bytes for those that it does not have. */
function ofCharacters(model: CheckedModel, { normalizers, preTokenizers, added }: Around): VocabularyParts {
  const { blanks, splitsBlanks } = markedBlanks(normalizers, preTokenizers);
  const lacking = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  if (!model.byte_fallback || lacking.some((token) => model.vocab[token] === undefined))
    throw new Uncountable(
      "its model has no tokens for single bytes (byte_fallback, <0x00> to <0xFF>), so that what it does not know is lost",
    );
  if (model.ignore_merges) throw new Uncountable("its model takes whole texts for tokens (ignore_merges), and cuts none into words before");
  const changed = added.find(({ text, isNormalized }) => text.includes(" ") || (isNormalized && normalizers.length > 0));
  if (changed) throw new Uncountable(`its added token ${JSON.stringify(changed.text)} is found in a text whose blanks are marked already`);
  const bytes = (token: string) => (token.includes(" ") ? undefined : Buffer.from(token.replaceAll(MARK, " ")).toString("latin1"));
  const atoms = [...new Set(Object.keys(model.vocab).filter(isOneCharacter).map(bytes))].filter((atom) => atom !== undefined);
  const atomNumbers = new Map(atoms.map((atom, number) => [atom, number]));
  const { tokens, numbers } = numbered(model, bytes, atoms);
  const merges = [...mergesOf(model.merges, numbers)];
  const encoder = encoderOf({
    tokens,
    atoms: atoms.length,
    merges,
    // A token that has a character which is none is made by no merge.
    atomsOf: (token) => charactersOf(token).map((character) => atomNumbers.get(character) ?? -1),
    wholes: added.map(({ text }) => Buffer.from(text).toString("latin1")),
  });
  const cuts = jointsOf(tokens, atoms.length, merges, splitsBlanks);
  return { tokens: Object.keys(model.vocab).length, encoder, cuts, added, blanks, endsWords: !cuts.goesOn };
}

/** How blanks are marked, which is all that may be done to a text of characters. */
function markedBlanks(normalizers: readonly Component[], preTokenizers: readonly Component[]) {
  let marked = false;
  let splitsBlanks = false;
  let before: Blanks["before"] = "nothing";
  let always = false;
  for (const { type, prepend, pattern, content } of normalizers) {
    if (type === "Prepend" && prepend === MARK) {
      before = "segments";
      always = true;
    } else if (type === "Replace" && (pattern as { readonly String?: string } | undefined)?.String === " " && content === MARK)
      marked = true;
    else throw new Uncountable(`its normalizer has ${type}, and beside byte-level BPE only marks for blanks (${MARK}) are counted exactly`);
  }
  for (const component of preTokenizers) {
    const { type, prepend_scheme, add_prefix_space, split, replacement } = component;
    if (type === "Metaspace" && (replacement ?? MARK) === MARK) {
      const scheme = prepend_scheme ?? (add_prefix_space === false ? "never" : "always");
      if (before === "nothing" && scheme !== "never") before = scheme === "first" ? "text" : "segments";
      marked = true;
      splitsBlanks = split !== false;
    } else if (type === "Split" && marked && (component.pattern as { readonly String?: string } | undefined)?.String === " ") {
      // No blank is left by now.
    } else throw new Uncountable(`its pre-tokenizer has ${type}, and without ByteLevel only Metaspace is counted exactly`);
  }
  if (!marked) throw new Uncountable(`it is neither byte-level BPE nor are its blanks marked (${MARK})`);
  return { blanks: { marked, before, always }, splitsBlanks };
}

/** Which characters are tokens, and which stand side by side in one that merges make. */
function jointsOf(tokens: readonly string[], atoms: number, merges: Iterable<Merge>, splitsBlanks: boolean) {
  const known = new Uint8Array(0x110000 / 8);
  const joints = new Uint8Array((1 << JOINT_BITS) / 8);
  let goesOn = false;
  const codes = tokens.map((token) => Array.from(Buffer.from(token, "latin1").toString("utf8"), (character) => character.codePointAt(0)!));
  for (const [code = 0] of codes.slice(0, atoms)) known[code >> 3]! |= 1 << (code & 7);
  for (const [left, right] of merges) {
    const before = codes[left]!.at(-1)!;
    const after = codes[right]![0]!;
    const at = jointOf(before, after);
    joints[at >> 3]! |= 1 << (at & 7);
    if (after === 0x20 && !splitsBlanks && /[\p{L}\p{N}]/u.test(String.fromCodePoint(before))) goesOn = true;
  }
  return { kind: "joints", known, joints, splitsBlanks, goesOn } satisfies Cuts & { readonly goesOn: boolean };
}

/** All tokens in bytes, the atoms first, and their numbers as they are written. Those that are of no bytes are never found in a text. */
function numbered({ vocab }: CheckedModel, bytes: (token: string) => string | undefined, atoms: readonly string[]) {
  const tokens = [...atoms];
  const atomNumbers = new Map(atoms.map((atom, number) => [atom, number]));
  const numbers = new Map<string, number>();
  for (const written of Object.keys(vocab)) {
    const token = bytes(written);
    if (token === undefined || token === "") continue;
    const atom = atomNumbers.get(token);
    numbers.set(written, atom ?? tokens.length);
    if (atom === undefined) tokens.push(token);
  }
  return { tokens, numbers };
}

type Merge = readonly [left: number, right: number, product: number, rank: number];

function* mergesOf(merges: CheckedModel["merges"], numbers: ReadonlyMap<string, number>): Generator<Merge> {
  for (const [rank, merge] of merges.entries()) {
    const [first, second, ...more] = typeof merge === "string" ? merge.split(" ") : merge;
    if (first === undefined || second === undefined || more.length > 0)
      throw new Uncountable(`its merge ${JSON.stringify(merge)} is not one of two tokens`);
    const [left, right, product] = [numbers.get(first), numbers.get(second), numbers.get(first + second)];
    if (product === undefined || left === undefined || right === undefined)
      throw new Uncountable(`its merge ${JSON.stringify(merge)} is one of tokens, or to a token, that it does not have`);
    yield [left, right, product, rank];
  }
}

function isOneCharacter(token: string): boolean {
  return token !== "" && token.length <= 2 && String.fromCodePoint(token.codePointAt(0)!) === token;
}

function charactersOf(token: string): readonly string[] {
  const characters: string[] = [];
  for (let at = 0; at < token.length; ) {
    const first = token.charCodeAt(at);
    const width = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    characters.push(token.slice(at, at + width));
    at += width;
  }
  return characters;
}

/** The printable characters that byte-level vocabularies write instead of bytes. */
function byteAlphabet(): ReadonlyMap<string, string> {
  const bytes = new Map<string, string>();
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    bytes.set(String.fromCharCode(printable ? byte : next++), String.fromCharCode(byte));
  }
  return bytes;
}
