import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useState } from "react";
import type { BudgetJson } from "../../../gateway/src/admin/budget-tree.ts";
import { api } from "../api.ts";
import { Button } from "../components/controls.tsx";
import { Answer, Badge, Card, Empty, Page } from "../components/panel.tsx";
import { Table } from "../components/table.tsx";
import { bareAmount, count, dayName, exactAmount, instant, relative, selectorText } from "../format.ts";
import { Changes } from "../session.ts";
import { BurnDown } from "./budget-burn-down.tsx";
import { GrantDialog, LimitDialog, ResetDialog, SwitchOffDialog } from "./budget-changes.tsx";
import { Follows } from "./budget-follows.tsx";
import { EditBudgetDialog, RemoveBudgetDialog } from "./budget-form.tsx";
import { WhatIf } from "./budget-what-if.tsx";
import { BalanceRow, thresholdsOf } from "./budgets.tsx";
import { Savings } from "./savings.tsx";

export function BudgetDetail() {
  const { name } = useParams({ from: "/budgets/$name" });
  const budgets = useQuery({ queryKey: ["budgets"], queryFn: api.budgets });
  return (
    <Answer of={budgets} rows={6}>
      {(list) => {
        const budget = list.find((one) => one.name === name);
        if (!budget)
          return (
            <Page title={name}>
              <Empty title="There is no budget of this name.">
                It may have been renamed in the configuration.{" "}
                <Link to="/budgets" className="link">
                  All budgets
                </Link>
              </Empty>
            </Page>
          );
        return <Detail budget={budget} within={list.filter(({ parent }) => parent === name)} />;
      }}
    </Answer>
  );
}

type Change = "grant" | "limit" | "edit" | "reset" | "off" | "remove";

function Detail({ budget, within }: { budget: BudgetJson; within: readonly BudgetJson[] }) {
  const [change, setChange] = useState<Change>();
  const close = () => setChange(undefined);
  const filter = selectorText(budget.for);
  return (
    <Page
      title={budget.name}
      lead={budget.sentence}
      actions={
        <Changes>
          <Button kind="main" onClick={() => setChange("grant")}>
            Give more
          </Button>
          {budget.limits.length > 0 && <Button onClick={() => setChange("limit")}>Change limit</Button>}
          <Button onClick={() => setChange("edit")}>Edit</Button>
          <Button onClick={() => setChange("reset")}>Reset</Button>
          <Button kind="danger" onClick={() => setChange("off")}>
            Switch off
          </Button>
          <Button kind="danger" onClick={() => setChange("remove")}>
            Remove
          </Button>
        </Changes>
      }
    >
      <SwitchedOff budget={budget} />
      <Balances budget={budget} />
      <BurnDown budget={budget} />
      <div className="grid items-start gap-5 xl:grid-cols-2">
        <WhatIf budget={budget} />
        <Grants budget={budget} />
      </div>
      <Savings since="30d" budget={budget.name} />
      <Card title="Within and around">
        <dl className="grid gap-2 text-sm sm:grid-cols-[9rem_1fr]">
          <dt className="text-soft">For</dt>
          <dd>{filter === "" ? "all calls" : filter}</dd>
          <dt className="text-soft">Owner</dt>
          <dd>
            {budget.owner ?? "nobody: say so with owner, and they are told"}
            {budget.owner_from !== null && (
              <span className="text-soft">
                , as of <BudgetLink name={budget.owner_from} />
              </span>
            )}
          </dd>
          <dt className="text-soft">Cost centre</dt>
          <dd>
            {budget.cost_center === null ? (
              "none"
            ) : (
              <Link to="/usage" search={{ by: ["user"], filter: `cost_center=${budget.cost_center}` }} className="link">
                {budget.cost_center}
              </Link>
            )}
          </dd>
          <dt className="text-soft">Under</dt>
          <dd>{budget.parent === null ? "nothing: it stands on top" : <BudgetLink name={budget.parent} />}</dd>
          <dt className="text-soft">Above</dt>
          <dd className="flex flex-wrap gap-x-3">
            {within.length === 0 ? "nothing" : within.map(({ name }) => <BudgetLink key={name} name={name} />)}
          </dd>
          <dt className="text-soft">Ladder</dt>
          <dd>{budget.ladder.length === 0 ? "none: it refuses when it is empty" : budget.ladder.map(stepText).join(" · ")}</dd>
          <dt className="text-soft">Its calls</dt>
          <dd className="flex flex-wrap gap-x-4">
            <Link to="/calls" search={filter === "" ? {} : { filter }} className="link">
              newest
            </Link>
            <Link to="/calls" search={{ outcome: "denied", ...(filter !== "" && { filter }) }} className="link">
              refused
            </Link>
            <Link to="/usage" search={{ by: ["user"], ...(filter !== "" && { filter }) }} className="link">
              who spends here
            </Link>
          </dd>
        </dl>
      </Card>
      <GrantDialog budget={budget} isOpen={change === "grant"} onClose={close} />
      <LimitDialog budget={budget} isOpen={change === "limit"} onClose={close} />
      <EditBudgetDialog name={budget.name} isOpen={change === "edit"} onClose={close} />
      <RemoveBudgetDialog budget={budget} isOpen={change === "remove"} onClose={close} />
      <ResetDialog budget={budget} isOpen={change === "reset"} onClose={close} />
      <SwitchOffDialog name={budget.name} selects={budget.for} isOpen={change === "off"} onClose={close} />
    </Page>
  );
}

function BudgetLink({ name }: { name: string }) {
  return (
    <Link to="/budgets/$name" params={{ name }} className="link">
      {name}
    </Link>
  );
}

