import { formatInstant } from "@purser/core";
import type { Config } from "../../config/config.ts";
import { CONFIG_FILE, readConfig } from "../../config/read-config.ts";
import type { RecordedCall } from "../../replay/recorded-call.ts";
import { type Replayed, replay as replayCalls } from "../../replay/replay.ts";
import { shortDollars } from "../amounts.ts";
import type { Command } from "../command.ts";
import { lookedAt } from "../demo-folder.ts";
import { type CallRecord, RECORD_HELP, RECORD_OPTIONS, readOwnCalls, readTracedCalls } from "../recorded-calls.ts";
import type { Style } from "../style.ts";
import { table } from "../table.ts";

export const replay: Command = {
  name: "replay",
  summary: "what other budgets would have done with the calls of a trace, or your own",
  usage: "[FILE] [--config OTHER] [--columns LIST] [--model NAME] [--json]",
  help: [
    "Makes recorded calls again, in virtual time and with simulated providers: nothing is sent, and nothing is charged.",
    "",
    RECORD_HELP.file,
    "  --config OTHER  the configuration to try; purser.yaml in this folder where it is left out",
    ...RECORD_HELP.about,
    "  --data DIR      the data folder with the ledger; that of purser.yaml where it is left out",
    "  --json          the same for programs",
    "",
    "Example: purser replay day.csv --config tighter.yaml",
  ].join("\n"),
  options: { ...RECORD_OPTIONS, config: { type: "string" } },
  wordsMost: 1,
  async run(input, context) {
    const { cwd, env } = context;
    const [file] = input.positionals;
    const flags = { data: input.options.data as string | undefined };
    const other = lookedAt(readConfig({ file: input.options.config as string | undefined, environment: env, cwd, flags }));
    // Its own calls are those of the configuration that is in use, whichever one is tried.
    const own = () => readOwnCalls(lookedAt(readConfig({ environment: env, cwd, flags })), input, context, LEDGER);
    const record = file === undefined ? await own() : await readTracedCalls(file, input, context);
    const { calls } = record;
    const bare = await replayCalls({ ...other, budgets: other.budgets.map((budget) => ({ ...budget, ladder: [] })) }, calls);
    const laddered = other.budgets.some(({ ladder }) => ladder.length > 0) ? await replayCalls(other, calls) : undefined;
    const report: Report = { ...record, bare, laddered };
    return { exit: 0, text: reportText(report, other, context.style), json: reportJson(report) };
  },
};

const LEDGER = { command: "replay", otherwise: "Name a trace: purser replay FILE." };

interface Report extends CallRecord {
  /** The budgets without their ladders. */
  readonly bare: Replayed;
  readonly laddered: Replayed | undefined;
}

function reportText(report: Report, { file, budgets }: Config, style: Style): string {
  const { calls, bare, laddered } = report;
  const last = laddered ?? bare;
  const what = file ?? (budgets.length > 0 ? "the budgets of the demo" : `no ${CONFIG_FILE}`);
  const kinds = budgets.flatMap(({ ladder }) => ladder.flatMap(({ rungs }) => rungs.map(({ kind }) => kind)));
  const sections = [
    `${count(calls.length)} calls from ${instant(calls[0])} to ${instant(calls.at(-1))}, under ${what}.`,
    outcomesTable(calls.length, [["Its budgets alone", bare], ...(laddered ? ([["With its ladders", laddered]] as const) : [])], style),
    savedText(last),
    ...(laddered ? [rungsTable(laddered, calls.length, style)] : []),
    ...(last.refusals.length > 0 ? [refusalsTable(last, style)] : []),
    notes(report, kinds),
  ];
  return sections.filter((section) => section !== "").join("\n\n");
}

function outcomesTable(calls: number, outcomes: readonly (readonly [name: string, Replayed])[], style: Style): string {
  const rows = outcomes.map(([name, { answered, readyTexts, refused, waitedMs, after }]) => [
    name,
    count(answered),
    count(readyTexts),
    count(refused),
    waitedMs === 0 ? "" : `${count(Math.round(waitedMs / 1000))} s`,
    shortDollars(after.cost),
  ]);
  const heading = ["", "Answered", "Ready text", "Refused", "Waited", "Cost"].map(style.dim);
  const before = ["As it was", count(calls), "", "", "", shortDollars(outcomes[0]?.[1].before.cost ?? 0)];
  return table(heading, [before, ...rows], [1, 2, 3, 4, 5]);
}

