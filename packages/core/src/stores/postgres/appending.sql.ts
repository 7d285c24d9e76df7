import { REPORT_AMOUNTS } from "../../domain/report.ts";
import { amountColumn, attributeColumn, COLUMNS } from "./rows.ts";

const NAMES = COLUMNS.map(({ name }) => name).join(", ");

/** The table that large batches are copied to, one for each connection, empty after each transaction. Returns nothing. */
export const STAGE = "CREATE TEMPORARY TABLE IF NOT EXISTS purser_stage (LIKE purser.entry) ON COMMIT DELETE ROWS";

/** Copies rows to the stage. Rows are tab-separated, as `copyText` writes them. */
export const COPY = `COPY purser_stage (${NAMES}) FROM STDIN`;

/** Sets of attributes with sums of their own. A report that asks for no other is answered from them. */
export const CUBES = [
  { name: "team", attributes: ["org", "team", "feature", "provider", "model"] },
  { name: "user", attributes: ["org", "user", "model"] },
] as const;

const RETURNED = ["at", ...new Set(CUBES.flatMap(({ attributes }) => attributes.map(attributeColumn))), ...REPORT_AMOUNTS.map(amountColumn)].join(", ");

/**
 * Adds rows that are not there yet, and adds to the rollups what the added ones book: sums of the ledger by construction, whatever was there.
 * Rollup rows are locked in the order of their keys, so that two ledgers that add at the same time do not wait for each other in a circle.
 * Returns `added`.
 */
function insertFrom(source: string): string {
  return `
  WITH added AS (
    INSERT INTO purser.entry (${NAMES}) ${source} ON CONFLICT DO NOTHING RETURNING ${RETURNED}
  ), booked AS (
    SELECT * FROM added WHERE ${REPORT_AMOUNTS.map((amount) => `${amountColumn(amount)} IS NOT NULL`).join(" OR ")}
  )${CUBES.map(rollupsOf).join("")}
  SELECT count(*)::int AS added FROM added`;
}

function rollupsOf({ name, attributes }: (typeof CUBES)[number]): string {
  const values = attributes.map(attributeColumn).join(", ");
  const amounts = REPORT_AMOUNTS.map(amountColumn);
  const sums = amounts.map((amount) => `coalesce(sum(${amount}), 0)::bigint AS ${amount}`).join(", ");
  const upsert = (step: string, source: string) => `
  , ${name}_${step}_added AS (
    INSERT INTO purser.${name}_${step} AS known (at, digest, ${values}, ${amounts.join(", ")})
    ${source} ORDER BY 1, 2
    ON CONFLICT (at, digest) DO UPDATE SET ${amounts.map((amount) => `${amount} = known.${amount} + excluded.${amount}`).join(", ")}
  )`;
  return `
  , ${name}_hours AS (
    SELECT at - at % ${HOUR_MS} AS at, sha256(convert_to(jsonb_build_array(${values})::text, 'UTF8')) AS digest, ${values}, ${sums}
    FROM booked GROUP BY at - at % ${HOUR_MS}, ${values}
  )${upsert("hour", `SELECT at, digest, ${values}, ${amounts.join(", ")} FROM ${name}_hours`)}${upsert(
    "day",
    `SELECT at - at % ${DAY_MS}, digest, ${values}, ${sums} FROM ${name}_hours GROUP BY at - at % ${DAY_MS}, digest, ${values}`,
  )}`;
}

export const HOUR_MS = 3_600_000;
export const DAY_MS = 86_400_000;

/** Adds what was copied to the stage. Returns `added`. */
export const INSERT_STAGED = insertFrom(`SELECT ${NAMES} FROM purser_stage`);

/** Adds the rows of a small batch: $1, $2, … are the columns, each a list. Returns `added`. */
export const INSERT_LISTED = insertFrom(
  `SELECT ${COLUMNS.map(({ name, type }) => `listed.${name}::${type}`).join(", ")}
  FROM unnest(${COLUMNS.map(({ type }, i) => `$${i + 1}::${listType(type)}[]`).join(", ")}) AS listed (${NAMES})`,
);

/** Lists of lists would have to be of one length, and `pg` would write JSON once more; both go as texts. */
function listType(type: string): string {
  return type === "bigint" || type === "integer" ? type : "text";
}
