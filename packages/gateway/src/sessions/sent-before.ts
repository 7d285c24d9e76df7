import { hash, randomBytes } from "node:crypto";
import type { Sent } from "@purser/core";
import type { BudgetedCall } from "../budgeted-call.ts";
import { type Pieces, piecesOf } from "./pieces.ts";

/** All sessions together are remembered by so many hashes; those that called longest ago are forgotten first. */
const HASHES_MOST = 500_000;
/** Of one call so many pieces are remembered, and of one session a few times as many, so that none drives out all others. */
const PIECES_MOST = 10_000;
/** What a provider's prompt cache was given is there this long. */
const CACHED_MS = 5 * 60_000;

interface Session {
  /** What was sent. */
  pieces: Set<number>;
  /** How calls began, up to each of their pieces, and when that was last sent. */
  beginnings: Map<number, number>;
}

/**
 * Knows what each session has sent, by keyed hashes that never leave the process and are never written down. What is forgotten, or was sent
 * through another process, counts as not sent before: so what is found is the least that was sent again.
 */
export class SentBefore {
  readonly #key = randomBytes(32);
  readonly #hashesMost: number;
  /** In the order in which they called last. */
  readonly #sessions = new Map<string, Session>();
  #size = 0;

  constructor({ hashesMost = HASHES_MOST }: { readonly hashesMost?: number } = {}) {
    this.#hashesMost = hashesMost;
  }

  /** How many hashes are remembered. */
  get size(): number {
    return this.#size;
  }

  /** Looks at a call that is sent, and says how much of it was sent before. Nothing where that cannot be known. */
  saw(budgeted: BudgetedCall, now: number): Sent | undefined {
    const { subject, dialect, call } = budgeted;
    // What a call only names, such as an earlier answer, is not there to be looked at.
    if (subject.session === undefined || !dialect.turns || call.hidesInput) return undefined;
    const seen = this.#hashed(piecesOf(dialect, call), budgeted);
    const session = this.#sessionOf(budgeted);
    let resent = 0;
    let unchanged = 0;
    for (const { hash, weight, beginning, upTo } of seen.pieces) {
      if (session.pieces.has(hash)) resent += weight;
      const sentAt = session.beginnings.get(beginning);
      if (sentAt !== undefined && now - sentAt <= CACHED_MS) unchanged = upTo;
    }
    this.#remember(session, seen.pieces, now);
    return { weight: seen.weight, resent, unchanged };
  }

  #hashed({ fixed, pieces, weight }: Pieces, { subject, model }: BudgetedCall): Seen {
    // A provider's cache holds for one model, and tools stand before all else.
    const head = [Buffer.from(`${subject.provider}\n${model}\n`), ...fixed];
    const beginning = new Beginning(this.#digest(Buffer.concat(head)));
    let upTo = fixed.reduce((sum, { length }) => sum + length, 0);
    const hashed = pieces.map((piece) => {
      const digest = this.#digest(piece.bytes);
      upTo += piece.weight;
      return {
        hash: wordOf(digest, 0) * 2 ** 16 + (wordOf(digest, 1) >>> 16),
        weight: piece.weight,
        beginning: beginning.goOn(digest),
        upTo,
      };
    });
    return { pieces: hashed, weight };
  }

  /** As hexadecimal digits: that is the fastest way to have one. */
  #digest(bytes: Buffer): string {
    return hash("sha1", Buffer.concat([this.#key, bytes]), "hex");
  }

  /** The session of a call, which from now on called last. Two callers may well give theirs the same name. */
  #sessionOf({ subject }: BudgetedCall): Session {
    const { org, team, key, user, session } = subject;
    const name = JSON.stringify([org, team, key, user, session]);
    const known = this.#sessions.get(name) ?? { pieces: new Set(), beginnings: new Map() };
    this.#sessions.delete(name);
    this.#sessions.set(name, known);
    return known;
  }

  #remember(session: Session, pieces: readonly SeenPiece[], now: number): void {
    this.#size -= sizeOf(session);
    if (session.pieces.size > 2 * PIECES_MOST || session.beginnings.size > 2 * PIECES_MOST) {
      session.pieces = new Set();
      session.beginnings = new Map();
    }
    for (const { hash, beginning } of pieces.slice(0, PIECES_MOST)) {
      session.pieces.add(hash);
      session.beginnings.set(beginning, now);
    }
    this.#size += sizeOf(session);
    for (const [name, oldest] of this.#sessions) {
      if (this.#size <= this.#hashesMost || oldest === session) return;
      this.#sessions.delete(name);
      this.#size -= sizeOf(oldest);
    }
  }
}

interface Seen {
  readonly pieces: readonly SeenPiece[];
  readonly weight: number;
}

interface SeenPiece {
  readonly hash: number;
  readonly weight: number;
  /** How the call begins, up to and with this piece. */
  readonly beginning: number;
  /** What that weighs. */
  readonly upTo: number;
}

function sizeOf({ pieces, beginnings }: Session): number {
  return pieces.size + beginnings.size;
}

/** One of the five words of a digest, from 0 to 2^32. */
function wordOf(digest: string, i: number): number {
  return Number.parseInt(digest.slice(8 * i, 8 * i + 8), 16);
}

/** A hash of all digests so far. Nobody outside knows the digests, so that mixing them need not be hard to undo. */
class Beginning {
  #high: number;
  #low: number;

  constructor(digest: string) {
    this.#high = wordOf(digest, 0) | 0;
    this.#low = wordOf(digest, 1) | 0;
  }

  /** 52 bits, after one more piece. */
  goOn(digest: string): number {
    this.#high = Math.imul(this.#high ^ wordOf(digest, 2), 0x9e3779b1);
    this.#low = Math.imul(this.#low ^ wordOf(digest, 3) ^ (this.#high >>> 15), 0x85ebca6b);
    return (this.#high >>> 12) * 2 ** 32 + (this.#low >>> 0);
  }
}
