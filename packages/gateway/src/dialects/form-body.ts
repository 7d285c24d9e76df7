import { hash } from "node:crypto";
import { invalid } from "./body-fields.ts";
import { type JsonBody, readJsonBody } from "./json-body.ts";

/** One field or file of a form, by where its content stands in the bytes. */
export interface FormPart {
  readonly name: string;
  /** The name of the file; none where it is a field. */
  readonly fileName: string | undefined;
  readonly start: number;
  readonly end: number;
}

/** The body of a request as a form: `multipart/form-data` (RFC 7578). */
export interface FormBody {
  readonly bytes: Buffer;
  readonly contentType: string;
  readonly parts: readonly FormPart[];
}

const BOUNDARY = /^multipart\/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s;",]{1,70}))\s*(?:;.*)?$/i;
const DISPOSITION = /^form-data((?:\s*;\s*[\w-]+\*?=(?:"(?:[^"\\\r\n]|\\.)*"|[^\s;"]+))*)\s*$/i;
const PARAMETER = /;\s*([\w-]+\*?)=(?:"((?:[^"\\\r\n]|\\.)*)"|([^\s;"]+))/g;
const PARTS_MOST = 1_000;
const HEADERS_MOST = 4_096;

/**
 * Reads a form strictly: what two readers could take for two different forms is refused, since the provider is one of them. Throws
 * `body_invalid` with what is wrong.
 */
export function readForm(bytes: Buffer, contentType: string | undefined): FormBody {
  const [, quoted, plain] = BOUNDARY.exec(contentType ?? "") ?? [];
  const boundary = quoted ?? plain;
  if (boundary === undefined) throw invalid("This route takes a form: send `multipart/form-data` with its boundary.");
  const delimiter = Buffer.from(`\r\n--${boundary}`, "latin1");
  if (!bytes.subarray(0, delimiter.length - 2).equals(delimiter.subarray(2))) throw wrongForm("it does not begin with its boundary");
  const parts: FormPart[] = [];
  let at = delimiter.length - 2;
  for (;;) {
    const next = bytes.toString("latin1", at, at + 2);
    if (next === "--") break;
    if (next !== "\r\n") throw wrongForm("its boundary stands inside of a part");
    const headersEnd = bytes.indexOf("\r\n\r\n", at);
    if (headersEnd < 0 || headersEnd - at > HEADERS_MOST) throw wrongForm("a part has no headers, or too many");
    const start = headersEnd + 4;
    const end = bytes.indexOf(delimiter, start);
    if (end < 0) throw wrongForm("its last part has no end");
    parts.push({ ...readHeaders(bytes.toString("utf8", at + 2, headersEnd)), start, end });
    if (parts.length > PARTS_MOST) throw wrongForm(`it has more than ${PARTS_MOST} parts`);
    at = end + delimiter.length;
  }
  if (bytes.toString("latin1", at + 2).trim() !== "") throw wrongForm("something stands behind its end");
  return { bytes, contentType: contentType ?? "", parts };
}

/** The only field or file of a name; none where there is none. Two of them could be read as either. */
export function formPart({ parts }: FormBody, name: string): FormPart | undefined {
  const named = parts.filter((part) => part.name === name);
  if (named.length > 1) throw invalid(`The form has "${name}" twice. Send it once.`);
  return named[0];
}

/** What the fields of a format's forms are: in a form all of them are texts. */
export interface FormFields {
  readonly numbers: readonly string[];
  readonly truths: readonly string[];
  /** What can be there several times, also as `name[]`. */
  readonly lists: readonly string[];
}

/** The body of a call, as dialects read it: a JSON object, or a form as the one that says the same. */
export function readCallBody(
  { form }: { readonly form?: FormFields | undefined },
  bytes: Buffer,
  contentType: string | undefined,
): JsonBody {
  return form ? formAsJson(readForm(bytes, contentType), form) : readJsonBody(bytes);
}

