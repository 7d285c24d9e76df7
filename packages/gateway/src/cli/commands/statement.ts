import type { StatementsJson } from "../../admin/reports/statement.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, openAdminAccess } from "../admin-access.ts";
import { shortDollars } from "../amounts.ts";
import type { Command } from "../command.ts";
import { askNames, type NameOf } from "../key-names.ts";
import type { Style } from "../style.ts";
import { table } from "../table.ts";

export const statement: Command = {
  name: "statement",
  summary: "what each team is charged for a month, with its owner",
  usage: "[--month 2026-11] [--by team] [--csv | --html]",
  help: [
    "Each call is in one statement: of the team (or product, customer, …) that it was charged to, or of none. So their sum is all that was charged.",
    "",
    "  --month M       this month where it is left out",
    "  --by A          team where it is left out; org, product, feature, user, key, tag.NAME, cost_center, owner, …",
    "  --zone NAME     whose months; the configuration's `timezone` where it is left out",
    "  --csv           a line for each model of each statement",
    "  --html          a page that prints well: each statement on a sheet of its own",
    ACCESS_HELP,
    "",
    "Example: purser statement --month 2026-10 --html > october.html",
  ].join("\n"),
  options: {
    ...ACCESS_OPTIONS,
    month: { type: "string" },
    by: { type: "string" },
    zone: { type: "string" },
    csv: { type: "boolean" },
    html: { type: "boolean" },
  },
  wordsMost: 0,
  async run(input, context) {
    const { month, by, zone, csv, html, json: isJson } = input.options;
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries({ month, by, time_zone: zone })) if (value !== undefined) query.set(name, String(value));
    const format = html === true ? "html" : csv === true ? "csv" : undefined;
    if (format !== undefined && isJson !== true) query.set("format", format);
    const access = await openAdminAccess(input, context, { books: "all" });
    try {
      const answer = await access.ask("GET", `/api/statements?${query}`);
      if (typeof answer === "string") return { exit: 0, text: answer, json: undefined };
      const json = answer as StatementsJson;
      return { exit: 0, text: statementsText(json, context.style, await askNames(access, [json.by])), json };
    } finally {
      await access.close();
    }
  },
};

function statementsText(json: StatementsJson, style: Style, nameOf: NameOf): string {
  const { month, by, is_final, time_zone, total, before, data } = json;
  if (data.length === 0) return `Nothing was charged in ${month}.`;
  const heading = [by, "Owner", "Calls", "Tokens", "Cost", "Share", "Month before"];
  const count = (amount: number) => amount.toLocaleString("en-US");
  const rows = data.map((one) => [
    one.value === null ? style.dim("none") : nameOf(by, one.value),
    one.owner ?? style.dim("nobody"),
    count(one.total.calls),
    count(one.total.input_tokens + one.total.output_tokens),
    shortDollars(one.total.cost_nanodollars),
    `${(one.share * 100).toFixed(1)} %`,
    shortDollars(one.before.cost_nanodollars),
  ]);
  const sum = [
    style.bold("Total"),
    "",
    count(total.calls),
    count(total.input_tokens + total.output_tokens),
    shortDollars(total.cost_nanodollars),
    "",
    shortDollars(before.cost_nanodollars),
  ];
  const state = is_final ? "" : ", which is not over";
  const shown = heading.map((title) => style.dim(title.charAt(0).toUpperCase() + title.slice(1)));
  return `${table(shown, [...rows, sum], [2, 3, 4, 5, 6])}\n\n${style.dim(`${month}${state} (${time_zone}).`)}`;
}
