import { sumTooLarge } from "../../domain/exact-sum.ts";
import {
  orderedRows,
  REPORT_AMOUNTS,
  REPORT_ROWS_MOST,
  type ReportAmounts,
  type ReportQuery,
  type ReportRow,
  type ReportSpan,
  reportSteps,
  reportTooLong,
} from "../../domain/report.ts";
import { foldModel, type SubjectPath } from "../../domain/subject.ts";
import { CUBES, DAY_MS, HOUR_MS } from "./appending.sql.ts";
import { type Database, integerOf } from "./pool.ts";
import { amountColumn, attributeColumn } from "./rows.ts";
import { around, inner, joined } from "./spans.ts";

/** A report that needs longer is not worth the server's time; shorter spans or fewer attributes are. */
const REPORT_MS = 60_000;
/** Adding up is cheaper in memory than on disk, and compiling costs more than it saves. */
const BEGIN = `BEGIN READ ONLY; SET LOCAL jit = off; SET LOCAL work_mem = '64MB'; SET LOCAL statement_timeout = ${REPORT_MS}`;

/**
 * Answers from days where a whole UTC day lies in a step, from hours where a whole hour does, and from the entries for what is left, all in one
 * statement, so that the parts fit together while entries come in.
 */
export async function readReport(database: Database, query: ReportQuery): Promise<readonly ReportRow[]> {
  const steps = reportSteps(query);
  const { sql, values } = reportSql(query, steps);
  const { rows } = await database.transaction((client) => client.query(database.sql(sql), values), BEGIN);
  if (rows.length > REPORT_ROWS_MOST) throw reportTooLong();
  return orderedRows(rows.map((row) => reportRow(row, query, steps)));
}

const COLUMNS = REPORT_AMOUNTS.map((amount) => [amount, amountColumn(amount)] as const);

function reportRow(
  row: Readonly<Record<string, string | number | null>>,
  { by = [] }: ReportQuery,
  steps: readonly ReportSpan[],
): ReportRow {
  const { from, to } = steps[Number(row.step) - 1] as ReportSpan;
  const values = by.map((_, i) => (row[`value_${i}`] ?? undefined) as string | undefined);
  const amounts: Partial<Record<keyof ReportAmounts, number>> = {};
  for (const [amount, column] of COLUMNS) amounts[amount] = integerOf(row[column] ?? 0, sumTooLarge);
  return { from, to, values, ...(amounts as ReportAmounts) };
}

function reportSql(query: ReportQuery, steps: readonly ReportSpan[]): { readonly sql: string; readonly values: unknown[] } {
  const { by = [], filter = {} } = query;
  const asked = [...by, ...Object.keys(filter)];
  const cube = CUBES.find(({ attributes }) => asked.every((path) => (attributes as readonly string[]).includes(path)));
  const values: unknown[] = [steps.map(({ from }) => from)];
  const bound = (value: unknown) => `$${values.push(value)}`;
  const columns = by.map((path, i) => `${columnOf(path, bound)} AS value_${i}`);
  const conditions = filterConditions(filter, bound);
  const amounts = REPORT_AMOUNTS.map(amountColumn);
  const parts = sourcesOf(cube?.name, steps).flatMap(({ table, spans }) => {
    if (spans.length === 0) return [];
    const { join, condition } = within(spans, bound);
    const where = [condition, ...conditions].join(" AND ");
    const selected = [`width_bucket(at, $1::bigint[]) AS step`, ...columns, ...amounts].join(", ");
    return [`SELECT ${selected} FROM purser.${table}${join} WHERE ${where}`];
  });
  const groups = ["step", ...by.map((_, i) => `value_${i}`)].join(", ");
  const sums = amounts.map((amount) => `sum(${amount}) AS ${amount}`).join(", ");
  return {
    sql: `SELECT ${groups}, ${sums} FROM (${parts.join(" UNION ALL ")}) AS booked GROUP BY ${groups} LIMIT ${REPORT_ROWS_MOST + 1}`,
    values,
  };
}

/** The tables that a report is read from, and the spans of time each of them answers for. */
function sourcesOf(cube: string | undefined, steps: readonly ReportSpan[]): readonly { table: string; spans: readonly ReportSpan[] }[] {
  if (cube === undefined) return [{ table: "entry", spans: joined(steps) }];
  const hours = steps.map((step) => inner(step, HOUR_MS));
  const days = hours.map((step) => inner(step, DAY_MS));
  return [
    { table: `${cube}_day`, spans: joined(days) },
    { table: `${cube}_hour`, spans: joined(hours.flatMap((span, i) => around(span, days[i] as ReportSpan))) },
    { table: "entry", spans: joined(steps.flatMap((span, i) => around(span, hours[i] as ReportSpan))) },
  ];
}

const SPANS_WRITTEN_OUT = 16;

/** Few spans are written out, so that the planner sees them; many are joined. */
function within(spans: readonly ReportSpan[], bound: (value: unknown) => string): { readonly join: string; readonly condition: string } {
  if (spans.length <= SPANS_WRITTEN_OUT) {
    return { join: "", condition: `(${spans.map(({ from, to }) => `at >= ${from} AND at < ${to}`).join(" OR ")})` };
  }
  const starts = bound(spans.map(({ from }) => from));
  const ends = bound(spans.map(({ to }) => to));
  return {
    join: ` JOIN unnest(${starts}::bigint[], ${ends}::bigint[]) AS span (first, past) ON at >= first AND at < past`,
    condition: `at >= ${spans[0]?.from} AND at < ${spans.at(-1)?.to}`,
  };
}

function columnOf(path: string, bound: (value: unknown) => string): string {
  return path.startsWith("tag.") ? `tags ->> ${bound(path.slice(4))}::text` : attributeColumn(path);
}

/** As `compileSelector` selects: every named value must match one of its patterns. */
function filterConditions(filter: NonNullable<ReportQuery["filter"]>, bound: (value: unknown) => string): readonly string[] {
  return Object.entries(filter).map(([path, wanted]) => {
    const isModel = (path as SubjectPath) === "model";
    const patterns = [wanted ?? []].flat().map((pattern) => likePattern(isModel ? foldModel(pattern) : pattern));
    const column = columnOf(path, bound);
    return `${isModel ? `lower(${column})` : column} LIKE ANY(${bound(patterns)}::text[])`;
  });
}

function likePattern(pattern: string): string {
  return pattern.replace(/[\\%_]/g, "\\$&").replaceAll("*", "%");
}
