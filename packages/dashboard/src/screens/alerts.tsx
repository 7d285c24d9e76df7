import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { AlertJson } from "../../../gateway/src/admin/alert-json.ts";
import type { ChannelJson } from "../../../gateway/src/admin/channel-json.ts";
import type { GuardJson } from "../../../gateway/src/admin/guard-json.ts";
import { api } from "../api.ts";
import { Button } from "../components/controls.tsx";
import { Answer, Badge, Card, Empty, Page } from "../components/panel.tsx";
import { Table } from "../components/table.tsx";
import { instant, relative } from "../format.ts";
import { Changes } from "../session.ts";

export function Alerts() {
  const alerts = useQuery({ queryKey: ["alerts"], queryFn: api.alerts, refetchInterval: 10_000 });
  const guards = useQuery({ queryKey: ["guards"], queryFn: api.guards, refetchInterval: 10_000 });
  const channels = useQuery({ queryKey: ["channels"], queryFn: api.channels });
  const deliveries = useQuery({ queryKey: ["deliveries"], queryFn: api.deliveries, refetchInterval: 10_000 });
  return (
    <Page
      title="Alerts"
      lead="Each threshold of a balance is told once in its window. Which ones, what else, and to whom, stands in the ladders and alerts of the budgets."
    >
      <Card title="What needs a look">
        <Answer of={alerts}>
          {(list) =>
            list.length === 0 ? (
              <Empty title="Nobody was told of anything in the last weeks." />
            ) : (
              <ul className="divide-y divide-line/60">
                {list.map((alert) => (
                  <AlertRow key={alert.id} alert={alert} />
                ))}
              </ul>
            )
          }
        </Answer>
      </Card>
      <Card title="Guards that stand">
        <Answer of={guards}>
          {(list) =>
            list.length === 0 ? (
              <Empty title="Nothing runs in a loop." />
            ) : (
              <ul className="divide-y divide-line/60">
                {list.map((guard) => (
                  <GuardRow key={guard.id} guard={guard} />
                ))}
              </ul>
            )
          }
        </Answer>
      </Card>
      <Card title="Channels">
        <Answer of={channels}>
          {(list) =>
            list.length === 0 ? (
              <Empty title="Nobody is told yet.">
                Add a channel to <code className="font-mono">purser.yaml</code>, for example{" "}
                <code className="font-mono">{'channels: { chat: { kind: slack, url: "…" } }'}</code>, and a threshold to a budget:{" "}
                <code className="font-mono whitespace-nowrap">{"ladder: { 80%: tell chat }"}</code>.
              </Empty>
            ) : (
              <ul className="divide-y divide-line/60">
                {list.map((channel) => (
                  <ChannelRow key={channel.name} channel={channel} />
                ))}
              </ul>
            )
          }
        </Answer>
      </Card>
      <Card title="What was told">
        <Answer of={deliveries}>
          {(list) =>
            list.length === 0 ? (
              <Empty title="Nothing was told yet.">A test shows whether a channel works.</Empty>
            ) : (
              <Table
                label="Deliveries, newest first"
                rows={list.toReversed()}
                rowKey={({ notice, channel, at, attempt }) => `${notice} ${channel} ${at} ${attempt}`}
                columns={[
                  {
                    title: "When",
                    cell: ({ at }) => (
                      <time dateTime={at} title={instant(at)}>
                        {relative(at)}
                      </time>
                    ),
                  },
                  { title: "What", cell: ({ title }) => title },
                  { title: "Channel", cell: ({ channel }) => channel },
                  { title: "Try", isNumber: true, isWide: true, cell: ({ attempt }) => attempt },
                  {
                    title: "Result",
                    cell: ({ error, is_last }) =>
                      error === null ? (
                        <Badge kind="good">delivered</Badge>
                      ) : (
                        <span title={error}>
                          <Badge kind="over">{is_last ? "given up" : "will be tried again"}</Badge>{" "}
                          <span className="text-soft">{error}</span>
                        </span>
                      ),
                  },
                ]}
              />
            )
          }
        </Answer>
      </Card>
    </Page>
  );
}

const SEVERITIES = { info: "plain", warning: "warn", error: "over", critical: "over" } as const;