function stepText({ text, rungs }: BudgetJson["ladder"][number]): string {
  return `${text}: ${rungs.join(", ")}`;
}

function Balances({ budget }: { budget: BudgetJson }) {
  const { per, balances, balances_total: total, time_zone: timeZone, name } = budget;
  if (per.length === 0)
    return (
      <Card title="Now">
        {balances.length === 0 ? (
          <p className="text-sm text-soft">This budget has no limits: it only says which models and sizes its calls may have.</p>
        ) : (
          <div className="grid gap-3.5">
            {balances.map((balance) => (
              <div key={`${balance.unit} ${balance.window}`}>
                <BalanceRow balance={balance} timeZone={timeZone} thresholds={thresholdsOf(budget, balance)} />
                <p className="figure mt-1 text-xs text-soft">
                  {exactAmount(balance.spent, balance.unit)} spent, {exactAmount(balance.held, balance.unit)} held,{" "}
                  {exactAmount(balance.left, balance.unit, balance.weights)} left
                  {balance.resets_at === null ? "" : ` · resets ${relative(balance.resets_at)} (${dayName(balance.resets_at, timeZone)})`}
                </p>
                <Follows balance={balance} timeZone={timeZone} />
              </div>
            ))}
          </div>
        )}
      </Card>
    );
  return <EachBalance name={name} total={total} timeZone={timeZone} />;
}

function EachBalance({ name, total, timeZone }: { name: string; total: number; timeZone: string }) {
  const balances = useQuery({ queryKey: ["budget", name, "balances"], queryFn: () => api.balances(name) });
  return (
    <Card title="Now" aside={`${count(total)} balances`}>
      <Answer of={balances}>
        {(rows) =>
          rows.length === 0 ? (
            <Empty title="Nobody used this budget in its window." />
          ) : (
            <Table
              label={`Balances of ${name}, the fullest`}
              rows={rows.toSorted((a, b) => b.spent / Math.max(1, b.limit) - a.spent / Math.max(1, a.limit))}
              rowKey={({ subject, unit, window }) => `${subject} ${unit} ${window}`}
              columns={[
                { title: "Whose", cell: ({ subject }) => subject },
                {
                  title: "Limit",
                  isWide: true,
                  cell: ({ limit, unit, weights, window }) =>
                    `${exactAmount(limit, unit, weights)}${window === "lifetime" ? "" : ` / ${window}`}`,
                },
                { title: "Spent", isNumber: true, cell: ({ spent, unit }) => bareAmount(spent, unit) },
                { title: "Held", isNumber: true, isWide: true, cell: ({ held, unit }) => (held === 0 ? "–" : bareAmount(held, unit)) },
                {
                  title: "Left",
                  isNumber: true,
                  cell: ({ left, unit }) => (left === 0 ? <Badge kind="over">nothing</Badge> : bareAmount(left, unit)),
                },
                { title: "Resets", isWide: true, cell: ({ resets_at }) => (resets_at === null ? "never" : dayName(resets_at, timeZone)) },
              ]}
            />
          )
        }
      </Answer>
    </Card>
  );
}

function SwitchedOff({ budget }: { budget: BudgetJson }) {
  const client = useQueryClient();
  const switches = useQuery({ queryKey: ["switches"], queryFn: api.switches });
  const on = useMutation({
    mutationFn: (id: string) => api.switchOn(id, "switched on in the dashboard"),
    onSuccess: () => client.invalidateQueries({ queryKey: ["switches"] }),
  });
  const mine = switches.data?.filter((one) => selectorText(one.for) === selectorText(budget.for)) ?? [];
  return mine.map((one) => (
    <div key={one.id} role="status" className="flex flex-wrap items-center justify-between gap-3 rounded-lg bg-over-wash px-4 py-3 text-sm">
      <p>
        <strong className="font-semibold text-over">Switched off</strong> {relative(one.at)} by {one.by}: {one.why}
        {one.until === null ? "" : `, until ${instant(one.until)}`}
      </p>
      <Changes>
        <Button onClick={() => on.mutate(one.id)} disabled={on.isPending}>
          Switch on
        </Button>
      </Changes>
    </div>
  ));
}

function Grants({ budget }: { budget: BudgetJson }) {
  const client = useQueryClient();
  const grants = useQuery({ queryKey: ["budget", budget.name, "grants"], queryFn: () => api.grants(budget.name) });
  const revoke = useMutation({
    mutationFn: api.revokeGrant,
    onSuccess: () => client.invalidateQueries({ predicate: ({ queryKey: [name] }) => name === "budget" || name === "budgets" }),
  });
  return (
    <Card title="Given and taken">
      <Answer of={grants} rows={2}>
        {(list) =>
          list.length === 0 ? (
            <p className="text-sm text-soft">Nothing is given on top of the limits at the moment, and nothing is taken.</p>
          ) : (
            <ul className="grid gap-3 text-sm">
              {list.map(({ id, amount, unit, window, subject, until, giver, why }) => (
                <li key={id} className="flex items-start justify-between gap-3">
                  <p>
                    <span className="figure font-medium">
                      {amount < 0 ? "−" : "+"} {exactAmount(Math.abs(amount), unit)}
                    </span>{" "}
                    / {window}
                    {subject === "" ? "" : ` for ${subject}`} until {dayName(until, budget.time_zone)}
                    <span className="block text-soft">
                      {giver}: {why}
                    </span>
                  </p>
                  <Changes>
                    <Button kind="quiet" onClick={() => revoke.mutate(id)} disabled={revoke.isPending}>
                      Revoke
                    </Button>
                  </Changes>
                </li>
              ))}
            </ul>
          )
        }
      </Answer>
    </Card>
  );
}
