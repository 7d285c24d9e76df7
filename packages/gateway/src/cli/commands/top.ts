import { setTimeout as sleep } from "node:timers/promises";
import type { SpendersJson } from "../../admin/reports/spenders.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, openAdminAccess } from "../admin-access.ts";
import { shortDollars } from "../amounts.ts";
import type { Command } from "../command.ts";
import { askNames, type NameOf } from "../key-names.ts";
import type { Style } from "../style.ts";
import { bar, table } from "../table.ts";
import { reportQuery, sinceText, TIME_HELP, TIME_OPTIONS } from "./report.ts";

const EVERY_MS = 2_000;
const CLEAR = "\u001b[2J\u001b[H";

export const top: Command = {
  name: "top",
  summary: "who spends most, and how much of the whole that is",
  usage: "[--by user] [--most 10] [--since WHEN] [--until WHEN] [--filter team=search] [--watch]",
  help: [
    "  --by A          user where it is left out; team, feature, model, key, session, tag.NAME, …",
    "  --most N        how many are shown; 10 where it is left out",
    ...TIME_HELP,
    "  --watch         again every two seconds, until Ctrl-C",
    ACCESS_HELP,
    "",
    "Example: purser top --by feature --since 24h",
  ].join("\n"),
  options: { ...ACCESS_OPTIONS, ...TIME_OPTIONS, by: { type: "string" }, most: { type: "string" }, watch: { type: "boolean" } },
  wordsMost: 0,
  async run(input, context) {
    const { most, watch } = input.options;
    const access = await openAdminAccess(input, context, { books: "all" });
    const text = async (json: SpendersJson) => spendersText(json, context.style, await askNames(access, [json.by]));
    const ask = async () => {
      const query = reportQuery(input, context.now());
      if (most !== undefined) query.set("most", String(most));
      return (await access.ask("GET", `/api/spenders?${query}`)) as SpendersJson;
    };
    try {
      while (watch === true) {
        context.print(`${CLEAR}${await text(await ask())}`);
        await sleep(EVERY_MS);
      }
      const json = await ask();
      return { exit: 0, text: await text(json), json };
    } finally {
      await access.close();
    }
  },
};

function spendersText(json: SpendersJson, style: Style, nameOf: NameOf): string {
  const { by, spenders, data, total, concentration } = json;
  const since = sinceText(json);
  if (data.length === 0) return `Nothing was spent since ${since}.`;
  const count = (amount: number) => amount.toLocaleString("en-US");
  const rows = data.map(({ value, calls, input_tokens, output_tokens, cost_nanodollars, share }) => [
    value === null ? style.dim("none") : nameOf(by, value),
    bar(share),
    `${(share * 100).toFixed(1)} %`,
    count(calls),
    count(input_tokens + output_tokens),
    shortDollars(cost_nanodollars),
  ]);
  const heading = [by.charAt(0).toUpperCase() + by.slice(1), "Of the whole", "", "Calls", "Tokens", "Cost"];
  const sentences = concentration.map(
    ({ percent, spenders: few, share }) => `${percent} % of ${by} values (${few} of ${count(spenders)}) use ${(share * 100).toFixed(1)} %.`,
  );
  const all = `${count(spenders)} ${by} value${spenders === 1 ? "" : "s"} in all, ${shortDollars(total.cost_nanodollars)} since ${since}.`;
  return `${table(heading.map(style.dim), rows, [2, 3, 4, 5])}\n\n${[all, ...sentences].join("\n")}`;
}
