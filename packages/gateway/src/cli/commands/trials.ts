import { formatDollars } from "@purser/core";
import type { TrialJson } from "../../admin/trial-json.ts";
import { suggestion } from "../../config/nearest-name.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, openAdminAccess } from "../admin-access.ts";
import { untilText } from "../amounts.ts";
import type { Command } from "../command.ts";
import type { Style } from "../style.ts";
import { table } from "../table.ts";

export const trials: Command = {
  name: "trials",
  summary: "what budgets that only observe would have refused, and of whom",
  usage: "[NAME] [--json]",
  help: [
    "Shows the budgets with `mode: observe`, with an end or without, and those whose trial is over: how many calls they would have",
    "refused, of whom, and what their limits need. Nothing is changed.",
    "",
    "  NAME            only this budget, with everybody who is concerned",
    ACCESS_HELP,
  ].join("\n"),
  options: ACCESS_OPTIONS,
  wordsMost: 1,
  async run(input, context) {
    const [name] = input.positionals;
    const access = await openAdminAccess(input, context);
    try {
      const { data } = (await access.ask("GET", "/api/trials")) as { data: readonly TrialJson[] };
      const shown = data.filter(({ budget }) => name === undefined || budget === name);
      if (name !== undefined && shown.length === 0) {
        const names = data.map(({ budget }) => budget);
        return { exit: 1, text: `No budget "${name}" observes, or did until its trial ended.${suggestion(name, names)}`, json: [] };
      }
      const text = shown.length === 0 ? NONE : trialsText(shown, { isWhole: name !== undefined, style: context.style, now: context.now() });
      return { exit: 0, text, json: shown };
    } finally {
      await access.close();
    }
  },
};

const NONE = "No budget only observes. `mode: observe until 2026-12-15` in a budget lets it refuse nothing until that day is over.";
const SHOWN = 5;

interface TextTerms {
  /** Whether everybody is named. */
  readonly isWhole: boolean;
  readonly style: Style;
  readonly now: number;
}

function trialsText(found: readonly TrialJson[], { isWhole, style, now }: TextTerms): string {
  const rows = found.map((one) => [
    style.bold(one.budget),
    endText(one, now),
    one.would_refuse_calls.toLocaleString("en-US"),
    one.would_refuse_nanodollars === 0 ? "" : formatDollars(one.would_refuse_nanodollars),
    one.first_at === null ? "" : `${one.first_at.slice(0, 10)} to ${one.last_at?.slice(0, 10)}`,
  ]);
  const text = table(["Budget", "Refuses from", "Would have refused", "They cost", "On days"].map(style.dim), rows, [2, 3]);
  const details = found.flatMap((one) => [...whoseLines(one, isWhole), ...needLines(one)]);
  return details.length === 0 ? text : [text, "", ...details].join("\n");
}

function endText({ mode, observes_until, ended_at }: TrialJson, now: number): string {
  if (mode === "enforce") return `${day(ended_at)} on`;
  return observes_until === null ? "never" : `${day(observes_until)} (${untilText(observes_until, now)})`;
}

function day(instant: string | null): string {
  return instant === null ? "" : `${instant.slice(0, 16).replace("T", " ")} UTC`;
}

/** `trial: 20 of user=ann, 8 of user=bob` */
function whoseLines({ budget, whose, whose_total }: TrialJson, isWhole: boolean): readonly string[] {
  if (whose.length === 0) return [];
  const shown = isWhole ? whose : whose.slice(0, SHOWN);
  const more = whose_total - shown.length;
  const names = shown.map((one) => `${one.calls.toLocaleString("en-US")} of ${one.whose === "" ? "nobody in particular" : one.whose}`);
  return [`${budget} would have refused ${names.join(", ")}${more > 0 ? `, and of ${more.toLocaleString("en-US")} more` : ""}.`];
}

function needLines({ budget, needs }: TrialJson): readonly string[] {
  return needs.map(({ limit, rests_on }) => `${budget}, ${limit}: ${rests_on}.`);
}
