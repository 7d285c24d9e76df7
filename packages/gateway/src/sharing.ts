import type { Budgets } from "@purser/core";
import type { AuditLog } from "./audit-log/audit-log.ts";

/** Moves what budgets leave unused to those that need it, where that is due, and writes down what was decided here. */
export async function shareUnused(budgets: Pick<Budgets, "share">, log: Pick<AuditLog, "write">): Promise<void> {
  for (const { budget, limit, moves } of await budgets.share())
    await log.write({ by: `the sharing of "${budget}"`, what: "budget.shared", details: { limit, ...moves } });
}
