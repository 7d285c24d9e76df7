import { createHmac, hash, randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { isAdminToken } from "../callers/admin-token.ts";
import type { Caller } from "../callers/identify.ts";
import type { Key, Keys } from "../callers/key.ts";
import type { People } from "../people/people.ts";
import { type Person, personCaller, type StoredPerson } from "../people/person.ts";

export interface SessionsOptions {
  readonly keys: Pick<Keys, "find" | "list">;
  /** The token of the data folder; whoever has it is the owner. */
  readonly adminToken: string;
  /** Who signs in by name. */
  readonly people?: Pick<People, "find">;
  /** The provider of identities that may say who somebody is; none where it is left out. */
  readonly issuer?: () => string | undefined;
  /** Whether people reach the server by https only. */
  readonly isSecure: () => boolean;
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
}

/** Somebody who signed in with a browser. */
export interface Visitor {
  readonly caller: Caller;
  /** Says that a request comes from the screen itself: pages of other sites cannot read it. */
  readonly csrf: string;
  /** The name of whoever came with a password of their own. */
  readonly person?: string;
}

const COOKIE = "purser_session";
const LASTS_MS = 12 * 3_600_000;

/**
 * Browsers that signed in. All of a session is in its cookie, signed with a key from the secret of the data folder: several processes on one
 * port know each other's, and a restart forgets nobody. A key that is revoked ends its sessions, and so does a person who is removed or gets
 * another password, and a provider of identities that is not asked any more.
 */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #key: Buffer;
  readonly #now: () => number;

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#key = hash("sha256", `sessions of the screen ${options.adminToken}`, "buffer");
    this.#now = options.now ?? Date.now;
  }

  /** The value of `Set-Cookie` for whoever has this token or key; nothing for what is neither. */
  open(credential: string): string | undefined {
    const { keys, adminToken } = this.#options;
    const isOwner = isAdminToken(credential, adminToken);
    const key = isOwner ? undefined : keys.find(credential, this.#now());
    if (!isOwner && !key) return undefined;
    return this.#open({ key: key?.id ?? null });
  }

  /** The value of `Set-Cookie` for a person whose password was right. */
  openFor({ name, password }: StoredPerson): string {
    return this.#open({ person: name, proof: this.#proof(password) });
  }

  /** The value of `Set-Cookie` for whom a provider of identities knows. */
  openIdentified({ name, role, attributes }: Person, issuer: string): string {
    return this.#open({ identified: { name, role, attributes }, issuer });
  }

  #open(who: Who): string {
    const session: Session = { ...who, ends: this.#now() + LASTS_MS, nonce: randomBytes(12).toString("base64url") };
    const content = Buffer.from(JSON.stringify(session)).toString("base64url");
    return this.#cookie(`${content}.${this.#sign(`session ${content}`)}`, LASTS_MS / 1_000);
  }

  /** The value of `Set-Cookie` that ends the session of a browser. */
  close(): string {
    return this.#cookie("", 0);
  }

  /** Who sent a request, by its cookie. */
  find({ cookie }: IncomingHttpHeaders): Visitor | undefined {
    const value = cookie === undefined ? undefined : cookieValue(cookie);
    if (value === undefined) return undefined;
    const [content = "", signature = "", ...rest] = value.split(".");
    if (rest.length > 0 || !isSame(signature, this.#sign(`session ${content}`))) return undefined;
    const session = JSON.parse(Buffer.from(content, "base64url").toString("utf8")) as Session;
    const now = this.#now();
    if (session.ends <= now) return undefined;
    const caller = this.#callerOf(session, now);
    if (!caller) return undefined;
    return { caller, csrf: this.#sign(`csrf ${content}`), ...("person" in session && { person: session.person }) };
  }

  #callerOf(session: Session, now: number): Caller | undefined {
    const { keys, people, issuer } = this.#options;
    if ("identified" in session) return session.issuer === issuer?.() ? personCaller(session.identified) : undefined;
    if ("person" in session) {
      const person = people?.find(session.person);
      return person && isSame(session.proof, this.#proof(person.password)) ? personCaller(person) : undefined;
    }
    if (session.key === null) return OWNER;
    return callerOf(keys.list().find((key) => key.id === session.key && isValid(key, now)));
  }

  /** Says that a session began with this password, and nothing of it. */
  #proof(password: string): string {
    return this.#sign(`password ${password}`).slice(0, 22);
  }

  #sign(text: string): string {
    return createHmac("sha256", this.#key).update(text).digest("base64url");
  }

  #cookie(value: string, seconds: number): string {
    const secure = this.#options.isSecure() ? "; Secure" : "";
    return `${COOKIE}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Strict${secure}`;
  }
}

type Who =
  /** Which key it was opened with; none for the owner's token. */
  | { readonly key: string | null }
  | { readonly person: string; readonly proof: string }
  /** Nothing of them is kept here: the session says who they were when they signed in. */
  | { readonly identified: Person; readonly issuer: string };

type Session = Who & {
  /** Epoch milliseconds. */
  readonly ends: number;
  readonly nonce: string;
};

const OWNER: Caller = { key: undefined, subject: {} };

function callerOf(key: Key | undefined): Caller | undefined {
  return key && { key, subject: { ...key.attributes, key: key.id } };
}

function isValid({ expiresAt }: Key, now: number): boolean {
  return expiresAt === undefined || now < expiresAt;
}

function cookieValue(header: string): string | undefined {
  for (const part of header.split(";")) {
    const at = part.indexOf("=");
    if (at > 0 && part.slice(0, at).trim() === COOKIE) return part.slice(at + 1).trim();
  }
  return undefined;
}

/** Whether two texts are the same, in a time that says nothing about where they differ. */
export function isSame(one: string, other: string): boolean {
  return timingSafeEqual(hash("sha256", one, "buffer"), hash("sha256", other, "buffer"));
}
