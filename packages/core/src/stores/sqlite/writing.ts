import type { Batch, Snapshot } from "./batch.ts";
import type { Database, SqlValue, Statement } from "./driver.ts";
import { COUNTER_COLUMNS, ENTRY_COLUMNS } from "./rows.ts";

/** Writes one batch in one transaction. A batch that was written before is ignored: a commit can succeed and its answer be lost. */
export function batchWriter(database: Database): (batch: Batch) => void {
  const begin = database.prepare("BEGIN IMMEDIATE");
  const commit = database.prepare("COMMIT");
  const counter = database.prepare(`INSERT OR IGNORE INTO counter VALUES (${marks(COUNTER_COLUMNS)})`);
  const entry = database.prepare(`INSERT OR IGNORE INTO entry VALUES (${marks(ENTRY_COLUMNS)})`);
  const snapshot = snapshotWriter(database);
  return (batch) => {
    begin.run();
    runRows(counter, batch.counters, COUNTER_COLUMNS);
    runRows(entry, batch.entries, ENTRY_COLUMNS);
    if (batch.snapshot) snapshot(batch.snapshot);
    commit.run();
  };
}

function snapshotWriter(database: Database): (snapshot: Snapshot) => void {
  const balance = database.prepare("INSERT OR REPLACE INTO balance VALUES (?, ?, ?)");
  const forget = database.prepare("DELETE FROM balance WHERE counter = ?");
  const holds = database.prepare("INSERT OR REPLACE INTO snapshot VALUES (1, ?, ?)");
  const mark = database.prepare("INSERT OR IGNORE INTO mark VALUES (?, ?)");
  return (snapshot) => {
    runRows(balance, snapshot.balances, 3);
    for (const id of snapshot.forgotten) forget.run(id);
    holds.run(snapshot.seq, snapshot.holds);
    mark.run(snapshot.seq, snapshot.latest);
  };
}

function runRows(statement: Statement, values: readonly SqlValue[], columns: number): void {
  for (let i = 0; i < values.length; i += columns) statement.run(...values.slice(i, i + columns));
}

function marks(columns: number): string {
  return Array(columns).fill("?").join(", ");
}
