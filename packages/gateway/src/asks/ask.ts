import { createHmac, hash, timingSafeEqual } from "node:crypto";
import type { Subject } from "@purser/core";

/** More of a limit that a budget's owner is asked for, for one of its balances, until a time. */
export interface Ask {
  /** `ask_…`; what is given for it is a grant of this id, so that it is given once. */
  readonly id: string;
  readonly budget: string;
  /** `user=ann`; empty for a budget with a single balance. */
  readonly label: string;
  readonly subject: Subject;
  /** As a grant has it: `$10 / month`. */
  readonly amount: string;
  /** The same for people: `$10.00`. */
  readonly more: string;
  /** Epoch milliseconds: when what is given ends. */
  readonly until: number;
  /** When the link is no longer good. */
  readonly expiresAt: number;
}

export type ReadAsk = { readonly ok: true; readonly ask: Ask } | { readonly ok: false; readonly why: "forged" | "expired" };

/** The key for links, from the secret of the data folder: whoever can read that is the owner anyway. */
export function linkKey(adminToken: string): Buffer {
  return hash("sha256", `links for asks ${adminToken}`, "buffer");
}

/** All of an ask in a text that nobody can change without the key. */
export function signAsk(ask: Ask, key: Buffer): string {
  const content = Buffer.from(JSON.stringify(ask)).toString("base64url");
  return `${content}.${signature(content, key).toString("base64url")}`;
}

export function readAsk(token: string, key: Buffer, now: number): ReadAsk {
  const [content = "", signed = "", ...rest] = token.split(".");
  const given = Buffer.from(signed, "base64url");
  const right = signature(content, key);
  if (rest.length > 0 || given.length !== right.length || !timingSafeEqual(given, right)) return { ok: false, why: "forged" };
  const ask = JSON.parse(Buffer.from(content, "base64url").toString("utf8")) as Ask;
  return now < ask.expiresAt && now < ask.until ? { ok: true, ask } : { ok: false, why: "expired" };
}

function signature(content: string, key: Buffer): Buffer {
  return createHmac("sha256", key).update(content).digest();
}
