import { PurserError } from "@purser/core";
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  type Scalar,
  stringify,
  type YAMLMap,
  type YAMLSeq,
} from "yaml";
import { keyText, parsedText, protectedText, unprotected } from "./source.ts";

/** What a text of YAML says, with `${NAME}` as it stands there. */
export type Written = string | number | boolean | null | readonly Written[] | WrittenFields;
export type WrittenFields = { readonly [field: string]: Written };

/** What a text says. It is one without errors. */
export function written(text: string): Written {
  const document = parsedText(text);
  return writtenBy(document.contents, document);
}

/** Whether two values say the same: a list of one is its item, as it is wherever a list can stand in the file. */
export function isSame(a: Written | undefined, b: Written | undefined): boolean {
  if (a === b) return true;
  if (isList(a) && isList(b)) return a.length === b.length && a.every((item, i) => isSame(item, b[i]));
  if (isList(a)) return a.length === 1 && isSame(a[0], b);
  if (isList(b)) return b.length === 1 && isSame(a, b[0]);
  if (!isFields(a) || !isFields(b)) return a !== null && b !== null && !isFields(a) && !isFields(b) && String(a) === String(b);
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && isSame(a[name], b[name]));
}

/**
 * The text that says `wanted`, changed only where it says anything else: every other character stays, so comments do. What stands above an
 * entry that goes, without an empty line between them, goes too, or it would seem to be about the next one.
 */
export function rewritten(text: string, wanted: WrittenFields): string {
  const document = parsedText(text);
  const rewriting = new Rewriting(protectedText(text), document);
  rewriting.whole(wanted);
  const next = unprotected(rewriting.text());
  if (!isSame(written(next), wanted)) throw byHand();
  return next;
}

function writtenBy(node: unknown, document: Document): Written {
  if (isAlias(node)) return writtenBy(node.resolve(document), document);
  if (isMap(node)) return Object.fromEntries(node.items.map(({ key, value }) => [keyText(key), writtenBy(value, document)]));
  if (isSeq(node)) return node.items.map((item) => writtenBy(item, document));
  if (!isScalar(node)) return null;
  return typeof node.value === "string" ? unprotected(node.value) : (node.value as Written);
}

/** A part of a text, and what stands there instead. */
interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** Something that is one of several: an item of a list, or a field with its value. */
interface Entry {
  /** Where it begins: its dash, its name, or itself between brackets. */
  readonly start: number;
  readonly end: number;
}

/** How to write an entry, of the kind that the collection has. */
type Render = (indent: number, isFlow: boolean) => string;

class Rewriting {
  readonly #text: string;
  readonly #document: Document;
  readonly #newline: string;
  readonly #edits: Edit[] = [];

  constructor(text: string, document: Document) {
    this.#text = text;
    this.#document = document;
    this.#newline = /\r?\n/.exec(text)?.[0] ?? "\n";
  }

  /** What becomes of the text. */
  text(): string {
    let text = "";
    let at = 0;
    for (const edit of this.#edits.toSorted((a, b) => a.start - b.start || a.end - b.end)) {
      if (edit.start < at) throw byHand();
      text += this.#text.slice(at, edit.start) + edit.text;
      at = edit.end;
    }
    return text + this.#text.slice(at);
  }

  whole(wanted: WrittenFields): void {
    const root = this.#document.contents;
    if (isMap(root) && root.items.length > 0) this.#fields(root, wanted, root.flow === true, refuse);
    else this.#begin(root, wanted);
  }

