import { type LeasedEntry, leaseOf } from "../../domain/lease.ts";
import type { Entry } from "../../domain/ledger.ts";
import type { LedgerQuery } from "../store.ts";
import { messageOf } from "./client.ts";
import type { Connection } from "./connection.ts";
import type { Keys } from "./keys.ts";
import type { Stream } from "./stream.ts";
import { allotmentsText, grantText, postingsText } from "./text.ts";

/** Entries of the same ledger that are no longer in Redis: `LedgerArchive` is one. */
export interface LedgerSource {
  entries(query: LedgerQuery & { readonly before?: number }): Promise<readonly Entry[]>;
  lastSeq(): Promise<number>;
}

export interface RestorationOptions {
  readonly connection: Connection;
  readonly stream: Stream;
  readonly keys: Keys;
  readonly archive: LedgerSource;
  readonly onNotice: (notice: string) => void;
}

/** Entries repeated by one run of the script. */
const PAGE = 200;

/** Gives back to Redis what it has lost and the archive has. */
export class Restoration {
  readonly #options: RestorationOptions;
  #begun: Promise<void> | undefined;

  constructor(options: RestorationOptions) {
    this.#options = options;
  }

  /** At the start nobody remembers what Redis had, but the archive does. */
  begin(): Promise<void> {
    this.#begun ??= this.run().catch((error) => {
      // Without its archive the store does what it can: it may be there later.
      this.#options.onNotice(`The archive of the ledger cannot be asked whether Redis has all of it: ${messageOf(error)}`);
    });
    return this.#begun;
  }

  /** Repeats what the archive has beyond the last entry of Redis, if one continues the other. */
  async run(): Promise<void> {
    const { connection, stream, keys, archive, onNotice } = this.#options;
    const last = await archive.lastSeq();
    const found = await stream.last();
    if (last <= found || !(await this.#continues(found))) return;
    // What is put back is in the archive only, so what is older may not stay here without it.
    await stream.trim(found + 1);
    let answer = "behind";
    let after = found;
    while (after < last) {
      const page = await archive.entries({ after, most: PAGE });
      after = page.at(-1)?.seq ?? last;
      const args = [keys.prefix, after >= last ? "1" : "", ...page.flatMap(entryArgs)];
      answer = (await connection.run("restore", [], args)).outcome;
      if (answer === "diverged") return;
    }
    if (answer === "restored")
      onNotice(`Redis had lost entries ${found + 1} to ${last} of the ledger. They were restored from the archive.`);
  }

  /** Whether the last entry of Redis is the archive's of that number. */
  async #continues(last: number): Promise<boolean> {
    if (last === 0) return true;
    const { stream, archive } = this.#options;
    const query = { after: last - 1, most: 1 };
    const [[own], [archived]] = await Promise.all([stream.entries(query), archive.entries(query)]);
    return own === undefined || (own.at === archived?.at && own.kind === archived.kind && own.reservation === archived.reservation);
  }
}

/** An entry as the script takes it. */
function entryArgs(entry: Entry): readonly string[] {
  const detail = "detail" in entry ? entry.detail : undefined;
  const charge = detail && {
    usage: { inputTokens: detail.inputTokens, outputTokens: detail.outputTokens },
    cost: detail.cost,
    certainty: "unconfirmed",
  };
  return [
    String(entry.seq),
    String(entry.at),
    entry.kind,
    entry.reservation,
    postingsText(entry.postings),
    detail ? JSON.stringify(detail) : "",
    "expiresAt" in entry ? String(entry.expiresAt) : "",
    "outputCap" in entry ? String(entry.outputCap) : "",
    charge ? JSON.stringify(charge) : "",
    ...("grant" in entry ? grantText(entry.grant) : ["", ""]),
    ...(entry.kind === "leased" ? leaseArgs(entry) : ["", "", ""]),
  ];
}

function leaseArgs(entry: LeasedEntry): readonly string[] {
  const { reported, end = "", allotments } = leaseOf(entry);
  return [String(reported), end, allotmentsText(allotments)];
}
