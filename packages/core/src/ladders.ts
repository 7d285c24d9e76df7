import { type Budget, subjectLabel } from "./domain/budget.ts";
import { type Balance, formatInstant } from "./domain/decision.ts";
import { type Rung, rungsAt, shareOf, shareText, stepAt } from "./domain/ladder.ts";
import type { Subject } from "./domain/subject.ts";

/** A rung that holds for a call, and why. */
export interface ActiveRung {
  readonly rung: Rung;
  readonly budget: Budget;
  /** The share from which it holds, in hundredths of a per cent. */
  readonly from: number;
  /** The limit that is used so far. */
  readonly balance: Balance;
}

/** What the ladders of all budgets of a call say, and what they must not do to it. */
export interface LadderPlan {
  readonly rungs: readonly ActiveRung[];
  /** Answers are not shortened below this. */
  readonly outputTokensLeast: number;
  /** Whether every budget of the call allows the model: no ladder goes to one that its owner ruled out. */
  allowsModel(model: string): boolean;
}

/** So many balances are remembered with the step that they stand on. The others stand where their use puts them. */
const STEPS_MOST = 100_000;

/** Which step of its ladder each balance stands on, so that calls which end do not make it flap. */
export class Ladders {
  #steps = new Map<string, number>();

  /** The rungs that hold for a subject, by the balances of its budgets. */
  active(budgets: readonly Budget[], balances: readonly Balance[], subject: Subject): readonly ActiveRung[] {
    return budgets.flatMap((budget) => {
      const fullest = fullestOf(balances.filter((balance) => balance.budget === budget.name && balance.unit !== "concurrent"));
      if (!fullest) return [];
      const { balance, share } = fullest;
      const step = this.#step(budget, subject, share);
      return rungsAt(budget.ladder, step).map((rung) => ({ rung, budget, from: fromOf(budget, rung), balance }));
    });
  }

  #step(budget: Budget, subject: Subject, share: number): number {
    const key = `${budget.name}|${subjectLabel(budget, subject)}`;
    const step = stepAt(budget.ladder, share, this.#steps.get(key));
    this.#steps.delete(key);
    if (step >= 0) this.#steps.set(key, step);
    if (this.#steps.size > STEPS_MOST) this.#steps = new Map([...this.#steps].slice(STEPS_MOST / 2));
    return step;
  }
}

function fromOf({ ladder }: Budget, rung: Rung): number {
  return ladder.find(({ rungs }) => rungs.includes(rung))?.from ?? 0;
}

function fullestOf(balances: readonly Balance[]): { readonly balance: Balance; readonly share: number } | undefined {
  let fullest: { readonly balance: Balance; readonly share: number } | undefined;
  for (const balance of balances) {
    const share = shareOf(balance, balance.limit);
    if (!fullest || share > fullest.share) fullest = { balance, share };
  }
  return fullest;
}

/** Why a ladder refuses a call, when that ends, and what to do. */
export function describeBlock({ budget, from, balance }: ActiveRung): string {
  const used = shareText(Math.floor(shareOf(balance, balance.limit)));
  const resets = balance.resetsAt === undefined ? "It does not reset." : `It resets ${formatInstant(balance.resetsAt, balance.timezone)}.`;
  const name = balance.subject === "" ? `Budget "${budget.name}"` : `Budget "${budget.name}" (${balance.subject})`;
  return `${name} takes no calls from ${shareText(from)} on, and ${used} is used. ${resets} Ask ${budget.owner ?? "the owner of the budget"} for more.`;
}
