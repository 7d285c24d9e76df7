import {
  checkTimeZone,
  decimalDollars,
  isReportPath,
  PurserError,
  REPORT_AMOUNTS,
  REPORT_STEPS,
  type ReportAmounts,
  type ReportFilter,
  type ReportPath,
  type ReportQuery,
  type ReportRow,
  type ReportStep,
  windowSpan,
} from "@purser/core";
import { instantJson } from "./balances.ts";
import { usageField } from "./call-report.ts";
import { csv } from "./reports/csv.ts";
import { FOCUS_ATTRIBUTES } from "./reports/focus.ts";

/** Usage and cost of a time, as programs read it. Amounts are integers; money is in nano-dollars. */
export interface ReportJson {
  /** The period before, where it is compared with. */
  readonly compared?: { readonly since: string; readonly until: string };
  readonly since: string;
  readonly until: string;
  readonly by: readonly string[];
  readonly step: ReportStep | null;
  readonly time_zone: string;
  readonly data: readonly ReportRowJson[];
}

/** What was used of everything. */
export type AmountsJson = Readonly<Record<AmountField, number>>;

export interface ReportRowJson extends AmountsJson {
  /** The same in the period before, where it is compared with. */
  readonly before?: AmountsJson;
  readonly from: string;
  readonly to: string;
  /** By attribute; null where calls have none. */
  readonly values: Readonly<Record<string, string | null>>;
}

export const AMOUNT_FIELDS = [
  "calls",
  "refusals",
  "input_tokens",
  "cache_read_input_tokens",
  "cache_write_input_tokens",
  "output_tokens",
  "reasoning_output_tokens",
  "cost_nanodollars",
  "estimated_nanodollars",
  "unconfirmed_nanodollars",
  "unpriced_calls",
  "resent_input_tokens",
  "resent_cache_read_input_tokens",
  "resent_nanodollars",
  "known_answers",
  "saved_nanodollars",
] as const;
export type AmountField = (typeof AMOUNT_FIELDS)[number];

const MONEY: Partial<Record<keyof ReportAmounts, AmountField>> = {
  cost: "cost_nanodollars",
  estimatedCost: "estimated_nanodollars",
  resentCost: "resent_nanodollars",
  savedCost: "saved_nanodollars",
  unconfirmedCost: "unconfirmed_nanodollars",
};

export function reportJson(rows: readonly ReportRow[], query: ReportQuery): ReportJson {
  const { since, until, by = [], step, timeZone = "UTC" } = query;
  const data = rows.map((row) => ({
    from: instantJson(row.from),
    to: instantJson(row.to),
    values: Object.fromEntries(by.map((path, i) => [path, row.values[i] ?? null])),
    ...(Object.fromEntries(REPORT_AMOUNTS.map((name) => [MONEY[name] ?? usageField(name), row[name]])) as Record<AmountField, number>),
  }));
  return { since: instantJson(since), until: instantJson(until), by, step: step ?? null, time_zone: timeZone, data };
}

/** A report beside that of the period before: what was used in only one of them has nothing in the other. */
export function comparedJson(now: ReportJson, before: ReportJson): ReportJson {
  const earlier = new Map(before.data.map((row) => [JSON.stringify(row.values), row]));
  const data = now.data.map((row) => ({ ...row, before: amountsOf(earlier.get(JSON.stringify(row.values))) }));
  const known = new Set(now.data.map(({ values }) => JSON.stringify(values)));
  const gone = before.data.filter(({ values }) => !known.has(JSON.stringify(values)));
  const { since: from, until: to } = now;
  return {
    ...now,
    compared: { since: before.since, until: before.until },
    data: [...data, ...gone.map((row) => ({ from, to, values: row.values, ...NO_AMOUNTS, before: amountsOf(row) }))],
  };
}

const NO_AMOUNTS = Object.fromEntries(AMOUNT_FIELDS.map((field) => [field, 0])) as unknown as AmountsJson;

/** The amounts of a row without what else stands in it. */
export function amountsOf(row: AmountsJson | undefined): AmountsJson {
  return row ? (Object.fromEntries(AMOUNT_FIELDS.map((field) => [field, row[field]])) as unknown as AmountsJson) : NO_AMOUNTS;
}

export function sumOfAmounts(rows: readonly AmountsJson[]): AmountsJson {
  return Object.fromEntries(
    AMOUNT_FIELDS.map((field) => [field, rows.reduce((sum, row) => sum + row[field], 0)]),
  ) as unknown as AmountsJson;
}

/** For spreadsheets. Amounts are whole numbers; money is in dollars with nine decimals, exactly. */
export function reportCsv({ data, by, compared }: ReportJson): string {
  const amounts = (row: AmountsJson) =>
    AMOUNT_FIELDS.map((field) => (field.endsWith("nanodollars") ? decimalDollars(row[field]) : String(row[field])));
  const names = AMOUNT_FIELDS.map((field) => field.replace("nanodollars", "dollars"));
  const heading = ["from", "to", ...by, ...names, ...(compared ? names.map((name) => `before_${name}`) : [])];
  const lines = data.map((row) => [
    row.from,
    row.to,
    ...by.map((path) => row.values[path] ?? ""),
    ...amounts(row),
    ...(row.before ? amounts(row.before) : []),
  ]);
  return csv([heading, ...lines]);
}

const BY_MOST = 8;
const FIELDS = ["since", "until", "by", "step", "time_zone", "filter"];

/** How a report is written, and what stands beside it. */
export interface ReportForm {
  readonly format: "json" | "csv" | "focus";
  readonly isCompared: boolean;
}

