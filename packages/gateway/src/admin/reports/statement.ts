import {
  type Budget,
  callWith,
  checkTimeZone,
  decimalDollars,
  PurserError,
  type ReportPath,
  type ReportQuery,
  windowSpan,
} from "@purser/core";
import { instantJson } from "../balances.ts";
import { AMOUNT_FIELDS, type AmountsJson, amountsOf, checkedPath, monthStart, type ReportRowJson, sumOfAmounts } from "../report.ts";
import { csv } from "./csv.ts";

/** What one team (or product, or customer) is charged for a month. */
export interface StatementJson {
  /** The value of the attribute; null for calls that have none. */
  readonly value: string | null;
  /** Who answers for it: the owner of the budget that is for this value, else of one that is for all; of a cost centre, of the widest budget with it. */
  readonly owner: string | null;
  readonly total: AmountsJson;
  readonly before: AmountsJson;
  /** The part of the whole cost, from 0 to 1. */
  readonly share: number;
  readonly lines: readonly (AmountsJson & { readonly provider: string | null; readonly model: string | null })[];
}

/** The statements of a month: together they are all that was charged. */
export interface StatementsJson {
  readonly month: string;
  readonly since: string;
  readonly until: string;
  /** Whether the month is over, so that no statement of it changes any more. */
  readonly is_final: boolean;
  readonly time_zone: string;
  readonly by: string;
  readonly total: AmountsJson;
  readonly before: AmountsJson;
  readonly data: readonly StatementJson[];
}

/** What is asked: a month, and whose statements. */
export interface StatementQuery {
  readonly month: string;
  readonly by: ReportPath;
  readonly timeZone: string;
  readonly since: number;
  readonly until: number;
  /** When the month before began. */
  readonly beforeSince: number;
}

/** Reads what is asked from a URL. Throws `body_invalid` with what to do. */
export function readStatementQuery(query: URLSearchParams, { now, timeZone: zone }: { now: number; timeZone: string }): StatementQuery {
  const timeZone = checkTimeZone(query.get("time_zone") ?? zone);
  const span = (at: number) => windowSpan({ kind: "calendar", period: "month", timeZone }, at);
  const asked = query.get("month");
  if (asked !== null && !/^\d{4}-(0[1-9]|1[0-2])$/.test(asked)) throw new PurserError("body_invalid", '"month" is one such as 2026-11.');
  const { startsAt: since, resetsAt: until = since } = span(asked === null ? now : monthStart(asked, timeZone));
  const month = new Intl.DateTimeFormat("sv-SE", { timeZone, year: "numeric", month: "2-digit" }).format(since);
  return { month, by: checkedPath(query.get("by") ?? "team"), timeZone, since, until, beforeSince: span(since - 1).startsAt };
}

/** The two reports that statements are made of. */
export function statementReports({ by, timeZone, since, until, beforeSince }: StatementQuery): readonly [ReportQuery, ReportQuery] {
  return [
    { by: [by, "provider", "model"], since, until, timeZone },
    { by: [by], since: beforeSince, until: since, timeZone },
  ];
}

interface StatementParts {
  readonly query: StatementQuery;
  readonly now: number;
  /** Rows of the two reports. */
  readonly rows: readonly ReportRowJson[];
  readonly before: readonly ReportRowJson[];
  readonly budgets: readonly Budget[];
}

export function statementsJson({ query, now, rows, before, budgets }: StatementParts): StatementsJson {
  const { month, by, timeZone, since, until } = query;
  const total = sumOfAmounts(rows);
  const values = new Map<string | null, ReportRowJson[]>();
  for (const row of [...rows, ...before]) values.set(row.values[by] ?? null, []);
  for (const row of rows) values.get(row.values[by] ?? null)?.push(row);
  const earlier = new Map(before.map((row) => [row.values[by] ?? null, row]));
  const data = [...values].map(([value, lines]): StatementJson => {
    const sum = sumOfAmounts(lines);
    return {
      value,
      owner: ownerOf(budgets, by, value) ?? null,
      total: sum,
      before: amountsOf(earlier.get(value)),
      share: total.cost_nanodollars === 0 ? 0 : sum.cost_nanodollars / total.cost_nanodollars,
      lines: lines
        .map((row) => ({ provider: row.values.provider ?? null, model: row.values.model ?? null, ...amountsOf(row) }))
        .sort((a, b) => b.cost_nanodollars - a.cost_nanodollars),
    };
  });
  return {
    month,
    since: instantJson(since),
    until: instantJson(until),
    is_final: until <= now,
    time_zone: timeZone,
    by,
    total,
    before: sumOfAmounts(before),
    data: data.sort((a, b) => b.total.cost_nanodollars - a.total.cost_nanodollars),
  };
}

/** The owner of the budget that says most about a value, of those that ask for nothing else. */
function ownerOf(budgets: readonly Budget[], by: ReportPath, value: string | null): string | undefined {
  if (by === "owner") return value ?? undefined;
  const all = budgets.filter(({ owner }) => owner !== undefined);
  if (by === "cost_center" && value !== null) return widest(all.filter(({ costCenter }) => costCenter === value))?.owner;
  const { subject } = value === null ? { subject: {} } : callWith(by, value);
  const owned = all.filter(({ selects }) => selects(subject));
  return (owned.find(({ selector }) => by in selector) ?? owned[0])?.owner;
}

function widest(budgets: readonly Budget[]): Budget | undefined {
  const [first] = budgets.toSorted((a, b) => Object.keys(a.selector).length - Object.keys(b.selector).length);
  return first;
}

/** One line for each model of each statement; their sum is what was charged, to the nano-dollar. */
export function statementsCsv({ month, by, data }: StatementsJson): string {
  const heading = ["month", by, "owner", "provider", "model", ...AMOUNT_FIELDS.map((field) => field.replace("nanodollars", "dollars"))];
  const lines = data.flatMap(({ value, owner, lines }) =>
    lines.map((line) => [
      month,
      value ?? "",
      owner ?? "",
      line.provider ?? "",
      line.model ?? "",
      ...AMOUNT_FIELDS.map((field) => (field.endsWith("nanodollars") ? decimalDollars(line[field]) : String(line[field]))),
    ]),
  );
  return csv([heading, ...lines]);
}
