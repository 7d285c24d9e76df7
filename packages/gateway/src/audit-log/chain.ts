import { hash } from "node:crypto";

/** Something that somebody did, or was not let do. */
export interface Deed {
  /** Who: a key, the owner's token, a user of this machine. */
  readonly by: string;
  /** What: `POST /api/grants`, `access.refused`, `config.changed`. */
  readonly what: string;
  /** From which address, where it came over the network. */
  readonly from?: string | undefined;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  /** The number of the line that this one says the outcome of. */
  readonly of?: number | undefined;
}

/** A line of the log. Each has the hash of the one before, so none can be changed, left out or moved without a trace. */
export interface AuditLine extends Deed {
  /** From 1, without gaps. */
  readonly n: number;
  /** ISO 8601. */
  readonly at: string;
  readonly previous: string;
  /** Of the whole line up to here, byte for byte. */
  readonly hash: string;
}

/** Where a log ends. */
export interface Head {
  readonly n: number;
  readonly hash: string;
}

/** Before the first line. */
export const BEGINNING: Head = { n: 0, hash: "0".repeat(64) };

/** The text of the line that follows a head, without its line end, and the head that it makes. */
export function chained(deed: Deed, at: string, before: Head): { readonly text: string; readonly head: Head } {
  const { by, what, from, details, of } = deed;
  const body = JSON.stringify({ n: before.n + 1, at, by, what, from, details, of, previous: before.hash });
  const sum = hash("sha256", body, "hex");
  return { text: `${body.slice(0, -1)},"hash":"${sum}"}`, head: { n: before.n + 1, hash: sum } };
}

const HASHED = /^(\{"n":.*),"hash":"([0-9a-f]{64})"\}$/;

/** A line whose own hash is right; nothing for any other text. */
export function readLine(text: string): AuditLine | undefined {
  const [, body, sum] = HASHED.exec(text) ?? [];
  if (body === undefined || hash("sha256", `${body}}`, "hex") !== sum) return undefined;
  return JSON.parse(text) as AuditLine;
}

/** What is wrong with a log, and where. */
export interface Fault {
  /** The line of the file, from 1. */
  readonly line: number;
  readonly what: string;
}

export interface Verified {
  readonly head: Head;
  readonly faults: readonly Fault[];
  /** Whether it ends in the middle of a line: a crash, before anybody was told that it is written. */
  readonly isTorn: boolean;
}

/** Reads a log as nobody's friend. `known`: heads that it had before, from its own head file or an auditor's notes. */
export function verifyLog(text: string, known: readonly Head[] = []): Verified {
  const lines = text.split("\n");
  const isTorn = lines.pop() !== "";
  const faults: Fault[] = [];
  const hashes = new Map<number, string>([[0, BEGINNING.hash]]);
  let before = BEGINNING;
  for (const [i, one] of lines.entries()) {
    const line = readLine(one);
    const at = i + 1;
    if (!line) {
      faults.push({ line: at, what: "was changed: it is not what its hash says" });
      // What comes after is held to what it says of itself, so that one change is one fault.
      before = { n: before.n + 1, hash: "" };
      continue;
    }
    if (line.n !== before.n + 1)
      faults.push({ line: at, what: `is number ${line.n}, where ${before.n + 1} follows: ${misplaced(line.n, before.n)}` });
    else if (before.hash !== "" && line.previous !== before.hash)
      faults.push({ line: at, what: "does not follow the line before it: one of them was replaced" });
    hashes.set(line.n, line.hash);
    before = line;
  }
  for (const { n, hash: sum } of known) {
    const found = hashes.get(n);
    if (n > before.n) faults.push({ line: lines.length + 1, what: `is missing: the log had ${n} lines, and ends after ${before.n}` });
    else if (found !== undefined && found !== sum)
      faults.push({ line: n, what: "is another than it was: the log was written anew from there" });
  }
  return { head: { n: before.n, hash: before.hash }, faults, isTorn };
}

function misplaced(n: number, before: number): string {
  if (n <= before) return "it was moved, or is there twice";
  return n === before + 2 ? "the one between was taken out" : "those between were taken out";
}
