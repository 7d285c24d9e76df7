import { invalid } from "./body-fields.ts";

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
  readonly parts: readonly FormPart[];
}

const BOUNDARY = /^multipart\/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s;",]{1,70}))\s*(?:;.*)?$/i;
const DISPOSITION = /^form-data((?:\s*;\s*[\w-]+\*?=(?:"(?:[^"\\\r\n]|\\.)*"|[^\s;"]+))*)\s*$/i;
const PARAMETER = /;\s*([\w-]+\*?)=(?:"((?:[^"\\\r\n]|\\.)*)"|([^\s;"]+))/g;
const PARTS_MOST = 1_000;
const HEADERS_MOST = 4_096;

/** Whether the body of a request says that it is a form. */
export function isForm(contentType: string | undefined): boolean {
  return /^multipart\/form-data\b/i.test(contentType ?? "");
}

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
  return { bytes, parts };
}

/** The only field or file of a name; none where there is none. Two of them could be read as either. */
export function formPart({ parts }: FormBody, name: string): FormPart | undefined {
  const named = parts.filter((part) => part.name === name);
  if (named.length > 1) throw invalid(`The form has "${name}" twice. Send it once.`);
  return named[0];
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
