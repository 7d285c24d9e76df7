import { PurserError, type ReportPath, type ReportQuery } from "@purser/core";
import { type AmountsJson, checkedPath, type ReportJson, type ReportRowJson, readReportQuery, sumOfAmounts } from "../report.ts";

/** Who spends most, and how much of the whole that is. */
export interface SpendersJson {
  readonly since: string;
  readonly until: string;
  readonly time_zone: string;
  readonly by: string;
  /** How many there are in all. */
  readonly spenders: number;
  readonly total: AmountsJson;
  /** The dearest of them. */
  readonly data: readonly SpenderJson[];
  /** How much the dearest few in a hundred use: 3 % of users use 40 %. */
  readonly concentration: readonly { readonly percent: number; readonly spenders: number; readonly share: number }[];
}

export interface SpenderJson extends AmountsJson {
  /** Null for all calls without a value together. */
  readonly value: string | null;
  /** The part of the whole cost, from 0 to 1. */
  readonly share: number;
}

const SHOWN = 10;
const SHOWN_MOST = 1_000;
const PERCENTS = [1, 3, 10, 20];

export interface SpendersQuery {
  readonly report: ReportQuery & { readonly by: readonly [ReportPath] };
  readonly most: number;
}

/** Reads what is asked from a URL. Throws `body_invalid` with what to do. */
export function readSpendersQuery(query: URLSearchParams, terms: { readonly now: number; readonly timeZone: string }): SpendersQuery {
  const rest = new URLSearchParams(query);
  for (const name of ["by", "most"]) rest.delete(name);
  const by = checkedPath(query.get("by") ?? "user");
  const most = query.get("most") ?? String(SHOWN);
  if (!/^\d+$/.test(most) || Number(most) < 1 || Number(most) > SHOWN_MOST)
    throw new PurserError("body_invalid", `"most" is a number from 1 to ${SHOWN_MOST}.`);
  const { step: _, ...report } = readReportQuery(rest, terms);
  return { report: { ...report, by: [by] }, most: Number(most) };
}

export function spendersJson(
  { since, until, time_zone, data }: ReportJson,
  {
    report: {
      by: [by],
    },
    most,
  }: SpendersQuery,
): SpendersJson {
  const total = sumOfAmounts(data);
  const whole = total.cost_nanodollars;
  const share = (rows: readonly ReportRowJson[]) => (whole === 0 ? 0 : rows.reduce((sum, row) => sum + row.cost_nanodollars, 0) / whole);
  const dearest = [...data].sort((a, b) => b.cost_nanodollars - a.cost_nanodollars);
  const named = dearest.filter(({ values, calls }) => (values[by] ?? null) !== null && calls > 0);
  return {
    since,
    until,
    time_zone,
    by,
    spenders: named.length,
    total,
    data: dearest.slice(0, most).map(({ from: _, to: _to, values, ...amounts }) => ({
      value: values[by] ?? null,
      ...amounts,
      share: whole === 0 ? 0 : amounts.cost_nanodollars / whole,
    })),
    concentration: PERCENTS.flatMap((percent) => {
      const spenders = Math.max(1, Math.floor((named.length * percent) / 100));
      // Of few, a few in a hundred are none.
      return (named.length * percent) / 100 < 1 ? [] : [{ percent, spenders, share: share(named.slice(0, spenders)) }];
    }),
  };
}