function AlertRow({ alert }: { alert: AlertJson }) {
  const { id, title, text, severity, at, channels, state } = alert;
  const client = useQueryClient();
  const answer = useMutation({
    mutationFn: (time: string | undefined) => (time === undefined ? api.acknowledge(id) : api.snooze(id, time)),
    onSettled: () => client.invalidateQueries({ queryKey: ["alerts"] }),
  });
  const isAnswerable = state === "open" || state === "snoozed";
  return (
    <li className="flex flex-wrap items-start justify-between gap-3 py-3 first:pt-0 last:pb-0">
      <div className="min-w-0 max-w-2xl">
        <p className={isAnswerable ? "font-medium" : "text-soft"}>
          {title} {isAnswerable && severity !== "info" && <Badge kind={SEVERITIES[severity]}>{severity}</Badge>}
        </p>
        {isAnswerable && <p className="text-sm text-soft">{text}</p>}
        <p className="text-sm text-soft">
          <time dateTime={at} title={instant(at)}>
            {relative(at)}
          </time>
          , to {channels.join(", ")}. {stateText(alert)}
        </p>
        {answer.error && (
          <p role="alert" className="text-sm text-over">
            {answer.error.message}
          </p>
        )}
      </div>
      {isAnswerable && (
        <Changes>
          <div className="flex flex-wrap gap-2">
            <Button onClick={() => answer.mutate(undefined)} disabled={answer.isPending} aria-label={`Acknowledge: ${title}`}>
              Acknowledge
            </Button>
            {SNOOZES.map(([time, words]) => (
              <Button
                key={time}
                kind="quiet"
                onClick={() => answer.mutate(time)}
                disabled={answer.isPending}
                aria-label={`Snooze ${words}: ${title}`}
              >
                Snooze {words}
              </Button>
            ))}
          </div>
        </Changes>
      )}
    </li>
  );
}

const SNOOZES = [
  ["1h", "an hour"],
  ["1d", "a day"],
] as const;

function stateText({ state, by, answered_at, snoozed_until }: AlertJson): string {
  if (state === "acknowledged") return `Acknowledged by ${by}${answered_at === null ? "" : `, ${relative(answered_at)}`}.`;
  if (state === "snoozed") return `Snoozed by ${by}${snoozed_until === null ? "" : ` until ${instant(snoozed_until)}`}.`;
  return state === "over" ? "Its window is over." : "Nobody has acknowledged it.";
}

function GuardRow({ guard: { id, budget, subject, guard, at, until, does, message } }: { guard: GuardJson }) {
  const client = useQueryClient();
  const end = useMutation({ mutationFn: () => api.endGuard(id), onSettled: () => client.invalidateQueries({ queryKey: ["guards"] }) });
  const name = subject === "" ? budget : `${budget} (${subject})`;
  return (
    <li className="flex flex-wrap items-start justify-between gap-3 py-3 first:pt-0 last:pb-0">
      <div className="min-w-0 max-w-2xl">
        <p className="font-medium">
          {name} <Badge kind="warn">{guard}</Badge>
        </p>
        <p className="text-sm text-soft">{message}</p>
        <p className="text-sm text-soft">
          Since{" "}
          <time dateTime={at} title={instant(at)}>
            {relative(at)}
          </time>
          , until {instant(until)}: {does.length === 0 ? "only looks on" : does.join(", ")}.
        </p>
        {end.error && (
          <p role="alert" className="text-sm text-over">
            {end.error.message}
          </p>
        )}
      </div>
      <Changes>
        <Button onClick={() => end.mutate()} disabled={end.isPending} aria-label={`Let go: ${name} ${guard}`}>
          Let go
        </Button>
      </Changes>
    </li>
  );
}

function ChannelRow({ channel: { name, kind, waiting, last } }: { channel: ChannelJson }) {
  const client = useQueryClient();
  const test = useMutation({
    mutationFn: () => api.testChannel(name),
    onSettled: () =>
      Promise.all([client.invalidateQueries({ queryKey: ["channels"] }), client.invalidateQueries({ queryKey: ["deliveries"] })]),
  });
  const result = test.data;
  return (
    <li className="flex flex-wrap items-center justify-between gap-3 py-3 first:pt-0 last:pb-0">
      <div>
        <p className="font-medium">
          {name} <span className="font-normal text-soft">{kind}</span>
        </p>
        <p className="text-sm text-soft">
          {last === null
            ? "Nothing was sent yet."
            : last.error === null
              ? `Last delivered ${relative(last.at)}.`
              : `Last failed ${relative(last.at)}: ${last.error}`}
          {waiting > 0 ? ` ${waiting} waiting.` : ""}
        </p>
      </div>
      <div className="flex items-center gap-3">
        <p role="status" className="text-sm">
          {test.isPending && "Sending …"}
          {test.error && <span className="text-over">{test.error.message}</span>}
          {result &&
            (result.error === null ? "The test was delivered." : <span className="text-over">The test failed: {result.error}</span>)}
        </p>
        <Changes>
          <Button onClick={() => test.mutate()} disabled={test.isPending} aria-label={`Test ${name}`}>
            Test
          </Button>
        </Changes>
      </div>
    </li>
  );
}
