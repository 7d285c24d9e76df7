import { digestEntries, type Entry, type LedgerQuery, PurserError, type Store } from "@purser/core";
import type { AuditLine } from "./chain.ts";
import { type Forgotten, forgottenOf, lastSealed, type Seal, type SealedStretch, sealOf, stretchesOf } from "./seals.ts";

/** What is wrong with a ledger that was sealed, and where. */
export interface LedgerFault {
  /** The first entry of the stretch that differs, and the last. */
  readonly from: number;
  readonly to: number;
  readonly what: string;
}

export interface SealedLedger {
  readonly ledger: string;
  /** The last entry that was compared; 0 for none. */
  readonly sealed: number;
  readonly sealedAt: string | undefined;
  /** How many entries came since, and are compared with nothing yet. */
  readonly unsealed: number;
  /** Until where entries may be missing, because somebody let go of them; and whether some are. */
  readonly forgotten: (Forgotten & { readonly isMissed: boolean }) | undefined;
  readonly faults: readonly LedgerFault[];
}

export interface VerifyLedgerTerms {
  readonly ledger: string;
  readonly lines: readonly AuditLine[];
  readonly entries: Store["entries"];
  /** Whether no gateway but that of this log writes to it. */
  readonly isOwn: boolean;
  /** A copy has what has been brought there, and is compared no further. */
  readonly copiedUpTo?: number;
}

/** Reads a ledger as nobody's friend: whether each entry is the one that was sealed. */
export async function verifyLedger(terms: VerifyLedgerTerms): Promise<SealedLedger> {
  const { ledger, lines, entries, isOwn, copiedUpTo = Number.POSITIVE_INFINITY } = terms;
  const seals = lines.flatMap((line) => sealOf(line, ledger) ?? []);
  // Nothing leaves the ledger of a data folder: only what was brought elsewhere is let go of.
  const forgotten = isOwn ? undefined : forgottenOf(lines, ledger);
  const stretches = seals.flatMap(stretchesOf);
  const stillSealed = new Set(lastSealed(stretches));
  const faults = [...gapsBetween([...stillSealed], isOwn), ...seals.flatMap(afterEnd)];
  let isMissed = false;
  for (const stretch of stretches.filter(({ upTo }) => upTo <= copiedUpTo)) {
    const found = await differencesOf(stretch, entries, forgotten?.upTo ?? 0);
    if (found === "forgotten") isMissed = true;
    else for (const one of found) faults.push(stillSealed.has(stretch) ? one : { ...one, what: `${one.what}${SEALED_AGAIN}` });
  }
  const last = seals.at(-1);
  const sealed = Math.min(last?.upTo ?? 0, copiedUpTo);
  const newest = copiedUpTo === Number.POSITIVE_INFINITY ? await readOne(entries, { newest: true }) : undefined;
  if (newest === "unreadable" && faults.length === 0)
    faults.push({ from: sealed + 1, to: sealed + 1, what: "or one after it cannot be read" });
  const unsealed = typeof newest === "object" ? Math.max(0, newest.seq - sealed) : 0;
  if (isOwn) faults.push(...(await beforeFirst(entries)));
  if (last?.isEnd && unsealed > 0) faults.push({ from: sealed + 1, to: sealed + unsealed, what: putIn(last.upTo, last.at) });
  faults.sort((a, b) => a.from - b.from);
  return { ledger, sealed, sealedAt: last?.at, unsealed, forgotten: forgotten && { ...forgotten, isMissed }, faults };
}

const SEALED_AGAIN = "; the ledger went on in another way, and was sealed again as it is now";

function afterEnd(seal: Seal, i: number, seals: readonly Seal[]): readonly LedgerFault[] {
  const before = seals[i - 1];
  if (!seal.isAfterEnd || !before) return [];
  return [{ from: seal.after + 1, to: seal.upTo, what: putIn(before.upTo, before.at) }];
}

function putIn(end: number, at: string): string {
  return `put in while no gateway ran: the ledger ended with ${end} when it was sealed ${instantText(at)}`;
}

/** Between seals that follow one another there is no entry without one; nor before the first, but where some were let go of before anybody sealed. */
function gapsBetween(stretches: readonly SealedStretch[], isOwn: boolean): readonly LedgerFault[] {
  return stretches.flatMap(({ after }, i) => {
    const before = stretches[i - 1]?.upTo ?? (isOwn ? 0 : after);
    return after > before ? [{ from: before + 1, to: after, what: "not sealed: the line of the log that did is lost" }] : [];
  });
}

/** Numbers begin with 1, and what stands before that is read by nobody who reads on from there. */
async function beforeFirst(entries: Store["entries"]): Promise<readonly LedgerFault[]> {
  const first = await readOne(entries, { after: Number.MIN_SAFE_INTEGER });
  return typeof first === "object" && first.seq < 1
    ? [{ from: first.seq, to: first.seq, what: "put in: no gateway gives this number" }]
    : [];
}

/** One entry; what was altered by hand need not be one any more. A store that does not answer is no fault of the ledger. */
async function readOne(read: Store["entries"], query: LedgerQuery): Promise<Entry | "unreadable" | undefined> {
  try {
    const [entry] = await read({ ...query, most: 1 });
    return entry;
  } catch (error) {
    if (error instanceof PurserError) throw error;
    return "unreadable";
  }
}

/** What differs in a stretch from what was sealed, or that it lacks only what was let go of. */
async function differencesOf(
  { after, upTo, hash, at }: SealedStretch,
  read: Store["entries"],
  forgottenUpTo: number,
): Promise<readonly LedgerFault[] | "forgotten"> {
  const whole = { from: after + 1, to: upTo };
  let entries: readonly Entry[];
  try {
    entries = (await read({ after, most: upTo - after })).filter(({ seq }) => seq <= upTo);
  } catch (error) {
    if (error instanceof PurserError) throw error;
    return [{ ...whole, what: `not to be read any more since ${sealedText(at)}: ${(error as Error).message}` }];
  }
  if (digestEntries(entries).hash === hash) return [];
  const missing = missingFrom(entries, whole);
  if (missing.length === 0)
    return [{ ...whole, what: `${upTo - after === 1 ? "" : "one or more of them "}changed since ${sealedText(at)}` }];
  if (missing.every(({ to }) => to <= forgottenUpTo)) return "forgotten";
  return missing.map((run) => ({ ...run, what: `taken out since ${sealedText(at)}` }));
}

function sealedText(at: string): string {
  return `they were sealed ${instantText(at)}`;
}

/** The numbers between two that no entry has, run by run. */
function missingFrom(entries: readonly Entry[], { from, to }: { readonly from: number; readonly to: number }) {
  const runs: { from: number; to: number }[] = [];
  let next = from;
  for (const seq of [...entries.map((entry) => entry.seq), to + 1]) {
    if (seq > next) runs.push({ from: next, to: seq - 1 });
    next = seq + 1;
  }
  return runs;
}

/** `2026-11-22 11:15:05 UTC`. */
export function instantText(at: string): string {
  return `${at.slice(0, 19).replace("T", " ")} UTC`;
}
