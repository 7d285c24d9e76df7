import type { BalanceJson } from "../../admin/balances.ts";
import { suggestion } from "../../config/nearest-name.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, type AdminAccess, openAdminAccess } from "../admin-access.ts";
import { limitText, shortAmount, untilText } from "../amounts.ts";
import type { Command, CommandContext, CommandResult } from "../command.ts";
import type { Style } from "../style.ts";
import { bar, table } from "../table.ts";

export const budgets: Command = {
  name: "budgets",
  summary: "what every budget has spent, holds and has left",
  usage: "[NAME] [--all]",
  help: [
    "Asks the running gateway, or reads the data folder where none runs.",
    "",
    "  NAME            only this budget; also --budget NAME",
    `  --all           every balance; the ${"fullest 40"} where it is left out`,
    ACCESS_HELP,
  ].join("\n"),
  options: { ...ACCESS_OPTIONS, budget: { type: "string" }, all: { type: "boolean" } },
  wordsMost: 1,
  async run(input, context) {
    const access = await openAdminAccess(input, context);
    try {
      const { all } = input.options;
      const budget = (input.options.budget as string | undefined) ?? input.positionals[0];
      const query = new URLSearchParams({
        ...(budget !== undefined && { budget }),
        ...(all !== true && input.options.json !== true && { most: String(SHOWN) }),
      });
      const answer = (await access.ask("GET", `/api/budgets?${query}`)) as { data: readonly BalanceJson[]; total?: number };
      const { data, total = data.length } = answer;
      if (data.length === 0) {
        return emptyResult(access, budget);
      }
      return { exit: 0, text: balancesText(data, context, total), json: data };
    } finally {
      await access.close();
    }
  },
};

const SHOWN = 40;

function emptyResult({ config, url }: AdminAccess, budget: string | undefined): CommandResult {
  const names = config.budgets.map(({ name }) => name);
  const where = url === undefined ? `in ${config.dataDir}, and no gateway runs on that folder` : `at ${url}`;
  if (budget === undefined) {
    const text = `No budget has been used yet ${where}. Budgets stand in purser.yaml; \`purser check\` reads them aloud.`;
    return { exit: 0, text, json: [] };
  }
  if (names.includes(budget)) return { exit: 0, text: `Budget "${budget}" has not been used yet in its present window.`, json: [] };
  return { exit: 1, text: `There is no budget "${budget}".${suggestion(budget, names)}`, json: [] };
}

/** Balances as a table, `total` of them in all. Shared with `purser run`, whose bill ends with it. */
export function balancesText(
  balances: readonly BalanceJson[],
  { style, now }: Pick<CommandContext, "style" | "now">,
  total = balances.length,
): string {
  const rows = balances.map((balance) => {
    const { budget, subject, unit, window, limit, spent, held, left, resets_at } = balance;
    return [
      style.bold(budget),
      subject,
      limitText(limit, unit, window),
      usedText(balance, style),
      unit === "concurrent" ? "" : shortAmount(spent, unit),
      held === 0 ? "" : shortAmount(held, unit),
      shortAmount(left, unit),
      unit === "concurrent" ? "" : untilText(resets_at, now()),
    ];
  });
  const more = total - balances.length;
  const heading = ["Budget", "For", "Limit", "Used", "Spent", "Held", "Left", "Resets"].map(style.dim);
  const lines = table(heading, rows, [4, 5, 6]);
  return more > 0 ? `${lines}\n${style.dim(`… and ${more} that are less used: --all shows them.`)}` : lines;
}

function usedText(balance: BalanceJson, style: Style): string {
  const share = shareUsed(balance);
  const colour = share >= 1 ? style.red : share >= 0.8 ? style.yellow : style.green;
  return `${colour(bar(share))} ${String(Math.round(share * 100)).padStart(3)} %`;
}

function shareUsed({ limit, left }: BalanceJson): number {
  return limit === 0 ? 1 : (limit - left) / limit;
}
