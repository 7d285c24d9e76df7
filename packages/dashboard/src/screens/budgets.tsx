import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { BudgetJson, OutlookJson } from "../../../gateway/src/admin/budget-tree.ts";
import { api } from "../api.ts";
import { Bar, elapsedOf, Forecast, stateOf } from "../components/bar.tsx";
import { Button, Choice } from "../components/controls.tsx";
import { Answer, Badge, Card, Empty, Page } from "../components/panel.tsx";
import { amount, bareAmount, count, exactAmount, observing, percent, relative } from "../format.ts";
import { Changes } from "../session.ts";
import { FollowsBadge } from "./budget-follows.tsx";
import { NewBudgetDialog } from "./budget-form.tsx";

type Unit = "all" | "money" | "tokens" | "requests";

export function Budgets() {
  const budgets = useQuery({ queryKey: ["budgets"], queryFn: api.budgets });
  const [unit, setUnit] = useState<Unit>("all");
  const [isMaking, setIsMaking] = useState(false);
  return (
    <Page
      title="Budgets"
      lead="A call is charged to every budget it belongs to, all at once. The mark on a bar is where the time is: a bar that is past it runs ahead."
      actions={
        <>
          <Choice
            label="Unit"
            value={unit}
            options={[
              ["all", "All"],
              ["money", "Money"],
              ["tokens", "Tokens"],
              ["requests", "Requests"],
            ]}
            onChange={setUnit}
          />
          <Changes>
            <Button kind="main" onClick={() => setIsMaking(true)}>
              New budget
            </Button>
          </Changes>
        </>
      }
    >
      <Answer of={budgets} rows={6}>
        {(list) =>
          list.length === 0 ? (
            <Empty title="There are no budgets yet.">
              Budgets stand in <code className="font-mono">purser.yaml</code>, where they are reviewed like code. Write one, there or here,
              and it is taken over without a restart.
            </Empty>
          ) : (
            <Card>
              <Level parent={null} all={list} unit={unit} />
            </Card>
          )
        }
      </Answer>
      <NewBudgetDialog isOpen={isMaking} onClose={() => setIsMaking(false)} />
    </Page>
  );
}

function Level({ parent, all, unit }: { parent: string | null; all: readonly BudgetJson[]; unit: Unit }) {
  const here = all.filter((budget) => budget.parent === parent);
  if (here.length === 0) return null;
  return (
    <ul className={parent === null ? "grid gap-6" : "mt-5 grid gap-5 border-l border-line pl-4 sm:ml-1 sm:pl-6"}>
      {here.map((budget) => (
        <li key={budget.name}>
          <BudgetNode budget={budget} unit={unit} />
          <Level parent={budget.name} all={all} unit={unit} />
        </li>
      ))}
    </ul>
  );
}

const BALANCES_SHOWN = 3;

function BudgetNode({ budget, unit }: { budget: BudgetJson; unit: Unit }) {
  const { name, per, owner, owner_from, cost_center, balances, balances_total, time_zone, limits } = budget;
  const wanted = balances.filter((balance) => isOf(balance, unit));
  const shown = per.length === 0 ? wanted : wanted.toSorted((a, b) => stateOf(b).share - stateOf(a).share).slice(0, BALANCES_SHOWN);
  return (
    <article aria-label={name}>
      <div className="flex flex-wrap items-baseline justify-between gap-x-4 gap-y-1">
        <h2 className="flex flex-wrap items-baseline gap-2 text-base">
          <Link to="/budgets/$name" params={{ name }} className="hover:underline">
            {name}
          </Link>
          {budget.mode === "observe" && <Badge>{observing(budget)}</Badge>}
          {per.length === 0 && balances.map((balance) => <FollowsBadge key={`${balance.unit} ${balance.window}`} balance={balance} />)}
          {per.length > 0 && <span className="text-sm font-normal text-soft">each {per.join(" and ").replaceAll("tag.", "")}</span>}
        </h2>
        {(owner ?? cost_center) !== null && (
          <span className="text-sm text-soft" {...(owner_from !== null && { title: `The owner is that of ${owner_from}` })}>
            {[cost_center, owner].filter(Boolean).join(" · ")}
          </span>
        )}
      </div>
      {shown.length === 0 ? (
        <p className="mt-1 text-sm text-soft">
          {limits.map(({ text }) => text).join(", ")}
          {balances.length === 0 && per.length > 0 ? " · nobody used it yet" : ""}
        </p>
      ) : (
        <div className="mt-2 grid gap-2.5">
          {shown.map((balance) => (
            <BalanceRow
              key={`${balance.subject} ${balance.unit} ${balance.window}`}
              balance={balance}
              timeZone={time_zone}
              thresholds={thresholdsOf(budget, balance)}
            />
          ))}
          {balances_total > balances.length && (
            <p className="text-xs text-soft">
              The fullest of {count(balances_total)} balances.{" "}
              <Link to="/budgets/$name" params={{ name }} className="link">
                More
              </Link>
            </p>
          )}
        </div>
      )}
    </article>
  );
}

function isOf({ unit }: OutlookJson, wanted: Unit): boolean {
  if (wanted === "all") return true;
  if (wanted === "money") return unit === "nanodollars";
  return wanted === "tokens" ? unit.endsWith("tokens") : unit === "requests" || unit === "concurrent";
}

/** Where the ladder of a budget changes something, on the bar of one of its balances. */
export function thresholdsOf({ ladder }: BudgetJson, { unit, window, limit }: OutlookJson): readonly number[] {
  const steps = ladder.filter(({ measures }) => measures.some((one) => one.unit === unit && one.window === window));
  const shareOf = (used: number) => used / Math.max(1, limit);
  const shares = steps.map(({ at, spent, left }) => (spent !== null ? shareOf(spent) : left !== null ? shareOf(limit - left) : at));
  return shares.filter((at) => at > 0 && at < 1);
}

/** One balance: whose, how full, what is left, and where it leads. */
export function BalanceRow({ balance, timeZone, thresholds }: { balance: OutlookJson; timeZone: string; thresholds?: readonly number[] }) {
  const { subject, unit, weights, window, spent, held, limit, resets_at } = balance;
  return (
    <div
      className={`grid items-center gap-x-4 gap-y-1 ${subject === "" ? "sm:grid-cols-[minmax(0,1fr)_14rem_11rem]" : "sm:grid-cols-[8rem_minmax(0,1fr)_14rem_11rem]"}`}
    >
      {subject !== "" && (
        <p className="truncate text-sm" title={subject}>
          {subject.replace(/^[\w.]+=/, "")}
        </p>
      )}
      <Bar balance={balance} elapsed={elapsedOf(balance)} {...(thresholds && { thresholds })} />
      <p className="figure text-sm sm:text-right" title={`${exactAmount(spent, unit)} spent of ${exactAmount(limit, unit, weights)}`}>
        {bareAmount(spent, unit)}
        <span className="text-soft"> of {amount(limit, unit, weights)}</span>
        {window !== "lifetime" && <span className="text-soft"> / {window}</span>}
        {held > 0 && <span className="text-soft"> · {percent(held / Math.max(1, limit))} held</span>}
      </p>
      <p className="text-sm sm:text-right" title={resets_at === null ? "Does not reset" : `Resets ${relative(resets_at)}`}>
        <Forecast balance={balance} timeZone={timeZone} />
      </p>
    </div>
  );
}