/** Reads what a report is asked, with how it is to be written. Throws `body_invalid` with what to do. */
export function readReport(query: URLSearchParams, terms: { now: number; timeZone: string }): ReportForm & { readonly query: ReportQuery } {
  const rest = new URLSearchParams(query);
  for (const name of ["format", "compare"]) rest.delete(name);
  const format = query.get("format") ?? "json";
  const compare = query.get("compare");
  if (format !== "json" && format !== "csv" && format !== "focus") throw invalid('"format" is json, csv or focus.');
  if (compare !== null && compare !== "before") throw invalid('"compare" is before: the period before.');
  const asked = readReportQuery(rest, terms);
  const isCompared = compare !== null;
  if (isCompared && asked.step !== undefined) throw invalid("A report that is compared has no steps. Leave out `step` or `compare`.");
  if (format !== "focus") return { query: asked, format, isCompared };
  if (isCompared || (asked.step !== undefined && asked.step === "month"))
    throw invalid("FOCUS has a row for each day or hour, and compares nothing. Leave out `compare`, and let `step` be day or hour.");
  // The days of FOCUS are those of UTC, so that a charge lies in one month.
  const by = [...FOCUS_ATTRIBUTES, ...(asked.by ?? []).filter((path) => !FOCUS_ATTRIBUTES.some((known) => known === path))];
  return { query: { ...asked, by, step: asked.step ?? "day", timeZone: "UTC" }, format, isCompared };
}

/** Reads what a report is asked, from the query of a URL. Throws `body_invalid` with what to do. */
export function readReportQuery(query: URLSearchParams, { now, timeZone: zone }: { now: number; timeZone: string }): ReportQuery {
  for (const field of query.keys()) {
    if (!FIELDS.includes(field)) throw invalid(`"${field}" is not a part of a report. Parts are ${FIELDS.join(", ")}.`);
  }
  const timeZone = checkTimeZone(query.get("time_zone") ?? zone);
  const since = query.get("since");
  const until = query.get("until");
  const step = query.get("step");
  if (step !== null && !isStep(step)) throw invalid(`"step" is one of ${REPORT_STEPS.join(", ")}.`);
  const filter = readFilter(query.getAll("filter"));
  return {
    since:
      since === null ? windowSpan({ kind: "calendar", period: "month", timeZone }, now).startsAt : readInstant("since", since, timeZone),
    until: until === null ? now : readInstant("until", until, timeZone),
    by: readPaths(query.getAll("by")),
    timeZone,
    ...(step !== null && { step }),
    ...(filter && { filter }),
  };
}

function isStep(text: string): text is ReportStep {
  return (REPORT_STEPS as readonly string[]).includes(text);
}

function readPaths(given: readonly string[]): readonly ReportPath[] {
  const paths = given.flatMap((text) => text.split(",")).flatMap((text) => text.trim() || []);
  if (paths.length > BY_MOST) throw invalid(`A report is by at most ${BY_MOST} attributes.`);
  return paths.map(checkedPath);
}

/** `team=search` again and again: all attributes hold, and any of the values of one. */
export function readFilter(given: readonly string[]): ReportFilter | undefined {
  if (given.length === 0) return undefined;
  const filter = new Map<ReportPath, string[]>();
  for (const text of given) {
    const at = text.indexOf("=");
    if (at < 1) throw invalid(`A filter is written ATTRIBUTE=VALUE, like team=search, not "${text}".`);
    const path = checkedPath(text.slice(0, at).trim());
    filter.set(path, [...(filter.get(path) ?? []), text.slice(at + 1)]);
  }
  return Object.fromEntries(filter);
}

/** Throws `body_invalid` for what no report is by. */
export function checkedPath(path: string): ReportPath {
  if (isReportPath(path)) return path;
  throw invalid(
    `"${path}" is not an attribute of a call. Take org, team, product, feature, user, tier, session, task, key, provider, model, endpoint, tag.NAME, cost_center or owner.`,
  );
}

/** A day begins where the clock of the zone says; anything else is an instant. */
export function readInstant(field: string, text: string, timeZone: string): number {
  const day = /^\d{4}-\d{2}(-\d{2})?$/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(day)) return startOfDay(day, timeZone);
  const instant = /^\d{4}-\d{2}-\d{2}T.*(Z|[+-]\d{2}:?\d{2})$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(instant)) throw invalid(`"${field}" is a day, a month or an instant: 2026-11-01, 2026-11 or 2026-11-01T08:00:00Z.`);
  return instant;
}

/** The zone's day that has the same date as `utc` has in UTC. At noon of that date every zone shows it, or the day before or after. */
function startOfDay(utc: number, timeZone: string): number {
  const wanted = new Date(utc).toISOString().slice(0, 10);
  for (const noon of [utc + 12 * HOUR_MS, utc - 12 * HOUR_MS, utc + 36 * HOUR_MS]) {
    if (dateIn(noon, timeZone) === wanted) return windowSpan({ kind: "calendar", period: "day", timeZone }, noon).startsAt;
  }
  throw invalid(`There is no ${wanted} in ${timeZone}.`);
}

const HOUR_MS = 3_600_000;

/** Where a month, `2026-11`, begins by the calendar of a zone. */
export function monthStart(month: string, timeZone: string): number {
  return startOfDay(Date.parse(month), timeZone);
}

function dateIn(instant: number, timeZone: string): string {
  return new Intl.DateTimeFormat("en-CA", { timeZone, year: "numeric", month: "2-digit", day: "2-digit" }).format(instant);
}

function invalid(message: string): PurserError {
  return new PurserError("body_invalid", message);
}
