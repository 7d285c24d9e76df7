import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { ModelPriceJson, PriceListJson } from "../../../gateway/src/admin/price-list.ts";
import { api } from "../api.ts";
import { Button } from "../components/controls.tsx";
import { Answer, Card, Empty, Page } from "../components/panel.tsx";
import { Table } from "../components/table.tsx";
import { count, money } from "../format.ts";
import { Allowances } from "./allowances.tsx";

const SHOWN = 40;

export function Prices() {
  const prices = useQuery({ queryKey: ["prices"], queryFn: api.prices, staleTime: 60_000 });
  return (
    <Page
      title="Prices"
      lead="What calls are charged by. Prices of your own stand in purser.yaml under prices, and win over the catalogue."
    >
      <Answer of={prices} rows={8}>
        {(list) => (
          <>
            <Unpriced list={list} />
            <Allowances isLinked={false} />
            <Used list={list} />
            <All rows={list.data} />
          </>
        )}
      </Answer>
    </Page>
  );
}

function Unpriced({ list: { used } }: { list: PriceListJson }) {
  const unpriced = used.filter(({ unpriced_calls }) => unpriced_calls > 0);
  if (unpriced.length === 0) return null;
  return (
    <p role="status" className="rounded-lg bg-over-wash px-4 py-3 text-sm">
      {unpriced.map(({ model, unpriced_calls }) => `${model} (${count(unpriced_calls)} calls)`).join(", ")} had no price, so the cost of
      these calls is unknown. Give them one in purser.yaml under <code className="font-mono">prices</code>.
    </p>
  );
}

function Used({ list: { used, data } }: { list: PriceListJson }) {
  if (used.length === 0) return null;
  return (
    <Card title="Used in the last 90 days">
      <Table
        label="Models that were used"
        rows={used}
        rowKey={({ model }) => model}
        columns={[
          { title: "Model", cell: ({ model }) => <span className="font-medium">{model}</span> },
          {
            title: "Input / 1M",
            isNumber: true,
            cell: ({ model }) =>
              priceOf(
                data.find((one) => one.model === model),
                "input",
              ),
          },
          {
            title: "Output / 1M",
            isNumber: true,
            cell: ({ model }) =>
              priceOf(
                data.find((one) => one.model === model),
                "output",
              ),
          },
          { title: "Calls", isNumber: true, isWide: true, cell: ({ calls }) => count(calls) },
          { title: "Cost", isNumber: true, cell: ({ cost_nanodollars }) => money(cost_nanodollars) },
        ]}
      />
    </Card>
  );
}

function All({ rows }: { rows: readonly ModelPriceJson[] }) {
  const [text, setText] = useState("");
  const [isWhole, setWhole] = useState(false);
  const found = rows.filter(({ provider, model }) => `${provider} ${model}`.toLowerCase().includes(text.trim().toLowerCase()));
  return (
    <Card title="All that are known" aside={`${count(found.length)} models`}>
      <label className="mb-3 block max-w-sm">
        <span className="sr-only">Find a model</span>
        <input
          type="search"
          value={text}
          onChange={(event) => setText(event.target.value)}
          placeholder="Find a model"
          className="w-full rounded-md border border-line bg-card px-2.5 py-1.5 text-sm placeholder:text-soft"
        />
      </label>
      {found.length === 0 ? (
        <Empty title={rows.length === 0 ? "No provider is configured." : "No model is called so."} />
      ) : (
        <Table
          label="Prices"
          rows={isWhole ? found : found.slice(0, SHOWN)}
          rowKey={({ provider, model }) => `${provider} ${model}`}
          columns={[
            { title: "Model", cell: ({ model }) => model },
            { title: "Provider", isWide: true, cell: ({ provider }) => provider },
            { title: "Input / 1M", isNumber: true, cell: (row) => priceOf(row, "input") },
            { title: "Cached / 1M", isNumber: true, isWide: true, cell: (row) => priceOf(row, "input read from cache") },
            { title: "Output / 1M", isNumber: true, cell: (row) => priceOf(row, "output") },
            { title: "From", isWide: true, cell: ({ source }) => <span className="text-soft">{source}</span> },
          ]}
        />
      )}
      {found.length > SHOWN && (
        <div className="mt-3 text-center">
          <Button kind="quiet" onClick={() => setWhole(!isWhole)}>
            {isWhole ? "Fewer" : `All ${count(found.length)}`}
          </Button>
        </div>
      )}
    </Card>
  );
}

function priceOf(card: ModelPriceJson | undefined, what: string): string {
  return (
    card?.prices.find((row) => row.what === what && row.aboveInputTokens === undefined)?.price.replace(" per million tokens", "") ?? "–"
  );
}
