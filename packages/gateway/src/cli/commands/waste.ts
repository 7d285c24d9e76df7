import type { WasteJson } from "../../admin/reports/waste.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, openAdminAccess } from "../admin-access.ts";
import { shortDollars } from "../amounts.ts";
import type { Command } from "../command.ts";
import type { Style } from "../style.ts";
import { table } from "../table.ts";
import { reportQuery, sinceText, TIME_HELP, TIME_OPTIONS } from "./report.ts";

export const waste: Command = {
  name: "waste",
  summary: "what sessions send again, how long answers are, and what could be saved",
  usage: "[--by session] [--most 10] [--since WHEN] [--until WHEN] [--filter feature=chat]",
  help: [
    "  --by LIST       session where it is left out; feature, model, user, tag.NAME, …; several with commas",
    "  --most N        how many are shown; 10 where it is left out",
    ...TIME_HELP,
    ACCESS_HELP,
    "",
    "Example: purser waste --by feature,model --since 7d",
  ].join("\n"),
  options: { ...ACCESS_OPTIONS, ...TIME_OPTIONS, by: { type: "string", multiple: true }, most: { type: "string" } },
  wordsMost: 0,
  async run(input, context) {
    const { most } = input.options;
    const query = reportQuery(input, context.now());
    if (most !== undefined) query.set("most", String(most));
    const access = await openAdminAccess(input, context, { books: "if reachable" });
    try {
      const json = (await access.ask("GET", `/api/waste?${query}`)) as WasteJson;
      return { exit: 0, text: wasteText(json, context.style), json };
    } finally {
      await access.close();
    }
  },
};

const count = (amount: number) => amount.toLocaleString("en-US");
const percent = (part: number, whole: number) => (whole === 0 ? "" : `${((part / whole) * 100).toFixed(1)} %`);
const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

function wasteText(json: WasteJson, style: Style): string {
  if (json.total.calls === 0) return `Nothing was used since ${sinceText(json)}.`;
  return [resentText(json, style), answersText(json, style), savingsText(json, style)].filter((part) => part !== "").join("\n\n");
}

function resentText(json: WasteJson, style: Style): string {
  const { by, data, rows, total } = json;
  const heading = [...by.map(capital), "Calls", "Input", "Sent again", "", "of it cached", "paid in full", "Cost of it"];
  const cells = (row: WasteJson["total"]) => [
    count(row.calls),
    count(row.input_tokens),
    count(row.resent_input_tokens),
    percent(row.resent_input_tokens, row.input_tokens),
    count(row.resent_cache_read_input_tokens),
    count(row.resent_paid_input_tokens),
    shortDollars(row.resent_nanodollars),
  ];
  const lines = data.map((row) => [...by.map((path) => row.values[path] ?? style.dim("none")), ...cells(row)]);
  const sum = [style.bold("Total"), ...Array(by.length - 1).fill(""), ...cells(total)];
  const right = heading.slice(by.length).map((_, i) => by.length + i);
  const more = rows > data.length ? `${style.dim(`… and ${count(rows - data.length)} rows more: --most ${rows} has them.`)}\n` : "";
  const said = `Since ${sinceText(json)}. At least so much was sent again: what was forgotten counts as new, and calls without a session are not looked at.`;
  return `${table(heading.map(style.dim), [...lines, sum], right)}\n${more}\n${style.dim(said)}`;
}

function answersText({ answers }: WasteJson, style: Style): string {
  if (answers.length === 0) return "";
  const heading = ["Feature", "Answers", "without a cap", "p50", "p95", "longest", "A cap at p95 saves"];
  const lines = answers
    .slice(0, SHOWN)
    .map((one) => [
      one.feature ?? style.dim("none"),
      count(one.calls),
      percent(one.uncapped_calls, one.calls),
      count(one.p50_output_tokens),
      count(one.p95_output_tokens),
      count(one.max_output_tokens),
      one.saved_nanodollars === 0 ? "" : shortDollars(one.saved_nanodollars),
    ]);
  return table(heading.map(style.dim), lines, [1, 2, 3, 4, 5, 6]);
}

const SHOWN = 10;

const SAVINGS: Readonly<Record<WasteJson["savings"][number]["kind"], string>> = {
  caching: "Prompt caching",
  output: "A cap for answers",
  batch: "Batches",
  model: "A cheaper model",
};

function savingsText({ savings, repriced_calls }: WasteJson, style: Style): string {
  const lines = savings.map(({ kind, calls, nanodollars, how }) => {
    return `${SAVINGS[kind]}: ${style.bold(shortDollars(nanodollars))} less, ${count(calls)} ${calls === 1 ? "call" : "calls"}\n  ${style.dim(how)}`;
  });
  const overlap = savings.length > 1 ? [style.dim("They overlap, so they do not add up.")] : [];
  const left = repriced_calls > 0 ? [style.dim(`${count(repriced_calls)} calls whose price has changed since are left out of them.`)] : [];
  return [...lines, ...overlap, ...left].join("\n");
}