/** A form as a JSON object. Of a file it has the name, the size and a digest, by which two calls are told apart. */
function formAsJson(form: FormBody, fields: FormFields): JsonBody {
  const members = new Map<string, unknown>();
  for (const part of form.parts) {
    const isNamedAsList = part.name.endsWith("[]");
    const name = isNamedAsList ? part.name.slice(0, -2) : part.name;
    const isList = fields.lists.includes(name);
    if (isNamedAsList && !isList) throw invalid(`The form has "${part.name}", which is no list here. Send "${name}".`);
    const value = part.fileName === undefined ? fieldValue(form, part, name, fields) : fileValue(form, part);
    const before = members.get(name);
    if (before !== undefined && !isList) throw invalid(`The form has "${name}" twice. Send it once.`);
    members.set(name, isList ? [...((before as readonly unknown[] | undefined) ?? []), value] : value);
  }
  return { ...readJsonBody(Buffer.from(JSON.stringify(Object.fromEntries(members)))), form };
}

/** What is no number or truth stays a text, and is refused by whoever reads it. */
function fieldValue({ bytes }: FormBody, { start, end }: FormPart, name: string, { numbers, truths }: FormFields): unknown {
  const text = bytes.toString("utf8", start, end);
  if (numbers.includes(name) && /^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  if (truths.includes(name) && (text === "true" || text === "false")) return text === "true";
  return text;
}

function fileValue({ bytes }: FormBody, { fileName, start, end }: FormPart): unknown {
  return { file: fileName, bytes: end - start, digest: hash("sha1", bytes.subarray(start, end), "base64") };
}

/** The files of a form by a name, whether it is written as a list or not. */
export function formFiles({ form }: JsonBody, name: string): readonly Buffer[] {
  const named = form?.parts.filter((part) => part.fileName !== undefined && (part.name === name || part.name === `${name}[]`)) ?? [];
  return named.map(({ start, end }) => (form as FormBody).bytes.subarray(start, end));
}

/** The bytes of a form to send: in the place of its model's name another one, where it has to be. */
export function formNaming(form: FormBody, model: string): Buffer {
  const part = formPart(form, "model");
  // A deployment stands in the path.
  if (!part || form.bytes.toString("utf8", part.start, part.end) === model) return form.bytes;
  return Buffer.concat([form.bytes.subarray(0, part.start), Buffer.from(model), form.bytes.subarray(part.end)]);
}

/** The text of a field. */
export function formText(form: FormBody, name: string): string | undefined {
  const part = formPart(form, name);
  if (part?.fileName !== undefined) throw invalid(`"${name}" is a file in this form. Send it as a field.`);
  return part && form.bytes.toString("utf8", part.start, part.end);
}

/** A file that must be there. */
export function formFile(form: FormBody, name: string): FormPart {
  const part = formPart(form, name);
  if (part?.fileName === undefined) throw invalid(`The form has no file "${name}".`);
  return part;
}

function readHeaders(text: string): Pick<FormPart, "name" | "fileName"> {
  let disposition: string | undefined;
  for (const line of text.split("\r\n")) {
    const [, name = "", value = ""] = /^([\w-]+):\s*(.*?)\s*$/.exec(line) ?? [];
    const lower = name.toLowerCase();
    if (lower === "content-disposition" && disposition === undefined) disposition = value;
    else if (lower !== "content-type" && lower !== "content-length") throw wrongForm(`a part has the header "${line.slice(0, 40)}"`);
  }
  const [, parameters] = DISPOSITION.exec(disposition ?? "") ?? [];
  const named = new Map<string, string>();
  for (const [, name = "", quoted, plain] of (parameters ?? "").matchAll(PARAMETER)) {
    const lower = name.toLowerCase();
    if (named.has(lower)) throw wrongForm(`a part says "${lower}" twice`);
    named.set(lower, quoted ?? plain ?? "");
  }
  const name = named.get("name");
  if (name === undefined || name === "") throw wrongForm("a part has no name");
  return { name, fileName: named.get("filename") ?? named.get("filename*") };
}

function wrongForm(what: string): Error {
  return invalid(`The body is no form that can be read: ${what}.`);
}
