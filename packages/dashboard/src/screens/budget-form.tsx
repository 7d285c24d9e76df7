import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import type { BudgetTrialJson, WrittenBudgetJson } from "../../../gateway/src/admin/budget-json.ts";
import type { BudgetJson } from "../../../gateway/src/admin/budget-tree.ts";
import { api } from "../api.ts";
import { Button, LinesField, SelectField, TextField, WhyField } from "../components/controls.tsx";
import { Dialog, DialogForm, FormDialog } from "../components/dialog.tsx";
import { Answer } from "../components/panel.tsx";
import { type BudgetLines, isFixed, itemOf, linesOf, otherFields } from "./budget-lines.ts";
import { untilTakenOver } from "./taken-over.ts";

interface DialogProps {
  readonly isOpen: boolean;
  readonly onClose: () => void;
}

export function NewBudgetDialog(props: DialogProps) {
  return (
    <Dialog title="New budget" isWide {...props}>
      <BudgetForm onClose={props.onClose} />
    </Dialog>
  );
}

export function EditBudgetDialog({ name, ...props }: DialogProps & { readonly name: string }) {
  return (
    <Dialog title={`Edit ${name}`} isWide {...props}>
      <WrittenForm name={name} onClose={props.onClose} />
    </Dialog>
  );
}

/** The form of a budget as it stands in the file when the dialog opens: who changes it meanwhile is noticed by its version. */
function WrittenForm({ name, onClose }: { readonly name: string; readonly onClose: () => void }) {
  const written = useQuery({
    queryKey: ["written budget", name],
    queryFn: () => api.writtenBudget(name),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    retry: false,
  });
  return (
    <>
      <Answer of={written}>{(budget) => <BudgetForm written={budget} onClose={onClose} />}</Answer>
      {written.data === undefined && (
        <div className="flex justify-end">
          <Button onClick={onClose}>Cancel</Button>
        </div>
      )}
    </>
  );
}

const READ_BACK_AFTER_MS = 250;

/** What has not changed for a moment. */
function useSettled<Value>(value: Value): Value {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), READ_BACK_AFTER_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

function BudgetForm({ written, onClose }: { readonly written?: WrittenBudgetJson; readonly onClose: () => void }) {
  const before = written?.budget ?? {};
  const [lines, setLines] = useState(() => linesOf(before));
  const [why, setWhy] = useState("");
  const item = itemOf(lines, before);
  const settled = useSettled(JSON.stringify(item));
  const trial = useQuery({
    queryKey: ["trial of a budget", written?.name ?? null, settled],
    queryFn: () => api.tryBudget(written?.name, JSON.parse(settled)),
    enabled: lines.name.trim() !== "",
    placeholderData: keepPreviousData,
    gcTime: 0,
    retry: false,
    refetchOnWindowFocus: false,
  });
  const save = useSave(written, onClose);
  const field = (name: keyof BudgetLines, hint: string) => ({
    value: lines[name],
    onChange: ({ target }: { readonly target: { readonly value: string } }) => setLines({ ...lines, [name]: target.value }),
    problems: problemsOf(trial.data, name),
    ...(isFixed(before, name)
      ? { hint: "It has what cannot be said in lines, and stays. Change it in the file.", readOnly: true }
      : { hint }),
  });
  return (
    <DialogForm
      onClose={onClose}
      onSubmit={() => save.mutate({ item, why })}
      submit={written ? "Save" : "Make the budget"}
      isBusy={save.isPending}
      error={save.error ?? trial.error}
    >
      <div className="grid items-start gap-4 sm:grid-cols-2">
        <TextField
          label="Name"
          required
          {...field("name", written ? "It stays: history and grants are kept by it." : "In answers, reports and headers. It stays.")}
          readOnly={written !== undefined}
        />
        <TextField label="Owner" {...field("owner", "Who answers for it, and is told.")} placeholder="kim@example.com" />
        <TextField
          label="Cost centre"
          {...field("cost_center", "Where its calls are booked. Nothing: as what it is a part of.")}
          placeholder="CC-4711"
        />
        <LinesField
          label="For whom"
          {...field("for", "An attribute a line. Nothing: all calls.")}
          placeholder={"team=search\ntier=free|trial"}
        />
        <LinesField label="Limits" {...field("limits", "A limit a line. All of them hold.")} placeholder={"$50 / month\n1M tokens / day"} />
        <TextField label="Each" {...field("per", "A balance for each. Nothing: one for all.")} placeholder="user" />
        <Mode value={lines.mode} written={linesOf(before).mode} onChange={(mode) => setLines({ ...lines, mode })} />
      </div>
      <LinesField
        label="Ladder"
        {...field(
          "ladder",
          "What happens to calls as it fills: a share (80%) or an amount ($400, $20 left) and a rung a line. Calls are refused when it is used up.",
        )}
        placeholder={"80%: use gpt-4o-mini\n90%: shorten 300"}
      />
      <ReadBack trial={lines.name.trim() === "" ? undefined : trial.data} />
      <WhyField value={why} onChange={setWhy} hint="Stays in the audit log beside your name." />
      <p className="text-sm text-soft">
        It is written into <code className="font-mono">purser.yaml</code>, where everything else stays as it is.
        {otherFields(before).length > 0 && ` What else this budget has is kept too: ${otherFields(before).join(", ")}.`} Calls in flight
        keep what they hold; what was used since its windows began counts.
      </p>
    </DialogForm>
  );
}

