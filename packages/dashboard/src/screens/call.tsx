import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import type { CallReport } from "../../../gateway/src/admin/call-report.ts";
import { api } from "../api.ts";
import { Answer, Card, Figure, Page } from "../components/panel.tsx";
import { Table } from "../components/table.tsx";
import { bareAmount, count, exactMoney, instant, money, percent } from "../format.ts";
import { OutcomeBadge } from "./call-line.tsx";

/** One call: what was decided, what it cost and why, and the rows of the ledger behind both. */
export function CallDetail() {
  const { id } = useParams({ from: "/calls/$id" });
  const call = useQuery({
    queryKey: ["call", id],
    queryFn: () => api.call(id),
    refetchInterval: ({ state }) => (state.data?.outcome === "in flight" ? 1_000 : false),
  });
  return (
    <Answer of={call} rows={6}>
      {(report) => <Detail call={report} />}
    </Answer>
  );
}

function Detail({ call }: { call: CallReport }) {
  const { id, at, model, provider, cost_nanodollars: cost, estimate, outcome, message, reason } = call;
  return (
    <Page title={model ?? id} lead={<span className="break-all font-mono text-xs">{id}</span>}>
      <Card>
        <div className="grid grid-cols-2 gap-5 lg:grid-cols-4">
          <Figure label="Outcome" value={<OutcomeBadge call={call} />} note={instant(at)} />
          <Figure
            label="Cost"
            value={cost === null ? "–" : money(cost)}
            {...(cost !== null && { title: exactMoney(cost), note: exactMoney(cost) })}
          />
          <Figure
            label="Held for it at most"
            value={estimate.cost_nanodollars === null ? "–" : money(estimate.cost_nanodollars)}
            note={`${count(estimate.input_tokens)} in${estimate.counted ? ", counted" : ", a bound"}; ${count(estimate.output_tokens)} out`}
          />
          <Figure label="Sent to" value={<span className="text-lg">{provider ?? "nowhere"}</span>} note={call.subject.endpoint ?? ""} />
        </div>
        {message !== null && (
          <p className={`mt-5 rounded-lg ${outcome === "ready text" ? "bg-wash" : "bg-over-wash"} px-4 py-3 text-sm`}>
            <strong className="font-semibold">
              {outcome === "ready text" ? `Got a ready text in the place of an answer: ${call.rungs.at(-1)}` : reason?.replaceAll("_", " ")}
              .
            </strong>{" "}
            {message}
          </p>
        )}
        {(call.rungs.length > 0 || call.would_refuse.length > 0) && (
          <ul className="mt-4 grid gap-1 text-sm">
            {call.rungs.map((rung) => (
              <li key={rung}>Its ladders did: {rung}</li>
            ))}
            {call.would_refuse.map((name) => (
              <li key={name}>“{name}” only observes; it would have refused this call.</li>
            ))}
            {call.known_answer !== null && <KnownAnswer known={call.known_answer} />}
            {call.savings.map((saving) => (
              <Saving key={`${saving.budget} ${saving.rung}`} saving={saving} isKnownAnswer={call.known_answer !== null} />
            ))}
          </ul>
        )}
      </Card>
      {call.attempts.length > 0 && <Attempts call={call} />}
      <div className="grid items-start gap-5 xl:grid-cols-2">
        <Arithmetic call={call} />
        <Subject call={call} />
      </div>
      {call.balances.length > 0 && (
        <Card title="Charged to, all at once">
          <Table
            label="Balances that the call was held and charged on"
            rows={call.balances}
            rowKey={({ budget, subject, unit, window }) => `${budget} ${subject} ${unit} ${window}`}
            columns={[
              {
                title: "Budget",
                cell: ({ budget, subject }) => (
                  <>
                    <Link to="/budgets/$name" params={{ name: budget }} className="link">
                      {budget}
                    </Link>
                    {subject === "" ? "" : <span className="text-soft"> {subject}</span>}
                  </>
                ),
              },
              {
                title: "Of",
                isWide: true,
                cell: ({ unit, window }) => `${unit === "nanodollars" ? "dollars" : unit.replace("_", " ")} / ${window}`,
              },
              { title: "Held", isNumber: true, cell: ({ held, unit }) => bareAmount(held, unit) },
              { title: "Charged", isNumber: true, cell: ({ spent, unit }) => bareAmount(spent, unit) },
            ]}
          />
        </Card>
      )}
      <Card title="In the ledger">
        <Table
          label="Entries of the ledger about this call"
          rows={call.entries}
          rowKey={({ seq }) => String(seq)}
          columns={[
            { title: "No.", isNumber: true, cell: ({ seq }) => count(seq) },
            { title: "When", cell: ({ at: when }) => <time dateTime={when}>{instant(when)}</time> },
            { title: "What", cell: ({ kind, why }) => (why === undefined ? kind : `${kind}: ${why}`) },
            { title: "Postings", isNumber: true, isWide: true, cell: ({ postings }) => postings.length },
          ]}
        />
      </Card>
    </Page>
  );
}

