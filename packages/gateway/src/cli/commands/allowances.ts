import type { AllowanceJson } from "../../admin/balances.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, openAdminAccess } from "../admin-access.ts";
import { untilText } from "../amounts.ts";
import type { Command, CommandContext } from "../command.ts";
import { table } from "../table.ts";
import { STANDING_HEADING, STANDING_RIGHT, standingCells } from "./budgets.ts";

export const allowances: Command = {
  name: "allowances",
  summary: "what is left of the tokens that providers give away",
  usage: "[--json]",
  help: [
    "Asks the running gateway, or reads the data folder where none runs. Allowances stand under allowances: in purser.yaml.",
    "",
    ACCESS_HELP,
  ].join("\n"),
  options: ACCESS_OPTIONS,
  wordsMost: 0,
  async run(input, context) {
    const access = await openAdminAccess(input, context);
    try {
      const { data } = (await access.ask("GET", "/api/allowances")) as { readonly data: readonly AllowanceJson[] };
      return { exit: 0, text: data.length === 0 ? NONE : allowancesText(data, context), json: data };
    } finally {
      await access.close();
    }
  },
};

const NONE =
  "There are no allowances. What a provider gives away stands under allowances: in purser.yaml, and calls that fit it cost nothing.";

function allowancesText(all: readonly AllowanceJson[], { style, now }: Pick<CommandContext, "style" | "now">): string {
  const doEnd = all.some(({ until }) => until !== null);
  const ends = ({ until }: AllowanceJson) => {
    if (until === null) return "";
    return Date.parse(until) <= now() ? "over" : untilText(until, now());
  };
  const rows = all.map((one) => [style.bold(one.allowance), ...standingCells(one, style, now()), ...(doEnd ? [ends(one)] : [])]);
  return table(
    ["Allowance", ...STANDING_HEADING, ...(doEnd ? ["Ends"] : [])].map(style.dim),
    rows,
    STANDING_RIGHT.map((column) => column + 1),
  );
}
