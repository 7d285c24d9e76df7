import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { BudgetJson } from "../../../gateway/src/admin/budget-tree.ts";
import { api } from "../api.ts";
import { SelectField, TextField, WhyField } from "../components/controls.tsx";
import { FormDialog } from "../components/dialog.tsx";
import { selectorText } from "../format.ts";
import { untilTakenOver } from "./taken-over.ts";

interface ChangeProps {
  readonly budget: BudgetJson;
  readonly isOpen: boolean;
  readonly onClose: () => void;
}

/** Does something to a budget, looks at everything again, and closes. */
function useChange<Input>(work: (input: Input) => Promise<unknown>, onClose: () => void) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: work,
    onSuccess: async () => {
      await client.invalidateQueries();
      onClose();
    },
  });
}

/** `user=ann` or `ann`, for a budget per user, as the API wants it. */
function subjectOf({ per }: BudgetJson, text: string): Record<string, unknown> | undefined {
  if (per.length === 0) return undefined;
  const values = text.split(",").map((one) => one.trim());
  const attributes: Record<string, string> = {};
  const tags: Record<string, string> = {};
  for (const [i, path] of per.entries()) {
    const value = (values[i] ?? "").replace(`${path}=`, "");
    if (path.startsWith("tag.")) tags[path.slice(4)] = value;
    else attributes[path] = value;
  }
  return { ...attributes, ...(Object.keys(tags).length > 0 && { tags }) };
}

function SubjectField({ budget, value, onChange }: { budget: BudgetJson; value: string; onChange: (value: string) => void }) {
  if (budget.per.length === 0) return null;
  return (
    <TextField
      label={`Which ${budget.per.join(", ").replaceAll("tag.", "")}`}
      required
      value={value}
      onChange={(event) => onChange(event.target.value)}
      placeholder={budget.per.length > 1 ? "in this order, with commas" : undefined}
    />
  );
}

export function GrantDialog({ budget, isOpen, onClose }: ChangeProps) {
  const limits = budget.limits;
  const [text, setText] = useState(limits[0]?.text ?? "");
  const [more, setMore] = useState("");
  const [days, setDays] = useState("7");
  const [why, setWhy] = useState("");
  const [whose, setWhose] = useState("");
  // Sent again after a lost answer, it gives nothing more.
  const [key, setKey] = useState(newKey);
  const limit = limits.find((one) => one.text === text);
  const grant = useChange(
    async () => {
      const until = new Date(Date.now() + Number(days) * 86_400_000).toISOString();
      const subject = subjectOf(budget, whose);
      const body = { budget: budget.name, amount: amountOf(more, limit), until, why, ...(subject && { for: subject }) };
      return api.grant(body, key);
    },
    () => {
      setKey(newKey());
      onClose();
    },
  );
  return (
    <FormDialog
      title={`Give more of ${budget.name}`}
      isOpen={isOpen}
      onClose={onClose}
      onSubmit={() => grant.mutate(undefined)}
      submit="Give"
      isBusy={grant.isPending}
      error={grant.error}
    >
      {limits.length > 1 && (
        <SelectField
          label="Of which limit"
          value={text}
          onChange={(event) => setText(event.target.value)}
          options={limits.map((one) => [one.text, one.text] as const)}
        />
      )}
      <TextField
        label="How much more"
        required
        value={more}
        onChange={(event) => setMore(event.target.value)}
        placeholder={limit?.unit === "nanodollars" ? "$50" : "100k"}
        hint={limit ? `On top of ${limit.text}` : undefined}
      />
      <SubjectField budget={budget} value={whose} onChange={setWhose} />
      <SelectField
        label="For how long"
        value={days}
        onChange={(event) => setDays(event.target.value)}
        options={[
          ["1", "a day"],
          ["7", "a week"],
          ["30", "30 days"],
          ["90", "90 days"],
        ]}
      />
      <WhyField value={why} onChange={setWhy} hint="Stays in the ledger beside your name." />
    </FormDialog>
  );
}

/** Without `randomUUID`, which browsers have on https pages only. */
function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** `50` as the API wants it: `$50 / month`. */
function amountOf(text: string, limit: BudgetJson["limits"][number] | undefined): string {
  if (!limit) return text;
  const isMoney = limit.unit === "nanodollars";
  const bare = text.trim().replace(/^\$/, "");
  const written = isMoney ? `$${bare}` : /[a-z]{2,}/i.test(bare) ? bare : `${bare} ${limit.unit.replace("_", " ")}`;
  return limit.window === "lifetime" ? written : `${written} / ${limit.window}`;
}

