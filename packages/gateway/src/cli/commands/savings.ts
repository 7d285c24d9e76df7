import type { SavedByRungJson, SavedJson } from "../../admin/reports/saved.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, openAdminAccess } from "../admin-access.ts";
import { shortDollars } from "../amounts.ts";
import type { Command } from "../command.ts";
import type { Style } from "../style.ts";
import { table } from "../table.ts";
import { reportQuery, sinceText, TIME_HELP, TIME_OPTIONS } from "./report.ts";

const { filter: _filter, ...TIMES } = TIME_OPTIONS;

export const savings: Command = {
  name: "savings",
  summary: "what ladders have saved, by budget and rung",
  usage: "[--budget NAME] [--since WHEN] [--until WHEN]",
  help: [
    "Reads PostgreSQL where `store.postgres` is configured, with what all gateways did; else this gateway's own ledger.",
    "",
    "  --budget NAME   only what the ladder of this budget did",
    ...TIME_HELP.filter((line) => !line.includes("--filter")),
    ACCESS_HELP,
    "",
    "Example: purser savings --since 30d",
  ].join("\n"),
  options: { ...ACCESS_OPTIONS, ...TIMES, budget: { type: "string" } },
  wordsMost: 0,
  async run(input, context) {
    const { budget } = input.options;
    const query = reportQuery(input, context.now());
    if (budget !== undefined) query.set("budget", String(budget));
    const access = await openAdminAccess(input, context, { books: "all" });
    try {
      const json = (await access.ask("GET", `/api/savings?${query}`)) as SavedJson;
      return { exit: 0, text: savingsText(json, context.style), json };
    } finally {
      await access.close();
    }
  },
};

const count = (amount: number) => (amount === 0 ? "" : amount.toLocaleString("en-US"));

function savingsText(json: SavedJson, style: Style): string {
  const { data, total } = json;
  if (data.length === 0) return `No ladder has touched a call since ${sinceText(json)}.`;
  const columns = COLUMNS.filter(({ isAlways, isShown }) => isAlways || data.some(isShown ?? (() => true)));
  const heading = ["Budget", "Rung", ...columns.map(({ title }) => title)];
  const lines = data.map((row) => [row.budget, row.rung, ...columns.map(({ show }) => show(row))]);
  const sum = [style.bold("Total"), "", ...columns.map(({ field }) => (field ? shortDollars(total[field]) : ""))];
  const right = columns.map((_, i) => 2 + i);
  const kinds = [...new Set(data.map(({ kind }) => kind))];
  const how = kinds.map((kind) => `  ${kind}: ${data.find((row) => row.kind === kind)?.how}`);
  const said = `Since ${sinceText(json)}. A call that several rungs touched is with each of them, and no money is counted twice.`;
  return `${table(heading.map(style.dim), [...lines, sum], right)}\n\n${style.dim([said, ...how].join("\n"))}`;
}

interface Column {
  readonly title: string;
  readonly show: (row: SavedByRungJson) => string;
  readonly field?: keyof SavedJson["total"];
  readonly isAlways?: true;
  /** Else only where a row has something to show. */
  readonly isShown?: (row: SavedByRungJson) => boolean;
}

const COLUMNS: readonly Column[] = [
  { title: "Calls", show: ({ calls }) => count(calls), isAlways: true },
  { title: "not known", show: ({ unknown_calls }) => count(unknown_calls), isShown: ({ unknown_calls }) => unknown_calls > 0 },
  {
    title: "Tokens left out",
    show: ({ left_out_tokens }) => count(left_out_tokens),
    isShown: ({ left_out_tokens }) => left_out_tokens > 0,
  },
  {
    title: "Spent on it",
    field: "spent_nanodollars",
    show: ({ spent_nanodollars }) => (spent_nanodollars === 0 ? "" : shortDollars(spent_nanodollars)),
    isShown: ({ spent_nanodollars }) => spent_nanodollars > 0,
  },
  { title: "Saved", field: "saved_nanodollars", show: savedText, isAlways: true },
];

/** Of what nobody can know nothing is said; an estimate is called one. */
function savedText({ calls, unknown_calls, is_estimate, spent_nanodollars, saved_nanodollars }: SavedByRungJson): string {
  if (unknown_calls === calls && spent_nanodollars === 0) return "not known";
  return `${is_estimate ? "about " : ""}${shortDollars(saved_nanodollars)}`;
}
