import { hash, randomBytes } from "node:crypto";
import type { Key, Keys, NewKey } from "./key.ts";

/** What is written for a key: all but its secret, of which only the hash is kept. */
export interface StoredKey extends Key {
  readonly secretSha256: string;
}

/** Makes a key and its secret, which is told once. */
export function makeKey({ name, attributes = {}, maySet = [], role = "caller", expiresAt }: NewKey): {
  readonly stored: StoredKey;
  readonly secret: string;
} {
  const secret = `pk-${randomBytes(32).toString("base64url")}`;
  const id = `key_${randomBytes(6).toString("hex")}`;
  return { stored: { id, name, attributes, maySet, role, createdAt: Date.now(), expiresAt, secretSha256: sha256(secret) }, secret };
}

function sha256(secret: string): string {
  return hash("sha256", secret, "hex");
}

/** The key as it may be shown. JSON has no `undefined`: a key without an end has the field again. */
export function keyOf({ secretSha256: _, ...key }: StoredKey): Key {
  return { ...key, expiresAt: key.expiresAt ?? undefined };
}

const HASHES_MOST = 10_000;

/** Keys by the hashes of their secrets. Looking a hash up gives away nothing about the secrets, so the look-up needs no constant time. */
export class KeyRing {
  #keys: ReadonlyMap<string, Key> = new Map();
  #byId: ReadonlyMap<string, { readonly key: Key; readonly secretSha256: string }> = new Map();
  /** Hashes of secrets in use, so that a busy key is not hashed with every call. The key itself is looked up each time. */
  readonly #hashes = new Map<string, string>();

  replace(stored: readonly StoredKey[]): void {
    this.#hashes.clear();
    this.#keys = new Map(stored.map((key) => [key.secretSha256, keyOf(key)]));
    this.#byId = new Map([...this.#keys].map(([secretSha256, key]) => [key.id, { key, secretSha256 }]));
  }

  /** The key with this secret, whether it has ended or not. `look` is called once where there is none. */
  find(secret: string, look: () => void = () => undefined): Key | undefined {
    const secretSha256 = this.#hashes.get(secret) ?? sha256(secret);
    let key = this.#keys.get(secretSha256);
    if (!key) {
      look();
      key = this.#keys.get(secretSha256);
    }
    if (key && this.#hashes.size < HASHES_MOST) this.#hashes.set(secret, secretSha256);
    return key;
  }

  /** See `Keys.signing`. What signs is made from the hash of the secret, which all gateways with the same keys have and no caller does. */
  signing(id: string, now: number): ReturnType<Keys["signing"]> {
    const found = this.#byId.get(id);
    const key = validAt(found?.key, now);
    return found && key && { key, seal: () => hash("sha256", `delegations of ${found.secretSha256}`, "buffer") };
  }

  list(): readonly Key[] {
    return [...this.#keys.values()];
  }
}

/** A key counts until the moment at which it ends. */
export function validAt(key: Key | undefined, now: number): Key | undefined {
  return key && (key.expiresAt === undefined || now < key.expiresAt) ? key : undefined;
}
