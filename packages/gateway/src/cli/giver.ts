import { isSubjectPath, PurserError, type Subject } from "@purser/core";
import { suggestion } from "../config/nearest-name.ts";
import type { AdminAccess } from "./admin-access.ts";
import type { CommandContext, CommandInput } from "./command.ts";
import { UsageError } from "./commands/outcome.ts";

/** Options of what an owner does by hand to a budget: for whom, why, and who does it. */
export const GIVER_OPTIONS = {
  for: { type: "string", multiple: true },
  why: { type: "string" },
  giver: { type: "string" },
} as const;

/** These options as the admin API takes them. */
export function giverOf({ options }: CommandInput, { env }: CommandContext) {
  if (options.why === undefined) throw new UsageError("Say why: --why TEXT. It is kept in the ledger.");
  const pairs = (options.for ?? []) as readonly string[];
  return {
    why: options.why,
    giver: options.giver ?? env.USER ?? env.USERNAME ?? "the owner",
    ...(pairs.length > 0 && { for: subjectOf(pairs) }),
  };
}

function subjectOf(pairs: readonly string[]): Subject {
  const attributes: Record<string, string> = {};
  const tags: Record<string, string> = {};
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    const path = pair.slice(0, at).trim();
    if (at < 1 || !isSubjectPath(path)) throw new UsageError(`Whom it is for is written user=ann or tag.NAME=VALUE, not "${pair}".`);
    if (path.startsWith("tag.")) tags[path.slice(4)] = pair.slice(at + 1).trim();
    else attributes[path] = pair.slice(at + 1).trim();
  }
  return { ...attributes, ...(Object.keys(tags).length > 0 && { tags }) };
}

/** Asks for a change of a budget. Of a name that is none, the nearest one is told. */
export async function askAboutBudget({ ask, config }: AdminAccess, name: string, target: string, body: unknown): Promise<unknown> {
  try {
    return await ask("POST", target, body);
  } catch (error) {
    if (!(error instanceof PurserError) || error.code !== "budget_unknown") throw error;
    const names = config.budgets.map((budget) => budget.name);
    throw new PurserError(error.code, `There is no budget "${name}".${suggestion(name, names)}`);
  }
}
