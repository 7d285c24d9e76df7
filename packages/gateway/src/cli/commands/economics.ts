import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { PurserError } from "@purser/core";
import type { EconomicsJson, PerUnit } from "../../admin/reports/economics.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, openAdminAccess } from "../admin-access.ts";
import { shortDollars } from "../amounts.ts";
import type { Command } from "../command.ts";
import type { Style } from "../style.ts";
import { table } from "../table.ts";
import { UsageError } from "./outcome.ts";
import { reportQuery, sinceText, TIME_HELP, TIME_OPTIONS } from "./report.ts";

export const economics: Command = {
  name: "economics",
  summary: "what a call, a user, a session costs; against revenue, and what an amount pays for",
  usage: "[--since WHEN] [--until WHEN] [--filter feature=chat] [--afford '$0.50'] [--by tag.customer --revenue FILE]",
  help: [
    ...TIME_HELP,
    "  --afford $      how many calls this amount pays for",
    "  --by A          whose revenue the file has: tag.customer, org, team, …",
    "  --revenue FILE  CSV, a line for each value: acme,1200.00",
    ACCESS_HELP,
    "",
    "Example: purser economics --since 30d --by tag.customer --revenue november.csv",
  ].join("\n"),
  options: { ...ACCESS_OPTIONS, ...TIME_OPTIONS, afford: { type: "string" }, by: { type: "string" }, revenue: { type: "string" } },
  wordsMost: 0,
  async run(input, context) {
    const { by, revenue, afford, ...options } = input.options;
    if ((by === undefined) !== (revenue === undefined)) throw new UsageError("--revenue and --by belong together.");
    const query = reportQuery({ options }, context.now());
    const body = {
      ...Object.fromEntries(["since", "until", "time_zone"].flatMap((name) => (query.has(name) ? [[name, query.get(name)]] : []))),
      ...(query.has("filter") && { filter: query.getAll("filter") }),
      ...(afford !== undefined && { afford }),
      ...(by !== undefined && { by, revenue: await readRevenue(resolve(context.cwd, String(revenue))) }),
    };
    const access = await openAdminAccess(input, context, { books: "all" });
    try {
      const json = (await access.ask("POST", "/api/economics", body)) as EconomicsJson;
      return { exit: 0, text: economicsText(json, context.style), json };
    } finally {
      await access.close();
    }
  },
};

/** `acme,1200.00` a line. A first line that has no amount is a heading. */
async function readRevenue(file: string): Promise<Readonly<Record<string, string>>> {
  const text = await readFile(file, "utf8").catch((cause: Error) => {
    throw new PurserError("config_invalid", `The revenue in ${file} cannot be read: ${cause.message}`, { cause });
  });
  const revenue = new Map<string, string>();
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === "") continue;
    const [, quoted, plain = "", amount = ""] = /^\s*(?:"([^"]*)"|([^,]*?))\s*,\s*\$?([\d.]*)\s*$/.exec(line) ?? [];
    const value = quoted ?? plain;
    if (i === 0 && /,[^\d,]*$/.test(line)) continue;
    if (value === "" || !/^\d+(\.\d{1,9})?$/.test(amount))
      throw new PurserError("config_invalid", `Line ${i + 1} of ${file} is not a value and an amount of dollars: acme,1200.00`);
    if (revenue.has(value)) throw new PurserError("config_invalid", `Line ${i + 1} of ${file} names "${value}" again.`);
    revenue.set(value, amount);
  }
  return Object.fromEntries(revenue);
}

const PER: readonly (readonly [PerUnit, string])[] = [
  ["call", "a call"],
  ["million_tokens", "a million tokens"],
  ["user", "a user"],
  ["user_day", "a user and day"],
  ["session", "a session"],
];

function economicsText(json: EconomicsJson, style: Style): string {
  const count = (amount: number) => amount.toLocaleString("en-US");
  const { calls, tokens, cost_nanodollars, users, sessions, per, affords, against } = json;
  if (calls === 0) return `Nothing was used since ${sinceText(json)}.`;
  const whole = `${shortDollars(cost_nanodollars)} for ${count(calls)} calls and ${count(tokens)} tokens of ${count(users)} users in ${count(sessions)} sessions, since ${sinceText(json)}.`;
  const rows = PER.flatMap(([unit, name]) => {
    const cost = per[unit];
    return cost === null ? [] : [[name, shortDollars(cost)]];
  });
  const parts = [whole, table(["Cost of", ""].map(style.dim), rows, [1])];
  if (affords)
    parts.push(`${shortDollars(affords.nanodollars)} pays for ${affords.calls === null ? "any number of" : count(affords.calls)} calls.`);
  if (against) parts.push(againstText(against, style));
  return parts.join("\n\n");
}

function againstText({ by, data }: NonNullable<EconomicsJson["against"]>, style: Style): string {
  const rows = data.map(({ value, cost_nanodollars, revenue_nanodollars, margin_nanodollars, cost_share }) => [
    value ?? style.dim("others"),
    shortDollars(revenue_nanodollars),
    shortDollars(cost_nanodollars),
    margin_nanodollars < 0 ? style.red(shortDollars(margin_nanodollars)) : shortDollars(margin_nanodollars),
    cost_share === null ? "" : `${(cost_share * 100).toFixed(1)} %`,
  ]);
  return table([by, "Revenue", "Cost", "Margin", "Cost of revenue"].map(style.dim), rows, [1, 2, 3, 4]);
}
