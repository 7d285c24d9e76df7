import type { BalanceJson } from "../../admin/balances.ts";
import { suggestion } from "../../config/nearest-name.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, openAdminAccess } from "../admin-access.ts";
import { limitText, shortAmount, untilText } from "../amounts.ts";
import type { Command, CommandContext, CommandInput, CommandResult } from "../command.ts";
import { askAboutBudget, GIVER_OPTIONS, giverOf } from "../giver.ts";
import type { Style } from "../style.ts";
import { bar, table } from "../table.ts";
import { UsageError } from "./outcome.ts";

export const budgets: Command = {
  name: "budgets",
  summary: "what every budget has spent, holds and has left",
  usage: "[--budget NAME] [--all] | reset NAME --why TEXT [options]",
  help: [
    "Asks the running gateway, or reads the data folder where none runs.",
    "",
    "  --budget NAME   only this budget",
    `  --all           every balance; the ${"fullest 40"} where it is left out`,
    "  reset NAME      lets a balance begin again at nothing; calls in flight and the ledger keep what they have",
    "    --for WHOM      whose balance, where each has one: user=ann, may be repeated",
    "    --limit LIMIT   which limit: '$50 / month'; all of the budget where it is left out",
    "    --why TEXT      kept in the ledger, with who did it",
    "    --giver NAME    who did it; your login where it is left out",
    ACCESS_HELP,
    "",
    "Example: purser budgets reset users --for user=ann --why 'a loop that was our fault'",
  ].join("\n"),
  options: { ...ACCESS_OPTIONS, ...GIVER_OPTIONS, budget: { type: "string" }, all: { type: "boolean" }, limit: { type: "string" } },
  async run(input, context) {
    const [verb, ...rest] = input.positionals;
    if (verb === "reset") return reset(rest, input, context);
    if (verb !== undefined) throw new UsageError(`There is no \`purser budgets ${verb}\`.${suggestion(verb, ["reset"])}`);
    const access = await openAdminAccess(input, context);
    try {
      const { budget, all } = input.options;
      const query = budget === undefined ? "" : `?budget=${encodeURIComponent(String(budget))}`;
      const { data } = (await access.ask("GET", `/api/budgets${query}`)) as { data: readonly BalanceJson[] };
      if (data.length === 0) {
        const isKnown = budget === undefined || access.config.budgets.some(({ name }) => name === budget);
        return { exit: isKnown ? 0 : 1, text: emptyText(budget as string | undefined, isKnown), json: data };
      }
      return { exit: 0, text: balancesText(data, context, all === true ? data.length : SHOWN), json: data };
    } finally {
      await access.close();
    }
  },
};

async function reset([name, ...others]: readonly string[], input: CommandInput, context: CommandContext): Promise<CommandResult> {
  if (name === undefined || others.length > 0) throw new UsageError("Say which budget: purser budgets reset NAME --why TEXT");
  const { limit } = input.options;
  const body = { ...giverOf(input, context), ...(limit !== undefined && { limit }) };
  const access = await openAdminAccess(input, context, "changing");
  try {
    const { data } = (await askAboutBudget(access, name, `/api/budgets/${encodeURIComponent(name)}/reset`, body)) as {
      data: readonly BalanceJson[];
    };
    return { exit: 0, text: balancesText(data, context, data.length), json: data };
  } finally {
    await access.close();
  }
}

const SHOWN = 40;

function emptyText(budget: string | undefined, isKnown: boolean): string {
  if (budget === undefined) return "No budget has been used yet. Budgets stand in purser.yaml; `purser check` reads them aloud.";
  return isKnown ? `Budget "${budget}" has not been used yet in its present window.` : `There is no budget "${budget}".`;
}

/** The balances as a table. Shared with `purser run`, whose bill ends with it. */
export function balancesText(
  balances: readonly BalanceJson[],
  { style, now }: Pick<CommandContext, "style" | "now">,
  most: number,
): string {
  // The fullest are what people look for; what is shown stays in the order of the configuration.
  const shown = new Set([...balances].sort((a, b) => shareUsed(b) - shareUsed(a)).slice(0, most));
  const rows = balances
    .filter((balance) => shown.has(balance))
    .map((balance) => {
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
  const more = balances.length - shown.size;
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
