import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { AskJson } from "../../../gateway/src/admin/ask-json.ts";
import { api } from "../api.ts";
import { Button } from "../components/controls.tsx";
import { Answer, Card, Empty, Page } from "../components/panel.tsx";
import { instant, relative } from "../format.ts";
import { Changes } from "../session.ts";

/** Who asks for more than a budget has, while the calls wait. */
export function Requests() {
  const asks = useQuery({ queryKey: ["asks"], queryFn: api.asks, refetchInterval: 5_000 });
  return (
    <Page
      title="Requests for more"
      lead="Calls of budgets whose ladder says “ask” wait here for an answer, as they do behind the link in the owner’s message."
    >
      <Card>
        <Answer of={asks}>
          {(list) =>
            list.length === 0 ? (
              <Empty title="Nobody asks for more.">
                A budget asks its owner before it refuses, if its ladder says so:{" "}
                <code className="font-mono whitespace-nowrap">{"ladder: { 100%: ask 60s +50% }"}</code>.
              </Empty>
            ) : (
              <ul className="divide-y divide-line/60">
                {list.map((ask) => (
                  <AskRow key={ask.id} ask={ask} />
                ))}
              </ul>
            )
          }
        </Answer>
      </Card>
    </Page>
  );
}

function AskRow({ ask: { id, budget, subject, more, until, expires_at } }: { ask: AskJson }) {
  const client = useQueryClient();
  const answer = useMutation({
    mutationFn: (word: "give" | "decline") => api.answerAsk(id, word),
    onSettled: () => client.invalidateQueries(),
  });
  return (
    <li className="flex flex-wrap items-center justify-between gap-3 py-3 first:pt-0 last:pb-0">
      <div>
        <p>
          <strong className="font-semibold">{more}</strong> more for {budget}
          {subject === "" ? "" : ` (${subject})`} <span className="text-soft">until {instant(until)}</span>
        </p>
        <p className="text-sm text-soft">Nobody waits for the answer any more {relative(expires_at)}.</p>
        {answer.error && (
          <p role="alert" className="text-sm text-over">
            {answer.error.message}
          </p>
        )}
      </div>
      <Changes>
        <div className="flex gap-2">
          <Button onClick={() => answer.mutate("decline")} disabled={answer.isPending}>
            Decline
          </Button>
          <Button kind="main" onClick={() => answer.mutate("give")} disabled={answer.isPending}>
            Give
          </Button>
        </div>
      </Changes>
    </li>
  );
}
