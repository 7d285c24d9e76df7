import type { Subject } from "@purser/core";
import { readLink } from "../signed-link.ts";

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

export function readAsk(token: string, key: Buffer, now: number): ReadAsk {
  const ask = readLink(token, key) as Ask | undefined;
  if (!ask) return { ok: false, why: "forged" };
  return now < ask.expiresAt && now < ask.until ? { ok: true, ask } : { ok: false, why: "expired" };
}
