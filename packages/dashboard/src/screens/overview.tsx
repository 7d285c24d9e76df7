import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import type { BudgetJson } from "../../../gateway/src/admin/budget-tree.ts";
import type { OverviewJson, PeriodJson, TopJson } from "../../../gateway/src/admin/overview.ts";
import { api } from "../api.ts";
import { Bar, elapsedOf, Forecast, isUsedUp, stateOf } from "../components/bar.tsx";
import { Chart, filled } from "../components/chart.tsx";
import { Choice } from "../components/controls.tsx";
import { Answer, Card, Empty, Figure, Page } from "../components/panel.tsx";
import { amount, count, exactMoney, money, observing, percent, short } from "../format.ts";
import { useKeyNames } from "../key-names.ts";
import { useLive } from "../live.ts";
import { Allowances } from "./allowances.tsx";
import { CallLine } from "./call-line.tsx";
import { LastHour } from "./last-hour.tsx";
import { measureName } from "./measure.ts";

export function Overview() {
  const overview = useQuery({
    queryKey: ["overview"],
    queryFn: api.overview,
    // Sums that are still being made are looked at again soon.
    refetchInterval: ({ state }) => (state.data?.is_complete === false ? 1_000 : 60_000),
  });
  const budgets = useQuery({ queryKey: ["budgets"], queryFn: api.budgets });
  return (
    <Page title="Overview">
      <Answer of={overview} rows={5}>
        {(data) => (
          <>
            {!data.is_complete && (
              <p role="status" className="rounded-lg bg-wash px-4 py-2.5 text-sm">
                The ledger is being added up for the first time. The figures grow until that is done.
              </p>
            )}
            <Spent overview={data} />
            <div className="grid items-start gap-5 xl:grid-cols-[minmax(0,1.1fr)_minmax(0,1fr)]">
              <Card
                title="Budgets"
                aside={
                  <Link to="/budgets" className="link">
                    All budgets
                  </Link>
                }
              >
                <Answer of={budgets}>{(list) => <TightBudgets budgets={list} />}</Answer>
              </Card>
              <div className="grid grid-cols-1 gap-5">
                <TopSpenders top={data.top} />
                <Allowances />
              </div>
            </div>
            <Recent hasCalls={data.month.calls + data.month.refusals + data.month.before_whole.calls > 0} />
          </>
        )}
      </Answer>
    </Page>
  );
}

function Spent({ overview }: { overview: OverviewJson }) {
  const question = useSearch({ from: "/" });
  const navigate = useNavigate({ from: "/" });
  const { time = "days", show = "cost" } = question;
  const { today, month, month_expected_nanodollars: expected, time_zone: timeZone } = overview;
  return (
    <Card>
      <div className="grid grid-cols-2 gap-x-6 gap-y-5 lg:grid-cols-4">
        <Figure
          label="Today"
          value={money(today.cost_nanodollars)}
          title={exactMoney(today.cost_nanodollars)}
          note={<Change period={today} before="yesterday" />}
        />
        <Figure
          label="This month"
          value={money(month.cost_nanodollars)}
          title={exactMoney(month.cost_nanodollars)}
          note={<Change period={month} before="last month" />}
        />
        <Figure
          label="At this pace, by the end"
          value={expected === null ? "–" : money(expected)}
          note={
            expected === null ? "too early to say: known after a day of use" : `last month ${money(month.before_whole.cost_nanodollars)}`
          }
        />
        <Figure
          label="Calls today"
          value={count(today.calls)}
          note={
            today.refusals > 0 ? (
              <Link to="/calls" search={{ outcome: "denied" }} className="link">
                {count(today.refusals)} refused
              </Link>
            ) : (
              `${short(today.input_tokens + today.output_tokens)} tokens`
            )
          }
        />
      </div>
      <div className="mt-5 flex flex-wrap items-center justify-between gap-x-3 gap-y-2">
        <h2>{time === "days" ? "Cost by day" : time === "hours" ? "Cost by hour" : `${measureName(show)} by minute`}</h2>
        <Choice
          label="Time"
          value={time}
          options={[
            ["minutes", "60 minutes"],
            ["hours", "48 hours"],
            ["days", "90 days"],
          ]}
          onChange={(next) => void navigate({ search: { ...question, time: next }, replace: true })}
        />
      </div>
      {time === "minutes" ? (
        <LastHour
          by={question.by ?? "team"}
          show={show}
          timeZone={timeZone}
          onAsk={(change) => void navigate({ search: { ...question, ...change }, replace: true })}
        />
      ) : (
        <CostOverTime overview={overview} shown={time} />
      )}
    </Card>
  );
}

