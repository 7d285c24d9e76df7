import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import type { ProviderSettingsJson, SettingsJson } from "../../../gateway/src/admin/settings.ts";
import { api } from "../api.ts";
import { Answer, Badge, Card, Empty, Page } from "../components/panel.tsx";
import { Table } from "../components/table.tsx";
import { count, instant, relative } from "../format.ts";
import { Deeds } from "./deeds.tsx";

/** How the gateway is configured, and who changed what. */
export function Settings() {
  const settings = useQuery({ queryKey: ["settings"], queryFn: api.settings });
  return (
    <Page
      title="Settings"
      lead="What this gateway was told. Changes are made in its file, which is taken over within seconds; the address and the store ask for a restart."
    >
      <Answer of={settings} rows={8}>
        {(of) => (
          <>
            <div className="grid items-start gap-5 xl:grid-cols-2">
              <Card title="This gateway">
                <Facts rows={gatewayFacts(of)} />
              </Card>
              <Card title="Calls">
                <Facts rows={callFacts(of)} />
              </Card>
            </div>
            <Providers settings={of} />
          </>
        )}
      </Answer>
      <Deeds title="Who did what" empty="Nothing was changed yet, and nobody was refused." />
    </Page>
  );
}

type Fact = readonly [name: string, value: ReactNode];

function Facts({ rows }: { rows: readonly Fact[] }) {
  return (
    <dl className="grid gap-x-4 gap-y-2 text-sm sm:grid-cols-[11rem_1fr]">
      {rows.map(([name, value]) => (
        <div key={name} className="contents">
          <dt className="text-soft">{name}</dt>
          <dd className="min-w-0 break-words">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function gatewayFacts({ file, data_dir, node, started_at, time_zone, server, store }: SettingsJson): readonly Fact[] {
  return [
    ["File", file === null ? "none: everything is a default" : <Path key="file" text={file} />],
    ["Data folder", <Path key="data" text={data_dir} />],
    ["Listens at", `${server.host}, port ${server.port}`],
    ["Links lead to", server.public_url ?? "where it listens"],
    ["Time zone", time_zone],
    [
      "Balances",
      store.balances === "redis" ? `in Redis, as ${store.namespace}${store.leases ? ", with allotments" : ""}` : "in the data folder",
    ],
    ["Ledger", store.ledger === "postgres" ? "in PostgreSQL" : store.ledger === "redis" ? "in Redis" : "in the data folder"],
    [
      "Runs since",
      <time key="since" dateTime={started_at} title={instant(started_at)}>{`${relative(started_at)}, on Node.js ${node}`}</time>,
    ],
  ];
}

function callFacts({ server, calls }: SettingsJson): readonly Fact[] {
  return [
    ["Largest body", `${count(Math.floor(server.max_body_bytes / 1_000_000))} MB`],
    ["Output without a cap", `${count(calls.default_max_output)} tokens, where the model's maximum is unknown`],
    [
      "Input that is not sent along",
      calls.unseen_input === null ? "held at what the model can read" : `held at ${count(calls.unseen_input)} tokens`,
    ],
    ["When a caller leaves", calls.on_disconnect === "abort" ? "the provider is told to stop" : "the answer is read to its end"],
    [
      "Callers see",
      [calls.shows_cost && "what a call cost", calls.shows_left && "what is left"].filter(Boolean).join(", and ") ||
        "neither cost nor what is left",
    ],
    ["Refusals name", calls.shows_owner ? "the owner of the budget" : "no owner"],
    ["When it is stopped", `running calls have ${count(Math.round(server.drain_ms / 1_000))} s to end`],
  ];
}

function Path({ text }: { text: string }) {
  return <code className="break-all font-mono text-xs">{text}</code>;
}

function Providers({ settings: { providers, routes } }: { settings: SettingsJson }) {
  return (
    <Card title="Providers">
      {providers.length === 0 ? (
        <Empty title="No provider is configured.">
          Put one under <code className="font-mono">providers</code> in purser.yaml, or set the variable of its key, such as{" "}
          <code className="font-mono">OPENAI_API_KEY</code>, where the gateway runs.
        </Empty>
      ) : (
        <Table
          label="Providers"
          rows={providers}
          rowKey={({ name }) => name}
          columns={[
            { title: "Name", cell: ({ name }) => <span className="font-medium">{name}</span> },
            { title: "Key", cell: (provider) => <KeyBadge provider={provider} /> },
            { title: "Speaks", isWide: true, cell: ({ formats }) => formats.join(", ") },
            {
              title: "Address",
              isWide: true,
              cell: ({ urls }) => urls.map((url) => <div key={url}>{<Path text={url} />}</div>),
            },
            { title: "Waits", isNumber: true, isWide: true, cell: ({ timeout_ms }) => `${count(Math.round(timeout_ms / 1_000))} s` },
          ]}
        />
      )}
      {routes.length > 0 && (
        <p className="mt-3 text-sm text-soft">
          Before the providers’ own patterns:{" "}
          {routes.map(({ pattern, providers: served }) => `${pattern} → ${served.join(", then ")}`).join("; ")}.
        </p>
      )}
    </Card>
  );
}

function KeyBadge({ provider: { has_key, problem } }: { provider: ProviderSettingsJson }) {
  if (problem !== null)
    return (
      <span title={problem}>
        <Badge kind="warn">missing</Badge>
        <span className="sr-only">{problem}</span>
      </span>
    );
  return <Badge kind={has_key ? "good" : "plain"}>{has_key ? "set" : "needs none"}</Badge>;
}
