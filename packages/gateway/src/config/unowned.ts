import type { Budget } from "@purser/core";
import type { Config } from "./config.ts";

/** The budgets that refuse calls or tell of them, and for which nobody answers: neither themselves nor what they are a part of has an owner. */
export function unownedBudgets({ budgets, guards, watched }: Pick<Config, "budgets" | "guards" | "watched">): readonly Budget[] {
  const heard = new Set([...guards, ...watched].map(({ budget }) => budget.name));
  return budgets.filter((budget) => budget.owner === undefined && (refuses(budget) || tells(budget) || heard.has(budget.name)));
}

/** What is on trial refuses calls in the end. */
function refuses({ observesUntil, limits, request }: Budget): boolean {
  return observesUntil < Number.POSITIVE_INFINITY && (limits.length > 0 || Object.keys(request).length > 0);
}

function tells({ ladder }: Budget): boolean {
  return ladder.some(({ rungs }) => rungs.some(({ kind }) => kind === "tell" || kind === "ask" || kind === "handover"));
}

/** What to do about it, as people say it. */
export const UNOWNED = "has no owner, so nobody in particular is told or asked. Give it one: owner: kim@example.com.";
