import { type Budget, subjectLabel } from "./domain/budget.ts";
import { type Balance, formatInstant } from "./domain/decision.ts";
import { type Rung, reachedSteps, rungsAt } from "./domain/ladder.ts";
import { beyondStep, type LadderStep, measures, shareFrom, shareOf, shareText, stepPhrase } from "./domain/ladder-step.ts";
import { giverOf } from "./domain/owner.ts";
import type { Subject } from "./domain/subject.ts";

/** A rung that holds for a call, and why. */
export interface ActiveRung {
  readonly rung: Rung;
  readonly budget: Budget;
  /** The step from which it holds. */
  readonly step: LadderStep;
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

/** So many subjects are remembered with the steps that they have reached. The others stand where their use puts them. */
const REACHED_MOST = 100_000;

/** Which steps of its ladder each subject of a budget has reached, so that calls which end do not make it flap. */
export class Ladders {
  #reached = new Map<string, readonly number[]>();

  /** The rungs that hold for a subject, by the balances of its budgets. Of those in `ending` all steps up to the one that ends a task are reached. */
  active(
    budgets: readonly Budget[],
    balances: readonly Balance[],
    subject: Subject,
    ending: readonly string[] = [],
  ): readonly ActiveRung[] {
    return budgets.flatMap((budget) => {
      const { name, ladder } = budget;
      if (ladder.length === 0) return [];
      const fullest = fullestBySteps(
        ladder,
        balances.filter((balance) => balance.budget === name),
      );
      // Of what ends a task, all steps up to the last answer are reached.
      const end = ending.includes(name) ? ladder.find(({ rungs }) => rungs.some(({ kind }) => kind === "finish"))?.from : undefined;
      const beyond = (step: LadderStep) => fullest.get(step)?.beyond ?? Number.NEGATIVE_INFINITY;
      const reached = this.#reach(budget, subject, (step) =>
        end !== undefined && step.from <= end ? Math.max(beyond(step), 0) : beyond(step),
      );
      // Of amounts, and where others are in force than the budget has, the higher step may stand before the lower one.
      const share = (i: number) => shareFrom(ladder[i] as LadderStep, fullest.get(ladder[i] as LadderStep)?.balance.limit ?? 0);
      const ascending = reached.toSorted((a, b) => share(a) - share(b));
      return rungsAt(ladder, ascending).map(({ rung, step }) => ({ rung, budget, step, balance: (fullest.get(step) as Fullest).balance }));
    });
  }

  #reach(budget: Budget, subject: Subject, beyond: (step: LadderStep) => number): readonly number[] {
    const key = `${budget.name}|${subjectLabel(budget, subject)}`;
    const reached = reachedSteps(budget.ladder, beyond, this.#reached.get(key));
    this.#reached.delete(key);
    if (reached.length > 0) this.#reached.set(key, reached);
    if (this.#reached.size > REACHED_MOST) this.#reached = new Map([...this.#reached].slice(REACHED_MOST / 2));
    return reached;
  }
}

interface Fullest {
  readonly balance: Balance;
  readonly beyond: number;
}

function fullestBySteps(ladder: Budget["ladder"], balances: readonly Balance[]): ReadonlyMap<LadderStep, Fullest> {
  const all = new Map<LadderStep, Fullest>();
  for (const step of ladder) {
    for (const balance of balances) {
      if (!measures(step, balance)) continue;
      const beyond = beyondStep(step, balance, balance.limit);
      if (beyond > (all.get(step)?.beyond ?? Number.NEGATIVE_INFINITY)) all.set(step, { balance, beyond });
    }
  }
  return all;
}

/** Why a ladder refuses a call, when that ends, and what to do. */
export function describeBlock({ budget, step, balance }: ActiveRung): string {
  const used = shareText(Math.floor(shareOf(balance, balance.limit)));
  const resets = balance.resetsAt === undefined ? "It does not reset." : `It resets ${formatInstant(balance.resetsAt, balance.timezone)}.`;
  const name = balance.subject === "" ? `Budget "${budget.name}"` : `Budget "${budget.name}" (${balance.subject})`;
  return `${name} takes no calls ${stepPhrase(step)}, and ${used} is used. ${resets} Ask ${giverOf(budget)} for more.`;
}