/** Where an answer is from that was known when its call came. */
function KnownAnswer({ known: { from, entry, handover, nearness, times } }: { known: NonNullable<CallReport["known_answer"]> }) {
  const source =
    from === null ? (
      `${entry} of the configuration`
    ) : (
      <Link to="/calls/$id" params={{ id: from }} className="link">
        {from}
      </Link>
    );
  return (
    <li>
      {handover === null ? (
        <>
          No provider was asked: its question is {nearness === null ? "the same as" : `${percent(nearness)} like`} that of {source}.
        </>
      ) : (
        <>
          No provider was asked: a person goes on with{" "}
          <Link to="/conversations/$id" params={{ id: handover }} className="link">
            its conversation
          </Link>
          .
        </>
      )}
      {times > 1 && ` This entry stands for ${count(times)} calls within a second.`}
    </li>
  );
}

/** What a rung saved of a call, and what it left out. */
function Saving({ saving, isKnownAnswer }: { saving: CallReport["savings"][number]; isKnownAnswer: boolean }) {
  const { rung, budget, left_out_tokens: leftOut, saved_nanodollars: saved } = saving;
  if (isKnownAnswer) return saved === null ? null : <li>That saved {exactMoney(saved)}.</li>;
  const money = saved === null ? "what nobody knows" : `${leftOut > 0 ? "about " : ""}${exactMoney(saved)}`;
  return (
    <li>
      {rung} ({budget}) saved {money}
      {leftOut > 0 && `, with ${count(leftOut)} tokens left out`}.
    </li>
  );
}

/** Where its request was made, one after the other: each of them held and charged by itself. */
function Attempts({ call: { attempts } }: { call: CallReport }) {
  return (
    <Card title="Attempts">
      <Table
        label="Attempts of this request at its providers"
        rows={attempts}
        rowKey={({ id }) => id}
        columns={[
          {
            title: "Provider",
            cell: ({ id, provider }) => (
              <Link to="/calls/$id" params={{ id }} className="link">
                {provider ?? "nowhere"}
              </Link>
            ),
          },
          { title: "How it ended", cell: ({ end, outcome }) => end ?? outcome },
          { title: "Held", isNumber: true, isWide: true, cell: ({ held_nanodollars: held }) => (held === null ? "–" : exactMoney(held)) },
          { title: "Charged", isNumber: true, cell: ({ cost_nanodollars: cost }) => (cost === null ? "–" : exactMoney(cost)) },
        ]}
      />
    </Card>
  );
}

const PICO_PER_NANO = 1_000;

function Arithmetic({ call }: { call: CallReport }) {
  const { arithmetic, usage, cost_nanodollars: cost, price } = call;
  if (arithmetic === null)
    return (
      <Card title="Arithmetic">
        {usage === null ? (
          <p className="text-sm text-soft">Nothing was charged{call.outcome === "in flight" ? " yet" : ""}.</p>
        ) : (
          <dl className="grid grid-cols-[1fr_auto] gap-x-4 gap-y-1 text-sm">
            {Object.entries(usage).map(([kind, value]) => (
              <div key={kind} className="contents">
                <dt>{kind.replaceAll("_", " ")}</dt>
                <dd className="figure text-right">{typeof value === "number" ? count(value) : JSON.stringify(value)}</dd>
              </div>
            ))}
          </dl>
        )}
      </Card>
    );
  return (
    <Card title="Arithmetic" aside={price ?? undefined}>
      <Table
        label="How the cost adds up"
        rows={arithmetic}
        rowKey={({ kind }) => kind}
        columns={[
          { title: "What", cell: ({ kind }) => kind },
          { title: "Tokens", isNumber: true, cell: ({ tokens }) => count(tokens) },
          { title: "$ per million", isNumber: true, isWide: true, cell: (line) => perMillion(line.picodollars_per_token) },
          {
            title: "Cost",
            isNumber: true,
            cell: (line) => exactMoney(Math.round((line.tokens * line.picodollars_per_token) / PICO_PER_NANO)),
          },
        ]}
      />
      {cost !== null && (
        <p className="figure mt-2 flex justify-between border-t border-ink/60 pt-2 font-semibold">
          <span>Charged, rounded up once</span>
          <span>{exactMoney(cost)}</span>
        </p>
      )}
    </Card>
  );
}

function perMillion(picodollars: number): string {
  return (picodollars / 1e6).toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 6 });
}

function Subject({ call }: { call: CallReport }) {
  const { tags = {}, ...attributes } = call.subject;
  const pairs = [
    ...Object.entries(attributes),
    ...Object.entries(tags).map(([name, value]) => [`tag.${name}`, value] as const),
    ...Object.entries({ cost_center: call.cost_center, owner: call.owner }).filter(([, value]) => value !== null),
  ];
  return (
    <Card title="Who">
      <dl className="grid grid-cols-[7rem_1fr] gap-y-1.5 text-sm">
        {pairs.map(([path, value]) => (
          <div key={path} className="contents">
            <dt className="text-soft">{path}</dt>
            <dd className="min-w-0 break-words">
              <Link to="/calls" search={{ filter: `${path}=${String(value)}` }} className="link">
                {String(value)}
              </Link>
            </dd>
          </div>
        ))}
      </dl>
    </Card>
  );
}
