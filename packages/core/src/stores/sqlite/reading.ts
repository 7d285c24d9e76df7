import type { Entry } from "../../domain/ledger.ts";
import { type Digest, digestEntries, type Stretch } from "../digest.ts";
import { LEDGER_PAGE, type LedgerQuery } from "../store.ts";
import type { Database, SqlValue } from "./driver.ts";
import { type CounterRow, counterOf, type EntryRow, entryOf, forEachPosting, SELECT_ENTRIES } from "./rows.ts";

/** One page of the ledger as it lies in the tables, with the counters that it names. */
export interface Page {
  readonly rows: readonly EntryRow[];
  readonly counters: readonly CounterRow[];
}

/** A page is at most this long, so that turning it into entries does not hold up the event loop. */
const PAGE_MOST = LEDGER_PAGE;

/** Which page to read: a query, in the order asked for, from where the last page ended. */
export interface PageQuery extends LedgerQuery {
  readonly before?: number;
  readonly upTo?: number;
}

/** Reads one page. In one transaction, so that it never names a counter that it does not see. */
export function readPage(database: Database, query: PageQuery): Page {
  const { where, values } = conditions(query);
  const order = query.newest ? "DESC" : "ASC";
  const most = Math.min(query.most ?? LEDGER_PAGE, PAGE_MOST);
  database.exec("BEGIN");
  try {
    const sql = `${SELECT_ENTRIES} WHERE ${where} ORDER BY e.seq ${order} LIMIT ?`;
    const rows = database.prepare(sql).all(...values, most) as EntryRow[];
    return { rows, counters: countersOf(database, rows) };
  } finally {
    database.exec("COMMIT");
  }
}

function conditions(query: PageQuery): { readonly where: string; readonly values: readonly SqlValue[] } {
  const terms: string[] = ["true"];
  const values: SqlValue[] = [];
  const add = (term: string, ...bound: readonly SqlValue[]) => {
    terms.push(term);
    values.push(...bound);
  };
  const { reservation, kinds, since, after, before, upTo } = query;
  if (reservation !== undefined) {
    const opened = "SELECT seq FROM entry WHERE reservation = ?";
    add(`e.seq IN (${opened} UNION ALL SELECT seq FROM entry WHERE opened IN (${opened}))`, reservation, reservation);
  }
  if (kinds !== undefined) add(`e.kind IN (${kinds.map(() => "?").join(", ")})`, ...kinds);
  // Says what the partial index says, so that rare kinds are found by it.
  if (kinds?.every((kind) => kind !== "reserved" && kind !== "settled")) add("e.kind NOT IN ('reserved', 'settled')");
  if (since !== undefined) {
    add("e.at >= ?", since);
    add("e.seq > coalesce((SELECT seq FROM mark WHERE latest < ? ORDER BY seq DESC LIMIT 1), 0)", since);
  }
  if (after !== undefined) add("e.seq > ?", after);
  if (before !== undefined) add("e.seq < ?", before);
  if (upTo !== undefined) add("e.seq <= ?", upTo);
  return { where: terms.join(" AND "), values };
}

function countersOf(database: Database, rows: readonly EntryRow[]): readonly CounterRow[] {
  const ids = new Set<number>();
  for (const { postings } of rows) forEachPosting(postings, (id) => ids.add(id));
  const statement = database.prepare("SELECT * FROM counter WHERE id = ?");
  return [...ids].flatMap((id) => (statement.get(id) as CounterRow | undefined) ?? []);
}

/** Reads the entries of a query page by page, oldest first. */
export async function readEntries(
  read: (query: PageQuery) => Page | Promise<Page>,
  query: LedgerQuery,
  upTo = Number.MAX_SAFE_INTEGER,
): Promise<readonly Entry[]> {
  const { most = LEDGER_PAGE, newest } = query;
  const found: Entry[] = [];
  let next: PageQuery = { ...query, upTo };
  while (found.length < most) {
    const asked = Math.min(most - found.length, PAGE_MOST);
    const entries = entriesOf(await read({ ...next, most: asked }));
    found.push(...entries);
    const last = entries.at(-1);
    if (!last || entries.length < asked) break;
    next = newest ? { ...next, before: last.seq } : { ...next, after: last.seq };
  }
  return newest ? found.reverse() : found;
}

/** What a stretch of at most a page is known by. */
export function readDigest(database: Database, { after, upTo }: Stretch): Digest {
  return digestEntries(entriesOf(readPage(database, { after, upTo })));
}

/** The entries of a page, in its order. */
function entriesOf({ rows, counters }: Page): readonly Entry[] {
  const refs = new Map(counters.map((row) => [row.id, counterOf(row)]));
  return rows.map((row) => entryOf(row, refs));
}
