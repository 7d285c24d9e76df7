import type { Batch, Snapshot } from "./batch.ts";
import type { Database, SqlValue } from "./driver.ts";
import { COUNTER_COLUMNS, ENTRY_COLUMNS } from "./rows.ts";

const BALANCE_COLUMNS = 3;

/** Writes one batch in one transaction. A batch that was written before is ignored: a commit can succeed and its answer be lost. */
export function batchWriter(database: Database): (batch: Batch) => void {
  const begin = database.prepare("BEGIN IMMEDIATE");
  const commit = database.prepare("COMMIT");
  const counters = rowWriter(database, "INSERT OR IGNORE INTO counter", COUNTER_COLUMNS);
  const entries = rowWriter(database, "INSERT OR IGNORE INTO entry", ENTRY_COLUMNS);
  const snapshot = snapshotWriter(database);
  return (batch) => {
    begin.run();
    counters(batch.counters);
    entries(batch.entries);
    if (batch.snapshot) snapshot(batch.snapshot);
    commit.run();
  };
}

function snapshotWriter(database: Database): (snapshot: Snapshot) => void {
  const balances = rowWriter(database, "INSERT OR REPLACE INTO balance", BALANCE_COLUMNS);
  const forget = database.prepare("DELETE FROM balance WHERE counter = ?");
  const holds = database.prepare("INSERT OR REPLACE INTO snapshot VALUES (1, ?, ?, ?)");
  const mark = database.prepare("INSERT OR IGNORE INTO mark VALUES (?, ?)");
  return (snapshot) => {
    balances(snapshot.balances);
    for (const id of snapshot.forgotten) forget.run(id);
    holds.run(snapshot.seq, snapshot.holds, snapshot.steady);
    mark.run(snapshot.seq, snapshot.latest);
  };
}

/** Rows inserted by one call: crossing into SQLite costs about as much as inserting a row. */
const ROWS_AT_ONCE = 16;

/** Inserts rows that lie flat behind one another. */
function rowWriter(database: Database, insert: string, columns: number): (values: readonly SqlValue[]) => void {
  const row = `(${Array(columns).fill("?").join(", ")})`;
  const one = database.prepare(`${insert} VALUES ${row}`);
  const many = database.prepare(`${insert} VALUES ${Array(ROWS_AT_ONCE).fill(row).join(", ")}`);
  const step = columns * ROWS_AT_ONCE;
  return (values) => {
    let i = 0;
    for (; i + step <= values.length; i += step) many.run(...values.slice(i, i + step));
    for (; i < values.length; i += columns) one.run(...values.slice(i, i + columns));
  };
}
