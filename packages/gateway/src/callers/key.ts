import type { Subject, SubjectPath } from "@purser/core";

/**
 * What the holder of a key may do. `caller`: make calls, and see what its budgets have left. `member`: that, and look at its own calls and costs
 * on `/api`. `viewer`: look at everything there, change nothing and make no calls. `admin`: everything but make keys of admins, and end
 * those of others.
 */
export const KEY_ROLES = ["caller", "member", "viewer", "admin"] as const;
export type KeyRole = (typeof KEY_ROLES)[number];

/** A key as it is known after it was made: its secret is kept only as a hash. */
export interface Key {
  /** `key_7f3a…`; this is the `key` attribute of its calls. */
  readonly id: string;
  readonly name: string;
  /** What every call with this key is charged to. Headers never change these. */
  readonly attributes: Subject;
  /** What its holder may add by headers: `["user", "session", "tag.*"]`. */
  readonly maySet: readonly (SubjectPath | "tag.*")[];
  readonly role: KeyRole;
  /** Epoch milliseconds. */
  readonly createdAt: number;
  readonly expiresAt: number | undefined;
}

/** What a key is called. */
export type KeyName = Pick<Key, "id" | "name">;

export interface NewKey {
  readonly name: string;
  readonly attributes?: Subject;
  readonly maySet?: Key["maySet"];
  readonly role?: Key["role"];
  readonly expiresAt?: number;
}

/** The keys of one gateway. */
export interface Keys {
  /** Whether no key was ever made: then, on loopback only, every caller is the owner. Revoking the last key opens nothing. */
  readonly isEmpty: boolean;
  /** The key with this secret, if it is valid now. */
  find(secret: string, now: number): Key | undefined;
  /** Makes a key. The secret is returned once and never again. */
  create(key: NewKey): Promise<{ readonly key: Key; readonly secret: string }>;
  /** The key with this id, if it is valid now, and what signs that which is made from it: a secret that its holder does not know. */
  signing(id: string, now: number): { readonly key: Key; seal(): Buffer } | undefined;
  list(): readonly Key[];
  /** Those that were revoked, as far as they are still known: what they used is still in reports. */
  revoked(): Promise<readonly KeyName[]>;
  /** Whether there was such a key. */
  revoke(id: string): Promise<boolean>;
  close(): void;
}
