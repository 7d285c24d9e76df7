import type { Budget } from "@purser/core";
import { formatLimit } from "@purser/core";
import type { Config } from "../config/config.ts";

/** What a gateway starts with, for the audit log: no secret is in it. */
export function startDetails({ file, server, budgets }: Config): Readonly<Record<string, unknown>> {
  return { config: file, host: server.host, budgets: budgets.map(({ name, limits }) => ({ name, limits: limits.map(formatLimit) })) };
}

/** Which budgets a changed configuration adds, takes away and changes. */
export function budgetChanges(before: readonly Budget[], after: readonly Budget[]): Readonly<Record<string, unknown>> {
  const earlier = new Map(before.map((budget) => [budget.name, budgetText(budget)]));
  const later = new Map(after.map((budget) => [budget.name, budgetText(budget)]));
  return {
    added: after.filter(({ name }) => !earlier.has(name)).map(({ name }) => name),
    removed: before.filter(({ name }) => !later.has(name)).map(({ name }) => name),
    changed: after.filter(({ name }) => earlier.has(name) && earlier.get(name) !== later.get(name)).map(({ name }) => name),
    budgets: after.map(({ name, limits }) => ({ name, limits: limits.map(formatLimit) })),
  };
}

function budgetText(budget: Budget): string {
  return JSON.stringify({ ...budget, exceptions: budget.exceptions.map(({ limits, ...one }) => ({ ...one, limits: [...limits] })) });
}