/** What calls that are not answered would have cost is no saving. */
function savedText({ before, beforeOfAnswered: { cost }, after }: Replayed): string {
  const which = cost === before.cost ? "The calls" : "The calls that are answered";
  if (after.cost === cost) return `${which} cost what they did, to the nano-dollar.`;
  const difference = Math.abs(cost - after.cost);
  const share = cost === 0 ? "" : ` (${Math.round((difference / cost) * 1000) / 10} %)`;
  return `${which} cost ${shortDollars(cost)} as they were: ${shortDollars(difference)}${share} ${after.cost < cost ? "less" : "more"} now.`;
}

function rungsTable({ rungs, unchanged, refused, refusedEarly }: Replayed, calls: number, style: Style): string {
  const row = (name: string, number: number) => [name, count(number), `${Math.round((number / calls) * 1000) / 10} %`];
  const rows = [
    row("left as they are", unchanged),
    ...[...rungs].map(([rung, number]) => row(rung, number)),
    ...(refused > 0 ? [row("refused", refused)] : []),
  ];
  const early = `\n\nRefused while a rung that keeps calls from being refused was not yet reached: ${count(refusedEarly)}.`;
  return table(["Rung", "Calls", "Share"].map(style.dim), rows, [1, 2]) + (refused > 0 ? early : "");
}

const REFUSALS_SHOWN = 10;

function refusalsTable({ refusals }: Replayed, style: Style): string {
  const rows = refusals.slice(0, REFUSALS_SHOWN).map(({ budget, reason, calls }) => [budget ?? "", reason, count(calls)]);
  const more = refusals.length - rows.length;
  return (
    table(["Refused by", "Reason", "Calls"].map(style.dim), rows, [2]) + (more > 0 ? `\n${style.dim(`… and ${more} more: --json.`)}` : "")
  );
}

/** Rungs that depend on what was said. */
const ABOUT_TEXT = ["trim", "summarise", "lookup", "cache"] as const;

/** What a reader must know to believe the figures. */
function notes({ refusals, known, unfinished, bare, laddered }: Report, kinds: readonly string[]): string {
  const untouched = ABOUT_TEXT.filter((kind) => kinds.includes(kind)).map((kind) => `\`${kind}\``);
  return [
    ...(refusals.length > 0
      ? [`${count(callsRefused(refusals))} calls that were refused are left out: nobody knows what they would have used.`]
      : []),
    ...(known > 0
      ? [`${count(known)} calls that got an answer which was known are left out: nobody knows what they would have used.`]
      : []),
    ...(unfinished > 0 ? [`${count(unfinished)} calls that have not ended are left out.`] : []),
    ...(untouched.length > 0 ? [`${untouched.join(", ")} changed nothing: a record has no texts.`] : []),
    ...(bare.before.unpriced > 0 ? [`${count(bare.before.unpriced)} calls went to models without a price, and count as nothing.`] : []),
    ...((laddered ?? bare).refusals.some(({ reason }) => reason === "rate_limited" || reason === "budget_busy")
      ? ["Calls that were refused for a moment are not tried again here, as clients would."]
      : []),
  ].join("\n");
}

function callsRefused(refusals: CallRecord["refusals"]): number {
  return refusals.reduce((sum, { times }) => sum + times, 0);
}

function instant(call: RecordedCall | undefined): string {
  return formatInstant(call?.at ?? 0, "UTC");
}

function count(number: number): string {
  return number.toLocaleString("en-US");
}

function reportJson({ name, calls, refusals, known, unfinished, bare, laddered }: Report): unknown {
  return {
    source: name,
    from: new Date(calls[0]?.at ?? 0).toISOString(),
    to: new Date(calls.at(-1)?.at ?? 0).toISOString(),
    calls: calls.length,
    left_out: { refused: callsRefused(refusals), known, unfinished },
    as_it_was: costJson(bare.before),
    budgets: replayedJson(bare),
    ladders: laddered ? replayedJson(laddered) : null,
  };
}

function replayedJson({ answered, readyTexts, refused, unchanged, waitedMs, ...replayed }: Replayed): unknown {
  const { after, beforeOfAnswered, rungs, refusals, refusedEarly } = replayed;
  return {
    answered,
    ready_texts: readyTexts,
    refused,
    refused_early: refusedEarly,
    unchanged,
    waited_ms: waitedMs,
    ...costJson(after),
    answered_as_it_was: costJson(beforeOfAnswered),
    rungs: [...rungs].map(([rung, number]) => ({ rung, calls: number })),
    refusals: refusals.map(({ budget = null, ...rest }) => ({ budget, ...rest })),
  };
}

function costJson({ cost, unpriced }: Replayed["after"]): Readonly<Record<string, number>> {
  return { cost_nanodollars: cost, unpriced_calls: unpriced };
}
