import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import type { BudgetJson } from "../../../gateway/src/admin/budget-tree.ts";
import { api } from "../api.ts";
import { Button, SelectField, TextField } from "../components/controls.tsx";
import { Card } from "../components/panel.tsx";
import { count, dayName, exactAmount } from "../format.ts";

const CALENDAR = ["hour", "day", "week", "month", "quarter", "year"];

/** What another amount would have done with the calls of the last days. */
export function WhatIf({ budget }: { budget: BudgetJson }) {
  const limits = budget.limits.filter(({ window, unit }) => CALENDAR.includes(window) && unit !== "concurrent");
  const [text, setText] = useState(limits[0]?.text ?? "");
  const [amount, setAmount] = useState("");
  const [days, setDays] = useState("7");
  const limit = limits.find((one) => one.text === text) ?? limits[0];
  const look = useMutation({ mutationFn: (input: { limit: string; days: number }) => api.whatIf(budget.name, input.limit, input.days) });
  if (!limit) return null;
  const send = (event: FormEvent) => {
    event.preventDefault();
    const bare = amount.trim().replace(/^\$/, "");
    const written = limit.unit === "nanodollars" ? `$${bare}` : `${bare} ${limit.unit.replace("_", " ")}`;
    look.mutate({ limit: `${written} / ${limit.window}`, days: Number(days) });
  };
  const result = look.data;
  return (
    <Card title="What another limit would have done">
      <form onSubmit={send} className="grid items-end gap-3 sm:grid-cols-[1fr_1fr_auto]">
        {limits.length > 1 && (
          <div className="sm:col-span-3">
            <SelectField
              label="Limit"
              value={limit.text}
              onChange={(event) => setText(event.target.value)}
              options={limits.map((one) => [one.text, one.text] as const)}
            />
          </div>
        )}
        <TextField
          label={`Instead of ${limit.text}`}
          required
          value={amount}
          onChange={(event) => setAmount(event.target.value)}
          placeholder={limit.unit === "nanodollars" ? "$50" : "100k"}
        />
        <SelectField
          label="Looking back"
          value={days}
          onChange={(event) => setDays(event.target.value)}
          options={[
            ["7", "7 days"],
            ["14", "14 days"],
            ["31", "31 days"],
          ]}
        />
        <Button type="submit" disabled={look.isPending}>
          {look.isPending ? "Playing back …" : "Look"}
        </Button>
      </form>
      <div aria-live="polite" className="mt-3 text-sm">
        {look.error && <p className="rounded-md bg-over-wash px-3 py-2">{look.error.message}</p>}
        {result && result.refused_calls === 0 && (
          <p>
            It would have refused none of the {count(result.calls)} calls, which used {exactAmount(result.used, limit.unit)}.
          </p>
        )}
        {result && result.refused_calls > 0 && (
          <p>
            It would have refused <strong className="font-semibold">{count(result.refused_calls)}</strong> of {count(result.calls)} calls,
            which used {exactAmount(result.refused, limit.unit)} of {exactAmount(result.used, limit.unit)}
            {result.first_refused_at === null ? "" : `; the first ${dayName(result.first_refused_at, budget.time_zone)}`}
            {budget.per.length > 0 ? `. That concerns ${count(result.subjects_refused)} of ${count(result.subjects)} balances` : ""}.
          </p>
        )}
        {!result && !look.error && <p className="text-soft">Plays back what calls were charged. Nothing is changed by it.</p>}
      </div>
    </Card>
  );
}
