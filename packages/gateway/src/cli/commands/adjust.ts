import { formatAmount } from "@purser/core";
import type { AdjustmentJson } from "../../admin/adjustment-json.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, openAdminAccess } from "../admin-access.ts";
import { limitText } from "../amounts.ts";
import type { Command } from "../command.ts";
import type { Style } from "../style.ts";
import { table } from "../table.ts";

export const adjust: Command = {
  name: "adjust",
  summary: "which limits follow what is used of them, what was decided, and what would be decided now",
  usage: "[--json]",
  help: [
    "Shows the budgets with `adjust`: what their rules would do if the period ended now, and why. Nothing is changed.",
    "",
    ACCESS_HELP,
  ].join("\n"),
  options: ACCESS_OPTIONS,
  async run(input, context) {
    const access = await openAdminAccess(input, context);
    try {
      const { data } = (await access.ask("GET", "/api/adjustments")) as { data: readonly AdjustmentJson[] };
      return { exit: 0, text: data.length === 0 ? NONE : adjustmentsText(data, context.style), json: data };
    } finally {
      await access.close();
    }
  },
};

const NONE = "No budget adjusts by itself. `adjust: { within: $30 - $80 }` in a budget lets its limit follow what is used.";

function adjustmentsText(adjustments: readonly AdjustmentJson[], style: Style): string {
  const rows = adjustments.map((one) => [
    style.bold(one.budget),
    limitText(one.amount, one.unit, one.window),
    formatAmount(one.configured, one.unit),
    `${formatAmount(one.least, one.unit)} to ${formatAmount(one.most, one.unit)}`,
    one.mode === "propose" ? "proposed" : one.next_at.slice(0, 16).replace("T", " "),
    one.next ? formatAmount(one.next.amount, one.unit) : "",
  ]);
  const text = table(["Budget", "Limit", "File", "Within", "Next (UTC)", "Then, as it looks now"].map(style.dim), rows);
  return [text, "", ...adjustments.flatMap(reasons)].join("\n");
}

function reasons({ budget, decided, next }: AdjustmentJson): readonly string[] {
  const then = next ? `As it looks now: ${next.why}` : "What was used is only known while a gateway runs, and has added it up.";
  return [...(decided ? [`${budget}, since ${day(decided.from)}: ${decided.why}`] : []), `${budget}: ${then}`];
}

/** How a limit that follows what is used of it came to its amount, below the balances. */
export function adjustedLines(adjustments: readonly AdjustmentJson[]): readonly string[] {
  return adjustments.flatMap(({ budget, amount, configured, unit, window, decided, next_at }) =>
    decided && amount !== configured
      ? [
          `${budget}, ${limitText(amount, unit, window)}: the file says ${formatAmount(configured, unit)}. ${decided.why} Looked at again ${day(next_at)}.`,
        ]
      : [],
  );
}

function day(instant: string): string {
  return `${instant.slice(0, 16).replace("T", " ")} UTC`;
}
