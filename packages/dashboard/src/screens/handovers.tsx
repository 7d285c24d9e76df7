import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { HandoverJson } from "../../../gateway/src/admin/handover-json.ts";
import { api } from "../api.ts";
import { Choice } from "../components/controls.tsx";
import { Answer, Badge, Card, Empty, Page } from "../components/panel.tsx";
import { count, instant, relative } from "../format.ts";
import { seesAll, useSession } from "../session.ts";

/** Calls come while one looks, and other people answer. */
const REFRESH_EVERY_MS = 3_000;

/** Those that are open, or all. */
export function useHandovers(isAll: boolean) {
  return useQuery({ queryKey: ["handovers", isAll], queryFn: () => api.handovers(isAll), refetchInterval: REFRESH_EVERY_MS });
}

/** Conversations that people go on with. */
export function Handovers() {
  const [which, setWhich] = useState<"open" | "all">("open");
  const handovers = useHandovers(which === "all");
  return (
    <Page
      title="Handovers"
      lead="Conversations that a budget handed over to people. What somebody writes here is the answer to the next call."
      actions={
        <Choice
          label="Which handovers"
          value={which}
          onChange={setWhich}
          options={[
            ["open", "Open"],
            ["all", "With those given back"],
          ]}
        />
      }
    >
      <Card>
        <Answer of={handovers}>
          {({ data, total }) =>
            total === 0 ? (
              <Empty title="No conversation is with a person.">
                A budget hands the conversations of its calls over instead of refusing them, if its ladder says so:{" "}
                <code className="font-mono">{"ladder: { 100%: hand over keep 30d }"}</code>.
              </Empty>
            ) : (
              <>
                <ul className="divide-y divide-line/60">
                  {data.map((handover) => (
                    <HandoverRow key={handover.id} handover={handover} />
                  ))}
                </ul>
                {total > data.length && <p className="mt-3 text-sm text-soft">And {count(total - data.length)} more.</p>}
              </>
            )
          }
        </Answer>
      </Card>
    </Page>
  );
}

function HandoverRow({ handover }: { handover: HandoverJson }) {
  const { id, budget, calls } = handover;
  const role = useSession().data?.role;
  const mayRead = role !== null && role !== undefined && seesAll(role) && role !== "viewer";
  const who = whose(handover);
  return (
    <li className="flex flex-wrap items-start justify-between gap-x-4 gap-y-1 py-3 first:pt-0 last:pb-0">
      <div className="min-w-0">
        <p className="font-medium [overflow-wrap:anywhere]">
          {mayRead ? (
            <Link to="/conversations/$id" params={{ id }} className="link">
              {who}
            </Link>
          ) : (
            who
          )}
        </p>
        <p className="text-sm text-soft">
          Budget {budget}, {count(calls)} {calls === 1 ? "call" : "calls"} since it was handed over
        </p>
      </div>
      <p className="text-sm">
        <Stands handover={handover} />
      </p>
    </li>
  );
}

/** Who has it, and since when its last call waits. */
export function Stands({ handover }: { handover: HandoverJson }) {
  const { taken_by, returned_by, returned_at, waiting_since, waiting_answers } = handover;
  if (returned_at !== null)
    return (
      <>
        <Badge>given back</Badge>{" "}
        <span className="text-soft">
          by {returned_by}, <When at={returned_at} />
        </span>
      </>
    );
  return (
    <>
      {taken_by === null ? <Badge kind="over">with nobody</Badge> : <Badge kind="good">with {taken_by}</Badge>}{" "}
      <span className="text-soft">
        {waiting_since !== null ? (
          <>
            wrote <When at={waiting_since} />
          </>
        ) : waiting_answers > 0 ? (
          "answered, not read yet"
        ) : (
          "answered"
        )}
      </span>
    </>
  );
}

export function When({ at }: { at: string }) {
  return (
    <time dateTime={at} title={instant(at)}>
      {relative(at)}
    </time>
  );
}

/** Whose conversation it is: its user and session, or all that its calls say where they name neither. */
export function whose({ subject }: Pick<HandoverJson, "subject">): string {
  const { user, session, tags = {}, ...others } = subject;
  const named = [user, session].flatMap((value) => value ?? []);
  if (named.length > 0) return named.join(" · ");
  return Object.entries({ ...others, ...tags })
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");
}
