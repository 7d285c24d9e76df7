import type { Budget } from "./budget.ts";
import { includesSelection } from "./subject.ts";

/** The narrowest other budget without balances of single subjects that selects whatever this one selects. */
export function parentOf(budget: Budget, all: readonly Budget[]): Budget | undefined {
  const index = all.indexOf(budget);
  const wider = all.filter((other, i) => {
    if (other === budget || other.per.length > 0 || !includesSelection(other.selector, budget.selector)) return false;
    // Of two budgets for the same calls the first is above.
    return budget.per.length > 0 || !includesSelection(budget.selector, other.selector) || i < index;
  });
  return wider.reduce<Budget | undefined>((best, one) => (best && !includesSelection(best.selector, one.selector) ? best : one), undefined);
}

/** The budgets of a configuration, those without an owner with that of the budget that they are a part of, or of what that is a part of. */
export function withOwners(budgets: readonly Budget[]): readonly Budget[] {
  return budgets.map((budget) => {
    if (budget.owner !== undefined) return budget;
    const above = ownedAbove(budget, budgets);
    return above ? { ...budget, owner: above.owner, ownerFrom: above.name } : budget;
  });
}

function ownedAbove(budget: Budget, budgets: readonly Budget[]): Budget | undefined {
  const parent = parentOf(budget, budgets);
  return parent === undefined || parent.owner !== undefined ? parent : ownedAbove(parent, budgets);
}

/** The owner, where callers may know it. */
export function shownOwner({ owner, showsOwner }: Pick<Budget, "owner" | "showsOwner">): string | undefined {
  return showsOwner ? owner : undefined;
}

/** Whom refusals say to ask for more. */
export function giverOf(budget: Pick<Budget, "owner" | "showsOwner">): string {
  return shownOwner(budget) ?? "the owner of the budget";
}
