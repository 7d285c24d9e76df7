import { PurserError } from "@purser/core";
import { type JsonBody, memberValue } from "./json-body.ts";

/** Fields that no provider's API has and that other gateways take as "send it there instead". */
const FORBIDDEN = ["api_base", "base_url", "api_key"];
/** Fields by which another model may answer than the one that the call is checked and charged for. */
const OTHER_MODELS = ["models", "fallbacks", "fallback_models", "fallback_model"];
/** Fields that say how much a call can use. */
const COUNTED =
  "model max_tokens max_completion_tokens n best_of stream stream_options messages system tools functions service_tier thinking speed inference_geo".split(
    " ",
  );
/** No spelling of these names is longer. */
const SPELLING_LENGTH_MOST = 64;
const SPELLINGS = new Map([...FORBIDDEN, ...OTHER_MODELS, ...COUNTED].map((name) => [plainSpelling(name), name]));

export function refuseForbidden(body: JsonBody): void {
  for (const written of body.members.keys()) {
    if (isHarmless(written)) continue;
    const name = SPELLINGS.get(plainSpelling(written)) as string;
    if (FORBIDDEN.includes(name))
      throw invalid(`The field "${written}" is not allowed: where calls go is configured in the gateway. Remove it.`);
    if (OTHER_MODELS.includes(name))
      throw invalid(`The field "${written}" is not allowed: a call is charged as the one model in "model". Name one there, and remove it.`);
    if (written !== name) throw invalid(`The field "${written}" is read as "${name}" by some providers. Write ${name}, or remove it.`);
  }
}

/** Names that were looked at and are no spelling of another one: clients send the same few. */
const harmless = new Set<string>(COUNTED);
const HARMLESS_MOST = 1_000;

function isHarmless(written: string): boolean {
  if (harmless.has(written)) return true;
  if (SPELLINGS.has(plainSpelling(written))) return false;
  if (harmless.size < HARMLESS_MOST && written.length <= SPELLING_LENGTH_MOST) harmless.add(written);
  return true;
}

/** Readers of JSON that are written in Go take `Model` and `model` for one field, those of protocol buffers `maxTokens` and `max_tokens`. */
function plainSpelling(name: string): string {
  return name.length > SPELLING_LENGTH_MOST ? name : name.normalize("NFKC").toLowerCase().replaceAll("_", "");
}

/** A text that must be there. */
export function requiredText(body: JsonBody, name: string): string {
  return checkedName(readMember(body, name), name);
}

/** The same for a value that stands elsewhere. `name` says what it is. */
export function checkedName(value: unknown, name: string): string {
  if (typeof value !== "string" || value === "" || value.length > 256)
    throw invalid(`The field "${name}" must be a text of 1 to 256 characters.`);
  // What a provider may trim must be the same name to budgets.
  if (value !== value.trim()) throw invalid(`The field "${name}" begins or ends with a space. Remove it.`);
  return value;
}

export function optionalText(body: JsonBody, name: string): string | undefined {
  const value = readMember(body, name);
  if (value !== undefined && typeof value !== "string") throw invalid(`The field "${name}" must be a text.`);
  return value;
}

export function optionalBoolean(body: JsonBody, name: string): boolean {
  const value = readMember(body, name);
  if (value !== undefined && typeof value !== "boolean") throw invalid(`The field "${name}" must be true or false.`);
  return value ?? false;
}

/** A whole number of at least 1, or undefined. */
export function optionalCount(body: JsonBody, name: string, most?: number): number | undefined {
  return checkedCount(readMember(body, name), name, 1, most);
}

/** The same for a value inside of a field. `name` says which. */
export function checkedCount(value: unknown, name: string, least: number, most = 100_000_000): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most) {
    throw invalid(`The field "${name}" must be a whole number from ${least} to ${most.toLocaleString("en-US")}.`);
  }
  return value;
}

/** How many elements an array has; it must be one, and must not be empty. */
export function requiredList(body: JsonBody, name: string): number {
  const member = body.members.get(name);
  if (member?.type !== "array" || member.elements === 0) throw invalid(`The field "${name}" must be a list with at least one element.`);
  return member.elements;
}

export function optionalList(body: JsonBody, name: string): number {
  const member = body.members.get(name);
  if (member === undefined || isNull(body, name)) return 0;
  if (member.type !== "array") throw invalid(`The field "${name}" must be a list.`);
  return member.elements;
}

/** Objects that are read here are small: metadata, options. */
const FIELDS_MOST = 256;

export function optionalObject(body: JsonBody, name: string): Readonly<Record<string, unknown>> | undefined {
  const member = body.members.get(name);
  if (member === undefined || isNull(body, name)) return undefined;
  if (member.type !== "object") throw invalid(`The field "${name}" must be an object.`);
  if (member.elements > FIELDS_MOST) throw invalid(`The field "${name}" has more than ${FIELDS_MOST} fields. Send fewer.`);
  return readMember(body, name) as Record<string, unknown>;
}

export function invalid(message: string): PurserError {
  return new PurserError("body_invalid", message);
}

function isNull(body: JsonBody, name: string): boolean {
  const member = body.members.get(name);
  return member?.type === "literal" && body.bytes[member.start] === 0x6e;
}

function readMember(body: JsonBody, name: string): unknown {
  try {
    return memberValue(body, name);
  } catch {
    throw invalid(`The field "${name}" is not valid JSON.`);
  }
}
