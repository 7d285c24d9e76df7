import { PurserError, parseDollars, type ReportPath, type ReportQuery } from "@purser/core";
import { checkedPath, type ReportJson, readReportQuery, sumOfAmounts } from "../report.ts";

/** What a call, a million tokens, a user or a session costs. Money in nano-dollars, rounded; null where there is nothing to divide by. */
export interface EconomicsJson {
  readonly since: string;
  readonly until: string;
  readonly time_zone: string;
  readonly calls: number;
  readonly tokens: number;
  readonly cost_nanodollars: number;
  /** Those who are named in calls: with a key that says who they are, or a header. */
  readonly users: number;
  readonly sessions: number;
  /** On how many days each user was there, added up. */
  readonly user_days: number;
  readonly per: Readonly<Record<PerUnit, number | null>>;
  /** How many calls an amount pays for, at what one costs. */
  readonly affords: { readonly nanodollars: number; readonly calls: number | null } | null;
  /** Against what came in, by the values of an attribute. */
  readonly against: AgainstJson | null;
}

export type PerUnit = "call" | "million_tokens" | "user" | "user_day" | "session";

export interface AgainstJson {
  readonly by: string;
  readonly data: readonly {
    /** Null for what no revenue is named for. */
    readonly value: string | null;
    readonly cost_nanodollars: number;
    readonly revenue_nanodollars: number;
    readonly margin_nanodollars: number;
    /** The cost of each dollar that came in; null where none did. */
    readonly cost_share: number | null;
  }[];
}

export interface EconomicsQuery {
  readonly report: ReportQuery;
  readonly afford: number | undefined;
  readonly against: { readonly by: ReportPath; readonly revenue: ReadonlyMap<string, number> } | undefined;
}

const FIELDS = ["since", "until", "time_zone", "filter", "afford", "by", "revenue"];

/** Reads what is asked. Throws `body_invalid` with what to do. */
export function readEconomicsQuery(body: unknown, terms: { readonly now: number; readonly timeZone: string }): EconomicsQuery {
  if (body !== undefined && (typeof body !== "object" || body === null || Array.isArray(body))) throw invalid("This is no JSON object.");
  const fields = (body ?? {}) as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(fields).find((field) => !FIELDS.includes(field));
  if (unknown !== undefined) throw invalid(`"${unknown}" is not a part of this question. Parts are ${FIELDS.join(", ")}.`);
  const query = new URLSearchParams();
  for (const name of ["since", "until", "time_zone", "filter"])
    for (const value of [fields[name] ?? []].flat()) query.append(name, String(value));
  const { by, revenue, afford } = fields;
  if ((by === undefined) !== (revenue === undefined))
    throw invalid('"revenue" needs "by", the attribute whose values it names, and the other way round.');
  return {
    report: readReportQuery(query, terms),
    afford: afford === undefined ? undefined : amountOf("afford", afford),
    against: by === undefined ? undefined : { by: checkedPath(String(by)), revenue: readRevenue(revenue) },
  };
}

function readRevenue(value: unknown): ReadonlyMap<string, number> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid('"revenue" is an object: { "acme": "1200.00" }.');
  return new Map(Object.entries(value).map(([name, amount]) => [name, amountOf(`revenue of ${name}`, amount)]));
}

function amountOf(name: string, value: unknown): number {
  if (typeof value !== "string" && typeof value !== "number") throw invalid(`The ${name} is an amount in dollars: "0.50".`);
  return parseDollars(value);
}

/** The reports that the answer is made of. */
export function economicsReports({ report, against }: EconomicsQuery): readonly ReportQuery[] {
  return [{ ...report, by: ["user"], step: "day" }, { ...report, by: ["session"] }, ...(against ? [{ ...report, by: [against.by] }] : [])];
}

export function economicsJson(query: EconomicsQuery, [users, sessions, costs]: readonly ReportJson[]): EconomicsJson {
  if (!users || !sessions) throw new PurserError("internal", "A report is missing.");
  const { since, until, time_zone, data } = users;
  const { calls, input_tokens, output_tokens, cost_nanodollars: cost } = sumOfAmounts(data);
  const tokens = input_tokens + output_tokens;
  const named = data.filter(({ values, calls }) => (values.user ?? null) !== null && calls > 0);
  const inSessions = sessions.data.filter(({ values, calls }) => (values.session ?? null) !== null && calls > 0);
  const userCount = new Set(named.map(({ values }) => values.user)).size;
  const perCall = calls === 0 ? undefined : cost / calls;
  const { afford } = query;
  return {
    since,
    until,
    time_zone,
    calls,
    tokens,
    cost_nanodollars: cost,
    users: userCount,
    sessions: inSessions.length,
    user_days: named.length,
    per: {
      call: rounded(cost, calls),
      million_tokens: rounded(cost * 1e6, tokens),
      user: rounded(sumOfAmounts(named).cost_nanodollars, userCount),
      user_day: rounded(sumOfAmounts(named).cost_nanodollars, named.length),
      session: rounded(sumOfAmounts(inSessions).cost_nanodollars, inSessions.length),
    },
    affords: afford === undefined ? null : { nanodollars: afford, calls: perCall ? Math.floor(afford / perCall) : null },
    against: costs && query.against ? againstJson(query.against, costs) : null,
  };
}

function rounded(amount: number, count: number): number | null {
  return count === 0 ? null : Math.round(amount / count);
}

function againstJson({ by, revenue }: NonNullable<EconomicsQuery["against"]>, { data }: ReportJson): AgainstJson {
  const costs = new Map<string | null, number>();
  for (const { values, cost_nanodollars } of data) {
    const value = values[by] ?? null;
    const known = value !== null && revenue.has(value) ? value : null;
    costs.set(known, (costs.get(known) ?? 0) + cost_nanodollars);
  }
  const rows = [...new Set([...revenue.keys(), ...costs.keys()])].map((value) => {
    const cost = costs.get(value) ?? 0;
    const came = value === null ? 0 : (revenue.get(value) ?? 0);
    return {
      value,
      cost_nanodollars: cost,
      revenue_nanodollars: came,
      margin_nanodollars: came - cost,
      cost_share: came === 0 ? null : cost / came,
    };
  });
  return { by, data: rows.sort((a, b) => a.margin_nanodollars - b.margin_nanodollars) };
}

function invalid(message: string): PurserError {
  return new PurserError("body_invalid", message);
}
