import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { ChannelJson } from "../../../gateway/src/admin/channel-json.ts";
import { api } from "../api.ts";
import { Button } from "../components/controls.tsx";
import { Answer, Badge, Card, Empty, Page } from "../components/panel.tsx";
import { Table } from "../components/table.tsx";
import { instant, relative } from "../format.ts";
import { Changes } from "../session.ts";

export function Alerts() {
  const channels = useQuery({ queryKey: ["channels"], queryFn: api.channels });
  const deliveries = useQuery({ queryKey: ["deliveries"], queryFn: api.deliveries, refetchInterval: 10_000 });
  return (
    <Page
      title="Alerts"
      lead="Each threshold of a balance is told once in its window. Which ones, and to whom, stands in the ladders of the budgets."
    >
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