interface ModeProps {
  readonly value: string;
  readonly written: string;
  readonly onChange: (value: string) => void;
}

const MODES = ["enforce", "observe"];

/** `written`: as it stands in the file, where a trial can have an end. */
function Mode({ value, written, onChange }: ModeProps) {
  return (
    <SelectField
      label="Mode"
      value={value}
      onChange={(event) => onChange(event.target.value)}
      options={[
        ["enforce", "enforce: refuses what does not fit"],
        ["observe", "observe: refuses nothing"],
        ...(MODES.includes(written) ? [] : [[written, `${written}: then refuses what does not fit`] as const]),
      ]}
    />
  );
}

/** What is wrong with a field, or with a part of it. */
function problemsOf(trial: BudgetTrialJson | undefined, name: keyof BudgetLines): readonly string[] {
  return (trial?.problems ?? []).filter(({ field }) => isIn(field, name)).map(({ message }) => message);
}

function isIn(field: string, name: string): boolean {
  return field === name || field.startsWith(`${name}.`) || field.startsWith(`${name}[`);
}

const SHOWN_BESIDE = ["name", "for", "per", "limits", "owner", "cost_center", "ladder"];

/** The budget in words as it would be, and what is doubtful about it. */
function ReadBack({ trial }: { readonly trial: BudgetTrialJson | undefined }) {
  const others = trial?.problems.filter(({ field }) => !SHOWN_BESIDE.some((name) => isIn(field, name))) ?? [];
  return (
    <div role="status" className="grid gap-1.5 rounded-md bg-wash px-3 py-2 text-sm [overflow-wrap:anywhere]">
      {trial?.sentence ? <p>{trial.sentence}</p> : others.length === 0 && <p className="text-soft">{WAITING[trial ? "wrong" : "empty"]}</p>}
      {trial?.warnings.map(({ message }) => (
        <p key={message} className="text-warn">
          {message}
        </p>
      ))}
      {others.map(({ field, message }) => (
        <p key={message} className="text-over">
          {field === "" ? message : `${field}: ${message}`}
        </p>
      ))}
    </div>
  );
}

const WAITING = {
  empty: "The budget is read back here in words.",
  wrong: "The budget is read back here in words, once it can be read.",
} as const;

function useSave(written: WrittenBudgetJson | undefined, onClose: () => void) {
  const client = useQueryClient();
  const navigate = useNavigate();
  return useMutation({
    mutationFn: async ({ item, why }: { readonly item: object; readonly why: string }) => {
      const body = { budget: item, why };
      const saved = written ? await api.replaceBudget(written.name, { ...body, version: written.version }) : await api.createBudget(body);
      await untilTakenOver(saved.name, (now) => now?.sentence === saved.sentence);
      return saved.name;
    },
    onSuccess: async (name) => {
      await client.invalidateQueries({ queryKey: ["budgets"] });
      onClose();
      if (!written) await navigate({ to: "/budgets/$name", params: { name } });
    },
  });
}

export function RemoveBudgetDialog({ budget, isOpen, onClose }: DialogProps & { readonly budget: BudgetJson }) {
  const { name } = budget;
  const client = useQueryClient();
  const navigate = useNavigate();
  const [why, setWhy] = useState("");
  const trial = useQuery({
    queryKey: ["trial of a removal", name],
    queryFn: async () => ({ written: await api.writtenBudget(name), trial: await api.tryRemoval(name) }),
    enabled: isOpen,
    gcTime: 0,
    retry: false,
  });
  const remove = useMutation({
    mutationFn: async () => {
      await api.removeBudget(name, { why, version: trial.data?.written.version });
      await untilTakenOver(name, (now) => now === undefined);
    },
    onSuccess: async () => {
      await navigate({ to: "/budgets" });
      await client.invalidateQueries({ queryKey: ["budgets"] });
    },
  });
  return (
    <FormDialog
      title={`Remove ${name}`}
      isOpen={isOpen}
      onClose={onClose}
      onSubmit={() => remove.mutate()}
      submit="Remove"
      isBusy={remove.isPending || trial.data === undefined}
      isDangerous
      error={remove.error ?? trial.error}
    >
      <p className="rounded-md bg-sunk px-3 py-2 text-sm">{trial.data?.trial.sentence ?? budget.sentence}</p>
      {trial.data?.trial.problems.map(({ message }) => (
        <p key={message} className="text-sm text-over">
          {message}
        </p>
      ))}
      <p className="text-sm text-soft">
        It is taken out of <code className="font-mono">purser.yaml</code>, and from then on it refuses nothing. Calls in flight are charged
        as they began. What was charged stays in the ledger, and counts again if a budget of this name is made for the same calls.
      </p>
      <WhyField value={why} onChange={setWhy} hint="Stays in the audit log beside your name." />
    </FormDialog>
  );
}