function CostOverTime({ overview, shown }: { overview: OverviewJson; shown: "hours" | "days" }) {
  const chart = useMemo(() => pointsOf(overview, shown), [overview, shown]);
  const series = useMemo(() => [{ name: "Cost", values: chart.values, look: "bars" as const }], [chart]);
  return (
    <Chart
      label={`Cost ${shown === "days" ? "of each of the last 90 days" : "of each of the last 48 hours"}`}
      times={chart.times}
      series={series}
      format={money}
      timeZone={overview.time_zone}
      height={180}
    />
  );
}

const HOUR_MS = 3_600_000;

function pointsOf({ at, today, hours, days }: OverviewJson, shown: "hours" | "days") {
  const now = Date.parse(at);
  const cost = ({ cost_nanodollars }: { cost_nanodollars: number }) => cost_nanodollars;
  if (shown === "hours") {
    const thisHour = Date.parse(today.from) + Math.floor((now - Date.parse(today.from)) / HOUR_MS) * HOUR_MS;
    return filled(hours, { from: thisHour - 47 * HOUR_MS, to: thisHour, stepMs: HOUR_MS }, cost);
  }
  const thisDay = Date.parse(today.from);
  return filled(days, { from: thisDay - 89 * 24 * HOUR_MS, to: thisDay, stepMs: 24 * HOUR_MS }, cost);
}

/** How much more or less than the period before, at the same time of it. */
function Change({ period, before }: { period: PeriodJson; before: string }) {
  const then = period.before.cost_nanodollars;
  if (then === 0) return `${before}: ${money(period.before_whole.cost_nanodollars)}`;
  const share = period.cost_nanodollars / then - 1;
  const size = share >= 4 ? `${Math.round(share + 1)} times` : `${share < 0 ? "−" : "+"}${percent(Math.abs(share))} on`;
  return (
    <span title={`${before} at the same time: ${exactMoney(then)}`}>
      {size} {before} <span className="hidden sm:inline">by now</span>
    </span>
  );
}

const BUDGETS_SHOWN = 8;

function TightBudgets({ budgets }: { budgets: readonly BudgetJson[] }) {
  if (budgets.length === 0)
    return (
      <Empty title="There are no budgets yet.">
        Write one into <code className="font-mono">purser.yaml</code>, for example{" "}
        <code className="font-mono whitespace-nowrap">{"{ name: company, limits: [$500 / month] }"}</code>. It is taken over at once.
      </Empty>
    );
  const balances = budgets
    .flatMap((budget) => {
      const ranked = budget.balances.filter(({ unit }) => unit !== "concurrent").toSorted((a, b) => rank(b) - rank(a));
      // Of a budget that each user has for himself, the fullest stands for all.
      return (budget.per.length === 0 ? ranked : ranked.slice(0, 1)).map((balance) => ({ budget, balance }));
    })
    .toSorted((a, b) => Number(a.budget.mode === "observe") - Number(b.budget.mode === "observe") || rank(b.balance) - rank(a.balance))
    .slice(0, BUDGETS_SHOWN);
  return (
    <ul className="grid gap-3.5">
      {balances.map(({ budget, balance }) => (
        <li key={`${balance.budget} ${balance.subject} ${balance.unit} ${balance.window}`}>
          <div className="mb-1.5 flex flex-wrap items-baseline justify-between gap-x-3">
            <Link to="/budgets/$name" params={{ name: budget.name }} className="font-medium hover:underline">
              {budget.name}
              {balance.subject !== "" && <span className="font-normal text-soft"> {balance.subject}</span>}
            </Link>
            <span className="text-sm">
              <Forecast balance={balance} timeZone={budget.time_zone} />
            </span>
          </div>
          <Bar balance={balance} elapsed={elapsedOf(balance)} />
          <p className="figure mt-1 text-xs text-soft">
            {amount(balance.spent, balance.unit)} of {amount(balance.limit, balance.unit, balance.weights)}
            {balance.window === "lifetime" ? "" : ` a ${balance.window}`}
            {budget.per.length > 0 && ` · the fullest of ${count(budget.balances_total)}`}
            {budget.mode === "observe" && ` · ${observing(budget)}`}
            {budget.owner !== null && ` · ${budget.owner}`}
          </p>
        </li>
      ))}
    </ul>
  );
}

