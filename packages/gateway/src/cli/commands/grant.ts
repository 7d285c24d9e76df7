import type { Unit } from "@purser/core";
import type { GrantJson } from "../../admin/grant-json.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, type AdminAccess, openAdminAccess } from "../admin-access.ts";
import { limitText } from "../amounts.ts";
import type { Command, CommandContext, CommandInput, CommandResult } from "../command.ts";
import { askAboutBudget, GIVER_OPTIONS, giverOf } from "../giver.ts";
import { table } from "../table.ts";
import { UsageError } from "./outcome.ts";

export const grant: Command = {
  name: "grant",
  summary: "give somebody more of a budget for a time",
  usage: "BUDGET AMOUNT --until WHEN --why TEXT [options] | list | revoke ID",
  help: [
    "  BUDGET AMOUNT     what it adds to which limit: '$20', '50k tokens / day'. A limit with a window is raised",
    "                    in each of its windows until the grant ends; it ends by itself",
    "    --for WHOM        whom it is for, where each has a balance: user=ann, may be repeated",
    "    --until WHEN      7d, 12h, a time, or a day, which it includes",
    "    --from WHEN       now where it is left out",
    "    --why TEXT        kept in the ledger, with who gave it",
    "    --giver NAME      who gives it; your login where it is left out",
    "  list              the grants that are in force or will be",
    "    --budget NAME     only those of this budget",
    "  revoke ID         ends a grant at once",
    "",
    ACCESS_HELP,
    "",
    "Example: purser grant users '50k tokens / day' --for user=ann --until 7d --why 'the launch'",
  ].join("\n"),
  options: { ...ACCESS_OPTIONS, ...GIVER_OPTIONS, until: { type: "string" }, from: { type: "string" }, budget: { type: "string" } },
  async run(input, context) {
    const [first, second, ...others] = input.positionals;
    const isList = first === undefined || (first === "list" && second === undefined);
    if (!isList && (second === undefined || others.length > 0)) throw new UsageError("Write BUDGET AMOUNT, list, or revoke ID.");
    const access = await openAdminAccess(input, context, { purpose: isList ? "reading" : "changing" });
    try {
      if (isList) return await list(access, input, context);
      return first === "revoke"
        ? await revoke(access, second as string, input, context)
        : await give(access, first, second as string, input, context);
    } finally {
      await access.close();
    }
  },
};

async function give(
  access: AdminAccess,
  budget: string,
  amount: string,
  input: CommandInput,
  context: CommandContext,
): Promise<CommandResult> {
  const { until, from } = input.options;
  if (until === undefined) throw new UsageError("Say when it ends: --until 7d");
  const body = { budget, amount, until, ...(from !== undefined && { from }), ...giverOf(input, context) };
  const given = (await askAboutBudget(access, budget, "/api/grants", body)) as GrantJson;
  const whom = given.subject === "" ? "" : ` (${given.subject})`;
  const text = `${given.id}: "${given.budget}"${whom} has ${amountText(given)} more ${spanText(given)}.`;
  return { exit: 0, text, json: given };
}

async function list(access: AdminAccess, { options }: CommandInput, { style }: CommandContext): Promise<CommandResult> {
  const query = options.budget === undefined ? "" : `?budget=${encodeURIComponent(String(options.budget))}`;
  const { data } = (await access.ask("GET", `/api/grants${query}`)) as { data: readonly GrantJson[] };
  if (data.length === 0)
    return { exit: 0, text: "No grant is in force. Give one: purser grant BUDGET AMOUNT --until 7d --why TEXT", json: data };
  const rows = data.map((one) => [
    style.bold(one.id),
    one.budget,
    one.subject,
    `${one.amount < 0 ? "-" : "+"} ${amountText({ ...one, amount: Math.abs(one.amount) })}`,
    momentText(one.from),
    momentText(one.until),
    one.giver,
    one.why,
  ]);
  return { exit: 0, text: table(["Id", "Budget", "For", "Adds", "From", "Until", "Giver", "Why"].map(style.dim), rows), json: data };
}

async function revoke(access: AdminAccess, id: string, { options }: CommandInput, { env }: CommandContext): Promise<CommandResult> {
  const giver = options.giver ?? env.USER ?? env.USERNAME;
  const body = { ...(giver !== undefined && { giver }), ...(options.why !== undefined && { why: options.why }) };
  const json = await access.ask("DELETE", `/api/grants/${encodeURIComponent(id)}`, body);
  return { exit: 0, text: `Revoked ${id}. The limit is as it was.`, json };
}

function amountText({ amount, unit, window }: GrantJson): string {
  return limitText(amount, unit as Unit, window);
}

function spanText({ from, until }: GrantJson): string {
  return `from ${momentText(from)} until ${momentText(until)}`;
}

function momentText(instant: string): string {
  return `${instant.slice(0, 16).replace("T", " ")} UTC`;
}
