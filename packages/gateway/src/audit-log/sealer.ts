import { setImmediate as nextTurn } from "node:timers/promises";
import { type Digest, digestEntries, PurserError, type Store, type Stretch } from "@purser/core";
import type { AuditLog } from "./audit-log.ts";
import { lastSealed, type Seal, type SealedStretch, STRETCH_ENTRIES, sealDeed, sealOf, stretchesOf } from "./seals.ts";

/** Often enough that little is not sealed, and seldom enough that the log stays short. */
export const SEAL_EVERY_MS = 5 * 60_000;
/** So many stretches in one line: they are read one after the other, and the line can still be looked at. */
const STRETCHES_MOST = 100;
/** How long the end may take. What it does not come to is sealed at the next start. */
const END_MS = 5_000;

export interface SealerOptions {
  readonly store: Pick<Store, "entries" | "digest" | "lastSeqAtStart">;
  readonly log: Pick<AuditLog, "write" | "lines" | "newest">;
  /** What the ledger is called. */
  readonly ledger: string;
  readonly onError: (error: unknown) => void;
}

/**
 * Seals a ledger: writes down in the audit log what it is, stretch by stretch, so that an entry which is changed, taken out or put in later is
 * found. Beside the calls, which know nothing of it. Of several gateways that share a ledger each seals all of it, in its own log.
 */
export class Sealer {
  readonly #options: SealerOptions;
  #last: SealedStretch | undefined;
  #isOpen = false;
  #until = Number.POSITIVE_INFINITY;
  #running: Promise<void> = Promise.resolve();

  constructor(options: SealerOptions) {
    this.#options = options;
  }

  /**
   * Finds out how far the ledger is sealed. Where that was its end, it is written down that it goes on, and whether it still ended there. To be
   * awaited before anything is written to the ledger.
   */
  open(): Promise<void> {
    return this.#inTurn(() => this.#open());
  }

  /** Seals what a gateway before this one has left unsealed, because it was killed. */
  begin(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#open();
      await this.#sealUpTo(this.#options.store.lastSeqAtStart ?? (await this.#newest()));
    });
  }

  /** Seals what came since. To be called every few minutes. */
  seal(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#open();
      await this.#sealUpTo(await this.#newest());
    });
  }

  /** Seals all, where this is the only one that writes the ledger also that it ends here. To be awaited when the last entry is written. */
  end(): Promise<void> {
    this.#until = performance.now() + END_MS;
    const isOnlyWriter = this.#options.store.lastSeqAtStart !== undefined;
    return this.#inTurn(async () => {
      await this.#open();
      await this.#sealUpTo(await this.#newest(), { isEnd: isOnlyWriter });
    });
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#running.then(work);
    this.#running = done.catch(() => undefined);
    return done;
  }

  async #open(): Promise<void> {
    if (this.#isOpen) return;
    const { log, ledger, store, onError } = this.#options;
    const seal = await log.newest((line) => sealOf(line, ledger));
    this.#last = await log.newest((line) => stretchesOf(sealOf(line, ledger) ?? NOTHING).at(-1));
    const { lastSeqAtStart: before } = store;
    if (seal?.isEnd === true && before !== undefined) {
      const isAfterEnd = before > seal.upTo;
      await this.#sealUpTo(before, { isAfterEnd, isEvenEmpty: true });
      if (isAfterEnd) onError(wrong(`Entries ${seal.upTo + 1} to ${before} of the ledger were put in while no gateway ran.`));
    }
    this.#isOpen = true;
  }

  async #newest(): Promise<number> {
    const [newest] = await this.#options.store.entries({ newest: true, most: 1 });
    return newest?.seq ?? 0;
  }

  async #sealUpTo(upTo: number, { isEnd = false, isAfterEnd = false, isEvenEmpty = false } = {}): Promise<void> {
    const { log, ledger } = this.#options;
    let after = await this.#goOnAfter();
    while (after < upTo || isEnd || isEvenEmpty) {
      const next = Math.min(upTo, after + STRETCHES_MOST * STRETCH_ENTRIES);
      const digests = await this.#digests({ after, upTo: next });
      // Whoever ends has no time for what is still to be sealed of long ago.
      if (performance.now() > this.#until) return;
      const isLast = next >= upTo;
      await log.write(sealDeed({ ledger, after, upTo: next, digests, isEnd: isEnd && isLast, isAfterEnd }));
      const seal: Seal = { at: "", after, upTo: next, hashes: digests.map(({ hash }) => hash), isEnd, isAfterEnd };
      this.#last = stretchesOf(seal).at(-1) ?? this.#last;
      after = next;
      if (isLast) return;
    }
  }

  async #digests({ after, upTo }: Stretch): Promise<readonly Digest[]> {
    const digests: Digest[] = [];
    for (let from = after; from < upTo && performance.now() <= this.#until; from += STRETCH_ENTRIES) {
      digests.push(await this.#digest({ after: from, upTo: Math.min(from + STRETCH_ENTRIES, upTo) }));
      await nextTurn();
    }
    return digests;
  }

  #digest(stretch: Stretch): Promise<Digest> {
    const { store } = this.#options;
    return store.digest ? store.digest(stretch) : readDigest(store, stretch);
  }

  /** The last sealed entry, if the ledger still has it. A ledger that was put back, or lost something, goes on from what it has left. */
  async #goOnAfter(): Promise<number> {
    const last = this.#last;
    if (!last) return this.#beforeFirst();
    if (await this.#isStillSo(last)) return last.upTo;
    this.#options.onError(wrong(`The ledger is not what was sealed up to entry ${last.upTo}.`));
    const { log, ledger } = this.#options;
    const sealed = lastSealed((await log.lines()).flatMap((line) => stretchesOf(sealOf(line, ledger) ?? NOTHING)));
    // What differs once differs from there on.
    let [same, other] = [-1, sealed.length];
    while (same + 1 < other) {
      const middle = Math.floor((same + other) / 2);
      if (await this.#isStillSo(sealed[middle] as SealedStretch)) same = middle;
      else other = middle;
    }
    return sealed[same]?.upTo ?? 0;
  }

  async #isStillSo(stretch: SealedStretch): Promise<boolean> {
    return (await this.#digest(stretch)).hash === stretch.hash;
  }

  /** Entries that were let go of before anybody sealed are not there to be sealed. */
  async #beforeFirst(): Promise<number> {
    const [first] = await this.#options.store.entries({ after: 0, most: 1 });
    return first ? first.seq - 1 : 0;
  }
}

function wrong(what: string): PurserError {
  return new PurserError("internal", `${what} \`purser audit verify\` says which entries are others than they were.`);
}

const NOTHING: Seal = { at: "", after: 0, upTo: 0, hashes: [], isEnd: false, isAfterEnd: false };

/** What a stretch of a ledger is known by that has nobody to read it elsewhere. */
async function readDigest(ledger: Pick<Store, "entries">, { after, upTo }: Stretch): Promise<Digest> {
  const entries = await ledger.entries({ after, most: upTo - after });
  return digestEntries(entries.filter(({ seq }) => seq <= upTo));
}
