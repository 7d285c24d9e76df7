import type { PurserError } from "@purser/core";
import { invalid } from "../body-fields.ts";
import type { JsonBody } from "../json-body.ts";

/** The name under which a field stands: Google takes `systemInstruction` and `system_instruction`. Refused where both are there. */
export function spelled(body: JsonBody, name: string): string {
  const snake = snakeCase(name);
  if (snake === name || !body.members.has(snake)) return name;
  if (body.members.has(name)) throw twice(name, snake);
  return snake;
}

/** The same of an object that is read already. */
export function fieldOf(fields: Readonly<Record<string, unknown>>, name: string): unknown {
  const snake = snakeCase(name);
  if (fields[name] === undefined) return fields[snake];
  if (snake !== name && fields[snake] !== undefined) throw twice(name, snake);
  return fields[name];
}

function twice(name: string, snake: string): PurserError {
  return invalid(`The fields "${name}" and "${snake}" are both there. Send one of them.`);
}

/** Both spellings of names, for sets of them. */
export function bothSpellings(names: readonly string[]): readonly string[] {
  return names.flatMap((name) => [name, snakeCase(name)]);
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
