import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import type { BudgetJson, HistoryJson, OutlookJson } from "../../../gateway/src/admin/budget-tree.ts";
import { api } from "../api.ts";
import { TOO_EARLY } from "../components/bar.tsx";
import { Chart, filled, type Series } from "../components/chart.tsx";
import { Choice } from "../components/controls.tsx";
import { Answer, Card } from "../components/panel.tsx";
import { bareAmount } from "../format.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const HISTORY_DAYS = 90;

/** What a budget was charged: added up in the window that runs, with its pace and where it leads, or day by day. */
export function BurnDown({ budget }: { budget: BudgetJson }) {
  const history = useQuery({ queryKey: ["budget", budget.name, "history"], queryFn: () => api.history(budget.name, HISTORY_DAYS) });
  const [chosen, setChosen] = useState<string>();
  return (
    <Answer of={history}>
      {(limits) => {
        const limit = limits.find((one) => nameOf(one) === chosen) ?? limits[0];
        if (!limit || limits.every(({ hours }) => hours.length === 0)) return null;
        const balance =
          budget.per.length === 0 ? budget.balances.find(({ unit, window }) => unit === limit.unit && window === limit.window) : undefined;
        return (
          <Card
            title="History"
            aside={
              limits.length > 1 && (
                <Choice
                  label="Limit"
                  value={nameOf(limit)}
                  options={limits.map((one) => [nameOf(one), nameOf(one)] as const)}
                  onChange={setChosen}
                />
              )
            }
          >
            {balance && balance.starts_at !== null && Date.parse(balance.resets_at ?? "") - Date.parse(balance.starts_at) > HOUR_MS && (
              <Window limit={limit} balance={balance} timeZone={budget.time_zone} />
            )}
            <Days limit={limit} timeZone={budget.time_zone} isOfAll={budget.per.length > 0} />
          </Card>
        );
      }}
    </Answer>
  );
}

function nameOf({ unit, window }: HistoryJson): string {
  return `${unit === "nanodollars" ? "dollars" : unit.replace("_", " ")} / ${window}`;
}

/** How a window fills: what is spent so far, an even pace, and what is expected. */
function Window({ limit, balance, timeZone }: { limit: HistoryJson; balance: OutlookJson; timeZone: string }) {
  const format = useMemo(() => (value: number) => bareAmount(value, limit.unit), [limit.unit]);
  const { times, series } = useMemo(() => windowSeries(limit, balance), [limit, balance]);
  const isKnown = balance.expected !== null;
  return (
    <div className="mb-5">
      <h3 className="text-sm text-soft">
        This {balance.window}, added up: spent, an even pace to the limit{isKnown ? ", and what is expected" : ""}
      </h3>
      {!isKnown && <p className="text-xs text-soft">{TOO_EARLY}.</p>}
      <Chart
        label={`How the ${balance.window} fills`}
        times={times}
        series={series}
        format={format}
        timeZone={timeZone}
        height={200}
        most={Math.max(balance.limit, balance.spent) * ABOVE_LIMIT}
      />
    </div>
  );
}

const POINTS = 60;
/** What is expected may be many times the limit. It leaves the chart above, so that what was spent is seen. */
const ABOVE_LIMIT = 1.2;

function windowSeries({ hours }: HistoryJson, balance: OutlookJson): { times: number[]; series: Series[] } {
  const start = Date.parse(balance.starts_at ?? "");
  const end = Date.parse(balance.resets_at ?? "");
  const now = Date.now();
  const step = Math.max(HOUR_MS, Math.ceil((end - start) / POINTS / HOUR_MS) * HOUR_MS);
  const inside = hours.map(({ from, spent }) => ({ at: Date.parse(from), spent })).filter(({ at }) => at >= start);
  const past: number[] = [];
  for (let time = start; time < now; time += step) past.push(time);
  const future: number[] = [];
  for (let time = now + step; time < end; time += step) future.push(time);
  const times = [...past, now, ...future, end];
  const spentBy = (time: number) => inside.reduce((sum, { at, spent }) => (at < time ? sum + spent : sum), 0);
  // A reset or a limit that came into force later leaves the balance another sum than the hours: the balance is right.
  const offset = balance.spent - spentBy(now);
  const { expected } = balance;
  return {
    times,
    series: [
      {
        name: "spent",
        look: "line",
        values: times.map((time) => (time <= now ? Math.max(0, spentBy(time) + (time === now ? offset : 0)) : null)),
      },
      { name: "even pace", look: "dashed", colour: "soft", values: times.map((time) => ((time - start) / (end - start)) * balance.limit) },
      ...(expected === null ? [] : [expectedSeries(expected, balance, times, { now, end })]),
    ],
  };
}

function expectedSeries(
  expected: number,
  { spent, limit }: OutlookJson,
  times: readonly number[],
  { now, end }: { readonly now: number; readonly end: number },
): Series {
  const values = times.map((time) => (time < now ? null : spent + ((time - now) / Math.max(1, end - now)) * (expected - spent)));
  return { name: "expected", look: "dashed", colour: expected > limit ? "over" : "accent", values };
}

/** Every day of the last weeks. */
function Days({ limit, timeZone, isOfAll }: { limit: HistoryJson; timeZone: string; isOfAll: boolean }) {
  const format = useMemo(() => (value: number) => bareAmount(value, limit.unit), [limit.unit]);
  const { times, series } = useMemo(() => {
    const byDay = new Map<string, number>();
    for (const { from, spent } of limit.hours) {
      const day = dateIn(Date.parse(from), timeZone);
      byDay.set(day, (byDay.get(day) ?? 0) + spent);
    }
    const points = [...byDay].map(([day, spent]) => ({ from: `${day}T12:00:00.000Z`, spent }));
    const today = Date.parse(`${dateIn(Date.now(), timeZone)}T12:00:00.000Z`);
    const days = filled(points, { from: today - (HISTORY_DAYS - 1) * DAY_MS, to: today, stepMs: DAY_MS }, ({ spent }) => spent);
    const bars: Series[] = [{ name: "spent", look: "bars", values: days.values }];
    return { times: days.times, series: bars };
  }, [limit, timeZone]);
  return (
    <>
      <h3 className="text-sm text-soft">Day by day{isOfAll ? ", all balances together" : ""}</h3>
      <Chart label="What was spent on each of the last 90 days" times={times} series={series} format={format} timeZone="UTC" height={130} />
    </>
  );
}

function dateIn(at: number, timeZone: string): string {
  return new Intl.DateTimeFormat("en-CA", { timeZone, year: "numeric", month: "2-digit", day: "2-digit" }).format(at);
}