  /** A file may have nothing but comments in it. */
  #begin(root: Node | null, wanted: WrittenFields): void {
    if (isMap(root)) this.#edit(root.range?.[0] ?? 0, this.#end(root), "");
    const isOpen = this.#text !== "" && !this.#text.endsWith("\n");
    this.#edit(this.#text.length, this.#text.length, `${isOpen ? this.#newline : ""}${this.#block(wanted, 0)}${this.#newline}`);
  }

  /** `rewrite` writes all of it anew, where a part of it cannot be changed alone. */
  #value(node: unknown, wanted: Written, isFlow: boolean, rewrite: () => void): void {
    if (isSame(writtenBy(node, this.#document), wanted)) return;
    const single = isList(wanted) && wanted.length === 1 ? wanted[0] : wanted;
    const isPlain = isScalar(node) && !String(node.type).startsWith("BLOCK") && !isList(single) && !isFields(single);
    if (isAlias(node)) throw byHand();
    else if (isMap(node) && isFields(wanted)) this.#fields(node, wanted, isFlow || node.flow === true, rewrite);
    else if (isSeq(node) && isList(wanted)) this.#items(node, wanted, isFlow || node.flow === true, rewrite);
    else if (isPlain) this.#edit(node.range?.[0] ?? 0, node.range?.[1] ?? 0, scalarText(single as Written, isFlow, node.type));
    else rewrite();
  }

  #fields(map: YAMLMap, wanted: WrittenFields, isFlow: boolean, rewrite: () => void): void {
    const isKept = ({ key }: Pair) => Object.hasOwn(wanted, keyText(key));
    if (!map.items.some(isKept)) {
      rewrite();
      return;
    }
    const entries = map.items.map(({ key, value }) => ({ start: startOf(key), end: this.#end(value ?? key) }));
    const indent = this.#column(entries[0]?.start ?? 0);
    for (const [i, pair] of map.items.entries()) {
      const name = keyText(pair.key);
      const { start, end } = entries[i] as Entry;
      if (!isKept(pair)) continue;
      const value = wanted[name] as Written;
      this.#value(pair.value, value, isFlow, () =>
        // The name stays as it is written.
        this.#edit(start, end, this.#field(this.#text.slice(start, this.#end(pair.key)), value, indent, isFlow)),
      );
    }
    const isGone = map.items.map((pair) => !isKept(pair));
    this.#remove(entries, isGone, isFlow);
    const known = new Set(map.items.map(({ key }) => keyText(key)));
    const added = Object.entries(wanted).filter(([name]) => !known.has(name));
    const renders = added.map(
      ([name, value]): Render =>
        (column, flows) =>
          this.#field(scalarText(name, true), value, column, flows),
    );
    this.#insert(entries, isGone.lastIndexOf(false), renders, isFlow);
  }

  #items(list: YAMLSeq, wanted: readonly Written[], isFlow: boolean, rewrite: () => void): void {
    const now = list.items.map((item) => writtenBy(item, this.#document));
    const isEqual = (at: number, other: number) => isSame(now[at], wanted[other]);
    const shorter = Math.min(now.length, wanted.length);
    let before = 0;
    while (before < shorter && isEqual(before, before)) before++;
    let after = 0;
    while (after < shorter - before && isEqual(now.length - 1 - after, wanted.length - 1 - after)) after++;
    const changed = shorter - before - after;
    // A list that was empty, or will be, is written anew.
    if (shorter === 0) {
      rewrite();
      return;
    }
    const entries = list.items.map((item, i) => ({ start: isFlow ? startOf(item) : dashOf(list, i), end: this.#end(item) }));
    for (let i = before; i < before + changed; i++) {
      const item = list.items[i];
      const [start, value] = [startOf(item), wanted[i] as Written];
      const anew = () => this.#edit(start, this.#end(item), isFlow ? flowText(value) : this.#block(value, this.#column(start)));
      this.#value(item, value, isFlow, anew);
    }
    const isGone = now.map((_, i) => i >= before + changed && i < now.length - after);
    this.#remove(entries, isGone, isFlow);
    const added = wanted.slice(before + changed, wanted.length - after);
    const renders = added.map(
      (value): Render =>
        (column, flows) =>
          flows ? flowText(value) : `- ${this.#block(value, column + 2)}`,
    );
    this.#insert(entries, before + changed - 1, renders, isFlow);
  }

  #remove(entries: readonly Entry[], isGone: readonly boolean[], isFlow: boolean): void {
    for (const [i, { start, end }] of entries.entries()) {
      if (isGone[i] !== true) continue;
      const [last, next] = [entries[i - 1], entries[i + 1]];
      const isAfterKept = isGone.slice(0, i).includes(false);
      if (isFlow) this.#edit(isAfterKept && last ? last.end : start, isAfterKept || !next ? end : next.start, "");
      // What shares its line with a dash goes up to the next, which comes into its place.
      else if (!this.#isFirstOnLine(start)) this.#edit(start, next?.start ?? end, "");
      else {
        const from = i === 0 ? this.#lineStart(start) : this.#startWithComments(start);
        const to = this.#nextLine(end);
        // Of the empty lines around it one goes too.
        this.#edit(from, this.#isEmptyAbove(from) && this.#isEmptyAbove(this.#nextLine(to)) ? this.#nextLine(to) : to, "");
      }
    }
  }

  /** Writes entries behind one of those that are there, or before them all. */
  #insert(entries: readonly Entry[], behind: number, renders: readonly Render[], isFlow: boolean): void {
    const [entry, first] = [entries[behind], entries[0]];
    if (renders.length === 0 || !first) return;
    const indent = this.#column(first.start);
    const texts = renders.map((render) => render(indent, isFlow));
    const margin = this.#newline + " ".repeat(indent);
    if (!entry) {
      this.#edit(first.start, first.start, texts.map((text) => text + (isFlow ? ", " : margin)).join(""));
    } else if (isFlow) {
      this.#edit(entry.end, entry.end, texts.map((text) => `, ${text}`).join(""));
    } else {
      // Entries that stand apart stay so.
      const isApart = behind > 0 && this.#isEmptyAbove(this.#startWithComments(entry.start));
      const at = this.#lineEnd(entry.end);
      this.#edit(at, at, texts.map((text) => (isApart ? this.#newline : "") + margin + text).join(""));
    }
  }

  #edit(start: number, end: number, text: string): void {
    this.#edits.push({ start, end, text });
  }

  #field(key: string, value: Written, indent: number, isFlow: boolean): string {
    if (isFlow || isShort(value)) return `${key}: ${flowOrPlain(value, isFlow)}`;
    const margin = this.#newline + " ".repeat(indent + 2);
    return `${key}:${margin}${this.#block(value, indent + 2)}`;
  }

  /** A value over several lines, the first of which is begun. */
  #block(value: Written, indent: number): string {
    if (isShort(value) && !isFields(value)) return flowOrPlain(value, false);
    const margin = this.#newline + " ".repeat(indent);
    if (isList(value)) return value.map((item) => `- ${this.#block(item, indent + 2)}`).join(margin);
    if (!isFields(value)) return scalarText(value, false);
    const fields = Object.entries(value).map(([name, one]) => this.#field(scalarText(name, true), one, indent, false));
    return fields.length === 0 ? "{}" : fields.join(margin);
  }

  /** Where what a value says ends, without the comments and empty lines behind it. */
  #end(node: unknown): number {
    if ((isMap(node) || isSeq(node)) && node.flow !== true && node.items.length > 0) {
      const last = node.items.at(-1);
      return this.#end(isMap(node) ? ((last as Pair).value ?? (last as Pair).key) : last);
    }
    let end = (node as Node | null)?.range?.[1] ?? 0;
    while (end > 0 && /\s/.test(this.#text[end - 1] ?? "")) end--;
    return end;
  }

  #lineStart(at: number): number {
    return this.#text.lastIndexOf("\n", at - 1) + 1;
  }

  #lineEnd(at: number): number {
    const next = this.#text.indexOf("\n", at);
    if (next < 0) return this.#text.length;
    return this.#text[next - 1] === "\r" ? next - 1 : next;
  }

  #nextLine(at: number): number {
    const next = this.#text.indexOf("\n", at);
    return next < 0 ? this.#text.length : next + 1;
  }

  #column(at: number): number {
    return at - this.#lineStart(at);
  }

  #isFirstOnLine(at: number): boolean {
    return this.#text.slice(this.#lineStart(at), at).trim() === "";
  }

  /** The start of the line, or of the first of the comments that stand directly above it, as far to the right. */
  #startWithComments(at: number): number {
    const column = this.#column(at);
    let start = this.#lineStart(at);
    while (start > 0) {
      const above = this.#lineStart(start - 1);
      if (!this.#text.startsWith(`${" ".repeat(column)}#`, above)) break;
      start = above;
    }
    return start;
  }

  /** Whether the line that ends where another starts is empty. */
  #isEmptyAbove(start: number): boolean {
    return start > 0 && this.#text.slice(this.#lineStart(start - 1), start).trim() === "";
  }
}

