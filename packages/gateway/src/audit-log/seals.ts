import type { Digest, Stretch } from "@purser/core";
import { type Config, sharedLedger } from "../config/config.ts";
import type { AuditLine, Deed } from "./chain.ts";

const SEALED = "ledger.sealed";
const FORGOTTEN = "ledger.forgotten";
/** Entries that have one hash together: what is found to be altered is named by them. */
export const STRETCH_ENTRIES = 1_000;

/** What a ledger was, entry by entry, when a line of the audit log was written. */
export interface Seal extends Stretch {
  /** When it was written; ISO 8601. */
  readonly at: string;
  /** One for each stretch, in their order. */
  readonly hashes: readonly string[];
  /** Whether the ledger ended here, because nothing was to write to it any more. */
  readonly isEnd: boolean;
  /** Whether this was there where the seal before it says that the ledger ended. */
  readonly isAfterEnd: boolean;
}

/** A part of a seal that has a hash of its own. */
export interface SealedStretch extends Stretch {
  readonly hash: string;
  readonly at: string;
}

/** What entries a ledger had is no longer to be shown by itself: whoever keeps its books let go of them. */
export interface Forgotten {
  readonly upTo: number;
  readonly by: string;
  readonly at: string;
  readonly why: string;
}

/** What the ledger of a gateway is called in its audit log. */
export function ledgerName({ store }: Pick<Config, "store">): string {
  return sharedLedger(store) ?? "purser.db";
}

export interface SealTerms extends Stretch {
  readonly ledger: string;
  readonly digests: readonly Digest[];
  readonly isEnd?: boolean;
  readonly isAfterEnd?: boolean;
}

/** The deed that seals a part of a ledger. */
export function sealDeed({ ledger, after, upTo, digests, isEnd = false, isAfterEnd = false }: SealTerms): Deed {
  const refusals = digests.reduce((sum, one) => sum + one.refusals, 0);
  const hashes = digests.map(({ hash }) => hash);
  const details = { ledger, after, up_to: upTo, refusals, hashes, ...(isEnd && { end: true }), ...(isAfterEnd && { after_end: true }) };
  return { by: "purser", what: SEALED, details };
}

/** The deed that says until where the entries of a ledger may be missing. */
export function forgetDeed({ ledger, upTo, by, why }: Pick<Forgotten, "upTo" | "by" | "why"> & { readonly ledger: string }): Deed {
  return { by, what: FORGOTTEN, details: { ledger, up_to: upTo, why } };
}

export function isSeal({ what }: AuditLine): boolean {
  return what === SEALED;
}

/** The seal of a ledger that a line is; nothing for any other line. */
export function sealOf(line: AuditLine, ledger: string): Seal | undefined {
  const { at, details = {} } = line;
  if (!isSeal(line) || details.ledger !== ledger) return undefined;
  const { after, up_to: upTo, hashes, end, after_end } = details as Record<string, unknown>;
  if (typeof after !== "number" || typeof upTo !== "number" || !Array.isArray(hashes)) return undefined;
  return { at, after, upTo, hashes: hashes as readonly string[], isEnd: end === true, isAfterEnd: after_end === true };
}

/** How far a ledger was let go of, by the last of its lines that say so. */
export function forgottenOf(lines: readonly AuditLine[], ledger: string): Forgotten | undefined {
  const line = lines.findLast(({ what, details }) => what === FORGOTTEN && details?.ledger === ledger);
  return line && { upTo: Number(line.details?.up_to), by: line.by, at: line.at, why: String(line.details?.why) };
}

export function stretchesOf({ after, upTo, hashes, at }: Seal): readonly SealedStretch[] {
  return hashes.map((hash, i) => {
    const from = after + i * STRETCH_ENTRIES;
    return { after: from, upTo: Math.min(from + STRETCH_ENTRIES, upTo), hash, at };
  });
}

/** What holds of stretches that were sealed one after the other: a later one takes the place of all that it goes back behind. */
export function lastSealed(stretches: readonly SealedStretch[]): readonly SealedStretch[] {
  const last: SealedStretch[] = [];
  for (const stretch of stretches) {
    while ((last.at(-1)?.upTo ?? 0) > stretch.after) last.pop();
    last.push(stretch);
  }
  return last;
}
