import { type CallDetail, type CounterRef, type Entry, type EntryKind, type Posting, seriesOf } from "../../domain/ledger.ts";
import type { Unit } from "../../domain/limit.ts";
import { isMovingText } from "../../domain/window.ts";
import { restoreEntry } from "../entry-json.ts";
import type { SqlValue } from "./driver.ts";

export const ENTRY_COLUMNS = 7;
export const COUNTER_COLUMNS = 9;

/**
 * Appends an entry as one row of the table `entry`. `opened`: the entry that opened the reservation, which then need not be named again.
 * Rows lie flat behind one another: that is what crosses threads at the least cost.
 */
export function pushEntry(rows: SqlValue[], entry: Entry, opened: number | undefined, postings: string): void {
  const body = bodyOf(entry, opened === undefined);
  rows.push(entry.seq, entry.at, entry.kind, opened ?? null, opened === undefined ? entry.reservation : null, postings, body);
}

/** What the other columns do not say, as JSON. A call's detail is the same in all its entries and written once, unless more is held for it later. */
function bodyOf(entry: Entry, withDetail: boolean): string {
  // What every call has is named; of all else, what stands in no other column.
  if (entry.kind === "reserved") return JSON.stringify({ expiresAt: entry.expiresAt, outputCap: entry.outputCap, detail: entry.detail });
  const { detail } = entry as { readonly detail?: CallDetail };
  const isOther = withDetail || detail?.outputTokensAtFirst !== undefined;
  if (entry.kind === "settled" && !isOther) return JSON.stringify({ charge: entry.charge });
  return JSON.stringify({ ...entry, ...IN_OTHER_COLUMNS, detail: isOther ? detail : undefined });
}

const IN_OTHER_COLUMNS = { seq: undefined, at: undefined, kind: undefined, reservation: undefined, postings: undefined };

/** Appends the definition of a counter as one row of the table `counter`. */
export function pushCounter(rows: SqlValue[], id: number, ref: CounterRef): void {
  rows.push(id, ref.key, ref.budget, ref.subject, ref.unit, ref.window, ref.startsAt, ref.resetsAt ?? null, ref.drains ?? null);
}

export interface CounterRow {
  readonly id: number;
  readonly key: string;
  readonly budget: string;
  readonly subject: string;
  readonly unit: string;
  readonly window: string;
  readonly starts_at: number;
  readonly resets_at: number | null;
  readonly drains: number | null;
}

export function counterOf({ key, budget, subject, unit, window, starts_at, resets_at, drains }: CounterRow): CounterRef {
  const ref = { key, budget, subject, unit: unit as Unit, window, startsAt: starts_at, resetsAt: resets_at ?? undefined };
  if (!isMovingText(window)) return ref;
  const slice = { ...ref, series: seriesOf(ref) };
  return drains === null ? slice : { ...slice, drains };
}

/** Finds counters by their number. */
export interface CounterSource {
  get(id: number): CounterRef | undefined;
}

/** An entry as it is read: joined with the entry that opened its reservation. */
export interface EntryRow {
  readonly seq: number;
  readonly at: number;
  readonly kind: string;
  readonly reservation: string;
  readonly postings: string;
  readonly body: string;
  /** The body of the entry that opened the reservation. */
  readonly opening: string | null;
}

/** Selects `EntryRow`s; conditions speak of `e`. */
export const SELECT_ENTRIES = `
  SELECT e.seq, e.at, e.kind, coalesce(e.reservation, r.reservation, '') AS reservation, e.postings, e.body, r.body AS opening
  FROM entry e LEFT JOIN entry r ON r.seq = e.opened`;

/** The entries with the detail of a call. */
const OF_CALLS: ReadonlySet<EntryKind> = new Set([
  "reserved",
  "raised",
  "settled",
  "overrun",
  "expired",
  "corrected",
  "released",
  "denied",
  "answered",
]);

export function entryOf(row: EntryRow, counters: CounterSource): Entry {
  const { seq, at, reservation } = row;
  const kind = row.kind as EntryKind;
  const body = JSON.parse(row.body) as { readonly detail?: CallDetail };
  const entry = { seq, at, kind, reservation, postings: postingsOf(row.postings, counters), ...body };
  if (!OF_CALLS.has(kind)) return entry as Entry;
  const opening = row.opening === null ? body : (JSON.parse(row.opening) as typeof body);
  return restoreEntry({ ...entry, detail: body.detail ?? opening.detail } as Entry);
}

function postingsOf(text: string, counters: CounterSource): readonly Posting[] {
  const postings: Posting[] = [];
  forEachPosting(text, (id, held, spent) => {
    const counter = counters.get(id);
    if (!counter) throw new Error(`The ledger posts to counter ${id}, which it does not define.`);
    postings.push({ counter, held, spent });
  });
  return postings;
}

/** Reads `counter,held,spent` repeated. */
export function forEachPosting(text: string, visit: (counter: number, held: number, spent: number) => void): void {
  if (text === "") return;
  const numbers = text.split(",");
  for (let i = 0; i < numbers.length; i += 3) visit(Number(numbers[i]), Number(numbers[i + 1]), Number(numbers[i + 2]));
}
