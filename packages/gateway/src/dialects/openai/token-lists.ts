import { invalid } from "../body-fields.ts";
import { collectTexts } from "../content.ts";
import type { JsonBody } from "../json-body.ts";

/** What a field holds that is a text, several texts, the tokens of a text, or those of several. */
export interface Texts {
  readonly texts: readonly string[];
  /** Tokens that came as numbers. */
  readonly tokens: number;
}

const OPENING = 0x5b;
const DIGITS = { least: 0x30, most: 0x39 };

/** How many texts the field holds. It must be there. */
export function countTexts(body: JsonBody, name: string): number {
  const member = body.members.get(name);
  if (member?.type === "string") return 1;
  if (member?.type !== "array" || member.elements === 0) throw invalid(`The field "${name}" must be a text, or a list with at least one.`);
  const first = firstByte(body.bytes, member.start + 1);
  return first >= DIGITS.least && first <= DIGITS.most ? 1 : member.elements;
}

function firstByte(bytes: Buffer, from: number): number {
  let at = from;
  while (bytes[at] === 0x20 || bytes[at] === 0x0a || bytes[at] === 0x0d || bytes[at] === 0x09) at++;
  return bytes[at] ?? OPENING;
}

/** The texts of the field, and how many tokens came as numbers. */
export function readTexts(value: unknown): Texts {
  const texts: string[] = [];
  let tokens = 0;
  for (const one of Array.isArray(value) ? value : [value]) {
    if (typeof one === "number") tokens++;
    else if (Array.isArray(one) && one.every((token) => typeof token === "number")) tokens += one.length;
    else collectTexts(one, texts);
  }
  return { texts, tokens };
}