function refuse(): never {
  throw byHand();
}

/** By an anchor a value is that of others too, by an alias it stands elsewhere. */
function byHand(): PurserError {
  return new PurserError("config_fixed", "The file has this written in a way that cannot be changed safely here. Change it by hand.");
}

function startOf(node: unknown): number {
  return (node as Node | null)?.range?.[0] ?? 0;
}

function dashOf(list: YAMLSeq, at: number): number {
  const token = list.srcToken;
  const parts = token?.type === "block-seq" ? token.items[at]?.start : undefined;
  return parts?.find(({ type }) => type === "seq-item-ind")?.offset ?? startOf(list.items[at]);
}

const SHORT_MOST = 90;

/** What is written on one line: a text, a list of few, and a field of words. */
function isShort(value: Written): boolean {
  const isPlain = (one: Written) => !isList(one) && !isFields(one);
  if (isList(value)) return value.every(isPlain) && flowText(value).length <= SHORT_MOST;
  if (!isFields(value)) return true;
  const isWord = (one: Written) => isPlain(one) && !/\s/.test(String(one));
  const values = Object.values(value);
  return (
    values.length <= 1 && values.every((one) => isWord(one) || (isList(one) && one.every(isWord))) && flowText(value).length <= SHORT_MOST
  );
}

function flowOrPlain(value: Written, isFlow: boolean): string {
  return isList(value) || isFields(value) ? flowText(value) : scalarText(value, isFlow);
}

function flowText(value: Written): string {
  if (isList(value)) return `[${value.map(flowText).join(", ")}]`;
  if (!isFields(value)) return scalarText(value, true);
  const fields = Object.entries(value).map(([name, one]) => `${scalarText(name, true)}: ${flowText(one)}`);
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
}

/** One value, in the quotes that stand there where they can. */
function scalarText(value: Written, isFlow: boolean, type?: Scalar["type"]): string {
  if (typeof value !== "string") return String(value);
  const text = protectedText(value);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  if (type === "QUOTE_DOUBLE" || /[\x00-\x1f\x7f-\x9f\u2028\u2029]/.test(text)) return JSON.stringify(text);
  if (type === "QUOTE_SINGLE") return `'${text.replaceAll("'", "''")}'`;
  const list = stringify([text], { lineWidth: 0, flowCollectionPadding: false, collectionStyle: isFlow ? "flow" : "block" }).trim();
  return isFlow ? list.slice(1, -1) : list.slice(2);
}

function isList(value: Written | undefined): value is readonly Written[] {
  return Array.isArray(value);
}

function isFields(value: Written | undefined): value is WrittenFields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
