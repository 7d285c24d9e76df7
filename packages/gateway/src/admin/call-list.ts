import { compileFilter, type Entry, PurserError, type ReportFilter, type Store } from "@purser/core";
import { type CallSummary, summariseCall } from "./call-report.ts";

/** A page of calls, newest first. */
export interface CallListJson {
  readonly data: readonly CallSummary[];
  readonly has_more: boolean;
  /** Where the next page begins; null where nothing was found. */
  readonly last_id: string | null;
}

export interface CallQuery {
  readonly limit: number;
  readonly afterId: string | null;
  readonly filter?: ReportFilter | undefined;
  readonly outcome?: "denied" | "allowed" | undefined;
}

/** The entries with which calls begin. */
export const BEGINNINGS = ["reserved", "denied", "answered"] as const;
/** Entries that are looked at for one page of few calls among many. */
const LOOKED_AT_MOST = 40_000;

/** A page of calls. Where few of very many are wanted, it may have less than asked for and go on all the same. */
export async function listCalls(store: Pick<Store, "entries">, query: CallQuery): Promise<CallListJson> {
  const { limit } = query;
  const found = await callsBefore(store, query, limit + 1);
  const shown = found.calls.slice(0, limit);
  const data = await Promise.all(shown.map(async ({ reservation }) => summariseCall(await store.entries({ reservation }))));
  const hasMore = found.calls.length > limit || found.isCut;
  // One more than is shown tells whether there is another page.
  const last = found.calls.length > limit ? shown.at(-1)?.reservation : found.lastId;
  return { data, has_more: hasMore, last_id: last ?? data.at(-1)?.id ?? null };
}

interface Found {
  readonly calls: readonly Entry[];
  /** Whether older ones were not looked at. */
  readonly isCut: boolean;
  /** The oldest call that was looked at. */
  readonly lastId: string | undefined;
}

/** Calls before a call, newest first. A ledger has no gaps, so older entries lie within a known span; the span grows until it is enough. */
async function callsBefore(store: Pick<Store, "entries">, query: CallQuery, most: number): Promise<Found> {
  const kinds = kindsOf(query);
  const isWanted = wantedBy(query);
  const calls: Entry[] = [];
  let before = await beginOf(store, query.afterId);
  let lookedAt = 0;
  let lastId: string | undefined;
  for (let span = most * 4; before > 1; span *= 4) {
    if (lookedAt >= LOOKED_AT_MOST) return { calls, isCut: true, lastId };
    const after = Math.max(0, before - 1 - span);
    const entries = (await store.entries({ kinds, after, most: span })).filter(({ seq }) => seq < before).toReversed();
    for (const entry of entries) {
      if (isWanted(entry)) calls.push(entry);
      if (calls.length === most) return { calls, isCut: false, lastId };
    }
    lookedAt += span;
    before = after + 1;
    lastId = entries.at(-1)?.reservation ?? lastId;
  }
  return { calls, isCut: false, lastId };
}

function kindsOf({ outcome }: CallQuery): readonly (typeof BEGINNINGS)[number][] {
  if (outcome === undefined) return BEGINNINGS;
  return outcome === "denied" ? ["denied"] : ["reserved", "answered"];
}

function wantedBy({ filter = {} }: CallQuery): (entry: Entry) => boolean {
  const selects = compileFilter(filter);
  return (entry) => "detail" in entry && selects(entry.detail);
}

/** The sequence number of the entry with which a call begins, or what comes after the newest. */
async function beginOf(store: Pick<Store, "entries">, id: string | null): Promise<number> {
  if (id === null) {
    const [newest] = await store.entries({ newest: true, most: 1 });
    return (newest?.seq ?? 0) + 1;
  }
  const [begin] = await store.entries({ reservation: id, kinds: BEGINNINGS, most: 1 });
  if (!begin) throw unknownRequest(id);
  return begin.seq;
}

export function unknownRequest(id: string): PurserError {
  return new PurserError("reservation_unknown", `There is no call "${id}". The id is in the answer's header x-purser-request-id.`);
}
