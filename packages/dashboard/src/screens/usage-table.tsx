import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { ReportJson, ReportRowJson } from "../../../gateway/src/admin/report.ts";
import { Button } from "../components/controls.tsx";
import { Table } from "../components/table.tsx";
import { count, exactMoney, money, percent, short } from "../format.ts";
import { useKeyNames } from "../key-names.ts";
import { type Measure, measureOf } from "./measure.ts";
import { nameOf } from "./usage.tsx";

const SHOWN = 25;

/** Who used how much, the most first; each row leads to its calls. */
export function UsageTable({ report, show, filter }: { report: ReportJson; show: Measure; filter: string }) {
  const [isWhole, setWhole] = useState(false);
  const rows = report.data.toSorted((a, b) => measureOf(b, show) - measureOf(a, show));
  const total = rows.reduce((sum, row) => sum + measureOf(row, show), 0);
  return (
    <>
      <Table
        label={`Usage by ${report.by.join(" and ")}`}
        rows={isWhole ? rows : rows.slice(0, SHOWN)}
        rowKey={(row) => JSON.stringify(row.values)}
        columns={[
          { title: report.by.join(" · "), cell: (row) => <RowLink row={row} filter={filter} /> },
          {
            title: "Cost",
            isNumber: true,
            cell: ({ cost_nanodollars }) => <span title={exactMoney(cost_nanodollars)}>{money(cost_nanodollars)}</span>,
          },
          { title: "Share", isNumber: true, cell: (row) => (total === 0 ? "–" : percent(measureOf(row, show) / total)) },
          { title: "Calls", isNumber: true, isWide: true, cell: ({ calls }) => count(calls) },
          { title: "Refused", isNumber: true, isWide: true, cell: ({ refusals }) => (refusals === 0 ? "–" : count(refusals)) },
          {
            title: "Known",
            isNumber: true,
            isWide: true,
            cell: ({ known_answers, saved_nanodollars }) =>
              known_answers === 0 ? "–" : <span title={`Saved ${exactMoney(saved_nanodollars)}`}>{count(known_answers)}</span>,
          },
          { title: "Input", isNumber: true, isWide: true, cell: ({ input_tokens }) => short(input_tokens) },
          {
            title: "Sent again",
            isNumber: true,
            isWide: true,
            cell: ({ resent_input_tokens, resent_nanodollars, input_tokens }) =>
              resent_input_tokens === 0 ? (
                "–"
              ) : (
                <span title={`At least ${count(resent_input_tokens)} tokens, for ${exactMoney(resent_nanodollars)}`}>
                  {percent(resent_input_tokens / input_tokens)}
                </span>
              ),
          },
          { title: "Output", isNumber: true, isWide: true, cell: ({ output_tokens }) => short(output_tokens) },
          {
            title: "A call",
            isNumber: true,
            isWide: true,
            cell: ({ cost_nanodollars, calls }) => (calls === 0 ? "–" : money(Math.round(cost_nanodollars / calls))),
          },
        ]}
      />
      {rows.length > SHOWN && (
        <div className="mt-3 text-center">
          <Button kind="quiet" onClick={() => setWhole(!isWhole)}>
            {isWhole ? "Fewer" : `All ${count(rows.length)}`}
          </Button>
        </div>
      )}
    </>
  );
}

function RowLink({ row, filter }: { row: ReportRowJson; filter: string }) {
  const nameIn = useKeyNames("key" in row.values);
  const known = Object.entries(row.values).filter((pair): pair is [string, string] => pair[1] !== null);
  if (known.length === 0) return <span className="text-soft">{nameOf(row, nameIn)}</span>;
  const own = known.map(([path, value]) => `${path}=${value}`);
  return (
    <Link
      to="/calls"
      search={{ filter: [...(filter === "" ? [] : [filter]), ...own].join(", ") }}
      className="link"
      title={row.values.key ?? undefined}
    >
      {nameOf(row, nameIn)}
    </Link>
  );
}
