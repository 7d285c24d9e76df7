import { sumTooLarge } from "../../domain/exact-sum.ts";
import { orderedSavings, SAVING_AMOUNTS, type SavingAmounts, type SavingRow, type SavingsQuery } from "../../domain/saving.ts";
import { BOOKED_SAVINGS, HOUR_MS, SAVING_COLUMNS } from "./appending.sql.ts";
import { type Database, integerOf } from "./pool.ts";
import { around, inner, joined } from "./spans.ts";

const COLUMNS = SAVING_COLUMNS.join(", ");

/** What rungs of ladders saved: from the sums of whole UTC hours, and from the entries for what is left of the time. */
export async function readSavings(database: Database, { since, until }: SavingsQuery): Promise<readonly SavingRow[]> {
  const hours = inner({ from: since, to: until }, HOUR_MS);
  const rest = joined(around({ from: since, to: until }, hours));
  const isIn = (spans: typeof rest) => `(${spans.map(({ from, to }) => `at >= ${from} AND at < ${to}`).join(" OR ")})`;
  const parts = [
    ...(hours.from < hours.to ? [`SELECT budget, rung, ${COLUMNS} FROM purser.savings_hour WHERE ${isIn([hours])}`] : []),
    ...(rest.length > 0 ? [`SELECT budget, rung, ${COLUMNS} FROM (${BOOKED_SAVINGS} AND ${isIn(rest)}) AS booked`] : []),
  ];
  if (parts.length === 0) return [];
  const sums = SAVING_COLUMNS.map((column) => `sum(${column}) AS ${column}`).join(", ");
  const sql = `SELECT budget, rung, ${sums} FROM (${parts.join(" UNION ALL ")}) AS booked GROUP BY budget, rung`;
  const { rows } = await database.query(sql, []);
  return orderedSavings(rows.map(savingRow));
}

function savingRow(row: Readonly<Record<string, string>>): SavingRow {
  const amounts: Partial<Record<keyof SavingAmounts, number>> = {};
  for (const [i, name] of SAVING_AMOUNTS.entries()) amounts[name] = integerOf(row[SAVING_COLUMNS[i] as string] ?? 0, sumTooLarge);
  return { budget: row.budget ?? "", rung: row.rung ?? "", ...(amounts as SavingAmounts) };
}
