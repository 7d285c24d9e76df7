import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import type { ReportJson, ReportRowJson } from "../../../gateway/src/admin/report.ts";
import { api } from "../api.ts";
import { Chart, type Series } from "../components/chart.tsx";
import { buttonClass, Choice, SelectField } from "../components/controls.tsx";
import { COLOURS, Legend } from "../components/legend.tsx";
import { Answer, Card, Empty, Figure, Page } from "../components/panel.tsx";
import { count, exactMoney, money, percent, short } from "../format.ts";
import { useKeyNames } from "../key-names.ts";
import { FilterBar, filterParts } from "./calls.tsx";
import { MEASURES, type Measure, measureName, measureOf, measureText } from "./measure.ts";
import { Savings } from "./savings.tsx";
import { PATHS, startOf, UNIT_MS, type UsageQuestion } from "./usage-question.ts";
import { UsageTable } from "./usage-table.tsx";

const SPANS = [
  ["24h", "24 hours"],
  ["7d", "7 days"],
  ["30d", "30 days"],
  ["90d", "90 days"],
  ["365d", "a year"],
] as const;

/** What was used, by whatever one wants to know: all of the question is in the address. */
export function Usage() {
  const question = useSearch({ from: "/usage" });
  const navigate = useNavigate({ from: "/usage" });
  const { by = ["team"], since = "30d", show = "cost", filter = "" } = question;
  const step = question.step ?? (since.endsWith("h") ? "hour" : "day");
  const ask = (change: Partial<UsageQuestion>) => void navigate({ search: { ...question, ...change } });
  // Each time has a step that suits it.
  const askSince = (next: string) => {
    const { step: _, ...rest } = question;
    void navigate({ search: { ...rest, since: next } });
  };
  const query = useMemo(() => queryOf({ ...question, by, since }), [question, by, since]);
  const totals = useQuery({ queryKey: ["report", query], queryFn: () => api.report(query), placeholderData: keepPreviousData });
  const overTime = useQuery({
    queryKey: ["report", query, step],
    queryFn: () => api.report(`${query}&step=${step}`),
    placeholderData: keepPreviousData,
  });
  return (
    <Page
      title="Usage"
      lead="The address of this page holds the whole question: send it to somebody, and they see the same."
      actions={
        <a href={`/api/report?${query}&step=${step}&format=csv`} download={`usage-by-${by.join("-")}.csv`} className={buttonClass()}>
          Download CSV
        </a>
      }
    >
      <div className="flex flex-wrap items-end gap-3">
        <SelectField
          label="By"
          value={by[0] ?? "team"}
          onChange={(event) => ask({ by: [event.target.value, ...by.slice(1)] })}
          options={PATHS.map((path) => [path, path] as const)}
        />
        <SelectField
          label="and by"
          value={by[1] ?? ""}
          onChange={(event) => ask({ by: event.target.value === "" ? by.slice(0, 1) : [by[0] ?? "team", event.target.value] })}
          options={[["", "nothing else"], ...PATHS.filter((path) => path !== by[0]).map((path) => [path, path] as const)]}
        />
        <SelectField
          label="Time"
          value={since}
          onChange={(event) => askSince(event.target.value)}
          options={SPANS.some(([value]) => value === since) ? SPANS : [...SPANS, [since, `since ${since}`]]}
        />
        <SelectField
          label="Step"
          value={step}
          onChange={(event) => ask({ step: event.target.value as "hour" | "day" | "month" })}
          options={[
            ["hour", "by the hour"],
            ["day", "by the day"],
            ["month", "by the month"],
          ]}
        />
        <Choice label="Show" value={show} options={MEASURES} onChange={(next) => ask({ show: next })} />
      </div>
      <FilterBar key={filter} filter={filter} onChange={(next) => ask({ filter: next })} />
      <Answer of={totals} rows={6}>
        {(report) =>
          report.data.length === 0 ? (
            <Empty title="Nothing was used in this time.">Take a longer time, or another filter.</Empty>
          ) : (
            <>
              <Totals rows={report.data} />
              <Card title={`${measureName(show)} over time`}>
                <Answer of={overTime}>{(steps) => <OverTime report={steps} totals={report} show={show} />}</Answer>
              </Card>
              <Card title={`By ${by.join(" and ")}`}>
                <UsageTable report={report} show={show} filter={filter} />
              </Card>
            </>
          )
        }
      </Answer>
      {filter === "" && <Savings since={since} until={question.until} />}
    </Page>
  );
}

function queryOf({ by = [], since = "30d", until, filter = "" }: UsageQuestion): string {
  const query = new URLSearchParams();
  for (const path of by) query.append("by", path);
  for (const part of filterParts(filter)) query.append("filter", part);
  query.set("since", startOf(since));
  if (until !== undefined) query.set("until", until);
  return query.toString();
}

