import { isSubjectPath, PurserError, type Subject, type SubjectPath } from "@purser/core";
import { KEY_ROLES, type Key, type KeyRole, type NewKey } from "../callers/key.ts";
import { instantJson } from "./balances.ts";

/** A key as programs read it. The secret is not known any more. */
export interface KeyJson {
  readonly id: string;
  readonly name: string;
  readonly attributes: Subject;
  readonly may_set: readonly string[];
  readonly role: Key["role"];
  readonly created_at: string;
  readonly expires_at: string | null;
}

export function keyJson({ id, name, attributes, maySet, role, createdAt, expiresAt }: Key): KeyJson {
  return {
    id,
    name,
    attributes,
    may_set: maySet,
    role,
    created_at: instantJson(createdAt),
    expires_at: expiresAt === undefined ? null : instantJson(expiresAt),
  };
}

/** What a key may fix for its calls. Provider, model, endpoint and key are found out from each call. */
export const KEY_ATTRIBUTES = ["org", "team", "product", "feature", "user", "tier", "session", "task"] as const;

const FIELDS = ["name", "attributes", "may_set", "role", "expires_at"];

/** Reads and checks what a new key is to be. Throws `body_invalid` with what to do. */
export function readNewKey(body: unknown, now: number): NewKey {
  const fields = readObject(body, "The body");
  const unknown = Object.keys(fields).find((field) => !FIELDS.includes(field));
  if (unknown !== undefined) throw invalid(`"${unknown}" is not a field of a key. Fields are ${FIELDS.join(", ")}.`);
  const { name, attributes, may_set, role = "caller", expires_at } = fields;
  if (typeof name !== "string" || name.trim() === "" || name.length > 256) throw invalid('Give the key a name: `"name": "chatbot"`.');
  if (!isRole(role)) throw invalid(`The role of a key is one of ${KEY_ROLES.join(", ")}.`);
  return {
    name: name.trim(),
    attributes: readAttributes(attributes ?? {}),
    maySet: readMaySet(may_set ?? []),
    role,
    ...(expires_at !== undefined && expires_at !== null && { expiresAt: readExpiry(expires_at, now) }),
  };
}

function isRole(value: unknown): value is KeyRole {
  return KEY_ROLES.some((role) => role === value);
}

function readAttributes(value: unknown): Subject {
  const { tags, ...attributes } = readObject(value, '"attributes"');
  for (const [name, text] of Object.entries(attributes)) {
    if (!(KEY_ATTRIBUTES as readonly string[]).includes(name)) {
      throw invalid(`A key cannot fix "${name}". Attributes are ${KEY_ATTRIBUTES.join(", ")} and tags.`);
    }
    checkText(name, text);
  }
  if (tags === undefined) return attributes as Subject;
  const pairs = readObject(tags, '"tags"');
  for (const [name, text] of Object.entries(pairs)) checkText(`tag ${name}`, text);
  return { ...attributes, tags: pairs } as Subject;
}

function readMaySet(value: unknown): readonly (SubjectPath | "tag.*")[] {
  if (!Array.isArray(value)) throw invalid('"may_set" is a list: `["user", "session", "tag.*"]`.');
  for (const path of value) {
    const settable =
      typeof path === "string" && isSubjectPath(path) && (path.startsWith("tag.") || KEY_ATTRIBUTES.some((name) => name === path));
    if (!settable) throw invalid(`"${path}" is nothing a caller can set. Choose from ${KEY_ATTRIBUTES.join(", ")}, tag.NAME and tag.*.`);
  }
  return value;
}

function readExpiry(value: unknown, now: number): number {
  const instant = typeof value === "string" ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(instant)) throw invalid('"expires_at" is a moment such as "2027-01-31T00:00:00Z".');
  if (instant <= now) throw invalid(`"expires_at" is in the past: ${value}.`);
  return instant;
}

function checkText(name: string, text: unknown): void {
  if (typeof text !== "string" || text.trim() === "" || text.length > 256 || /\p{Cc}/u.test(text)) {
    throw invalid(`The ${name} of a key is a text of 1 to 256 characters.`);
  }
}

function readObject(value: unknown, name: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid(`${name} is not a JSON object.`);
  return value as Record<string, unknown>;
}

function invalid(message: string): PurserError {
  return new PurserError("body_invalid", message);
}
