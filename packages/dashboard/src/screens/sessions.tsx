import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import type { ReportRowJson } from "../../../gateway/src/admin/report.ts";
import { api } from "../api.ts";
import { Button, Choice, SelectField } from "../components/controls.tsx";
import { Answer, Card, Empty, Page } from "../components/panel.tsx";
import { Table } from "../components/table.tsx";
import { count, exactMoney, money, percent, short } from "../format.ts";
import { dayBefore, type SessionPath, type SessionsQuestion } from "./sessions-question.ts";

const SPANS = [
  ["1d", "today"],
  ["7d", "7 days"],
  ["30d", "30 days"],
] as const;

const NAMES: Readonly<Record<SessionPath, string>> = { session: "Sessions", task: "Tasks" };
const SHOWN = 50;

/** Conversations and tasks of agents, the dearest first. */
export function Sessions() {
  const question = useSearch({ from: "/sessions" });
  const navigate = useNavigate({ from: "/sessions" });
  const { of = "session", since = "7d" } = question;
  const ask = (change: Partial<SessionsQuestion>) => void navigate({ search: { ...question, ...change } });
  const query = `by=${of}&since=${dayBefore(since)}`;
  const report = useQuery({ queryKey: ["report", query], queryFn: () => api.report(query), placeholderData: keepPreviousData });
  return (
    <Page
      title="Sessions"
      lead="One conversation, or one task of an agent, over all its calls. What grows with every call is what is sent again."
      actions={
        <>
          <Choice
            label="What"
            value={of}
            options={[
              ["session", NAMES.session],
              ["task", NAMES.task],
            ]}
            onChange={(next) => ask({ of: next })}
          />
          <SelectField
            label="Time"
            isLabelHidden
            value={since}
            onChange={(event) => ask({ since: event.target.value as NonNullable<SessionsQuestion["since"]> })}
            options={SPANS}
          />
        </>
      }
    >
      <Card>
        <Answer of={report} rows={8}>
          {({ data }) => <Rows rows={data} of={of} />}
        </Answer>
      </Card>
    </Page>
  );
}

function Rows({ rows, of }: { rows: readonly ReportRowJson[]; of: SessionPath }) {
  const [isWhole, setWhole] = useState(false);
  const named = rows.filter(({ values }) => values[of] !== null && values[of] !== undefined);
  const dearest = named.toSorted((a, b) => b.cost_nanodollars - a.cost_nanodollars);
  if (named.length === 0)
    return (
      <Empty title={`No call named its ${of} in this time.`}>
        Claude Code and Codex do so by themselves. Other programs send <code className="font-mono">x-purser-{of}</code> with a key that may
        set it.
      </Empty>
    );
  return (
    <>
      <Table
        label={NAMES[of]}
        rows={isWhole ? dearest : dearest.slice(0, SHOWN)}
        rowKey={({ values }) => String(values[of])}
        columns={[
          {
            title: of,
            cell: ({ values }) => (
              <Link to="/sessions/$of/$id" params={{ of, id: String(values[of]) }} className="link break-all font-mono text-xs">
                {values[of]}
              </Link>
            ),
          },
          {
            title: "Cost",
            isNumber: true,
            cell: ({ cost_nanodollars }) => <span title={exactMoney(cost_nanodollars)}>{money(cost_nanodollars)}</span>,
          },
          { title: "Calls", isNumber: true, cell: ({ calls }) => count(calls) },
          { title: "Refused", isNumber: true, isWide: true, cell: ({ refusals }) => (refusals === 0 ? "–" : count(refusals)) },
          { title: "Input a call", isNumber: true, isWide: true, cell: (row) => aCall(row.input_tokens, row.calls) },
          {
            title: "From cache",
            isNumber: true,
            isWide: true,
            cell: ({ input_tokens, cache_read_input_tokens }) =>
              input_tokens === 0 ? "–" : percent(cache_read_input_tokens / input_tokens),
          },
          { title: "Output a call", isNumber: true, isWide: true, cell: (row) => aCall(row.output_tokens, row.calls) },
        ]}
      />
      {dearest.length > SHOWN && (
        <div className="mt-3 text-center">
          <Button kind="quiet" onClick={() => setWhole(!isWhole)}>
            {isWhole ? "Fewer" : `All ${count(dearest.length)}`}
          </Button>
        </div>
      )}
    </>
  );
}

function aCall(tokens: number, calls: number): string {
  return calls === 0 ? "–" : short(Math.round(tokens / calls));
}