function Totals({ rows }: { rows: readonly ReportRowJson[] }) {
  const sum = (of: (row: ReportRowJson) => number) => rows.reduce((all, row) => all + of(row), 0);
  const cost = sum((row) => row.cost_nanodollars);
  const calls = sum((row) => row.calls);
  const input = sum((row) => row.input_tokens);
  const output = sum((row) => row.output_tokens);
  const cached = sum((row) => row.cache_read_input_tokens);
  const refusals = sum((row) => row.refusals);
  const known = sum((row) => row.known_answers);
  return (
    <Card>
      <div className="grid grid-cols-2 gap-5 lg:grid-cols-4">
        <Figure
          label="Cost"
          value={money(cost)}
          title={exactMoney(cost)}
          note={calls > 0 ? `${money(Math.round(cost / calls))} a call` : ""}
        />
        <Figure
          label="Calls"
          value={count(calls)}
          note={`${count(refusals)} refused${known > 0 ? `, ${count(known)} more whose answer was known` : ""}`}
        />
        <Figure
          label="Input tokens"
          value={short(input)}
          title={count(input)}
          note={input > 0 ? `${percent(cached / input)} from cache` : ""}
        />
        <Figure
          label="Output tokens"
          value={short(output)}
          title={count(output)}
          note={calls > 0 ? `${short(Math.round(output / calls))} a call` : ""}
        />
      </div>
    </Card>
  );
}

function OverTime({ report, totals, show }: { report: ReportJson; totals: ReportJson; show: Measure }) {
  const nameIn = useKeyNames(report.by.includes("key"));
  const { times, series } = useMemo(() => {
    const nameOfRow = (row: ReportRowJson) => nameOf(row, nameIn);
    return seriesOf(report, totals, show, nameOfRow);
  }, [report, totals, show, nameIn]);
  const format = useMemo(() => (value: number) => measureText(value, show), [show]);
  return (
    <>
      <Legend items={series} />
      <Chart label="Use over time" times={times} series={series} format={format} timeZone={report.time_zone} height={220} />
    </>
  );
}

const STEP_MS = { hour: UNIT_MS.h, day: UNIT_MS.d } as const;

/** All steps of a report, also those in which nothing was used, and which of them an instant is the beginning of. */
function stepsOf({ since, until, step, time_zone, data }: ReportJson): { times: number[]; placeOf: (from: string) => number } {
  const [first, last] = [Date.parse(since), Date.parse(until) - 1];
  const stepMs = step === "hour" || step === "day" ? STEP_MS[step] : undefined;
  const months = new Intl.DateTimeFormat("sv-SE", { timeZone: time_zone, year: "numeric", month: "2-digit" });
  const monthOf = (time: number) => {
    const [year = 0, month = 0] = months.format(time).split("-").map(Number);
    return (year - 1970) * 12 + month - 1;
  };
  // Days have 23 or 25 hours where clocks change.
  const placeAt = (time: number) => (stepMs === undefined ? monthOf(time) - monthOf(first) : Math.round((time - first) / stepMs));
  const placeOf = (from: string) => placeAt(Date.parse(from));
  const begun = stepMs === undefined ? placeAt(last) : Math.floor((last - first) / stepMs);
  const count = Math.max(begun, ...data.map(({ from }) => placeOf(from))) + 1;
  const times = Array.from({ length: count }, (_, i) => (stepMs === undefined ? Date.UTC(1970, monthOf(first) + i) : first + i * stepMs));
  for (const { from } of data) times[placeOf(from)] = Date.parse(from);
  return { times, placeOf };
}

/** The largest few each for itself, and the others together. */
function seriesOf(
  report: ReportJson,
  totals: ReportJson,
  show: Measure,
  nameOfRow: (row: ReportRowJson) => string,
): { times: number[]; series: Series[] } {
  const { times, placeOf } = stepsOf(report);
  const largest = totals.data
    .toSorted((a, b) => measureOf(b, show) - measureOf(a, show))
    .slice(0, COLOURS.length - (totals.data.length > COLOURS.length ? 1 : 0))
    .map(nameOfRow);
  const names = [...largest, ...(totals.data.length > largest.length ? ["others"] : [])];
  const values = new Map(names.map((name) => [name, times.map(() => 0)]));
  for (const row of report.data) {
    const own = values.get(nameOfRow(row)) ?? values.get("others");
    const place = placeOf(row.from);
    if (own) own[place] = (own[place] ?? 0) + measureOf(row, show);
  }
  return {
    times,
    series: names.map((name, i) => ({ name, look: "line" as const, colour: COLOURS[i] ?? "soft", values: values.get(name) ?? [] })),
  };
}

export function nameOf({ values }: ReportRowJson, nameIn: (path: string, value: string) => string): string {
  return Object.entries(values)
    .map(([path, value]) => (value === null ? `no ${path}` : nameIn(path, value)))
    .join(" · ");
}
