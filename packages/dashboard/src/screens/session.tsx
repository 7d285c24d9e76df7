import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import type { CallSummary } from "../../../gateway/src/admin/call-report.ts";
import { api } from "../api.ts";
import { Chart, type Series } from "../components/chart.tsx";
import { Button } from "../components/controls.tsx";
import { Answer, Card, Empty, Figure, Page } from "../components/panel.tsx";
import { count, exactMoney, instant, money, percent, short } from "../format.ts";
import { Changes } from "../session.ts";
import { SwitchOffDialog } from "./budget-changes.tsx";
import { CallLine, isUnasked } from "./call-line.tsx";
import { isSessionPath } from "./sessions-question.ts";

/** The most that are looked at: a page of the API. */
const CALLS_MOST = 100;
const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** One session or task: how its context grew, what it cost, and every call of it. */
export function SessionDetail() {
  const { of, id } = useParams({ from: "/sessions/$of/$id" });
  const path = isSessionPath(of) ? of : "session";
  const filter = `${path}=${id}`;
  const query = new URLSearchParams({ filter, limit: String(CALLS_MOST) }).toString();
  const calls = useQuery({ queryKey: ["calls", "of one", query], queryFn: () => api.calls(query) });
  const [isEnding, setEnding] = useState(false);
  return (
    <Page
      title={id}
      lead={`Every call of this ${path}, the newest first.`}
      actions={
        <Changes>
          <Button kind="danger" onClick={() => setEnding(true)}>
            Switch off
          </Button>
        </Changes>
      }
    >
      <Answer of={calls} rows={8}>
        {({ data, has_more }) =>
          data.length === 0 ? (
            <Empty title={`No call of this ${path} was found among the latest.`}>
              <Link to="/calls" search={{ filter }} className="link">
                Look further back
              </Link>
            </Empty>
          ) : (
            <Found calls={data} hasMore={has_more} filter={filter} />
          )
        }
      </Answer>
      <SwitchOffDialog name={`the ${path} ${id}`} selects={{ [path]: id }} isOpen={isEnding} onClose={() => setEnding(false)} />
    </Page>
  );
}

function Found({ calls, hasMore, filter }: { calls: readonly CallSummary[]; hasMore: boolean; filter: string }) {
  const inOrder = useMemo(() => calls.filter(({ outcome }) => !isUnasked(outcome)).toReversed(), [calls]);
  const sum = (of: (call: CallSummary) => number) => calls.reduce((all, call) => all + of(call), 0);
  const cost = sum((call) => call.cost_nanodollars ?? 0);
  const input = sum((call) => tokensOf(call, "input_tokens"));
  const cached = sum((call) => tokensOf(call, "cache_read_input_tokens"));
  const output = sum((call) => tokensOf(call, "output_tokens"));
  const refused = calls.length - inOrder.length;
  const [newest, oldest] = [calls[0], calls.at(-1)];
  return (
    <>
      <Card>
        <div className="grid grid-cols-2 gap-5 lg:grid-cols-4">
          <Figure label={hasMore ? `Cost of the latest ${CALLS_MOST}` : "Cost"} value={money(cost)} title={exactMoney(cost)} />
          <Figure label="Calls" value={`${count(inOrder.length)}${hasMore ? " or more" : ""}`} note={`${count(refused)} refused`} />
          <Figure
            label="Input tokens"
            value={short(input)}
            title={count(input)}
            note={input > 0 ? `${percent(cached / input)} from cache` : ""}
          />
          <Figure label="Output tokens" value={short(output)} title={count(output)} />
        </div>
        {newest && oldest && (
          <p className="mt-4 text-sm text-soft">
            {instant(oldest.at)} to {instant(newest.at)}
            {whoText(newest)}
          </p>
        )}
      </Card>
      {inOrder.length > 1 && (
        <Card title="What each call sent" aside="input tokens, and in grey those that a cache had">
          <Growth calls={inOrder} />
        </Card>
      )}
      <Card
        title="Calls"
        aside={
          hasMore && (
            <Link to="/calls" search={{ filter }} className="link">
              Older calls
            </Link>
          )
        }
      >
        <ul className="divide-y divide-line/60">
          {calls.map((call) => (
            <CallLine key={call.id} call={call} />
          ))}
        </ul>
      </Card>
    </>
  );
}

function tokensOf({ usage }: CallSummary, kind: string): number {
  const value = usage?.[kind];
  return typeof value === "number" ? value : 0;
}

function whoText({ subject: { user, team, feature } }: CallSummary): string {
  const who = [user, team, feature].filter((one) => one !== undefined);
  return who.length === 0 ? "" : ` · ${who.join(" · ")}`;
}

/** The input of every call in turn, and how much of it a cache had: what is above that was paid in full. */
function Growth({ calls }: { calls: readonly CallSummary[] }) {
  const { times, series } = useMemo(() => {
    const cached: Series = {
      name: "from cache",
      look: "line",
      colour: "soft",
      values: calls.map((call) => tokensOf(call, "cache_read_input_tokens")),
    };
    const input: Series = { name: "input tokens", look: "line", values: calls.map((call) => tokensOf(call, "input_tokens")) };
    return { times: distinct(calls.map(({ at }) => Date.parse(at))), series: [input, cached] };
  }, [calls]);
  return <Chart label="Input tokens of each call" times={times} series={series} format={short} timeZone={ZONE} height={180} />;
}

/** A chart has one value at a time: what came in the same millisecond is drawn one later. */
function distinct(times: readonly number[]): number[] {
  const found: number[] = [];
  for (const time of times) found.push(Math.max(time, (found.at(-1) ?? Number.NEGATIVE_INFINITY) + 1));
  return found;
}