/** Those that are used up come first, then those that will be, the soonest first; then by how full they are. */
function rank(balance: BudgetJson["balances"][number]): number {
  const { share } = stateOf(balance);
  if (isUsedUp(balance)) return 20 + share;
  if (balance.gone_at === null) return share;
  return 10 + 1e9 / Math.max(1, Date.parse(balance.gone_at) - Date.now() + 1e9);
}

function TopSpenders({ top }: { top: readonly TopJson[] }) {
  const [by, setBy] = useState(top[0]?.by ?? "team");
  const nameIn = useKeyNames(by === "key");
  const nameOf = (value: string) => nameIn(by, value);
  const chosen = top.find((one) => one.by === by);
  if (!chosen) return null;
  const { rows, values, half } = chosen;
  const most = rows[0]?.cost_nanodollars ?? 0;
  return (
    <Card
      title="Who spends, this month"
      aside={
        <Link to="/usage" search={{ by: [by] }} className="link">
          Explore
        </Link>
      }
    >
      <Choice label="By" value={by} options={top.map((one) => [one.by, one.by] as const)} onChange={setBy} />
      {rows.length === 0 ? (
        <div className="mt-4">
          <Empty title="Nothing was used this month." />
        </div>
      ) : (
        <>
          {values > 3 && half > 0 && (
            <p className="mt-3 text-sm text-soft">
              {half} of {values} {by}s {half === 1 ? "makes" : "make"} half of the cost.
            </p>
          )}
          <ul className="mt-3 grid gap-1">
            {rows.map(({ value, cost_nanodollars, share, calls }) => (
              <li key={value ?? ""} className="relative flex items-baseline justify-between gap-3 rounded px-2 py-1">
                <span
                  aria-hidden="true"
                  className="absolute inset-y-0 left-0 rounded bg-wash"
                  style={{ width: `${most === 0 ? 0 : (cost_nanodollars / most) * 100}%` }}
                />
                <span className="relative min-w-0 truncate">
                  {value === null ? <span className="text-soft">no {by}</span> : nameOf(value)}
                </span>
                <span
                  className="figure relative whitespace-nowrap text-sm"
                  title={`${exactMoney(cost_nanodollars)} in ${count(calls)} calls`}
                >
                  {money(cost_nanodollars)} <span className="inline-block w-12 text-right text-soft">{percent(share)}</span>
                </span>
              </li>
            ))}
          </ul>
        </>
      )}
    </Card>
  );
}

function Recent({ hasCalls }: { hasCalls: boolean }) {
  const { calls: live } = useLive();
  const recent = useQuery({ queryKey: ["calls", "recent"], queryFn: () => api.calls("limit=6"), enabled: hasCalls });
  const known = new Set(live.map(({ id }) => id));
  const calls = [...live, ...(recent.data?.data ?? []).filter(({ id }) => !known.has(id))].slice(0, 6);
  return (
    <Card
      title="As it happens"
      aside={
        <Link to="/calls" className="link">
          All calls
        </Link>
      }
    >
      {calls.length === 0 ? (
        <Empty title="No call has come yet.">
          <p>
            Make a key under{" "}
            <Link to="/keys" className="link">
              Keys
            </Link>
            , and point your program’s base URL here:
          </p>
          <code className="mt-2 block break-all font-mono">export OPENAI_BASE_URL={window.location.origin}/v1</code>
        </Empty>
      ) : (
        <ul className="divide-y divide-line/60">
          {calls.map((call) => (
            <CallLine key={call.id} call={call} isNew={known.has(call.id)} />
          ))}
        </ul>
      )}
    </Card>
  );
}