export function LimitDialog({ budget, isOpen, onClose }: ChangeProps) {
  const { name, limits } = budget;
  const [text, setText] = useState(limits[0]?.text ?? "");
  const [to, setTo] = useState("");
  const [why, setWhy] = useState("");
  const limit = limits.find((one) => one.text === text);
  const change = useChange(async () => {
    await api.changeLimit(name, { limit: text, to: amountOf(to, limit), why });
    await untilTakenOver(name, (now) => JSON.stringify(now?.limits) !== JSON.stringify(limits));
  }, onClose);
  return (
    <FormDialog
      title={`Change a limit of ${name}`}
      isOpen={isOpen}
      onClose={onClose}
      onSubmit={() => change.mutate(undefined)}
      submit="Change"
      isBusy={change.isPending}
      error={change.error}
    >
      <p className="text-sm text-soft">
        The amount is written into <code className="font-mono">purser.yaml</code>, where everything else stays as it is. What was used stays
        used.
      </p>
      {limits.length > 1 && (
        <SelectField
          label="Which limit"
          value={text}
          onChange={(event) => setText(event.target.value)}
          options={limits.map((one) => [one.text, one.text] as const)}
        />
      )}
      <TextField
        label="New amount"
        required
        value={to}
        onChange={(event) => setTo(event.target.value)}
        hint={limit ? `In the place of ${limit.text}` : undefined}
      />
      <WhyField value={why} onChange={setWhy} hint="Stays in the audit log beside your name." />
    </FormDialog>
  );
}

export function ResetDialog({ budget, isOpen, onClose }: ChangeProps) {
  const [why, setWhy] = useState("");
  const [whose, setWhose] = useState("");
  const reset = useChange(async () => {
    const subject = subjectOf(budget, whose);
    return api.reset(budget.name, { why, ...(subject && { for: subject }) });
  }, onClose);
  return (
    <FormDialog
      title={`Reset ${budget.name}`}
      isOpen={isOpen}
      onClose={onClose}
      onSubmit={() => reset.mutate(undefined)}
      submit="Reset"
      isBusy={reset.isPending}
      isDangerous
      error={reset.error}
    >
      <p className="text-sm text-soft">
        What is spent begins again at nothing. Calls in flight keep what they hold, and every charge stays in the ledger.
      </p>
      <SubjectField budget={budget} value={whose} onChange={setWhose} />
      <WhyField value={why} onChange={setWhy} />
    </FormDialog>
  );
}

export interface SwitchOffProps {
  /** What is switched off, as the screen calls it. */
  readonly name: string;
  /** The calls that it is about. */
  readonly selects: BudgetJson["for"];
  readonly isOpen: boolean;
  readonly onClose: () => void;
}

export function SwitchOffDialog({ name, selects, isOpen, onClose }: SwitchOffProps) {
  const [why, setWhy] = useState("");
  const [hours, setHours] = useState("");
  const off = useChange(async () => {
    const until = hours === "" ? {} : { until: new Date(Date.now() + Number(hours) * 3_600_000).toISOString() };
    return api.switchOff({ for: selects, why, ...until });
  }, onClose);
  const selected = selectorText(selects);
  return (
    <FormDialog
      title={selected === "" ? "Switch everything off" : `Switch off ${name}`}
      isOpen={isOpen}
      onClose={onClose}
      onSubmit={() => off.mutate(undefined)}
      submit="Switch off"
      isBusy={off.isPending}
      isDangerous
      error={off.error}
    >
      <p className="text-sm text-soft">
        {selected === "" ? "All calls are" : `Calls with ${selected} are`} refused at once, on every gateway, and their running streams end.
      </p>
      <WhyField value={why} onChange={setWhy} hint="Whoever is refused reads it." />
      <SelectField
        label="Until"
        value={hours}
        onChange={(event) => setHours(event.target.value)}
        options={[
          ["", "somebody switches it on"],
          ["1", "in an hour"],
          ["24", "in a day"],
          ["168", "in a week"],
        ]}
      />
    </FormDialog>
  );
}
