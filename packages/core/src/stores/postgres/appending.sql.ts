import { REPORT_AMOUNTS } from "../../domain/report.ts";
import { SAVING_AMOUNTS } from "../../domain/saving.ts";
import { amountColumn, attributeColumn, COLUMNS } from "./rows.ts";

/*
 * What an append runs in one transaction, while it holds the row of its epoch in `purser.ledger`: so nobody else adds to the epoch, and the
 * entries after the last one that was there before are exactly those that were added.
 */

const NAMES = COLUMNS.map(({ name }) => name).join(", ");

/** Copies rows. They are tab-separated, as `copyText` writes them. */
export const COPY_ROWS = `COPY purser.entry (${NAMES}) FROM STDIN`;

/** Adds the rows of a small batch: $1, $2, … are the columns, each a list. Returns nothing. */
export const INSERT_ROWS = `
  INSERT INTO purser.entry (${NAMES})
  SELECT ${COLUMNS.map(({ name, type }) => `listed.${name}::${type}`).join(", ")}
  FROM unnest(${COLUMNS.map(({ type }, i) => `$${i + 1}::${listType(type)}[]`).join(", ")}) AS listed (${NAMES})`;

/** Lists of lists would have to be of one length, and `pg` would write JSON once more; both go as texts. */
function listType(type: string): string {
  return type === "bigint" || type === "integer" ? type : "text";
}

/** Sets of attributes with sums of their own. A report that asks for no other is answered from them. */
export const CUBES = [
  { name: "team", attributes: ["org", "team", "feature", "provider", "model"] },
  { name: "user", attributes: ["org", "user", "model"] },
] as const;

export const HOUR_MS = 3_600_000;
export const DAY_MS = 86_400_000;

const AMOUNTS = REPORT_AMOUNTS.map(amountColumn);
const SUMS = AMOUNTS.map((amount) => `coalesce(sum(${amount}), 0)::bigint AS ${amount}`).join(", ");

/**
 * Adds to the rollups what the added entries book: $1 is their epoch, $2 and $3 are the first and the last of them, and $4 and $5
 * the earliest and the latest time.
 * Read from the table itself, so that rollups are sums of the ledger by construction. Rollup rows are locked in the order of their keys, so that
 * two ledgers that add at the same time do not wait for each other in a circle. Returns nothing.
 */
export const ADD_TO_ROLLUPS = `
  WITH booked AS MATERIALIZED (
    SELECT at, ${[...new Set(CUBES.flatMap(({ attributes }) => attributes.map(attributeColumn)))].join(", ")}, ${AMOUNTS.join(", ")}
    FROM purser.entry
    WHERE ledger = $1 AND seq BETWEEN $2 AND $3 AND at BETWEEN $4 AND $5
      AND (${AMOUNTS.map((amount) => `${amount} IS NOT NULL`).join(" OR ")})
  )${CUBES.map(rollupsOf).join("")}
  SELECT`;

/** What entries say that rungs saved, a row for each rung; conditions can follow. */
export const SAVING_COLUMNS = SAVING_AMOUNTS.map(amountColumn);
export const BOOKED_SAVINGS = `SELECT at, booked.* FROM purser.entry
    CROSS JOIN LATERAL json_to_recordset(savings) AS booked (budget text, rung text, ${SAVING_COLUMNS.map((column) => `${column} bigint`).join(", ")})
    WHERE savings IS NOT NULL`;

/** The same for what rungs saved: its sums are locked after the others, and in the order of their keys too. Returns nothing. */
export const ADD_TO_SAVINGS = `
  INSERT INTO purser.savings_hour AS known (at, digest, budget, rung, ${SAVING_COLUMNS.join(", ")})
  SELECT hour, digest, budget, rung, ${SAVING_COLUMNS.map((column) => `sum(${column})::bigint`).join(", ")}
  FROM (
    SELECT at - at % ${HOUR_MS} AS hour, sha256(convert_to(jsonb_build_array(budget, rung)::text, 'UTF8')) AS digest,
      budget, rung, ${SAVING_COLUMNS.join(", ")}
    FROM (${BOOKED_SAVINGS} AND ledger = $1 AND seq BETWEEN $2 AND $3 AND at BETWEEN $4 AND $5) AS added
  ) AS named
  GROUP BY hour, digest, budget, rung ORDER BY hour, digest
  ON CONFLICT (at, digest) DO UPDATE SET ${SAVING_COLUMNS.map((column) => `${column} = known.${column} + excluded.${column}`).join(", ")}`;

function rollupsOf({ name, attributes }: (typeof CUBES)[number]): string {
  const values = attributes.map(attributeColumn).join(", ");
  const hours = `
    SELECT at - at % ${HOUR_MS} AS at, sha256(convert_to(jsonb_build_array(${values})::text, 'UTF8')) AS digest, ${values}, ${SUMS}
    FROM booked GROUP BY at - at % ${HOUR_MS}, ${values}`;
  const days = `
    SELECT at - at % ${DAY_MS} AS at, digest, ${values}, ${SUMS}
    FROM ${name}_hours GROUP BY at - at % ${DAY_MS}, digest, ${values}`;
  const upsert = (step: string, rows: string) => `
    INSERT INTO purser.${name}_${step} AS known (at, digest, ${values}, ${AMOUNTS.join(", ")})
    SELECT at, digest, ${values}, ${AMOUNTS.join(", ")} FROM ${rows} ORDER BY at, digest
    ON CONFLICT (at, digest) DO UPDATE SET ${AMOUNTS.map((amount) => `${amount} = known.${amount} + excluded.${amount}`).join(", ")}`;
  return `
  , ${name}_hours AS (${hours}
  ), ${name}_days AS (${days}
  ), ${name}_hours_added AS (${upsert("hour", `${name}_hours`)}
  ), ${name}_days_added AS (${upsert("day", `${name}_days`)}
  )`;
}
