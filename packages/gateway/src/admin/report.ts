import {
  checkTimeZone,
  isSubjectPath,
  PurserError,
  REPORT_AMOUNTS,
  REPORT_STEPS,
  type ReportAmounts,
  type ReportQuery,
  type ReportRow,
  type ReportStep,
  type SubjectPath,
  windowSpan,
} from "@purser/core";
import { instantJson } from "./balances.ts";
import { usageField } from "./call-report.ts";

/** Usage and cost of a time, as programs read it. Amounts are integers; money is in nano-dollars. */
export interface ReportJson {
  readonly since: string;
  readonly until: string;
  readonly by: readonly string[];
  readonly step: ReportStep | null;
  readonly time_zone: string;
  readonly data: readonly ReportRowJson[];
}

export interface ReportRowJson extends Readonly<Record<AmountField, number>> {
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
  "unconfirmed_nanodollars",
  "unpriced_calls",
] as const;
export type AmountField = (typeof AMOUNT_FIELDS)[number];

const MONEY: Partial<Record<keyof ReportAmounts, AmountField>> = { cost: "cost_nanodollars", unconfirmedCost: "unconfirmed_nanodollars" };

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

const BY_MOST = 8;
const FIELDS = ["since", "until", "by", "step", "time_zone", "filter"];

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

function readPaths(given: readonly string[]): readonly SubjectPath[] {
  const paths = given.flatMap((text) => text.split(",")).flatMap((text) => text.trim() || []);
  if (paths.length > BY_MOST) throw invalid(`A report is by at most ${BY_MOST} attributes.`);
  return paths.map(checkedPath);
}

/** `team=search` again and again: all attributes hold, and any of the values of one. */
export function readFilter(given: readonly string[]): ReportQuery["filter"] | undefined {
  if (given.length === 0) return undefined;
  const filter = new Map<SubjectPath, string[]>();
  for (const text of given) {
    const at = text.indexOf("=");
    if (at < 1) throw invalid(`A filter is written ATTRIBUTE=VALUE, like team=search, not "${text}".`);
    const path = checkedPath(text.slice(0, at).trim());
    filter.set(path, [...(filter.get(path) ?? []), text.slice(at + 1)]);
  }
  return Object.fromEntries(filter);
}

function checkedPath(path: string): SubjectPath {
  if (isSubjectPath(path)) return path;
  throw invalid(
    `"${path}" is not an attribute of a call. Take org, team, product, feature, user, tier, session, task, key, provider, model, endpoint or tag.NAME.`,
  );
}

/** A day begins where the clock of the zone says; anything else is an instant. */
function readInstant(field: string, text: string, timeZone: string): number {
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

function dateIn(instant: number, timeZone: string): string {
  return new Intl.DateTimeFormat("en-CA", { timeZone, year: "numeric", month: "2-digit", day: "2-digit" }).format(instant);
}

function invalid(message: string): PurserError {
  return new PurserError("body_invalid", message);
}
