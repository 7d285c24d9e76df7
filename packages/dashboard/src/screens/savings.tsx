import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Fragment, useMemo } from "react";
import type { SavedByRungJson, SavedJson } from "../../../gateway/src/admin/reports/saved.ts";
import { api } from "../api.ts";
import { Card, Figure } from "../components/panel.tsx";
import { Table } from "../components/table.tsx";
import { count, exactMoney, money } from "../format.ts";
import { seesAll, useSession } from "../session.ts";
import { startOf } from "./usage-question.ts";

/** What ladders have saved, of one budget or of all. Nothing where no rung did anything, or who looks may not know. */
export function Savings({ since, until, budget }: { since: string; until?: string | undefined; budget?: string }) {
  const role = useSession().data?.role ?? null;
  const query = useMemo(() => {
    const parts = { since: startOf(since), ...(until !== undefined && { until }), ...(budget !== undefined && { budget }) };
    return new URLSearchParams(parts).toString();
  }, [since, until, budget]);
  const savings = useQuery({
    queryKey: ["savings", query],
    queryFn: () => api.savings(query),
    enabled: role !== null && seesAll(role),
    placeholderData: keepPreviousData,
  });
  if (!savings.data || savings.data.data.length === 0) return null;
  return <Saved json={savings.data} isOfOne={budget !== undefined} />;
}

function Saved({ json: { total, data, since }, isOfOne }: { json: SavedJson; isOfOne: boolean }) {
  const { saved_nanodollars: saved, spent_nanodollars: spent } = total;
  const isPartKnown = data.some(({ unknown_calls }) => unknown_calls > 0);
  return (
    <Card title={isOfOne ? "What its ladder saved" : "What ladders saved"} aside={`since ${since.slice(0, 10)}`}>
      <Figure
        label={isPartKnown ? "Saved, as far as that can be known" : "Saved"}
        value={money(saved)}
        title={exactMoney(saved)}
        note={spent > 0 ? `${money(total.gross_nanodollars)} less ${money(spent)} for the summaries` : undefined}
      />
      <div className="mt-4">
        <Table
          label={isOfOne ? "What each rung of the ladder saved" : "What each rung of each ladder saved"}
          rows={data}
          rowKey={({ budget, rung }) => JSON.stringify([budget, rung])}
          columns={[
            ...(isOfOne ? [] : [{ title: "Budget", cell: ({ budget }: SavedByRungJson) => <BudgetLink name={budget} /> }]),
            { title: "Rung", cell: ({ rung }) => rung },
            { title: "Calls", isNumber: true, cell: ({ calls }) => (calls === 0 ? "–" : count(calls)) },
            {
              title: "Tokens left out",
              isNumber: true,
              isWide: true,
              cell: ({ left_out_tokens }) => (left_out_tokens === 0 ? "–" : count(left_out_tokens)),
            },
            { title: "Saved", isNumber: true, cell: savedCell },
          ]}
        />
      </div>
      <details className="mt-3 text-sm text-soft">
        <summary className="cursor-pointer">How this is reckoned</summary>
        <p className="mt-2">A call that several rungs touched is with each of them, and no money is counted twice.</p>
        <dl className="mt-2 grid gap-x-4 gap-y-1 sm:grid-cols-[7rem_1fr]">
          {[...new Map(data.map(({ kind, how }) => [kind, how]))].map(([kind, how]) => (
            <Fragment key={kind}>
              <dt className="font-medium">{kind}</dt>
              <dd>{how}</dd>
            </Fragment>
          ))}
        </dl>
      </details>
    </Card>
  );
}

function BudgetLink({ name }: { name: string }) {
  return (
    <Link to="/budgets/$name" params={{ name }} className="hover:underline">
      {name}
    </Link>
  );
}

function savedCell({ calls, unknown_calls, spent_nanodollars, saved_nanodollars, is_estimate }: SavedByRungJson) {
  if (unknown_calls === calls && spent_nanodollars === 0) return <span className="text-soft">not known</span>;
  return (
    <span title={exactMoney(saved_nanodollars)}>
      {is_estimate && <span className="text-soft">about </span>}
      {money(saved_nanodollars)}
    </span>
  );
}
