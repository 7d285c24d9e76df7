import { randomInt } from "node:crypto";
import { PurserError, type Subject } from "@purser/core";
import { suggestion } from "../config/nearest-name.ts";
import { passwordProblem } from "../people/password.ts";
import {
  attributesProblem,
  nameProblem,
  PERSON_ATTRIBUTES,
  PERSON_ROLES,
  type Person,
  type PersonRole,
  type StoredPerson,
} from "../people/person.ts";

/** Somebody who signs in by name, as programs read it, without anything of their password. */
export interface PersonJson {
  readonly name: string;
  readonly role: PersonRole;
  readonly attributes: Subject;
  /** Whether they stand in `purser.yaml`, where they are changed. */
  readonly configured: boolean;
}

export function personJson({ name, role, attributes }: Person, isConfigured: boolean): PersonJson {
  return { name, role, attributes, configured: isConfigured };
}

/** Somebody who is to sign in by name, and the password that was chosen for them, if one was. */
export interface NewPerson extends Person {
  readonly password: string | undefined;
}

const FIELDS = ["name", "role", "attributes", "password"];

/** Reads and checks who is to sign in. Throws `body_invalid` with what to do. */
export function readNewPerson(body: unknown): NewPerson {
  const { name, role, attributes = {}, password } = readFields(body, FIELDS);
  if (typeof name !== "string" || name.trim() === "") throw invalid('Say who: `"name": "ann"`.');
  const problem = nameProblem(name.trim());
  if (problem !== undefined) throw invalid(problem);
  const known = PERSON_ROLES.find((one) => one === role);
  if (!known) throw invalid(`"role" says what they may do: ${PERSON_ROLES.join(", ")}.`);
  return { name: name.trim(), role: known, attributes: readAttributes(attributes), password: readPassword(password) };
}

/** Reads the password that is to take the place of another; nothing where one is to be made. */
export function readNewPassword(body: unknown): string | undefined {
  return readPassword(readFields(body ?? {}, ["password"]).password);
}

function readPassword(password: unknown): string | undefined {
  if (password === undefined) return undefined;
  if (typeof password !== "string") throw invalid('"password" is a text. Leave it out, and one is made.');
  const problem = passwordProblem(password);
  if (problem !== undefined) throw invalid(`This password will not do. ${problem}`);
  return password;
}

function readAttributes(value: unknown): StoredPerson["attributes"] {
  const attributes = readFields(value, PERSON_ATTRIBUTES, "an attribute of a person");
  const wrong = Object.entries(attributes).find(([, text]) => typeof text !== "string" || text.length > 256 || /\p{Cc}/u.test(text));
  if (wrong) throw invalid(`The ${wrong[0]} of a person is a text of 1 to 256 characters.`);
  const problem = attributesProblem(attributes as Record<string, string>);
  if (problem !== undefined) throw invalid(problem);
  return attributes as Subject;
}

function readFields(value: unknown, known: readonly string[], what = "a field of a person"): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid("What is said of a person is a JSON object.");
  const unknown = Object.keys(value).find((field) => !known.includes(field));
  if (unknown !== undefined) throw invalid(`"${unknown}" is not ${what}.${suggestion(unknown, known)}`);
  return value as Record<string, unknown>;
}

function invalid(message: string): PurserError {
  return new PurserError("body_invalid", message);
}

/** Without what is taken for something else when it is read out or copied by hand. */
const LETTERS = "abcdefghijkmnpqrstuvwxyz23456789";
const GROUPS = 4;
const GROUP = 5;

/** A password that nobody guesses, and that can be typed: a hundred random bits. */
export function makePassword(): string {
  const letter = () => LETTERS[randomInt(LETTERS.length)];
  return Array.from({ length: GROUPS }, () => Array.from({ length: GROUP }, letter).join("")).join("-");
}
