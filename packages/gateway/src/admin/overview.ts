import { type ReportQuery, type ReportRow, type SubjectPath, windowSpan } from "@purser/core";
import { instantJson } from "./balances.ts";
import type { Figures } from "./figures.ts";
import { isPaceKnown } from "./outlook.ts";

/** What is used today and this month, by whom, and where it leads. Money is in nano-dollars. */
export interface OverviewJson {
  readonly at: string;
  readonly time_zone: string;
  /** Whether the sums are of the whole ledger: after the first start over an old one they take a while to make. */
  readonly is_complete: boolean;
  readonly today: PeriodJson;
  readonly month: PeriodJson;
  /** What the month will have cost, if the rest of it goes on as the last seven days did; null where it is too early to say. */
  readonly month_expected_nanodollars: number | null;
  /** The last 48 hours, without those in which nothing was. */
  readonly hours: readonly PointJson[];
  /** The last 90 days, without those in which nothing was. */
  readonly days: readonly PointJson[];
  readonly top: readonly TopJson[];
}

export interface AmountsJson {
  readonly calls: number;
  readonly refusals: number;
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cost_nanodollars: number;
}

export interface PeriodJson extends AmountsJson {
  readonly from: string;
  readonly to: string;
  /** The period before, up to the same hour, and all of it. */
  readonly before: AmountsJson;
  readonly before_whole: AmountsJson;
}

export interface PointJson extends AmountsJson {
  readonly from: string;
}

/** Who used most this month, by one attribute. */
export interface TopJson {
  readonly by: SubjectPath;
  readonly rows: readonly (AmountsJson & { readonly value: string | null; readonly share: number })[];
  /** How many values there are, and how many of them, the dearest first, make half of the cost. */
  readonly values: number;
  readonly half: number;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const RATE_MS = 7 * DAY_MS;
const DAYS_SHOWN = 90;
const HOURS_SHOWN = 48;
const TOP_BY = ["team", "user", "feature", "model", "key"] as const;
const TOP_MOST = 8;

export async function readOverview(figures: Figures, { now, timeZone }: { now: number; timeZone: string }): Promise<OverviewJson> {
  const day = spanAt("day", now, timeZone);
  const month = spanAt("month", now, timeZone);
  const yesterday = spanAt("day", day.from - 1, timeZone);
  const lastMonth = spanAt("month", month.from - 1, timeZone);
  const until = now + 1;
  // As much of last month as is over of this one: whole days, and the hours of the day after them.
  const sameTime = Math.min(lastMonth.to, lastMonth.from + (now - month.from));
  const sameDay = spanAt("day", sameTime - 1, timeZone);
  const queries: readonly ReportQuery[] = [
    { since: spanAt("day", now - RATE_MS, timeZone).from, until, step: "hour", timeZone },
    { since: spanAt("day", now - DAYS_SHOWN * DAY_MS, timeZone).from, until, step: "day", timeZone },
    { since: sameDay.from, until: sameDay.to, step: "hour", timeZone },
    ...TOP_BY.map((by) => ({ since: month.from, until, by: [by], timeZone })),
  ];
  const { reports, isComplete } = await figures.glance(queries);
  const [hours = [], days = [], hoursThen = [], ...tops] = reports;
  const monthSoFar = sum(days, month.from, until);
  const { rate, knownMs } = paceOf(hours, days, now);
  const isKnown = isPaceKnown(knownMs, month.to - month.from);
  return {
    at: instantJson(now),
    time_zone: timeZone,
    is_complete: isComplete,
    today: {
      ...spanJson(day),
      ...sum(hours, day.from, until),
      before: sum(hours, yesterday.from, Math.min(yesterday.to, yesterday.from + (now - day.from))),
      before_whole: sum(hours, yesterday.from, yesterday.to),
    },
    month: {
      ...spanJson(month),
      ...monthSoFar,
      before: added(sum(days, lastMonth.from, sameDay.from), sum(hoursThen, sameDay.from, sameTime)),
      before_whole: sum(days, lastMonth.from, lastMonth.to),
    },
    month_expected_nanodollars: isKnown ? monthSoFar.cost_nanodollars + Math.round(rate * (month.to - now)) : null,
    hours: hours.filter(({ from }) => from > now - HOURS_SHOWN * HOUR_MS).map(pointJson),
    days: days.map(pointJson),
    top: TOP_BY.map((by, i) => topJson(by, tops[i] ?? [])),
  };
}

interface Span {
  readonly from: number;
  readonly to: number;
}

function spanAt(period: "day" | "month", at: number, timeZone: string): Span {
  const { startsAt, resetsAt = at } = windowSpan({ kind: "calendar", period, timeZone }, at);
  return { from: startsAt, to: resetsAt };
}

function spanJson({ from, to }: Span) {
  return { from: instantJson(from), to: instantJson(to) };
}

/** Of the last seven days, or of the time since the first call where that is shorter: the cost of a millisecond, and for how long that was looked at. */
function paceOf(hours: readonly ReportRow[], days: readonly ReportRow[], now: number) {
  const isYounger = days.every(({ from }) => from > now - RATE_MS);
  const since = isYounger ? (hours[0]?.from ?? now) : now - RATE_MS;
  return { rate: sum(hours, since, now + 1).cost_nanodollars / Math.max(HOUR_MS, now - since), knownMs: now - since };
}

function sum(rows: readonly ReportRow[], from: number, to: number): AmountsJson {
  const within = rows.filter((row) => row.from >= from && row.from < to);
  const of = (name: "calls" | "refusals" | "inputTokens" | "outputTokens" | "cost") => within.reduce((all, row) => all + row[name], 0);
  return {
    calls: of("calls"),
    refusals: of("refusals"),
    input_tokens: of("inputTokens"),
    output_tokens: of("outputTokens"),
    cost_nanodollars: of("cost"),
  };
}

function added(a: AmountsJson, b: AmountsJson): AmountsJson {
  return {
    calls: a.calls + b.calls,
    refusals: a.refusals + b.refusals,
    input_tokens: a.input_tokens + b.input_tokens,
    output_tokens: a.output_tokens + b.output_tokens,
    cost_nanodollars: a.cost_nanodollars + b.cost_nanodollars,
  };
}

function pointJson(row: ReportRow): PointJson {
  return { from: instantJson(row.from), ...amountsJson(row) };
}

function amountsJson({ calls, refusals, inputTokens, outputTokens, cost }: ReportRow): AmountsJson {
  return { calls, refusals, input_tokens: inputTokens, output_tokens: outputTokens, cost_nanodollars: cost };
}

function topJson(by: SubjectPath, rows: readonly ReportRow[]): TopJson {
  const total = rows.reduce((all, { cost }) => all + cost, 0);
  const dearest = rows.toSorted((a, b) => b.cost - a.cost || b.calls - a.calls);
  const named = dearest.filter(({ values: [value] }) => value !== undefined);
  let half = 0;
  for (let cost = 0; half < named.length && cost * 2 < total; half++) cost += (named[half] as ReportRow).cost;
  return {
    by,
    rows: dearest
      .slice(0, TOP_MOST)
      .map((row) => ({ value: row.values[0] ?? null, share: total === 0 ? 0 : row.cost / total, ...amountsJson(row) })),
    values: named.length,
    half,
  };
}
