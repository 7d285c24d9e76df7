import type { AdjustmentJson } from "../../admin/adjustment-json.ts";
import type { BalanceJson, OwnedBalanceJson } from "../../admin/balances.ts";
import { suggestion } from "../../config/nearest-name.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, type AdminAccess, openAdminAccess } from "../admin-access.ts";
import { limitText, shortAmount, untilText } from "../amounts.ts";
import type { Command, CommandContext, CommandInput, CommandResult } from "../command.ts";
import { askAboutBudget, GIVER_OPTIONS, giverOf } from "../giver.ts";
import type { Style } from "../style.ts";
import { bar, table } from "../table.ts";
import { adjustedLines } from "./adjust.ts";
import { UsageError } from "./outcome.ts";

export const budgets: Command = {
  name: "budgets",
  summary: "what every budget has spent, holds and has left",
  usage: "[NAME] [--all] [--wide] | reset NAME --why TEXT [options]",
  help: [
    "Asks the running gateway, or reads the data folder where none runs.",
    "",
    "  NAME            only this budget; also --budget NAME",
    `  --all           every balance; the ${"fullest 40"} where it is left out`,
    "  --wide          with the owner and the cost centre of each",
    "  reset NAME      lets a balance begin again at nothing; calls in flight and the ledger keep what they have",
    "    --for WHOM      whose balance, where each has one: user=ann, may be repeated",
    "    --limit LIMIT   which limit: '$50 / month'; all of the budget where it is left out",
    "    --why TEXT      kept in the ledger, with who did it",
    "    --giver NAME    who did it; your login where it is left out",
    ACCESS_HELP,
    "",
    "Example: purser budgets reset users --for user=ann --why 'a loop that was our fault'",
  ].join("\n"),
  options: {
    ...ACCESS_OPTIONS,
    ...GIVER_OPTIONS,
    budget: { type: "string" },
    all: { type: "boolean" },
    wide: { type: "boolean" },
    limit: { type: "string" },
  },
  wordsMost: 2,
  async run(input, context) {
    const [verb, ...rest] = input.positionals;
    if (verb === "reset") return reset(rest, input, context);
    if (rest.length > 0) throw new UsageError(`"${rest[0]}" is a word too many.${suggestion(verb as string, ["reset"])}`);
    const access = await openAdminAccess(input, context);
    try {
      const { all, wide } = input.options;
      const budget = (input.options.budget as string | undefined) ?? verb;
      const query = new URLSearchParams({
        ...(budget !== undefined && { budget }),
        ...(wide === true && { owners: "true" }),
        ...(all !== true && input.options.json !== true && { most: String(SHOWN) }),
      });
      const answer = (await access.ask("GET", `/api/budgets?${query}`)) as { data: readonly OwnedBalanceJson[]; total?: number };
      const { data, total = data.length } = answer;
      if (data.length === 0) {
        return emptyResult(access, budget);
      }
      const text = balancesText(data, context, { total, besides: wide === true ? OWNED : [] });
      const lines = [text, ...observingLines(data, context.now()), ...(await adjustedOf(access, data))];
      return { exit: 0, text: lines.join("\n\n"), json: data };
    } finally {
      await access.close();
    }
  },
};

/** Says which of the budgets that are shown refuse nothing, and until when. */
function observingLines(balances: readonly BalanceJson[], now: number): readonly string[] {
  const ends = new Map(balances.flatMap(({ budget, observes_until: end }) => (end === undefined ? [] : [[budget, end] as const])));
  const lines = [...ends].map(([budget, end]) => {
    if (end === null) return `${budget} only observes and refuses nothing.`;
    const day = `${end.slice(0, 16).replace("T", " ")} UTC`;
    return `${budget} only observes and refuses nothing until ${day} (${untilText(end, now)}). \`purser trials\` says what it would have refused.`;
  });
  return lines.length === 0 ? [] : [lines.join("\n")];
}

/** Says why limits are others than in the file, of the budgets that are shown. */
async function adjustedOf({ config, ask }: AdminAccess, balances: readonly BalanceJson[]): Promise<readonly string[]> {
  if (!config.budgets.some(({ adjusting }) => adjusting)) return [];
  const { data } = (await ask("GET", "/api/adjustments")) as { data: readonly AdjustmentJson[] };
  const lines = adjustedLines(data.filter((one) => balances.some(({ budget }) => budget === one.budget)));
  return lines.length === 0 ? [] : [lines.join("\n")];
}

async function reset([name, ...others]: readonly string[], input: CommandInput, context: CommandContext): Promise<CommandResult> {
  if (name === undefined || others.length > 0) throw new UsageError("Say which budget: purser budgets reset NAME --why TEXT");
  const { limit } = input.options;
  const body = { ...giverOf(input, context), ...(limit !== undefined && { limit }) };
  const access = await openAdminAccess(input, context, { purpose: "changing" });
  try {
    const { data } = (await askAboutBudget(access, name, `/api/budgets/${encodeURIComponent(name)}/reset`, body)) as {
      data: readonly BalanceJson[];
    };
    return { exit: 0, text: balancesText(data, context), json: data };
  } finally {
    await access.close();
  }
}

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
export function balancesText<Json extends BalanceJson>(
  balances: readonly Json[],
  { style, now }: Pick<CommandContext, "style" | "now">,
  { total = balances.length, besides = [] }: { readonly total?: number; readonly besides?: readonly BesideColumn<Json>[] } = {},
): string {
  const rows = balances.map((balance) => [
    style.bold(balance.budget),
    balance.subject,
    ...standingCells(balance, style, now()),
    ...besides.map(({ show }) => show(balance)),
  ]);
  const more = total - balances.length;
  const heading = ["Budget", "For", ...STANDING_HEADING, ...besides.map(({ title }) => title)].map(style.dim);
  const lines = table(
    heading,
    rows,
    STANDING_RIGHT.map((column) => column + 2),
  );
  return more > 0 ? `${lines}\n${style.dim(`… and ${more} that are less used: --all shows them.`)}` : lines;
}

/** A column that stands behind the others. */
interface BesideColumn<Json> {
  readonly title: string;
  readonly show: (balance: Json) => string;
}

const OWNED: readonly BesideColumn<OwnedBalanceJson>[] = [
  { title: "Owner", show: ({ owner }) => owner ?? "" },
  { title: "Cost centre", show: ({ cost_center }) => cost_center ?? "" },
];

/** How something that has a limit stands. */
type StandingJson = Omit<BalanceJson, "budget" | "subject">;

export const STANDING_HEADING = ["Limit", "Used", "Spent", "Held", "Left", "Resets"];
/** The columns that are set to the right. */
export const STANDING_RIGHT = [2, 3, 4];

export function standingCells(standing: StandingJson, style: Style, now: number): readonly string[] {
  const { unit, weights, window, limit, spent, held, left, resets_at } = standing;
  return [
    limitText(limit, unit, window, weights),
    usedText(standing, style),
    unit === "concurrent" ? "" : shortAmount(spent, unit),
    held === 0 ? "" : shortAmount(held, unit),
    shortAmount(left, unit),
    unit === "concurrent" ? "" : untilText(resets_at, now),
  ];
}

function usedText(standing: StandingJson, style: Style): string {
  const share = shareUsed(standing);
  const colour = share >= 1 ? style.red : share >= 0.8 ? style.yellow : style.green;
  return `${colour(bar(share))} ${String(Math.round(share * 100)).padStart(3)} %`;
}

function shareUsed({ limit, left }: StandingJson): number {
  return limit === 0 ? 1 : (limit - left) / limit;
}
