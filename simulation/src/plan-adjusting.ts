import type { AdjustingInput } from "../../packages/core/dist/domain/adjusting.js";
import type { Evidence, Unit } from "../../packages/core/dist/index.js";
import type { Dice } from "./dice.js";
import { amountText, limitName, type PlannedBudget, type PlannedLimit } from "./plan.js";
import { CALLS_WORTH, limitsBeside } from "./plan-sharing.js";

/** How a limit of a budget of a simulation follows what is used of it. */
export interface PlannedAdjust {
  /** The limit: of this unit, by this period. */
  readonly unit: Unit;
  readonly window: AdjustedWindow;
  readonly least: number;
  readonly most: number;
  readonly every: AdjustedWindow;
  /** In per cent. */
  readonly step: number;
}

type AdjustedWindow = "day" | "week" | "month" | "quarter";

/** What ends with each of these. */
const EVERY: Readonly<Record<AdjustedWindow, readonly AdjustedWindow[]>> = {
  day: ["day", "day", "week", "month", "quarter"],
  week: ["week"],
  month: ["month", "quarter"],
  quarter: ["quarter"],
};
const WINDOWS = ["day", "day", "day", "week", "month", "quarter"] as const;
/** The same budgets, of which those that have one balance have a limit that follows its use. */
export function adjustingPlan(plan: readonly PlannedBudget[], dice: Dice): readonly PlannedBudget[] {
  return plan.map((budget) => {
    if (budget.per.length > 0 || budget.share) return budget;
    const { unit, amount: size } = dice.pick(CALLS_WORTH);
    const window = dice.pick(WINDOWS);
    const amount = size * dice.magnitude(5, 200);
    const limit = { unit, window, amount };
    const least = Math.max(1, Math.floor((amount * dice.pick([20, 60, 95])) / 100));
    const most = amount + Math.max(1, Math.floor((amount * dice.pick([10, 50, 300])) / 100));
    const adjust = { unit, window, least, most, every: dice.pick(EVERY[window]), step: dice.pick([20, 50, 100]) };
    return { ...budget, isEnforced: true, limits: [limit, ...limitsBeside(budget, limit)], adjust };
  });
}

/** The limit that a budget adjusts; none where what was changed meanwhile left nothing to be adjusted. */
export function adjustedLimit({ adjust, per, limits }: PlannedBudget): PlannedLimit | undefined {
  if (!adjust || per.length > 0) return undefined;
  const limit = limits.find(({ unit, window }) => unit === adjust.unit && window === adjust.window);
  if (!limit || limit.moving || limit.rollover !== undefined || limit.amount < adjust.least || limit.amount > adjust.most) return undefined;
  return Math.floor((adjust.least * adjust.step) / 100) > 0 ? limit : undefined;
}

/** By the name of its counters. */
export function adjustedName(budget: PlannedBudget): string | undefined {
  const limit = adjustedLimit(budget);
  return limit && limitName(budget, limit);
}

/** How it is written in a configuration. */
export function adjustInput({ unit, window, least, most, every, step }: PlannedAdjust): AdjustingInput {
  const named = unit === "nanodollars" ? "" : ` ${unit.replace("_", " ")}`;
  return { within: `${amountText(least, unit)} - ${amountText(most, unit)}${named} / ${window}`, every, step: `${step}%` };
}

/** What somebody sees who looks how much of a limit was used: anything, and now and then that nobody knows yet. */
export function seenOf(amount: number, dice: Dice): Evidence | undefined {
  if (dice.chance(0.2)) return undefined;
  const refused = dice.chance(0.4) ? dice.between(1, 50) : 0;
  const needed = dice.chance(0.8) ? Math.floor((amount * dice.between(0, 400)) / 100) : undefined;
  return { needed, neededAtLeast: needed, refused, refusedDays: Math.min(1, refused), rests: "what was drawn" };
}
