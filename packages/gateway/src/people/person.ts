import type { Subject } from "@purser/core";
import type { Caller } from "../callers/identify.ts";

/** What somebody who signs in by name may do on the screen and on `/api`: the same as a key of that role, but for calls, which need a key. */
export const PERSON_ROLES = ["member", "viewer", "admin"] as const;
export type PersonRole = (typeof PERSON_ROLES)[number];

/** Somebody who signs in by name, or by way of a provider of identities. */
export interface Person {
  readonly name: string;
  readonly role: PersonRole;
  /** Whose calls a member sees: those of `user`, which is the name where nothing else is said. */
  readonly attributes: Subject;
}

/** What can be said of a person, so that a member sees the budgets that are theirs. */
export const PERSON_ATTRIBUTES = ["org", "team", "product", "feature", "user", "tier"] as const;

/** A person who has a password here: its hash. */
export interface StoredPerson extends Person {
  readonly password: string;
}

/** What is wrong with a name. It selects calls, and there `*` stands for anything. */
export function nameProblem(name: string): string | undefined {
  return /^[\p{L}\p{N}][\p{L}\p{N}._@+-]{0,127}$/u.test(name)
    ? undefined
    : `"${name.slice(0, 128)}" cannot name a person. Use letters, digits, dots, dashes, _, + and @.`;
}

/** What is wrong with the attributes of a person. What selects more than one, or none, would show them what is others'. */
export function attributesProblem(attributes: Readonly<Record<string, string>>): string | undefined {
  const pattern = Object.values(attributes).find((value) => value.includes("*") || value.trim() === "");
  return pattern === undefined ? undefined : `"${pattern}" would select more than one, or none. Write one value.`;
}

/** A person as whoever uses our own pages: like the holder of a key, of which no call can be made. */
export function personCaller({ name, role, attributes }: Person): Caller {
  const subject = { user: name, ...attributes };
  return { key: { id: `person_${name}`, name, attributes: subject, maySet: [], role, createdAt: 0, expiresAt: undefined }, subject };
}
